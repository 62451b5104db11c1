"""What the list of conflicts shows beside its rows, in one transaction: it comes with every page and every filter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.vocabulary import ConflictStatus, Strategy
from sync_core.errors import Refusal
from sync_core.services.actor import Actor, Permission
from sync_core.services.conflict_facets import FORBIDDEN, facets_in
from sync_core.services.conflict_pending import Pending, pending_in
from sync_core.services.conflict_undo import last_in
from sync_core.services.conflict_views import ConflictPage, Facets, LastDecision
from sync_core.store import sessions
from sync_core.store.conflict_query import ConflictQuery
from sync_core.store.conflict_records import Records
from sync_core.store.database import Database


@dataclass(frozen=True, slots=True)
class Beside:
    """`last` is what this person could take back, `pending` what they could apply; `run` is the last one, where nothing is listed."""

    facets: Facets
    last: LastDecision | None
    pending: Pending | None
    run: LastRun | None = None


@dataclass(frozen=True, slots=True)
class LastRun:
    """`narrower` says that an entity type or a field has a strategy of its own."""

    id: UUID
    at: datetime
    strategy: Strategy
    narrower: bool


async def beside(database: Database, actor: Actor, query: ConflictQuery, page: ConflictPage) -> Beside | Refusal:
    if not actor.can(Permission.VIEW):
        return FORBIDDEN
    async with database.workspace(actor.workspace_id) as session:
        facets = _told_apart(await facets_in(session, actor.workspace_id, query), query, page)
        may = actor.can(Permission.RESOLVE_CONFLICTS)
        last = await last_in(session, actor) if may else None
        # What is counted anyway tells whether there is anything to ask for.
        pending = await pending_in(session, actor) if may and facets.chosen else None
        run = None if page.rows else await _last_run(session, actor)
    return Beside(facets, last, pending, run)


async def _last_run(session: AsyncSession, actor: Actor) -> LastRun | None:
    found = await sessions.last(session, actor.workspace_id)
    if found is None:
        return None
    how = found.strategies
    return LastRun(found.id, found.created_at, how.default, bool(how.by_entity or how.by_field))


def _told_apart(facets: Facets, query: ConflictQuery, page: ConflictPage) -> Facets:
    """A list of one page says itself how many records it is about."""
    if facets.records or query.status is not ConflictStatus.OPEN or page.next_cursor or page.previous_cursor:
        return facets
    return replace(facets, records=Records(len({row.record_id for row in page.rows})))
