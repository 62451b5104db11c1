"""Configurations of syncs, kept under a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession


@dataclass(frozen=True, slots=True)
class StoredPreset:
    id: UUID
    name: str
    config: dict[str, Any]
    created_by: str
    created_at: datetime
    updated_at: datetime


_COLUMNS = "id, name, config, created_by, created_at, updated_at"
_ALL = text(f"SELECT {_COLUMNS} FROM payment_sync_presets WHERE workspace_id = :workspace ORDER BY lower(name), id")
_ONE = text(f"SELECT {_COLUMNS} FROM payment_sync_presets WHERE workspace_id = :workspace AND id = :id")
_ADD = text(
    "INSERT INTO payment_sync_presets (workspace_id, name, config, created_by)"
    f" VALUES (:workspace, :name, CAST(:config AS jsonb), :by) RETURNING {_COLUMNS}"
)
_RENAME = text(
    f"UPDATE payment_sync_presets SET name = :name WHERE workspace_id = :workspace AND id = :id RETURNING {_COLUMNS}"
)
_DELETE = text("DELETE FROM payment_sync_presets WHERE workspace_id = :workspace AND id = :id RETURNING name")


class NameTaken(Exception):  # noqa: N818 - what happened, not a fault
    """Another preset of the workspace has this name."""


async def every(session: AsyncSession, workspace_id: UUID) -> Sequence[StoredPreset]:
    """By name."""
    found = await session.execute(_ALL, {"workspace": workspace_id})
    return [StoredPreset(**row) for row in found.mappings()]


async def read(session: AsyncSession, workspace_id: UUID, preset_id: UUID) -> StoredPreset | None:
    row = (await session.execute(_ONE, {"workspace": workspace_id, "id": preset_id})).mappings().one_or_none()
    return None if row is None else StoredPreset(**row)


async def add(
    session: AsyncSession, workspace_id: UUID, *, name: str, config: dict[str, Any], created_by: str
) -> StoredPreset:
    bound = {"workspace": workspace_id, "name": name, "config": orjson.dumps(config).decode(), "by": created_by}
    try:
        async with session.begin_nested():
            return StoredPreset(**(await session.execute(_ADD, bound)).mappings().one())
    except IntegrityError as taken:
        raise NameTaken(name) from taken


async def rename(session: AsyncSession, workspace_id: UUID, preset_id: UUID, name: str) -> StoredPreset | None:
    bound = {"workspace": workspace_id, "id": preset_id, "name": name}
    try:
        async with session.begin_nested():
            row = (await session.execute(_RENAME, bound)).mappings().one_or_none()
    except IntegrityError as taken:
        raise NameTaken(name) from taken
    return None if row is None else StoredPreset(**row)


async def delete(session: AsyncSession, workspace_id: UUID, preset_id: UUID) -> str | None:
    """The name it had; None when there is none."""
    found: str | None = (
        await session.execute(_DELETE, {"workspace": workspace_id, "id": preset_id})
    ).scalar_one_or_none()
    return found
