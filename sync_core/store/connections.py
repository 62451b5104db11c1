"""Connections as rows, and what a run needs of one: its key and its address."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.settings import Settings
from sync_core.store.crypto import Purpose, load_keyring


def base_url(settings: Settings, *, is_sandbox: bool) -> str:
    """Where a connection's Stripe is. The operator's word, never a form's."""
    return settings.sandbox_base if is_sandbox else settings.stripe_api_base


def reveal_key(workspace_id: UUID, connection_id: UUID, ciphertext: bytes, settings: Settings) -> str:
    """Raises ConfigError when the key ring lost the key that it was written with."""
    return load_keyring(settings).open(
        ciphertext, workspace_id=workspace_id, connection_id=connection_id, purpose=Purpose.API_KEY
    )


@dataclass(frozen=True, slots=True)
class StoredConnection:
    """`account_created` is epoch seconds; `checks` are the results of the last examination."""

    id: UUID
    account_id: str
    account_name: str | None
    country: str | None
    default_currency: str | None
    account_created: int | None
    livemode: bool
    is_sandbox: bool
    key_kind: str
    key_last4: str
    key_fingerprint: str
    key_ciphertext: bytes
    former_ciphertext: bytes | None
    former_last4: str | None
    webhook_ciphertext: bytes | None
    checks: list[dict[str, Any]]
    checked_at: datetime | None
    entity_types: list[str]
    read_cap: int | None
    created_at: datetime
    updated_at: datetime
    disconnected_at: datetime | None


@dataclass(frozen=True, slots=True)
class Identity:
    """The account that a key opens, as Stripe names it."""

    account_id: str
    account_name: str | None
    country: str | None
    default_currency: str | None
    account_created: int | None
    livemode: bool
    is_sandbox: bool


@dataclass(frozen=True, slots=True)
class SealedKey:
    kind: str
    last4: str
    fingerprint: str
    ciphertext: bytes


_COLUMNS = (
    "id, account_id, account_name, country, default_currency, account_created, livemode, is_sandbox, key_kind, key_last4,"
    " key_fingerprint, key_ciphertext, former_ciphertext, former_last4, webhook_ciphertext, checks, checked_at, entity_types, read_cap, created_at,"
    " updated_at, disconnected_at"
)
_ACTIVE = text(
    f"SELECT {_COLUMNS} FROM payment_connections"
    " WHERE workspace_id = :workspace AND provider_name = 'stripe' AND disconnected_at IS NULL"
)
# The workspace's own row is the lock: there may be no connection yet to lock.
_LOCK = text("SELECT id FROM workspaces WHERE id = :workspace FOR UPDATE")
_FORMER = text(
    "SELECT id FROM payment_connections WHERE workspace_id = :workspace AND account_id = :account AND livemode = :livemode"
    " AND is_sandbox = :is_sandbox ORDER BY disconnected_at DESC NULLS FIRST LIMIT 1"
)
# What is kept of keys before is the last one that worked: not one that was replaced before it had, nor the very key that is kept again.
_FORMER_KEY = (
    "CASE WHEN excluded.key_fingerprint = coalesce(c.former_fingerprint, '') OR c.disconnected_at IS NOT NULL THEN NULL"
    " WHEN c.former_ciphertext IS NOT NULL OR excluded.key_fingerprint = c.key_fingerprint THEN c.former_{0} ELSE c.key_{0} END"
)
# A key that may not read its account does not make us forget what an earlier one told.
_SAVE = text(
    "INSERT INTO payment_connections AS c (workspace_id, id, account_id, account_name, country, default_currency, account_created,"
    " livemode, is_sandbox, key_kind, key_last4, key_fingerprint, key_ciphertext, checks, entity_types, checked_at)"
    " VALUES (:workspace, :id, :account, :name, :country, :currency, :created, :livemode, :is_sandbox, :kind, :last4,"
    " :fingerprint, :ciphertext, CAST(:checks AS jsonb), :entity_types, now())"
    " ON CONFLICT (workspace_id, id) DO UPDATE SET account_name = coalesce(excluded.account_name, c.account_name),"
    " country = coalesce(excluded.country, c.country), default_currency = coalesce(excluded.default_currency, c.default_currency),"
    " account_created = coalesce(excluded.account_created, c.account_created), key_kind = excluded.key_kind,"
    " key_last4 = excluded.key_last4, key_fingerprint = excluded.key_fingerprint, key_ciphertext = excluded.key_ciphertext,"
    " checks = excluded.checks, entity_types = excluded.entity_types, checked_at = now(), disconnected_at = NULL,"
    + ", ".join(f" former_{part} = {_FORMER_KEY.format(part)}" for part in ("ciphertext", "last4", "fingerprint"))
)
_CHECKED = text(
    "UPDATE payment_connections SET checks = CAST(:checks AS jsonb), checked_at = now()"
    " WHERE workspace_id = :workspace AND id = :id AND key_fingerprint = :fingerprint"
)
_WEBHOOK = text(
    "UPDATE payment_connections SET webhook_ciphertext = :ciphertext WHERE workspace_id = :workspace AND id = :id"
)
_READ_CAP = text("UPDATE payment_connections SET read_cap = :cap WHERE workspace_id = :workspace AND id = :id")
# What is disconnected is forgotten: the row stays for its runs, its secrets do not.
_DISCONNECT = text(
    "UPDATE payment_connections SET disconnected_at = now(), key_ciphertext = '', webhook_ciphertext = NULL,"
    " former_ciphertext = NULL, former_last4 = NULL, former_fingerprint = NULL"
    " WHERE workspace_id = :workspace AND id = :id AND disconnected_at IS NULL RETURNING id"
)
_FORGET_FORMER = text(
    "UPDATE payment_connections SET former_ciphertext = NULL, former_last4 = NULL, former_fingerprint = NULL"
    " WHERE workspace_id = :workspace AND id = :id AND key_fingerprint = :fingerprint AND former_ciphertext IS NOT NULL"
)
_ELSEWHERE = text("SELECT is_connected_elsewhere(:id)")
_BUSY = text("SELECT session_id FROM payment_sync_leases WHERE workspace_id = :workspace")


async def active(session: AsyncSession, workspace_id: UUID) -> StoredConnection | None:
    row = (await session.execute(_ACTIVE, {"workspace": workspace_id})).one_or_none()
    return None if row is None else _stored(row)


async def lock(session: AsyncSession, workspace_id: UUID) -> None:
    """Two people who connect at once do it one after the other."""
    await session.execute(_LOCK, {"workspace": workspace_id})


async def former(session: AsyncSession, workspace_id: UUID, identity: Identity) -> UUID | None:
    """The connection that this workspace has or had to the account: connecting again goes on with it."""
    bound = {
        "workspace": workspace_id,
        "account": identity.account_id,
        "livemode": identity.livemode,
        "is_sandbox": identity.is_sandbox,
    }
    found: UUID | None = (await session.execute(_FORMER, bound)).scalar_one_or_none()
    return found


async def save(
    session: AsyncSession,
    workspace_id: UUID,
    connection_id: UUID,
    *,
    identity: Identity,
    key: SealedKey,
    checks: list[dict[str, Any]],
    entity_types: list[str],
) -> None:
    """Make the connection, or give an existing one its new key."""
    await session.execute(
        _SAVE,
        {
            "workspace": workspace_id,
            "id": connection_id,
            "account": identity.account_id,
            "name": identity.account_name,
            "country": identity.country,
            "currency": identity.default_currency,
            "created": identity.account_created,
            "livemode": identity.livemode,
            "is_sandbox": identity.is_sandbox,
            "kind": key.kind,
            "last4": key.last4,
            "fingerprint": key.fingerprint,
            "ciphertext": key.ciphertext,
            "checks": orjson.dumps(checks).decode(),
            "entity_types": entity_types,
        },
    )


async def save_checks(
    session: AsyncSession, workspace_id: UUID, connection: StoredConnection, checks: list[dict[str, Any]]
) -> None:
    """Nothing happens when the key was replaced meanwhile: the results are another key's."""
    await session.execute(
        _CHECKED,
        {
            "workspace": workspace_id,
            "id": connection.id,
            "fingerprint": connection.key_fingerprint,
            "checks": orjson.dumps(checks).decode(),
        },
    )


async def save_webhook_secret(
    session: AsyncSession, workspace_id: UUID, connection_id: UUID, ciphertext: bytes | None
) -> None:
    await session.execute(_WEBHOOK, {"workspace": workspace_id, "id": connection_id, "ciphertext": ciphertext})


async def save_read_cap(session: AsyncSession, workspace_id: UUID, connection_id: UUID, cap: int | None) -> None:
    """How fast the workspace wants the account to be read; the least of an account's stands in its rate bucket from then on."""
    await session.execute(_READ_CAP, {"workspace": workspace_id, "id": connection_id, "cap": cap})


async def forget_former(session: AsyncSession, workspace_id: UUID, connection_id: UUID, fingerprint: str) -> None:
    """The key has worked: the one before it is not needed any more. Nothing happens when the key is another one by now."""
    bound = {"workspace": workspace_id, "id": connection_id, "fingerprint": fingerprint}
    await session.execute(_FORGET_FORMER, bound)


async def disconnect(session: AsyncSession, workspace_id: UUID, connection_id: UUID) -> bool:
    found = await session.execute(_DISCONNECT, {"workspace": workspace_id, "id": connection_id})
    return found.scalar_one_or_none() is not None


async def is_elsewhere(session: AsyncSession, connection_id: UUID) -> bool:
    """Whether another workspace is connected to the account of this workspace's connection; nothing else can be asked about it."""
    found: bool = (await session.execute(_ELSEWHERE, {"id": connection_id})).scalar_one()
    return found


async def open_run(session: AsyncSession, workspace_id: UUID) -> UUID | None:
    """The run of this workspace that is waiting or going on."""
    found: UUID | None = (await session.execute(_BUSY, {"workspace": workspace_id})).scalar_one_or_none()
    return found


def _stored(row: Row[Any]) -> StoredConnection:
    return StoredConnection(**row._asdict())
