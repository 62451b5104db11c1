"""What has been read of a run's date range: a bar of it, and the windows that are being read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sync_core.domain.vocabulary import EntityType
from sync_core.errors import Refusal
from sync_core.services.actor import Actor, Permission
from sync_core.services.sessions import NOT_FOUND
from sync_core.store import watching as store
from sync_core.store.database import Database
from sync_core.store.watching import OpenWindow, Stretch, WatchedRun

CELLS: Final = 60
"""Cells of a coverage bar."""

MOST_LANES: Final = 6
FORBIDDEN: Final = Refusal("forbidden", "Your role may not look at syncs.", status=403)


@dataclass(frozen=True, slots=True)
class Lane:
    """A window in flight. `left` and `width` place it in the range, `read` is the part of it that is read: all 0 to 1.

    `at` is the moment its cursor has come to, in epoch seconds, `request_id` Stripe's name for the last request, where it is known.
    """

    gte: int
    lt: int
    left: float
    width: float
    read: float
    pages: int
    objects: int
    at: int | None
    request_id: str


@dataclass(frozen=True, slots=True)
class Lanes:
    """The windows of an entity type that are being read or wait for it, newest first, six at most: more have no room in a message; and by whom.

    `heard` is how many seconds ago the worker gave a sign of life, None where there is none.
    """

    lanes: tuple[Lane, ...] = ()
    worker: str = ""
    heard: float | None = None


async def lanes(database: Database, actor: Actor, session_id: UUID, entity: EntityType) -> Lanes | Refusal:
    if not actor.can(Permission.VIEW):
        return FORBIDDEN
    async with database.workspace(actor.workspace_id) as session:
        run = await store.read_run(session, actor.workspace_id, session_id)
        if run is None:
            return NOT_FOUND
        windows = await store.read_open(session, actor.workspace_id, session_id)
        mine = [one for one in windows if one.entity is entity]
        mine.sort(key=lambda one: (one.oldest_seen is None, -one.lt))
        shown = mine[:MOST_LANES]
        asked = await store.read_requests(session, session_id, entity, [one.cursor for one in shown if one.cursor])
    if run.range_start is None or run.ceiling is None:
        return Lanes()
    start, end = run.range_start, run.ceiling
    found = tuple(_lane(one, start, end, asked.get(one.cursor or "", "")) for one in shown)
    return Lanes(found, run.worker, run.heard if run.status.is_open else None)


def _lane(window: OpenWindow, start: int, end: int, request_id: str) -> Lane:
    """The oldest window of a run of everything begins in 1970, long before there is anything to show."""
    span, gte = max(1, end - start), min(max(window.gte, start), window.lt)
    read = 0.0 if window.oldest_seen is None else (window.lt - window.oldest_seen) / max(1, window.lt - gte)
    return Lane(
        gte=gte,
        lt=window.lt,
        left=(gte - start) / span,
        width=(window.lt - gte) / span,
        read=min(1.0, read),
        pages=window.pages,
        objects=window.objects,
        at=window.oldest_seen,
        request_id=request_id,
    )


def share_read(stretches: Iterable[Stretch], run: WatchedRun) -> float:
    """Of the date range, 0 to 1."""
    start, end = run.range_start or 0, run.ceiling or 0
    inside = sum(max(0, min(one.lt, end) - max(one.gte, start)) for one in stretches)
    return inside / (end - start) if end > start else 0.0


def coverage(stretches: Iterable[Stretch], start: int, end: int, cells: int = CELLS) -> tuple[int, ...]:
    """How many tenths of each part of [start, end) are read; 10 only for a part that is read whole."""
    span = end - start
    if span <= 0:
        return ()
    width = span / cells
    filled = [0.0] * cells
    for one in stretches:
        gte, lt = max(one.gte, start) - start, min(one.lt, end) - start
        if gte >= lt:
            continue
        for cell in range(int(gte / width), min(cells, int((lt - 1e-9) / width) + 1)):
            filled[cell] += min(lt, (cell + 1) * width) - max(gte, cell * width)
    return tuple(10 if part >= width * (1 - 1e-9) else min(9, int(part / width * 10)) for part in filled)
