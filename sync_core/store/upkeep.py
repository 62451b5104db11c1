"""Rows that the timer reads and forgets."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_KEEP_STAGED_DAYS = 30

_FORGET = text(
    "WITH old AS (SELECT id FROM payment_sync_sessions WHERE workspace_id = :workspace"
    " AND completed_at < now() - make_interval(days => :days) AND status IN ('completed', 'partial', 'failed', 'cancelled'))"
    " DELETE FROM payment_sync_staged_objects WHERE workspace_id = :workspace AND session_id IN (SELECT id FROM old)"
)


async def workspace_ids(session: AsyncSession) -> list[UUID]:
    return list((await session.execute(text("SELECT id FROM workspaces"))).scalars())


async def forget_old_runs(session: AsyncSession, workspace_id: UUID) -> int:
    """Drop what long-ended runs had staged; returns how many rows."""
    done = await session.execute(_FORGET, {"workspace": workspace_id, "days": _KEEP_STAGED_DAYS})
    return int(getattr(done, "rowcount", 0))
