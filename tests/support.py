"""Runs made and driven in a test's own process, against a real database and a sandbox over a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import text
from sqlalchemy.engine import make_url

from sync_core.domain.merge import Strategies
from sync_core.domain.vocabulary import EntityType, SessionStatus, Strategy
from sync_core.engine.context import Run
from sync_core.engine.drive import drive
from sync_core.store import run_state, runs
from sync_core.store.clock import shared_clock
from sync_core.store.database import Database
from sync_core.store.rates import StoredSlots
from sync_core.stripe_source import Governor, LocalSlots, StripeSource, http_client
from sync_core.stripe_source.retry import PATIENCE_SECONDS

KEY = "sk_test_sandbox_tests"
ALL = tuple(EntityType)
# What asking a run to stop answers, and what its worker comes to: one that hears it, and one that gave no sign of life.
HEARD = (SessionStatus.RUNNING, SessionStatus.CANCELLED)
MUTE = (SessionStatus.CANCELLED, None)


def config(
    *entities: EntityType,
    strategy: Strategy = Strategy.FLAG,
    dry_run: bool = False,
    **more: Any,
) -> runs.RunConfig:
    return runs.RunConfig(
        entity_types=entities or ALL,
        strategies=more.pop("strategies", Strategies(strategy)),
        dry_run=dry_run,
        concurrent_batches=more.pop("concurrent_batches", 4),
        **more,
    )


async def make_connection(
    database: Database, workspace_id: UUID, account: str = "acct_test", *, created: int | None = None
) -> UUID:
    async with database.workspace(workspace_id) as session:
        made = await session.execute(
            text(
                "INSERT INTO payment_connections (workspace_id, account_id, livemode, key_kind, key_last4, key_fingerprint,"
                " key_ciphertext, is_sandbox, account_created)"
                " VALUES (:w, :account, false, 'secret', '1234', 'f', 'x', true, :created)"
                " ON CONFLICT (workspace_id, provider_name) WHERE disconnected_at IS NULL DO UPDATE SET account_id = :account"
                " RETURNING id"
            ),
            {"w": workspace_id, "account": account, "created": created},
        )
        return UUID(str(made.scalar_one()))


async def enqueue(
    database: Database, workspace_id: UUID, wanted: runs.RunConfig, *, source_session_id: UUID | None = None
) -> UUID:
    connection_id = await make_connection(database, workspace_id)
    async with database.workspace(workspace_id) as session:
        session_id = await runs.enqueue(
            session,
            workspace_id,
            wanted,
            connection_id=connection_id,
            created_by="test",
            source_session_id=source_session_id,
        )
    assert session_id is not None
    return session_id


async def _hurry(_: float) -> None:
    await asyncio.sleep(0)


@asynccontextmanager
async def taken(
    database: Database, session_id: UUID, base_url: str, *, seconds: float = 20.0, **options: Any
) -> AsyncIterator[Run]:
    """The run under a fresh lease. `options` are those of `under`."""
    async with database.system() as session:
        held = await runs.take(session, session_id, "test", seconds)
    assert held is not None
    async with under(database, held, base_url, **options) as run:
        yield run


@asynccontextmanager
async def under(
    database: Database,
    held: runs.Held,
    base_url: str,
    *,
    key: str = KEY,
    hurried: bool = False,
    limited: bool = False,
    read_seconds: float | None = None,
    patience: float = PATIENCE_SECONDS,
) -> AsyncIterator[Run]:
    """The run under a lease, with a source of its own; `hurried`, it asks again at once where it would wait.

    `limited` keeps Stripe's test limits, by slots in the database; `read_seconds` is how long one read of an answer may take.
    """
    async with database.workspace(held.workspace_id) as session:
        row = await run_state.read_run(session, held.workspace_id, held.session_id)
    slots = StoredSlots(database) if limited else LocalSlots()
    account = row.connection.account_id
    governor = Governor(slots, account=account, mode="test", cap_share=1.0, unlimited=not limited)
    async with http_client() as http:
        if read_seconds is not None:
            http.timeout = read_seconds
        source = StripeSource(
            api_key=key,
            base_url=base_url,
            http=http,
            governor=governor,
            patience=patience,
            sleep=_hurry if hurried else asyncio.sleep,
            clock=await shared_clock(database),
        )
        yield Run(database, held, row, source, governor)


@dataclass(frozen=True, slots=True)
class Ended:
    session_id: UUID
    status: SessionStatus | None
    counters: dict[str, dict[str, Any]]


async def sync(
    database: Database,
    workspace_id: UUID,
    base_url: str,
    wanted: runs.RunConfig,
    *,
    source_session_id: UUID | None = None,
    **options: Any,
) -> Ended:
    """Queue a run, drive it to its end, and read its counters. `options` are those of `under`."""
    session_id = await enqueue(database, workspace_id, wanted, source_session_id=source_session_id)
    async with taken(database, session_id, base_url, **options) as run:
        status = await drive(run, lease_seconds=20.0)
    return Ended(session_id, status, await counters(database, workspace_id, session_id))


async def counters(database: Database, workspace_id: UUID, session_id: UUID) -> dict[str, dict[str, Any]]:
    async with database.workspace(workspace_id) as session:
        rows = await run_state.read_counters(session, workspace_id, session_id)
    return {row["entity_type"]: row for row in rows}


async def rows(database: Database, workspace_id: UUID, sql: str, **bound: Any) -> list[dict[str, Any]]:
    async with database.workspace(workspace_id) as session:
        found = await session.execute(text(sql), bound)
        return [dict(row) for row in found.mappings()]


async def stored_ids(database: Database, workspace_id: UUID, entity: EntityType) -> set[str]:
    found = await rows(database, workspace_id, f"SELECT external_id FROM {entity.value} WHERE external_id IS NOT NULL")
    return {row["external_id"] for row in found}


@dataclass(slots=True)
class Ticks:
    done: int = 0


@asynccontextmanager
async def every(seconds: float, act: Callable[[], Awaitable[None]]) -> AsyncIterator[Ticks]:
    """Beside the block, `act` again and again, with so long between, however long one takes: the block gets its turn on any machine."""
    ticks = Ticks()

    async def tick() -> None:
        while True:
            await passed(seconds)
            await act()
            ticks.done += 1

    task = asyncio.create_task(tick())
    try:
        yield ticks
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def passed(seconds: float) -> None:
    """For a moment that a seed has chosen; where there is a condition, wait for that."""
    loop = asyncio.get_running_loop()
    await _until(loop, loop.time() + seconds)


async def _until(loop: asyncio.AbstractEventLoop, due: float) -> None:
    reached = loop.create_future()
    timer = loop.call_at(due, reached.set_result, None)
    try:
        await reached
    finally:
        timer.cancel()


async def holds(condition: Callable[[], Awaitable[bool]], *, within: float = 60.0, every: float = 0.02) -> bool:
    """Whether the condition comes to hold in time: after seconds that no machine needs, so that a wait is never what decides."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within
    while not await condition():
        if loop.time() >= end:
            return False
        await _until(loop, loop.time() + every)
    return True


async def waiting_for_a_lock(connection: psycopg.AsyncConnection, count: int) -> bool:
    """Whether so many sessions of the connection's database wait; it is one that waits for nothing itself, in no transaction."""
    found = await connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    return await found.fetchone() == (count,)


_CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
)
_PROGRESS = (
    "SELECT (SELECT coalesce(sum(pages), 0) FROM payment_sync_windows)"
    " + (SELECT coalesce(sum(landed_seq + planned_seq), 0) FROM payment_sync_entity_runs)"
)


@asynccontextmanager
async def apart(database: Database) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """A connection beside those of the pool."""
    url = make_url(database.url).set(drivername="postgresql").render_as_string(hide_password=False)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        yield connection


async def cut_connections(database: Database) -> None:
    """End every connection to the database but the one that says so."""
    async with apart(database) as connection:
        await connection.execute(_CUT)


@dataclass(slots=True)
class Cutter:
    """Cuts all connections whenever something more has been committed: by the clock, on a busy machine nothing would ever get through."""

    database: Database
    cuts: int = 0
    _seen: int = 0

    async def __call__(self) -> None:
        async with apart(self.database) as connection:
            row = await (await connection.execute(_PROGRESS)).fetchone()
            assert row is not None
            if int(row[0]) <= self._seen:
                return
            self._seen = int(row[0])
            self.cuts += 1
            await connection.execute(_CUT)


DISK_FULL = (
    "RAISE EXCEPTION 'could not extend file \"base/16384/16385\": No space left on device'"
    " USING ERRCODE = 'disk_full', HINT = 'Check free disk space.';"
)
"""PostgreSQL's own words, class and code (53100): what a session gets when a table's file can't grow."""


async def on_insert(database: Database, table: str, does: str | None) -> None:
    """Have every insert into the table do this first (PL/pgSQL); None takes it away again."""
    async with database.engine.begin() as connection:
        await connection.execute(text(f"DROP TRIGGER IF EXISTS burden ON {table}"))
        if does is None:
            return
        await connection.execute(
            text(
                f"CREATE OR REPLACE FUNCTION burden_{table}() RETURNS trigger LANGUAGE plpgsql AS"
                f" $$ BEGIN {does} RETURN NULL; END $$"
            )
        )
        await connection.execute(
            text(f"CREATE TRIGGER burden BEFORE INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION burden_{table}()")
        )
