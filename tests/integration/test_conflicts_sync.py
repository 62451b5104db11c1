"""Conflicts that real runs find, settled, and found settled by the next run: neither asked again nor undone by it.

Rules settle them at the end of a run in a process of its own, as the server starts it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import httpx
import pytest

from sync_core.domain.conflict_rules import Rule
from sync_core.domain.resolution import RECORD, Taken
from sync_core.domain.vocabulary import Choice, EntityType, ReasonCode, Snooze
from sync_core.errors import Refusal
from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint, Sizes
from sync_core.sandbox.server import SandboxServer
from sync_core.services import (
    conflict_handling,
    conflict_history,
    conflict_rules,
    conflict_undo,
    conflicts,
    record_cards,
    records,
)
from sync_core.services.conflict_views import ConflictRow, ConflictView, Resolved
from sync_core.services.conflicts import ConflictQuery
from sync_core.store.database import Database
from tests import child
from tests.conflict_data import miscounted, person
from tests.support import config, rows, sync

CUSTOMERS = config(EntityType.CUSTOMERS)

# As a person would leave them: renamed on both sides; deleted here; unlinked, with the same email.
DISTURBED = {
    ReasonCode.BOTH_CHANGED: "payment_base = payment_base || '{\"name\": \"Before\"}', name = 'Ours', payment_sync_status = 'local_edit'",
    ReasonCode.DELETED_HERE: "deleted_at = now()",
    ReasonCode.EMAIL_MATCH: "external_id = NULL, payment_provider = NULL, payment_account = NULL, payment_livemode = NULL,"
    " payment_base = NULL, payment_sync_status = 'pending', name = 'Ours'",
}


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    async with SandboxServer(Account.generated(Blueprint("conflicts", Sizes(20, 2, 2, 2, 2)))) as running:
        yield running


@pytest.fixture(autouse=True)
async def counted(database: Database, workspace_id: UUID) -> AsyncIterator[None]:
    """Whatever a run and people have done: what is kept of how many there are is right."""
    yield
    assert await miscounted(database, workspace_id) == []


async def disturbed(database: Database, workspace_id: UUID, server: SandboxServer, reason: ReasonCode) -> ConflictRow:
    """The one conflict that a run finds after one record was changed so."""
    await sync(database, workspace_id, server.url, CUSTOMERS)
    await rows(
        database,
        workspace_id,
        f"UPDATE customers SET {DISTURBED[reason]} WHERE id = (SELECT id FROM customers c WHERE email IS NOT NULL AND deleted_at IS NULL"
        " AND name IS NOT NULL AND NOT EXISTS (SELECT FROM customers o WHERE o.email_key = c.email_key AND o.id <> c.id)"
        " ORDER BY external_id LIMIT 1) RETURNING id",
    )
    await sync(database, workspace_id, server.url, CUSTOMERS)
    (found,) = await open_rows(database, workspace_id)
    assert found.reason is reason
    return found


async def open_rows(database: Database, workspace_id: UUID) -> tuple[ConflictRow, ...]:
    page = await conflicts.list_conflicts(database, person(workspace_id), ConflictQuery())
    assert not isinstance(page, Refusal)
    return page.rows


async def request_of(database: Database, workspace_id: UUID, row: ConflictRow) -> object:
    """The request that the conflict's page names."""
    view = await conflicts.get(database, person(workspace_id), row.id)
    assert not isinstance(view, Refusal)
    return view.to_json()["request_id"]


async def base_run_of(database: Database, workspace_id: UUID, row: ConflictRow) -> object:
    """The run in which both sides last agreed."""
    view = await conflicts.get(database, person(workspace_id), row.id)
    assert not isinstance(view, Refusal)
    return view.to_json()["base_run"]


async def asked_by(database: Database, workspace_id: UUID, row: ConflictRow) -> object:
    """The request that brought the object in the run that found the conflict."""
    sql = "SELECT request_id FROM payment_sync_staged_objects WHERE session_id = :run AND external_id = :object"
    (found,) = await rows(database, workspace_id, sql, run=row.session_id, object=row.external_id)
    assert str(found["request_id"]).startswith("req_")
    return found["request_id"]


async def customers(database: Database, workspace_id: UUID) -> list[dict[str, object]]:
    return await rows(
        database,
        workspace_id,
        "SELECT id, external_id, name, deleted_at IS NOT NULL AS deleted, payment_sync_status AS status, row_version FROM customers ORDER BY id",
    )


CASES = [(reason, take) for reason in DISTURBED for take in (Choice.LOCAL, Choice.STRIPE)]


@pytest.mark.parametrize(("reason", "take"), CASES, ids=[f"{reason}-{take}" for reason, take in CASES])
async def test_the_next_run_leaves_a_settled_record_alone(
    database: Database, workspace_id: UUID, server: SandboxServer, reason: ReasonCode, take: Choice
) -> None:
    row = await disturbed(database, workspace_id, server, reason)
    assert await request_of(database, workspace_id, row) == await asked_by(database, workspace_id, row)
    assert await base_run_of(database, workspace_id, row) == 1
    done = await conflicts.resolve(database, person(workspace_id), row.id, take_all=take)
    assert isinstance(done, Resolved)
    # Both sides have agreed since: of no run is that.
    assert await base_run_of(database, workspace_id, row) is None
    settled = await customers(database, workspace_id)
    await sync(database, workspace_id, server.url, CUSTOMERS)
    assert await open_rows(database, workspace_id) == ()
    assert await customers(database, workspace_id) == settled


async def test_the_same_customer_is_linked_and_keeps_our_name(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    row = await disturbed(database, workspace_id, server, ReasonCode.EMAIL_MATCH)
    choices = {RECORD: Taken(Choice.STRIPE), "name": Taken(Choice.LOCAL)}
    done = await conflicts.resolve(database, person(workspace_id), row.id, choices=choices)
    assert isinstance(done, Resolved)
    (linked,) = [one for one in await customers(database, workspace_id) if one["id"] == row.record_id]
    assert (linked["external_id"], linked["name"], linked["status"]) == (row.external_id, "Ours", "local_edit")


async def test_customers_kept_apart_are_two_and_undo_makes_them_one_again(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    row = await disturbed(database, workspace_id, server, ReasonCode.EMAIL_MATCH)
    before = await customers(database, workspace_id)
    choices = {RECORD: Taken(Choice.LOCAL)}
    done = await conflicts.resolve(database, person(workspace_id), row.id, choices=choices)
    assert isinstance(done, Resolved)
    after = {str(one["id"]): one for one in await customers(database, workspace_id)}
    assert len(after) == len(before) + 1
    assert after[str(row.record_id)]["external_id"] is None
    (made,) = [one for one in after.values() if one["external_id"] == row.external_id]
    assert made["status"] == "synced"
    raw = await rows(
        database, workspace_id, "SELECT payment_raw->>'id' AS id FROM customers WHERE id = :id", id=made["id"]
    )
    assert raw == [{"id": row.external_id}]

    back = await conflict_undo.undo(database, person(workspace_id), done.decision_id)
    assert isinstance(back, ConflictView)
    now = await customers(database, workspace_id)
    assert [{**one, "row_version": 0} for one in now] == [{**one, "row_version": 0} for one in before]


# Each points elsewhere before the decision, or to nothing, and both sides have changed that since the last sync.
REFERRING = {
    "to a product of our own": (
        "prices",
        "product",
        "(SELECT id FROM products WHERE name = 'Own')",
        "'prod_1'",
        Choice.STRIPE,
    ),
    "to nothing": ("invoices", "customer", "NULL", "'cus_1'", Choice.STRIPE),
    "to something, and to nothing at the last sync": (
        "invoices",
        "customer",
        "(SELECT c.id FROM customers c WHERE c.id <> t.customer_id AND c.deleted_at IS NULL LIMIT 1)",
        "NULL",
        Choice.BASE,
    ),
}
_OWN_PRODUCT = "INSERT INTO products (workspace_id, name, active, wallet_id) SELECT workspace_id, 'Own', true, wallet_id FROM products LIMIT 1 RETURNING id"


@pytest.mark.parametrize(("table", "field", "before", "base", "take"), REFERRING.values(), ids=REFERRING)
async def test_undo_brings_back_what_a_record_referred_to(
    database: Database,
    workspace_id: UUID,
    server: SandboxServer,
    table: str,
    field: str,
    before: str,
    base: str,
    take: Choice,
) -> None:
    await sync(database, workspace_id, server.url, config())
    await rows(database, workspace_id, _OWN_PRODUCT)
    points = f"SELECT {field}_id AS at, payment_sync_status AS status FROM {table} ORDER BY id"
    (changed,) = await rows(
        database,
        workspace_id,
        f"UPDATE {table} t SET {field}_id = {before}, payment_base = payment_base || jsonb_build_object('{field}', {base}) WHERE id ="
        f" (SELECT id FROM {table} WHERE {field}_id IS NOT NULL AND deleted_at IS NULL ORDER BY external_id LIMIT 1) RETURNING id",
    )
    await sync(database, workspace_id, server.url, config())
    at_first = await rows(database, workspace_id, points)
    actor, (row,) = person(workspace_id), await open_rows(database, workspace_id)
    done = await conflicts.resolve(database, actor, row.id, choices={field: Taken(take)})
    assert isinstance(done, Resolved)
    (decided,) = await rows(
        database, workspace_id, f"SELECT {field}_id AS at FROM {table} WHERE id = :id", id=changed["id"]
    )
    assert (decided["at"] is None) == (take is Choice.BASE)
    assert await rows(database, workspace_id, points) != at_first
    assert isinstance(await conflict_undo.undo(database, actor, done.decision_id), ConflictView)
    assert await rows(database, workspace_id, points) == at_first


async def test_a_record_made_for_stripes_customer_stays_once_it_is_used(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    row = await disturbed(database, workspace_id, server, ReasonCode.EMAIL_MATCH)
    done = await conflicts.resolve(database, person(workspace_id), row.id, choices={RECORD: Taken(Choice.LOCAL)})
    assert isinstance(done, Resolved)
    await rows(
        database,
        workspace_id,
        "INSERT INTO invoices (workspace_id, customer_id) SELECT workspace_id, id FROM customers WHERE external_id = :id RETURNING id",
        id=row.external_id,
    )
    refused = await conflict_undo.undo(database, person(workspace_id), done.decision_id)
    assert isinstance(refused, Refusal)
    assert refused.message == "The record made for Stripe's customer is in use."


async def test_a_conflict_found_again_after_undo_is_the_same_one(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    row = await disturbed(database, workspace_id, server, ReasonCode.BOTH_CHANGED)
    done = await conflicts.resolve(database, person(workspace_id), row.id, take_all=Choice.LOCAL)
    assert isinstance(done, Resolved)
    assert isinstance(await conflict_undo.undo(database, person(workspace_id), done.decision_id), ConflictView)
    await sync(database, workspace_id, server.url, CUSTOMERS)
    (again,) = await open_rows(database, workspace_id)
    assert again.id == row.id
    # The old choice is there, to be looked at again.
    assert again.answered == again.questions == 1


async def change_in_stripe(server: SandboxServer, external_id: str, **fields: object) -> None:
    async with httpx.AsyncClient() as http:
        body = [{"op": "update", "type": "customers", "id": external_id, "fields": fields}]
        (await http.post(f"{server.url}/_sandbox/mutations", json=body)).raise_for_status()


async def two_with_one_email(database: Database, workspace_id: UUID, server: SandboxServer) -> list[ConflictRow]:
    """Two customers of Stripe's with the email of one record that is not linked: two questions about it."""
    row = await disturbed(database, workspace_id, server, ReasonCode.EMAIL_MATCH)
    (other,) = await rows(
        database,
        workspace_id,
        "DELETE FROM customers WHERE id = (SELECT id FROM customers c WHERE external_id IS NOT NULL AND deleted_at IS NULL"
        " AND NOT EXISTS (SELECT FROM subscriptions s WHERE s.customer_id = c.id) AND NOT EXISTS (SELECT FROM invoices i WHERE i.customer_id = c.id)"
        " ORDER BY external_id LIMIT 1) RETURNING external_id",
    )
    (ours,) = await rows(database, workspace_id, "SELECT email FROM customers WHERE id = :id", id=row.record_id)
    await change_in_stripe(server, str(other["external_id"]), email=ours["email"])
    await sync(database, workspace_id, server.url, CUSTOMERS)
    found = sorted(await open_rows(database, workspace_id), key=lambda one: one.external_id != row.external_id)
    assert [(one.record_id, one.reason) for one in found] == [(row.record_id, ReasonCode.EMAIL_MATCH)] * 2
    return found


# The first question's answer, and what the record is called by then and once the second is settled as well.
ONE_AFTER_THE_OTHER = {
    "kept apart": ({RECORD: Taken(Choice.LOCAL)}, None, "pending"),
    "linked, Stripe's values": ({RECORD: Taken(Choice.STRIPE), "name": Taken(Choice.STRIPE)}, 0, "synced"),
    "linked, ours": ({RECORD: Taken(Choice.STRIPE), "name": Taken(Choice.LOCAL)}, 0, "local_edit"),
    "linked, another": ({RECORD: Taken(Choice.STRIPE), "name": Taken(Choice.CUSTOM, "Other")}, 0, "local_edit"),
}


@pytest.mark.parametrize(("choices", "linked", "status"), ONE_AFTER_THE_OTHER.values(), ids=ONE_AFTER_THE_OTHER)
async def test_a_record_is_a_conflict_until_each_customer_with_its_email_is_settled(
    database: Database,
    workspace_id: UUID,
    server: SandboxServer,
    choices: dict[str, Taken],
    linked: int | None,
    status: str,
) -> None:
    found = await two_with_one_email(database, workspace_id, server)
    actor, objects = person(workspace_id), [one.external_id for one in found]
    expected_link = None if linked is None else objects[linked]

    async def record() -> tuple[object, object, object]:
        (one,) = await rows(
            database,
            workspace_id,
            "SELECT external_id, payment_sync_status AS status, payment_raw->>'id' AS raw FROM customers WHERE id = :id",
            id=found[0].record_id,
        )
        return one["external_id"], one["status"], one["raw"] if one["external_id"] else None

    first = await conflicts.resolve(database, actor, found[0].id, choices=choices)
    assert isinstance(first, Resolved)
    assert await record() == (expected_link, "conflict", expected_link)
    shown = await records.read_record(database, actor, EntityType.CUSTOMERS, found[0].record_id)
    assert not isinstance(shown, Refusal)
    assert record_cards.card(shown, "UTC").conflict_href == f"/conflicts/{found[1].id}"
    second = await conflicts.resolve(database, actor, found[1].id, choices={RECORD: Taken(Choice.LOCAL)})
    # A record that became another one by the first answer is shown before the second is taken.
    assert isinstance(second, Refusal) == (linked is not None)
    if isinstance(second, Refusal):
        second = await conflicts.resolve(database, actor, found[1].id, choices={RECORD: Taken(Choice.LOCAL)})
    assert isinstance(second, Resolved)
    assert await record() == (expected_link, status, expected_link)

    settled = await customers(database, workspace_id)
    assert len({one["external_id"] for one in settled if one["external_id"] in objects}) == 2
    await sync(database, workspace_id, server.url, CUSTOMERS)
    assert await open_rows(database, workspace_id) == ()
    assert await customers(database, workspace_id) == settled


async def edited_on_both_sides(database: Database, workspace_id: UUID, server: SandboxServer, row: ConflictRow) -> None:
    await change_in_stripe(server, row.external_id, name="Newer in Stripe")
    await rows(
        database, workspace_id, "UPDATE customers SET name = 'Newer here' WHERE id = :id RETURNING id", id=row.record_id
    )


async def test_a_decision_overtaken_by_both_sides_comes_back_with_the_old_choice(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    actor = person(workspace_id)
    row = await disturbed(database, workspace_id, server, ReasonCode.BOTH_CHANGED)
    await conflict_handling.add_comment(database, actor, row.id, "ask them")
    done = await conflicts.resolve(database, actor, row.id, choices={"name": Taken(Choice.LOCAL)})
    assert isinstance(done, Resolved)
    await edited_on_both_sides(database, workspace_id, server, row)
    await sync(database, workspace_id, server.url, CUSTOMERS)
    (again,) = await open_rows(database, workspace_id)
    assert again.id != row.id
    assert (again.answered, again.reopened_at is not None) == (1, True)
    view = await conflicts.get(database, actor, again.id)
    assert isinstance(view, ConflictView)
    (name,) = [field for field in view.fields if field.name == "name"]
    assert (name.take, name.taken_by, name.local, name.theirs) == (
        Choice.LOCAL,
        "Ann",
        "Newer here",
        "Newer in Stripe",
    )
    # Its history goes on, and the settled one leads to it.
    assert [one.id for one in view.decisions] == [done.decision_id]
    assert [one.body for one in view.comments] == ["ask them"]
    old = await conflicts.get(database, actor, row.id)
    assert isinstance(old, ConflictView)
    assert old.newer_id == again.id


async def test_a_pending_choice_is_marked_when_stripe_changes(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    actor = person(workspace_id)
    row = await disturbed(database, workspace_id, server, ReasonCode.BOTH_CHANGED)
    await conflicts.choose(database, actor, row.id, "name", Taken(Choice.LOCAL), expected_revision=row.revision)
    await sync(database, workspace_id, server.url, CUSTOMERS)
    (same,) = await open_rows(database, workspace_id)
    assert (same.id, same.answered, same.reopened_at) == (row.id, 1, None)
    await change_in_stripe(server, row.external_id, name="Newer in Stripe")
    await sync(database, workspace_id, server.url, CUSTOMERS)
    (moved,) = await open_rows(database, workspace_id)
    assert (moved.id, moved.answered, moved.reopened_at is not None) == (row.id, 1, True)


@pytest.mark.parametrize("until", list(Snooze))
async def test_what_is_put_off_until_something_happens_comes_back_then(
    database: Database, workspace_id: UUID, server: SandboxServer, until: Snooze
) -> None:
    actor = person(workspace_id)
    row = await disturbed(database, workspace_id, server, ReasonCode.BOTH_CHANGED)
    assert await conflict_handling.snooze(database, actor, ConflictQuery(), until) == 1
    assert await open_rows(database, workspace_id) == ()
    await sync(database, workspace_id, server.url, CUSTOMERS)
    assert [one.id for one in await open_rows(database, workspace_id)] == ([row.id] if until is Snooze.RUN else [])
    await change_in_stripe(server, row.external_id, name="Newer in Stripe")
    await sync(database, workspace_id, server.url, CUSTOMERS)
    assert [one.id for one in await open_rows(database, workspace_id)] == [row.id]


RENAMED_ON_BOTH_SIDES = (
    f"UPDATE customers SET {DISTURBED[ReasonCode.BOTH_CHANGED]} WHERE id IN (SELECT id FROM customers WHERE deleted_at IS NULL"
    " AND name IS NOT NULL ORDER BY external_id LIMIT 3) RETURNING external_id"
)


async def run_in_a_process(database: Database, workspace_id: UUID, server: SandboxServer, *, dry_run: bool) -> None:
    session_id = await child.enqueue(database, workspace_id, config(EntityType.CUSTOMERS, dry_run=dry_run))
    async with child.Child(database, server.url, session_id, lease_seconds=20.0) as process:
        assert await process.ended() == 0


async def test_rules_settle_what_a_run_in_its_own_process_found(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    await sync(database, workspace_id, server.url, CUSTOMERS)
    renamed = {row["external_id"] for row in await rows(database, workspace_id, RENAMED_ON_BOTH_SIDES)}
    ann, ours = person(workspace_id), Rule(Choice.LOCAL, money=False)
    await conflict_rules.save(database, ann, "Off", ConflictQuery.of(field="name"), Rule(Choice.STRIPE, money=False))
    await conflict_rules.save(database, ann, "Elsewhere", ConflictQuery.of(field="email"), ours)
    names = await conflict_rules.save(database, ann, "Names", ConflictQuery.of(field="name"), ours)
    assert isinstance(names, UUID)
    await conflict_rules.switch(database, ann, names, enabled=True)

    await run_in_a_process(database, workspace_id, server, dry_run=True)
    assert await conflict_history.batches(database, ann) == ([], None)

    await run_in_a_process(database, workspace_id, server, dry_run=False)
    assert await open_rows(database, workspace_id) == ()
    history = await conflict_history.batches(database, ann)
    assert not isinstance(history, Refusal)
    ((batch,), _) = history
    assert (batch.actor, batch.rows) == ("Rule “Names”", 3)
    kept = await rows(database, workspace_id, "SELECT external_id FROM customers WHERE name = 'Ours'")
    assert {row["external_id"] for row in kept} == renamed
    listed = await conflict_rules.listed(database, ann)
    assert not isinstance(listed, Refusal)
    assert {one.name: one.hits for one in listed} == {"Off": 0, "Elsewhere": 0, "Names": 3}

    await conflict_undo.undo_batch(database, ann, batch.batch_id)
    assert {one.external_id for one in await open_rows(database, workspace_id)} == renamed
    await run_in_a_process(database, workspace_id, server, dry_run=False)
    assert {one.external_id for one in await open_rows(database, workspace_id)} == renamed


async def test_a_run_writes_whose_customers_its_conflicts_are(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    everything = config(*EntityType)
    await sync(database, workspace_id, server.url, everything)
    for entity in EntityType:
        await rows(
            database,
            workspace_id,
            f'UPDATE {entity.value} SET payment_base = payment_base || \'{{"metadata": {{"was": "1"}}}}\', metadata = \'{{"is": "2"}}\','
            f" payment_sync_status = 'local_edit' WHERE id = (SELECT id FROM {entity.value} WHERE deleted_at IS NULL ORDER BY id LIMIT 1) RETURNING id",
        )
    await sync(database, workspace_id, server.url, everything)
    found = await rows(
        database,
        workspace_id,
        "SELECT entity_type, customer_id IS NOT DISTINCT FROM CASE entity_type WHEN 'customers' THEN record_id"
        " WHEN 'subscriptions' THEN (SELECT customer_id FROM subscriptions s WHERE s.id = record_id)"
        " WHEN 'invoices' THEN (SELECT customer_id FROM invoices i WHERE i.id = record_id) END AS so FROM payment_sync_conflicts",
    )
    assert {row["entity_type"]: row["so"] for row in found} == {entity.value: True for entity in EntityType}
