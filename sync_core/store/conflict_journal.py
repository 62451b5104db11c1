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


async def of_conflict(session: AsyncSession, workspace_id: UUID, conflict_id: UUID) -> list[StoredDecision]:
    """Latest first."""
    return await _rows(
        session,
        "conflict_id = %(id)s ORDER BY created_at DESC, id DESC LIMIT 20",
        workspace=workspace_id,
        id=conflict_id,
    )


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
