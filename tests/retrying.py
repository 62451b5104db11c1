"""Ended runs that are taken up again: errors to provoke, a task to drive, what is left of the errors."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text

from sync_core.domain.vocabulary import TaskKind
from sync_core.engine.drive import drive
from sync_core.sandbox.server import SandboxServer
from sync_core.store import runs
from sync_core.store.database import Database
from sync_core.store.runs import Task
from tests import support
from tests.support import Ended

RETRY_ALL = Task(TaskKind.RETRY)
REPAIR = Task(TaskKind.REPAIR)


def break_customers(server: SandboxServer, *ids: str) -> None:
    """In lists; asked for by id they are whole."""
    rules = [{"kind": "malformed_object", "match": "GET /v1/customers", "ids": list(ids)}] if ids else []
    server.world.faults.replace(rules)


async def forbid(database: Database, *ids: str, table: str = "customers") -> None:
    """Have the database refuse these records of a table, and no others."""
    async with database.engine.begin() as connection:
        await connection.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS refused"))
        named = ", ".join(f"'{one}'" for one in ("", *ids))
        check = f"CHECK (coalesce(external_id NOT IN ({named}), true)) NOT VALID"
        await connection.execute(text(f"ALTER TABLE {table} ADD CONSTRAINT refused {check}"))


async def again(database: Database, server: SandboxServer, before: Ended, task: Task | None) -> Ended:
    """Take the ended run up for the task, drive it to its end, and read its counters. Requests are counted from here."""
    server.world.statistics.reset()
    workspace_id = await workspace_of(database, before.session_id)
    async with database.workspace(workspace_id) as session:
        assert await runs.requeue(session, workspace_id, before.session_id, task=task) == before.session_id
    async with support.taken(database, before.session_id, server.url) as run:
        assert run.row.task == task
        status = await drive(run, lease_seconds=20.0)
    return Ended(before.session_id, status, await support.counters(database, workspace_id, before.session_id))


async def workspace_of(database: Database, session_id: UUID) -> UUID:
    async with database.engine.connect() as connection:
        found = await connection.execute(
            text("SELECT workspace_id FROM payment_sync_sessions WHERE id = :s"), {"s": session_id}
        )
        return UUID(str(found.scalar_one()))


async def failed(database: Database, ended: Ended) -> dict[str, str]:
    found = await support.rows(
        database,
        await workspace_of(database, ended.session_id),
        "SELECT external_id, reason_code FROM payment_sync_plan_items WHERE session_id = :s AND action = 'error'",
        s=ended.session_id,
    )
    return {row["external_id"]: row["reason_code"] for row in found}


def requests(server: SandboxServer) -> dict[str, int]:
    return dict(server.world.statistics.requests)
