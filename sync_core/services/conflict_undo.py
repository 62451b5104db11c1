"""Decisions taken back: one, a batch, or somebody else's that was faster. Planned from the record's present state.

What nobody touched since becomes what it was before; what somebody changed stays theirs, and the conflict asks about it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from uuid import UUID

import psycopg
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.resolution import Taken, misfit
from sync_core.domain.vocabulary import ConflictStatus, EntityType
from sync_core.errors import Refusal
from sync_core.services.actor import Actor, Permission
from sync_core.services.conflict_facets import FORBIDDEN
from sync_core.services.conflict_settling import MOVED, reopening
from sync_core.services.conflict_views import ConflictRefusal, ConflictView, LastDecision, LeftOut, Undone
from sync_core.services.conflicts import NOT_FOUND, full_view, get
from sync_core.services.conflicts_bulk import BATCH, LISTED, Progress
from sync_core.store import conflict_journal as journal
from sync_core.store import conflict_previews as previews
from sync_core.store import conflict_writes as writes
from sync_core.store import conflicts as store
from sync_core.store.audit import record as audit
from sync_core.store.conflict_holding import hold
from sync_core.store.database import Database


async def undo(database: Database, actor: Actor, decision_id: UUID) -> ConflictView | Refusal:
    """Take one decision back: the conflict is open again."""
    if not actor.can(Permission.RESOLVE_CONFLICTS):
        return FORBIDDEN
    async with database.workspace(actor.workspace_id) as session:
        decision = await journal.decision(session, actor.workspace_id, decision_id)
    if decision is None:
        return NOT_FOUND
    refused = await _all_back(database, actor, [decision])
    if refused:
        return Refusal("undo_refused", refused[0].reason, status=409)
    return await get(database, actor, decision.conflict_id)


async def reopen_with(
    database: Database, actor: Actor, conflict_id: UUID, choices: Mapping[str, Taken], *, expected_revision: int
) -> ConflictView | Refusal:
    """Take back what somebody else decided, and keep one's own choices beside the reopened conflict. Nothing is applied by it."""
    if not actor.can(Permission.RESOLVE_CONFLICTS):
        return FORBIDDEN
    async with database.workspace(actor.workspace_id) as session:
        stored = await store.one(session, actor.workspace_id, conflict_id)
        if stored is None:
            return NOT_FOUND
        if stored.revision != expected_revision:
            view = await full_view(session, actor, stored)
            return ConflictRefusal(MOVED, "This conflict has changed since you looked at it.", status=409, view=view)
        if stored.status == ConflictStatus.RESOLVED:
            decision = next(
                (one for one in await journal.of_conflicts(session, actor.workspace_id, [conflict_id])), None
            )
            if decision is None:
                return Refusal("undo_refused", "A sync closed it: both sides agree.", status=409)
            refused = await _take_back(session, actor, EntityType(stored.entity_type), [decision])
            if refused:
                return Refusal("undo_refused", refused[0].reason, status=409)
            await audit(
                session, actor.workspace_id, actor.label, "conflict.reopened", target=str(conflict_id), details={}
            )
        return await _with_choices(session, actor, conflict_id, choices)


async def _with_choices(
    session: AsyncSession, actor: Actor, conflict_id: UUID, choices: Mapping[str, Taken]
) -> ConflictView | Refusal:
    stored = await store.one(session, actor.workspace_id, conflict_id)
    assert stored is not None
    fitting = {
        key: replace(taken, by=actor.label).to_json()
        for key, taken in choices.items()
        if misfit(stored.dispute, key, taken) is None
    }
    await store.save_choices(session, actor.workspace_id, conflict_id, stored.revision, fitting)
    again = await store.one(session, actor.workspace_id, conflict_id)
    assert again is not None
    return await full_view(session, actor, again)


async def last_decision(database: Database, actor: Actor) -> LastDecision | None:
    """What `undo_batch` would take back for this actor."""
    async with database.workspace(actor.workspace_id) as session:
        return await last_in(session, actor)


async def last_in(session: AsyncSession, actor: Actor) -> LastDecision | None:
    found = await journal.last_batch(session, actor.workspace_id, actor.label)
    if found is None:
        return None
    return LastDecision(found.batch_id, found.rows, found.standing, found.label, found.created_at)


async def undo_batch(
    database: Database, actor: Actor, batch_id: UUID, *, progress: Progress | None = None
) -> Undone | Refusal:
    """Take back every decision of a batch that can be. Those that can't are listed, and stand."""
    if not actor.can(Permission.RESOLVE_CONFLICTS):
        return FORBIDDEN
    await database.refresh_statistics(["payment_sync_conflict_decisions"], BATCH)
    done, seen, count = 0, 0, 0
    refused: list[LeftOut] = []
    after: journal.StoredDecision | None = None
    while True:
        async with database.workspace(actor.workspace_id, by_key=True) as session:
            found = await journal.of_batch(session, actor.workspace_id, batch_id, after=after, size=BATCH)
        if not found:
            break
        left = await _all_back(database, actor, found)
        after, seen = found[-1], seen + len(found)
        done, count = done + len(found) - len(left), count + len(left)
        refused = [*refused, *left][:LISTED]
        if progress is not None:
            await progress(seen, seen)
    if not seen:
        return Refusal("nothing_to_undo", "These decisions have been taken back already, or never were.", status=404)
    await _audit_undo(database, actor, batch_id, done)
    return Undone(done, count, tuple(refused))


async def _audit_undo(database: Database, actor: Actor, batch_id: UUID, rows: int) -> None:
    async with database.workspace(actor.workspace_id) as session:
        await previews.note_undone(session, actor.workspace_id, batch_id, rows)
        await audit(
            session, actor.workspace_id, actor.label, "conflict.undone", target=str(batch_id), details={"rows": rows}
        )


async def _all_back(database: Database, actor: Actor, decisions: Sequence[journal.StoredDecision]) -> list[LeftOut]:
    """In one transaction. Where the database refuses what a record was before, that one is found by halving, and stands."""
    try:
        async with database.workspace(actor.workspace_id, by_key=True) as session:
            left = list[LeftOut]()
            for word, group in groupby(decisions, key=lambda one: one.entity_type):
                left += await _take_back(session, actor, EntityType(word), list(group))
            return left
    except (psycopg.DataError, psycopg.IntegrityError) as unfit:
        if len(decisions) == 1:
            why = f"The database refuses what it was before: {unfit.diag.message_primary}"
            return [LeftOut(decisions[0].conflict_id, "", why)]
        half = len(decisions) // 2
        return [
            *await _all_back(database, actor, decisions[:half]),
            *await _all_back(database, actor, decisions[half:]),
        ]


async def _take_back(
    session: AsyncSession, actor: Actor, entity: EntityType, decisions: Sequence[journal.StoredDecision]
) -> list[LeftOut]:
    """Those that could not be taken back, with the reason. Of several about one record the last goes first."""
    newest: dict[UUID, journal.StoredDecision] = {}
    for one in sorted(decisions, key=lambda one: (one.created_at, one.id)):
        newest[one.record_id] = one
    refused = await _take_back_once(session, actor, entity, list(newest.values()))
    older = [one for one in decisions if newest[one.record_id] is not one]
    return refused + (await _take_back(session, actor, entity, older) if older else [])


async def _take_back_once(
    session: AsyncSession, actor: Actor, entity: EntityType, decisions: Sequence[journal.StoredDecision]
) -> list[LeftOut]:
    """One decision for each record."""
    ids = [one.conflict_id for one in decisions]
    held = {one.conflict.id: one for one in await hold(session, actor.workspace_id, entity, ids, skip_locked=True)}
    # As they stand now that the conflicts are locked: somebody may have been faster.
    standing = await journal.standing(session, actor.workspace_id, [one.id for one in decisions])
    created = [UUID(one.after["created"]) for one in decisions if one.after.get("created")]
    used = await journal.in_use(session, actor.workspace_id, entity, created)
    reopenings, refused = list[writes.Reopening](), list[LeftOut]()
    for one in decisions:
        found = held.get(one.conflict_id)
        if found is None:
            refused.append(LeftOut(one.conflict_id, "", "Somebody else is writing the record at this moment."))
            continue
        made = one.after.get("created")
        planned = (
            reopening(found, one, in_use=made is not None and UUID(made) in used)
            if one.id in standing
            else "It has been taken back already."
        )
        if isinstance(planned, str):
            refused.append(LeftOut(one.conflict_id, found.conflict.label, planned))
        else:
            reopenings.append(planned)
    if reopenings:
        await writes.reopen(session, actor.workspace_id, entity, reopenings, actor=actor.label)
    return refused
