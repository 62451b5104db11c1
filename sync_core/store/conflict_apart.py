"""Cells told apart by what no conflict keeps: whether its customer is deleted, and whether the person who asks has looked it through.

Either is a set that is small as a rule, looked up from its own side; what is in neither is the rest of the cell.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.store.conflict_query import AGE, CUSTOMER, GONE, Cell, ConflictQuery, bound, plain
from sync_core.store.conflict_reviews import SIDES
from sync_core.store.database import driver

_DEARER = 10
"""By so much dearer it is to look a deleted customer's conflicts up than to ask a conflict whether its customer is one of them."""
_KEPT = (
    "SELECT coalesce(%(among)s, (SELECT sum(n.count) FROM payment_sync_conflict_counts n"
    " WHERE n.workspace_id = %(workspace)s AND n.status = %(status)s), 0) / %(dearer)s"
)
_SEEN = "c.id, c.cell_key, c.created_at"
_OPENED_ON = "(coalesce(g.created_at, m.created_at) AT TIME ZONE 'UTC')::date"
# Each is read from an index, but where conflicts are picked or searched. Which way to the deleted customers' is the shorter one shows here.
_APART = f"""
WITH most AS MATERIALIZED (SELECT ({_KEPT})::bigint AS of), gone AS MATERIALIZED ({GONE} LIMIT (SELECT of FROM most) + 1),
few AS MATERIALIZED (SELECT count(*) <= (SELECT of FROM most) AS are FROM gone),
g AS MATERIALIZED (
  SELECT c.* FROM gone CROSS JOIN LATERAL (SELECT {_SEEN} FROM payment_sync_conflicts c
    WHERE {{conditions}} AND c.customer_id = gone.id OFFSET 0) c WHERE (SELECT are FROM few)
  UNION ALL
  SELECT {_SEEN} FROM payment_sync_conflicts c WHERE NOT (SELECT are FROM few) AND {{conditions}} AND {CUSTOMER} = 'deleted'
), m AS MATERIALIZED (
  SELECT c.* FROM payment_sync_conflict_reviews r CROSS JOIN LATERAL (SELECT {_SEEN} FROM payment_sync_conflicts c
    WHERE {{conditions}} AND c.id = r.conflict_id AND {SIDES.format("c")} = r.sides OFFSET 0) c
  WHERE r.workspace_id = %(workspace)s AND r.user_id = %(asks)s
)
SELECT coalesce(g.cell_key, m.cell_key), {AGE.format(_OPENED_ON)}, g.id IS NOT NULL, m.id IS NOT NULL, count(*)
FROM g FULL JOIN m ON m.id = g.id GROUP BY 1, 2, 3, 4
"""
Parts = Mapping[tuple[int, str], Sequence[tuple[bool, bool, int]]]
"""Of a cell's key and an age: whether they are of a deleted customer, whether they are ticked, and how many they are."""


async def parts_of(session: AsyncSession, workspace_id: UUID, query: ConflictQuery, among: int | None = None) -> Parts:
    """What is in either set, `among` so many conflicts; of a query without facets. None are as many as have its status."""
    connection = await driver(session)
    found = await connection.execute(
        _APART.format(conditions=plain(query)), {**bound(workspace_id, query), "among": among, "dearer": _DEARER}
    )
    parts = defaultdict[tuple[int, str], list[tuple[bool, bool, int]]](list)
    for key, age, of_gone, ticked, count in await found.fetchall():
        parts[key, age].append((of_gone, ticked, count))
    return parts


def told_apart(cells: Sequence[Cell], parts: Parts) -> list[Cell]:
    """The cells, each as up to four."""
    return [one for cell in cells for one in _divided(cell, parts.get((cell.key, cell.age), ()))]


def _divided(cell: Cell, parts: Sequence[tuple[bool, bool, int]]) -> Iterator[Cell]:
    for of_gone, ticked, count in parts:
        yield replace(cell, of_gone=of_gone, ticked=ticked, count=count)
    # Cells and their parts are not read at the same time: what came in between counts for the parts.
    rest = cell.count - sum(count for _, _, count in parts)
    if rest > 0:
        yield replace(cell, count=rest)
