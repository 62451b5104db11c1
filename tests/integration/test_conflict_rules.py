"""Standing rules on a real database: in order, off until switched on, never about money unless told, never over a person."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from sync_core.domain.conflict_rules import Rule
from sync_core.domain.fields import NAMES as NAMES_OF
from sync_core.domain.resolution import Taken
from sync_core.domain.vocabulary import Blend, Choice, EntityType, Role
from sync_core.errors import Refusal
from sync_core.services import conflict_history, conflict_rules, conflict_undo, conflicts, conflicts_bulk
from sync_core.services.actor import Actor
from sync_core.services.conflict_bulk_views import BulkPreview, BulkResult
from sync_core.services.conflict_rules import SavedRule
from sync_core.services.conflict_views import Undone
from sync_core.store.conflict_query import ConflictQuery
from sync_core.store.database import Database
from tests.conflict_data import Made, make_conflicts, person
from tests.conftest import make_workspace
from tests.support import rows

NAMES = ConflictQuery.of(entity="customers", field="name")
TAKE, KEEP = Rule(Choice.STRIPE, money=False), Rule(Choice.LOCAL, money=False)


async def listed(database: Database, actor: Actor) -> list[SavedRule]:
    found = await conflict_rules.listed(database, actor)
    assert not isinstance(found, Refusal)
    return list(found)


async def kept(
    database: Database, actor: Actor, name: str, query: ConflictQuery = NAMES, rule: Rule = TAKE, *, on: bool = True
) -> None:
    assert not isinstance(await conflict_rules.save(database, actor, name, query, rule), Refusal)
    if on:
        (saved,) = [one for one in await listed(database, actor) if one.name == name]
        assert await conflict_rules.switch(database, actor, saved.id, enabled=True) is None


async def names(database: Database, workspace_id: UUID) -> Counter[str]:
    found = await rows(database, workspace_id, "SELECT split_part(name, ' ', 1) AS name FROM customers")
    return Counter(row["name"] for row in found)


async def case_only(database: Database, workspace_id: UUID, *numbers: int) -> None:
    """These differ in upper and lower case only."""
    await rows(
        database,
        workspace_id,
        "UPDATE payment_sync_conflicts SET theirs = theirs || jsonb_build_object('name', upper(local->>'name'))"
        " WHERE external_id = ANY(:ids) RETURNING id",
        ids=[f"cus_{number}" for number in numbers],
    )


async def test_a_rule_is_off_until_it_is_switched_on(database: Database, workspace_id: UUID) -> None:
    made = await make_conflicts(database, workspace_id, 3)
    await kept(database, made.actor, "Names", on=False)
    (rule,) = await listed(database, made.actor)
    assert (rule.enabled, rule.matches, rule.settles, rule.hits) == (False, 3, 3, 0)
    assert await conflict_rules.apply_to_run(database, workspace_id, made.session_id) == 0
    assert await names(database, workspace_id) == {"Ours": 3}


async def test_the_first_rule_that_fits_decides(database: Database, workspace_id: UUID) -> None:
    made = await make_conflicts(database, workspace_id, 4)
    await case_only(database, workspace_id, 1, 2)
    await kept(database, made.actor, "Case", ConflictQuery.of(transition="case"), KEEP)
    await kept(database, made.actor, "Names")
    assert [(one.matches, one.settles) for one in await listed(database, made.actor)] == [(2, 2), (2, 2)]
    assert await conflict_rules.apply_to_run(database, workspace_id, made.session_id) == 4
    assert await names(database, workspace_id) == {"Ours": 2, "Stripe": 2}
    assert [(one.hits, one.last_hit_at is not None) for one in await listed(database, made.actor)] == [(2, True)] * 2


async def test_what_a_rule_fits_and_does_not_settle_is_no_later_rules(database: Database, workspace_id: UUID) -> None:
    made = await make_conflicts(database, workspace_id, 2)
    await kept(database, made.actor, "Filled", NAMES, Rule(Blend.FILLED, money=False))
    await kept(database, made.actor, "Names")
    assert [(one.matches, one.settles) for one in await listed(database, made.actor)] == [(2, 0), (0, 0)]
    assert await conflict_rules.apply_to_run(database, workspace_id, made.session_id) == 0


async def test_rules_leave_other_runs_and_what_people_look_after(database: Database, workspace_id: UUID) -> None:
    made = await make_conflicts(database, workspace_id, 4)
    await make_conflicts(database, workspace_id, 2, start=10)
    await kept(database, made.actor, "Names")
    page = await conflicts.list_conflicts(database, made.actor, ConflictQuery.of(run=made.session_id))
    assert not isinstance(page, Refusal)
    first, second, third, _ = page.rows
    await conflicts.choose(database, made.actor, first.id, "name", Taken(Choice.LOCAL), expected_revision=1)
    marked = "UPDATE payment_sync_conflicts SET {} WHERE id = :id RETURNING id"
    await rows(database, workspace_id, marked.format("assignee = 'Ben'"), id=second.id)
    await rows(database, workspace_id, marked.format("reopened_at = now()"), id=third.id)
    assert await conflict_rules.apply_to_run(database, workspace_id, made.session_id) == 1
    assert await names(database, workspace_id) == {"Ours": 5, "Stripe": 1}


async def test_what_a_rule_did_is_listed_and_taken_back(database: Database, workspace_id: UUID) -> None:
    made = await make_conflicts(database, workspace_id, 3)
    await kept(database, made.actor, "Names")
    await conflict_rules.apply_to_run(database, workspace_id, made.session_id)
    found = await conflict_history.batches(database, made.actor)
    assert not isinstance(found, Refusal)
    (batch,), following = found
    assert (batch.actor, batch.rows, following) == ("Rule “Names”", 3, None)
    assert isinstance(await conflict_undo.undo_batch(database, made.actor, batch.batch_id), Undone)
    assert await names(database, workspace_id) == {"Ours": 3}
    again = await conflict_history.batch(database, made.actor, batch.batch_id)
    assert not isinstance(again, Refusal)
    assert (again.undone, again.result and again.result.resolved) == (3, 3)


async def money(database: Database, workspace_id: UUID, made: Made) -> None:
    """An invoice on which both sides disagree about the number, and Stripe alone changed what is due."""
    others = [name for name in NAMES_OF[EntityType.INVOICES] if name not in ("number", "amount_due")]
    values = "jsonb_build_object('number', {}::text, 'amount_due', {}::int) || :rest"
    await rows(
        database,
        workspace_id,
        "WITH made AS (INSERT INTO invoices (workspace_id, external_id, payment_provider, payment_account, payment_livemode, number,"
        " amount_due, currency, payment_sync_status) VALUES (:workspace, 'in_1', 'stripe', 'acct_test', false, 'OURS', 100, 'USD',"
        " 'conflict') RETURNING *) INSERT INTO payment_sync_conflicts (workspace_id, session_id, entity_type, record_id, external_id,"
        " reason_code, fields, local, base, theirs, record_version, observed_at, customer_id) SELECT workspace_id, :session, 'invoices', id,"
        f" external_id, 'both_changed', '{{number}}', {values.format(chr(39) + 'OURS' + chr(39), 100)},"
        f" {values.format(chr(39) + 'BASE' + chr(39), 100)}, {values.format(chr(39) + 'STRIPE' + chr(39), 900)}, row_version, now(), id"
        " FROM made RETURNING id",
        workspace=workspace_id,
        session=made.session_id,
        rest=json.dumps({**dict.fromkeys(others), "currency": "USD", "metadata": {}}),
    )


@pytest.mark.parametrize("allowed", [False, True], ids=["left to people", "told to"])
async def test_money_that_would_merge_by_itself_is_guarded_too(
    database: Database, workspace_id: UUID, *, allowed: bool
) -> None:
    made = await make_conflicts(database, workspace_id, 1)
    await money(database, workspace_id, made)
    rule = Rule(fields={"number": Choice.STRIPE}, money=allowed)
    await kept(database, made.actor, "Numbers", ConflictQuery.of(field="number"), rule)
    settled = await conflict_rules.apply_to_run(database, workspace_id, made.session_id)
    (invoice,) = await rows(database, workspace_id, "SELECT number, amount_due FROM invoices")
    assert (settled, invoice["number"], invoice["amount_due"]) == ((1, "STRIPE", 900) if allowed else (0, "OURS", 100))


async def test_a_rule_can_be_tried_on_what_is_open(database: Database, workspace_id: UUID) -> None:
    made = await make_conflicts(database, workspace_id, 5)
    await kept(database, made.actor, "Names", on=False)
    (rule,) = await listed(database, made.actor)
    preview = await conflict_rules.preview(database, made.actor, rule.id)
    assert isinstance(preview, BulkPreview)
    assert preview.rows == 5
    assert await names(database, workspace_id) == {"Ours": 5}
    seen = await conflict_history.batch(database, made.actor, preview.id)
    assert not isinstance(seen, Refusal)
    assert (seen.preview.hash, seen.preview.rows, seen.applied_at) == (preview.hash, 5, None)
    result = await conflicts_bulk.bulk_resolve(database, made.actor, preview.id, preview.hash)
    assert isinstance(result, BulkResult)
    assert result.resolved == 5


async def test_rules_are_ordered_taken_out_and_brought_in(database: Database, workspace_id: UUID) -> None:
    actor = person(workspace_id)
    for name in ("one", "two", "three"):
        await kept(database, actor, name)
    last = (await listed(database, actor))[-1]
    await conflict_rules.move(database, actor, last.id, -1)
    await conflict_rules.move(database, actor, last.id, -1)
    await conflict_rules.move(database, actor, last.id, -1)
    assert [one.name for one in await listed(database, actor)] == ["three", "one", "two"]
    out = json.dumps({"rules": [one.to_json() for one in await listed(database, actor)]})
    assert await conflict_rules.remove(database, actor, last.id) is None
    other = person(await make_workspace(database, "Other"))
    ids = await conflict_rules.imported(database, other, out)
    brought = await listed(database, other)
    assert ids == [one.id for one in brought]
    assert [(one.name, one.enabled, one.rule) for one in brought] == [
        ("three", False, TAKE),
        ("one", False, TAKE),
        ("two", False, TAKE),
    ]
    assert brought[0].query == replace(NAMES)


FILES: dict[str, Any] = {
    "no JSON": "{",
    "no list": '{"rules": 5}',
    "no object": "[1]",
    "no name": [{"then": {"take": "stripe"}}],
    "no side": [{"name": "a", "then": {}}],
    "an unknown side": [{"name": "a", "then": {"take": "both"}}],
    "an own value": [{"name": "a", "then": {"take": "custom"}}],
    "an unknown facet": [{"name": "a", "when": {"facets": {"shoe": ["a"]}}, "then": {"take": "stripe"}}],
    "an unknown field to look at": [{"name": "a", "when": {"facets": {"field": ["shoe"]}}, "then": {"take": "stripe"}}],
    "an unknown field to answer": [{"name": "a", "then": {"fields": {"shoe": "stripe"}}}],
    "an unknown value": [{"name": "a", "when": {"facets": {"entity": ["shoes"]}}, "then": {"take": "stripe"}}],
    "a facet of people": [{"name": "a", "when": {"facets": {"assignee": ["Ben"]}}, "then": {"take": "stripe"}}],
    "a when that is no object": [{"name": "a", "when": 5, "then": {"take": "stripe"}}],
}


@pytest.mark.parametrize("name", FILES)
async def test_a_file_of_rules_that_makes_no_sense_is_refused_whole(
    database: Database, workspace_id: UUID, name: str
) -> None:
    given = FILES[name]
    text = given if isinstance(given, str) else json.dumps([{"name": "good", "then": {"take": "stripe"}}, *given])
    assert isinstance(await conflict_rules.imported(database, person(workspace_id), text), Refusal)
    assert await listed(database, person(workspace_id)) == []


async def test_an_imported_rule_may_not_change_money_by_silence(database: Database, workspace_id: UUID) -> None:
    text = json.dumps(
        [{"name": "a", "then": {"take": "stripe"}}, {"name": "b", "then": {"take": "stripe", "money": True}}]
    )
    assert not isinstance(await conflict_rules.imported(database, person(workspace_id), text), Refusal)
    assert [one.rule.money for one in await listed(database, person(workspace_id))] == [False, True]


async def test_only_admins_change_rules(database: Database, workspace_id: UUID) -> None:
    await kept(database, person(workspace_id), "Names", on=False)
    (rule,) = await listed(database, person(workspace_id))
    for role in (Role.OPERATOR, Role.VIEWER):
        actor = person(workspace_id, "Op", role)
        for refused in (
            await conflict_rules.save(database, actor, "Mine", NAMES, TAKE),
            await conflict_rules.imported(database, actor, "[]"),
            await conflict_rules.switch(database, actor, rule.id, enabled=True),
            await conflict_rules.move(database, actor, rule.id, 1),
            await conflict_rules.remove(database, actor, rule.id),
        ):
            assert isinstance(refused, Refusal)
            assert refused.status == 403
    stranger = person(await make_workspace(database, "Other"))
    for refused in (
        await conflict_rules.switch(database, stranger, rule.id, enabled=True),
        await conflict_rules.remove(database, stranger, rule.id),
        await conflict_rules.move(database, stranger, uuid4(), 1),
    ):
        assert isinstance(refused, Refusal)
        assert refused.status == 404
    assert [one.enabled for one in await listed(database, person(workspace_id))] == [False]
