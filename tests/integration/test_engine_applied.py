"""An applied plan: what is made up for afterwards is the applying run's own, and the plan stays what was looked at and approved."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from sync_core.domain.vocabulary import EntityType, SessionStatus, Strategy
from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint, Sizes
from sync_core.sandbox.server import SandboxServer
from sync_core.store.database import Database
from sync_core.store.plan_facts import plan_hash
from sync_core.store.runs import Task
from tests import support, truth
from tests.retrying import REPAIR, RETRY_ALL, again, forbid, requests
from tests.support import Ended, sync

CUSTOMERS = EntityType.CUSTOMERS


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    async with SandboxServer(Account.generated(Blueprint("applied", Sizes(30, 4, 8, 10, 12)))) as running:
        yield running


PLAN = """
SELECT s.external_id, s.entity_type, s.seq, s.observed_at, s.digest, s.issue, s.deleted, s."values", p.action, p.reason_code, p.seq AS place
FROM payment_sync_staged_objects s LEFT JOIN payment_sync_plan_items p USING (session_id, entity_type, external_id)
WHERE s.session_id = :s ORDER BY s.entity_type, s.external_id
"""


async def plan_of(database: Database, workspace_id: UUID, dry: Ended) -> tuple[list[dict[str, Any]], str | None]:
    """All that a dry run's plan is, and what it hashes to now."""
    async with database.workspace(workspace_id) as session:
        digest = await plan_hash(session, workspace_id, dry.session_id)
    return await support.rows(database, workspace_id, PLAN, s=dry.session_id), digest


@pytest.mark.parametrize("task", [REPAIR, RETRY_ALL, None], ids=["repair", "retry", "resume"])
async def test_what_an_applied_plan_makes_up_for_leaves_the_plan_as_it_was(
    *, database: Database, workspace_id: UUID, server: SandboxServer, task: Task | None
) -> None:
    """Newer views are the applying run's own. The plan can be applied again, and nothing newer gives way to it."""
    invoices = sorted(server.world.account().truth("invoices"))[:4]
    dry = await sync(database, workspace_id, server.url, support.config(dry_run=True))
    before = await plan_of(database, workspace_id, dry)
    if task != REPAIR:
        await forbid(database, *invoices, table="invoices")
    applied = await sync(database, workspace_id, server.url, support.config(), source_session_id=dry.session_id)
    await forbid(database, table="invoices")
    async with database.workspace(workspace_id) as session:
        await session.execute(text("DELETE FROM invoices WHERE external_id = ANY(:ids)"), {"ids": invoices})
    server.world.account().update("invoices", invoices[0], {"number": "NEWER-1"}, now=server.world.now())

    done = await again(database, server, applied, task)

    assert requests(server) == {"GET /v1/invoices/:id": 4}
    assert done.status is SessionStatus.COMPLETED
    assert await plan_of(database, workspace_id, dry) == before
    await truth.assert_equal_to(database, workspace_id, server.world.account())

    second = await sync(
        database,
        workspace_id,
        server.url,
        support.config(strategy=Strategy.OVERWRITE),
        source_session_id=dry.session_id,
    )
    assert second.status is SessionStatus.COMPLETED
    assert second.counters["invoices"]["updated"] == 0
    await truth.assert_equal_to(database, workspace_id, server.world.account())
