"""What happened in a workspace, by time: what people and programs did, and how runs ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

ENDED = "sync.ended"


@dataclass(frozen=True, slots=True)
class Happened:
    """`number`, `status` and `dry_run` are those of the run that it is about, None where it is about none."""

    at: datetime
    id: UUID
    actor: str
    action: str
    target: str
    details: dict[str, Any]
    number: int | None
    status: str | None
    dry_run: bool | None


# The condition of the index, word for word: what is settled and edited one by one is told with its conflict and its record.
_TOLD = (
    "action <> ALL (ARRAY['conflict.resolved', 'conflict.bulk_resolved', 'conflict.reopened', 'conflict.undone', 'record.edited',"
    " 'signed_in'])"
)
# Each side of it stops at a page's rows of its own index. A run is looked up by its key, for the rows of the page only.
_PAGE = text(
    "WITH told AS (SELECT occurred_at AS at, id, actor, action, target, details FROM audit_log"
    f" WHERE workspace_id = :workspace AND {_TOLD} AND action = ANY(CAST(:actions AS text[]))"
    " AND (occurred_at, id) < (CAST(:at AS timestamptz), CAST(:id AS uuid)) ORDER BY occurred_at DESC, id DESC LIMIT :limit),"
    " ended AS (SELECT completed_at AS at, id, created_by AS actor, CAST(:ended AS text) AS action, CAST(id AS text) AS target,"
    " CAST('{}' AS jsonb) AS details FROM payment_sync_sessions WHERE workspace_id = :workspace AND deleted_at IS NULL"
    " AND completed_at IS NOT NULL AND status IN ('completed', 'partial', 'failed', 'cancelled') AND :ended = ANY(CAST(:actions AS text[]))"
    " AND (completed_at, id) < (CAST(:at AS timestamptz), CAST(:id AS uuid)) ORDER BY completed_at DESC, id DESC LIMIT :limit),"
    " page AS (SELECT * FROM told UNION ALL SELECT * FROM ended ORDER BY at DESC, id DESC LIMIT :limit)"
    " SELECT p.*, r.number, r.status, r.dry_run FROM page p LEFT JOIN LATERAL (SELECT s.number, s.status, s.dry_run"
    " FROM payment_sync_sessions s WHERE s.workspace_id = :workspace AND s.deleted_at IS NULL"
    " AND s.id = CASE WHEN p.action LIKE 'sync.%' OR p.action = 'plan.approved' THEN CAST(p.target AS uuid) END) r ON true"
    " ORDER BY p.at DESC, p.id DESC"
)


async def page(
    session: AsyncSession, workspace_id: UUID, actions: Sequence[str], *, before: tuple[datetime, UUID], limit: int
) -> list[Happened]:
    """Of these actions, the newest first."""
    bound = {"workspace": workspace_id, "actions": list(actions), "at": before[0], "id": before[1], "limit": limit}
    return [Happened(**row) for row in (await session.execute(_PAGE, {**bound, "ended": ENDED})).mappings()]
