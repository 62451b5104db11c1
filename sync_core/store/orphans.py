"""Objects of a plan whose parent nobody has: not here, and not given by Stripe when asked for by its id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg.rows import class_row
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.vocabulary import Action, EntityType, ReasonCode
from sync_core.store.database import driver
from sync_core.store.reports import FIRST, STAGED, PlanRef

ITEMS = "items"
"""The field of a subscription that holds its lines."""


@dataclass(frozen=True, slots=True)
class OrphanCount:
    """How many objects name a missing parent in a field, and how many parents those are: a request each, to ask again."""

    entity_type: str
    field: str
    objects: int
    parents: int


# A subscription names further prices in its items: of those the ones that are neither stored nor planned.
_ITEM = """SELECT line.item->>'price' AS parent FROM jsonb_array_elements(s."values"->'items') AS line(item)
  WHERE NOT EXISTS (SELECT FROM prices r WHERE r.workspace_id = p.workspace_id AND r.external_id = line.item->>'price')
    AND NOT EXISTS (SELECT FROM payment_sync_plan_items i WHERE i.workspace_id = p.workspace_id AND i.session_id = p.session_id
      AND i.entity_type = 'prices' AND i.external_id = line.item->>'price' AND i.action <> 'error')"""
_COUNT = f"""
SELECT e.entity AS entity_type, p.detail->>'field' AS field, count(DISTINCT p.external_id) AS objects,
  count(DISTINCT named.parent) AS parents
FROM {FIRST} {STAGED} LEFT JOIN LATERAL (
  SELECT s."values"->>(p.detail->>'field') AS parent WHERE p.detail->>'field' <> '{ITEMS}'
  UNION ALL SELECT parent FROM ({_ITEM}) item WHERE p.detail->>'field' = '{ITEMS}') named ON true
WHERE p.reason_code = '{ReasonCode.MISSING_PARENT.value}' AND p.detail->>'field' IS NOT NULL
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
"""


async def orphans(session: AsyncSession, plan: PlanRef, entities: Sequence[EntityType]) -> list[OrphanCount]:
    bound = plan.bound(entities=[one.value for one in entities], actions=[Action.ERROR.value])
    connection = await driver(session)
    async with connection.cursor(row_factory=class_row(OrphanCount)) as cursor:
        await cursor.execute(_COUNT, bound)
        return list(await cursor.fetchall())
