"""What a person has looked through: their own tick, of the values that were there."""

from __future__ import annotations

from uuid import UUID

import pytest

from sync_core.domain.resolution import Taken
from sync_core.domain.vocabulary import Choice, Role, Snooze
from sync_core.errors import Refusal
from sync_core.services import conflict_handling, conflicts
from sync_core.services.actor import Actor
from sync_core.services.conflict_views import ConflictPage, ConflictView
from sync_core.services.conflicts import ConflictQuery
from sync_core.store.database import Database
from tests.conflict_data import make_conflicts, member
from tests.conftest import make_workspace
from tests.support import rows


async def ticked(database: Database, actor: Actor, conflict_id: UUID) -> bool:
    """The list and the conflict itself say the same."""
    page = await conflicts.list_conflicts(database, actor, ConflictQuery(snoozed=None))
    view = await conflicts.get(database, actor, conflict_id)
    assert isinstance(page, ConflictPage)
    assert isinstance(view, ConflictView)
    assert (conflict_id in page.reviewed) is view.reviewed
    return view.reviewed


async def made(database: Database, workspace_id: UUID) -> UUID:
    await make_conflicts(database, workspace_id, 2)
    found = await rows(database, workspace_id, "SELECT id FROM payment_sync_conflicts ORDER BY created_at LIMIT 1")
    one: UUID = found[0]["id"]
    return one


async def test_a_tick_is_of_one_person_and_one_conflict(database: Database, workspace_id: UUID) -> None:
    one = await made(database, workspace_id)
    ana, ben = await member(database, workspace_id, "ana", Role.VIEWER), await member(database, workspace_id, "ben")
    for _ in range(2):
        assert await conflict_handling.review(database, ana, one, reviewed=True) is None
    page = await conflicts.list_conflicts(database, ana, ConflictQuery())
    assert isinstance(page, ConflictPage)
    assert page.reviewed == {one}
    assert (await ticked(database, ana, one), await ticked(database, ben, one)) == (True, False)
    assert await conflict_handling.review(database, ana, one, reviewed=False) is None
    assert await ticked(database, ana, one) is False


CHANGES: dict[str, tuple[str, bool]] = {
    "ours changes": ('local = local || \'{"name": "Else"}\'', False),
    "Stripe's changes": ('theirs = theirs || \'{"name": "Else"}\'', False),
    "Stripe deletes it": ("theirs_deleted = true", False),
    "a later sync finds it as it was": ("observed_at = now(), revision = revision + 1, updated_at = now()", True),
    "it is put off": ("snoozed_for = 'run'", True),
}


@pytest.mark.parametrize(("change", "stays"), CHANGES.values(), ids=CHANGES.keys())
async def test_a_change_of_either_side_takes_it_off(
    database: Database, workspace_id: UUID, change: str, *, stays: bool
) -> None:
    one, ana = await made(database, workspace_id), await member(database, workspace_id, "ana")
    await conflict_handling.review(database, ana, one, reviewed=True)
    await rows(
        database, workspace_id, f"UPDATE payment_sync_conflicts SET {change} WHERE id = :id RETURNING id", id=one
    )
    assert await ticked(database, ana, one) is stays


async def test_a_choice_leaves_it(database: Database, workspace_id: UUID) -> None:
    one, ana = await made(database, workspace_id), await member(database, workspace_id, "ana")
    await conflict_handling.review(database, ana, one, reviewed=True)
    await conflicts.choose(database, ana, one, "name", Taken(Choice.STRIPE), expected_revision=1)
    await conflict_handling.snooze(database, ana, ConflictQuery(ids=(one,)), Snooze.CHANGE)
    assert await ticked(database, ana, one) is True


async def test_nothing_is_ticked_that_is_not_there(database: Database, workspace_id: UUID) -> None:
    one, other = await made(database, workspace_id), await make_workspace(database, "Other")
    stranger = await member(database, other, "stranger")
    program = Actor(workspace_id, Role.ADMIN, "key")
    for actor in (stranger, program):
        assert isinstance(await conflict_handling.review(database, actor, one, reviewed=True), Refusal)
    assert await rows(database, workspace_id, "SELECT 1 FROM payment_sync_conflict_reviews") == []
