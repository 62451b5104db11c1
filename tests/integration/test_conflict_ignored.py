"""A field that is ignored: real runs leave it alone under every strategy, until it is taken back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from sync_core.domain.conflict_rules import Rule
from sync_core.domain.merge import Strategies
from sync_core.domain.resolution import Taken
from sync_core.domain.vocabulary import Choice, EntityType, Ignoring, Role, Strategy
from sync_core.errors import Refusal
from sync_core.sandbox.account import Account
from sync_core.sandbox.server import SandboxServer
from sync_core.services import conflict_ignored as ignored
from sync_core.services import conflict_ignoring, conflict_undo, conflicts, conflicts_bulk
from sync_core.services.actor import Actor
from sync_core.services.conflict_bulk_views import BulkPreview, BulkResult
from sync_core.services.conflict_ignored import Done
from sync_core.services.conflict_views import ConflictPage, ConflictView, Resolved, Undone
from sync_core.services.conflicts import ConflictQuery
from sync_core.store.database import Database
from tests.conflict_data import make_conflicts, person
from tests.conftest import make_workspace
from tests.support import config, rows, sync

THEN = 1_700_000_000
CUSTOMERS, NAME = EntityType.CUSTOMERS, "customers.name"


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    account = Account("ignored", {}, verbatim=True)
    account.create("customers", {"id": "cus_ada", "name": "Ada", "phone": "1"}, now=THEN)
    async with SandboxServer(account) as running:
        yield running


async def both_change(database: Database, workspace_id: UUID, server: SandboxServer, **theirs: Any) -> None:
    await rows(database, workspace_id, "UPDATE customers SET name = 'Ours' RETURNING id")
    server.world.account().update("customers", "cus_ada", theirs, now=server.world.now())


async def the_record(database: Database, workspace_id: UUID) -> tuple[Any, ...]:
    (found,) = await rows(
        database,
        workspace_id,
        "SELECT name, phone, payment_base->>'name' AS base, (SELECT count(*) FROM payment_sync_conflicts) AS conflicts FROM customers",
    )
    return found["name"], found["phone"], found["base"], found["conflicts"]


@pytest.mark.parametrize("strategy", [Strategy.FLAG, Strategy.OVERWRITE], ids=lambda one: one.value)
async def test_ours_stays_and_is_not_asked_about(
    database: Database, workspace_id: UUID, server: SandboxServer, strategy: Strategy
) -> None:
    wanted = config(CUSTOMERS, strategies=Strategies(strategy, by_field={(CUSTOMERS, "name"): strategy}))
    await sync(database, workspace_id, server.url, wanted)
    await both_change(database, workspace_id, server, name="Theirs", phone="2")
    assert await ignored.ignore(database, person(workspace_id), NAME) == Done(added=True)
    for _ in range(2):
        await sync(database, workspace_id, server.url, wanted)
        assert await the_record(database, workspace_id) == ("Ours", "2", "Ada", 0)


HOWS = ["ignored by the run", "ignored since", "in this record", "skipped by the field's strategy"]


@pytest.mark.parametrize("by", ["a person", "a rule", "the whole side"])
@pytest.mark.parametrize("how", HOWS)
async def test_a_decision_about_another_field_leaves_it_alone(
    database: Database, workspace_id: UUID, server: SandboxServer, how: str, by: str
) -> None:
    """Stripe alone changed the phone: it would merge by itself, if syncs did not leave it alone."""
    ann, phone = person(workspace_id), "customers.phone"
    skips = {(CUSTOMERS, "phone"): Strategy.SKIP} if how == HOWS[3] else {}
    wanted = config(CUSTOMERS, strategies=Strategies(Strategy.FLAG, by_field=skips))
    await sync(database, workspace_id, server.url, wanted)
    if how == HOWS[0]:
        await ignored.ignore(database, ann, phone)
    await both_change(database, workspace_id, server, name="Theirs", phone="2")
    await sync(database, workspace_id, server.url, wanted)
    (conflict,) = await rows(database, workspace_id, "SELECT id, fields FROM payment_sync_conflicts")
    assert conflict["fields"] == ["name"]
    if how in HOWS[1:3]:
        await ignored.ignore(database, ann, phone, conflict_id=conflict["id"] if how == HOWS[2] else None)
    await _decide_name(database, ann, conflict["id"], by)
    skipped_by_all = how == HOWS[3] and by == "the whole side"
    phones = [tuple(row.values()) for row in await rows(database, workspace_id, _PHONES)]
    assert phones == [("Theirs", "2", "2") if skipped_by_all else ("Theirs", "1", "1")]
    await sync(database, workspace_id, server.url, wanted)
    assert [tuple(row.values()) for row in await rows(database, workspace_id, _PHONES)] == phones


_PHONES = "SELECT name, phone, payment_base->>'phone' AS base FROM customers"


async def _decide_name(database: Database, ann: Actor, conflict_id: UUID, by: str) -> None:
    if by == "a rule":
        only, rule = ConflictQuery(ids=(conflict_id,)), Rule(fields={"name": Choice.STRIPE})
        seen = await conflicts_bulk.bulk_preview(database, ann, only, rule)
        assert isinstance(seen, BulkPreview)
        assert [change.name for change in seen.samples[0].changes] == ["name"]
        assert isinstance(await conflicts_bulk.bulk_resolve(database, ann, seen.id, seen.hash), BulkResult)
        return
    view = await conflicts.get(database, ann, conflict_id)
    assert isinstance(view, ConflictView)
    assert [(one.name, one.left, one.result) for one in view.fields] == [("name", False, None), ("phone", True, "1")]
    how: dict[str, Any] = (
        {"choices": {"name": Taken(Choice.STRIPE)}} if by == "a person" else {"take_all": Choice.STRIPE}
    )
    assert isinstance(await conflicts.resolve(database, ann, conflict_id, **how), Resolved)


async def test_taken_back_it_is_asked_about_again(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    ann, flagged = person(workspace_id), config(CUSTOMERS)
    await sync(database, workspace_id, server.url, flagged)
    await both_change(database, workspace_id, server, name="Theirs")
    await ignored.ignore(database, ann, NAME)
    await sync(database, workspace_id, server.url, flagged)
    assert await the_record(database, workspace_id) == ("Ours", "1", "Ada", 0)
    assert await ignored.heed(database, ann, NAME) is None
    await sync(database, workspace_id, server.url, flagged)
    assert await the_record(database, workspace_id) == ("Ours", "1", "Ada", 1)


async def test_a_plan_made_before_is_applied_without_it(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    """Also of a record that has drifted since."""
    overwrite = config(CUSTOMERS, strategy=Strategy.OVERWRITE)
    await sync(database, workspace_id, server.url, overwrite)
    await both_change(database, workspace_id, server, name="Theirs", phone="2")
    dry = config(CUSTOMERS, strategy=Strategy.OVERWRITE, dry_run=True)
    plan = await sync(database, workspace_id, server.url, dry)
    await ignored.ignore(database, person(workspace_id), NAME)
    await rows(database, workspace_id, "UPDATE customers SET description = 'touched' RETURNING id")
    await sync(database, workspace_id, server.url, overwrite, source_session_id=plan.session_id)
    name, _, base, _ = await the_record(database, workspace_id)
    assert (name, base) == ("Ours", "Ada")
    found = await rows(database, workspace_id, "SELECT fields FROM payment_sync_conflicts")
    assert all("name" not in row["fields"] for row in found)


async def test_a_new_record_gets_stripes_value(database: Database, workspace_id: UUID, server: SandboxServer) -> None:
    await ignored.ignore(database, person(workspace_id), NAME)
    await sync(database, workspace_id, server.url, config(CUSTOMERS))
    assert await the_record(database, workspace_id) == ("Ada", "1", "Ada", 0)


@pytest.fixture
async def five(database: Database, workspace_id: UUID) -> Actor:
    """Conflicts about a name: one about the phone too, one put off. Their people's own values, whatever becomes of the conflicts."""
    made = await make_conflicts(database, workspace_id, 5)
    for number, change in ((2, "fields = '{name,phone}'"), (3, "snoozed_until = now() + interval '1 day'")):
        await rows(
            database,
            workspace_id,
            f"UPDATE payment_sync_conflicts SET {change} WHERE external_id = 'cus_{number}' RETURNING id",
        )
    return made.actor


_RECORDS = "SELECT external_id, name, phone, payment_base FROM customers ORDER BY external_id"
_STANDS = "SELECT c.external_id, c.status, c.choices, t.payment_sync_status AS record FROM payment_sync_conflicts c JOIN customers t ON t.id = c.record_id"


async def stands(database: Database, actor: Actor) -> dict[str, tuple[str, str]]:
    found = await rows(database, actor.workspace_id, _STANDS)
    return {row["external_id"]: (row["status"], row["record"]) for row in found}


async def test_what_is_open_about_it_alone_is_settled_and_taken_back(database: Database, five: Actor) -> None:
    before = await rows(database, five.workspace_id, _RECORDS)
    seen = await ignored.foresee(database, five, NAME)
    assert isinstance(seen, BulkPreview)
    assert (seen.rows, [one.rows for one in seen.not_covered]) == (4, [1])
    assert [one.changes for one in seen.samples] == [()] * 4
    done = await ignored.ignore(database, five, NAME, preview=(seen.id, seen.hash))
    assert isinstance(done, Done)
    assert done.settled is not None
    assert (done.added, done.settled.resolved) == (True, 4)
    still, settled = ("open", "conflict"), ("resolved", "local_edit")
    assert await stands(database, five) == {f"cus_{n}": still if n == 2 else settled for n in range(1, 6)}
    assert await rows(database, five.workspace_id, _RECORDS) == before
    undone = await conflict_undo.undo_batch(database, five, seen.id)
    assert isinstance(undone, Undone)
    assert (undone.done, await stands(database, five)) == (4, {f"cus_{n}": still for n in range(1, 6)})
    assert await rows(database, five.workspace_id, _RECORDS) == before
    # Taken back, what was ignored is a choice like another: it settles for good.
    page = await conflicts.list_conflicts(database, five, ConflictQuery(search="cus_1"))
    assert isinstance(page, ConflictPage)
    again = await conflicts.resolve(database, five, page.rows[0].id)
    assert isinstance(again, Resolved)
    assert again.view.decisions[0].choices["name"] == Taken(Choice.LOCAL)


async def test_with_others_decided_by_one_rule(database: Database, five: Actor) -> None:
    """Name ignored in these records, the rest as Stripe has it: what is noted goes with what is settled."""
    rule = Rule(Choice.STRIPE, {"name": Ignoring.RECORD})
    seen = await conflicts_bulk.bulk_preview(database, five, ConflictQuery(), rule)
    assert isinstance(seen, BulkPreview)
    await rows(
        database, five.workspace_id, "UPDATE customers SET name = 'Late' WHERE external_id = 'cus_1' RETURNING id"
    )
    done = await conflicts_bulk.bulk_resolve(database, five, seen.id, seen.hash)
    assert isinstance(done, BulkResult)
    assert (done.resolved, done.left_out_count) == (3, 1)
    listed = await ignored.listed(database, five)
    assert isinstance(listed, tuple)
    assert {(one.path, one.record) for one in listed} == {(NAME, f"Ours {n}") for n in (2, 4, 5)}
    found = await rows(database, five.workspace_id, _RECORDS)
    assert [(row["name"], row["phone"]) for row in found] == [
        ("Late", "+1 1"),
        ("Ours 2", None),
        ("Ours 3", "+1 3"),
        ("Ours 4", None),
        ("Ours 5", None),
    ]


async def test_in_one_record_alone(database: Database, workspace_id: UUID, server: SandboxServer) -> None:
    server.world.account().create("customers", {"id": "cus_bob", "name": "Bob"}, now=THEN)
    flagged = config(CUSTOMERS)
    await sync(database, workspace_id, server.url, flagged)
    await both_change(database, workspace_id, server, name="Theirs")
    server.world.account().update("customers", "cus_bob", {"name": "Theirs"}, now=server.world.now())
    await sync(database, workspace_id, server.url, flagged)
    of_ada = "SELECT id, record_id FROM payment_sync_conflicts WHERE external_id = 'cus_ada'"
    (conflict,) = await rows(database, workspace_id, of_ada)
    op = person(workspace_id, "Op", Role.OPERATOR)
    seen = await ignored.foresee(database, op, NAME, conflict["id"])
    assert isinstance(seen, BulkPreview)
    done = await ignored.ignore(database, op, NAME, conflict_id=conflict["id"], preview=(seen.id, seen.hash))
    assert isinstance(done, Done)
    assert (seen.rows, done.added) == (1, True)
    for _ in range(2):
        await sync(database, workspace_id, server.url, config(CUSTOMERS, strategy=Strategy.OVERWRITE))
        names = await rows(
            database, workspace_id, "SELECT name, payment_base->>'name' FROM customers ORDER BY external_id"
        )
        assert [tuple(row.values()) for row in names] == [("Ours", "Ada"), ("Theirs", "Theirs")]
    assert await ignored.heed(database, op, NAME, conflict["record_id"]) is None
    await sync(database, workspace_id, server.url, flagged)
    assert len(await rows(database, workspace_id, f"{of_ada} AND status = 'open'")) == 1


async def test_single_records_have_an_end(database: Database, five: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conflict_ignoring, "MOST_HERE", 2)
    rule = Rule(fields={"name": Ignoring.RECORD})
    refused = await conflicts_bulk.bulk_preview(database, five, ConflictQuery(), rule)
    assert isinstance(refused, Refusal)
    assert refused.code == "too_many"
    assert "2 times at most. 0 of them are taken, and this asks for 3 more." in refused.message
    assert await ignored.listed(database, five) == ()


async def test_listed_with_what_is_open_about_it(database: Database, workspace_id: UUID) -> None:
    await make_conflicts(database, workspace_id, 3)
    ann = person(workspace_id)
    assert [await ignored.ignore(database, ann, NAME) for _ in range(2)] == [Done(added=True), Done(added=False)]
    await ignored.ignore(database, ann, "invoices.amount_due", money=True)
    listed = await ignored.listed(database, ann)
    assert not isinstance(listed, Refusal)
    assert [(one.path, one.label, one.money, one.by, one.open) for one in listed] == [
        (NAME, "Customers: Name", False, "Ann", 3),
        ("invoices.amount_due", "Invoices: Amount due", True, "Ann", 0),
    ]
    (open_still,) = await rows(
        database, workspace_id, "SELECT count(*) FROM payment_sync_conflicts WHERE status = 'open'"
    )
    assert open_still["count"] == 3
    audited = await rows(database, workspace_id, "SELECT action, target FROM audit_log ORDER BY target")
    assert [(one["action"], one["target"]) for one in audited] == [
        ("conflict_field.ignored", NAME),
        ("conflict_field.ignored", "invoices.amount_due"),
    ]


REFUSED = {
    "no field": (Role.ADMIN, "customers.shoe", False, "field_unknown"),
    "no entity type": (Role.ADMIN, "coupons.name", False, "field_unknown"),
    "no path": (Role.ADMIN, "name", False, "field_unknown"),
    "one that is never compared": (Role.ADMIN, "invoices.invoice_pdf", False, "field_unknown"),
    "money by silence": (Role.ADMIN, "invoices.amount_due", False, "money"),
    "an operator": (Role.OPERATOR, NAME, False, "forbidden"),
    "a viewer": (Role.VIEWER, NAME, True, "forbidden"),
}


@pytest.mark.parametrize(("role", "path", "money", "code"), REFUSED.values(), ids=REFUSED)
async def test_refused(
    database: Database, workspace_id: UUID, role: Role, path: str, code: str, *, money: bool
) -> None:
    somebody = person(workspace_id, "Op", role)
    done = await ignored.ignore(database, somebody, path, money=money)
    assert isinstance(done, Refusal)
    assert done.code == code
    if code not in ("money", "field_unknown"):
        rule = Rule(fields={"name": Ignoring.FIELD})
        seen = await conflicts_bulk.bulk_preview(database, somebody, ConflictQuery(), rule)
        assert isinstance(seen, Refusal)
        assert seen.code == code
    assert await ignored.listed(database, person(workspace_id)) == ()


async def test_another_workspace_ignores_nothing_of_it(database: Database, workspace_id: UUID) -> None:
    other = person(await make_workspace(database, "Other"))
    await ignored.ignore(database, person(workspace_id), NAME)
    assert await ignored.listed(database, other) == ()
    taken = await ignored.heed(database, other, NAME)
    assert isinstance(taken, Refusal)
    assert taken.status == 404
