"""A run from where it stands to its end, under its lease."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.progress import EntityProgress, sample_step, session_status
from sync_core.domain.vocabulary import EntityType, EventType, Phase, SessionStatus
from sync_core.engine.context import Run
from sync_core.engine.failpoints import hit
from sync_core.engine.phases import Phases
from sync_core.engine.tasks import together
from sync_core.errors import FatalRunError, LeaseLost, TransientError
from sync_core.store import run_figures, run_state
from sync_core.store.database import Database
from sync_core.store.patience import reason_of
from sync_core.store.runs import Held
from sync_core.stripe_source import PermissionMissing, RequestRefused

log = structlog.get_logger()

_BEAT_SECONDS = 0.25
_NOTE_SECONDS = 1.0
_PUT_OFF_SECONDS = 15.0
MOST_ATTEMPTS = 60
_MOST_UNEXPECTED = 5


class Cancelled(Exception):  # noqa: N818 - a person's wish, not an error
    """Someone asked the run to stop."""


async def drive(run: Run, *, lease_seconds: float) -> SessionStatus | None:
    """Bring the run to an end and say which. None when it is left to another worker, or to a later time."""
    try:
        return await _drive(run, lease_seconds)
    except LeaseLost as lost:
        log.warning("run.lease_lost", session=str(run.held.session_id), reason=str(lost))
    except TransientError as away:
        # Not even its end could be written. The lease runs out by itself.
        log.warning("run.left", session=str(run.held.session_id), reason=str(away))
    finally:
        await _settle_meter(run)
    return None


async def _drive(run: Run, lease_seconds: float) -> SessionStatus | None:
    phases = Phases(run)
    heart = Heart(run, phases, lease_seconds)
    try:
        await together(phases.work(), background=(heart.work(), heart.figures(), phases.lander.work()))
    except Cancelled:
        return await _close(run, cancelled=True)
    except LeaseLost:
        raise
    except FatalRunError as fatal:
        return await _close(run, error=(fatal.code, fatal.reason))
    except (PermissionMissing, RequestRefused) as refused:
        return await _close(run, error=("stripe_refused", f"Stripe refused a request: {refused.message}"))
    except TransientError as away:
        return await _put_off(run, str(away), 0 if run.tally.moved else run.held.attempts, most=MOST_ATTEMPTS)
    except Exception as unexpected:
        # Left to its lease, the run would be taken up for ever, and nobody be told. What came of it before does not count here.
        log.exception("run.unexpected", session=str(run.held.session_id))
        reason = f"{type(unexpected).__name__}: {reason_of(unexpected)}"
        return await _put_off(run, reason, run.held.attempts, most=_MOST_UNEXPECTED)
    return await _close(run)


async def refuse(database: Database, held: Held, reason: str) -> None:
    """End a run that can't begin. Left to its lease, it would be taken up and refused for ever."""
    async with database.workspace(held.workspace_id) as session:
        summary = {"groups": [], "count": 0, "code": "run_refused", "message": reason}
        await run_state.finish(session, held, SessionStatus.FAILED, progress={}, error_summary=summary)
    log.warning("run.refused", session=str(held.session_id), reason=reason)


class Heart:
    """Renews the lease, hears a cancel at the next beat, and carries figures to the screen."""

    def __init__(self, run: Run, phases: Phases, lease_seconds: float) -> None:
        self._run = run
        self._phases = phases
        self._lease_seconds = lease_seconds
        self._began = time.monotonic()
        self._slot = -1
        self._before = (-1, 0)

    async def work(self) -> None:
        while True:
            await self._beat()
            await asyncio.sleep(_BEAT_SECONDS)

    async def _beat(self) -> None:
        run, seconds = self._run, self._lease_seconds
        heard = await run.write(
            lambda session: run_state.beat(session, run.held, seconds=seconds, moved=run.tally.moved),
            longest_delay=_BEAT_SECONDS,
        )
        if not heard.held:
            raise LeaseLost("the lease was taken by another worker")
        if heard.cancel_requested:
            raise Cancelled

    def _sample(self) -> run_figures.Sample:
        """One for each step of seconds worked; a worker that takes over goes on counting where the last one ended."""
        last, throttled = self._before
        worked = last + 1 + int(time.monotonic() - self._began)
        step = sample_step(worked)
        slot = worked - worked % step
        if slot <= max(self._slot, last):
            return run_figures.Sample()
        self._slot = slot
        return run_figures.Sample(slot, step, throttled + sum(self._run.governor.stats().throttled.values()))

    async def figures(self) -> None:
        """Apart from the beats: counters are locked by whichever batch is being written, and a beat must not wait for it."""
        run = self._run
        self._before = await run.write(lambda session: run_figures.last_sample(session, run.held))
        while True:
            await self._note(run_figures.Figures(_stats(self._run), self._phases.estimates(), self._sample()))
            await asyncio.sleep(_NOTE_SECONDS)

    async def _note(self, figures: run_figures.Figures) -> None:
        await self._run.write(lambda session: run_figures.note_figures(session, self._run.held, figures))


def _stats(run: Run) -> dict[str, Any]:
    """Figures for the screen. What is counted goes on from where the workers before came to."""
    stats, before = run.governor.stats(), run.row.stats
    return {
        "requests": stats.requests + int(before.get("requests") or 0),
        "throttled": dict(Counter(before.get("throttled") or {}) + Counter(stats.throttled)),
        "caps": dict(stats.caps),
        "waiting": stats.waiting,
        "resume_at": stats.resume_at,
        "retries": _retries({name: one.to_json() for name, one in run.source.retries.items()}, before),
        "landed": run.tally.landed,
        "planned": run.tally.planned,
        "trouble": run.trouble,
        "steps": run.steps.to_json(),
        "beat_at": time.time(),
    }


def _retries(now: dict[str, dict[str, Any]], before: dict[str, Any]) -> dict[str, dict[str, Any]]:
    counted = dict(before.get("retries") or {})
    for name, one in now.items():
        causes = Counter((counted.get(name) or {}).get("causes") or {}) + Counter(one["causes"])
        counted[name] = one | {"causes": dict(causes)}
    return counted


async def _close(run: Run, *, cancelled: bool = False, error: tuple[str, str] | None = None) -> SessionStatus | None:
    hit("finish.before")
    held = run.held
    run.steps.pause()

    async def close(session: AsyncSession) -> SessionStatus:
        rows = await run_state.read_counters(session, held.workspace_id, held.session_id)
        entities = [_progress(row) for row in rows if row["requested"] or row["fetched"]]
        unverified = any(not (row["verified"] or {}).get("verified", True) for row in rows)
        status = session_status(entities, ended=True, cancelled=cancelled, fatal=error is not None)
        if unverified and status is SessionStatus.COMPLETED:
            status = SessionStatus.PARTIAL
        groups = await run_state.error_groups(session, held.workspace_id, held.session_id, plan_id=run.scope.plan_id)
        await run_state.finish(
            session,
            held,
            status,
            progress={one.entity_type.value: one.to_json() for one in entities},
            error_summary=_summary(groups, error),
            stats=_stats(run),
        )
        if error is not None:
            for entity in run.row.config.entity_types[:1]:
                await run_state.note_event(
                    session, held, entity, EventType.SYNC_FAILED, message=error[1], details={"code": error[0]}
                )
        hit("finish.before_commit")
        return status

    status = await run.write(close)
    log.info("run.closed", session=str(held.session_id), status=status.value)
    return status


def _progress(row: dict[str, Any]) -> EntityProgress:
    counted = ("fetched", "created", "updated", "unchanged", "skipped", "conflicts", "failed")
    return EntityProgress(
        entity_type=EntityType(row["entity_type"]),
        total_estimated=max(row["estimated"], row["fetched"]),
        estimated_exact=row["phase"] == Phase.DONE,
        planned=sum(row[name] for name in counted[1:]),
        last_cursor=row["last_cursor"] or "",
        is_complete=row["phase"] == Phase.DONE,
        last_error=row["last_error"],
        phase=Phase(row["phase"]),
        **{name: row[name] for name in counted},
    )


def _summary(groups: list[dict[str, Any]], error: tuple[str, str] | None) -> dict[str, Any] | None:
    if not groups and error is None:
        return None
    summary: dict[str, Any] = {"groups": groups, "count": sum(group["count"] for group in groups)}
    if error is not None:
        summary |= {"code": error[0], "message": error[1]}
    return summary


async def _put_off(run: Run, reason: str, attempts: int, *, most: int) -> SessionStatus | None:
    if attempts >= most:
        return await _close(run, error=("gave_up", f"Gave up after {attempts} attempts: {reason}"))
    run.steps.pause()
    log.warning("run.put_off", session=str(run.held.session_id), reason=reason)
    left = await run.write(
        lambda session: run_state.put_off(
            session, run.held, _PUT_OFF_SECONDS, stats=_stats(run) | {"trouble": reason}, attempts=attempts
        )
    )
    return None if left else await _close(run, cancelled=True)


async def _settle_meter(run: Run) -> None:
    try:
        await run.governor.close()
    except (SQLAlchemyError, OSError, TransientError) as away:
        log.warning("meter.not_settled", reason=reason_of(away))
