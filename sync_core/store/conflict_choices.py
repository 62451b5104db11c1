"""Choices that wait to be applied, across conflicts: those of one person, found by the index of what is pending."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.store.database import driver

# A conflict on which somebody else has chosen something too is left to the two of them.
_MINE = (
    "FROM payment_sync_conflicts c WHERE c.workspace_id = %(workspace)s AND c.pending AND c.status = 'open'"
    " AND NOT EXISTS (SELECT FROM jsonb_each(c.choices) e WHERE e.value ->> 'by' IS DISTINCT FROM %(by)s)"
)


async def count(session: AsyncSession, workspace_id: UUID, by: str, most: int) -> tuple[int, int]:
    """How many choices on how many conflicts; of `most` conflicts at the most."""
    connection = await driver(session)
    found = await connection.execute(
        "SELECT coalesce(sum((SELECT count(*) FROM jsonb_object_keys(choices))), 0)::bigint, count(*)"
        f" FROM (SELECT c.choices {_MINE} LIMIT %(most)s) mine",
        {"workspace": workspace_id, "by": by, "most": most},
    )
    row = await found.fetchone()
    assert row is not None
    return row[0], row[1]


async def items(session: AsyncSession, workspace_id: UUID, by: str, most: int) -> list[dict[str, Any]]:
    """As a preview takes them, entity type by entity type."""
    connection = await driver(session)
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            f"SELECT c.entity_type, c.id::text AS conflict_id, c.revision, c.choices {_MINE} ORDER BY c.entity_type, c.id LIMIT %(most)s",
            {"workspace": workspace_id, "by": by, "most": most},
        )
        return await cursor.fetchall()


async def discard(session: AsyncSession, workspace_id: UUID, by: str) -> int:
    """Take them all off. How many conflicts it were."""
    connection = await driver(session)
    done = await connection.execute(
        "UPDATE payment_sync_conflicts SET choices = '{}', revision = revision + 1 WHERE workspace_id = %(workspace)s"
        f" AND status = 'open' AND id IN (SELECT c.id {_MINE} FOR UPDATE)",
        {"workspace": workspace_id, "by": by},
    )
    return done.rowcount
