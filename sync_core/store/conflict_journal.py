"""Decisions about conflicts, as they were made: for showing, and for taking them back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.vocabulary import EntityType
from sync_core.store.database import driver
from sync_core.store.values_sql import TABLES

UNDO_DAYS = 30
"""Decisions older than this are no longer taken back."""


@dataclass(frozen=True, slots=True)
class StoredDecision:
    id: UUID
    batch_id: UUID
    conflict_id: UUID
    entity_type: str
    record_id: UUID
    actor: str
    choices: dict[str, Any]
    before: dict[str, Any]
    after: dict[str, Any]
    created_at: datetime
    undone_at: datetime | None
    undone_by: str | None
    expired: bool


_COLUMNS = (
    "id, batch_id, conflict_id, entity_type, record_id, actor, choices, before, after, created_at, undone_at, undone_by,"
    f" created_at < now() - interval '{UNDO_DAYS} days' AS expired"
)


async def _rows(session: AsyncSession, sql: str, **bound: Any) -> list[StoredDecision]:
    connection = await driver(session)
    async with connection.cursor(row_factory=class_row(StoredDecision)) as cursor:
        await cursor.execute(
            f"SELECT {_COLUMNS} FROM payment_sync_conflict_decisions WHERE workspace_id = %(workspace)s AND {sql}",
            bound,
        )
        return await cursor.fetchall()


async def decision(session: AsyncSession, workspace_id: UUID, decision_id: UUID) -> StoredDecision | None:
    found = await _rows(session, "id = %(id)s", workspace=workspace_id, id=decision_id)
    return found[0] if found else None


async def of_conflicts(session: AsyncSession, workspace_id: UUID, conflict_ids: Sequence[UUID]) -> list[StoredDecision]:
    """Latest first."""
    return await _rows(
        session,
        "conflict_id = ANY(%(ids)s) ORDER BY created_at DESC, id DESC LIMIT 20",
        workspace=workspace_id,
        ids=list(conflict_ids),
    )


async def standing(session: AsyncSession, workspace_id: UUID, ids: Sequence[UUID]) -> set[UUID]:
    """Which of them have not been taken back."""
    connection = await driver(session)
    found = await connection.execute(
        "SELECT id FROM payment_sync_conflict_decisions WHERE workspace_id = %(workspace)s AND id = ANY(%(ids)s) AND undone_at IS NULL",
        {"workspace": workspace_id, "ids": list(ids)},
    )
    return {row[0] for row in await found.fetchall()}


async def of_batch(
    session: AsyncSession, workspace_id: UUID, batch_id: UUID, *, after: StoredDecision | None, size: int
) -> list[StoredDecision]:
    """Those of a batch that still stand, by entity type and id, beyond `after`: a batch is walked one entity type at a time."""
    beyond = " AND (entity_type, id) > (%(entity)s, %(after)s)" if after else ""
    return await _rows(
        session,
        f"batch_id = %(batch)s AND undone_at IS NULL{beyond} ORDER BY entity_type, id LIMIT %(size)s",
        workspace=workspace_id,
        batch=batch_id,
        entity=after.entity_type if after else None,
        after=after.id if after else None,
        size=size,
    )


@dataclass(frozen=True, slots=True)
class Batch:
    """Decisions made together. `standing` have not been taken back."""

    batch_id: UUID
    actor: str
    created_at: datetime
    rows: int
    standing: int
    label: str


async def last_batch(session: AsyncSession, workspace_id: UUID, actor: str) -> Batch | None:
    """The actor's last decisions that still stand and can be taken back."""
    connection = await driver(session)
    async with connection.cursor(row_factory=class_row(Batch)) as cursor:
        await cursor.execute(
            "WITH last AS (SELECT batch_id, conflict_id, actor, created_at FROM payment_sync_conflict_decisions"
            " WHERE workspace_id = %(workspace)s AND actor = %(actor)s AND undone_at IS NULL"
            f" AND created_at > now() - interval '{UNDO_DAYS} days' ORDER BY created_at DESC, id DESC LIMIT 1)"
            " SELECT last.batch_id, last.actor, last.created_at, n.rows, n.standing, c.label FROM last"
            " JOIN payment_sync_conflicts c ON c.workspace_id = %(workspace)s AND c.id = last.conflict_id"
            " CROSS JOIN LATERAL (SELECT count(*) AS rows, count(*) FILTER (WHERE d.undone_at IS NULL) AS standing"
            " FROM payment_sync_conflict_decisions d WHERE d.workspace_id = %(workspace)s AND d.batch_id = last.batch_id) n",
            {"workspace": workspace_id, "actor": actor},
        )
        return await cursor.fetchone()


@dataclass(frozen=True, slots=True)
class PastBatch:
    """One entry of the history: many decisions made together, or a single one, of which `label` names the record."""

    batch_id: UUID
    actor: str
    created_at: datetime
    rows: int
    left_out: int
    waiting: int
    undone: int
    label: str
    conflict_id: UUID | None
    rule: dict[str, Any] | None


async def past_batches(
    session: AsyncSession, workspace_id: UUID, *, before: datetime | None, size: int
) -> list[PastBatch]:
    """Latest first, as far back as decisions can be taken back. Two index ranges, merged."""
    until = " AND {0} < %(before)s" if before else ""
    since = f"now() - interval '{UNDO_DAYS} days'"
    sql = (
        "SELECT * FROM (SELECT id AS batch_id, created_by AS actor, created_at, coalesce((summary->>'resolved')::bigint, 0) AS rows,"
        " coalesce((summary->>'left_out')::bigint, 0) AS left_out,"
        " coalesce((summary->>'waiting')::bigint, (summary->>'rows')::bigint, 0) AS waiting,"
        " coalesce((summary->>'undone')::bigint, 0) AS undone, '' AS label, NULL::uuid AS conflict_id, rule FROM payment_sync_conflict_previews"
        f" WHERE workspace_id = %(workspace)s AND applied_at IS NOT NULL AND created_at > {since}{until.format('created_at')}"
        " ORDER BY created_at DESC LIMIT %(size)s) many UNION ALL"
        " SELECT * FROM (SELECT d.batch_id, d.actor, d.created_at, 1, 0, 0, (d.undone_at IS NOT NULL)::int,"
        " coalesce(nullif(c.label, ''), c.external_id), c.id, NULL::jsonb FROM payment_sync_conflict_decisions d"
        " JOIN payment_sync_conflicts c ON c.workspace_id = d.workspace_id AND c.id = d.conflict_id"
        f" WHERE d.workspace_id = %(workspace)s AND d.alone AND d.created_at > {since}{until.format('d.created_at')}"
        " ORDER BY d.created_at DESC, d.id DESC LIMIT %(size)s) one ORDER BY created_at DESC, batch_id LIMIT %(size)s"
    )
    connection = await driver(session)
    async with connection.cursor(row_factory=class_row(PastBatch)) as cursor:
        await cursor.execute(sql, {"workspace": workspace_id, "before": before, "size": size})
        return await cursor.fetchall()


async def in_use(session: AsyncSession, workspace_id: UUID, entity: EntityType, ids: Sequence[UUID]) -> set[UUID]:
    """Which of the records made by decisions may not go: changed since, or referred to by others."""
    if not ids:
        return set()
    used = "".join(
        f" OR EXISTS (SELECT FROM {child} x WHERE x.workspace_id = t.workspace_id AND x.customer_id = t.id)"
        for child in ("subscriptions", "invoices", "customer_wallets")
    )
    connection = await driver(session)
    found = await connection.execute(
        f"SELECT t.id FROM {TABLES[entity]} t WHERE t.workspace_id = %(workspace)s AND t.id = ANY(%(ids)s) AND (t.row_version > 1{used})"
        " FOR UPDATE",
        {"workspace": workspace_id, "ids": list(ids)},
    )
    return {row[0] for row in await found.fetchall()}
