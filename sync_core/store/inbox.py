"""Webhook events as they came: kept before they are answered, worked on afterwards."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.events import Told
from sync_core.store.database import driver, in_index_order

# An event of the account that the endpoint belongs to names none.
_PUT = (
    "INSERT INTO payment_webhook_inbox (workspace_id, event_id, event_type, account_id, payload, object_id, happened_at, livemode, changes)"
    " VALUES (%(workspace)s, %(event)s, %(type)s, coalesce(%(account)s, (SELECT k.account_id FROM payment_connections k"
    " WHERE k.workspace_id = %(workspace)s AND k.disconnected_at IS NULL LIMIT 1)), CAST(%(payload)s AS json), %(object)s,"
    " to_timestamp(%(at)s), %(livemode)s, %(changes)s) ON CONFLICT DO NOTHING RETURNING event_id"
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
    session: AsyncSession,
    workspace_id: UUID,
    *,
    event_id: str,
    event_type: str,
    account_id: str | None,
    payload: str,
    told: Told | None,
) -> bool:
    """False when it is there already: Stripe sends an event again until it hears that it came."""
    bound = {"workspace": workspace_id, "event": event_id, "type": event_type, "account": account_id}
    connection = await driver(session)
    done = await connection.execute(_PUT, {**bound, "payload": payload, **_bound(told)})
    return done.rowcount == 1


def _bound(told: Told | None) -> dict[str, Any]:
    if told is None:
        return {"object": None, "at": None, "livemode": None, "changes": Jsonb({})}
    return {"object": told.external_id, "at": told.at, "livemode": told.livemode, "changes": Jsonb(told.changes)}


# Where it was not noted whose an event is, it is the account's that was connected when it came, if that is certain.
_UNREAD = """
SELECT w.event_id, w.payload::text, coalesce(w.account_id, (SELECT CASE WHEN count(*) = 1 THEN min(k.account_id) END FROM payment_connections k
  WHERE k.workspace_id = w.workspace_id AND k.created_at <= w.received_at AND (k.disconnected_at IS NULL OR k.disconnected_at > w.received_at)))
FROM payment_webhook_inbox w WHERE w.workspace_id = %(workspace)s AND w.changes IS NULL ORDER BY w.event_id LIMIT %(size)s
"""
_READ = """
UPDATE payment_webhook_inbox w SET account_id = r.account, object_id = r.object, happened_at = to_timestamp(r.at), livemode = r.livemode,
  changes = r.changes
FROM jsonb_to_recordset(%(read)s) AS r(event text, account text, object text, at float8, livemode boolean, changes jsonb)
WHERE w.workspace_id = %(workspace)s AND w.event_id = r.event
"""


async def unread(session: AsyncSession, workspace_id: UUID, size: int) -> list[tuple[str, dict[str, Any], str | None]]:
    """(event id, event, account) of some that came before events were read as they come."""
    connection = await driver(session)
    found = await connection.execute(_UNREAD, {"workspace": workspace_id, "size": size})
    return [(event_id, json.loads(payload), account) for event_id, payload, account in await found.fetchall()]


async def note_read(
    session: AsyncSession, workspace_id: UUID, read: Sequence[tuple[str, str | None, Told | None]]
) -> None:
    """What these say, by (event id, account, what it says)."""
    told = [
        {
            "event": event_id,
            "account": account,
            "object": one.external_id if one else None,
            "at": one.at if one else None,
            "livemode": one.livemode if one else None,
            "changes": one.changes if one else {},
        }
        for event_id, account, one in read
    ]
    connection = await driver(session)
    await connection.execute(_READ, {"workspace": workspace_id, "read": Jsonb(told)})
