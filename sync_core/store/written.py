"""Records held to what was planned of them: all that a run has an action for are there, all that it wrote hold what Stripe sent, and so do
some of those that it found unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

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


def _differs(entity: EntityType, values: str) -> str:
    """Whether a record's columns, and its lines, hold anything but these values."""
    differs = f"{compared(entity, values_expression(entity, 't'))} IS DISTINCT FROM {compared(entity, values)}"
    if entity is not EntityType.SUBSCRIPTIONS:
        return differs
    lines = (
        "ARRAY(SELECT concat_ws('/', line.item->>'id', line.item->>'quantity', line.item->>'price')"
        f" FROM jsonb_array_elements({values}->'items') WITH ORDINALITY AS line(item, place) ORDER BY line.place)"
    )
    return f"({differs} OR {_LINES} <> {lines})"


@dataclass(frozen=True, slots=True)
class Written:
    """How many records were compared, and how many of them are not what was planned; the first thousand of those."""

    compared: int = 0
    differing: int = 0
    ids: tuple[str, ...] = ()

    def with_lot(self, lot: Written) -> Written:
        """Together with what was taken by lot, which names what this one did, too."""
        more = tuple(one for one in lot.ids if one not in set(self.ids))
        return Written(self.compared + lot.compared, self.differing + len(more), self.ids + more)


@dataclass(frozen=True, slots=True)
class Found:
    """Of `expected` ids that must be stored, how many are not, the first thousand of those, and what the others hold."""

    expected: int = 0
    missing: int = 0
    ids: tuple[str, ...] = ()
    values: Written = Written()


@cache
def found_sql(entity: EntityType, *, values: bool) -> str:
    """A record carries the digest of Stripe's values, which are its base then, as long as nobody has written it otherwise. One that this run
    created, and nobody wrote since, has to have it. What was passed over without a record, or not linked, need
    not be there.
    """
    written = (
        f"CASE WHEN p.action NOT IN ('{Action.CREATE.value}', '{Action.UPDATE.value}') OR t.deleted_at IS NOT NULL THEN NULL"
        f" WHEN t.payment_digest IS NOT NULL THEN {_differs(entity, 't.payment_base')}"
        f" WHEN p.action = '{Action.CREATE.value}' AND t.row_version = 1 THEN true END"
    )
    return f"""
SELECT count(*), count(*) FILTER (WHERE id IS NULL), (array_agg(external_id) FILTER (WHERE id IS NULL))[1:1000],
  count(differs), count(*) FILTER (WHERE differs), (array_agg(external_id) FILTER (WHERE differs))[1:1000]
FROM (
  SELECT p.external_id, t.id, t.differs FROM payment_sync_plan_items p
  LEFT JOIN LATERAL (SELECT t.id, {written if values else "NULL::boolean"} AS differs FROM {TABLES[entity]} t
    WHERE {linked("t", "p.external_id")} OFFSET 0) t ON true
  WHERE p.workspace_id = %(workspace)s AND p.session_id = %(session)s AND p.entity_type = %(entity)s
    AND p.action <> 'error' AND (p.action = 'update' OR p.reason_code IS NULL OR p.reason_code NOT IN ('email_match', 'gone', 'not_for_sync'))
  OFFSET 0
) found
"""


async def found(session: AsyncSession, scope: Scope, entity: EntityType) -> Found:
    """What has an action against what is stored; of a dry run, which stores nothing, how much it is about."""
    row = await _row(session, found_sql(entity, values=not scope.dry_run), scope.bound(entity))
    if scope.dry_run:
        return Found(row[0])
    return Found(row[0], row[1], tuple(row[2] or ()), Written(row[3], row[4], tuple(row[5] or ())))


@cache
def lot_sql(entity: EntityType) -> str:
    """What is found unchanged by its digest is held to the values of that digest; what was written, to what had landed: that it holds its base
    is known of all.
    """
    base, theirs = compared(entity, "t.payment_base"), compared(entity, "w.theirs")
    return f"""
SELECT count(*) FILTER (WHERE found.action = '{Action.UNCHANGED.value}'), count(*) FILTER (WHERE found.differs),
  (array_agg(found.external_id) FILTER (WHERE found.differs))[1:1000]
FROM (
  SELECT a.action, p.external_id, t.payment_digest IS DISTINCT FROM w.digest OR {base} IS DISTINCT FROM {theirs}
    OR a.action = '{Action.UNCHANGED.value}' AND {_differs(entity, "w.theirs")} AS differs
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


async def taken_by_lot(session: AsyncSession, scope: Scope, entity: EntityType, places: Sequence[int]) -> Written:
    """What a person or another program has written since is not compared: it is theirs."""
    bound = {"actions": [one.value for one in _AGREEING], "places": list(places)}
    row = await _row(session, lot_sql(entity), {**scope.bound(entity), **bound})
    return Written(row[0], row[1], tuple(row[2] or ()))


async def _row(session: AsyncSession, sql: str, bound: dict[str, Any]) -> tuple[Any, ...]:
    connection = await driver(session)
    row: tuple[Any, ...] | None = await (await connection.execute(sql, bound)).fetchone()
    assert row is not None
    return row
