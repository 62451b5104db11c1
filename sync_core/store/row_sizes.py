"""How much room a row takes in the database: what its table, its indexes and what is stored out of line hold, by the row."""

from __future__ import annotations

from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.vocabulary import EntityType
from sync_core.store.database import driver
from sync_core.store.values_sql import TABLES

CONFLICTS: Final = "payment_sync_conflicts"
LINES: Final = "subscription_items"
_LEAST_ROWS: Final = 1_000
"""Of fewer, first pages and half-empty ones would be most of what is measured."""

_SIZES = """
SELECT c.relname, c.reltuples::float8, pg_total_relation_size(c.oid)::float8 FROM pg_class c
WHERE c.oid = ANY (%(tables)s::regclass[])
"""


async def row_sizes(session: AsyncSession) -> dict[str, float]:
    """Bytes by table, of those that hold enough to be measured; a subscription's with its items. PostgreSQL's own counts, so it costs nothing."""
    connection = await driver(session)
    tables = [*(TABLES[entity] for entity in EntityType), CONFLICTS, LINES]
    cursor = await connection.execute(_SIZES, {"tables": tables})
    found = {name: (rows, size) for name, rows, size in await cursor.fetchall()}
    sizes = {name: size / rows for name, (rows, size) in found.items() if rows >= _LEAST_ROWS}
    subscriptions = TABLES[EntityType.SUBSCRIPTIONS]
    if subscriptions in sizes:
        sizes[subscriptions] += found[LINES][1] / found[subscriptions][0]
    return sizes
