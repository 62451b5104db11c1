"""Stripe's webhooks: checked, kept, answered. What they say is worked on later."""

from __future__ import annotations

import time
from dataclasses import dataclass
from uuid import UUID

from sync_core.domain.events import told
from sync_core.errors import Refusal
from sync_core.services.connection_webhooks import secrets
from sync_core.settings import Settings
from sync_core.store import inbox
from sync_core.store.database import Database
from sync_core.stripe_source import verify_signature


@dataclass(frozen=True, slots=True)
class Receipt:
    event_id: str
    is_new: bool


async def receive(
    database: Database, workspace_id: UUID, payload: bytes, signature: str, *, settings: Settings | None = None
) -> Receipt | Refusal:
    """Keep a signed event. A workspace that takes no webhooks answers as to a wrong signature: who asks learns nothing."""
    signed_with = await secrets(database, workspace_id, settings=settings)
    event = verify_signature(payload, signature, signed_with, time.time())
    if isinstance(event, Refusal):
        return event
    event_id, event_type, account_id = event["id"], str(event.get("type", "")), event.get("account")
    async with database.workspace(workspace_id) as session:
        is_new = await inbox.put(
            session,
            workspace_id,
            event_id=event_id,
            event_type=event_type,
            account_id=account_id if isinstance(account_id, str) else None,
            payload=payload.decode(),
            told=told(event),
        )
    return Receipt(event_id, is_new)
