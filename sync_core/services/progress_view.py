"""A run as it goes on, for whoever looks at it: what is done, how fast, how long still, and whether anybody is at work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import ORDER
from sync_core.domain.going_on import Ending
from sync_core.domain.time_left import Look, Part, Range
from sync_core.domain.vocabulary import EntityType, Phase, SessionStatus
from sync_core.errors import Refusal
from sync_core.services.actor import Actor, Permission
from sync_core.services.pace import Memory, Pace, Retried, retried_by_entity
from sync_core.services.quota import Quota, quota_of
from sync_core.services.run_steps import TimedStep, steps_of
from sync_core.services.run_windows import FORBIDDEN, coverage, share_read
from sync_core.services.session_views import stays
from sync_core.services.sessions import NOT_FOUND
from sync_core.store import watching as store
from sync_core.store.database import Database
from sync_core.store.watching import OpenWindow, Stretch, WatchedEntity, WatchedRun

_SLOW_SECONDS = 15.0


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

    Stripe was `asked` again so many times and listed `compared` ids, of which `late` had not landed before. Of `values` records all values
    were compared with what was planned; `differing` are not as planned.
    """

    expected: int
    found: int
    missing_ids: tuple[str, ...]
    late: int
    asked: int = 0
    compared: int = 0
    unread: bool = False
    values: int = 0
    differing: int = 0
    differing_ids: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        return self.found >= self.expected and not self.unread and not self.differing

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
            values=data.get("values_compared", 0),
            differing=data.get("differing", 0),
            differing_ids=tuple(data.get("differing_ids") or ()),
        )


@dataclass(frozen=True, slots=True)
class EntityLine:
    """One entity type. `cells` say by tenths how much of each part of the date range has been read, oldest first.

    `rate` and `eta` are of the run's, as in `ProgressView`; `total` is what there is so far where it `is_counted` no further.
    """

    entity: EntityType
    requested: bool
    phase: Phase
    fetched: int
    processed: int
    total: int
    is_counted: bool
    created: int
    updated: int
    unchanged: int
    skipped: int
    conflicts: int
    failed: int
    fraction: float | None
    rate: float | None
    eta: Range | None
    retried: Retried
    cells: tuple[int, ...]
    open_windows: int
    verified: Verified | None
    last_error: str | None

    @property
    def is_done(self) -> bool:
        return self.phase is Phase.DONE


@dataclass(frozen=True, slots=True)
class ProgressView:
    """Seconds throughout; `eta` is the range of seconds left, None while it can't be believed, and `eta_why` the reason for which it has
    just jumped. `trouble`: what it waits for.
    """

    session_id: UUID
    status: SessionStatus
    phase: Phase
    dry_run: bool
    source_session_id: UUID | None
    limit: int | None
    steps: tuple[TimedStep, ...]
    entities: tuple[EntityLine, ...]
    fraction: float | None
    rate: float | None
    eta: Range | None
    eta_why: str
    elapsed: float
    pulse: Pulse
    page_age: float | None
    attempts: int
    is_taken_over: bool
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
        """Objects a second from the start to now, or to the end; what took less than a second was done in one."""
        return sum(line.processed for line in self.entities) / max(1.0, self.elapsed) if self.elapsed else None

    @property
    def ending(self) -> Ending:
        """What can be done about how it ended."""
        found = [line.verified for line in self.entities if line.verified is not None]
        return Ending(
            self.status,
            dry_run=self.dry_run,
            failed=self.failed > 0,
            unread=any(one.unread for one in found) or any(one.requested and not one.is_done for one in self.entities),
            missing=any(one.found < one.expected for one in found),
            differing=any(one.differing for one in found),
        )

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


async def _planned(session: AsyncSession, run: WatchedRun) -> Mapping[EntityType, int]:
    """A plan that is applied in whole is counted; nobody knows of how many parents its first few bring along."""
    if run.source_session_id is None or run.config.limit is not None:
        return {}
    plan = await store.read_entities(session, run.workspace_id, run.source_session_id)
    return {one.entity: one.processed for one in plan}


class Watch:
    """One screen's look at one run. Remembers the pace between looks; everything else is read anew each time."""

    def __init__(self, database: Database, actor: Actor, session_id: UUID) -> None:
        self._database = database
        self._actor = actor
        self._session_id = session_id
        self._memory = Memory()

    async def look(self) -> ProgressView | Refusal:
        if not self._actor.can(Permission.VIEW):
            return FORBIDDEN
        workspace_id = self._actor.workspace_id
        async with self._database.workspace(workspace_id) as session:
            run = await store.read_run(session, workspace_id, self._session_id)
            if run is None:
                return NOT_FOUND
            entities = await store.read_entities(session, workspace_id, self._session_id)
            stretches = await store.read_stretches(session, workspace_id, self._session_id)
            windows = await store.read_open(session, workspace_id, self._session_id) if run.status.is_open else []
            if self._memory.planned is None:
                self._memory.planned = await _planned(session, run)
        return view_of(run, entities, stretches, windows, self._memory)


def view_of(
    run: WatchedRun,
    entities: Sequence[WatchedEntity],
    stretches: Sequence[Stretch],
    windows: Sequence[OpenWindow],
    memory: Memory,
) -> ProgressView:
    paces, stats = memory.paces, run.stats
    pace, retried = paces[None], retried_by_entity(stats, run.now, is_open=run.status.is_open)
    shown = [one for one in sorted(entities, key=lambda one: ORDER.index(one.entity)) if one.is_shown]
    parts = {one.entity: memory.part(one, run, share_read(_of(one, stretches), run)) for one in shown}
    requests = sum(one.requests for one in entities)
    pace.note(Look(run.now, parts), stats.get("beat_at"), int(stats.get("requests") or 0))
    for one in shown:
        paces[one.entity].note(Look(run.now, {one.entity: parts[one.entity]}), run.now, one.requests)
    reading = [one.entity for one in shown if one.phase is Phase.FETCH and run.moves(one)]
    ages = [run.now - one.last_page_at for one in entities if one.last_page_at is not None]
    page_age = max(0.0, min(ages)) if ages else None
    quota = quota_of(run, requests, reading, paces, retried, page_age)
    disturbed = memory.disturbed(run)
    lines = tuple(
        _line(one, run, _of(one, stretches), windows, paces[one.entity], parts[one.entity], retried, disturbed)
        for one in shown
    )
    is_left = run.status is SessionStatus.RUNNING and run.phase is not Phase.VERIFY
    return ProgressView(
        session_id=run.id,
        status=run.status,
        phase=run.phase,
        dry_run=run.config.dry_run,
        source_session_id=run.source_session_id,
        limit=run.config.limit,
        steps=steps_of(run),
        entities=lines,
        fraction=_whole(run, lines),
        rate=pace.rate() if run.status.is_open else None,
        eta=pace.eta(run.now, disturbed=disturbed) if is_left else None,
        eta_why=pace.why if is_left else "",
        elapsed=_elapsed(run),
        pulse=_pulse(run, page_age, quota),
        page_age=page_age,
        attempts=run.attempts,
        is_taken_over=memory.is_taken_over(run),
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


def _of(one: WatchedEntity, stretches: Sequence[Stretch]) -> list[Stretch]:
    return [part for part in stretches if part.entity is one.entity]


def _line(
    one: WatchedEntity,
    run: WatchedRun,
    stretches: Sequence[Stretch],
    windows: Sequence[OpenWindow],
    pace: Pace,
    part: Part,
    retried: Mapping[str, Retried],
    disturbed: str,
) -> EntityLine:
    known = run.range_start is not None and run.ceiling is not None and run.source_session_id is None
    cells = coverage(stretches, run.range_start or 0, run.ceiling or 0) if known and one.requested else ()
    again = retried.get(one.entity.value, Retried())
    moves = run.moves(one)
    total = max(one.fetched, one.processed) if part.total is None else part.total
    return EntityLine(
        entity=one.entity,
        requested=one.requested,
        phase=one.phase,
        fetched=one.fetched,
        processed=one.processed,
        total=total,
        is_counted=part.total is not None,
        created=one.created,
        updated=one.updated,
        unchanged=one.unchanged,
        skipped=one.skipped,
        conflicts=one.conflicts,
        failed=one.failed,
        fraction=_fraction(one, part),
        rate=pace.rate() if moves else None,
        eta=pace.eta(run.now, disturbed=disturbed) if moves and total > one.processed else None,
        retried=again,
        cells=cells,
        open_windows=sum(window.entity is one.entity for window in windows),
        verified=Verified.of(one.verified),
        last_error=one.last_error,
    )


def _fraction(one: WatchedEntity, part: Part) -> float | None:
    """0 to 1, and 1 only when complete; None while nobody knows of how many."""
    if one.phase is Phase.DONE:
        return 1.0
    return min(one.processed / part.total, 0.99) if part.total else None


def _whole(run: WatchedRun, lines: Sequence[EntityLine]) -> float | None:
    if run.status is SessionStatus.COMPLETED:
        return 1.0
    # What is done does not become less: nothing is said before it is known of how many, of each.
    weights = [(line.fraction, max(1, line.total)) for line in lines if line.requested]
    if not weights or any(fraction is None for fraction, _ in weights):
        return None
    return sum((fraction or 0.0) * weight for fraction, weight in weights) / sum(weight for _, weight in weights)


def _elapsed(run: WatchedRun) -> float:
    if run.started_at is None:
        return 0.0
    return max(0.0, (run.completed_at or run.now) - run.started_at)


def _pulse(run: WatchedRun, page_age: float | None, quota: Quota) -> Pulse:
    if not run.status.is_open:
        return Pulse.ENDED
    if run.cancel_requested:
        return Pulse.STOPPING
    if run.lease_left is None:
        return Pulse.WAITING
    if run.lease_left <= 0:
        return Pulse.LOST
    if quota.resume_in is not None:
        return Pulse.PAUSED
    quiet = page_age is not None and page_age > _SLOW_SECONDS
    return Pulse.SLOW if quiet and run.phase in (Phase.PREFLIGHT, Phase.FETCH) else Pulse.LIVE
