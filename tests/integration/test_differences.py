"""Two runs beside each other, row by row: a plan and what came of it, two plans, and what is in one only."""

from __future__ import annotations

import csv
import io
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from sqlalchemy import text

from sync_core.domain.vocabulary import Action, EntityType, Strategy
from sync_core.errors import Refusal
from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint, Sizes
from sync_core.sandbox.server import SandboxServer
from sync_core.services import differences, differences_export
from sync_core.services.difference_views import Difference, Differences
from sync_core.services.differences import DifferencePage
from sync_core.services.report_export import Export, Format
from sync_core.store import plan_differences as store
from sync_core.store.database import Database
from sync_core.store.plan_differences import Kind
from tests.conftest import make_workspace
from tests.retrying import forbid
from tests.services import actor_of
from tests.support import config, make_connection, rows, sync

CUSTOMERS, PRODUCTS, PRICES = EntityType.CUSTOMERS, EntityType.PRODUCTS, EntityType.PRICES
WANTED = (CUSTOMERS, PRODUCTS, PRICES)


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    async with SandboxServer(Account.generated(Blueprint("differences", Sizes(12, 3, 6, 1, 1)))) as running:
        yield running


@pytest.fixture(autouse=True)
def no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """One call compares all that there is, however slow the machine."""
    monkeypatch.setattr(differences, "BUDGET_SECONDS", 60.0)


async def counted(database: Database, workspace_id: UUID, one: UUID, other: UUID) -> Differences:
    found = await differences.count(database, actor_of(workspace_id), one, other, seconds=60.0)
    assert isinstance(found, Differences)
    assert found.is_whole
    return found


async def listed(
    database: Database, workspace_id: UUID, one: UUID, other: UUID, only: Kind | None = None
) -> list[Difference]:
    """Page by page, so that paging is tried as well."""
    found, cursor = list[Difference](), None
    while True:
        page = await differences.page(database, actor_of(workspace_id), one, other, cursor=cursor, limit=2, only=only)
        assert isinstance(page, DifferencePage)
        assert len(page.rows) <= 2
        found += page.rows
        if page.cursor is None:
            return found
        cursor = page.cursor


async def execute(database: Database, workspace_id: UUID, sql: str, **bound: object) -> None:
    async with database.workspace(workspace_id) as session:
        await session.execute(text(sql), bound)


async def test_what_came_out_otherwise_than_planned_is_named_with_its_reason(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    """One was edited here meanwhile, one product is refused, and with it its prices have no parent. All else is as planned."""
    await sync(database, workspace_id, server.url, config(CUSTOMERS))
    names = [
        one["external_id"] for one in await rows(database, workspace_id, "SELECT external_id FROM customers ORDER BY 1")
    ]
    before = "UPDATE customers SET name = 'Before', payment_base = jsonb_set(payment_base, '{name}', '\"Before\"') WHERE external_id = ANY(:ids)"
    await execute(database, workspace_id, before, ids=names[:4])
    dry = await sync(database, workspace_id, server.url, config(*WANTED, strategy=Strategy.OVERWRITE, dry_run=True))
    await execute(database, workspace_id, "UPDATE customers SET name = '=Mine' WHERE external_id = :id", id=names[0])
    refused = min(server.world.account().truth("products"))
    orphans = sorted(one["id"] for one in server.world.account().truth_objects("prices") if one["product"] == refused)
    await forbid(database, refused, table="products")
    wanted = config(*WANTED, strategy=Strategy.OVERWRITE)
    applied = await sync(database, workspace_id, server.url, wanted, source_session_id=dry.session_id)

    # Whichever is named first: the plan is the earlier one.
    found = await counted(database, workspace_id, applied.session_id, dry.session_id)
    shown = {one.external_id: one for one in await listed(database, workspace_id, dry.session_id, applied.session_id)}
    narrow = Kind(PRODUCTS, Action.CREATE, Action.ERROR)
    only = await listed(database, workspace_id, dry.session_id, applied.session_id, narrow)
    file = await differences_export.export(
        database, actor_of(workspace_id), dry.session_id, applied.session_id, Format.CSV
    )

    assert orphans
    assert found.counts == {
        Kind(CUSTOMERS, Action.UPDATE, Action.CONFLICT): 1,
        narrow: 1,
        Kind(PRICES, Action.CREATE, Action.ERROR): len(orphans),
    }
    assert found.sentence == f"{2 + len(orphans)} of {found.looked} rows came out otherwise than planned."
    assert sorted(shown) == sorted([names[0], refused, *orphans])
    assert [one.external_id for one in only] == [refused]
    drifted = shown[names[0]]
    assert drifted.why.startswith("Changed here since the plan was made")
    assert [(one.side, one.earlier, one.later) for one in drifted.changes] == [("ours", "Before", "=Mine")]
    lost = shown[refused].later
    assert lost is not None
    assert "refused" in lost.message
    assert isinstance(file, Export)
    lines = list(csv.DictReader(io.StringIO(b"".join([chunk async for chunk in file.chunks]).decode())))
    assert sorted({line["external_id"] for line in lines}) == sorted(shown)
    assert next(line for line in lines if line["external_id"] == names[0])["later"] == "'=Mine"


async def test_two_plans_differ_in_what_stripe_has_changed_between_them(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    """Both would create it, so that no change of either tells: Stripe's values do."""
    wanted = config(CUSTOMERS, dry_run=True)
    first = await sync(database, workspace_id, server.url, wanted)
    changed = min(server.world.account().truth("customers"))
    server.world.account().update("customers", changed, {"name": "Newer"}, now=server.world.now())
    second = await sync(database, workspace_id, server.url, wanted)

    (row,) = await listed(database, workspace_id, first.session_id, second.session_id)
    assert (row.external_id, row.why) == (changed, "Changed in Stripe between the two.")
    assert [(one.side, one.change.field, one.later) for one in row.changes] == [("stripe", "name", "Newer")]
    assert row.earlier == row.later

    async with database.workspace(workspace_id) as session:
        await session.execute(
            text("DELETE FROM payment_sync_staged_objects WHERE session_id = :s"), {"s": first.session_id}
        )
    assert await listed(database, workspace_id, first.session_id, second.session_id) == [], (
        "what is forgotten is nothing to tell"
    )


_RUN = text(
    "INSERT INTO payment_sync_sessions (workspace_id, entity_types, connection_id, config, status, dry_run, source_session_id)"
    " VALUES (:w, '{customers,prices}', :connection, CAST(:config AS jsonb), 'completed', :dry, :plan) RETURNING id"
)
_ITEM = text(
    "INSERT INTO payment_sync_plan_items (workspace_id, session_id, entity_type, external_id, seq, action, reason_code, detail)"
    " VALUES (:w, :s, :entity, :id, :seq, :action, :reason, CAST(:detail AS jsonb))"
)
Item = tuple[str, str | None, str | None]


async def made(
    database: Database, workspace_id: UUID, items: dict[tuple[str, str], Item], plan: UUID | None = None
) -> UUID:
    connection = await make_connection(database, workspace_id)
    wanted = orjson.dumps(config(CUSTOMERS, PRICES, dry_run=plan is None).to_json()).decode()
    bound = {"w": workspace_id, "connection": connection, "config": wanted, "dry": plan is None, "plan": plan}
    async with database.workspace(workspace_id) as session:
        run: UUID = (await session.execute(_RUN, bound)).scalar_one()
        planned = [
            {
                "w": workspace_id,
                "s": run,
                "entity": entity,
                "id": external_id,
                "seq": seq,
                "action": action,
                "reason": reason,
                "detail": detail,
            }
            for seq, ((entity, external_id), (action, reason, detail)) in enumerate(items.items(), 1)
        ]
        if planned:
            await session.execute(_ITEM, planned)
    return run


def random_item(chance: random.Random) -> Item:
    action = chance.choice(list(Action))
    reason = "missing_parent" if action is Action.ERROR else chance.choice([None, "strategy_skip"])
    detail = chance.choice([None, '{"changes": {"name": ["a", "b"]}}', '{"changes": {"name": ["a", "c"]}}'])
    return action.value, reason, detail


@pytest.mark.parametrize("step", [2, 5, 10_000])
@pytest.mark.parametrize("seed", [1, 2])
async def test_every_difference_is_found_wherever_the_steps_end(
    database: Database, workspace_id: UUID, monkeypatch: pytest.MonkeyPatch, *, seed: int, step: int
) -> None:
    """Beside a comparison of all rows at once; ids are in one run or both, of one entity type or two, and sort as bytes."""
    chance = random.Random(seed)
    ids = [f"{chance.choice(['cus_', 'Cus_', 'é-', 'price 1-'])}{n}" for n in range(40)]
    keys = [(chance.choice(["customers", "prices"]), one) for one in ids]
    earlier = {key: random_item(chance) for key in chance.sample(keys, 30)}
    later = {
        key: earlier.get(key, random_item(chance)) if chance.random() < 0.6 else random_item(chance)
        for key in chance.sample(keys, 30)
    }
    plan = await made(database, workspace_id, earlier)
    run = await made(database, workspace_id, later, plan)
    await made(database, workspace_id, {key: random_item(chance) for key in keys})
    expected = {key: (earlier.get(key), later.get(key)) for key in keys if earlier.get(key) != later.get(key)}
    monkeypatch.setattr(store, "STEP", step)

    found = await listed(database, workspace_id, plan, run)
    whole = await counted(database, workspace_id, plan, run)

    assert [(one.entity.value, one.external_id) for one in found] == sorted(
        expected, key=lambda key: (key[1].encode(), key[0])
    )
    assert whole.looked == len({*earlier, *later})
    assert whole.counts == Counter(
        Kind(EntityType(entity), _action(one), _action(other)) for (entity, _), (one, other) in expected.items()
    )
    for kind in whole.counts:
        assert len(await listed(database, workspace_id, plan, run, kind)) == whole.counts[kind]
    exported = await differences_export.export(database, actor_of(workspace_id), plan, run, Format.NDJSON)
    assert isinstance(exported, Export)
    documents = b"".join([chunk async for chunk in exported.chunks]).splitlines()
    assert [orjson.loads(line)["external_id"] for line in documents] == [one.external_id for one in found]


def _action(item: Item | None) -> Action | None:
    return None if item is None else Action(item[0])


async def test_what_is_compared_is_ones_own_and_was_done(database: Database, workspace_id: UUID) -> None:
    mine = await made(database, workspace_id, {})
    applied = await made(database, workspace_id, {}, mine)
    other = await make_workspace(database, "Other")
    theirs = await made(database, other, {("customers", "cus_1"): ("create", None, None)})
    actor = actor_of(workspace_id)

    refused: dict[str, Any] = {
        "session_not_found": await differences.count(database, actor, mine, theirs),
        "same_session": await differences.page(database, actor, mine, mine),
        "cursor_invalid": await differences.page(database, actor, mine, applied, cursor="customers-\0"),
        "kind_invalid": differences.kind_of("customers", "create", None),
        "other_required": await differences.plan_of(database, actor, mine),
    }
    assert {one.code if isinstance(one, Refusal) else one for one in refused.values()} == {*refused}
    assert isinstance(await differences.plan_of(database, actor, uuid4()), Refusal)
    # Of a plan's first few, those alone are compared: what is still to come has not come out otherwise.
    few: dict[tuple[str, str], Item] = {("customers", f"cus_{n}"): ("create", None, None) for n in range(5)}
    lost: dict[tuple[str, str], Item] = {("customers", "cus_3"): ("error", "write_failed", None)}
    whole = await made(database, workspace_id, few)
    canary = await made(database, workspace_id, dict(list(few.items())[:1]) | lost, whole)
    limited = "UPDATE payment_sync_sessions SET config = jsonb_set(config, '{limit}', '2') WHERE id = :id"
    await execute(database, workspace_id, limited, id=canary)
    found = await counted(database, workspace_id, whole, canary)
    assert (found.looked, found.counts) == (2, {Kind(CUSTOMERS, Action.CREATE, Action.ERROR): 1})
    assert await differences.plan_of(database, actor, applied) == mine
    assert (await counted(database, workspace_id, mine, applied)).sentence == "Neither of them has rows."
