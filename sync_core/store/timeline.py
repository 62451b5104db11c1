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
# Each side of it stops at a page's rows of its own index.
_PAGE = text(
    "WITH told AS (SELECT occurred_at AS at, id, actor, action, target, details FROM audit_log"
    f" WHERE workspace_id = :workspace AND {_TOLD} AND action = ANY(CAST(:actions AS text[]))"
    " AND (occurred_at, id) < (CAST(:at AS timestamptz), CAST(:id AS uuid)) ORDER BY occurred_at DESC, id DESC LIMIT :limit),"
    " ended AS (SELECT completed_at AS at, id, created_by AS actor, CAST(:ended AS text) AS action, CAST(id AS text) AS target,"
    " CAST('{}' AS jsonb) AS details FROM payment_sync_sessions WHERE workspace_id = :workspace AND deleted_at IS NULL"
    " AND completed_at IS NOT NULL AND status IN ('completed', 'partial', 'failed', 'cancelled') AND :ended = ANY(CAST(:actions AS text[]))"
    " AND (completed_at, id) < (CAST(:at AS timestamptz), CAST(:id AS uuid)) ORDER BY completed_at DESC, id DESC LIMIT :limit)"
    " SELECT * FROM told UNION ALL SELECT * FROM ended ORDER BY at DESC, id DESC LIMIT :limit"
)
_RUNS = text(
    "SELECT id, number, status, dry_run FROM payment_sync_sessions WHERE workspace_id = :workspace AND deleted_at IS NULL"
    " AND id = ANY(CAST(:ids AS uuid[]))"
)


async def page(
    session: AsyncSession, workspace_id: UUID, actions: Sequence[str], *, before: tuple[datetime, UUID], limit: int
) -> list[Happened]:
    """Of these actions, the newest first."""
    bound = {"workspace": workspace_id, "actions": list(actions), "at": before[0], "id": before[1], "limit": limit}
    rows = (await session.execute(_PAGE, {**bound, "ended": ENDED})).mappings().all()
    ids = {UUID(row["target"]) for row in rows if row["action"].startswith(("sync.", "plan."))}
    found = await session.execute(_RUNS, {"workspace": workspace_id, "ids": list(ids)})
    nothing = {"number": None, "status": None, "dry_run": None}
    runs = {str(row["id"]): {name: row[name] for name in nothing} for row in found.mappings()}
    return [Happened(**row, **runs.get(row["target"], nothing)) for row in rows]
