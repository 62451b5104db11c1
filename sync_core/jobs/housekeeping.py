"""What the timer does besides runs: syncs that repeat, and what may be forgotten."""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog

from sync_core.domain import rhythm
from sync_core.domain.events import told
from sync_core.errors import Refusal
from sync_core.jobs.starting import NOT_CONNECTED, PLANS_ONLY, RUNNING, queue
from sync_core.store import conflict_counts, conflict_reviews, connection_drafts, inbox, schedules, upkeep
from sync_core.store.database import Database
from sync_core.store.runs import RunConfig
from sync_core.store.schedules import DueSchedule

log = structlog.get_logger()

_NOTES: Final = {
    RUNNING.code: "A sync was running",
    NOT_CONNECTED.code: "Not connected",
    PLANS_ONLY.code: "Needs an approved plan",
}


async def start_scheduled(database: Database) -> None:
    """Queue a run for every schedule that is due. One that can't be started now says why, and waits for its next time."""
    async with database.system() as session:
        due = await schedules.due(session)
    for one in due:
        try:
            await _start(database, one)
        except (KeyError, TypeError, ValueError) as unreadable:
            # A row that nobody can read must not keep the others, and the runs that wait, from starting.
            log.warning("schedule.unreadable", schedule=str(one.id), error=repr(unreadable))


async def _start(database: Database, one: DueSchedule) -> None:
    """Claimed in the transaction that queues the run: a server that dies in between has done neither."""
    zone = ZoneInfo(one.zone)
    config = _config_at(one, zone)
    async with database.workspace(one.workspace_id) as session:
        if not await schedules.claim(session, one, rhythm.following(one.rhythm, one.next_at, one.now, zone)):
            return
        by = f"schedule {one.name}"
        started = await queue(session, one.workspace_id, config, by=by, details=_makers(one))
        if isinstance(started, Refusal):
            await schedules.note(session, one, None, _NOTES[started.code])
        else:
            await schedules.note(session, one, started, "")
    log.info(
        "schedule.due", schedule=str(one.id), came_to=started.code if isinstance(started, Refusal) else str(started)
    )


def _makers(one: DueSchedule) -> dict[str, str]:
    """The plan counts as made by who set the schedule up, and by who changed it last."""
    return {"scheduled_by": one.created_by, **({"changed_by": one.changed_by} if one.changed_by else {})}


def _config_at(one: DueSchedule, zone: ZoneInfo) -> RunConfig:
    """Up to now; a range of the last days is counted back from today."""
    config = RunConfig.from_json(one.config)
    days = one.config.get("days")
    return replace(config, start=config.start if days is None else rhythm.days_before(days, one.now, zone), end=None)


async def prune(database: Database) -> None:
    """Staged objects and events of runs that ended long ago; the records and conflicts stay. What conflicts were counted by is folded, and connections begun and left are forgotten."""
    async with database.system() as session:
        workspaces = await upkeep.workspace_ids(session)
    for workspace_id in workspaces:
        async with database.workspace(workspace_id) as session:
            gone = await upkeep.forget_old_runs(session, workspace_id)
            await conflict_counts.tidy(session, workspace_id)
            await connection_drafts.forget_expired(session, workspace_id)
            await conflict_reviews.tidy(session, workspace_id)
        if gone:
            log.info("prune.forgot", workspace=str(workspace_id), staged=gone)


_EVENTS_AT_ONCE = 50


async def read_events(database: Database) -> None:
    """What Stripe's events say that came before this version: those that come are read as they come."""
    async with database.system() as session:
        workspaces = await upkeep.workspace_ids(session)
    for workspace_id in workspaces:
        while await _read_some(database, workspace_id):
            pass


async def _read_some(database: Database, workspace_id: UUID) -> bool:
    async with database.workspace(workspace_id) as session:
        found = await inbox.unread(session, workspace_id, _EVENTS_AT_ONCE)
        await inbox.note_read(session, workspace_id, [(one, account, told(event)) for one, event, account in found])
    return bool(found)
