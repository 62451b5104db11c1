"""What a list of conflicts can be narrowed by, counted: each facet under the filters of all the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import FIELDS
from sync_core.domain.vocabulary import (
    Age,
    ConflictStatus,
    Facet,
    Mark,
)
from sync_core.errors import Refusal
from sync_core.services.actor import Actor, Permission
from sync_core.services.conflict_views import Facets, FacetValue
from sync_core.store import conflicts as store
from sync_core.store.conflict_apart import Parts, parts_of, told_apart
from sync_core.store.conflict_counts import cells
from sync_core.store.conflict_query import APART, WORDS, Cell, ConflictQuery
from sync_core.store.conflict_records import records
from sync_core.store.database import Database

FORBIDDEN = Refusal("forbidden", "Your role does not allow this.", status=403)
_MOST_RUNS = 10
_AGING = frozenset({Age.MONTH, Age.OLDER})


async def facets(database: Database, actor: Actor, query: ConflictQuery) -> Facets | Refusal:
    """The search limits all counts but that of everything."""
    if not actor.can(Permission.VIEW):
        return FORBIDDEN
    async with database.workspace(actor.workspace_id) as session:
        return await facets_in(session, actor.workspace_id, query.by(actor.user_id))


async def facets_in(
    session: AsyncSession,
    workspace_id: UUID,
    query: ConflictQuery,
    among: Sequence[Cell] | None = None,
    of: Collection[Facet] = tuple(Facet),
) -> Facets:
    """`among` are the cells of the `wide` query, where they are known already, and told apart by the facets in `of`."""
    found = await cells(session, workspace_id, query.wide) if among is None else among
    everything = await cells(session, workspace_id, query.wide.unscanned) if query.is_scanned else found
    starts = await store.session_starts(session, workspace_id, [*{cell.session_id for cell in found}])
    total = sum(cell.count for cell in everything)
    if query.status is not ConflictStatus.OPEN:
        return replace(counted(query, found, starts, of), total=total)
    stand_for = await records(session, workspace_id, query, [cell for cell in found if cell.fits(query)])
    return replace(counted(query, found, starts, of), total=total, records=stand_for)


async def parts_apart(database: Database, actor: Actor, query: ConflictQuery) -> Parts:
    """What `values_apart` are counted from: all that has the query's status, in a transaction of its own."""
    async with database.workspace(actor.workspace_id) as session:
        return await parts_of(session, actor.workspace_id, query.wide.by(actor.user_id))


def values_apart(query: ConflictQuery, among: Sequence[Cell], parts: Parts) -> Mapping[Facet, tuple[FacetValue, ...]]:
    """Of the facets that no cell says, `among` the cells of the `wide` query."""
    found = told_apart(among, parts)
    return {facet: _values(facet, _counts(query, found, facet), {}) for facet in Facet if facet in APART}


def counted(
    query: ConflictQuery, found: Sequence[Cell], starts: Mapping[UUID, datetime], of: Collection[Facet] = tuple(Facet)
) -> Facets:
    matching = [cell for cell in found if cell.fits(query)]
    return Facets(
        values={facet: _values(facet, _counts(query, found, facet), starts) for facet in of},
        matching=sum(cell.count for cell in matching),
        total=sum(cell.count for cell in found),
        aging=sum(cell.count for cell in matching if cell.age in _AGING),
        chosen=sum(cell.count for cell in found if cell.chosen),
    )


def _counts(query: ConflictQuery, found: Sequence[Cell], facet: Facet) -> Counter[str]:
    """With a nought for what is chosen and matches nothing, so that it can be taken off again."""
    counts = Counter(dict.fromkeys(query.chosen.get(facet, ()), 0))
    for cell in found:
        if cell.fits(query, facet):
            counts.update(dict.fromkeys(cell.values(facet), cell.count))
    settled = query.status is not ConflictStatus.OPEN
    if facet is Facet.MARK and settled and Mark.CHOSEN.value not in query.chosen.get(facet, ()):
        # Its choices are applied.
        del counts[Mark.CHOSEN.value]
    return counts


def _values(facet: Facet, counts: Counter[str], starts: Mapping[UUID, datetime]) -> tuple[FacetValue, ...]:
    if facet in WORDS:
        return tuple(FacetValue(one.value, one.label, counts[one.value]) for one in WORDS[facet] if one.value in counts)
    if facet is Facet.RUN:
        newest = sorted(counts, key=lambda one: starts.get(UUID(one), datetime.min.replace(tzinfo=UTC)), reverse=True)
        return tuple(FacetValue(one, _started(starts, one), counts[one]) for one in newest[:_MOST_RUNS])
    labels = {one.name: one.label for fields in FIELDS.values() for one in fields} if facet is Facet.FIELD else {}
    return tuple(FacetValue(value, labels.get(value, value), count) for value, count in counts.most_common())


def _started(starts: Mapping[UUID, datetime], session_id: str) -> str:
    at = starts.get(UUID(session_id))
    return at.isoformat() if at else ""
