"""A connection that was begun and left: at most one of a workspace, until it expires."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


@dataclass(frozen=True, slots=True)
class StoredDraft:
    id: UUID
    label: str
    livemode: bool
    entity_types: list[str]
    key_kind: str | None
    key_last4: str | None
    key_ciphertext: bytes | None
    checks: list[dict[str, Any]]
    created_by: str
    created_at: datetime
    expires_at: datetime


_READ = text(
    "SELECT id, label, livemode, entity_types, key_kind, key_last4, key_ciphertext, checks, created_by, created_at, expires_at"
    " FROM payment_connection_drafts WHERE workspace_id = :workspace AND expires_at > now()"
)
_SAVE = text(
    "INSERT INTO payment_connection_drafts (workspace_id, id, label, livemode, entity_types, key_kind, key_last4, key_ciphertext,"
    " created_by, expires_at) VALUES (:workspace, :id, :label, :livemode, :entity_types, :kind, :last4, :ciphertext, :by, now() + make_interval(days => :days))"
    " ON CONFLICT (workspace_id) DO UPDATE SET id = excluded.id, label = excluded.label, livemode = excluded.livemode, entity_types = excluded.entity_types,"
    " key_kind = excluded.key_kind, key_last4 = excluded.key_last4, key_ciphertext = excluded.key_ciphertext, checks = '[]',"
    " created_by = excluded.created_by, created_at = now(), expires_at = excluded.expires_at"
)
_CHECKED = text(
    "UPDATE payment_connection_drafts SET checks = CAST(:checks AS jsonb) WHERE workspace_id = :workspace AND id = :id"
)
_DROP = text("DELETE FROM payment_connection_drafts WHERE workspace_id = :workspace RETURNING id")
_FORGET = text("DELETE FROM payment_connection_drafts WHERE workspace_id = :workspace AND expires_at <= now()")


async def read(session: AsyncSession, workspace_id: UUID) -> StoredDraft | None:
    row = (await session.execute(_READ, {"workspace": workspace_id})).mappings().one_or_none()
    return None if row is None else StoredDraft(**row)


async def save(
    session: AsyncSession,
    workspace_id: UUID,
    draft_id: UUID,
    *,
    label: str,
    livemode: bool,
    entity_types: list[str],
    key: tuple[str, str, bytes] | None,
    created_by: str,
    days: int,
) -> None:
    """In place of the one before. `key` is its kind, its last characters and the envelope."""
    kind, last4, ciphertext = key or (None, None, None)
    bound: dict[str, Any] = {"label": label, "livemode": livemode, "entity_types": entity_types}
    bound |= {"kind": kind, "last4": last4, "ciphertext": ciphertext}
    await session.execute(_SAVE, bound | {"workspace": workspace_id, "id": draft_id, "by": created_by, "days": days})


async def save_checks(session: AsyncSession, workspace_id: UUID, draft_id: UUID, checks: list[dict[str, Any]]) -> None:
    """Nothing happens when it was saved anew meanwhile."""
    bound = {"workspace": workspace_id, "id": draft_id, "checks": orjson.dumps(checks).decode()}
    await session.execute(_CHECKED, bound)


async def drop(session: AsyncSession, workspace_id: UUID) -> UUID | None:
    found: UUID | None = (await session.execute(_DROP, {"workspace": workspace_id})).scalar_one_or_none()
    return found


async def forget_expired(session: AsyncSession, workspace_id: UUID) -> None:
    await session.execute(_FORGET, {"workspace": workspace_id})
