"""The webhook endpoint of the workspace's Stripe account: its signing secret, sealed, and whether an event comes."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.errors import Refusal
from sync_core.jobs.starting import NOT_CONNECTED
from sync_core.services.actor import Actor, Permission
from sync_core.services.connection_views import FORBIDDEN, ConnectionView, view_of
from sync_core.settings import Settings, get_settings
from sync_core.store import connections as store
from sync_core.store import inbox
from sync_core.store.audit import record
from sync_core.store.crypto import Purpose, load_keyring
from sync_core.store.database import Database


async def set_secret(
    database: Database, actor: Actor, secret: str, *, settings: Settings | None = None
) -> ConnectionView | Refusal:
    """Keep the signing secret of the account's webhook endpoint; an empty one forgets it."""
    if not actor.can(Permission.MANAGE_CONNECTION):
        return FORBIDDEN
    secret = secret.strip()
    if secret and (not secret.startswith("whsec_") or len(secret) < 12 or not secret.isascii()):
        message = "A signing secret starts with whsec_. It is shown beside the endpoint in Stripe's dashboard."
        return Refusal("webhook_secret_malformed", message, field="webhook_secret")
    async with database.workspace(actor.workspace_id) as session:
        found = await store.active(session, actor.workspace_id)
        if found is None:
            return NOT_CONNECTED
        await seal(session, actor.workspace_id, found.id, secret, settings or get_settings())
        action = "connection.webhook_secret_set" if secret else "connection.webhook_secret_removed"
        await record(session, actor.workspace_id, actor.label, action, target=str(found.id), details={})
        again = await store.active(session, actor.workspace_id)
        return NOT_CONNECTED if again is None else await view_of(session, actor.workspace_id, again)


async def event_comes(database: Database, actor: Actor, *, within: float, every: float = 1.0) -> str | Refusal | None:
    """The type of the next webhook event, as soon as it is there; None when none comes in so many seconds."""
    if not actor.can(Permission.MANAGE_CONNECTION):
        return FORBIDDEN
    ends = time.monotonic() + within
    before = await _last_event(database, actor.workspace_id)
    while (last := await _last_event(database, actor.workspace_id)) == before:
        if time.monotonic() >= ends:
            return None
        await asyncio.sleep(every)
    return None if last is None else last[1]


async def _last_event(database: Database, workspace_id: UUID) -> tuple[datetime, str] | None:
    async with database.workspace(workspace_id) as session:
        return await inbox.last(session, workspace_id)


async def secrets(database: Database, workspace_id: UUID, *, settings: Settings | None = None) -> list[str]:
    """What an incoming webhook may be signed with; empty when the workspace takes none."""
    settings = settings or get_settings()
    async with database.workspace(workspace_id) as session:
        found = await store.active(session, workspace_id)
    if found is None or found.webhook_ciphertext is None:
        return []
    ring = load_keyring(settings)
    return [
        ring.open(
            found.webhook_ciphertext,
            workspace_id=workspace_id,
            connection_id=found.id,
            purpose=Purpose.WEBHOOK_SECRET,
        )
    ]


async def seal(session: AsyncSession, workspace_id: UUID, connection_id: UUID, secret: str, settings: Settings) -> None:
    sealed = (
        load_keyring(settings).seal(
            secret, workspace_id=workspace_id, connection_id=connection_id, purpose=Purpose.WEBHOOK_SECRET
        )
        if secret
        else None
    )
    await store.save_webhook_secret(session, workspace_id, connection_id, sealed)
