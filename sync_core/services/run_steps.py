"""The steps of a run as people see them: which are done, which are under way together, each with its own time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sync_core.domain.steps import Timer, read_timers
from sync_core.domain.vocabulary import Phase, SessionStatus, Step
from sync_core.store.watching import WatchedRun


class StepState(StrEnum):
    """`WAITS` has begun and goes on later; there was nothing to do for `IDLE`; a run that ended early did not reach what is `UNREACHED`.
    Of a run of before steps were noted some are `UNKNOWN`.
    """

    NEXT = "next"
    NOW = "now"
    WAITS = "waits"
    DONE = "done"
    IDLE = "idle"
    STOPPED = "stopped"
    UNREACHED = "unreached"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class TimedStep:
    """`seconds` is how long it was at work until now, None before it began; `began` and `ended` are epoch seconds."""

    step: Step
    state: StepState
    seconds: float | None
    began: float | None
    ended: float | None


def steps_in(*, dry_run: bool, applied: bool) -> tuple[Step, ...]:
    """A dry run writes nothing, an applied plan reads no list."""
    without = {Step.WRITE} if dry_run else set()
    without |= {Step.WINDOWS, Step.FETCH} if applied else set()
    return tuple(step for step in Step if step not in without)


def steps_of(run: WatchedRun) -> tuple[TimedStep, ...]:
    """Without times of a run that ended before a worker noted its steps."""
    timers = read_timers(run.stats)
    steps = steps_in(dry_run=run.config.dry_run, applied=run.source_session_id is not None)
    if not timers and not run.status.is_open:
        return (*(TimedStep(step, _as_known(step, run), None, None, None) for step in steps[:-1]), _end(run))
    return (*(_timed(step, timers.get(step), run) for step in steps[:-1]), _end(run))


def _timed(step: Step, timer: Timer | None, run: WatchedRun) -> TimedStep:
    if timer is None:
        return TimedStep(step, _unbegun(run.status), None, None, None)
    return TimedStep(step, _state(timer, run), timer.at_work(_until(run)), timer.began, timer.ended)


def _as_known(step: Step, run: WatchedRun) -> StepState:
    """By how the run ended and in which phase: what is read is compared and written meanwhile, so much of it stays open."""
    if _came_to_its_end(run.status):
        return StepState.DONE
    if run.started_at is None:
        return StepState.UNREACHED
    if run.phase is Phase.VERIFY:
        return StepState.STOPPED if step is Step.VERIFY else StepState.DONE
    if step is Step.PREFLIGHT:
        return StepState.STOPPED if run.phase is Phase.PREFLIGHT else StepState.DONE
    return StepState.UNREACHED if step is Step.VERIFY or run.phase is Phase.PREFLIGHT else StepState.UNKNOWN


def _unbegun(status: SessionStatus) -> StepState:
    if status.is_open:
        return StepState.NEXT
    return StepState.IDLE if _came_to_its_end(status) else StepState.UNREACHED


def _state(timer: Timer, run: WatchedRun) -> StepState:
    if timer.ended is not None:
        return StepState.DONE
    if not run.status.is_open:
        return StepState.STOPPED
    return StepState.NOW if timer.since is not None and _is_held(run) else StepState.WAITS


def _is_held(run: WatchedRun) -> bool:
    """A worker that is lost does nothing more."""
    return run.lease_left is not None and run.lease_left > 0


def _until(run: WatchedRun) -> float:
    return run.now if _is_held(run) else float(run.stats.get("beat_at") or 0.0)


def _end(run: WatchedRun) -> TimedStep:
    ended = run.completed_at if _came_to_its_end(run.status) else None
    state = StepState.DONE if ended is not None else _unbegun(run.status)
    return TimedStep(Step.DONE, state, None, None, ended)


def _came_to_its_end(status: SessionStatus) -> bool:
    return status in (SessionStatus.COMPLETED, SessionStatus.PARTIAL)
