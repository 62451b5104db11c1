"""What the timer does besides runs: syncs that repeat, and what may be forgotten."""

from __future__ import annotations

import structlog

from sync_core.store import conflict_counts, conflict_reviews, connection_drafts, upkeep
from sync_core.store.database import Database
from sync_core.store.runs import RunConfig, enqueue

log = structlog.get_logger()


async def start_scheduled(database: Database) -> None:
    """Queue a run for every schedule that is due. One whose workspace is busy, or not connected, waits for its next time."""
    async with database.system() as session:
        due = await upkeep.due_schedules(session)
    for one in due:
        async with database.workspace(one.workspace_id) as session:
            connection_id = await upkeep.active_connection(session, one.workspace_id)
            if connection_id is None:
                continue
            started = await enqueue(
                session,
                one.workspace_id,
                RunConfig.from_json(one.config),
                connection_id=connection_id,
                created_by=f"schedule {one.name}".strip(),
            )
            await upkeep.note_started(session, one, started)
            log.info("schedule.started", schedule=str(one.id), session=str(started))


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
