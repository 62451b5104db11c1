"""Reviewing conflicts one at a time: lists, counts, one three ways, choices kept, settled, taken back.

Many at a time: `conflicts_bulk`. Files: `conflicts_files`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import FIELDS
from sync_core.domain.resolution import Rule, Taken, chosen, misfit
from sync_core.domain.vocabulary import Choice, ConflictStatus, EntityType, ReasonCode
from sync_core.errors import Refusal
from sync_core.services.actor import Actor, Permission
from sync_core.services.conflict_building import choices_of, conflict_view, cursor_of, position_of, row_view
from sync_core.services.conflict_settling import MOVED, SETTLED, moved, settlement
from sync_core.services.conflict_views import (
    ConflictPage,
    ConflictRefusal,
    ConflictView,
    Facets,
    FacetValue,
    LastDecision,
    Resolved,
)
from sync_core.store import conflict_journal as journal
from sync_core.store import conflict_writes as writes
from sync_core.store import conflicts as store
from sync_core.store.audit import record as audit
from sync_core.store.conflicts import ConflictQuery, StoredConflict
from sync_core.store.database import Database
from sync_core.store.record_details import target

__all__ = [
    "ConflictQuery",
    "add_comment",
    "assign",
    "choose",
    "facets",
    "get",
    "last_decision",
    "list_conflicts",
    "resolve",
]

FORBIDDEN = Refusal("forbidden", "Your role does not allow this.", status=403)
NOT_FOUND = Refusal("not_found", "There is no such conflict in this workspace.", status=404)
PAGE_SIZE, LARGEST_PAGE = 50, 100
COMMENT_LENGTH = 2_000


async def list_conflicts(
    database: Database, actor: Actor, query: ConflictQuery, cursor: str | None = None, limit: int = PAGE_SIZE
) -> ConflictPage | Refusal:
    """Newest first."""
    if not actor.can(Permission.VIEW):
        return FORBIDDEN
    size, at = max(1, min(limit, LARGEST_PAGE)), position_of(cursor)
    async with database.workspace(actor.workspace_id) as session:
        found = await store.page(session, actor.workspace_id, query, at, size + 1)
    backward = at is not None and at.backward
    more = len(found) > size
    shown = (found[1:] if backward else found[:-1]) if more else found
    return ConflictPage(
        tuple(row_view(one) for one in shown),
        next_cursor=cursor_of(shown[-1]) if shown and (more or backward) else None,
        previous_cursor=cursor_of(shown[0], backward=True) if shown and at and (more or not backward) else None,
    )


async def facets(database: Database, actor: Actor, query: ConflictQuery) -> Facets | Refusal:
    """What could be filtered by, counted. The search limits all counts."""
    if not actor.can(Permission.VIEW):
        return FORBIDDEN
    wide = ConflictQuery(search=query.search, status=query.status, snoozed=query.snoozed)
    async with database.workspace(actor.workspace_id) as session:
        cells = await store.cells(session, actor.workspace_id, wide)
        starts = await store.session_starts(session, actor.workspace_id, [*{cell.session_id for cell in cells}])
    return _facets(query, cells, starts)


def _facets(query: ConflictQuery, cells: Sequence[store.Cell], starts: Mapping[UUID, datetime]) -> Facets:
    def counted(without: str, values: Any) -> Counter[str]:
        counts: Counter[str] = Counter()
        for cell in cells:
            if _fits(query, cell, without):
                counts.update(dict.fromkeys(values(cell), cell.count))
        return counts

    labels = {one.name: one.label for entity in _entities(query) for one in FIELDS[entity]}
    sessions = counted("session", lambda cell: [str(cell.session_id)])
    newest = sorted(sessions, key=lambda one: starts.get(UUID(one), datetime.min.replace(tzinfo=UTC)), reverse=True)
    return Facets(
        entity=_words(counted("entity", lambda cell: [cell.entity_type]), EntityType),
        field=_values(counted("field", lambda cell: set(cell.fields)), labels),
        reason=_words(counted("reason", lambda cell: [cell.reason_code]), ReasonCode),
        session=tuple(FacetValue(one, _started(starts, one), sessions[one]) for one in newest[:10]),
        assignee=_values(counted("assignee", lambda cell: [cell.assignee] if cell.assignee else []), {}),
        matching=sum(cell.count for cell in cells if _fits(query, cell)),
        total=sum(cell.count for cell in cells),
    )


def _entities(query: ConflictQuery) -> tuple[EntityType, ...]:
    return (query.entity,) if query.entity else tuple(EntityType)


def _fits(query: ConflictQuery, cell: store.Cell, without: str = "") -> bool:
    """Whether conflicts of a cell match, the facet named in `without` aside."""
    return (
        (without == "entity" or query.entity is None or query.entity.value == cell.entity_type)
        and (without == "field" or query.field is None or query.field in cell.fields)
        and (without == "reason" or query.reason is None or query.reason.value == cell.reason_code)
        and (without == "session" or query.session_id is None or query.session_id == cell.session_id)
        and (without == "assignee" or query.assignee is None or query.assignee == cell.assignee)
    )


def _words(counts: Counter[str], words: Iterable[EntityType] | Iterable[ReasonCode]) -> tuple[FacetValue, ...]:
    return tuple(FacetValue(one.value, one.label, counts[one.value]) for one in words if counts[one.value])


def _values(counts: Counter[str], labels: Mapping[str, str]) -> tuple[FacetValue, ...]:
    return tuple(FacetValue(value, labels.get(value, value), count) for value, count in counts.most_common())


def _started(starts: Mapping[UUID, datetime], session_id: str) -> str:
    at = starts.get(UUID(session_id))
    return at.isoformat() if at else ""


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
        view = await _full_view(session, actor, stored)
        if query is None:
            return view
        at = store.Position(stored.created_at, stored.id)
        before, after = await store.neighbours(session, actor.workspace_id, query, at)
    return replace(view, previous_id=before, next_id=after)


async def _full_view(session: AsyncSession, actor: Actor, stored: StoredConflict) -> ConflictView:
    workspace = actor.workspace_id
    note = await store.record_note(session, workspace, EntityType(stored.entity_type), stored.record_id)
    decisions = await journal.of_conflict(session, workspace, stored.id)
    comments = await store.comments(session, workspace, stored.id)
    return conflict_view(stored, note, decisions, comments)


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
        choices = choices_of(held.conflict.choices)
        others = {one: made for one, made in choices.items() if not _replaces(key, one)}
        if taken is not None:
            others[key] = replace(taken, by=actor.label)
        stored = replace(held.conflict, choices={one: made.to_json() for one, made in others.items()})
        await store.save_choices(session, actor.workspace_id, conflict_id, held.conflict.revision, stored.choices)
        return await _full_view(session, actor, replace(stored, revision=stored.revision + 1))


def _replaces(key: str, other: str) -> bool:
    """A choice for a field replaces those for its keys, and the other way round."""
    return other == key or other.startswith(f"{key}.") or key.startswith(f"{other}.")


async def _hold(session: AsyncSession, actor: Actor, conflict_id: UUID) -> writes.Held | None:
    """The conflict and its record, locked."""
    stored = await store.one(session, actor.workspace_id, conflict_id)
    if stored is None:
        return None
    held = await writes.hold(session, actor.workspace_id, EntityType(stored.entity_type), [conflict_id])
    return held[0] if held else None


async def _overtaken(
    session: AsyncSession, actor: Actor, held: writes.Held, revision: int | None
) -> ConflictRefusal | None:
    """Somebody was faster: their decision, or the record as it is now. A record that has moved is taken into the conflict."""
    conflict = held.conflict
    if conflict.status != ConflictStatus.OPEN:
        who = conflict.resolved_by or "Somebody"
        view = await _full_view(session, actor, conflict)
        return ConflictRefusal(SETTLED, f"{who} has settled this already.", status=409, view=view)
    now = moved(held)
    if now is not None:
        await writes.refresh(session, actor.workspace_id, conflict.id, now, held.record.row_version)
        stored = await store.one(session, actor.workspace_id, conflict.id)
        assert stored is not None
        message = "The record was changed meanwhile: here are its new values."
        return ConflictRefusal(MOVED, message, status=409, view=await _full_view(session, actor, stored))
    if revision is not None and revision != conflict.revision:
        view = await _full_view(session, actor, conflict)
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
        return choices_of(conflict.choices) if self.choices is None else self.choices


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
        await writes.settle(session, actor.workspace_id, entity, [settled], actor=actor.label, batch_id=batch_id)
        details = {"conflict": str(conflict_id), "choices": {key: one.take.value for key, one in made.items()}}
        where = target(entity, held.record.record_id)
        await audit(session, actor.workspace_id, actor.label, "conflict.resolved", target=where, details=details)
        stored = await store.one(session, actor.workspace_id, conflict_id)
        assert stored is not None
        view = await _full_view(session, actor, stored)
    return Resolved(view, view.decisions[0].id, batch_id)


async def last_decision(database: Database, actor: Actor) -> LastDecision | None:
    """What `conflicts_bulk.undo_batch` would take back for this actor."""
    async with database.workspace(actor.workspace_id) as session:
        found = await journal.last_batch(session, actor.workspace_id, actor.label)
    if found is None:
        return None
    return LastDecision(found.batch_id, found.rows, found.standing, found.label, found.created_at)


async def assign(
    database: Database,
    actor: Actor,
    conflict_id: UUID,
    *,
    assignee: str | None,
    snoozed_until: datetime | None,
) -> ConflictView | Refusal:
    """Who looks after it, and until when it leaves the open list. Neither touches what is decided."""
    if not actor.can(Permission.RESOLVE_CONFLICTS):
        return FORBIDDEN
    async with database.workspace(actor.workspace_id) as session:
        kept = await store.save_handling(
            session, actor.workspace_id, conflict_id, assignee=assignee, snoozed_until=snoozed_until
        )
        stored = await store.one(session, actor.workspace_id, conflict_id)
        if stored is None:
            return NOT_FOUND
        view = await _full_view(session, actor, stored)
    return view if kept else ConflictRefusal(SETTLED, "This conflict is settled.", status=409, view=view)


async def add_comment(database: Database, actor: Actor, conflict_id: UUID, body: str) -> ConflictView | Refusal:
    if not actor.can(Permission.RESOLVE_CONFLICTS):
        return FORBIDDEN
    text = body.strip().replace("\x00", "")
    if not text or len(text) > COMMENT_LENGTH:
        return Refusal("comment_invalid", f"Write up to {COMMENT_LENGTH:,} characters.", field="comment")
    async with database.workspace(actor.workspace_id) as session:
        stored = await store.one(session, actor.workspace_id, conflict_id)
        if stored is None:
            return NOT_FOUND
        await store.add_comment(session, actor.workspace_id, conflict_id, actor.label, text)
        return await _full_view(session, actor, stored)
