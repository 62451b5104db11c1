"""Who looks at a conflict: a lease of half a minute by the database's clock, which keeps nobody from anything."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from sqlalchemy import text

from sync_core.domain.conflict_rules import Rule
from sync_core.domain.vocabulary import Choice, Role
from sync_core.services import conflict_presence as presence
from sync_core.services import conflicts, conflicts_bulk
from sync_core.services.actor import Actor
from sync_core.services.conflict_bulk_views import BulkPreview, BulkResult
from sync_core.services.conflict_views import ConflictPage
from sync_core.services.conflicts import ConflictQuery
from sync_core.store import conflict_viewers
from sync_core.store.conflict_viewers import LEASE_SECONDS
from sync_core.store.database import Database
from tests.conflict_data import make_conflicts, member
from tests.conftest import make_workspace
from tests.support import rows


async def conflict_ids(database: Database, workspace_id: UUID, count: int) -> list[UUID]:
    await make_conflicts(database, workspace_id, count)
    found = await rows(database, workspace_id, "SELECT id FROM payment_sync_conflicts ORDER BY created_at")
    return [row["id"] for row in found]


async def aged(database: Database, actor: Actor, seconds: int) -> None:
    """As if this person had last been seen so long ago."""
    await rows(
        database,
        actor.workspace_id,
        "UPDATE payment_sync_conflict_viewers SET seen_at = now() - :seconds * interval '1 second' WHERE user_id = :user RETURNING 1",
        seconds=seconds,
        user=actor.user_id,
    )


async def kept(database: Database, workspace_id: UUID) -> int:
    return len(await rows(database, workspace_id, "SELECT 1 FROM payment_sync_conflict_viewers"))


async def test_each_sees_the_others_and_not_themselves(database: Database, workspace_id: UUID) -> None:
    first, second = await conflict_ids(database, workspace_id, 2)
    ana, ben, eve = [await member(database, workspace_id, name) for name in ("ana", "ben", "eve")]
    assert await presence.look(database, ana, first) == ()
    assert await presence.look(database, ben, first) == (ana.label,)
    assert await presence.look(database, eve, second) == ()
    assert await presence.look(database, ana, first) == (ben.label,)
    # In the list too, as it is opened and while it is.
    listed = await conflicts.list_conflicts(database, ana, ConflictQuery())
    assert isinstance(listed, ConflictPage)
    assert listed.viewers == {first: (ben.label,), second: (eve.label,)}
    assert await presence.around(database, eve, [first, second]) == {first: (ana.label, ben.label)}
    await presence.leave(database, ben, first)
    assert await presence.look(database, ana, first) == ()
    listed = await conflicts.list_conflicts(database, Actor(workspace_id, Role.VIEWER, "key"), ConflictQuery())
    assert isinstance(listed, ConflictPage)
    assert listed.viewers == {}


@pytest.mark.parametrize(
    ("seconds", "is_there"),
    [(LEASE_SECONDS - 5, True), (LEASE_SECONDS + 1, False)],
    ids=["within the lease", "after it"],
)
async def test_who_is_not_heard_of_has_gone(
    database: Database, workspace_id: UUID, seconds: int, *, is_there: bool
) -> None:
    (one,) = await conflict_ids(database, workspace_id, 1)
    ana, ben = await member(database, workspace_id, "ana"), await member(database, workspace_id, "ben")
    await presence.look(database, ana, one)
    await aged(database, ana, seconds)
    assert await presence.look(database, ben, one) == ((ana.label,) if is_there else ())
    assert await kept(database, workspace_id) == (2 if is_there else 1)
    assert await presence.look(database, ana, one) == (ben.label,)
    assert await presence.look(database, ben, one) == (ana.label,)


async def test_nothing_is_kept_for_what_is_no_conflict_here(database: Database, workspace_id: UUID) -> None:
    (one,) = await conflict_ids(database, workspace_id, 1)
    other = await make_workspace(database, "Other")
    ana, stranger = await member(database, workspace_id, "ana"), await member(database, other, "stranger")
    await presence.look(database, ana, one)
    assert await presence.look(database, stranger, one) == ()
    assert await presence.look(database, ana, one) == ()
    assert (await kept(database, other), await kept(database, workspace_id)) == (0, 1)
    program = Actor(workspace_id, Role.ADMIN, "key", api_key_id=ana.user_id)
    assert await presence.look(database, program, one) == ()
    assert await kept(database, workspace_id) == 1


async def test_a_membership_takes_its_leases_with_it(database: Database, workspace_id: UUID) -> None:
    (one,) = await conflict_ids(database, workspace_id, 1)
    ana = await member(database, workspace_id, "ana")
    await presence.look(database, ana, one)
    async with database.system() as session:
        await session.execute(text("DELETE FROM memberships WHERE user_id = :user"), {"user": ana.user_id})
    assert await kept(database, workspace_id) == 0


async def test_many_at_once_wait_for_nobody(database: Database, workspace_id: UUID) -> None:
    """Leases that ran out are renewed by their people and cleared by the others at the same moment."""
    ids = await conflict_ids(database, workspace_id, 3)
    people = [await member(database, workspace_id, f"one{number}") for number in range(4)]
    for _ in range(5):
        for person in people:
            await aged(database, person, LEASE_SECONDS + 5)
        async with asyncio.timeout(60):
            await asyncio.gather(*(presence.look(database, person, one) for person in people for one in ids))
    assert len(await presence.look(database, people[0], ids[0])) == 3


async def test_a_batch_leaves_out_nothing_that_somebody_looks_at(database: Database, workspace_id: UUID) -> None:
    (one,) = await conflict_ids(database, workspace_id, 1)
    ana, ben = await member(database, workspace_id, "ana"), await member(database, workspace_id, "ben")
    preview = await conflicts_bulk.bulk_preview(database, ben, ConflictQuery(), Rule(Choice.STRIPE))
    assert isinstance(preview, BulkPreview)
    async with database.workspace(workspace_id) as session:
        # Ana's page is being opened at this moment.
        await conflict_viewers.seen(session, workspace_id, one, ana.user_id or one)
        result = await conflicts_bulk.bulk_resolve(database, ben, preview.id, preview.hash)
    assert isinstance(result, BulkResult)
    assert (result.resolved, result.left_out_count) == (1, 0)
