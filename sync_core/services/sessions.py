"""Syncs: started, watched, cancelled, resumed, and a dry run's plan applied."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.vocabulary import EntityType, EventType, SessionStatus
from sync_core.errors import Refusal
from sync_core.jobs.starting import NOT_CONNECTED, RUNNING, queue
from sync_core.services import plan_limits
from sync_core.services.actor import Actor, Permission
from sync_core.services.plan_limits import Limits
from sync_core.services.session_views import (
    DEFAULT_CONFIG,
    EventListing,
    LastConfig,
    Listing,
    SessionReport,
    SessionView,
    event_view,
    session_view,
)
from sync_core.services.start_request import StartRequest, checked
from sync_core.store import connections, runs
from sync_core.store import sessions as store
from sync_core.store.audit import record
from sync_core.store.database import Database
from sync_core.store.reports import PlanRef, is_kept
from sync_core.store.sessions import Position, RunFilter, StoredSession

MOST_ROWS: Final = 100
PLAN_HOURS: Final = 24
_FORBIDDEN = Refusal("forbidden", "Your role may look at syncs, but not start, stop or resume them.", status=403)
FORGOTTEN = Refusal(
    "objects_forgotten",
    "What this sync had read is kept for 30 days and is gone by now. Start a new sync: it reads everything again.",
    status=409,
)
NOT_FOUND = Refusal("session_not_found", "There is no such sync in this workspace.", status=404)

T = TypeVar("T")


async def start(database: Database, actor: Actor, request: StartRequest) -> SessionView | Refusal:
    """Queue a sync; the timer takes it up within seconds."""
    if not actor.can(Permission.RUN_SYNC):
        return _FORBIDDEN
    workspace_id = actor.workspace_id
    config = checked(request, now=int(time.time()))
    if isinstance(config, Refusal):
        return config
    async with database.workspace(workspace_id) as session:
        session_id = await queue(session, workspace_id, config, by=actor.label)
        if isinstance(session_id, Refusal):
            return session_id
        return await _view(session, workspace_id, session_id) or NOT_FOUND


async def get(database: Database, actor: Actor, session_id: UUID) -> SessionView | Refusal:
    """Another workspace's sync does not exist here."""
    async with database.workspace(actor.workspace_id) as session:
        return await _view(session, actor.workspace_id, session_id) or NOT_FOUND


async def list_sessions(
    database: Database,
    actor: Actor,
    *,
    cursor: str | None = None,
    limit: int = 25,
    only: RunFilter = RunFilter(),  # noqa: B008 - it can't be changed
) -> Listing | Refusal:
    after = _position(cursor)
    if isinstance(after, Refusal):
        return after
    limit = max(1, min(limit, MOST_ROWS))
    async with database.workspace(actor.workspace_id) as session:
        rows = await store.page(session, actor.workspace_id, limit=limit + 1, after=after, only=only)
        shown, more = _cut(rows, limit)
        counted = await store.entity_runs(session, actor.workspace_id, [row.id for row in shown])
    items = tuple(session_view(actor.workspace_id, row, counted[row.id]) for row in shown)
    return Listing(items, _cursor(shown[-1].created_at, shown[-1].id) if more else None)


async def starters(database: Database, actor: Actor) -> tuple[str, ...]:
    """Who has started syncs of this workspace, to choose from."""
    async with database.workspace(actor.workspace_id) as session:
        return tuple(await store.starters(session, actor.workspace_id))


async def cancel(database: Database, actor: Actor, session_id: UUID) -> SessionView | Refusal:
    """Ask a sync to stop; what was written stays, and it can be resumed."""
    if not actor.can(Permission.RUN_SYNC):
        return _FORBIDDEN
    workspace_id = actor.workspace_id
    async with database.workspace(workspace_id) as session:
        found = await store.read(session, workspace_id, session_id)
        if found is None:
            return NOT_FOUND
        if await runs.request_cancel(session, workspace_id, session_id) is None:
            ended = f"This sync is not running: it is {found.status.label.lower()}."
            return Refusal("session_not_open", ended, status=409)
        await record(session, workspace_id, actor.label, "sync.cancelled", target=str(session_id), details={})
        return await _view(session, workspace_id, session_id) or NOT_FOUND


async def resume(database: Database, actor: Actor, session_id: UUID) -> SessionView | Refusal:
    """Go on where a sync that failed, was cancelled or left errors has stopped."""
    if not actor.can(Permission.RUN_SYNC):
        return _FORBIDDEN
    workspace_id = actor.workspace_id
    async with database.workspace(workspace_id) as session:
        found = await store.read(session, workspace_id, session_id)
        refusal = NOT_FOUND if found is None else await _not_resumable(session, workspace_id, found)
        if refusal is not None:
            return refusal
        if await runs.requeue(session, workspace_id, session_id) is None:
            return RUNNING
        await record(session, workspace_id, actor.label, "sync.resumed", target=str(session_id), details={})
        return await _view(session, workspace_id, session_id) or NOT_FOUND


async def apply(
    database: Database, actor: Actor, source_session_id: UUID, *, limit: int | None = None, clean_hash: str = ""
) -> SessionView | Refusal:
    """Carry out a dry run's plan, all of it or its first `limit` objects. Nothing is fetched again.

    `clean_hash` is of the plan that was found without warnings: where that is enough, it needs nobody's approval.
    """
    if not actor.can(Permission.RUN_SYNC):
        return _FORBIDDEN
    if limit is not None and limit < 1:
        return Refusal("limit_out_of_range", "Apply at least one object of the plan.", field="limit")
    workspace_id = actor.workspace_id
    async with database.workspace(workspace_id) as session:
        await store.lock(session, workspace_id, source_session_id)
        source = await store.read(session, workspace_id, source_session_id)
        if source is None:
            return NOT_FOUND
        limits = plan_limits.of((await store.defaults(session, workspace_id)).settings)
        refusal = (
            _not_a_plan(source)
            or _not_approved(source, limits, clean_hash)
            or await _not_applicable(session, workspace_id, source)
        )
        if refusal is not None or source.connection_id is None:
            return refusal or NOT_CONNECTED
        session_id = await runs.enqueue(
            session,
            workspace_id,
            replace(source.config, dry_run=False, limit=limit),
            connection_id=source.connection_id,
            created_by=actor.label,
            source_session_id=source.id,
        )
        if session_id is None:
            return RUNNING
        details = {"source_session_id": str(source.id), "limit": limit}
        await record(session, workspace_id, actor.label, "sync.plan_applied", target=str(session_id), details=details)
        return await _view(session, workspace_id, session_id) or NOT_FOUND


async def events(
    database: Database,
    actor: Actor,
    session_id: UUID,
    *,
    cursor: str | None = None,
    limit: int = 50,
    event_type: EventType | None = None,
    entity_type: EntityType | None = None,
) -> EventListing | Refusal:
    after = _position(cursor)
    if isinstance(after, Refusal):
        return after
    limit = max(1, min(limit, MOST_ROWS))
    async with database.workspace(actor.workspace_id) as session:
        if await store.read(session, actor.workspace_id, session_id) is None:
            return NOT_FOUND
        rows = await store.events(
            session,
            actor.workspace_id,
            session_id,
            limit=limit + 1,
            after=after,
            event_type=event_type,
            entity_type=entity_type,
        )
    shown, more = _cut(rows, limit)
    cursor = _cursor(shown[-1].occurred_at, shown[-1].id) if more else None
    return EventListing(tuple(event_view(row) for row in shown), cursor)


async def report(database: Database, actor: Actor, session_id: UUID) -> SessionReport | Refusal:
    async with database.workspace(actor.workspace_id) as session:
        view = await _view(session, actor.workspace_id, session_id)
        if view is None:
            return NOT_FOUND
        reasons = await store.reasons(session, actor.workspace_id, session_id)
    return SessionReport(view, tuple(reasons))


async def last_config(database: Database, actor: Actor) -> LastConfig:
    async with database.workspace(actor.workspace_id) as session:
        found = await store.latest(session, actor.workspace_id)
    return LastConfig(DEFAULT_CONFIG, True) if found is None else LastConfig(found.config, False)


async def _view(session: AsyncSession, workspace_id: UUID, session_id: UUID) -> SessionView | None:
    found = await store.read(session, workspace_id, session_id)
    if found is None:
        return None
    counted = await store.entity_runs(session, workspace_id, [session_id])
    return session_view(workspace_id, found, counted[session_id])


async def _not_resumable(session: AsyncSession, workspace_id: UUID, found: StoredSession) -> Refusal | None:
    if found.status.is_open:
        return Refusal("session_open", "This sync is running already.", status=409)
    if found.status is SessionStatus.COMPLETED:
        return Refusal("session_completed", "This sync is complete: there is nothing left to do.", status=409)
    connection = await connections.active(session, workspace_id)
    if connection is None or connection.id != found.connection_id:
        message = "The account that this sync read is not connected any more. Connect it again first."
        return Refusal("not_connected", message, field="connection", status=409)
    plan = PlanRef(workspace_id, found.id, found.source_session_id or found.id)
    return None if await is_kept(session, plan) else FORGOTTEN


def _not_a_plan(source: StoredSession) -> Refusal | None:
    if not source.config.dry_run:
        return Refusal("not_a_dry_run", "Only a dry run has a plan to apply.", status=409)
    if source.completed_at is None or source.status not in (SessionStatus.COMPLETED, SessionStatus.PARTIAL):
        return Refusal("dry_run_unfinished", "This dry run did not finish: it has no whole plan to apply.", status=409)
    age = datetime.now(UTC) - source.completed_at
    if age.total_seconds() > PLAN_HOURS * 3600:
        message = f"This plan is older than {PLAN_HOURS} hours. Make a new dry run: Stripe has moved on since."
        return Refusal("plan_expired", message, status=409)
    return None


def _not_approved(source: StoredSession, limits: Limits, clean_hash: str) -> Refusal | None:
    if not limits.approval:
        return None
    if source.plan_hash is not None:
        clean = limits.approve_clean and clean_hash == source.plan_hash
        if clean or source.approved_hash == source.plan_hash:
            return None
    message = (
        "This workspace applies a plan only when somebody else than who made it has approved it."
        " That is done in its report, by a person who is signed in: an API key can't."
    )
    return Refusal("plan_not_approved", message, status=409)


async def _not_applicable(session: AsyncSession, workspace_id: UUID, source: StoredSession) -> Refusal | None:
    connection = await connections.active(session, workspace_id)
    if connection is None or connection.id != source.connection_id:
        message = "The account that this plan was made from is not connected any more."
        return Refusal("not_connected", message, field="connection", status=409)
    if await store.applied_by(session, workspace_id, source.id) is not None:
        return Refusal("plan_applied", "This plan has been applied already.", status=409)
    return None


def _cut(rows: Sequence[T], limit: int) -> tuple[Sequence[T], bool]:
    """One row more than wanted was read: it says whether there is another page."""
    return rows[:limit], len(rows) > limit


def _cursor(at: datetime, row_id: UUID) -> str:
    # Whole microseconds, which is what PostgreSQL keeps: a float would lose some.
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return f"{(since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds:x}-{row_id.hex}"


def _position(cursor: str | None) -> Position | Refusal | None:
    if cursor is None or not cursor:
        return None
    time_part, _, id_part = cursor.partition("-")
    try:
        micros = int(time_part, 16)
        at = datetime.fromtimestamp(micros // 1_000_000, UTC).replace(microsecond=micros % 1_000_000)
        return Position(at, UUID(hex=id_part))
    except (ValueError, OverflowError, OSError):
        return Refusal("cursor_invalid", "This cursor is not one that a list returned.", field="cursor")
