"""A few rows of a plan that tell the most: the same ones each time, of the first `LOOKED_AT` of an entity type and action."""

from __future__ import annotations

from functools import cache
from typing import Any

from psycopg.rows import class_row
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import FIELDS, Kind
from sync_core.domain.vocabulary import Action, EntityType, Word
from sync_core.store.database import driver
from sync_core.store.reports import FIRST, STAGED, PlanRef, PlanRow, base_or_staged, row_columns
from sync_core.store.values_sql import TABLES


class SampleKind(Word):
    SPREAD = "spread", "A sample"
    BIGGEST = "biggest", "Biggest amounts"
    OLDEST = "oldest", "Oldest"
    NEWEST = "newest", "Newest"
    LONGEST = "longest", "Most different"


NUMBERS = {
    entity: tuple(one.name for one in FIELDS[entity] if one.kind in (Kind.MONEY, Kind.INT, Kind.DECIMAL))
    for entity in EntityType
}
"""Fields in which two values can be far apart."""

# Of what changes the difference counts, of what is new or stays the amount itself.
_SIZE = """(SELECT max(abs(coalesce((c.value->>1)::numeric, 0) - coalesce((c.value->>0)::numeric, 0)))
  FROM jsonb_each(p.detail->'changes') c WHERE c.key = ANY(%(numbers)s))"""
_AMOUNT = "(SELECT max(abs(({values}->>n.name)::numeric)) FROM unnest(%(numbers)s::text[]) n(name))"


# What was recognised as unchanged was not staged: see `reports.row_columns`.
_RECOGNISED = """(SELECT extract(epoch FROM r.provider_created_at)::bigint FROM {table} r
  WHERE r.workspace_id = p.workspace_id AND r.id = p.record_id)"""


@cache
def _order(entity: EntityType, kind: SampleKind, action: Action) -> str:
    values, created = 's."values"', "s.provider_created"
    if action is Action.UNCHANGED:
        values, created = base_or_staged(entity), f"coalesce({created}, {_RECOGNISED.format(table=TABLES[entity])})"
    match kind:
        case SampleKind.SPREAD:
            # Each reason gives its first before any gives its second.
            lot = "md5(p.external_id || %(session)s::text)"
            return f"row_number() OVER (PARTITION BY p.reason_code ORDER BY {lot}), {lot}"
        case SampleKind.BIGGEST:
            size = _AMOUNT.format(values=values) if action in (Action.CREATE, Action.UNCHANGED) else _SIZE
            return f"{size} DESC NULLS LAST, p.seq"
        case SampleKind.OLDEST:
            return f"{created} NULLS LAST, p.seq"
        case SampleKind.NEWEST:
            return f"{created} DESC NULLS LAST, p.seq"
        case SampleKind.LONGEST:
            return f"cardinality(p.changed_fields) DESC NULLS LAST, length({values}::text) DESC NULLS LAST, p.seq"


async def samples(
    session: AsyncSession, plan: PlanRef, entity: EntityType, action: Action, kind: SampleKind, *, limit: int = 20
) -> list[PlanRow]:
    bound: dict[str, Any] = plan.bound(
        entities=[entity.value], actions=[action.value], numbers=list(NUMBERS[entity]), limit=limit
    )
    order = _order(entity, kind, action)
    sql = f"SELECT {row_columns(entity)} FROM {FIRST} {STAGED} ORDER BY {order} LIMIT %(limit)s"
    connection = await driver(session)
    async with connection.cursor(row_factory=class_row(PlanRow)) as cursor:
        await cursor.execute(sql, bound)
        return list(await cursor.fetchall())
