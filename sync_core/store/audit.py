"""Who did what, written in the transaction that did it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_RECORD = text(
    "INSERT INTO audit_log (workspace_id, actor, action, target, details)"
    " VALUES (:workspace, :actor, :action, :target, CAST(:details AS jsonb))"
)

_LATEST = text(
    "SELECT occurred_at, actor, details FROM audit_log WHERE workspace_id = :workspace AND target = :target AND action = :action"
    " ORDER BY occurred_at DESC, id DESC LIMIT :limit"
)


async def record(
    session: AsyncSession, workspace_id: UUID, actor: str, action: str, *, target: str = "", details: Mapping[str, Any]
) -> None:
    """`details` hold neither a secret nor a whole record."""
    await session.execute(
        _RECORD,
        {
            "workspace": workspace_id,
            "actor": actor,
            "action": action,
            "target": target,
            "details": orjson.dumps(dict(details)).decode(),
        },
    )


@dataclass(frozen=True, slots=True)
class Entry:
    occurred_at: datetime
    actor: str
    details: dict[str, Any]


async def latest(session: AsyncSession, workspace_id: UUID, action: str, *, target: str, limit: int) -> list[Entry]:
    """What was done to one thing, the newest first."""
    bound = {"workspace": workspace_id, "action": action, "target": target, "limit": limit}
    return [Entry(*row) for row in await session.execute(_LATEST, bound)]
