"""Customers of a plan that have an email in common. A dry run stages all that it reads; of it the first are looked at, as everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from psycopg.rows import class_row
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.vocabulary import EntityType
from sync_core.store.database import driver
from sync_core.store.reports import STAGED, PlanRef, PlanRow, row_columns

_READ = """
SELECT s.external_id, s.seq, lower(s."values"->>'email') AS email FROM payment_sync_staged_objects s WHERE s.workspace_id = %(workspace)s
  AND s.session_id = %(staged)s AND s.entity_type = 'customers' AND NOT s.deleted AND s.seq > 0 ORDER BY s.seq LIMIT %(cap)s
"""
_TWICE = f"""
SELECT email, count(*) AS count FROM ({_READ}) read WHERE email <> '' GROUP BY 1 HAVING count(*) > 1 ORDER BY 2 DESC, 1
"""
# A plan does not change, so a place in this order is a place to go on from.
_PLACED: Final = f"""
SELECT external_id, row_number() OVER (ORDER BY email, seq) AS place FROM (
  SELECT external_id, seq, email, count(*) OVER (PARTITION BY email) AS many FROM ({_READ}) read WHERE email <> '') shared WHERE many > 1
"""


@dataclass(frozen=True, slots=True)
class Twice:
    email: str
    count: int


async def emails_twice(session: AsyncSession, plan: PlanRef) -> list[Twice]:
    """The commonest first."""
    connection = await driver(session)
    async with connection.cursor(row_factory=class_row(Twice)) as cursor:
        await cursor.execute(_TWICE, plan.bound())
        return await cursor.fetchall()


async def rows(
    session: AsyncSession, plan: PlanRef, *, after: int = 0, limit: int = 50, backward: bool = False
) -> list[PlanRow]:
    """Whatever becomes of them, those of one email together; `seq` is their place in this order. `backward` gives those before `after`,
    the nearest first.
    """
    columns = row_columns(EntityType.CUSTOMERS).replace("p.seq", "t.place AS seq", 1)
    order, sign = ("DESC", "<") if backward else ("ASC", ">")
    sql = (
        f"SELECT {columns} FROM (SELECT * FROM ({_PLACED}) placed WHERE place {sign} %(after)s ORDER BY place {order} LIMIT %(limit)s) t"
        " CROSS JOIN LATERAL (SELECT * FROM payment_sync_plan_items i WHERE i.workspace_id = %(workspace)s"
        " AND i.session_id = %(session)s AND i.entity_type = 'customers' AND i.external_id = t.external_id OFFSET 0) p"
        f" {STAGED} ORDER BY t.place {order}"
    )
    connection = await driver(session)
    async with connection.cursor(row_factory=class_row(PlanRow)) as cursor:
        await cursor.execute(sql, plan.bound(after=after, limit=limit))
        return await cursor.fetchall()
