"""Objects of a plan whose parent nobody has: not here, and not given by Stripe when asked for by its id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg.rows import class_row
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.vocabulary import Action, EntityType, ReasonCode
from sync_core.store.database import driver
from sync_core.store.reports import FIRST, STAGED, PlanRef


@dataclass(frozen=True, slots=True)
class OrphanCount:
    """How many objects name a missing parent in a field, and how many parents those are: a request each, to ask again."""

    entity_type: str
    field: str
    objects: int
    parents: int


_COUNT = f"""
SELECT e.entity AS entity_type, p.detail->>'field' AS field, count(*) AS objects,
  count(DISTINCT s."values"->>(p.detail->>'field')) AS parents
FROM {FIRST} {STAGED} WHERE p.reason_code = '{ReasonCode.MISSING_PARENT.value}' AND p.detail->>'field' IS NOT NULL
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
"""


async def orphans(session: AsyncSession, plan: PlanRef, entities: Sequence[EntityType]) -> list[OrphanCount]:
    bound = plan.bound(entities=[one.value for one in entities], actions=[Action.ERROR.value])
    connection = await driver(session)
    async with connection.cursor(row_factory=class_row(OrphanCount)) as cursor:
        await cursor.execute(_COUNT, bound)
        return list(await cursor.fetchall())
