"""Objects of a plan of which Stripe's webhook events tell that they changed since it was read. Stripe is not asked.

Of the events that came last, `LOOKED_AT`: what a plan is about is a day old at the most.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from psycopg.rows import class_row
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import ORDER, Values
from sync_core.domain.vocabulary import EntityType
from sync_core.store.database import driver, in_index_order
from sync_core.store.reports import STAGED, PlanRef, PlanRow, row_columns

LOOKED_AT: Final = 5_000

# Of the plan's own account and mode. One that does not say whose it is came while that was not noted.
_HEARD = """
SELECT w.* FROM (SELECT object_id, happened_at, event_type, changes, account_id, livemode FROM payment_webhook_inbox
  WHERE workspace_id = %(workspace)s ORDER BY received_at DESC LIMIT %(events)s) w
CROSS JOIN (SELECT k.account_id, k.livemode FROM payment_sync_sessions s JOIN payment_connections k
  ON k.workspace_id = s.workspace_id AND k.id = s.connection_id WHERE s.workspace_id = %(workspace)s AND s.id = %(session)s) k
WHERE w.happened_at >= to_timestamp(%(since)s) AND coalesce(w.account_id, k.account_id) = k.account_id
  AND coalesce(w.livemode, k.livemode) = k.livemode
"""
# By entity type, in the order of landing: a plan does not change, so a place in this order is a place to go on from.
_TOLD = f"""
SELECT p.entity_type, p.external_id, array_position(%(entities)s::text[], p.entity_type) * 1099511627776 + p.seq AS place
FROM (SELECT DISTINCT object_id FROM ({_HEARD}) heard WHERE object_id IS NOT NULL) told
CROSS JOIN LATERAL (SELECT i.entity_type, i.external_id, i.seq FROM payment_sync_plan_items i WHERE i.workspace_id = %(workspace)s
  AND i.session_id = %(session)s AND i.external_id = told.object_id AND i.entity_type = ANY(%(entities)s) OFFSET 0) p
"""
_WHAT = f"""
SELECT object_id, max(happened_at), (array_agg(event_type ORDER BY happened_at DESC))[1], jsonb_object_agg(c.key, c.value ORDER BY happened_at)
  FILTER (WHERE c.key IS NOT NULL)
FROM ({_HEARD}) heard LEFT JOIN LATERAL jsonb_each(heard.changes) c ON true WHERE object_id = ANY(%(ids)s) GROUP BY 1
"""


@dataclass(frozen=True, slots=True)
class ToldRow:
    """A row of the plan (`seq` is its place in this order), the last event of its object, and the values that events say it changed to."""

    entity: EntityType
    row: PlanRow
    at: datetime
    event_type: str
    changes: Values


async def count(session: AsyncSession, plan: PlanRef, since: int) -> int:
    await in_index_order(session)
    connection = await driver(session)
    cursor = await connection.execute(f"SELECT count(*) FROM ({_TOLD}) told", _bound(plan, since))
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def rows(
    session: AsyncSession, plan: PlanRef, since: int, *, after: int = 0, limit: int = 50, backward: bool = False
) -> list[ToldRow]:
    """`backward` gives those before `after`, the nearest first."""
    await in_index_order(session)
    order, sign = ("DESC", "<") if backward else ("ASC", ">")
    sql = f"SELECT * FROM ({_TOLD}) told WHERE place {sign} %(after)s ORDER BY place {order} LIMIT %(limit)s"
    connection = await driver(session)
    cursor = await connection.execute(sql, _bound(plan, since) | {"after": after, "limit": limit})
    places = {(EntityType(entity), found): place for entity, found, place in await cursor.fetchall()}
    cursor = await connection.execute(_WHAT, _bound(plan, since) | {"ids": [found for _, found in places]})
    what = {found: rest for found, *rest in await cursor.fetchall()}
    items = {
        (entity, row.external_id): row
        for entity in {entity for entity, _ in places}
        for row in await _items(session, plan, entity, places)
    }
    return [
        ToldRow(key[0], items[key], at, event_type, changes or {})
        for key in places
        for at, event_type, changes in (what[key[1]],)
    ]


async def _items(
    session: AsyncSession, plan: PlanRef, entity: EntityType, places: dict[tuple[EntityType, str], int]
) -> list[PlanRow]:
    wanted = {found: place for (one, found), place in places.items() if one is entity}
    columns = row_columns(entity).replace("p.seq", "t.place AS seq", 1)
    sql = (
        f"SELECT {columns} FROM unnest(%(ids)s::text[], %(places)s::bigint[]) t(id, place)"
        " CROSS JOIN LATERAL (SELECT * FROM payment_sync_plan_items i WHERE i.workspace_id = %(workspace)s AND i.session_id = %(session)s"
        f" AND i.entity_type = %(entity)s AND i.external_id = t.id OFFSET 0) p {STAGED}"
    )
    connection = await driver(session)
    async with connection.cursor(row_factory=class_row(PlanRow)) as cursor:
        await cursor.execute(sql, plan.bound(entity=entity.value, ids=[*wanted], places=[*wanted.values()]))
        return list(await cursor.fetchall())


def _bound(plan: PlanRef, since: int) -> dict[str, Any]:
    return plan.bound(since=since, events=LOOKED_AT, entities=[one.value for one in ORDER])
