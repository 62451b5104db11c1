"""A run as it goes on, for whoever looks at it: what is done, how fast, how long still, and whether anybody is at work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from sync_core.domain.fields import ORDER
from sync_core.domain.vocabulary import EntityType, Phase, SessionStatus
from sync_core.errors import Refusal
from sync_core.services.actor import Actor, Permission
from sync_core.services.pace import Pace
from sync_core.services.session_views import stays
from sync_core.services.sessions import NOT_FOUND
from sync_core.store import watching as store
from sync_core.store.database import Database
from sync_core.store.watching import OpenWindow, Stretch, WatchedEntity, WatchedRun

CELLS = 60
"""Cells of a coverage bar."""

MOST_LANES = 8
_SLOW_SECONDS = 15.0
_FORBIDDEN = Refusal("forbidden", "Your role may not look at syncs.", status=403)


class Pulse(StrEnum):
    """Whether anybody is at work on the run."""

    WAITING = "waiting"
    LIVE = "live"
    SLOW = "slow"
    PAUSED = "paused"
    LOST = "lost"
    STOPPING = "stopping"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Verified:
    """What the verify phase found: `found` of `expected` objects are stored, and whether any of the range was not read.

    Stripe was `asked` again so many times and listed `compared` ids, of which `late` had not landed before.
    """

    expected: int
    found: int
    missing_ids: tuple[str, ...]
    late: int
    asked: int = 0
    compared: int = 0
    unread: bool = False

    @property
    def is_complete(self) -> bool:
        return self.found >= self.expected and not self.unread

    @classmethod
    def of(cls, data: Mapping[str, Any] | None) -> Verified | None:
        if not data:
            return None
        return cls(
            data["expected"],
            data["found"],
            tuple(data.get("missing_ids") or ()),
            late=data.get("late_count", 0),
            asked=data.get("asked", 0),
            compared=data.get("compared", 0),
            unread=bool(data.get("unread")),
        )


@dataclass(frozen=True, slots=True)
class EntityLine:
    """One entity type. `cells` say by tenths how much of each part of the date range has been read, oldest first."""

    entity: EntityType
    requested: bool
    phase: Phase
    fetched: int
    processed: int
    total: int
    created: int
    updated: int
    unchanged: int
    skipped: int
    conflicts: int
    failed: int
    fraction: float | None
    cells: tuple[int, ...]
    open_windows: int
    verified: Verified | None
    last_error: str | None

    @property
    def is_done(self) -> bool:
        return self.phase is Phase.DONE


@dataclass(frozen=True, slots=True)
class Quota:
    """Requests to Stripe: how many so far, how many a second now, and how many we allow ourselves. `resume_in` is seconds."""

    requests: int
    rate: float | None
    cap: float | None
    throttled: tuple[tuple[str, int], ...]
    resume_in: float | None


@dataclass(frozen=True, slots=True)
class Step:
    """A phase on the way: `done`, `now` or `next`. `seconds` is how long it took until now, None before it began."""

    phase: Phase
    state: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class ProgressView:
    """Seconds throughout; `eta` is the range of seconds left, None while it can't be believed. `trouble`: what it waits for."""

    session_id: UUID
    status: SessionStatus
    phase: Phase
    dry_run: bool
    source_session_id: UUID | None
    limit: int | None
    steps: tuple[Step, ...]
    entities: tuple[EntityLine, ...]
    fraction: float | None
    rate: float | None
    eta: tuple[float, float] | None
    elapsed: float
    pulse: Pulse
    page_age: float | None
    attempts: int
    quota: Quota
    error: str | None
    trouble: str
    failed: int
    written: int
    range_start: int | None
    ceiling: int | None
    created_by: str
    started_at: float | None
    completed_at: float | None

    @property
    def is_open(self) -> bool:
        return self.status.is_open

    @property
    def mean_rate(self) -> float | None:
        """Objects a second from the start to now, or to the end."""
        return sum(line.processed for line in self.entities) / self.elapsed if self.elapsed else None

    @property
    def has_ended(self) -> bool:
        """It came to its end, whatever failed on the way: a part of it can be done again."""
        read = [line.is_done for line in self.entities if line.requested]
        return not self.is_open and bool(read) and all(read)

    @property
    def can_resume(self) -> bool:
        return self.status in (SessionStatus.FAILED, SessionStatus.CANCELLED, SessionStatus.PARTIAL)

    @property
    def has_plan(self) -> bool:
        return self.dry_run and self.status in (SessionStatus.COMPLETED, SessionStatus.PARTIAL)

    @property
    def kept_on_cancel(self) -> str:
        """What a person who is about to cancel wants to know."""
        soon = "" if self.dry_run else "It stops within a second. "
        return f"{soon}{self.stays} It can be resumed where it stops."

    @property
    def stays(self) -> str:
        return stays(self.written, dry_run=self.dry_run)


class Watch:
    """One screen's look at one run. Remembers the pace between looks; everything else is read anew each time."""

    def __init__(self, database: Database, actor: Actor, session_id: UUID) -> None:
        self._database = database
        self._actor = actor
        self._session_id = session_id
        self._pace = Pace()

    async def look(self) -> ProgressView | Refusal:
        if not self._actor.can(Permission.VIEW):
            return _FORBIDDEN
        workspace_id = self._actor.workspace_id
        async with self._database.workspace(workspace_id) as session:
            run = await store.read_run(session, workspace_id, self._session_id)
            if run is None:
                return NOT_FOUND
            entities = await store.read_entities(session, workspace_id, self._session_id)
            stretches = await store.read_stretches(session, workspace_id, self._session_id)
            windows = await store.read_open(session, workspace_id, self._session_id) if run.status.is_open else []
        return _view(run, entities, stretches, windows, self._pace)


@dataclass(frozen=True, slots=True)
class Lane:
    """A window in flight. `left` and `width` place it in the range, `read` is the part of it that is read: all 0 to 1."""

    gte: int
    lt: int
    left: float
    width: float
    read: float
    pages: int
    objects: int


async def lanes(database: Database, actor: Actor, session_id: UUID, entity: EntityType) -> tuple[Lane, ...] | Refusal:
    """The windows of an entity type that are being read or wait for it, newest first, eight at most."""
    if not actor.can(Permission.VIEW):
        return _FORBIDDEN
    async with database.workspace(actor.workspace_id) as session:
        run = await store.read_run(session, actor.workspace_id, session_id)
        if run is None:
            return NOT_FOUND
        windows = await store.read_open(session, actor.workspace_id, session_id)
    if run.range_start is None or run.ceiling is None:
        return ()
    mine = [one for one in windows if one.entity is entity]
    mine.sort(key=lambda one: (one.oldest_seen is None, -one.lt))
    return tuple(_lane(one, run.range_start, run.ceiling) for one in mine[:MOST_LANES])


def _lane(window: OpenWindow, start: int, end: int) -> Lane:
    span = max(1, end - start)
    read = 0.0 if window.oldest_seen is None else (window.lt - window.oldest_seen) / max(1, window.lt - window.gte)
    return Lane(
        gte=window.gte,
        lt=window.lt,
        left=(window.gte - start) / span,
        width=(window.lt - window.gte) / span,
        read=min(1.0, read),
        pages=window.pages,
        objects=window.objects,
    )


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


def _view(
    run: WatchedRun,
    entities: Sequence[WatchedEntity],
    stretches: Sequence[Stretch],
    windows: Sequence[OpenWindow],
    pace: Pace,
) -> ProgressView:
    lines = tuple(
        _line(one, run, [part for part in stretches if part.entity is one.entity], windows)
        for one in sorted(entities, key=lambda one: ORDER.index(one.entity))
        if one.requested or one.fetched or one.processed
    )
    processed, total = sum(line.processed for line in lines), sum(line.total for line in lines)
    requests = sum(one.requests for one in entities)
    stats = run.stats
    pace.note(run.now, processed, stats.get("beat_at"), int(stats.get("requests") or 0))
    quota = _quota(run, requests, pace)
    ages = [run.now - one.last_page_at for one in entities if one.last_page_at is not None]
    page_age = max(0.0, min(ages)) if ages else None
    open_and_known = run.status is SessionStatus.RUNNING and total > 0
    disturbed = quota.resume_in is not None or bool(quota.throttled)
    return ProgressView(
        session_id=run.id,
        status=run.status,
        phase=run.phase,
        dry_run=run.config.dry_run,
        source_session_id=run.source_session_id,
        limit=run.config.limit,
        steps=_steps(run),
        entities=lines,
        fraction=_whole(run, lines),
        rate=pace.rate() if run.status.is_open else None,
        eta=pace.eta(run.now, total - processed, disturbed=disturbed) if open_and_known else None,
        elapsed=_elapsed(run),
        pulse=_pulse(run, page_age),
        page_age=page_age,
        attempts=run.attempts,
        quota=quota,
        error=(run.error_summary or {}).get("message"),
        trouble=str(stats.get("trouble") or "") if run.status.is_open else "",
        failed=sum(line.failed for line in lines),
        written=sum(line.created + line.updated for line in lines),
        range_start=run.range_start,
        ceiling=run.ceiling,
        created_by=run.created_by,
        started_at=run.started_at,
        completed_at=run.completed_at,
    )


def _line(
    one: WatchedEntity, run: WatchedRun, stretches: Sequence[Stretch], windows: Sequence[OpenWindow]
) -> EntityLine:
    known = run.range_start is not None and run.ceiling is not None and run.source_session_id is None
    cells = coverage(stretches, run.range_start or 0, run.ceiling or 0) if known and one.requested else ()
    return EntityLine(
        entity=one.entity,
        requested=one.requested,
        phase=one.phase,
        fetched=one.fetched,
        processed=one.processed,
        total=one.total,
        created=one.created,
        updated=one.updated,
        unchanged=one.unchanged,
        skipped=one.skipped,
        conflicts=one.conflicts,
        failed=one.failed,
        fraction=_fraction(one, cells),
        cells=cells,
        open_windows=sum(window.entity is one.entity for window in windows),
        verified=Verified.of(one.verified),
        last_error=one.last_error,
    )


def _fraction(one: WatchedEntity, cells: Sequence[int]) -> float | None:
    """0 to 1, and 1 only when complete. With no estimate, what has been read of the range stands in for it."""
    if one.phase is Phase.DONE:
        return 1.0
    if one.estimated:
        return min(one.processed / one.total, 0.99)
    read = sum(cells) / (10 * len(cells)) if cells else 0.0
    if not one.total:
        return min(read, 0.99) if read else None
    return min(one.processed / one.total * (read or 1.0), 0.99)


def _whole(run: WatchedRun, lines: Sequence[EntityLine]) -> float | None:
    if run.status is SessionStatus.COMPLETED:
        return 1.0
    weights = [(line.fraction, max(1, line.total)) for line in lines if line.requested]
    if not weights or all(fraction is None for fraction, _ in weights):
        return None
    return sum((fraction or 0.0) * weight for fraction, weight in weights) / sum(weight for _, weight in weights)


def phases_of(*, dry_run: bool, applied: bool) -> tuple[Phase, ...]:
    """The phases that a run goes through; an applied plan fetches nothing."""
    last = Phase.PLAN if dry_run else Phase.APPLY
    return tuple(
        phase for phase in (Phase.PREFLIGHT, Phase.FETCH, last, Phase.VERIFY) if not (applied and phase is Phase.FETCH)
    )


def _steps(run: WatchedRun) -> tuple[Step, ...]:
    phases = phases_of(dry_run=run.config.dry_run, applied=run.source_session_id is not None)
    order = tuple(Phase)
    at = order.index(run.phase)
    if run.phase is Phase.PLAN and not run.config.dry_run:
        at = order.index(Phase.APPLY)
    states = {-1: "done", 0: "now", 1: "next"}
    signs = {phase: (order.index(phase) > at) - (order.index(phase) < at) for phase in phases}
    return tuple(Step(phase, states[signs[phase]], _seconds_in(run, phase)) for phase in phases)


def _seconds_in(run: WatchedRun, phase: Phase) -> float | None:
    spent: float | None = (run.stats.get("phase_seconds") or {}).get(phase.value)
    since = run.stats.get("phase_since")
    if phase is not run.phase or since is None or not run.status.is_open:
        return spent
    return float(spent or 0.0) + max(0.0, run.now - float(since))


def _elapsed(run: WatchedRun) -> float:
    if run.started_at is None:
        return 0.0
    return max(0.0, (run.completed_at or run.now) - run.started_at)


def _pulse(run: WatchedRun, page_age: float | None) -> Pulse:
    if not run.status.is_open:
        return Pulse.ENDED
    if run.cancel_requested:
        return Pulse.STOPPING
    if run.lease_left is None:
        return Pulse.WAITING
    if run.lease_left <= 0:
        return Pulse.LOST
    if (run.stats.get("resume_at") or 0) > run.now:
        return Pulse.PAUSED
    quiet = page_age is not None and page_age > _SLOW_SECONDS
    return Pulse.SLOW if quiet and run.phase in (Phase.PREFLIGHT, Phase.FETCH) else Pulse.LIVE


def _quota(run: WatchedRun, requests: int, pace: Pace) -> Quota:
    stats = run.stats
    resume_in = float(stats.get("resume_at") or 0) - run.now
    cap = (stats.get("caps") or {}).get("global")
    throttled = sorted((stats.get("throttled") or {}).items(), key=lambda one: (-one[1], one[0]))
    return Quota(
        requests=max(requests, int(stats.get("requests") or 0)),
        rate=pace.request_rate() if run.status.is_open else None,
        cap=None if cap is None else float(cap),
        throttled=tuple((str(reason), int(count)) for reason, count in throttled),
        resume_in=resume_in if run.status.is_open and resume_in > 0 else None,
    )
