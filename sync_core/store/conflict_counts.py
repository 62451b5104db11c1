"""How many conflicts there are of each cell: kept by triggers as they are written, so that nothing has to be counted when somebody looks.

Each statement that writes conflicts adds rows of what it changed (`payment_sync_conflict_counts`); what there is is their sum. Nobody's write
waits for another's, and what is rolled back was never counted. Whoever reads many rows folds them into one for each cell and day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.vocabulary import ConflictStatus
from sync_core.store.conflict_apart import parts_of, told_apart
from sync_core.store.conflict_query import AGE, OPENED_ON, Cell, ConflictQuery, bound, plain
from sync_core.store.database import driver

# The date in a cell, as a fact that PostgreSQL's clock decides.
_LATER = "coalesce(nullif(split_part(g.cell, '|', 9), '')::numeric > extract(epoch FROM now()), false)"
# The last two: of how many cells and days that have any, and in how many rows they are kept.
_SUMMED = (
    f"SELECT g.cell, hashtextextended(g.cell, 0), g.age, {_LATER}, sum(g.count)::bigint, count(*) FILTER (WHERE g.count <> 0), sum(g.kept)::bigint"
    f" FROM (SELECT c.cell, {AGE.format('c.opened_on')} AS age, sum(c.count) AS count, count(*) AS kept FROM {{counted}} c"
    " WHERE {conditions} GROUP BY c.cell, c.opened_on) g GROUP BY 1, 2, 3, 4"
)
_KEPT = "payment_sync_conflict_counts"
# Rows that were picked one by one count themselves.
_PICKED = "(SELECT *, 1 AS count FROM payment_sync_conflicts)"
# Whoever finds so many rows more than twice those that are needed folds them.
_FEW = 200
# What another folds just now is left to it; what is added meanwhile is not seen.
_FOLD = """
WITH old AS (
  SELECT status, id FROM payment_sync_conflict_counts WHERE workspace_id = %(workspace)s AND status = %(status)s FOR UPDATE SKIP LOCKED
), gone AS (
  DELETE FROM payment_sync_conflict_counts c USING old
  WHERE c.workspace_id = %(workspace)s AND c.status = old.status AND c.id = old.id RETURNING c.cell, c.opened_on, c.count
)
INSERT INTO payment_sync_conflict_counts (workspace_id, status, cell, opened_on, count)
SELECT %(workspace)s, %(status)s, cell, opened_on, sum(count) FROM gone GROUP BY cell, opened_on HAVING sum(count) <> 0
"""
_KEPT_BY_STATUS = "SELECT status, count(*), count(DISTINCT (cell, opened_on)) FROM payment_sync_conflict_counts WHERE workspace_id = %(workspace)s GROUP BY 1"
OPEN = "(SELECT coalesce(sum(n.count), 0)::bigint FROM payment_sync_conflict_counts n WHERE n.workspace_id = %(workspace)s AND n.status = 'open')"
"""How many are open, as a part of a statement."""


async def cells(session: AsyncSession, workspace_id: UUID, query: ConflictQuery, *, apart: bool = True) -> list[Cell]:
    """All that match, grouped by what is counted: few rows, from which every facet is summed up, and narrowed here. Without `apart` those
    that are `APART` are not asked for, and the query names none of them.
    """
    wide = replace(query, chosen={})
    counted = _KEPT if query.ids is None else _PICKED
    sql = _SUMMED.format(counted=counted, conditions=plain(wide.unscanned))
    connection = await driver(session)
    found = await connection.execute(sql, bound(workspace_id, query))
    rows = await found.fetchall()
    if query.ids is None and _is_much(sum(row[6] for row in rows), sum(row[5] for row in rows)):
        await fold(session, workspace_id, query.status)
    grouped = [Cell.of(row[:5]) for row in rows if row[4]]
    if query.is_scanned:
        grouped = await _searched(session, workspace_id, wide, {cell.key: cell for cell in grouped})
    if query.is_by_snooze:
        grouped = [cell for cell in grouped if cell.put_off is query.snoozed]
    if apart and grouped:
        parts = await parts_of(session, workspace_id, wide, sum(cell.count for cell in grouped))
        grouped = told_apart(grouped, parts)
    return [cell for cell in grouped if cell.fits(query)]


async def _searched(
    session: AsyncSession, workspace_id: UUID, query: ConflictQuery, known_cells: Mapping[int, Cell]
) -> list[Cell]:
    """Counted from the list's index, which has the text that is searched and the keys of the cells."""
    connection = await driver(session)
    found = await connection.execute(
        f"SELECT c.cell_key, {AGE.format(OPENED_ON)}, count(*) FROM payment_sync_conflicts c WHERE {plain(query)} GROUP BY 1, 2",
        bound(workspace_id, query),
    )
    rows = await found.fetchall()
    return [replace(known_cells[key], age=age, count=count) for key, age, count in rows if key in known_cells]


def _is_much(kept: int, needed: int) -> bool:
    return kept > _FEW + 2 * needed


async def tidy(session: AsyncSession, workspace_id: UUID) -> None:
    """Fold what has become much while nobody looked."""
    connection = await driver(session)
    found = await connection.execute(_KEPT_BY_STATUS, {"workspace": workspace_id})
    for status, kept, needed in await found.fetchall():
        if _is_much(kept, needed):
            await fold(session, workspace_id, ConflictStatus(status))


async def fold(session: AsyncSession, workspace_id: UUID, status: ConflictStatus) -> None:
    """One row for each cell and day, of what nobody else is folding. Their sums stay what they are at any time."""
    connection = await driver(session)
    await connection.execute(_FOLD, {"workspace": workspace_id, "status": status.value})
