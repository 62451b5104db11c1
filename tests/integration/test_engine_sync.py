"""Whole runs over a socket on a real database: what is stored equals what Stripe holds, and nothing else is written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from sync_core.domain.fields import ORDER
from sync_core.domain.vocabulary import EntityType, SessionStatus, Strategy
from sync_core.engine import phases
from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint, Sizes
from sync_core.sandbox.server import SandboxServer
from sync_core.store.database import Database
from sync_core.store.values_sql import TABLES
from tests import support, truth
from tests.support import sync
from tests.unit import _stripe_objects as make

SIZES = Sizes(240, 12, 40, 60, 80)
COUNTED = ("created", "updated", "unchanged", "skipped", "conflicts", "failed")


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    async with SandboxServer(Account.generated(Blueprint("engine", SIZES))) as running:
        yield running


def truth_values(server: SandboxServer, entity: EntityType) -> list[dict[str, Any]]:
    return [dict(one.values) for one in truth.truth_of(server.world.account())[entity].values() if one.values]


async def versions(database: Database, workspace_id: UUID) -> dict[str, list[tuple[Any, ...]]]:
    """Every record's own version, physical and declared."""
    return {
        entity.value: [
            tuple(row.values())
            for row in await support.rows(
                database,
                workspace_id,
                f"SELECT id, xmin::text, row_version, updated_at, payment_synced_at FROM {TABLES[entity]} ORDER BY id",
            )
        ]
        for entity in ORDER
    }


def figures(ended: support.Ended) -> dict[str, tuple[int, ...]]:
    return {name: tuple(row[one] for one in COUNTED) for name, row in ended.counters.items()}


async def test_a_full_sync_stores_what_stripe_holds_field_by_field(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    ended = await sync(database, workspace_id, server.url, support.config())

    account = server.world.account()
    assert ended.status is SessionStatus.COMPLETED
    await truth.assert_equal_to(database, workspace_id, account)
    assert await truth.round_trips(database, workspace_id) == []
    expected = truth.truth_of(account)
    assert {name: row["created"] for name, row in ended.counters.items()} == {
        entity.value: len(expected[entity]) for entity in ORDER
    }
    for row in ended.counters.values():
        assert row["verified"]["verified"] is True
        assert row["verified"]["found"] == row["fetched"] == row["created"]


async def test_a_second_sync_writes_no_record(database: Database, workspace_id: UUID, server: SandboxServer) -> None:
    await sync(database, workspace_id, server.url, support.config(strategy=Strategy.OVERWRITE))
    before = await versions(database, workspace_id)

    again = await sync(database, workspace_id, server.url, support.config(strategy=Strategy.OVERWRITE))

    assert again.status is SessionStatus.COMPLETED
    assert await versions(database, workspace_id) == before
    for name, row in again.counters.items():
        assert row["unchanged"] == row["fetched"] > 0, name
        assert row["verified"]["verified"] is True


async def test_a_dry_run_writes_nothing_and_counts_what_the_real_run_does(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    dry = await sync(database, workspace_id, server.url, support.config(dry_run=True))
    assert all(not rows for rows in (await truth.stored(database, workspace_id)).values())

    real = await sync(database, workspace_id, server.url, support.config())

    assert dry.status is real.status is SessionStatus.COMPLETED
    assert figures(dry) == figures(real)


async def test_a_dry_run_could_not_write_a_record_if_it_tried(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    session_id = await support.enqueue(database, workspace_id, support.config(dry_run=True))
    async with support.taken(database, session_id, server.url) as run:
        for table in (*TABLES.values(), "subscription_items"):
            with pytest.raises(DBAPIError, match="permission denied"):
                async with run.session() as session:
                    await session.execute(text(f"DELETE FROM {table}"))


async def test_an_applied_plan_gives_what_a_direct_run_gives_and_asks_stripe_nothing(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    dry = await sync(database, workspace_id, server.url, support.config(dry_run=True))
    server.world.statistics.reset()

    applied = await sync(database, workspace_id, server.url, support.config(), source_session_id=dry.session_id)

    assert applied.status is SessionStatus.COMPLETED
    assert sum(server.world.statistics.requests.values()) == 0
    assert figures(applied) == figures(dry)
    await truth.assert_equal_to(database, workspace_id, server.world.account())
    assert await truth.round_trips(database, workspace_id) == []


@pytest.mark.parametrize("batch_size", [1, 7, 100])
@pytest.mark.parametrize("concurrent", [1, 20])
async def test_any_batch_size_and_concurrency(
    database: Database, workspace_id: UUID, server: SandboxServer, batch_size: int, concurrent: int
) -> None:
    wanted = support.config(EntityType.CUSTOMERS, batch_size=batch_size, concurrent_batches=concurrent)
    ended = await sync(database, workspace_id, server.url, wanted)

    assert ended.status is SessionStatus.COMPLETED
    await truth.assert_equal_to(database, workspace_id, server.world.account(), entities=[EntityType.CUSTOMERS])


SUBSETS = [
    (EntityType.PRICES,),
    (EntityType.SUBSCRIPTIONS,),
    (EntityType.INVOICES,),
    (EntityType.CUSTOMERS, EntityType.INVOICES),
]


@pytest.mark.parametrize("entities", SUBSETS, ids="+".join)
async def test_parents_that_no_list_brought_are_fetched_by_id(
    database: Database, workspace_id: UUID, server: SandboxServer, entities: tuple[EntityType, ...]
) -> None:
    ended = await sync(database, workspace_id, server.url, support.config(*entities))

    assert ended.status is SessionStatus.COMPLETED
    await truth.assert_equal_to(database, workspace_id, server.world.account(), entities=entities)


# Customers that no list brings: deleted ones, of a type that is not synced, from before the range.
EMBEDDING = {
    "all": {"entities": ORDER, "later": False},
    "children-alone": {"entities": (EntityType.SUBSCRIPTIONS, EntityType.INVOICES), "later": False},
    "since-a-day": {"entities": ORDER, "later": True},
}


async def test_nothing_is_planned_before_its_parents_are_there_however_much_lands_meanwhile(
    database: Database, workspace_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each invoice has a subscription of its own, to be fetched by id, which takes longer than the next pages."""
    monkeypatch.setattr(phases, "BATCH", 10)
    parents = {"customers": [make.customer()], "products": [make.product()], "prices": [make.price()]}
    subscriptions = [make.subscription(id=f"sub_{place}") for place in range(120)]
    invoices = [
        make.invoice(
            id=f"in_{place}",
            parent={"type": "subscription_details", "subscription_details": {"subscription": f"sub_{place}"}},
        )
        for place in range(120)
    ]
    account = Account.from_objects({**parents, "subscriptions": subscriptions, "invoices": invoices})
    async with SandboxServer(account) as server:
        server.world.faults.replace(
            [
                {"kind": "slow", "match": "GET /v1/invoices", "delay_ms": 40},
                {"kind": "slow", "match": "GET /v1/subscriptions/:id", "delay_ms": 120},
            ]
        )
        wanted = support.config(EntityType.INVOICES, batch_size=10, concurrent_batches=1)
        ended = await sync(database, workspace_id, server.url, wanted)

    assert ended.status is SessionStatus.COMPLETED
    assert ended.counters["invoices"]["created"] == 120


async def test_a_parent_that_many_children_lack_is_asked_for_once(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    children = truth_values(server, EntityType.SUBSCRIPTIONS)
    named = [line["price"] for values in children for line in values["items"]]
    assert len(set(named)) < len(named)

    await sync(database, workspace_id, server.url, support.config(EntityType.SUBSCRIPTIONS))

    assert server.world.statistics.requests["GET /v1/prices/:id"] == len(set(named))


@pytest.mark.parametrize("wanted", EMBEDDING.values(), ids=EMBEDDING)
async def test_customers_come_inside_the_lists_of_what_names_them(
    database: Database, workspace_id: UUID, server: SandboxServer, wanted: dict[str, Any]
) -> None:
    account = server.world.account()
    entities, start = wanted["entities"], 0
    if wanted["later"]:
        seconds = sorted(raw["created"] for raw in account.truth_objects("invoices"))
        start = seconds[len(seconds) // 2]
    for child in list(account.truth_objects("subscriptions"))[:3]:
        account.mutate({"op": "delete", "type": "customers", "id": child["customer"]}, now=server.world.now())

    ended = await sync(database, workspace_id, server.url, support.config(*entities, start=start))

    assert ended.status is SessionStatus.COMPLETED
    assert server.world.statistics.requests["GET /v1/customers/:id"] == 0
    raws = await support.rows(database, workspace_id, "SELECT payment_raw->'customer' AS one FROM invoices")
    assert raws
    assert {type(row["one"]) for row in raws} <= {str, type(None)}
    if not start:
        await truth.assert_equal_to(database, workspace_id, account, entities=entities)


async def test_a_key_that_may_not_read_customers_reads_what_names_them(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    await sync(database, workspace_id, server.url, support.config(EntityType.CUSTOMERS))

    wanted = support.config(EntityType.INVOICES)
    ended = await sync(database, workspace_id, server.url, wanted, key="rk_test_engine_no_customers")

    invoices = [raw for raw in server.world.account().truth_objects("invoices") if not raw.get("deleted")]
    known = await support.stored_ids(database, workspace_id, EntityType.CUSTOMERS)
    orphans = [raw["id"] for raw in invoices if raw["customer"] not in known]
    assert ended.counters["invoices"]["fetched"] == len(invoices)
    assert ended.counters["invoices"]["failed"] == len(orphans) < len(invoices)


async def test_a_date_range_takes_its_seconds_and_no_other(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    account = server.world.account()
    seconds = sorted(raw["created"] for raw in account.truth_objects("customers"))
    start, end = seconds[60], seconds[170]

    wanted = support.config(EntityType.CUSTOMERS, start=start, end=end)
    ended = await sync(database, workspace_id, server.url, wanted)

    inside = {raw["id"] for raw in account.truth_objects("customers") if start <= raw["created"] < end}
    assert ended.status is SessionStatus.COMPLETED
    assert await support.stored_ids(database, workspace_id, EntityType.CUSTOMERS) == inside
    assert 0 < len(inside) < len(seconds)


async def test_every_item_of_a_subscription_is_a_row(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    await sync(database, workspace_id, server.url, support.config())

    found = await support.rows(
        database,
        workspace_id,
        "SELECT s.external_id, i.position, i.external_id AS item, p.external_id AS price, i.quantity FROM subscription_items i"
        " JOIN subscriptions s ON s.id = i.subscription_id LEFT JOIN prices p ON p.id = i.price_id",
    )
    expected: set[tuple[Any, ...]] = set()
    for external_id, record in truth.truth_of(server.world.account())[EntityType.SUBSCRIPTIONS].items():
        lines: Any = (record.values or {})["items"]
        expected |= {
            (external_id, place, line["id"], line["price"], line["quantity"]) for place, line in enumerate(lines)
        }
    assert {tuple(row.values()) for row in found} == expected
    assert max(row["position"] for row in found) >= 10


async def test_deleted_parents_become_tombstones(database: Database, workspace_id: UUID, server: SandboxServer) -> None:
    account = server.world.account()
    child = next(iter(account.truth_objects("subscriptions")))
    account.mutate({"op": "delete", "type": "customers", "id": child["customer"]}, now=server.world.now())

    ended = await sync(database, workspace_id, server.url, support.config())

    assert ended.status is SessionStatus.COMPLETED
    records = (await truth.stored(database, workspace_id))[EntityType.CUSTOMERS]
    assert records[child["customer"]].values is None
    await truth.assert_equal_to(database, workspace_id, account)


async def test_the_next_sync_adds_what_was_created_since_and_touches_nothing_else(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    first = await sync(database, workspace_id, server.url, support.config())
    before = await versions(database, workspace_id)
    assert first.status is SessionStatus.COMPLETED
    server.world.skew_seconds = 60
    made = server.world.account().mutate(
        {"op": "create", "type": "customers", "fields": {"name": "Late"}}, now=server.world.now() - 30
    )

    ended = await sync(database, workspace_id, server.url, support.config())

    assert ended.counters["customers"]["created"] == 1
    after = await versions(database, workspace_id)
    assert [row for row in after["customers"] if row in before["customers"]] == before["customers"]
    assert made["id"] in await support.stored_ids(database, workspace_id, EntityType.CUSTOMERS)
