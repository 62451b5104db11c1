"""What failed in a run, one by one and by reason, and what can be done about it: retry one, a group or all; repair what is not stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import ORDER
from sync_core.domain.vocabulary import Action, EntityType, Phase, ReasonCode, SessionStatus, TaskKind
from sync_core.errors import Refusal
from sync_core.jobs.starting import RUNNING
from sync_core.services import sessions
from sync_core.services.actor import Actor, Permission
from sync_core.services.report import FORBIDDEN, Line, line, plan_of
from sync_core.services.session_views import SessionView
from sync_core.store import connections, runs
from sync_core.store import reports as store
from sync_core.store.audit import record
from sync_core.store.database import Database
from sync_core.store.runs import Task

MOST_ROWS: Final = 100
MOST_IDS: Final = 1_000

_FORBIDDEN = Refusal("forbidden", "Your role may look at syncs, but not retry or repair them.", status=403)
_OPEN = Refusal("session_open", "This sync is running. Wait for its end, or cancel it first.", status=409)
_UNFINISHED = Refusal(
    "session_unfinished",
    "This sync did not come to its end. Resume it: what failed is tried again with the rest.",
    status=409,
)
_NOTHING = Refusal("nothing_to_retry", "No error of this sync matches: there is nothing to retry.", status=409)
_DRY = Refusal("dry_run", "A dry run stores nothing that could be repaired.", status=409)
_NOT_CONNECTED = Refusal(
    "not_connected",
    "The account that this sync read is not connected any more. Connect it again first.",
    field="connection",
    status=409,
)
_CURSOR = Refusal("cursor_invalid", "This cursor is not one that a list returned.", field="cursor")


@dataclass(frozen=True, slots=True)
class Choice:
    """Which errors to retry: all, those of an entity type, of a reason, or these ids (of an entity type)."""

    entity: EntityType | None = None
    reason: ReasonCode | None = None
    external_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """One object that failed. `field` and `request_id` are empty when they are not known."""

    entity: EntityType
    external_id: str
    label: str
    reason: ReasonCode
    field: str
    message: str
    request_id: str

    def to_json(self) -> dict[str, Any]:
        return {
            "object": "sync_error",
            "entity_type": self.entity.value,
            "external_id": self.external_id,
            "label": self.label,
            "reason_code": self.reason.value,
            "reason": self.reason.label,
            "field": self.field or None,
            "message": self.message,
            "request_id": self.request_id or None,
            "repair": self.reason.repair,
        }


@dataclass(frozen=True, slots=True)
class Problems:
    """A page, in the order of entity types and of landing. `cursor` asks for the next one; None at the end."""

    items: tuple[Problem, ...]
    cursor: str | None


async def page(
    database: Database,
    actor: Actor,
    session_id: UUID,
    *,
    entity: EntityType | None = None,
    reason: ReasonCode | None = None,
    cursor: str | None = None,
    limit: int = 25,
) -> Problems | Refusal:
    if not actor.can(Permission.VIEW):
        return FORBIDDEN
    after = _position(cursor)
    view = await sessions.get(database, actor, session_id)
    if isinstance(view, Refusal) or isinstance(after, Refusal):
        return view if isinstance(view, Refusal) else _CURSOR
    limit = max(1, min(limit, MOST_ROWS))
    found: list[tuple[EntityType, Line]] = []
    start, place = after or (ORDER[0], 0)
    async with database.workspace(actor.workspace_id) as session:
        for one in ORDER[ORDER.index(start) :]:
            wanted = limit + 1 - len(found)
            if entity not in (None, one) or wanted == 0:
                continue
            since = place if one is start else 0
            rows = await store.rows(session, plan_of(view), one, Action.ERROR, after=since, limit=wanted, reason=reason)
            found += [(one, line(one, row, actor.time_zone)) for row in rows]
    shown = found[:limit]
    more = len(found) > limit
    return Problems(
        tuple(_problem(one, row) for one, row in shown),
        f"{shown[-1][0].value}-{shown[-1][1].seq:x}" if more else None,
    )


async def retry(database: Database, actor: Actor, session_id: UUID, choice: Choice) -> SessionView | Refusal:
    """Take an ended sync up again for its errors, or those chosen. What is needed is fetched anew, and nothing else."""
    refusal = _unfit(choice)
    if refusal is not None:
        return refusal
    task = Task(TaskKind.RETRY, choice.entity, choice.reason, choice.external_ids)
    return await _take_up(database, actor, session_id, task)


async def repair(database: Database, actor: Actor, session_id: UUID) -> SessionView | Refusal:
    """Verify an ended sync again: ask Stripe at its seams, and fetch what it read but is not stored here any more."""
    return await _take_up(database, actor, session_id, Task(TaskKind.REPAIR))


async def _take_up(database: Database, actor: Actor, session_id: UUID, task: Task) -> SessionView | Refusal:
    if not actor.can(Permission.RUN_SYNC):
        return _FORBIDDEN
    view = await sessions.get(database, actor, session_id)
    if isinstance(view, Refusal):
        return view
    async with database.workspace(actor.workspace_id) as session:
        refusal = await _not_possible(session, view, task)
        if refusal is not None:
            return refusal
        if await runs.requeue(session, actor.workspace_id, session_id, task=task) is None:
            return RUNNING
        action = "sync.retried" if task.kind is TaskKind.RETRY else "sync.repaired"
        await record(session, actor.workspace_id, actor.label, action, target=str(session_id), details=task.to_json())
    return await sessions.get(database, actor, session_id)


def can_take_up(view: SessionView) -> bool:
    """Whether it has come to its end, so that a part of it can be done again. What was stopped is resumed, whatever it had read by then."""
    read = all(one.progress.phase is Phase.DONE for one in view.entities if one.requested)
    return view.status in (SessionStatus.COMPLETED, SessionStatus.PARTIAL) and read and bool(view.entities)


async def _not_possible(session: AsyncSession, view: SessionView, task: Task) -> Refusal | None:
    connection = await connections.active(session, view.workspace_id)
    if view.status.is_open:
        return _OPEN
    if not can_take_up(view):
        return _UNFINISHED
    if task.kind is TaskKind.REPAIR and view.config.dry_run:
        return _DRY
    if connection is None or connection.id != view.connection_id:
        return _NOT_CONNECTED
    if not await store.is_kept(session, plan_of(view)):
        return sessions.FORGOTTEN
    if task.kind is TaskKind.RETRY and not await _matches(session, view, task):
        return _NOTHING
    return None


async def _matches(session: AsyncSession, view: SessionView, task: Task) -> bool:
    return await store.has_errors(session, plan_of(view), task.entity, task.reason, list(task.ids) or None)


def _unfit(choice: Choice) -> Refusal | None:
    ids = choice.external_ids
    if ids and choice.entity is None:
        return Refusal("entity_type_missing", "Say of which entity type these ids are.", field="entity_type")
    if len(ids) > MOST_IDS:
        return Refusal("too_many_ids", f"Give at most {MOST_IDS:,} ids, or a reason code.", field="external_ids")
    if choice.reason is not None and not choice.reason.is_error:
        return Refusal("not_an_error", f"{choice.reason.value} is no error: nothing failed.", field="reason_code")
    return None


def _problem(entity: EntityType, row: Line) -> Problem:
    assert row.reason is not None
    return Problem(entity, row.external_id, row.label, row.reason, row.field, row.message, row.request_id)


def _position(cursor: str | None) -> tuple[EntityType, int] | Refusal | None:
    if not cursor:
        return None
    word, _, place = cursor.partition("-")
    try:
        seq = int(place, 16)
        return (EntityType(word), seq) if 0 <= seq < 2**62 else _CURSOR
    except ValueError:
        return _CURSOR
