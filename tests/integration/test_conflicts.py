"""Conflicts reviewed one by one on a real database: listed, counted, chosen for, settled, taken back; two people at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from sync_core.domain.resolution import Taken
from sync_core.domain.vocabulary import Choice, ConflictStatus, EntityType, ReasonCode, Role
from sync_core.errors import Refusal
from sync_core.services import conflicts, conflicts_bulk
from sync_core.services.actor import Actor
from sync_core.services.conflict_views import ConflictPage, ConflictRefusal, ConflictView, Facets, Resolved
from sync_core.services.conflicts import ConflictQuery
from sync_core.store.database import Database
from tests.conflict_data import make_conflicts, person
from tests.conftest import make_workspace
from tests.support import rows

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


async def test_a_cursor_that_somebody_made_up_starts_at_the_beginning(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 3)).actor
    for cursor in ("nonsense", "WzEsMiwzXQ", "e30", ""):
        assert len((await listed(database, actor, cursor=cursor)).rows) == 3


FILTERS = {
    "entity": (ConflictQuery(entity=EntityType.CUSTOMERS), 4),
    "another entity": (ConflictQuery(entity=EntityType.PRICES), 0),
    "field": (ConflictQuery(field="name"), 4),
    "another field": (ConflictQuery(field="phone"), 0),
    "reason": (ConflictQuery(reason=ReasonCode.BOTH_CHANGED), 4),
    "another reason": (ConflictQuery(reason=ReasonCode.NO_BASE), 0),
    "a part of the label": (ConflictQuery(search="OURS 1"), 1),
    "a Stripe id": (ConflictQuery(search="cus_3"), 1),
    "a run": (ConflictQuery(session_id=uuid4()), 0),
    "settled": (ConflictQuery(status=ConflictStatus.RESOLVED), 0),
    "a percent sign": (ConflictQuery(search="%"), 0),
}


async def test_each_filter_finds_what_it_names_and_is_counted_so(database: Database, workspace_id: UUID) -> None:
    made = await make_conflicts(database, workspace_id, 4)
    for name, (query, count) in FILTERS.items():
        facets = await conflicts.facets(database, made.actor, query)
        assert isinstance(facets, Facets)
        assert (name, len((await listed(database, made.actor, query)).rows), facets.matching) == (name, count, count)


async def test_a_facet_is_counted_under_the_other_filters_but_not_its_own(
    database: Database, workspace_id: UUID
) -> None:
    made = await make_conflicts(database, workspace_id, 3)
    other = await make_conflicts(database, workspace_id, 2, start=10)
    facets = await conflicts.facets(database, made.actor, ConflictQuery(session_id=made.session_id))
    assert isinstance(facets, Facets)
    assert [(one.value, one.count) for one in facets.entity] == [("customers", 3)]
    assert {one.value: one.count for one in facets.session} == {str(made.session_id): 3, str(other.session_id): 2}
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

    back = await conflicts_bulk.undo(database, actor, done.decision_id)
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


async def test_undo_of_a_record_changed_since_is_refused_with_the_reason(
    database: Database, workspace_id: UUID
) -> None:
    actor = (await make_conflicts(database, workspace_id, 1)).actor
    view = await opened(database, actor)
    done = await conflicts.resolve(database, actor, view.row.id, take_all=Choice.STRIPE)
    assert isinstance(done, Resolved)
    await rows(database, workspace_id, "UPDATE customers SET name = 'Edited' RETURNING id")
    refused = await conflicts_bulk.undo(database, actor, done.decision_id)
    assert isinstance(refused, Refusal)
    assert refused.message == "The record was changed since."
    assert (await stored(database, workspace_id, view.row.record_id))["name"] == "Edited"


async def test_what_is_undone_once_is_not_undone_twice(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 1)).actor
    view = await opened(database, actor)
    done = await conflicts.resolve(database, actor, view.row.id, take_all=Choice.STRIPE)
    assert isinstance(done, Resolved)
    last = await conflicts.last_decision(database, actor)
    assert last is not None
    assert (last.batch_id, last.rows, last.label) == (done.batch_id, 1, "Ours 1")
    assert isinstance(await conflicts_bulk.undo(database, actor, done.decision_id), ConflictView)
    assert isinstance(await conflicts_bulk.undo(database, actor, done.decision_id), Refusal)
    assert await conflicts.last_decision(database, actor) is None


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
    refused = await conflicts_bulk.undo(database, actor, done.decision_id)
    assert isinstance(refused, Refusal)
    assert refused.message == "It is older than 30 days."


async def test_a_viewer_looks_but_decides_nothing(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 1)).actor
    viewer = person(workspace_id, "Vic", Role.VIEWER)
    view = await opened(database, viewer)
    for refused in (
        await conflicts.resolve(database, viewer, view.row.id, take_all=Choice.STRIPE),
        await conflicts.choose(database, viewer, view.row.id, "name", Taken(Choice.STRIPE), expected_revision=1),
        await conflicts.assign(database, viewer, view.row.id, assignee="Vic", snoozed_until=None),
        await conflicts.add_comment(database, viewer, view.row.id, "hello"),
        await conflicts_bulk.undo(database, viewer, uuid4()),
        await conflicts_bulk.undo_batch(database, viewer, uuid4()),
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
        await conflicts.add_comment(database, stranger, view.row.id, "hello"),
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
    handled = await conflicts.assign(database, actor, view.row.id, assignee="Ben", snoozed_until=until)
    assert isinstance(handled, ConflictView)
    assert handled.row.revision == view.row.revision
    assert [row.label for row in (await listed(database, actor)).rows] == ["Ours 1"]
    snoozed = await listed(database, actor, ConflictQuery(snoozed=True, assignee="Ben"))
    assert [row.label for row in snoozed.rows] == ["Ours 2"]
    talked = await conflicts.add_comment(database, actor, view.row.id, "  ask them  ")
    assert isinstance(talked, ConflictView)
    assert [(one.author, one.body) for one in talked.comments] == [("Ann", "ask them")]
    for empty in ("", "   ", "x" * 2_001):
        assert isinstance(await conflicts.add_comment(database, actor, view.row.id, empty), Refusal)
