"""Approvals of plans, kept with the dry run."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_APPROVE = text(
    "UPDATE payment_sync_sessions SET approved_hash = plan_hash, approved_by = :by, approved_at = now()"
    " WHERE workspace_id = :workspace AND id = :session AND deleted_at IS NULL AND plan_hash = :hash RETURNING id"
)
# What a run says of who made it is the key's name, or how its screen calls it.
_KEY = text(
    "SELECT EXISTS (SELECT FROM api_keys WHERE workspace_id = :workspace AND created_by = :person"
    " AND :label IN (name, 'API key ' || prefix || '…'))"
)


async def approve(session: AsyncSession, workspace_id: UUID, session_id: UUID, plan_hash: str, by: str) -> bool:
    """False when the plan is another one by now."""
    bound = {"workspace": workspace_id, "session": session_id, "hash": plan_hash, "by": by}
    return (await session.execute(_APPROVE, bound)).scalar_one_or_none() is not None


async def has_key_named(session: AsyncSession, workspace_id: UUID, person: UUID, label: str) -> bool:
    """Whether a person has made an API key that goes by this name: its plans are that person's own."""
    found = await session.execute(_KEY, {"workspace": workspace_id, "person": person, "label": label})
    return bool(found.scalar_one())
