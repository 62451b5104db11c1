"""Records held to what was planned of them, value by value: at places of the queue that are taken by lot, since it costs what planning does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.vocabulary import Action, EntityType
from sync_core.store.database import driver
from sync_core.store.planning import Scope
from sync_core.store.values_sql import TABLES, compared, linked, values_expression

# Nothing else says that record and Stripe agree.
_AGREEING = (Action.CREATE, Action.UPDATE, Action.UNCHANGED)
# The lines of a subscription are rows, too.
_LINES = (
    "ARRAY(SELECT concat_ws('/', i.external_id, i.quantity, (SELECT ref.external_id FROM prices ref WHERE ref.workspace_id = t.workspace_id"
    " AND ref.id = i.price_id)) FROM subscription_items i WHERE i.workspace_id = t.workspace_id AND i.subscription_id = t.id"
    " ORDER BY i.position)"
)
_PLANNED_LINES = (
    "ARRAY(SELECT concat_ws('/', line.item->>'id', line.item->>'quantity', line.item->>'price')"
    " FROM jsonb_array_elements(w.theirs->'items') WITH ORDINALITY AS line(item, place) ORDER BY line.place)"
)


@cache
def written_sql(entity: EntityType) -> str:
    """A record carries the digest of Stripe's values as long as nobody has written it otherwise: it is held to the values of that digest.
    One that this run created, and nobody wrote since, has to have it.
    """
    ours, base, theirs = (
        compared(entity, one) for one in (values_expression(entity, "t"), "t.payment_base", "w.theirs")
    )
    lines = f" OR {_LINES} <> {_PLANNED_LINES}" if entity is EntityType.SUBSCRIPTIONS else ""
    return f"""
SELECT count(*), count(*) FILTER (WHERE found.differs), (array_agg(found.external_id) FILTER (WHERE found.differs))[1:1000]
FROM (
  SELECT p.external_id, t.payment_digest IS DISTINCT FROM w.digest OR {ours} <> {theirs} OR {base} IS DISTINCT FROM {theirs}{lines} AS differs
  FROM unnest(%(actions)s::text[]) a(action) CROSS JOIN unnest(%(places)s::bigint[]) n(place)
  CROSS JOIN LATERAL (SELECT i.external_id, i.record_version FROM payment_sync_plan_items i WHERE i.workspace_id = %(workspace)s
    AND i.session_id = %(session)s AND i.action = a.action AND i.entity_type = %(entity)s AND i.seq = n.place OFFSET 0) p
  CROSS JOIN LATERAL (SELECT t.* FROM {TABLES[entity]} t WHERE {linked("t", "p.external_id")} AND t.deleted_at IS NULL OFFSET 0) t
  LEFT JOIN LATERAL (SELECT o.digest, o.values, o.deleted FROM payment_sync_staged_objects o WHERE o.workspace_id = %(workspace)s
    AND o.session_id IN (%(session)s, %(plan)s) AND o.entity_type = %(entity)s AND o.external_id = p.external_id
    ORDER BY o.observed_at DESC LIMIT 1) s ON true
  CROSS JOIN LATERAL (SELECT coalesce(s.digest, t.payment_digest) AS digest, coalesce(s.values, t.payment_base) AS theirs) w
  WHERE s.deleted IS NOT TRUE AND CASE WHEN a.action = '{Action.CREATE.value}' AND t.row_version = 1 THEN true
    WHEN a.action = '{Action.UNCHANGED.value}' AND s.digest IS NULL THEN t.payment_digest IS NOT NULL AND t.row_version = p.record_version
    ELSE t.payment_digest = s.digest END
) found
"""


@dataclass(frozen=True, slots=True)
class Written:
    """How many records were compared, and how many of them are not what was planned; the first thousand of those."""

    compared: int = 0
    differing: int = 0
    ids: tuple[str, ...] = ()


async def written(session: AsyncSession, scope: Scope, entity: EntityType, places: Sequence[int]) -> Written:
    """What a person or another program has written since is not compared: it is theirs."""
    connection = await driver(session)
    bound = {"actions": [one.value for one in _AGREEING], "places": list(places)}
    cursor = await connection.execute(written_sql(entity), {**scope.bound(entity), **bound})
    row = await cursor.fetchone()
    return Written() if row is None else Written(row[0], row[1], tuple(row[2] or ()))
