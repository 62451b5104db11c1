"""Landings that are under way at once: the second goes in after the first, and not without it. What landed is found by its key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import text

from sync_core.domain.vocabulary import EntityType
from sync_core.engine import landing
from sync_core.engine.embedded import Embedded
from sync_core.engine.fetch import EntityFetch
from sync_core.engine.landing import Lander
from sync_core.engine.staging import stage_page
from sync_core.errors import LeaseLost
from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint, Sizes
from sync_core.sandbox.server import SandboxServer
from sync_core.store import related
from sync_core.store.database import Database, driver
from sync_core.store.landing import Landing, new_window
from sync_core.store.planning_sql import select_sql
from sync_core.store.written import lot_sql
from tests import support

CUSTOMERS = EntityType.CUSTOMERS
PAGES, PAGE = 6, 20
UNDER_WAY = (
    "SELECT count(*) FILTER (WHERE wait_event_type = 'Lock'), count(*) FILTER (WHERE state = 'idle in transaction')"
    " FROM pg_stat_activity WHERE datname = current_database() AND (query LIKE '%landed AS%' OR query LIKE 'COPY landing%')"
)
STAGED = "SELECT external_id FROM payment_sync_staged_objects ORDER BY seq"


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    async with SandboxServer(Account.generated(Blueprint("landings", Sizes(PAGES * PAGE, 1, 1, 1, 1)))) as running:
        yield running


@asynccontextmanager
async def submitted(
    database: Database, workspace_id: UUID, server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Lander, asyncio.Task[None], list[asyncio.Task[None]]]]:
    """A lander at work, whose landings are of two pages, and six pages given to it."""
    monkeypatch.setattr(landing, "_ROWS_PER_COMMIT", 2 * PAGE)
    # A dry run lands everything: it asks for nothing that is known already, which would have to wait for the landing before.
    session_id = await support.enqueue(database, workspace_id, support.config(CUSTOMERS, dry_run=True))
    async with support.taken(database, session_id, server.url) as run:
        lander, after, given = Lander(run), None, []
        for _ in range(PAGES):
            page = await run.source.list_page(CUSTOMERS, limit=PAGE, starting_after=after)
            rows = await stage_page(run.source, CUSTOMERS, page)
            after = rows[-1].external_id
            given.append(asyncio.create_task(lander.submit(Landing(rows=rows))))
        # One turn of the loop, in which all of them are given.
        await asyncio.sleep(0)
        work = asyncio.create_task(lander.work())
        try:
            yield lander, work, given
        finally:
            for task in (work, *given):
                task.cancel()
            await asyncio.gather(work, *given, return_exceptions=True)


async def under_way(database: Database) -> tuple[int, int]:
    """How many landings wait for a lock, and how many are only brought to the database."""
    async with database.engine.connect() as connection:
        blocked, brought = (await connection.execute(text(UNDER_WAY))).one()
    return blocked, brought


async def test_the_second_is_brought_while_the_first_goes_in_and_goes_in_behind_it(
    database: Database, workspace_id: UUID, server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with submitted(database, workspace_id, server, monkeypatch) as (lander, _, given):
        async with database.engine.connect() as other:
            await other.execute(text("SELECT FROM payment_sync_leases FOR UPDATE"))

            async def two_of_three() -> bool:
                return await under_way(database) == (1, 1)

            assert await support.holds(two_of_three)
            assert lander.durable_seq(CUSTOMERS) == 0
            assert lander.landed_seq(CUSTOMERS) == 2 * 2 * PAGE, "the third has no place yet"
        await asyncio.gather(*given)

        assert lander.durable_seq(CUSTOMERS) == PAGES * PAGE
    account = server.world.account()
    listed = [raw["id"] for raw in sorted(account.truth_objects("customers"), key=lambda raw: -raw["created"])]
    found = [row["external_id"] for row in await support.rows(database, workspace_id, STAGED)]
    assert sorted(found) == sorted(listed)
    order = "SELECT count(DISTINCT seq), max(seq) FROM payment_sync_staged_objects"
    assert await support.rows(database, workspace_id, order) == [{"count": PAGES * PAGE, "max": PAGES * PAGE}]


async def test_neither_goes_in_under_a_lease_that_was_taken(
    database: Database, workspace_id: UUID, server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with submitted(database, workspace_id, server, monkeypatch) as (_, work, given):
        async with database.engine.connect() as other:
            await other.execute(text("SELECT FROM payment_sync_leases FOR UPDATE"))
            await other.execute(text("UPDATE payment_sync_leases SET fence = fence + 1"))

            async def both() -> bool:
                return await under_way(database) == (1, 1)

            assert await support.holds(both)
            await other.commit()
        with pytest.raises(LeaseLost):
            await work
        assert not any(one.done() for one in given), "nobody was told that anything is durable"
    assert await support.rows(database, workspace_id, STAGED) == []


async def with_new_prices(database: Database, table: str, insert: str, whose: dict[str, UUID], prices: int) -> None:
    """So many rows of prices in a table whose statistics know customers only."""
    rows = text(f"{insert} FROM generate_series(1, :count) n")
    async with database.engine.begin() as owner:
        await owner.execute(rows, {**whose, "entity": "customers", "count": 5_000})
        await owner.execute(text(f"ANALYZE {table}"))
        await owner.execute(rows, {**whose, "entity": "prices", "count": prices})


@pytest.mark.parametrize("prices", [50, 2_000, 12_000])
async def test_an_object_is_not_looked_for_along_the_queue(
    database: Database, workspace_id: UUID, server: SandboxServer, prices: int
) -> None:
    """Though its entity type is new to the statistics, for which any index then looks alike."""
    session_id = await support.enqueue(database, workspace_id, support.config())
    whose = {"workspace": workspace_id, "session": session_id}
    landed = (
        "INSERT INTO payment_sync_staged_objects (workspace_id, session_id, entity_type, external_id, seq, observed_at, values)"
        " SELECT :workspace, :session, CAST(:entity AS text), CAST(:entity AS text) || n, n, now(), "
    )
    await with_new_prices(database, "payment_sync_staged_objects", f"{landed} NULL", whose, prices)
    async with database.engine.begin() as owner:
        naming = """jsonb_build_object('price', 'prices1', 'items', '[]'::jsonb) FROM generate_series(1, 1) n"""
        await owner.execute(text(landed + naming), {**whose, "entity": "subscriptions"})
    async with support.taken(database, session_id, server.url) as run, run.session() as session:
        connection = await driver(session)
        found = await connection.execute(
            "EXPLAIN ANALYZE " + related.missing_sql(EntityType.SUBSCRIPTIONS, EntityType.PRICES, narrowed=False),
            {**run.scope.bound(EntityType.SUBSCRIPTIONS), "after": 0, "until": 4_000, "absent": [], "limit": 500},
        )
        plan = [row[0] for row in await found.fetchall()]
    ways = [line.split("using ")[1].split()[0] for line in plan if "payment_sync_staged_objects k" in line]
    assert ways == ["pk_payment_sync_staged_objects"], "\n".join(plan)
    assert [line for line in plan if "on prices t " in line and "never executed" not in line] == [], "it is staged"


@pytest.mark.parametrize("prices", [50, 2_000, 12_000])
async def test_a_place_of_a_plan_is_not_looked_for_along_the_plan(
    database: Database, workspace_id: UUID, server: SandboxServer, prices: int
) -> None:
    session_id = await support.enqueue(database, workspace_id, support.config())
    planned = (
        "INSERT INTO payment_sync_plan_items (workspace_id, session_id, entity_type, external_id, seq, action)"
        " SELECT :workspace, :session, CAST(:entity AS text), CAST(:entity AS text) || n, n, 'create'"
    )
    whose = {"workspace": workspace_id, "session": session_id}
    await with_new_prices(database, "payment_sync_plan_items", planned, whose, prices)
    async with support.taken(database, session_id, server.url) as run, run.session() as session:
        connection = await driver(session)
        found = await connection.execute(
            "EXPLAIN " + lot_sql(EntityType.PRICES),
            {**run.scope.bound(EntityType.PRICES), "actions": ["create"], "places": list(range(1, 1_000))},
        )
        plan = [row[0] for row in await found.fetchall()]
    ways = [line.split("using ")[1].split()[0] for line in plan if "payment_sync_plan_items i" in line]
    assert ways == ["ix_payment_sync_plan_items_action"], "\n".join(plan)


@pytest.mark.parametrize("prices", [50, 2_000, 12_000])
@pytest.mark.parametrize(
    ("planned", "alias"),
    [
        pytest.param({"dry_run": True, "applied": False}, "pp", id="a-dry-run-looks-for-planned-parents"),
        pytest.param({"dry_run": False, "applied": True}, "i", id="an-applied-plan-looks-for-what-was-planned"),
        pytest.param(
            {"dry_run": False, "applied": False, "overtaken": True}, "i", id="what-was-put-off-looks-for-later-runs"
        ),
    ],
)
async def test_what_is_planned_is_found_by_its_key(
    *,
    database: Database,
    workspace_id: UUID,
    server: SandboxServer,
    prices: int,
    planned: dict[str, bool],
    alias: str,
) -> None:
    """Though its entity type is new to the statistics: one subscription of a dry run took 7 ms otherwise."""
    session_id = await support.enqueue(database, workspace_id, support.config())
    whose = {"workspace": workspace_id, "session": session_id}
    items = (
        "INSERT INTO payment_sync_plan_items (workspace_id, session_id, entity_type, external_id, seq, action)"
        " SELECT :workspace, :session, CAST(:entity AS text), CAST(:entity AS text) || n, n, 'create'"
    )
    await with_new_prices(database, "payment_sync_plan_items", items, whose, prices)
    entity = EntityType.SUBSCRIPTIONS if planned["dry_run"] else EntityType.PRICES
    async with support.taken(database, session_id, server.url) as run, run.session() as session:
        connection = await driver(session)
        found = await connection.execute(
            "EXPLAIN " + select_sql(entity, by_email=False, some=False, **planned),
            {**run.scope.bound(entity), "plan": session_id, "after": 0, "until": 4_000, "size": 1_000},
        )
        plan = [row[0] for row in await found.fetchall()]
    ways = {line.split("using ")[1].split()[0] for line in plan if f"payment_sync_plan_items {alias}" in line}
    assert ways == {"pk_payment_sync_plan_items"}, "\n".join(plan)


class Estimating(Lander):
    """Knows how much was thought to be left at each landing."""

    fetch: EntityFetch
    left: list[int]

    async def submit(self, landing: Landing) -> None:
        self.left.append(self.fetch.expected_more)
        await super().submit(landing)


async def test_what_another_worker_read_of_a_window_makes_no_more_of_what_is_left(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    session_id = await support.enqueue(database, workspace_id, support.config(CUSTOMERS, batch_size=PAGE, dry_run=True))
    async with support.taken(database, session_id, server.url) as run:
        first = await run.source.list_page(CUSTOMERS, limit=PAGE)
        last = first.objects[-1]
        window = replace(
            new_window(CUSTOMERS, 0, first.objects[0]["created"] + 1),
            cursor=last["id"],
            oldest_seen=last["created"],
            objects=1_000 * PAGE,
        )
        lander = Estimating(run)
        lander.left = []
        lander.fetch = EntityFetch(run, lander, CUSTOMERS, [window], Embedded(run.row))
        landing = asyncio.create_task(lander.work())
        await lander.fetch.work()
        landing.cancel()
    # From one page's density down to Stripe's first year it is much as well; with the other's objects, a hundred thousand.
    assert 0 < max(lander.left) < 100 * PAGES * PAGE
