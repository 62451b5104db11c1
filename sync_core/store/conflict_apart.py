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
_SEEN = "c.id, c.cell_key, c.created_at"
_OPENED_ON = "(coalesce(g.created_at, m.created_at) AT TIME ZONE 'UTC')::date"
# Each is read from an index, but where conflicts are picked or searched. Which way to the deleted customers' is the shorter one shows here.
_APART = f"""
WITH gone AS MATERIALIZED ({GONE} LIMIT %(most)s + 1), few AS MATERIALIZED (SELECT count(*) <= %(most)s AS are FROM gone),
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
_Part = tuple[bool, bool, int]
"""Whether they are of a deleted customer, whether they are ticked, and how many they are."""


async def told_apart(
    session: AsyncSession, workspace_id: UUID, query: ConflictQuery, cells: Sequence[Cell]
) -> list[Cell]:
    """The cells of a query without facets, each as up to four."""
    if not cells:
        return []
    most = sum(cell.count for cell in cells) // _DEARER
    connection = await driver(session)
    found = await connection.execute(
        _APART.format(conditions=plain(query)), {**bound(workspace_id, query), "most": most}
    )
    parts = defaultdict[tuple[int, str], list[_Part]](list)
    for key, age, of_gone, ticked, count in await found.fetchall():
        parts[key, age].append((of_gone, ticked, count))
    return [one for cell in cells for one in _divided(cell, parts)]


def _divided(cell: Cell, parts: Mapping[tuple[int, str], Sequence[_Part]]) -> Iterator[Cell]:
    apart = parts.get((cell.key, cell.age), ())
    for of_gone, ticked, count in apart:
        yield replace(cell, of_gone=of_gone, ticked=ticked, count=count)
    # Cells and their parts are read one after the other: what came in between counts for the parts.
    rest = cell.count - sum(count for _, _, count in apart)
    if rest > 0:
        yield replace(cell, count=rest)
