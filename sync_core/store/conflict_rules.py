"""Standing rules for conflicts, in their order. Whoever changes the order holds the workspace's rules locked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.store.database import driver

_RULES = "payment_sync_conflict_rules"


@dataclass(frozen=True, slots=True)
class StoredRule:
    id: UUID
    position: int
    name: str
    enabled: bool
    query: dict[str, Any]
    rule: dict[str, Any]
    hits: int
    last_hit_at: datetime | None
    created_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewRule:
    name: str
    enabled: bool
    query: Mapping[str, Any]
    rule: Mapping[str, Any]


async def listed(session: AsyncSession, workspace_id: UUID, *, lock: bool = False) -> list[StoredRule]:
    connection = await driver(session)
    async with connection.cursor(row_factory=class_row(StoredRule)) as cursor:
        await cursor.execute(
            f"SELECT id, position, name, enabled, query, rule, hits, last_hit_at, created_by, created_at FROM {_RULES}"
            f" WHERE workspace_id = %(workspace)s ORDER BY position, id{' FOR UPDATE' if lock else ''}",
            {"workspace": workspace_id},
        )
        return await cursor.fetchall()


async def add(session: AsyncSession, workspace_id: UUID, actor: str, rules: Sequence[NewRule]) -> list[UUID]:
    """Behind those that are there. Their ids, in their order."""
    connection = await driver(session)
    made: list[UUID] = []
    for rule in rules:
        found = await connection.execute(
            f"INSERT INTO {_RULES} (workspace_id, position, name, enabled, query, rule, created_by)"
            f" SELECT %(workspace)s, coalesce(max(position), 0) + 1, %(name)s, %(enabled)s, %(query)s, %(rule)s, %(actor)s"
            f" FROM {_RULES} WHERE workspace_id = %(workspace)s RETURNING id",
            {
                "workspace": workspace_id,
                "name": rule.name,
                "enabled": rule.enabled,
                "query": Jsonb(dict(rule.query)),
                "rule": Jsonb(dict(rule.rule)),
                "actor": actor,
            },
        )
        made += [row[0] for row in await found.fetchall()]
    return made


async def order(session: AsyncSession, workspace_id: UUID, ids: Sequence[UUID]) -> None:
    connection = await driver(session)
    await connection.execute(
        f"UPDATE {_RULES} r SET position = o.place FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS o(id, place)"
        " WHERE r.workspace_id = %(workspace)s AND r.id = o.id",
        {"workspace": workspace_id, "ids": list(ids)},
    )


async def switch(session: AsyncSession, workspace_id: UUID, rule_id: UUID, *, enabled: bool) -> bool:
    connection = await driver(session)
    done = await connection.execute(
        f"UPDATE {_RULES} SET enabled = %(enabled)s WHERE workspace_id = %(workspace)s AND id = %(id)s",
        {"workspace": workspace_id, "id": rule_id, "enabled": enabled},
    )
    return done.rowcount == 1


async def remove(session: AsyncSession, workspace_id: UUID, ids: Sequence[UUID]) -> int:
    connection = await driver(session)
    done = await connection.execute(
        f"DELETE FROM {_RULES} WHERE workspace_id = %(workspace)s AND id = ANY(%(ids)s)",
        {"workspace": workspace_id, "ids": list(ids)},
    )
    return done.rowcount


async def count_hits(session: AsyncSession, workspace_id: UUID, rule_id: UUID, hits: int) -> None:
    connection = await driver(session)
    await connection.execute(
        f"UPDATE {_RULES} SET hits = hits + %(hits)s, last_hit_at = now() WHERE workspace_id = %(workspace)s AND id = %(id)s",
        {"workspace": workspace_id, "id": rule_id, "hits": hits},
    )
