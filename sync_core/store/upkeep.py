"""Rows that the timer reads and forgets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_KEEP_STAGED_DAYS = 30

# Claimed by moving its next time on, so that two servers never start one schedule twice.
_DUE = text(
    "UPDATE payment_sync_schedules SET next_at = now() + make_interval(mins => every_minutes)"
    " WHERE enabled AND next_at <= now() RETURNING workspace_id, id, name, config"
)
_FORGET = text(
    "WITH old AS (SELECT id FROM payment_sync_sessions WHERE workspace_id = :workspace"
    " AND completed_at < now() - make_interval(days => :days) AND status IN ('completed', 'partial', 'failed', 'cancelled'))"
    " DELETE FROM payment_sync_staged_objects WHERE workspace_id = :workspace AND session_id IN (SELECT id FROM old)"
)


@dataclass(frozen=True, slots=True)
class DueSchedule:
    workspace_id: UUID
    id: UUID
    name: str
    config: dict[str, Any]


async def due_schedules(session: AsyncSession) -> list[DueSchedule]:
    """Schedules whose time has come; each is returned to one caller only."""
    return [DueSchedule(*row) for row in await session.execute(_DUE)]


async def active_connection(session: AsyncSession, workspace_id: UUID) -> UUID | None:
    found = await session.execute(
        text("SELECT id FROM payment_connections WHERE workspace_id = :workspace AND disconnected_at IS NULL"),
        {"workspace": workspace_id},
    )
    return found.scalar_one_or_none()


async def note_started(session: AsyncSession, schedule: DueSchedule, session_id: UUID | None) -> None:
    await session.execute(
        text(
            "UPDATE payment_sync_schedules SET last_session_id = coalesce(:session, last_session_id)"
            " WHERE workspace_id = :workspace AND id = :id"
        ),
        {"workspace": schedule.workspace_id, "id": schedule.id, "session": session_id},
    )


async def workspace_ids(session: AsyncSession) -> list[UUID]:
    return list((await session.execute(text("SELECT id FROM workspaces"))).scalars())


async def forget_old_runs(session: AsyncSession, workspace_id: UUID) -> int:
    """Drop what long-ended runs had staged; returns how many rows."""
    done = await session.execute(_FORGET, {"workspace": workspace_id, "days": _KEEP_STAGED_DAYS})
    return int(getattr(done, "rowcount", 0))
