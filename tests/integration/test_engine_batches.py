"""Batches that are written side by side: the second commits after the first, and not without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from sqlalchemy import text

from sync_core.domain.vocabulary import EntityType, Strategy
from sync_core.engine import planner
from sync_core.engine.planner import Planner
from sync_core.engine.staging import stage_page
from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint, Sizes
from sync_core.sandbox.server import SandboxServer
from sync_core.store.database import Database
from sync_core.store.landing import Landing, land, landing_table
from tests import support

CUSTOMERS = EntityType.CUSTOMERS
COUNT, BATCH = 300, 40
# In the first batch, two of one in the middle, and the very last.
UNFIT = (3, 130, 131, 299)
UNDER_WAY = (
    "SELECT count(*) FILTER (WHERE wait_event_type = 'Lock'), count(*) FILTER (WHERE state = 'idle in transaction')"
    " FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'WITH fence%'"
)


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    async with SandboxServer(Account.generated(Blueprint("batches", Sizes(COUNT, 4, 4, 4, 4)))) as running:
        yield running


@asynccontextmanager
async def staged(
    database: Database, workspace_id: UUID, server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Planner, list[str]]]:
    """A run of which everything has landed and nothing is planned yet, and its queue. Each object differs from its record."""
    await support.sync(database, workspace_id, server.url, support.config(CUSTOMERS))
    account = server.world.account()
    for raw in list(account.truth_objects("customers")):
        renamed = {"op": "update", "type": "customers", "id": raw["id"], "fields": {"name": f"New {raw['id']}"}}
        account.mutate(renamed, now=server.world.now())
    monkeypatch.setattr(planner, "BATCH", BATCH)
    wanted = support.config(CUSTOMERS, strategy=Strategy.OVERWRITE)
    session_id = await support.enqueue(database, workspace_id, wanted)
    async with support.taken(database, session_id, server.url) as run:
        rows, after = [], None
        while after is None or len(rows) < COUNT:
            page = await run.source.list_page(CUSTOMERS, starting_after=after)
            rows += await stage_page(run.source, CUSTOMERS, page)
            after = rows[-1].external_id
        for place, row in enumerate(rows):
            row.seq = place + 1
        async with run.session(by_key=True, prepares=[landing_table(run.role)]) as session:
            await land(session, workspace_id, session_id, run.held.fence, Landing(rows=rows))
        yield Planner(run, CUSTOMERS, 0), [row.external_id for row in rows]


async def count(database: Database, workspace_id: UUID, sql: str) -> int:
    return int(next(iter((await support.rows(database, workspace_id, sql))[0].values())))


async def under_way(database: Database, *, blocked: int, written: int) -> bool:
    """Whether so many batches wait for a lock, and so many are written but not committed."""
    async with database.engine.connect() as connection:
        return tuple((await connection.execute(text(UNDER_WAY))).one()) == (blocked, written)


async def test_a_batch_waits_for_the_one_before_it_and_goes_with_it(
    database: Database, workspace_id: UUID, server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with staged(database, workspace_id, server, monkeypatch) as (planning, queue):
        async with database.engine.connect() as other:
            touch = text("UPDATE customers SET updated_at = now() WHERE external_id = :id")
            await other.execute(touch, {"id": queue[0]})
            work = asyncio.create_task(planning.drain())

            assert await support.holds(lambda: under_way(database, blocked=1, written=1))
            assert await count(database, workspace_id, "SELECT count(*) FROM customers WHERE name LIKE 'New %'") == 0
            await other.commit()
        await work

        assert planning.planned_seq == COUNT
    new = "SELECT count(*) FROM customers WHERE name = 'New ' || external_id AND payment_sync_version = 2"
    assert await count(database, workspace_id, new) == COUNT
    updated = (
        f"SELECT updated FROM payment_sync_entity_runs WHERE entity_type = '{CUSTOMERS.value}' ORDER BY updated DESC"
    )
    assert await count(database, workspace_id, updated) == COUNT


async def test_one_that_does_not_fit_is_put_aside_and_no_other(
    database: Database, workspace_id: UUID, server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with staged(database, workspace_id, server, monkeypatch) as (planning, queue):
        refused = [queue[place] for place in UNFIT]
        async with database.engine.begin() as owner:
            names = ", ".join(f"'New {one}'" for one in refused)
            await owner.execute(text(f"ALTER TABLE customers ADD CONSTRAINT odd CHECK (name NOT IN ({names}))"))
        await planning.drain()

        assert planning.planned_seq == COUNT
    wrong = "SELECT external_id FROM payment_sync_plan_items WHERE reason_code = 'write_failed' ORDER BY seq"
    assert [row["external_id"] for row in await support.rows(database, workspace_id, wrong)] == refused
    new = "SELECT count(*) FROM customers WHERE name = 'New ' || external_id AND payment_sync_version = 2"
    assert await count(database, workspace_id, new) == COUNT - len(refused)
