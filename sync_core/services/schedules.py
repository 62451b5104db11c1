"""Syncs that repeat: added, paused, deleted, and when each comes next. The tick starts them (`jobs/housekeeping.py`)."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain import rhythm as rhythms
from sync_core.domain.rhythm import Interval, LocalTime, Rhythm
from sync_core.domain.vocabulary import EntityType
from sync_core.errors import Refusal
from sync_core.jobs.starting import PLANS_ONLY
from sync_core.services import history, plan_limits
from sync_core.services.actor import Actor, Permission
from sync_core.services.start_request import StartRequest, checked
from sync_core.store import schedules as store
from sync_core.store import sessions as session_store
from sync_core.store.audit import record
from sync_core.store.database import Database
from sync_core.store.runs import RunConfig
from sync_core.store.schedules import LastRun, NameTaken, StoredSchedule

LONGEST_NAME: Final = 80
MOST_SCHEDULES: Final = 20
MOST_HOURS: Final = 168
MOST_DAYS: Final = 36_500
SHOWN_TIMES: Final = 5
_CLOCK: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_FORBIDDEN = Refusal("forbidden", "Your role may look at schedules, but not change them.", status=403)
NOT_FOUND = Refusal("schedule_not_found", "There is no such schedule in this workspace.", status=404)


@dataclass(frozen=True, slots=True)
class RhythmRequest:
    """Either `every_hours`, or `at` ("HH:MM" in the workspace's zone) with a `weekday` (Monday = 0) or, without one, daily."""

    every_hours: int | None = None
    at: str = ""
    weekday: int | None = None


@dataclass(frozen=True, slots=True)
class ScheduleRequest:
    """With `days` the range is counted back from the day of each start, and `start.start` plays no part. It is open at its end."""

    name: str
    rhythm: RhythmRequest
    start: StartRequest
    days: int | None = None


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """`next_times` are empty while it is paused. `clock_note` and `last_note` are empty when there is nothing to say. `revision` is what a
    change of it is to name.
    """

    id: UUID
    name: str
    rhythm: str
    what: str
    enabled: bool
    next_times: tuple[datetime, ...]
    clock_note: str
    last_run: LastRun | None
    last_note: str
    asked: RhythmRequest
    config: RunConfig
    days: int | None
    created_by: str
    changed_by: str
    revision: int
    created_at: int

    def to_json(self) -> dict[str, Any]:
        config, last = self.config, self.last_run
        return {
            "id": str(self.id),
            "object": "sync_schedule",
            "name": self.name,
            "description": f"{self.rhythm}: {self.what}",
            "enabled": self.enabled,
            "every_hours": self.asked.every_hours,
            "at": self.asked.at or None,
            "weekday": self.asked.weekday,
            "config": {
                "entity_types": [entity.value for entity in config.entity_types],
                "batch_size": config.batch_size,
                "concurrent_batches": config.concurrent_batches,
                "conflict_strategy": config.strategies.default.value,
                "strategies": config.strategies.to_json(),
                "dry_run": config.dry_run,
                "start": config.start,
                "days": self.days,
            },
            "next_times": [int(one.timestamp()) for one in self.next_times],
            "last_session_id": None if last is None else str(last.id),
            "last_run": None
            if last is None
            else {
                "id": str(last.id),
                "number": last.number,
                "status": last.status.value,
                "at": int(last.at.timestamp()),
            },
            "last_note": self.last_note or None,
            "revision": self.revision,
            "created_by": self.created_by,
            "changed_by": self.changed_by or None,
            "created_at": self.created_at,
        }


async def list_schedules(database: Database, actor: Actor) -> tuple[ScheduleView, ...]:
    """By name."""
    async with database.workspace(actor.workspace_id) as session:
        found = await store.every(session, actor.workspace_id)
    return tuple(_view(one, actor) for one in found)


async def upcoming(database: Database, actor: Actor, rhythm: RhythmRequest) -> tuple[datetime, ...] | Refusal:
    """What a schedule that is added now would do."""
    sound = _rhythm(rhythm)
    if isinstance(sound, Refusal):
        return sound
    async with database.workspace(actor.workspace_id) as session:
        now = await store.now(session)
    return rhythms.next_times(sound, now, ZoneInfo(actor.time_zone), SHOWN_TIMES)


async def add(database: Database, actor: Actor, request: ScheduleRequest) -> ScheduleView | Refusal:
    """On from the start: its first time is the next one of its rhythm."""
    if not actor.can(Permission.RUN_SYNC):
        return _FORBIDDEN
    sound = _sound(request)
    if isinstance(sound, Refusal):
        return sound
    name, rhythm, config = sound
    workspace_id = actor.workspace_id
    async with database.workspace(workspace_id) as session:
        refusal = await _not_addable(session, workspace_id, config)
        if refusal is not None:
            return refusal
        first = rhythms.next_times(rhythm, await store.now(session), ZoneInfo(actor.time_zone), 1)[0]
        kept = {**config.to_json(), "days": request.days}
        try:
            made = await store.add(
                session, workspace_id, name=name, rhythm=rhythm, config=kept, next_at=first, created_by=actor.label
            )
        except NameTaken:
            return _taken(name)
        details = {"name": name, "rhythm": rhythms.words(rhythm), "config": kept}
        await record(session, workspace_id, actor.label, "schedule.added", target=str(made.id), details=details)
    return _view(made, actor)


async def change(
    database: Database, actor: Actor, schedule_id: UUID, request: ScheduleRequest, *, revision: int
) -> ScheduleView | Refusal:
    """By the same rules as a new one. `revision` is the one that was looked at: what somebody else has changed since is not written over.

    In the same rhythm its next time stays; paused it stays paused.
    """
    if not actor.can(Permission.RUN_SYNC):
        return _FORBIDDEN
    sound = _sound(request)
    if isinstance(sound, Refusal):
        return sound
    name, rhythm, config = sound
    workspace_id = actor.workspace_id
    async with database.workspace(workspace_id) as session:
        found = await store.locked(session, workspace_id, schedule_id)
        refusal = NOT_FOUND if found is None else _moved_on(found, revision)
        refusal = refusal or await _needs_approval(session, workspace_id, config)
        if refusal is not None or found is None:
            return refusal or NOT_FOUND
        kept = {**config.to_json(), "days": request.days}
        next_at = found.next_at
        if next_at is not None and rhythm != found.rhythm:
            next_at = rhythms.next_times(rhythm, await store.now(session), ZoneInfo(actor.time_zone), 1)[0]
        try:
            made = await store.change(
                session,
                workspace_id,
                schedule_id,
                name=name,
                rhythm=rhythm,
                config=kept,
                next_at=next_at,
                changed_by=actor.label,
            )
        except NameTaken:
            return _taken(name)
        details = {"name": name, **_differences(found, made)}
        await record(session, workspace_id, actor.label, "schedule.changed", target=str(schedule_id), details=details)
    return _view(made, actor)


async def set_enabled(database: Database, actor: Actor, schedule_id: UUID, *, enabled: bool) -> ScheduleView | Refusal:
    """Switched on again it goes on with the next time of its rhythm; what was missed is not made up for."""
    if not actor.can(Permission.RUN_SYNC):
        return _FORBIDDEN
    workspace_id = actor.workspace_id
    async with database.workspace(workspace_id) as session:
        found = await store.locked(session, workspace_id, schedule_id)
        if found is None:
            return NOT_FOUND
        if found.enabled is not enabled:
            zone = ZoneInfo(actor.time_zone)
            now = await store.now(session)
            next_at = rhythms.next_times(found.rhythm, now, zone, 1)[0] if enabled else None
            found = await store.move(session, workspace_id, schedule_id, next_at)
            action = "schedule.resumed" if enabled else "schedule.paused"
            details = {"name": found.name}
            await record(session, workspace_id, actor.label, action, target=str(schedule_id), details=details)
    return _view(found, actor)


async def delete(database: Database, actor: Actor, schedule_id: UUID) -> Refusal | None:
    """The syncs that it has started stay."""
    if not actor.can(Permission.RUN_SYNC):
        return _FORBIDDEN
    async with database.workspace(actor.workspace_id) as session:
        name = await store.delete(session, actor.workspace_id, schedule_id)
        if name is None:
            return NOT_FOUND
        details = {"name": name}
        await record(
            session, actor.workspace_id, actor.label, "schedule.deleted", target=str(schedule_id), details=details
        )
    return None


async def follow_zone(session: AsyncSession, workspace_id: UUID, zone: ZoneInfo) -> None:
    """The workspace's clock shows another time from now on: what goes by it is due by the new one."""
    now = await store.now(session)
    for listed in await store.every(session, workspace_id):
        one = await store.locked(session, workspace_id, listed.id)
        if one is not None and isinstance(one.rhythm, LocalTime) and one.next_at is not None and one.next_at > now:
            await store.move(session, workspace_id, one.id, rhythms.next_times(one.rhythm, now, zone, 1)[0])


def _moved_on(found: StoredSchedule, revision: int) -> Refusal | None:
    if found.revision == revision:
        return None
    message = (
        f"{found.changed_by or 'Somebody else'} has changed this schedule since you opened it. Yours was not saved."
    )
    return Refusal("schedule_changed", message, status=409)


def _taken(name: str) -> Refusal:
    return Refusal("schedule_name_taken", f"There is a schedule named “{name}” already.", field="name", status=409)


def _differences(before: StoredSchedule, after: StoredSchedule) -> dict[str, Any]:
    """What was changed, each from what to what."""
    pairs = {
        "name": (before.name, after.name),
        "rhythm": (rhythms.words(before.rhythm), rhythms.words(after.rhythm)),
        "config": (before.config, after.config),
    }
    return {"changes": {name: {"from": old, "to": new} for name, (old, new) in pairs.items() if old != new}}


async def _not_addable(session: AsyncSession, workspace_id: UUID, config: RunConfig) -> Refusal | None:
    await session_store.lock_workspace(session, workspace_id)
    if len(await store.every(session, workspace_id)) >= MOST_SCHEDULES:
        return Refusal(
            "schedules_full", f"A workspace has at most {MOST_SCHEDULES} schedules. Delete one first.", status=409
        )
    return await _needs_approval(session, workspace_id, config)


async def _needs_approval(session: AsyncSession, workspace_id: UUID, config: RunConfig) -> Refusal | None:
    settings = (await session_store.defaults(session, workspace_id)).settings
    return PLANS_ONLY if plan_limits.of(settings).approval and not config.dry_run else None


def _sound(request: ScheduleRequest) -> tuple[str, Rhythm, RunConfig] | Refusal:
    name = _named(request.name)
    if isinstance(name, Refusal):
        return name
    rhythm = _rhythm(request.rhythm)
    if isinstance(rhythm, Refusal):
        return rhythm
    config = _config(request)
    return config if isinstance(config, Refusal) else (name, rhythm, config)


def _named(name: str) -> str | Refusal:
    wanted = " ".join(name.split())
    if not wanted or "\0" in wanted:
        return Refusal("schedule_name_empty", "Give the schedule a name.", field="name")
    if len(wanted) > LONGEST_NAME:
        return Refusal("schedule_name_long", f"A name has at most {LONGEST_NAME} characters.", field="name")
    return wanted


def _rhythm(asked: RhythmRequest) -> Rhythm | Refusal:
    if (asked.every_hours is None) == (not asked.at):
        return Refusal("rhythm_unclear", "Choose either every so many hours, or a time of day.", field="rhythm")
    if asked.every_hours is not None:
        if asked.weekday is not None:
            return Refusal("rhythm_unclear", "A day of the week goes with a time of day.", field="weekday")
        if not 1 <= asked.every_hours <= MOST_HOURS:
            message = f"Between 1 and {MOST_HOURS} hours can pass between two starts."
            return Refusal("every_hours_out_of_range", message, field="every_hours")
        return Interval(asked.every_hours * 60)
    read = _CLOCK.fullmatch(asked.at)
    if read is None:
        return Refusal("time_invalid", "A time of day is written as hours and minutes, such as 03:00.", field="at")
    if asked.weekday is not None and not 0 <= asked.weekday <= 6:
        return Refusal(
            "weekday_unknown", "A day of the week is a number from 0, Monday, to 6, Sunday.", field="weekday"
        )
    return LocalTime(int(read[1]) * 60 + int(read[2]), asked.weekday)


def _config(request: ScheduleRequest) -> RunConfig | Refusal:
    if request.start.end is not None:
        message = "A schedule reads up to the moment of each start. Leave the end of the date range out."
        return Refusal("date_range_has_end", message, field="date_range")
    if request.days is not None and not 1 <= request.days <= MOST_DAYS:
        message = f"Between 1 and {MOST_DAYS} days can be counted back."
        return Refusal("days_out_of_range", message, field="date_range")
    start = request.start if request.days is None else replace(request.start, start=None)
    return checked(start, now=int(time.time()))


def _view(stored: StoredSchedule, actor: Actor) -> ScheduleView:
    zone = ZoneInfo(actor.time_zone)
    times: tuple[datetime, ...] = ()
    if stored.next_at is not None:
        first = stored.next_at.astimezone(UTC)
        times = (first, *rhythms.next_times(stored.rhythm, first, zone, SHOWN_TIMES - 1))
    config, days = RunConfig.from_json(stored.config), stored.config.get("days")
    return ScheduleView(
        id=stored.id,
        name=stored.name,
        rhythm=rhythms.words(stored.rhythm),
        what=_what(config, days, actor.time_zone),
        enabled=stored.enabled,
        next_times=times,
        clock_note=rhythms.clock_note(stored.rhythm, times, zone),
        last_run=stored.last_run,
        last_note=stored.last_note,
        asked=_asked(stored.rhythm),
        config=config,
        days=days,
        created_by=stored.created_by,
        changed_by=stored.changed_by,
        revision=stored.revision,
        created_at=int(stored.created_at.timestamp()),
    )


def _asked(rhythm: Rhythm) -> RhythmRequest:
    if isinstance(rhythm, Interval):
        return RhythmRequest(every_hours=rhythm.minutes // 60)
    return RhythmRequest(at=rhythms.clock(rhythm), weekday=rhythm.weekday)


def _what(config: RunConfig, days: int | None, zone: str) -> str:
    labels = [entity.label.lower() for entity in config.entity_types]
    named = " and ".join(part for part in (", ".join(labels[:-1]), labels[-1]) if part)
    said = "all entity types" if len(labels) == len(EntityType) else named
    said = f"dry run of {said}" if config.dry_run else said
    span = history.span_of(config, zone) if days is None else f"of the last {days} day{'' if days == 1 else 's'}"
    narrower = len(config.strategies.by_entity) + len(config.strategies.by_field)
    parts = [f"{said[0].upper()}{said[1:]} {span}".strip(), f"{config.strategies.default.value} what differs"]
    return ", ".join(parts + ([f"{narrower} exception{'' if narrower == 1 else 's'}"] if narrower else []))
