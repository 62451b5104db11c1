"""Objects that the workspace has already, just as Stripe shows them: they get their plan item on the way in, and are not staged.

A record carries the digest of Stripe's values for as long as nobody writes it without bringing another (`trigger_count_version`), so
equal digests mean that record, base and Stripe agree. What the digest can't see is compared here: whether the record is still a
synced one, and whether its parents are still those that Stripe names.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import FIELDS
from sync_core.domain.vocabulary import Action, EntityType
from sync_core.store.arrays import numbers, texts
from sync_core.store.database import driver
from sync_core.store.landing import StagedRow
from sync_core.store.planning import Scope
from sync_core.store.values_sql import TABLES, linked, quoted


@cache
def _recognise_sql(entity: EntityType) -> str:
    parents = "".join(
        f" AND (SELECT ref.external_id FROM {TABLES[ref.parent]} ref WHERE ref.workspace_id = t.workspace_id AND ref.id = t.{quoted(ref)})"
        f" IS NOT DISTINCT FROM t.payment_base->>'{ref.name}'"
        for ref in FIELDS[entity]
        if ref.parent is not None
    )
    return f"""
WITH fence AS (
  SELECT 1 FROM payment_sync_leases WHERE session_id = %(session)s AND fence = %(fence)s FOR KEY SHARE
), looked AS MATERIALIZED (
  SELECT g.external_id, g.seq, t.id, t.row_version
  FROM unnest(%(ids)s::text[], %(digests)s::uuid[], %(seqs)s::bigint[]) AS g(external_id, digest, seq)
  LEFT JOIN LATERAL (SELECT t.id, t.row_version FROM {TABLES[entity]} t WHERE {linked("t", "g.external_id")}
    AND t.payment_digest = g.digest AND t.payment_sync_status = 'synced' AND t.deleted_at IS NULL{parents}
    AND (SELECT s.seq FROM payment_sync_staged_objects s WHERE s.workspace_id = %(workspace)s AND s.session_id = %(staged)s
      AND s.entity_type = %(entity)s AND s.external_id = g.external_id) IS NULL OFFSET 0) t ON true
), noted AS (
  INSERT INTO payment_sync_plan_items (workspace_id, session_id, entity_type, external_id, seq, action, record_id, record_version)
  SELECT %(workspace)s, %(session)s, %(entity)s, l.external_id, l.seq, '{Action.UNCHANGED.value}', l.id, l.row_version
  FROM looked l WHERE l.id IS NOT NULL AND EXISTS (SELECT FROM fence)
  ON CONFLICT (session_id, entity_type, external_id) DO NOTHING
  RETURNING 1
)
SELECT (SELECT count(*) FROM noted), ARRAY(SELECT l.external_id FROM looked l WHERE l.id IS NULL)
"""


async def recognise(
    session: AsyncSession, scope: Scope, entity: EntityType, rows: Sequence[StagedRow]
) -> tuple[int, set[str]]:
    """Note those of the rows that are unchanged: how many were not noted before, and the Stripe ids that must land.

    All rows have a digest. One that this run has staged is left to its plan.
    """
    connection = await driver(session)
    cursor = await connection.execute(
        _recognise_sql(entity),
        {
            **scope.bound(entity),
            "ids": texts([row.external_id for row in rows]),
            "digests": numbers([row.digest for row in rows]),
            "seqs": numbers([row.seq for row in rows]),
        },
    )
    found = await cursor.fetchone()
    assert found is not None
    return int(found[0]), set(found[1])
