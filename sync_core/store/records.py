"""One record, read and written by a person's decision. Runs write in batches: `planning`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import Values
from sync_core.domain.vocabulary import EntityType, SyncStatus
from sync_core.store.database import driver
from sync_core.store.values_sql import TABLES, assignments, values_expression


@dataclass(frozen=True, slots=True)
class RecordState:
    """A record as it stands. `account` and `livemode` are null until it is linked."""

    record_id: UUID
    row_version: int
    external_id: str | None
    account: str | None
    livemode: bool | None
    local: Values
    base: Values | None
    status: SyncStatus
    deleted: bool


@dataclass(frozen=True, slots=True)
class Link:
    """Ties a record to an object of a Stripe account."""

    external_id: str
    account: str
    livemode: bool


@cache
def _read_sql(entity: EntityType) -> str:
    return (
        "SELECT t.id AS record_id, t.row_version, t.external_id, t.payment_account AS account, t.payment_livemode AS livemode,"
        f" {values_expression(entity, 't')} AS local, t.payment_base AS base, t.payment_sync_status AS status,"
        f" t.deleted_at IS NOT NULL AS deleted FROM {TABLES[entity]} t"
        " WHERE t.workspace_id = %(workspace)s AND t.id = ANY(%(ids)s)"
    )


async def read_states(
    session: AsyncSession, workspace_id: UUID, entity: EntityType, ids: list[UUID], *, lock: bool = False
) -> dict[UUID, RecordState]:
    """With `lock`, nobody else changes these rows until the transaction ends."""
    connection = await driver(session)
    sql = _read_sql(entity) + (" ORDER BY t.id FOR UPDATE OF t" if lock else "")
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(sql, {"workspace": workspace_id, "ids": ids})
        rows = await cursor.fetchall()
    return {row["record_id"]: RecordState(**{**row, "status": SyncStatus(row["status"])}) for row in rows}


@cache
def _update_sql(entity: EntityType) -> str:
    sets = ", ".join(f"{name} = {expression}" for name, expression in assignments(entity, "v"))
    return (
        "WITH v AS (SELECT %(values)s::jsonb AS values, %(external_id)s::text AS external_id, false AS deleted)"
        f" UPDATE {TABLES[entity]} t SET {sets}, payment_sync_status = %(status)s,"
        " payment_base = CASE WHEN %(set_base)s THEN %(base)s::jsonb ELSE t.payment_base END,"
        " payment_synced_at = CASE WHEN %(set_base)s THEN now() ELSE t.payment_synced_at END,"
        " payment_observed_at = coalesce(to_timestamp(%(observed_at)s::float8), t.payment_observed_at),"
        " deleted_at = CASE WHEN %(deleted)s::boolean IS NULL THEN t.deleted_at"
        " WHEN %(deleted)s THEN coalesce(t.deleted_at, now()) END,"
        " external_id = coalesce(%(external_id)s, t.external_id),"
        " payment_provider = CASE WHEN %(external_id)s::text IS NULL THEN t.payment_provider ELSE 'stripe' END,"
        " payment_account = CASE WHEN %(external_id)s::text IS NULL THEN t.payment_account ELSE %(account)s END,"
        " payment_livemode = CASE WHEN %(external_id)s::text IS NULL THEN t.payment_livemode ELSE %(livemode)s END"
        " FROM v WHERE t.workspace_id = %(workspace)s AND t.id = %(record_id)s AND t.row_version = %(version)s"
        " RETURNING t.row_version"
    )


async def update_values(
    session: AsyncSession,
    workspace_id: UUID,
    entity: EntityType,
    record: RecordState,
    values: Values,
    *,
    status: SyncStatus,
    base: Values | None = None,
    clear_base: bool = False,
    deleted: bool | None = None,
    link: Link | None = None,
    observed_at: float | None = None,
) -> int | None:
    """Write a whole set of values over `record` as it was read; None when it has changed since, and nothing was written.

    `base` None leaves the base as it is unless `clear_base`; `deleted` None leaves that as it is. Returns the new row_version.
    """
    account, livemode = (link.account, link.livemode) if link else (record.account, record.livemode)
    bound: dict[str, Any] = {
        "workspace": workspace_id,
        "record_id": record.record_id,
        "version": record.row_version,
        "values": Jsonb(values),
        "status": status.value,
        "set_base": base is not None or clear_base,
        "base": None if base is None else Jsonb(base),
        "deleted": deleted,
        "external_id": link.external_id if link else None,
        "account": account,
        "livemode": livemode,
        "observed_at": observed_at,
    }
    connection = await driver(session)
    cursor = await connection.execute(_update_sql(entity), bound)
    row = await cursor.fetchone()
    return None if row is None else int(row[0])
