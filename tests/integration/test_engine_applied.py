"""An applied plan: what is made up for afterwards is the applying run's own, and the plan stays what was looked at and approved."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from sync_core.domain.vocabulary import EntityType, SessionStatus, Strategy
from sync_core.engine.drive import drive
from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint, Sizes
from sync_core.sandbox.server import SandboxServer
from sync_core.store import runs
from sync_core.store.database import Database
from sync_core.store.plan_facts import plan_hash
from sync_core.store.runs import Task
from tests import child, support, truth
from tests.child import Child
from tests.retrying import REPAIR, RETRY_ALL, again, break_customers, failed, forbid, requests
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


async def requests_named(database: Database, workspace_id: UUID, ended: Ended) -> list[str]:
    """Stripe's, of the errors in the run's summary."""
    found = await support.rows(
        database, workspace_id, "SELECT error_summary FROM payment_sync_sessions WHERE id = :s", s=ended.session_id
    )
    named = [one["request_id"] for group in found[0]["error_summary"]["groups"] for one in group["examples"]]
    assert all(one.startswith("req_") for one in named)
    return named


@pytest.mark.parametrize("stored", [False, True], ids=["nothing here", "a record here"])
async def test_what_stripe_knows_no_longer_is_no_error_of_a_plan_nor_of_its_appliance(
    *, database: Database, workspace_id: UUID, server: SandboxServer, stored: bool
) -> None:
    """Each finds out when it is retried; a plan that has found out is applied so."""
    gone = min(server.world.account().truth("customers"))
    wanted, left = support.config(CUSTOMERS), {gone: "gone"} if stored else {}
    if stored:
        await sync(database, workspace_id, server.url, wanted)
    break_customers(server, gone)
    dry = await sync(database, workspace_id, server.url, support.config(CUSTOMERS, dry_run=True))
    break_customers(server)
    server.world.account().collections["customers"].stubs[gone] = None  # type: ignore[assignment]  # nothing is left of it
    before = await plan_of(database, workspace_id, dry)
    early = await sync(database, workspace_id, server.url, wanted, source_session_id=dry.session_id)
    assert await failed(database, early) == {gone: "unsupported_shape"}

    for task in (RETRY_ALL, REPAIR):
        done = await again(database, server, early, task)
        assert requests(server) == ({"GET /v1/customers/:id": 1} if task is RETRY_ALL else {})
        assert await failed(database, early) == left
        assert done.status is (SessionStatus.PARTIAL if stored else SessionStatus.COMPLETED)
    assert await plan_of(database, workspace_id, dry) == before
    if stored:
        assert await requests_named(database, workspace_id, early) != await requests_named(database, workspace_id, dry)

    planned = await again(database, server, dry, RETRY_ALL)
    late = await sync(database, workspace_id, server.url, wanted, source_session_id=dry.session_id)

    for one in (planned, late):
        assert await failed(database, one) == left
        assert one.counters["customers"]["skipped"] == (0 if stored else 1)
        assert one.counters["customers"]["verified"]["verified"] is True
    assert requests(server) == {"GET /v1/customers/:id": 1}, "an applied plan asks nothing"
    assert (gone in await support.stored_ids(database, workspace_id, CUSTOMERS)) is stored


@pytest.mark.parametrize("failpoint", ["retry.fetched", "plan.before_commit"])
async def test_a_retry_of_an_applied_plan_that_is_killed_goes_on(
    database: Database, workspace_id: UUID, server: SandboxServer, failpoint: str
) -> None:
    sick = next(iter(server.world.account().truth_objects("subscriptions")))["customer"]
    planned = await child.enqueue(database, workspace_id, support.config(dry_run=True))
    async with support.taken(database, planned, server.url) as run:
        status = await drive(run, lease_seconds=20.0)
    dry = Ended(planned, status, await support.counters(database, workspace_id, planned))
    before = await plan_of(database, workspace_id, dry)
    await forbid(database, sick)
    applied = await sync(database, workspace_id, server.url, support.config(), source_session_id=dry.session_id)
    assert "missing_parent" in (await failed(database, applied)).values()
    await forbid(database)
    async with database.workspace(workspace_id) as session:
        assert await runs.requeue(session, workspace_id, applied.session_id, task=RETRY_ALL) == applied.session_id

    async with Child(database, server.url, applied.session_id, failpoint=failpoint) as killed:
        assert await killed.ended() == -9
    await child.free(database, applied.session_id)
    async with Child(database, server.url, applied.session_id) as heir:
        assert await heir.ended() == 0

    assert await failed(database, applied) == {}
    assert await plan_of(database, workspace_id, dry) == before
    counters = await support.counters(database, workspace_id, applied.session_id)
    assert {one: row["created"] for one, row in counters.items()} == {
        one: row["created"] for one, row in dry.counters.items()
    }
    await truth.assert_equal_to(database, workspace_id, server.world.account())
