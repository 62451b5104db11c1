"""Webhook events as they came: kept before they are answered, worked on afterwards."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.store.database import in_index_order

_PUT = text(
    "INSERT INTO payment_webhook_inbox (workspace_id, event_id, event_type, account_id, payload)"
    " VALUES (:workspace, :id, :type, :account, CAST(:payload AS json)) ON CONFLICT DO NOTHING RETURNING event_id"
)
_LAST = text(
    "SELECT received_at, event_type FROM payment_webhook_inbox WHERE workspace_id = :workspace"
    " ORDER BY received_at DESC LIMIT 1"
)


async def last(session: AsyncSession, workspace_id: UUID) -> tuple[datetime, str] | None:
    """When the last event came, and of what type."""
    await in_index_order(session)
    row = (await session.execute(_LAST, {"workspace": workspace_id})).one_or_none()
    return None if row is None else (row.received_at, row.event_type)


async def put(
    session: AsyncSession, workspace_id: UUID, *, event_id: str, event_type: str, account_id: str | None, payload: str
) -> bool:
    """False when it is there already: Stripe sends an event again until it hears that it came."""
    bound = {"workspace": workspace_id, "id": event_id, "type": event_type, "account": account_id, "payload": payload}
    return (await session.execute(_PUT, bound)).scalar_one_or_none() is not None
