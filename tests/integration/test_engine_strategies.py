"""The strategy table, email matching, drift and conflicts on a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from sync_core.domain.merge import Strategies
from sync_core.domain.vocabulary import Choice, EntityType, SessionStatus, Strategy
from sync_core.engine import planner
from sync_core.sandbox.account import Account
from sync_core.sandbox.server import SandboxServer
from sync_core.services import conflicts as services
from sync_core.store.database import Database
from tests import support, truth
from tests.conflict_data import person
from tests.support import sync
from tests.unit import _stripe_objects as make

THEN = 1_700_000_000


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    account = Account("strategies", {}, verbatim=True)
    account.create("customers", {"id": "cus_ada", "name": "Ada", "email": "ada@example.com"}, now=THEN)
    async with SandboxServer(account) as running:
        yield running


def customers(**more: Any) -> Any:
    return support.config(EntityType.CUSTOMERS, match_by_email=more.pop("match_by_email", True), **more)


async def change(database: Database, workspace_id: UUID, sql: str) -> None:
    async with database.workspace(workspace_id) as session:
        assert (await session.execute(text(sql))).rowcount == 1  # type: ignore[attr-defined]  # an UPDATE's result has it


async def theirs_changes(server: SandboxServer) -> None:
    server.world.account().update("customers", "cus_ada", {"name": "Ada of Stripe"}, now=server.world.now())


async def the_record(database: Database, workspace_id: UUID) -> dict[str, Any]:
    found = await support.rows(
        database,
        workspace_id,
        "SELECT id, name, email, external_id, payment_sync_status AS status, payment_base->>'name' AS base, row_version,"
        " deleted_at IS NOT NULL AS deleted FROM customers",
    )
    assert len(found) == 1
    return found[0]


async def conflicts(database: Database, workspace_id: UUID) -> list[dict[str, Any]]:
    return await support.rows(
        database,
        workspace_id,
        "SELECT reason_code, status, revision, fields, theirs->>'name' AS theirs, local->>'name' AS local, record_version"
        " FROM payment_sync_conflicts ORDER BY created_at",
    )


OURS = "UPDATE customers SET name = 'Ada of ours'"
GONE = "UPDATE customers SET deleted_at = now()"
NO_BASE = "UPDATE customers SET payment_base = NULL, name = 'Ada of ours'"

# situation: (what we do, whether Stripe changes) → (counter, name, status, deleted, reason of a conflict) by strategy
TABLE: list[tuple[str, str | None, bool, dict[Strategy, tuple[str, str, str, bool, str | None]]]] = [
    (
        "only-stripe-changed",
        None,
        True,
        {
            Strategy.SKIP: ("skipped", "Ada", "synced", False, None),
            Strategy.OVERWRITE: ("updated", "Ada of Stripe", "synced", False, None),
            Strategy.FLAG: ("updated", "Ada of Stripe", "synced", False, None),
        },
    ),
    (
        "only-we-changed",
        OURS,
        False,
        {
            Strategy.SKIP: ("skipped", "Ada of ours", "synced", False, None),
            Strategy.OVERWRITE: ("updated", "Ada", "synced", False, None),
            Strategy.FLAG: ("skipped", "Ada of ours", "local_edit", False, None),
        },
    ),
    (
        "both-changed",
        OURS,
        True,
        {
            Strategy.SKIP: ("skipped", "Ada of ours", "synced", False, None),
            Strategy.OVERWRITE: ("updated", "Ada of Stripe", "synced", False, None),
            Strategy.FLAG: ("conflicts", "Ada of ours", "conflict", False, "both_changed"),
        },
    ),
    (
        "base-unknown",
        NO_BASE,
        True,
        {
            Strategy.SKIP: ("skipped", "Ada of ours", "synced", False, None),
            Strategy.OVERWRITE: ("updated", "Ada of Stripe", "synced", False, None),
            Strategy.FLAG: ("conflicts", "Ada of ours", "conflict", False, "no_base"),
        },
    ),
    (
        "deleted-here",
        GONE,
        True,
        {
            Strategy.SKIP: ("skipped", "Ada", "synced", True, None),
            Strategy.OVERWRITE: ("updated", "Ada of Stripe", "synced", False, None),
            Strategy.FLAG: ("conflicts", "Ada", "conflict", True, "deleted_here"),
        },
    ),
]
CELLS = [
    pytest.param(ours, theirs, strategy, *cell, id=f"{name}-{strategy}")
    for name, ours, theirs, cells in TABLE
    for strategy, cell in cells.items()
]


@pytest.mark.parametrize(("ours", "theirs", "strategy", "counter", "name", "status", "deleted", "reason"), CELLS)
async def test_the_strategy_table(
    *,
    database: Database,
    workspace_id: UUID,
    server: SandboxServer,
    ours: str | None,
    theirs: bool,
    strategy: Strategy,
    counter: str,
    name: str,
    status: str,
    deleted: bool,
    reason: str | None,
) -> None:
    await sync(database, workspace_id, server.url, customers())
    if ours:
        await change(database, workspace_id, ours)
    if theirs:
        await theirs_changes(server)

    dry = await sync(database, workspace_id, server.url, customers(strategy=strategy, dry_run=True))
    ended = await sync(database, workspace_id, server.url, customers(strategy=strategy))

    assert ended.status is SessionStatus.COMPLETED
    for run in (dry, ended):
        counters = run.counters["customers"]
        assert {one: counters[one] for one in ("skipped", "updated", "conflicts", "created", "failed")} == {
            one: int(one == counter) for one in ("skipped", "updated", "conflicts", "created", "failed")
        }
    record = await the_record(database, workspace_id)
    assert (record["name"], record["status"], record["deleted"]) == (name, status, deleted)
    if counter == "updated":
        assert record["base"] == name
    assert [row["reason_code"] for row in await conflicts(database, workspace_id)] == ([reason] if reason else [])


async def test_a_conflict_is_opened_once_refreshed_when_stripe_moves_and_closed_by_agreement(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    await sync(database, workspace_id, server.url, customers())
    await change(database, workspace_id, OURS)
    await theirs_changes(server)
    await sync(database, workspace_id, server.url, customers())
    first = await conflicts(database, workspace_id)
    kept = await the_record(database, workspace_id)
    await sync(database, workspace_id, server.url, customers())
    assert await conflicts(database, workspace_id) == first
    assert await the_record(database, workspace_id) == kept
    assert first[0]["record_version"] == kept["row_version"]

    server.world.account().update("customers", "cus_ada", {"name": "Ada again"}, now=server.world.now())
    await sync(database, workspace_id, server.url, customers())
    second = await conflicts(database, workspace_id)
    assert [(row["status"], row["theirs"], row["revision"]) for row in second] == [
        ("open", "Ada again", first[0]["revision"] + 1)
    ]

    server.world.account().update("customers", "cus_ada", {"name": "Ada of ours"}, now=server.world.now())
    await sync(database, workspace_id, server.url, customers())
    assert [row["status"] for row in await conflicts(database, workspace_id)] == ["resolved"]
    assert (await the_record(database, workspace_id))["status"] == "synced"


async def test_what_both_sides_agree_on_is_where_the_next_change_starts(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    """Ours was edited, and Stripe's came to the same: if only Stripe changes then, there is nothing to ask."""
    await sync(database, workspace_id, server.url, customers())
    await change(database, workspace_id, "UPDATE customers SET name = 'Ada of Stripe'")
    await theirs_changes(server)
    agreed = await sync(database, workspace_id, server.url, customers())
    assert agreed.counters["customers"]["unchanged"] == 1
    server.world.account().update("customers", "cus_ada", {"name": "Ada again"}, now=server.world.now())

    await sync(database, workspace_id, server.url, customers())

    record = await the_record(database, workspace_id)
    assert (record["name"], record["base"], record["status"]) == ("Ada again", "Ada again", "synced")
    assert await conflicts(database, workspace_id) == []


async def test_the_narrowest_strategy_wins(database: Database, workspace_id: UUID, server: SandboxServer) -> None:
    await sync(database, workspace_id, server.url, customers())
    await change(database, workspace_id, "UPDATE customers SET name = 'Ada of ours', phone = '1'")
    server.world.account().update(
        "customers", "cus_ada", {"name": "Ada of Stripe", "phone": "2"}, now=server.world.now()
    )
    narrow = Strategies(
        Strategy.FLAG,
        {EntityType.CUSTOMERS: Strategy.SKIP},
        {(EntityType.CUSTOMERS, "phone"): Strategy.OVERWRITE},
    )

    ended = await sync(database, workspace_id, server.url, customers(strategies=narrow))

    found = await support.rows(database, workspace_id, "SELECT name, phone FROM customers")
    assert found == [{"name": "Ada of ours", "phone": "2"}]
    assert ended.counters["customers"]["updated"] == 1
    assert ended.status is SessionStatus.COMPLETED, "what is kept of ours is not held to Stripe's values"


OWN = "INSERT INTO customers (workspace_id, name, email) VALUES (:w, :name, :email)"


async def own_customer(database: Database, workspace_id: UUID, name: str, email: str) -> None:
    async with database.workspace(workspace_id) as session:
        await session.execute(text(OWN), {"w": workspace_id, "name": name, "email": email})


@pytest.mark.parametrize(
    ("strategy", "matched", "counter", "linked", "name"),
    [
        (Strategy.SKIP, True, "skipped", None, "Ada of ours"),
        (Strategy.OVERWRITE, True, "updated", "cus_ada", "Ada"),
        (Strategy.FLAG, True, "conflicts", None, "Ada of ours"),
    ],
)
async def test_a_match_by_email_alone(
    *,
    database: Database,
    workspace_id: UUID,
    server: SandboxServer,
    strategy: Strategy,
    matched: bool,
    counter: str,
    linked: str | None,
    name: str,
) -> None:
    await own_customer(database, workspace_id, "Ada of ours", "ADA@Example.com")

    ended = await sync(database, workspace_id, server.url, customers(strategy=strategy, match_by_email=matched))

    record = await the_record(database, workspace_id)
    assert ended.counters["customers"][counter] == 1
    assert (record["external_id"], record["name"]) == (linked, name)


@pytest.mark.parametrize(("own", "matched"), [(1, False), (2, True)], ids=["switched-off", "two-of-ours"])
async def test_no_match_by_email_makes_a_new_record(
    database: Database, workspace_id: UUID, server: SandboxServer, own: int, matched: bool
) -> None:
    for number in range(own):
        await own_customer(database, workspace_id, f"Own {number}", "ada@example.com")

    ended = await sync(
        database, workspace_id, server.url, customers(strategy=Strategy.OVERWRITE, match_by_email=matched)
    )

    assert ended.counters["customers"]["created"] == 1
    assert len(await support.rows(database, workspace_id, "SELECT id FROM customers")) == own + 1


@pytest.mark.parametrize("dry_run", [False, True], ids=["real", "dry"])
async def test_two_objects_never_claim_one_record(
    *, database: Database, workspace_id: UUID, server: SandboxServer, dry_run: bool
) -> None:
    server.world.account().create("customers", {"id": "cus_eva", "name": "Eva", "email": "ada@example.com"}, now=THEN)
    await own_customer(database, workspace_id, "Ada of ours", "ada@example.com")

    ended = await sync(database, workspace_id, server.url, customers(strategy=Strategy.OVERWRITE, dry_run=dry_run))

    counters = ended.counters["customers"]
    assert (counters["updated"], counters["created"]) == (1, 1)
    assert counters["verified"]["expected"] == 2, "who was linked must be there, too"
    linked = await support.stored_ids(database, workspace_id, EntityType.CUSTOMERS)
    assert linked == (set() if dry_run else {"cus_ada", "cus_eva"})


@pytest.mark.parametrize(
    ("narrow", "linked", "open_for"),
    [({}, None, {"cus_ada", "cus_eva"}), ({(EntityType.CUSTOMERS, "name"): Strategy.FLAG}, "cus_eva", {"cus_ada"})],
    ids=["both-flagged", "one-flagged-one-linked"],
)
async def test_two_objects_with_the_email_of_one_record_are_asked_about_each(
    *,
    database: Database,
    workspace_id: UUID,
    server: SandboxServer,
    narrow: dict[tuple[EntityType, str], Strategy],
    linked: str | None,
    open_for: set[str],
) -> None:
    """In one batch: the record is marked once, and who is linked to it closes nobody else's question."""
    server.world.account().create(
        "customers", {"id": "cus_eva", "name": "Eva", "email": "ada@example.com"}, now=THEN - 1
    )
    server.world.account().update("customers", "cus_eva", {"phone": None}, now=server.world.now())
    server.world.account().update("customers", "cus_ada", {"phone": None}, now=server.world.now())
    await own_customer(database, workspace_id, "Eva", "ada@example.com")
    strategies = Strategies(Strategy.OVERWRITE if narrow else Strategy.FLAG, {}, narrow)

    dry = await sync(database, workspace_id, server.url, customers(strategies=strategies, dry_run=True))
    ended = await sync(database, workspace_id, server.url, customers(strategies=strategies))

    assert ended.status is SessionStatus.COMPLETED
    for run in (dry, ended):
        assert (run.counters["customers"]["conflicts"], run.counters["customers"]["updated"]) == (
            len(open_for),
            int(bool(linked)),
        )
    assert (await the_record(database, workspace_id))["external_id"] == linked
    found = await support.rows(
        database, workspace_id, "SELECT external_id FROM payment_sync_conflicts WHERE status = 'open'"
    )
    assert {row["external_id"] for row in found} == open_for


async def test_two_batches_that_ask_about_one_record_do_not_wait_for_one_another(
    database: Database, workspace_id: UUID, server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second holds the record while the first, which it waits for, still creates another one: until PostgreSQL ended it."""
    monkeypatch.setattr(planner, "BATCH", 2)
    for place, email in enumerate(["ada", "ada", "new"]):
        fields = {"id": f"cus_{place}", "email": f"{email}@example.com"}
        server.world.account().create("customers", fields, now=THEN + 1 + place)
    await own_customer(database, workspace_id, "Ada of ours", "ada@example.com")
    dry = await sync(database, workspace_id, server.url, customers(dry_run=True))
    await support.on_insert(database, "customers", "PERFORM pg_sleep(0.3);")

    with capture_logs() as said:
        applied = await sync(database, workspace_id, server.url, customers(), source_session_id=dry.session_id)

    assert (applied.counters["customers"]["created"], applied.counters["customers"]["conflicts"]) == (1, 3)
    assert [one["error"] for one in said if one["event"] == "database.away"] == [], "no statement was ended"


async def test_the_lines_of_a_subscription_are_ours_where_its_items_are(database: Database, workspace_id: UUID) -> None:
    two = {"data": [make.item(id="si_1", quantity=2), make.item(id="si_2", quantity=3)], "has_more": False}
    account = Account.from_objects(
        {
            "customers": [make.customer()],
            "products": [make.product()],
            "prices": [make.price()],
            "subscriptions": [make.subscription(items=two)],
        }
    )
    lines = "SELECT string_agg(external_id || ' ' || quantity, ', ' ORDER BY position) AS lines FROM subscription_items"
    async with SandboxServer(account) as server:
        await sync(database, workspace_id, server.url, support.config())
        await change(
            database, workspace_id, "UPDATE subscriptions SET items = jsonb_set(items, '{1,quantity}', '77') - 0"
        )
        account.update("subscriptions", "sub_1", {"metadata": {"a": "b"}}, now=server.world.now())
        await sync(database, workspace_id, server.url, support.config())
        assert await support.rows(database, workspace_id, lines) == [{"lines": "si_2 77"}]

        await sync(database, workspace_id, server.url, support.config(strategy=Strategy.OVERWRITE))
        assert await support.rows(database, workspace_id, lines) == [{"lines": "si_1 2, si_2 3"}]


@pytest.mark.parametrize("asked", [False, True], ids=["overwritten", "decided"])
async def test_a_reference_that_stripe_empties_is_emptied(
    *, database: Database, workspace_id: UUID, asked: bool
) -> None:
    """And the next sync finds nothing to do."""
    of_it = {"type": "subscription_details", "subscription_details": {"subscription": "sub_1"}}
    made = {"customers": [make.customer()], "products": [make.product()], "prices": [make.price()]}
    account = Account.from_objects(
        {**made, "subscriptions": [make.subscription()], "invoices": [make.invoice(parent=of_it)]}
    )
    wanted = support.config(strategy=Strategy.FLAG if asked else Strategy.OVERWRITE)
    async with SandboxServer(account) as server:
        await sync(database, workspace_id, server.url, wanted)
        [raw] = account.truth_objects("invoices")
        account.update("invoices", raw["id"], {"parent": None}, now=server.world.now())
        if asked:
            await change(database, workspace_id, "UPDATE invoices SET payment_base = NULL")
        changed = await sync(database, workspace_id, server.url, wanted)
        if asked:
            [row] = await support.rows(database, workspace_id, "SELECT id FROM payment_sync_conflicts")
            await services.resolve(database, person(workspace_id), row["id"], take_all=Choice.STRIPE)
        again = await sync(database, workspace_id, server.url, wanted)

    assert changed.status is again.status is SessionStatus.COMPLETED
    assert again.counters["invoices"]["unchanged"] == 1
    await truth.assert_equal_to(database, workspace_id, account)


async def test_an_edit_since_the_dry_run_is_not_overwritten(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    await sync(database, workspace_id, server.url, customers())
    await theirs_changes(server)
    wanted = customers(strategy=Strategy.OVERWRITE)
    dry = await sync(database, workspace_id, server.url, customers(strategy=Strategy.OVERWRITE, dry_run=True))
    assert dry.counters["customers"]["updated"] == 1
    await change(database, workspace_id, OURS)

    applied = await sync(database, workspace_id, server.url, wanted, source_session_id=dry.session_id)

    record = await the_record(database, workspace_id)
    assert (record["name"], record["status"]) == ("Ada of ours", "conflict")
    assert applied.counters["customers"]["conflicts"] == 1
    assert [row["reason_code"] for row in await conflicts(database, workspace_id)] == ["both_changed"]


async def test_a_record_that_appeared_since_the_dry_run_is_not_overwritten(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    dry = await sync(database, workspace_id, server.url, customers(strategy=Strategy.OVERWRITE, dry_run=True))
    await sync(database, workspace_id, server.url, customers())
    await change(database, workspace_id, NO_BASE)

    await sync(
        database,
        workspace_id,
        server.url,
        customers(strategy=Strategy.OVERWRITE),
        source_session_id=dry.session_id,
    )

    assert (await the_record(database, workspace_id))["name"] == "Ada of ours"


async def test_a_canary_applies_the_first_of_a_plan(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    for number in range(9):
        server.world.account().create("customers", {"id": f"cus_{number}"}, now=THEN + number)
    dry = await sync(database, workspace_id, server.url, customers(dry_run=True))

    canary = await sync(database, workspace_id, server.url, customers(limit=3), source_session_id=dry.session_id)
    whole = await sync(database, workspace_id, server.url, customers(), source_session_id=dry.session_id)

    assert canary.counters["customers"]["created"] == 3
    assert (whole.counters["customers"]["created"], whole.counters["customers"]["unchanged"]) == (7, 3)
