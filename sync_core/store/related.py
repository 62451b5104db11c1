"""Questions across entity types: which parents are missing, what failed, what is not stored that should be.

Each row is looked up by a subquery on a unique key: as joins they were planned, for a session not analysed yet, as loops over whole tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import FIELDS
from sync_core.domain.vocabulary import EntityType
from sync_core.store.database import driver
from sync_core.store.planning import Scope
from sync_core.store.values_sql import TABLES, linked


@cache
def references(child: EntityType, parent: EntityType, *, only: str = "true") -> str:
    """Every Stripe id of `parent` that a staged `child` names, its items' too; `only` narrows the staged objects, `s`."""
    staged = (
        "FROM payment_sync_staged_objects s WHERE s.workspace_id = %(workspace)s AND s.session_id = %(staged)s"
        f" AND s.entity_type = '{child.value}' AND s.values IS NOT NULL AND {only}"
    )
    parts = [f"SELECT s.values->>'{ref.name}' AS id {staged}" for ref in FIELDS[child] if ref.parent is parent]
    if child is EntityType.SUBSCRIPTIONS and parent in (EntityType.PRICES, EntityType.PRODUCTS):
        nested = staged.replace(" WHERE", ", jsonb_array_elements(s.values->'items') AS line WHERE")
        parts.append(f"SELECT line->>'{parent.singular}' AS id {nested}")
    return " UNION ".join(parts)


@cache
def _missing_sql(child: EntityType, parent: EntityType) -> str:
    return f"""
SELECT r.id FROM ({references(child, parent)}) r
WHERE r.id IS NOT NULL
  AND (SELECT t.id FROM {TABLES[parent]} t WHERE {linked("t", "r.id")}) IS NULL
  AND (SELECT k.seq FROM payment_sync_staged_objects k WHERE k.workspace_id = %(workspace)s AND k.session_id = %(staged)s
    AND k.entity_type = '{parent.value}' AND k.external_id = r.id) IS NULL
ORDER BY r.id LIMIT %(limit)s
"""


async def missing_parents(
    session: AsyncSession,
    scope: Scope,
    child: EntityType,
    parent: EntityType,
    *,
    limit: int,
    known_absent: Sequence[str],
) -> list[str]:
    """Stripe ids that are neither stored nor staged; `known_absent` were asked for already."""
    connection = await driver(session)
    sql = _missing_sql(child, parent).replace("ORDER BY", "AND r.id <> ALL(%(absent)s) ORDER BY")
    cursor = await connection.execute(sql, {**scope.bound(child), "limit": limit, "absent": list(known_absent)})
    return [row[0] for row in await cursor.fetchall()]


_FAILED = """
SELECT p.external_id, (SELECT s.issue IS NOT NULL FROM payment_sync_staged_objects s WHERE s.workspace_id = p.workspace_id
  AND s.session_id = %(staged)s AND s.entity_type = p.entity_type AND s.external_id = p.external_id)
FROM payment_sync_plan_items p
WHERE p.workspace_id = %(workspace)s AND p.session_id = %(session)s AND p.entity_type = %(entity)s AND p.action = 'error'
ORDER BY p.seq
"""
_AGAIN = """
WITH fence AS (SELECT 1 FROM payment_sync_leases WHERE session_id = %(session)s AND fence = %(fence)s FOR KEY SHARE),
counted AS (UPDATE payment_sync_entity_runs SET landed_seq = greatest(landed_seq, %(before)s + cardinality(%(ids)s::text[]))
  WHERE workspace_id = %(workspace)s AND session_id = %(session)s AND entity_type = %(entity)s AND EXISTS (SELECT FROM fence))
UPDATE payment_sync_staged_objects s SET seq = %(before)s + n.place
FROM unnest(%(ids)s::text[]) WITH ORDINALITY AS n(id, place)
WHERE s.workspace_id = %(workspace)s AND s.session_id = %(staged)s AND s.entity_type = %(entity)s AND s.external_id = n.id
  AND EXISTS (SELECT FROM fence)
"""


async def failed_items(session: AsyncSession, scope: Scope, entity: EntityType) -> list[tuple[str, bool]]:
    """(Stripe id, whether the object itself could not be mapped) of everything that ended as an error."""
    connection = await driver(session)
    cursor = await connection.execute(_FAILED, scope.bound(entity))
    return [(row[0], row[1]) for row in await cursor.fetchall()]


async def plan_again(
    session: AsyncSession, scope: Scope, entity: EntityType, ids: Sequence[str], *, before: int
) -> None:
    """Put staged objects at the end of the planner's queue, in the places after `before`."""
    connection = await driver(session)
    await connection.execute(_AGAIN, {**scope.bound(entity), "ids": list(ids), "before": before})


@cache
def _unstored_sql(entity: EntityType) -> str:
    return f"""
SELECT count(*), count(*) FILTER (WHERE id IS NULL), (array_agg(external_id) FILTER (WHERE id IS NULL))[1:100]
FROM (
  SELECT p.external_id, (SELECT t.id FROM {TABLES[entity]} t WHERE {linked("t", "p.external_id")}) AS id
  FROM payment_sync_plan_items p
  WHERE p.workspace_id = %(workspace)s AND p.session_id = %(session)s AND p.entity_type = %(entity)s
    AND p.action <> 'error' AND p.reason_code IS DISTINCT FROM 'email_match' OFFSET 0
) found
"""


async def unstored(session: AsyncSession, scope: Scope, entity: EntityType) -> tuple[int, int, list[str]]:
    """(ids that must be stored, how many are not, the first hundred of those): what landed against what is stored."""
    connection = await driver(session)
    cursor = await connection.execute(_unstored_sql(entity), scope.bound(entity))
    row = await cursor.fetchone()
    return (row[0], row[1], list(row[2] or [])) if row else (0, 0, [])


_UNPLANNED = """
SELECT count(*), (array_agg(s.external_id))[1:100] FROM payment_sync_staged_objects s
WHERE s.workspace_id = %(workspace)s AND s.session_id = %(staged)s AND s.entity_type = %(entity)s
  AND (SELECT p.seq FROM payment_sync_plan_items p WHERE p.workspace_id = %(workspace)s AND p.session_id = %(session)s
    AND p.entity_type = %(entity)s AND p.external_id = s.external_id) IS NULL
"""


async def unplanned(session: AsyncSession, scope: Scope, entity: EntityType) -> tuple[int, list[str]]:
    """Landed without an action: none, if the planner did its work."""
    connection = await driver(session)
    cursor = await connection.execute(_UNPLANNED, scope.bound(entity))
    row = await cursor.fetchone()
    return (row[0], list(row[1] or [])) if row else (0, [])


_CLAIMED = (
    "SELECT record_id FROM payment_sync_plan_items WHERE workspace_id = %(workspace)s AND session_id = %(session)s"
    " AND entity_type = %(entity)s AND action = 'update' AND reason_code = 'email_match'"
)


async def claimed_records(session: AsyncSession, scope: Scope, entity: EntityType) -> set[UUID]:
    """Records that this run has linked, or would link, by email: no second object may claim one."""
    connection = await driver(session)
    cursor = await connection.execute(_CLAIMED, scope.bound(entity))
    return {row[0] for row in await cursor.fetchall()}
