"""A few rows of a plan that tell the most: the same ones each time, of the first `LOOKED_AT` of an entity type and action."""

from __future__ import annotations

from functools import cache
from typing import Any

from psycopg.rows import class_row
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import FIELDS, Kind
from sync_core.domain.vocabulary import Action, EntityType, Word
from sync_core.store.database import driver
from sync_core.store.reports import FIRST, ROW, STAGED, PlanRef, PlanRow


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

# Of what is there already the difference counts, of what is new the amount itself.
_SIZE = """(SELECT max(abs(coalesce((c.value->>1)::numeric, 0) - coalesce((c.value->>0)::numeric, 0)))
  FROM jsonb_each(p.detail->'changes') c WHERE c.key = ANY(%(numbers)s))"""
_AMOUNT = '(SELECT max(abs((s."values"->>n.name)::numeric)) FROM unnest(%(numbers)s::text[]) n(name))'


@cache
def _order(kind: SampleKind, action: Action) -> str:
    match kind:
        case SampleKind.SPREAD:
            # Each reason gives its first before any gives its second.
            lot = "md5(p.external_id || %(session)s::text)"
            return f"row_number() OVER (PARTITION BY p.reason_code ORDER BY {lot}), {lot}"
        case SampleKind.BIGGEST:
            return f"{_AMOUNT if action is Action.CREATE else _SIZE} DESC NULLS LAST, p.seq"
        case SampleKind.OLDEST:
            return "s.provider_created NULLS LAST, p.seq"
        case SampleKind.NEWEST:
            return "s.provider_created DESC NULLS LAST, p.seq"
        case SampleKind.LONGEST:
            return 'cardinality(p.changed_fields) DESC NULLS LAST, length(s."values"::text) DESC NULLS LAST, p.seq'


async def samples(
    session: AsyncSession, plan: PlanRef, entity: EntityType, action: Action, kind: SampleKind, *, limit: int = 20
) -> list[PlanRow]:
    bound: dict[str, Any] = plan.bound(
        entities=[entity.value], actions=[action.value], numbers=list(NUMBERS[entity]), limit=limit
    )
    sql = f"SELECT {ROW} FROM {FIRST} {STAGED} ORDER BY {_order(kind, action)} LIMIT %(limit)s"
    connection = await driver(session)
    async with connection.cursor(row_factory=class_row(PlanRow)) as cursor:
        await cursor.execute(sql, bound)
        return list(await cursor.fetchall())
