"""Conflicts reviewed one by one on a real database: listed, counted, chosen for, settled, taken back; two people at once."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from sync_core.domain.fields import JsonValue
from sync_core.domain.resolution import Taken
from sync_core.domain.vocabulary import (
    Choice,
    ConflictSort,
    ConflictStatus,
    EntityType,
    Facet,
    ReasonCode,
    Role,
    Snooze,
)
from sync_core.errors import Refusal
from sync_core.services import conflict_facets, conflict_handling, conflict_undo, conflicts
from sync_core.services.actor import Actor
from sync_core.services.conflict_views import ConflictPage, ConflictRefusal, ConflictView, Facets, Resolved
from sync_core.services.conflicts import ConflictQuery
from sync_core.store.database import Database
from tests.conflict_data import make_conflicts, person
from tests.conftest import make_workspace, plain_url
from tests.support import holds, rows, waiting_for_a_lock

ALL = ConflictQuery()


async def listed(database: Database, actor: Actor, query: ConflictQuery = ALL, **more: Any) -> ConflictPage:
    page = await conflicts.list_conflicts(database, actor, query, **more)
    assert isinstance(page, ConflictPage)
    return page


async def opened(database: Database, actor: Actor, place: int = 0) -> ConflictView:
    page = await listed(database, actor)
    view = await conflicts.get(database, actor, page.rows[place].id)
    assert isinstance(view, ConflictView)
    return view


async def stored(database: Database, workspace_id: UUID, record_id: UUID) -> dict[str, Any]:
    (row,) = await rows(
        database,
        workspace_id,
        "SELECT name, phone, payment_sync_status AS status, payment_base->>'name' AS base, row_version, deleted_at IS NOT NULL AS deleted"
        " FROM customers WHERE id = :id",
        id=record_id,
    )
    return row


async def test_pages_lead_on_and_back_without_a_gap(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 25)).actor
    first = await listed(database, actor, limit=10)
    second = await listed(database, actor, cursor=first.next_cursor, limit=10)
    third = await listed(database, actor, cursor=second.next_cursor, limit=10)
    labels = [row.label for page in (first, second, third) for row in page.rows]
    assert labels == [f"Ours {number}" for number in range(25, 0, -1)]
    assert (first.previous_cursor, third.next_cursor) == (None, None)
    back = await listed(database, actor, cursor=third.previous_cursor, limit=10)
    assert back.rows == second.rows
    front = await listed(database, actor, cursor=back.previous_cursor, limit=10)
    assert front.rows == first.rows
    assert front.previous_cursor is None


SORTS = {
    ConflictSort.NEWEST: [f"Ours {number}" for number in range(12, 0, -1)],
    ConflictSort.OLDEST: [f"Ours {number}" for number in range(1, 13)],
    ConflictSort.NAME: [f"Ours {number}" for number in (1, 10, 11, 12, 2, 3, 4, 5, 6, 7, 8, 9)],
}


@pytest.mark.parametrize("sort", SORTS)
async def test_every_order_is_walked_both_ways(database: Database, workspace_id: UUID, sort: ConflictSort) -> None:
    actor = (await make_conflicts(database, workspace_id, 12)).actor
    query = ConflictQuery(sort=sort)
    pages = [await listed(database, actor, query, limit=5)]
    while pages[-1].next_cursor:
        pages.append(await listed(database, actor, query, cursor=pages[-1].next_cursor, limit=5))
    assert [row.label for page in pages for row in page.rows] == SORTS[sort]
    back = await listed(database, actor, query, cursor=pages[-1].previous_cursor, limit=5)
    assert back.rows == pages[-2].rows


async def test_a_cursor_that_somebody_made_up_starts_at_the_beginning(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 3)).actor
    for cursor in ("nonsense", "WzEsMiwzXQ", "e30", ""):
        for sort in ConflictSort:
            assert len((await listed(database, actor, ConflictQuery(sort=sort), cursor=cursor)).rows) == 3


def but(facet: Facet, query: ConflictQuery) -> ConflictQuery:
    return replace(query, excluded=frozenset({facet}))


FILTERS = {
    "entity": (ConflictQuery.of(entity=EntityType.CUSTOMERS), 4),
    "another entity": (ConflictQuery.of(entity=EntityType.PRICES), 0),
    "one entity or another": (ConflictQuery.of(entity=("prices", "customers")), 4),
    "field": (ConflictQuery.of(field="name"), 4),
    "another field": (ConflictQuery.of(field="phone"), 0),
    "one field or another": (ConflictQuery.of(field=("phone", "name")), 4),
    "all but a field": (but(Facet.FIELD, ConflictQuery.of(field="name")), 0),
    "all but another field": (but(Facet.FIELD, ConflictQuery.of(field="phone")), 4),
    "reason": (ConflictQuery.of(reason=ReasonCode.BOTH_CHANGED), 4),
    "another reason": (ConflictQuery.of(reason=ReasonCode.NO_BASE), 0),
    "a field and not its reason": (
        but(Facet.REASON, ConflictQuery.of(field="name", reason=ReasonCode.BOTH_CHANGED)),
        0,
    ),
    "how the values differ": (ConflictQuery.of(transition="other"), 4),
    "how they do not": (ConflictQuery.of(transition=("filled", "case")), 0),
    "severity": (ConflictQuery.of(severity="normal"), 4),
    "another severity": (ConflictQuery.of(severity="high"), 0),
    "age": (ConflictQuery.of(age="older"), 4),
    "another age": (ConflictQuery.of(age=("day", "week", "month")), 0),
    "nobody's": (ConflictQuery.of(assignee="nobody"), 4),
    "somebody's": (but(Facet.ASSIGNEE, ConflictQuery.of(assignee="nobody")), 0),
    "marked": (ConflictQuery.of(mark=("reopened", "chosen")), 0),
    "not marked": (but(Facet.MARK, ConflictQuery.of(mark="chosen")), 4),
    "a part of the label": (ConflictQuery(search="OURS 1"), 1),
    "a Stripe id": (ConflictQuery(search="cus_3"), 1),
    "a run": (ConflictQuery.of(run=uuid4()), 0),
    "settled": (ConflictQuery(status=ConflictStatus.RESOLVED), 0),
    "a percent sign": (ConflictQuery(search="%"), 0),
}


async def test_each_filter_finds_what_it_names_and_is_counted_so(database: Database, workspace_id: UUID) -> None:
    made = await make_conflicts(database, workspace_id, 4)
    for name, (query, count) in FILTERS.items():
        facets = await conflict_facets.facets(database, made.actor, query)
        assert isinstance(facets, Facets)
        assert (name, len((await listed(database, made.actor, query)).rows), facets.matching) == (name, count, count)


async def test_a_facet_is_counted_under_the_other_filters_but_not_its_own(
    database: Database, workspace_id: UUID
) -> None:
    made = await make_conflicts(database, workspace_id, 3)
    other = await make_conflicts(database, workspace_id, 2, start=10)
    facets = await conflict_facets.facets(database, made.actor, ConflictQuery.of(run=made.session_id))
    assert isinstance(facets, Facets)
    assert [(one.value, one.count) for one in facets.values[Facet.ENTITY]] == [("customers", 3)]
    assert {one.value: one.count for one in facets.values[Facet.RUN]} == {
        str(made.session_id): 3,
        str(other.session_id): 2,
    }
    assert (facets.matching, facets.total) == (3, 5)


async def test_the_three_sides_are_shown_and_what_still_needs_a_choice(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 1)).actor
    view = await opened(database, actor)
    name, phone = view.fields
    assert (name.name, name.local, name.base, name.theirs, name.settled) == (
        "name",
        "Ours 1",
        "Base 1",
        "Stripe 1",
        False,
    )
    # Only we changed the phone: it merges by itself.
    assert (phone.name, phone.needed, phone.settled, phone.result) == ("phone", False, True, "+1 1")
    assert view.problem == "Choose a value for name."
    assert view.equal == ("Email", "Description", "Metadata")


async def test_choices_are_kept_until_they_are_applied(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 1)).actor
    view = await opened(database, actor)
    kept = await conflicts.choose(
        database, actor, view.row.id, "name", Taken(Choice.CUSTOM, "Third"), expected_revision=view.row.revision
    )
    assert isinstance(kept, ConflictView)
    again = await opened(database, actor)
    assert (again.fields[0].take, again.fields[0].result, again.fields[0].taken_by) == (Choice.CUSTOM, "Third", "Ann")
    assert (again.row.answered, again.row.questions, again.problem) == (1, 1, "")
    done = await conflicts.resolve(database, actor, view.row.id, expected_revision=again.row.revision)
    assert isinstance(done, Resolved)
    record = await stored(database, workspace_id, view.row.record_id)
    assert (record["name"], record["phone"], record["status"], record["base"]) == (
        "Third",
        "+1 1",
        "local_edit",
        "Stripe 1",
    )


async def test_a_choice_that_does_not_fit_is_not_kept(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 1)).actor
    view = await opened(database, actor)
    refused = await conflicts.choose(
        database, actor, view.row.id, "name", Taken(Choice.CUSTOM, 7), expected_revision=view.row.revision
    )
    assert isinstance(refused, Refusal)
    assert (refused.code, refused.field) == ("value_invalid", "name")
    assert (await opened(database, actor)).row == view.row


SIDES = {
    Choice.LOCAL: ("Ours 1", "+1 1", "local_edit"),
    Choice.STRIPE: ("Stripe 1", None, "synced"),
    Choice.BASE: ("Base 1", None, "local_edit"),
}


@pytest.mark.parametrize("take", SIDES)
async def test_a_whole_record_takes_one_side_and_undo_brings_it_back(
    database: Database, workspace_id: UUID, take: Choice
) -> None:
    name, phone, status = SIDES[take]
    actor = (await make_conflicts(database, workspace_id, 1)).actor
    view = await opened(database, actor)
    before = await stored(database, workspace_id, view.row.record_id)
    done = await conflicts.resolve(database, actor, view.row.id, take_all=take, expected_revision=view.row.revision)
    assert isinstance(done, Resolved)
    assert (done.view.row.status, done.view.row.resolved_by) == (ConflictStatus.RESOLVED, "Ann")
    after = await stored(database, workspace_id, view.row.record_id)
    assert (after["name"], after["phone"], after["status"], after["base"]) == (name, phone, status, "Stripe 1")

    back = await conflict_undo.undo(database, actor, done.decision_id)
    assert isinstance(back, ConflictView)
    assert back.row.status is ConflictStatus.OPEN
    assert back.decisions[0].undone_by == "Ann"
    restored = await stored(database, workspace_id, view.row.record_id)
    assert {**restored, "row_version": 0} == {**before, "row_version": 0}
    # It can be settled again, whatever its versions are by now.
    again = await conflicts.resolve(database, actor, view.row.id, take_all=Choice.STRIPE)
    assert isinstance(again, Resolved)


async def test_the_later_of_two_people_is_shown_the_others_decision(database: Database, workspace_id: UUID) -> None:
    ann = (await make_conflicts(database, workspace_id, 1)).actor
    ben = person(workspace_id, "Ben")
    view = await opened(database, ann)
    done = await conflicts.resolve(
        database, ben, view.row.id, take_all=Choice.STRIPE, expected_revision=view.row.revision
    )
    assert isinstance(done, Resolved)
    late = await conflicts.resolve(
        database, ann, view.row.id, take_all=Choice.LOCAL, expected_revision=view.row.revision
    )
    assert isinstance(late, ConflictRefusal)
    assert (late.code, late.status) == ("already_resolved", 409)
    assert late.view is not None
    assert late.view.decisions[0].actor == "Ben"
    assert late.view.decisions[0].choices["name"].take is Choice.STRIPE
    assert (await stored(database, workspace_id, view.row.record_id))["name"] == "Stripe 1"


async def test_a_choice_made_on_an_older_view_is_refused_with_the_newer_one(
    database: Database, workspace_id: UUID
) -> None:
    ann = (await make_conflicts(database, workspace_id, 1)).actor
    view = await opened(database, ann)
    revision = view.row.revision
    ben = person(workspace_id, "Ben")
    await conflicts.choose(database, ben, view.row.id, "name", Taken(Choice.STRIPE), expected_revision=revision)
    late = await conflicts.choose(database, ann, view.row.id, "name", Taken(Choice.LOCAL), expected_revision=revision)
    assert isinstance(late, ConflictRefusal)
    assert late.view is not None
    assert (late.view.fields[0].take, late.view.fields[0].taken_by) == (Choice.STRIPE, "Ben")


async def test_a_record_edited_meanwhile_is_not_overwritten_but_shown_anew(
    database: Database, workspace_id: UUID
) -> None:
    actor = (await make_conflicts(database, workspace_id, 1)).actor
    view = await opened(database, actor)
    await rows(database, workspace_id, "UPDATE customers SET name = 'Edited' RETURNING id")
    late = await conflicts.resolve(
        database, actor, view.row.id, take_all=Choice.STRIPE, expected_revision=view.row.revision
    )
    assert isinstance(late, ConflictRefusal)
    assert late.code == "changed_meanwhile"
    assert late.view is not None
    assert late.view.fields[0].local == "Edited"
    assert (await stored(database, workspace_id, view.row.record_id))["name"] == "Edited"
    done = await conflicts.resolve(
        database, actor, view.row.id, take_all=Choice.STRIPE, expected_revision=late.view.row.revision
    )
    assert isinstance(done, Resolved)


async def test_undo_keeps_what_somebody_changed_since_and_asks_about_it(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 1)).actor
    view = await opened(database, actor)
    done = await conflicts.resolve(database, actor, view.row.id, take_all=Choice.STRIPE)
    assert isinstance(done, Resolved)
    await rows(database, workspace_id, "UPDATE customers SET name = 'Edited' RETURNING id")
    back = await conflict_undo.undo(database, actor, done.decision_id)
    assert isinstance(back, ConflictView)
    record = await stored(database, workspace_id, view.row.record_id)
    # Nobody touched the phone: it is ours again. The name is the one that was typed since.
    assert (record["name"], record["phone"], record["status"]) == ("Edited", "+1 1", "conflict")
    name, phone = back.fields
    assert (name.local, name.base, name.theirs, name.needed) == ("Edited", "Stripe 1", "Stripe 1", True)
    assert (phone.name, phone.local) == ("phone", "+1 1")
    assert back.row.reopened_at is not None
    assert isinstance(await conflicts.resolve(database, actor, view.row.id, take_all=Choice.LOCAL), Resolved)
    assert (await stored(database, workspace_id, view.row.record_id))["name"] == "Edited"


async def test_a_record_synced_since_is_not_taken_back(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 1)).actor
    view = await opened(database, actor)
    done = await conflicts.resolve(database, actor, view.row.id, take_all=Choice.STRIPE)
    assert isinstance(done, Resolved)
    synced = "UPDATE customers SET name = 'New', payment_base = payment_base || '{\"name\": \"New\"}' RETURNING id"
    await rows(database, workspace_id, synced)
    refused = await conflict_undo.undo(database, actor, done.decision_id)
    assert isinstance(refused, Refusal)
    assert refused.message == "The record was synced, deleted or linked since."
    assert (await stored(database, workspace_id, view.row.record_id))["name"] == "New"


async def test_what_is_undone_once_is_not_undone_twice(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 1)).actor
    view = await opened(database, actor)
    done = await conflicts.resolve(database, actor, view.row.id, take_all=Choice.STRIPE)
    assert isinstance(done, Resolved)
    last = await conflict_undo.last_decision(database, actor)
    assert last is not None
    assert (last.batch_id, last.rows, last.label) == (done.batch_id, 1, "Ours 1")
    assert isinstance(await conflict_undo.undo(database, actor, done.decision_id), ConflictView)
    assert isinstance(await conflict_undo.undo(database, actor, done.decision_id), Refusal)
    assert await conflict_undo.last_decision(database, actor) is None


async def test_old_decisions_stand(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 1)).actor
    view = await opened(database, actor)
    done = await conflicts.resolve(database, actor, view.row.id, take_all=Choice.STRIPE)
    assert isinstance(done, Resolved)
    await rows(
        database,
        workspace_id,
        "UPDATE payment_sync_conflict_decisions SET created_at = now() - interval '31 days' RETURNING id",
    )
    refused = await conflict_undo.undo(database, actor, done.decision_id)
    assert isinstance(refused, Refusal)
    assert refused.message == "It is older than 30 days."


async def test_a_viewer_looks_but_decides_nothing(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 1)).actor
    viewer = person(workspace_id, "Vic", Role.VIEWER)
    view = await opened(database, viewer)
    for refused in (
        await conflicts.resolve(database, viewer, view.row.id, take_all=Choice.STRIPE),
        await conflicts.choose(database, viewer, view.row.id, "name", Taken(Choice.STRIPE), expected_revision=1),
        await conflict_handling.assign(database, viewer, ConflictQuery(ids=(view.row.id,)), "Vic"),
        await conflict_handling.snooze(database, viewer, ALL, Snooze.RUN),
        await conflict_undo.reopen_with(database, viewer, view.row.id, {}, expected_revision=1),
        await conflict_handling.add_comment(database, viewer, view.row.id, "hello"),
        await conflict_undo.undo(database, viewer, uuid4()),
        await conflict_undo.undo_batch(database, viewer, uuid4()),
    ):
        assert isinstance(refused, Refusal)
        assert refused.status == 403
    assert (await opened(database, actor)).row == view.row


async def test_another_workspaces_conflicts_are_not_there(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 1)).actor
    view = await opened(database, actor)
    stranger = person(await make_workspace(database, "Other"), "Eve")
    assert (await listed(database, stranger)).rows == ()
    for refused in (
        await conflicts.get(database, stranger, view.row.id),
        await conflicts.resolve(database, stranger, view.row.id, take_all=Choice.STRIPE),
        await conflicts.choose(database, stranger, view.row.id, "name", None, expected_revision=1),
        await conflict_handling.add_comment(database, stranger, view.row.id, "hello"),
    ):
        assert isinstance(refused, Refusal)
        assert refused.status == 404


async def test_values_that_the_database_refuses_together_change_nothing(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 1)).actor
    view = await opened(database, actor)
    async with database.engine.begin() as connection:
        await connection.exec_driver_sql("ALTER TABLE customers ADD CONSTRAINT odd CHECK (name <> 'Stripe 1')")
    refused = await conflicts.resolve(database, actor, view.row.id, take_all=Choice.STRIPE)
    assert isinstance(refused, Refusal)
    assert refused.code == "value_refused"
    assert "odd" in refused.message
    assert (await stored(database, workspace_id, view.row.record_id))["status"] == "conflict"
    assert (await opened(database, actor)).decisions == ()


async def test_assigned_snoozed_and_talked_about(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 2)).actor
    view = await opened(database, actor)
    until = datetime.now(UTC) + timedelta(days=1)
    only = ConflictQuery(ids=(view.row.id,))
    assert await conflict_handling.assign(database, actor, only, "Ann") == 1
    handled = await conflict_handling.shown_after(
        database, actor, view.row.id, await conflict_handling.snooze(database, actor, only, until)
    )
    assert isinstance(handled, ConflictView)
    assert (handled.row.revision, handled.row.assignee) == (view.row.revision, "Ann")
    assert [row.label for row in (await listed(database, actor)).rows] == ["Ours 1"]
    snoozed = await listed(database, actor, replace(ConflictQuery.of(assignee="Ann"), snoozed=True))
    assert [row.label for row in snoozed.rows] == ["Ours 2"]
    talked = await conflict_handling.add_comment(database, actor, view.row.id, "  ask them  ")
    assert isinstance(talked, ConflictView)
    assert [(one.author, one.body) for one in talked.comments] == [("Ann", "ask them")]
    for empty in ("", "   ", "x" * 2_001):
        assert isinstance(await conflict_handling.add_comment(database, actor, view.row.id, empty), Refusal)


async def test_only_a_member_is_assigned(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 1)).actor
    refused = await conflict_handling.assign(database, actor, ALL, "eve@example.com")
    assert isinstance(refused, Refusal)
    assert (refused.code, refused.field) == ("assignee_unknown", "assignee")


async def test_many_are_put_off_and_brought_back(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 3)).actor
    assert await conflict_handling.snooze(database, actor, ConflictQuery(search="ours 1"), Snooze.CHANGE) == 1
    assert len((await listed(database, actor)).rows) == 2
    (put_off,) = (await listed(database, actor, ConflictQuery(snoozed=True))).rows
    assert (put_off.label, put_off.snoozed_for) == ("Ours 1", Snooze.CHANGE)
    assert await conflict_handling.snooze(database, actor, ConflictQuery(snoozed=True), None) == 1
    assert len((await listed(database, actor)).rows) == 3


TRANSITIONS: dict[str, tuple[str, JsonValue, JsonValue, str]] = {
    "nothing here": ("name", None, "Ann", "filled"),
    "nothing in Stripe": ("name", "Ann", None, "emptied"),
    "an empty object here": ("metadata", {}, {"plan": "gold"}, "filled"),
    "another case": ("email", "Ann@Example.com", "ann@example.com", "case"),
    "other spaces": ("name", "Ann Lee", " Ann  Lee", "space"),
    "another currency": ("currency", "USD", "EUR", "currency"),
    "more": ("total", 999, 1_000, "more"),
    "less": ("total", 1_000, 999, "less"),
    "another text": ("name", "Ann", "Ben", "other"),
    "another kind": ("active", True, False, "other"),
}


async def test_how_values_differ(database: Database, workspace_id: UUID) -> None:
    for name, (field, ours, theirs, expected) in TRANSITIONS.items():
        (found,) = await rows(
            database,
            workspace_id,
            "SELECT conflict_transition(:field, cast(:ours AS jsonb), cast(:theirs AS jsonb)) AS word",
            field=field,
            ours=json.dumps(ours),
            theirs=json.dumps(theirs),
        )
        assert (name, found["word"]) == (name, expected)


async def test_the_later_of_two_may_reopen_with_their_own_choice(database: Database, workspace_id: UUID) -> None:
    ann = (await make_conflicts(database, workspace_id, 1)).actor
    ben = person(workspace_id, "Ben")
    view = await opened(database, ann)
    await conflicts.resolve(database, ben, view.row.id, take_all=Choice.STRIPE)
    late = await conflicts.resolve(
        database, ann, view.row.id, take_all=Choice.LOCAL, expected_revision=view.row.revision
    )
    assert isinstance(late, ConflictRefusal)
    assert late.view is not None
    mine = {"name": Taken(Choice.LOCAL)}
    stale = await conflict_undo.reopen_with(
        database, ann, view.row.id, mine, expected_revision=late.view.row.revision - 1
    )
    assert isinstance(stale, ConflictRefusal)
    assert (await stored(database, workspace_id, view.row.record_id))["name"] == "Stripe 1"
    again = await conflict_undo.reopen_with(database, ann, view.row.id, mine, expected_revision=late.view.row.revision)
    assert isinstance(again, ConflictView)
    assert (again.row.status, again.fields[0].take, again.fields[0].taken_by) == (
        ConflictStatus.OPEN,
        Choice.LOCAL,
        "Ann",
    )
    # Ben's decision is taken back, and Ann's is not made yet.
    assert (again.decisions[0].actor, again.decisions[0].undone_by) == ("Ben", "Ann")
    assert (await stored(database, workspace_id, view.row.record_id))["status"] == "conflict"


async def test_pending_choices_are_marked_when_the_record_moves(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 2)).actor
    view = await opened(database, actor)
    kept = await conflicts.choose(
        database, actor, view.row.id, "name", Taken(Choice.STRIPE), expected_revision=view.row.revision
    )
    assert isinstance(kept, ConflictView)
    assert kept.row.reopened_at is None
    await rows(database, workspace_id, "UPDATE customers SET name = 'Edited' WHERE name = 'Ours 2' RETURNING id")
    moved = await conflicts.resolve(database, actor, view.row.id, expected_revision=kept.row.revision)
    assert isinstance(moved, ConflictRefusal)
    assert moved.view is not None
    assert (moved.view.fields[0].take, moved.view.fields[0].local) == (Choice.STRIPE, "Edited")
    (marked,) = (await listed(database, actor, ConflictQuery.of(mark="reopened"))).rows
    assert (marked.id, marked.reopened_at is not None) == (view.row.id, True)


async def test_whoever_assigns_many_holds_none_while_they_wait_for_a_run(
    database: Database, workspace_id: UUID, database_url: str
) -> None:
    """A run that holds one in the middle goes on to any other; the old way one of the two was ended."""
    made = await make_conflicts(database, workspace_id, 5)
    touched = "UPDATE payment_sync_conflicts SET label = label || '!' WHERE external_id = %s"
    async with await psycopg.AsyncConnection.connect(plain_url(database_url)) as run:
        await run.execute("SET lock_timeout = '20s'")
        await run.execute(touched, ["cus_3"])
        async with await psycopg.AsyncConnection.connect(plain_url(database_url), autocommit=True) as looks:
            assigning = asyncio.create_task(conflict_handling.assign(database, made.actor, ALL, made.actor.label))
            assert await holds(lambda: waiting_for_a_lock(looks, 1))
            for other in ("cus_1", "cus_5", "cus_2", "cus_4"):
                await run.execute(touched, [other])
        await run.commit()
    assert await assigning == 5
    found = await rows(database, workspace_id, "SELECT assignee, label FROM payment_sync_conflicts")
    assert all(row["assignee"] == made.actor.label and row["label"].endswith("!") for row in found)
