"""Two runs beside each other, row by row: a plan and what came of it, or two plans.

All rows of both are compared, a step after the other. A call ends after `BUDGET_SECONDS` at the latest, however large the plans are, and says
where the next one goes on.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import ORDER
from sync_core.domain.vocabulary import Action, EntityType
from sync_core.errors import Refusal
from sync_core.services import history, sessions
from sync_core.services.actor import Actor
from sync_core.services.difference_views import Difference, Differences, difference
from sync_core.services.report import counts_of
from sync_core.services.session_views import SessionView
from sync_core.store import plan_differences as store
from sync_core.store.database import Database
from sync_core.store.plan_differences import Key, Kind, Pair

MOST_ROWS: Final = 50
BUDGET_SECONDS: Final = 0.7
_LONGEST_CURSOR: Final = 300
_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True)
class DifferencePage:
    """`cursor` asks for more; None at the end. A page that took too long to fill has fewer rows than were asked for, and a cursor."""

    rows: tuple[Difference, ...]
    cursor: str | None


async def count(
    database: Database,
    actor: Actor,
    one_id: UUID,
    other_id: UUID,
    *,
    start: str | None = None,
    listed: int = 0,
    seconds: float | None = None,
) -> Differences | Refusal:
    """Of the rows behind `start`, as far as one call gets; with the first `listed` of those that differ."""
    walked = await _walk(database, actor, (one_id, other_id), start, listed, None, seconds=seconds, whole=True)
    if isinstance(walked, Refusal):
        return walked
    place = None if walked.place is None else cursor_of(walked.place)
    counts = {kind: walked.counts[kind] for kind in sorted(walked.counts, key=_order)}
    return Differences(walked.size, walked.looked, counts, place, walked.is_of_plan, tuple(walked.listed))


async def plan_of(database: Database, actor: Actor, session_id: UUID) -> UUID | Refusal:
    """The dry run whose plan a run applies: what it is compared with where nothing else is named."""
    view = await sessions.get(database, actor, session_id)
    if isinstance(view, Refusal):
        return view
    return view.source_session_id or Refusal(
        "other_required", "Name the sync to compare with: this one applies no plan.", field="other", status=422
    )


async def every(
    database: Database, actor: Actor, one_id: UUID, other_id: UUID, *, only: Kind | None = None
) -> AsyncIterator[list[Difference]]:
    """All of them, so many at a time; each time in a transaction of its own, so a slow reader holds nothing."""
    views = await history.two(database, actor, one_id, other_id)
    place: Key | None = None
    while not isinstance(views, Refusal):
        async with database.workspace(actor.workspace_id) as session:
            pair = _pair(views)
            rows = await store.rows(session, pair, place, limit=_AT_ONCE, only=only)
            following = rows[-1].key if len(rows) == _AT_ONCE else (await store.count(session, pair, place))[-1].last
        yield [difference(row, views, actor.time_zone) for row in rows]
        if following is None:
            return
        place = following


def _pair(views: tuple[SessionView, SessionView]) -> Pair:
    one, other = views
    staged = [view.source_session_id or view.id for view in views]
    partly = other.source_session_id == one.id and other.config.limit is not None
    return Pair(one.workspace_id, one.id, other.id, staged[0], staged[1], partly)


async def page(
    database: Database,
    actor: Actor,
    one_id: UUID,
    other_id: UUID,
    *,
    cursor: str | None = None,
    limit: int = 25,
    only: Kind | None = None,
) -> DifferencePage | Refusal:
    """In the order of Stripe's ids, which begin with what they are of."""
    limit = max(1, min(limit, MOST_ROWS))
    walked = await _walk(database, actor, (one_id, other_id), cursor, limit + 1, only, whole=False)
    if isinstance(walked, Refusal):
        return walked
    shown = walked.listed[:limit]
    if len(walked.listed) > limit:
        return DifferencePage(tuple(shown), cursor_of(shown[-1].key))
    return DifferencePage(tuple(shown), None if walked.place is None else cursor_of(walked.place))


@dataclass(slots=True)
class _Walked:
    """What one call has seen of two runs of about `size` rows, and where it stands."""

    size: int
    is_of_plan: bool
    place: Key | None
    looked: int = 0
    counts: Counter[Kind] = field(default_factory=Counter)
    listed: list[Difference] = field(default_factory=list)


async def _walk(
    database: Database,
    actor: Actor,
    ids: tuple[UUID, UUID],
    start: str | None,
    most: int,
    only: Kind | None,
    *,
    whole: bool,
    seconds: float | None = None,
) -> _Walked | Refusal:
    """Step by step, until the end or the time is up; unless `whole`, until so many rows are listed."""
    place = _place(start)
    if isinstance(place, Refusal):
        return place
    views = await history.two(database, actor, *ids)
    if isinstance(views, Refusal):
        return views
    one, other = views
    walked = _Walked(max(_rows_of(one), _rows_of(other)), other.source_session_id == one.id, place)
    ends = time.monotonic() + (BUDGET_SECONDS if seconds is None else seconds)
    async with database.workspace(actor.workspace_id) as session:
        while True:
            await _step(session, views, walked, most, only, actor.time_zone)
            full = not whole and len(walked.listed) >= most
            if walked.place is None or full or time.monotonic() >= ends:
                return walked


async def _step(
    session: AsyncSession,
    views: tuple[SessionView, SessionView],
    walked: _Walked,
    most: int,
    only: Kind | None,
    zone: str,
) -> None:
    pair = _pair(views)
    *kinds, whole = await store.count(session, pair, walked.place)
    found = {
        Kind(EntityType(one.entity_type), _action(one.earlier), _action(one.later)): one.count
        for one in kinds
        if one.entity_type is not None
    }
    room = most - len(walked.listed)
    if room > 0 and (only in found if only else found):
        rows = await store.rows(session, pair, walked.place, limit=room, only=only)
        walked.listed += [difference(one, views, zone) for one in rows]
    walked.looked += whole.count
    walked.counts.update(found)
    walked.place = whole.last


def _rows_of(view: SessionView) -> int:
    return sum(sum(counts_of(one.progress).values()) for one in view.entities)


def _order(kind: Kind) -> tuple[int, int, int]:
    """As the matrix has them: by entity type, then by action."""
    actions = [*Action, None]
    return ORDER.index(kind.entity), actions.index(kind.earlier), actions.index(kind.later)


def _action(word: str | None) -> Action | None:
    return None if word is None else Action(word)


def cursor_of(key: Key) -> str:
    return f"{key.entity_type}-{key.external_id}"


NONE: Final = "none"
"""In an address, or asked by a program: the run has no such row."""


def kind_of(entity: str | None, earlier: str | None, later: str | None) -> Kind | Refusal | None:
    """From words; None where nothing is asked for."""
    if not (entity or earlier or later):
        return None
    try:
        actions = [None if word == NONE else Action(word or "") for word in (earlier, later)]
        return Kind(EntityType(entity or ""), actions[0], actions[1])
    except ValueError:
        return Refusal(
            "kind_invalid",
            "A way to differ is an entity type and both actions, or “none” where there is none.",
            field="entity_type",
        )


def _place(cursor: str | None) -> Key | Refusal | None:
    if not cursor:
        return None
    entity, _, external_id = cursor.partition("-")
    if (
        entity not in {one.value for one in EntityType}
        or not external_id
        or "\0" in cursor
        or len(cursor) > _LONGEST_CURSOR
    ):
        return Refusal("cursor_invalid", "This cursor is not one that a list returned.", field="cursor")
    return Key(external_id, entity)
