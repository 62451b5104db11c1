"""Who did what, written in the transaction that did it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_RECORD = text(
    "INSERT INTO audit_log (workspace_id, actor, action, target, details)"
    " VALUES (:workspace, :actor, :action, :target, CAST(:details AS jsonb))"
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
