"""Reviewing conflicts one at a time: the list, one three ways, choices kept, settled.

Counts: `conflict_facets`. Many at a time, `conflicts_bulk`; undo: `conflict_undo`. Files: `conflicts_files`. Assigning: `conflict_handling`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

import psycopg
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.conflict_rules import Rule, chosen
from sync_core.domain.resolution import Taken, misfit
from sync_core.domain.vocabulary import Choice, ConflictStatus, EntityType
from sync_core.errors import Refusal
from sync_core.services.actor import Actor, Permission
from sync_core.services.conflict_building import conflict_view, cursor_of, pending_of, position_of, row_view
from sync_core.services.conflict_facets import FORBIDDEN
from sync_core.services.conflict_settling import MOVED, SETTLED, moved, settled_already, settlement
from sync_core.services.conflict_views import (
    ConflictPage,
    ConflictRefusal,
    ConflictView,
    Resolved,
)
from sync_core.store import conflict_journal as journal
from sync_core.store import conflict_writes as writes
from sync_core.store import conflicts as store
from sync_core.store import last_changes
from sync_core.store.audit import record as audit
from sync_core.store.conflict_holding import Held, hold
from sync_core.store.conflict_query import Cell, ConflictQuery
from sync_core.store.conflict_reviews import is_ticked
from sync_core.store.conflicts import StoredConflict
from sync_core.store.database import Database
from sync_core.store.record_details import dependents, target

__all__ = [
    "ConflictQuery",
    "choose",
    "get",
    "list_conflicts",
    "resolve",
]

NOT_FOUND = Refusal("not_found", "There is no such conflict in this workspace.", status=404)
PAGE_SIZE, LARGEST_PAGE = 50, 100


async def list_conflicts(
    database: Database, actor: Actor, query: ConflictQuery, cursor: str | None = None, limit: int = PAGE_SIZE
) -> ConflictPage | Refusal:
    if not actor.can(Permission.VIEW):
        return FORBIDDEN
    async with database.workspace(actor.workspace_id) as session:
        return await page_in(session, actor, query, cursor, limit)


async def page_in(
    session: AsyncSession,
    actor: Actor,
    query: ConflictQuery,
    cursor: str | None,
    limit: int,
    among: Sequence[Cell] | None = None,
) -> ConflictPage:
    """`among` are the cells of the `wide` query, where they are known already."""
    query = query.by(actor.user_id)
    size, at = max(1, min(limit, LARGEST_PAGE)), position_of(cursor, query.sort)
    if among is None:
        among = await store.cells_for(session, actor.workspace_id, query)
    found = await store.page(session, actor.workspace_id, query, at, size + 1, among, actor.user_id)
    backward = at is not None and at.backward
    more = len(found) > size
    shown = (found[1:] if backward else found[:-1]) if more else found
    return ConflictPage(
        tuple(row_view(one) for one in shown),
        next_cursor=cursor_of(shown[-1], query.sort) if shown and (more or backward) else None,
        previous_cursor=cursor_of(shown[0], query.sort, backward=True)
        if shown and at and (more or not backward)
        else None,
        viewers={one.id: tuple(one.viewers) for one in shown if one.viewers},
        reviewed=frozenset(one.id for one in shown if one.reviewed),
    )


async def get(
    database: Database, actor: Actor, conflict_id: UUID, query: ConflictQuery | None = None
) -> ConflictView | Refusal:
    """With a query, the ids of its neighbours in that list too."""
    if not actor.can(Permission.VIEW):
        return FORBIDDEN
    async with database.workspace(actor.workspace_id) as session:
        stored = await store.one(session, actor.workspace_id, conflict_id)
        if stored is None:
            return NOT_FOUND
        view = await full_view(session, actor, stored)
        if query is None:
            return view
        before, after = await store.neighbours(session, actor.workspace_id, query.by(actor.user_id), stored)
    return replace(view, previous_id=before, next_id=after)


async def full_view(session: AsyncSession, actor: Actor, stored: StoredConflict) -> ConflictView:
    """With the history of the conflict that it reopens, where it does."""
    workspace, entity = actor.workspace_id, EntityType(stored.entity_type)
    ids = [stored.id, *([stored.reopens] if stored.reopens else [])]
    view = conflict_view(
        stored,
        await store.record_note(session, workspace, stored),
        await journal.of_conflicts(session, workspace, ids),
        await store.comments(session, workspace, ids),
        await last_changes.of_conflict(session, workspace, stored.id) if stored.status == ConflictStatus.OPEN else {},
    )
    return replace(
        view,
        dependents=await dependents(session, workspace, entity, stored.record_id),
        newer_id=await store.open_beside(session, workspace, stored),
        reviewed=await is_ticked(session, workspace, stored.id, actor.user_id),
    )


async def choose(
    database: Database, actor: Actor, conflict_id: UUID, key: str, taken: Taken | None, *, expected_revision: int
) -> ConflictView | Refusal:
    """Keep a choice until it is applied, or forget it (None). Keys: see `domain.resolution`."""
    if not actor.can(Permission.RESOLVE_CONFLICTS):
        return FORBIDDEN
    async with database.workspace(actor.workspace_id) as session:
        held = await _hold(session, actor, conflict_id)
        if held is None:
            return NOT_FOUND
        refused = await _overtaken(session, actor, held, expected_revision)
        if refused is not None:
            return refused
        wrong = None if taken is None else misfit(held.conflict.dispute, key, taken)
        if wrong is not None:
            return Refusal("value_invalid", wrong.message, field=wrong.key)
        choices = pending_of(held.conflict.choices)
        others = {one: made for one, made in choices.items() if not _replaces(key, one)}
        if taken is not None:
            others[key] = replace(taken, by=actor.label)
        stored = replace(held.conflict, choices={one: made.to_json() for one, made in others.items()})
        await store.save_choices(session, actor.workspace_id, conflict_id, held.conflict.revision, stored.choices)
        return await full_view(session, actor, replace(stored, revision=stored.revision + 1))


def _replaces(key: str, other: str) -> bool:
    """A choice for a field replaces those for its keys, and the other way round."""
    return other == key or other.startswith(f"{key}.") or key.startswith(f"{other}.")


async def _hold(session: AsyncSession, actor: Actor, conflict_id: UUID) -> Held | None:
    """The conflict and its record, locked."""
    stored = await store.one(session, actor.workspace_id, conflict_id)
    if stored is None:
        return None
    held = await hold(session, actor.workspace_id, EntityType(stored.entity_type), [conflict_id])
    return held[0] if held else None


async def _overtaken(session: AsyncSession, actor: Actor, held: Held, revision: int | None) -> ConflictRefusal | None:
    """Somebody was faster: their decision, or the record as it is now. A record that has moved is taken into the conflict."""
    conflict = held.conflict
    if conflict.status != ConflictStatus.OPEN:
        view = await full_view(session, actor, conflict)
        return ConflictRefusal(SETTLED, settled_already(conflict), status=409, view=view)
    now = moved(held)
    if now is not None:
        await writes.refresh(session, actor.workspace_id, conflict.id, now, held.record.row_version)
        stored = await store.one(session, actor.workspace_id, conflict.id)
        assert stored is not None
        message = "The record was changed meanwhile: here are its new values."
        return ConflictRefusal(MOVED, message, status=409, view=await full_view(session, actor, stored))
    if revision is not None and revision != conflict.revision:
        view = await full_view(session, actor, conflict)
        return ConflictRefusal(MOVED, "Somebody changed this conflict since you opened it.", status=409, view=view)
    return None


async def resolve(
    database: Database,
    actor: Actor,
    conflict_id: UUID,
    *,
    choices: Mapping[str, Taken] | None = None,
    take_all: Choice | None = None,
    expected_revision: int | None = None,
) -> Resolved | Refusal:
    """Settle a conflict by `choices`, by one side for everything, or, with neither, by the choices that are pending."""
    if not actor.can(Permission.RESOLVE_CONFLICTS):
        return FORBIDDEN
    if take_all is Choice.CUSTOM:
        return Refusal("value_invalid", "A value of your own is given field by field.", field="take")
    try:
        return await _resolve(database, actor, conflict_id, _Given(choices, take_all, expected_revision))
    except (psycopg.DataError, psycopg.IntegrityError) as unfit:
        return Refusal("value_refused", f"The database refuses these values together: {_cause(unfit)}")


def _cause(unfit: psycopg.Error) -> str:
    return unfit.diag.message_primary or str(unfit).splitlines()[0]


@dataclass(frozen=True, slots=True)
class _Given:
    choices: Mapping[str, Taken] | None
    take_all: Choice | None
    revision: int | None

    def choices_for(self, conflict: StoredConflict) -> Mapping[str, Taken]:
        if self.take_all is not None:
            return chosen(conflict.dispute, Rule(self.take_all))
        return pending_of(conflict.choices) if self.choices is None else self.choices


async def _resolve(database: Database, actor: Actor, conflict_id: UUID, given: _Given) -> Resolved | Refusal:
    async with database.workspace(actor.workspace_id, user_id=actor.user_id) as session:
        held = await _hold(session, actor, conflict_id)
        if held is None:
            return NOT_FOUND
        overtaken = await _overtaken(session, actor, held, given.revision)
        if overtaken is not None:
            return overtaken
        made = given.choices_for(held.conflict)
        settled = settlement(held, made, given.revision)
        if isinstance(settled, Refusal):
            return settled
        batch_id = uuid4()
        entity = held.conflict.dispute.entity
        await writes.settle(
            session, actor.workspace_id, entity, [settled], actor=actor.label, batch_id=batch_id, alone=True
        )
        details = {"conflict": str(conflict_id), "choices": {key: one.take.value for key, one in made.items()}}
        where = target(entity, held.record.record_id)
        await audit(session, actor.workspace_id, actor.label, "conflict.resolved", target=where, details=details)
        stored = await store.one(session, actor.workspace_id, conflict_id)
        assert stored is not None
        view = await full_view(session, actor, stored)
    return Resolved(view, view.decisions[0].id, batch_id)
