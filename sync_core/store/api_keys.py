"""API keys by their hash. Read before a workspace is known, hence under the system role."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


@dataclass(frozen=True, slots=True)
class StoredApiKey:
    id: UUID
    workspace_id: UUID
    name: str
    level: str
    prefix: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class ListedApiKey:
    id: UUID
    name: str
    level: str
    prefix: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


_FIND = text(
    "SELECT k.id, k.workspace_id, k.name, k.level, k.prefix, w.time_zone FROM api_keys k JOIN workspaces w ON w.id = k.workspace_id"
    " WHERE k.key_hash = :hash AND k.revoked_at IS NULL"
)
# Once a minute is enough to see which keys are in use, and spares a write for every request.
_USED = text(
    "UPDATE api_keys SET last_used_at = now() WHERE id = :id AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')"
)
_ADD = text(
    "INSERT INTO api_keys (workspace_id, name, level, prefix, key_hash, created_by)"
    " VALUES (:workspace, :name, :level, :prefix, :hash, :created_by) RETURNING id"
)

_REVOKE = text(
    "UPDATE api_keys SET revoked_at = now() WHERE workspace_id = :workspace AND id = :id AND revoked_at IS NULL RETURNING 1"
)
_LIST = text(
    "SELECT id, name, level, prefix, created_at, last_used_at, revoked_at FROM api_keys"
    " WHERE workspace_id = :workspace ORDER BY created_at DESC, id LIMIT 200"
)


async def find(session: AsyncSession, key_hash: str) -> StoredApiKey | None:
    """None for a key that is unknown or was revoked."""
    row = (await session.execute(_FIND, {"hash": key_hash})).one_or_none()
    if row is None:
        return None
    await session.execute(_USED, {"id": row.id})
    return StoredApiKey(*row)


async def add(
    session: AsyncSession,
    workspace_id: UUID,
    *,
    name: str,
    level: str,
    prefix: str,
    key_hash: str,
    created_by: UUID | None,
) -> UUID:
    """Raises IntegrityError when there is no such workspace."""
    bound = {
        "workspace": workspace_id,
        "name": name,
        "level": level,
        "prefix": prefix,
        "hash": key_hash,
        "created_by": created_by,
    }
    made: UUID = (await session.execute(_ADD, bound)).scalar_one()
    return made


async def revoke(session: AsyncSession, workspace_id: UUID, key_id: UUID) -> bool:
    """Whether there was such a key and it was still good."""
    bound = {"workspace": workspace_id, "id": key_id}
    return (await session.execute(_REVOKE, bound)).one_or_none() is not None


async def all_of(session: AsyncSession, workspace_id: UUID) -> list[ListedApiKey]:
    """The newest first, revoked ones included."""
    found = await session.execute(_LIST, {"workspace": workspace_id})
    return [ListedApiKey(*row) for row in found]
