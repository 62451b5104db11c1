"""How many records there are and how they stand, without ever walking through all of a large table.

What disagrees is counted from the partial index that holds nothing else. How many there are in all is counted up to `COUNT_END`;
beyond that a sample of the table's pages is counted. (There are no statistics of `workspace_id` to ask: see the first migration.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.vocabulary import EntityType, SyncStatus
from sync_core.store.conflict_counts import OPEN
from sync_core.store.conflict_mentions import UNSEEN
from sync_core.store.database import driver
from sync_core.store.values_sql import TABLES

COUNT_END = 20_000
_SAMPLED_PAGES = 1_000


@dataclass(frozen=True, slots=True)
class Count:
    """`is_exact` is False for an estimate or for a count that stopped at its end."""

    value: int
    is_exact: bool = True


@dataclass(frozen=True, slots=True)
class EntityCounts:
    """`by_status` has those that are not in sync; `total` is of records that are not deleted."""

    entity: EntityType
    total: Count
    by_status: dict[SyncStatus, Count]


_STATUSES = tuple(status for status in SyncStatus if status is not SyncStatus.SYNCED)


def _status_sql(entity: EntityType) -> str:
    return (
        f"SELECT '{entity.value}', w.status, (SELECT count(*) FROM (SELECT FROM {TABLES[entity]} t"
        " WHERE t.workspace_id = %(workspace)s AND t.payment_sync_status = w.status AND t.payment_sync_status <> 'synced'"
        " AND t.deleted_at IS NULL LIMIT %(end)s + 1) found) FROM unnest(%(statuses)s::text[]) w(status)"
    )


def _total_sql(entity: EntityType) -> str:
    return (
        f"SELECT '{entity.value}', count(*) FROM (SELECT FROM {TABLES[entity]} t"
        " WHERE t.workspace_id = %(workspace)s AND t.deleted_at IS NULL LIMIT %(end)s + 1) found"
    )


_STATUS = " UNION ALL ".join(_status_sql(entity) for entity in EntityType)
_TOTAL = " UNION ALL ".join(_total_sql(entity) for entity in EntityType)


async def counts(session: AsyncSession, workspace_id: UUID) -> list[EntityCounts]:
    bound: dict[str, Any] = {"workspace": workspace_id, "end": COUNT_END, "statuses": list(_STATUSES)}
    connection = await driver(session)
    by_status: dict[EntityType, dict[SyncStatus, Count]] = {entity: {} for entity in EntityType}
    for entity, status, count in await (await connection.execute(_STATUS, bound)).fetchall():
        by_status[EntityType(entity)][SyncStatus(status)] = _capped(count)
    found = []
    for word, counted in await (await connection.execute(_TOTAL, bound)).fetchall():
        entity = EntityType(word)
        total = Count(counted) if counted <= COUNT_END else await _estimate(session, workspace_id, entity)
        found.append(EntityCounts(entity, total, by_status[entity]))
    return found


def _capped(count: int) -> Count:
    return Count(count) if count <= COUNT_END else Count(COUNT_END, is_exact=False)


async def _estimate(session: AsyncSession, workspace_id: UUID, entity: EntityType) -> Count:
    """From the same thousand pages each time: a figure that trembles between two looks says less than one that is a little off."""
    connection = await driver(session)
    table = TABLES[entity]
    cursor = await connection.execute(
        f"SELECT greatest(pg_relation_size('{table}') / current_setting('block_size')::bigint, 1)"
    )
    row = await cursor.fetchone()
    percent = min(100.0, 100.0 * _SAMPLED_PAGES / row[0]) if row else 100.0
    cursor = await connection.execute(
        f"SELECT count(*) FROM {table} TABLESAMPLE SYSTEM (%(percent)s) REPEATABLE (1)"
        " WHERE workspace_id = %(workspace)s AND deleted_at IS NULL",
        {"workspace": workspace_id, "percent": percent},
    )
    row = await cursor.fetchone()
    found = round(row[0] * 100 / percent) if row else 0
    return Count(max(COUNT_END, found), is_exact=percent == 100.0)


async def open_conflicts(session: AsyncSession, workspace_id: UUID) -> Count:
    return (await waiting(session, workspace_id, None))[0]


async def waiting(session: AsyncSession, workspace_id: UUID, user_id: UUID | None) -> tuple[Count, int]:
    """Open conflicts, and the mentions that a person has not followed."""
    connection = await driver(session)
    cursor = await connection.execute(f"SELECT {OPEN}, {UNSEEN}", {"workspace": workspace_id, "user": user_id})
    row = await cursor.fetchone()
    assert row is not None
    return Count(int(row[0])), int(row[1])
