"""What the list of conflicts shows: its rows and what stands beside them, in one transaction. It comes with every page and every filter."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.vocabulary import ConflictStatus, Facet, Strategy
from sync_core.errors import Refusal
from sync_core.services.actor import Actor, Permission
from sync_core.services.conflict_facets import FORBIDDEN, facets_in, parts_apart, values_apart
from sync_core.services.conflict_pending import Pending, pending_in
from sync_core.services.conflict_undo import last_in
from sync_core.services.conflict_views import ConflictPage, Facets, FacetValue, LastDecision
from sync_core.services.conflicts import page_in
from sync_core.store import sessions
from sync_core.store.conflict_counts import cells
from sync_core.store.conflict_query import APART, Cell, ConflictQuery
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


@dataclass(frozen=True, slots=True)
class Screen:
    """`beside` is None for a search: to count what it finds takes longer than to find a page of it. `beside` asks for it then."""

    page: ConflictPage
    beside: Beside | None


async def look(database: Database, actor: Actor, query: ConflictQuery, cursor: str, size: int) -> Screen | Refusal:
    if not actor.can(Permission.VIEW):
        return FORBIDDEN
    query = query.by(actor.user_id)
    if query.is_scanned:
        async with database.workspace(actor.workspace_id) as session:
            return Screen(await page_in(session, actor, query, cursor, size), None)
    if not APART.isdisjoint(query.chosen):
        return (await _looked(database, actor, query, cursor, size, tuple(Facet)))[0]
    # What no cell says takes as long as all else together: neither waits for the other.
    said = [facet for facet in Facet if facet not in APART]
    (screen, among), apart = await asyncio.gather(
        _looked(database, actor, query, cursor, size, said), parts_apart(database, actor, query)
    )
    return _with(screen, values_apart(query, among, apart))


async def _looked(
    database: Database, actor: Actor, query: ConflictQuery, cursor: str, size: int, of: Collection[Facet]
) -> tuple[Screen, Sequence[Cell]]:
    """And the cells of the `wide` query, from which the facets in `of` are counted."""
    async with database.workspace(actor.workspace_id) as session:
        among = await cells(session, actor.workspace_id, query.wide, apart=not APART.isdisjoint(of))
        page = await page_in(session, actor, query, cursor, size, among)
        return Screen(page, await _beside(session, actor, query, page, among, of)), among


def _with(screen: Screen, values: Mapping[Facet, tuple[FacetValue, ...]]) -> Screen:
    if screen.beside is None:
        return screen
    facets = screen.beside.facets
    return replace(screen, beside=replace(screen.beside, facets=replace(facets, values={**facets.values, **values})))


async def beside(database: Database, actor: Actor, query: ConflictQuery, page: ConflictPage) -> Beside | Refusal:
    if not actor.can(Permission.VIEW):
        return FORBIDDEN
    async with database.workspace(actor.workspace_id) as session:
        return await _beside(session, actor, query.by(actor.user_id), page)


async def _beside(
    session: AsyncSession,
    actor: Actor,
    query: ConflictQuery,
    page: ConflictPage,
    among: Sequence[Cell] | None = None,
    of: Collection[Facet] = tuple(Facet),
) -> Beside:
    facets = _told_apart(await facets_in(session, actor.workspace_id, query, among, of), query, page)
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
