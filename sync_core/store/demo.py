"""Writes the demo workspace's own records, once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import NAMES, Values
from sync_core.domain.vocabulary import EntityType, SyncStatus
from sync_core.models.records import Customer, Product

_TABLES = {EntityType.CUSTOMERS: Customer, EntityType.PRODUCTS: Product}

# The row lock makes a second seeding, by another process starting at the same time, wait and then find records.
_LOCK = text("SELECT settlement_wallet_id FROM workspaces WHERE id = :workspace FOR UPDATE")
_USED = text(
    "SELECT EXISTS (SELECT FROM customers) OR EXISTS (SELECT FROM products)"
    " OR EXISTS (SELECT FROM payment_connections) OR EXISTS (SELECT FROM payment_sync_sessions)"
)


@dataclass(frozen=True, slots=True)
class SeedRecord:
    """A record to be written: linked when it has an `external_id`. Times are when it was made, last synced, edited here, and changed in Stripe,
    as far as an event tells.
    """

    entity: EntityType
    values: Values
    status: SyncStatus
    created_at: datetime
    external_id: str | None = None
    base: Values | None = None
    synced_at: datetime | None = None
    deleted_at: datetime | None = None
    edited_at: datetime | None = None
    told_at: datetime | None = None

    @property
    def edits(self) -> dict[str, Any]:
        """What was edited here since the last sync, as the audit log has it."""
        base = self.base or {}
        return {name: [base[name], ours] for name, ours in self.values.items() if name in base and base[name] != ours}


async def lock_empty(session: AsyncSession, workspace_id: UUID) -> UUID | None:
    """The settlement wallet of a workspace in which nothing has happened yet, locked; None when it is in use or unknown."""
    wallet = (await session.execute(_LOCK, {"workspace": workspace_id})).scalar_one_or_none()
    used = (await session.execute(_USED)).scalar_one()
    return None if wallet is None or used else UUID(str(wallet))


async def write(
    session: AsyncSession, workspace_id: UUID, wallet_id: UUID, account: str, records: Sequence[SeedRecord]
) -> None:
    for entity, model in _TABLES.items():
        rows = [_row(workspace_id, wallet_id, account, record) for record in records if record.entity is entity]
        if rows:
            await session.execute(insert(model), rows)
    for record in records:
        if record.edited_at is not None:
            await session.execute(text(_EDITED.format(table=record.entity.value)), _edit(workspace_id, record))


_EDITED = (
    "INSERT INTO audit_log (workspace_id, actor, action, target, occurred_at, details)"
    " SELECT workspace_id, 'demo', 'record.edited', '{table}/' || id, :at, CAST(:details AS jsonb) FROM {table}"
    " WHERE workspace_id = :workspace AND external_id = :id"
)


def _edit(workspace_id: UUID, record: SeedRecord) -> dict[str, Any]:
    details = json.dumps({"changes": record.edits})
    return {"workspace": workspace_id, "id": record.external_id, "at": record.edited_at, "details": details}


def _row(workspace_id: UUID, wallet_id: UUID, account: str, record: SeedRecord) -> dict[str, Any]:
    values = {("metadata_" if name == "metadata" else name): record.values[name] for name in NAMES[record.entity]}
    linked = record.external_id is not None
    return values | {
        "workspace_id": workspace_id,
        **({"wallet_id": wallet_id} if record.entity is EntityType.PRODUCTS else {}),
        "external_id": record.external_id,
        "payment_provider": "stripe" if linked else None,
        "payment_account": account if linked else None,
        "payment_livemode": False if linked else None,
        "payment_sync_status": record.status,
        "payment_base": record.base,
        "payment_synced_at": record.synced_at,
        "payment_observed_at": record.synced_at,
        "created_at": record.created_at,
        "deleted_at": record.deleted_at,
    }
