"""Two plans beside each other, row by row: what one run made of an object, and what another did. Stripe is not asked.

Both are read along their keys, so many rows of each at a time, and told apart there: a step costs the same wherever it is, and whatever differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import Values
from sync_core.domain.vocabulary import Action, EntityType
from sync_core.store.database import driver, in_index_order

STEP = 10_000
"""Rows of each run that one statement tells apart: about a tenth of a second."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two runs, the earlier one first, each with the dry run whose plan it applies, or its own id. `partly`: the later one is of some of the
    earlier one's rows only, and those alone are compared.
    """

    workspace_id: UUID
    one: UUID
    other: UUID
    one_staged: UUID
    other_staged: UUID
    partly: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """A place in the order in which two plans are compared. What is compared next comes behind it."""

    external_id: str
    entity_type: str


@dataclass(frozen=True, slots=True)
class Kind:
    """Rows of an entity type that one run gave one action and the other another; None where it has no such row."""

    entity: EntityType
    earlier: Action | None
    later: Action | None


@dataclass(frozen=True, slots=True)
class KindCount:
    """`entity_type` None is of all rows that were looked at: how many, and how far. Behind `last` there is more; None at the end."""

    entity_type: str | None
    earlier: str | None
    later: str | None
    count: int
    last: Key | None


@dataclass(frozen=True, slots=True)
class DifferingRow:
    """One object in both runs. `detail` is what a report shows of it; `theirs` are Stripe's values, None where they are not known."""

    external_id: str
    entity_type: str
    record_id: UUID | None
    earlier: str | None
    later: str | None
    earlier_reason: str | None
    later_reason: str | None
    earlier_version: int | None
    later_version: int | None
    earlier_detail: dict[str, Any] | None
    later_detail: dict[str, Any] | None
    earlier_theirs: Values | None
    later_theirs: Values | None

    @property
    def key(self) -> Key:
        return Key(self.external_id, self.entity_type)


def _side(run: str) -> str:
    return (
        "SELECT i.external_id, i.entity_type, i.action, i.reason_code, i.record_id, i.record_version, i.detail FROM payment_sync_plan_items i"
        f" WHERE i.workspace_id = %(workspace)s AND i.session_id = %({run})s AND (i.external_id, i.entity_type) > (%(id)s, %(entity)s)"
        " ORDER BY i.external_id, i.entity_type LIMIT %(step)s"
    )


def _end(side: str) -> str:
    """The last key of a side that has more behind it."""
    return (
        f"(SELECT external_id, entity_type FROM {side} ORDER BY external_id, entity_type OFFSET %(step)s - 1 LIMIT 1)"
    )


def _staged(run: str, column: str) -> str:
    return (
        f"(SELECT o.{column} FROM payment_sync_staged_objects o WHERE o.workspace_id = %(workspace)s AND o.session_id = %({run})s"
        " AND o.entity_type = both_sides.entity_type AND o.external_id = both_sides.external_id)"
    )


# Stripe's values of what both would create are in no change of either. What is forgotten by now is taken for the same.
_OTHER_VALUES = (
    f"coalesce(CASE WHEN %(other_staged)s = %(one)s THEN {_staged('other', 'digest')}"
    f" ELSE coalesce({_staged('other', 'digest')}, {_staged('other_staged', 'digest')}) END"
    f" <> coalesce({_staged('one', 'digest')}, {_staged('one_staged', 'digest')}), false)"
)
_DIFFERS = (
    "CASE WHEN (a_action, a_reason, a_detail->'changes') IS DISTINCT FROM (b_action, b_reason, b_detail->'changes') THEN true"
    f" WHEN a_action = 'create' THEN {_OTHER_VALUES} ELSE false END"
)
_STEP_SQL = f"""
WITH a AS MATERIALIZED ({_side("one")}), b AS MATERIALIZED ({_side("other")}),
ends AS MATERIALIZED (SELECT external_id, entity_type FROM ({_end("a")} UNION ALL {_end("b")}) e ORDER BY 1, 2 LIMIT 1),
both_sides AS MATERIALIZED (
  SELECT k.external_id, k.entity_type, coalesce(b.record_id, a.record_id) AS record_id, a.action AS a_action, b.action AS b_action,
    a.reason_code AS a_reason, b.reason_code AS b_reason, a.record_version AS a_version, b.record_version AS b_version,
    a.detail AS a_detail, b.detail AS b_detail
  FROM a FULL JOIN b USING (external_id, entity_type) AS k
  WHERE (NOT %(partly)s OR b.action IS NOT NULL) AND NOT EXISTS (SELECT FROM ends e WHERE (k.external_id, k.entity_type) > (e.external_id, e.entity_type))
), differing AS (SELECT * FROM both_sides WHERE {_DIFFERS})
"""
_COUNT = f"""{_STEP_SQL}
SELECT entity_type, a_action AS earlier, b_action AS later, count(*) AS count, NULL AS last_id, NULL AS last_entity
FROM differing GROUP BY 1, 2, 3
UNION ALL SELECT NULL, NULL, NULL, (SELECT count(*) FROM both_sides), e.external_id, e.entity_type FROM (SELECT 1) always LEFT JOIN ends e ON true
"""
_ROWS = f"""{_STEP_SQL}
SELECT external_id, entity_type, record_id, a_action AS earlier, b_action AS later, a_reason AS earlier_reason, b_reason AS later_reason,
  a_version AS earlier_version, b_version AS later_version, a_detail AS earlier_detail, b_detail AS later_detail,
  CASE WHEN a_action IS NOT NULL THEN coalesce({_staged("one", '"values"')}, {_staged("one_staged", '"values"')}) END AS earlier_theirs,
  CASE WHEN b_action IS NOT NULL THEN coalesce({_staged("other", '"values"')}, {_staged("other_staged", '"values"')}) END AS later_theirs
FROM differing both_sides WHERE %(narrowed)s::boolean IS NOT TRUE OR (entity_type = %(of)s AND a_action IS NOT DISTINCT FROM %(earlier)s
  AND b_action IS NOT DISTINCT FROM %(later)s)
ORDER BY external_id, entity_type LIMIT %(limit)s
"""


async def count(session: AsyncSession, pair: Pair, after: Key | None) -> list[KindCount]:
    """Of the next `STEP` rows of both runs; the last of the counts is that of all of them."""
    await in_index_order(session)
    connection = await driver(session)
    cursor = await connection.execute(_COUNT, _bound(pair, after))
    return [
        KindCount(entity, earlier, later, number, None if last is None else Key(last, last_entity))
        for entity, earlier, later, number, last, last_entity in await cursor.fetchall()
    ]


async def rows(
    session: AsyncSession, pair: Pair, after: Key | None, *, limit: int, only: Kind | None = None
) -> list[DifferingRow]:
    """Those of the rows that `count` looks at which differ, in the order of their keys."""
    await in_index_order(session)
    connection = await driver(session)
    bound = _bound(pair, after) | {
        "limit": limit,
        "narrowed": only is not None,
        "of": only and only.entity.value,
        "earlier": only and only.earlier and only.earlier.value,
        "later": only and only.later and only.later.value,
    }
    async with connection.cursor(row_factory=class_row(DifferingRow)) as cursor:
        await cursor.execute(_ROWS, bound)
        return list(await cursor.fetchall())


def _bound(pair: Pair, after: Key | None) -> dict[str, Any]:
    return {
        "workspace": pair.workspace_id,
        "one": pair.one,
        "other": pair.other,
        "one_staged": pair.one_staged,
        "other_staged": pair.other_staged,
        "partly": pair.partly,
        "id": "" if after is None else after.external_id,
        "entity": "" if after is None else after.entity_type,
        "step": STEP,
    }
