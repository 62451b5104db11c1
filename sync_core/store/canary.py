"""The first few changes of a plan: what is tried before all of it is applied, with the parents that it needs."""

from __future__ import annotations

from functools import cache

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import ORDER, PARENTS
from sync_core.domain.vocabulary import Action, EntityType
from sync_core.store.database import driver
from sync_core.store.planning import Scope
from sync_core.store.related import references

_CHANGES = (Action.CREATE, Action.UPDATE, Action.CONFLICT)

_FIRST = """
SELECT p.external_id FROM unnest(%(actions)s::text[]) a(action)
CROSS JOIN LATERAL (SELECT i.external_id, i.seq FROM payment_sync_plan_items i WHERE i.workspace_id = %(workspace)s
  AND i.session_id = %(staged)s AND i.entity_type = %(entity)s AND i.action = a.action ORDER BY i.seq LIMIT %(limit)s) p
ORDER BY p.seq LIMIT %(limit)s
"""


@cache
def _parents_sql(child: EntityType, parent: EntityType) -> str:
    return f"""
SELECT r.id FROM ({references(child, parent, only="s.external_id = ANY(%(ids)s)")}) r
WHERE (SELECT p.action FROM payment_sync_plan_items p WHERE p.workspace_id = %(workspace)s AND p.session_id = %(staged)s
  AND p.entity_type = '{parent.value}' AND p.external_id = r.id) = '{Action.CREATE.value}'
"""


async def first_changes(session: AsyncSession, scope: Scope, limit: int) -> dict[EntityType, list[str]]:
    """Stripe ids by entity type: the first `limit` that change anything, and parents that the plan creates for them.

    Without its parent an object would be an error, of which the plan knew nothing. It only depends on the plan, so that a
    canary that was interrupted goes on with the same objects.
    """
    chosen: dict[EntityType, dict[str, None]] = {entity: {} for entity in ORDER}
    for child in reversed(ORDER):
        chosen[child] |= dict.fromkeys(await _first(session, scope, child, limit))
        for parent in PARENTS[child]:
            chosen[parent] |= dict.fromkeys(await _needed(session, scope, child, parent, list(chosen[child])))
    return {entity: list(ids) for entity, ids in chosen.items()}


async def _first(session: AsyncSession, scope: Scope, entity: EntityType, limit: int) -> list[str]:
    connection = await driver(session)
    bound = {**scope.bound(entity), "actions": [one.value for one in _CHANGES], "limit": limit}
    cursor = await connection.execute(_FIRST, bound)
    return [row[0] for row in await cursor.fetchall()]


async def _needed(
    session: AsyncSession, scope: Scope, child: EntityType, parent: EntityType, ids: list[str]
) -> list[str]:
    connection = await driver(session)
    cursor = await connection.execute(_parents_sql(child, parent), {**scope.bound(child), "ids": ids})
    return [row[0] for row in await cursor.fetchall()]
