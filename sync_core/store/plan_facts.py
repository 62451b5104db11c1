"""What can be said of a plan as a whole: its hash, what came after it, and how fast plans were applied here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.store.database import driver
from sync_core.store.runs import Held

# The two tables by themselves, each along its key: joined, a million rows would be a million look-ups. What a run calls its rows, and the
# order in which they landed, is no part of a plan: the same plan made twice has the same hash.
_PARTS = """
SELECT (SELECT sha256(coalesce(string_agg(sha256(convert_to(jsonb_build_array(external_id, action, reason_code, record_id,
    record_version, detail->'changes')::text, 'UTF8')), ''::bytea ORDER BY external_id), ''::bytea))
  FROM payment_sync_plan_items WHERE workspace_id = %(workspace)s AND session_id = %(session)s AND entity_type = e.entity)
  || (SELECT sha256(coalesce(string_agg(sha256(convert_to(jsonb_build_array(external_id, deleted, digest, issue)::text, 'UTF8')),
    ''::bytea ORDER BY external_id), ''::bytea))
  FROM payment_sync_staged_objects WHERE workspace_id = %(workspace)s AND session_id = %(session)s AND entity_type = e.entity)
FROM (SELECT entity_type AS entity FROM payment_sync_entity_runs WHERE workspace_id = %(workspace)s AND session_id = %(session)s) e
ORDER BY e.entity
"""
_HASH = f"SELECT encode(sha256(string_agg(part, ''::bytea)), 'hex') FROM ({_PARTS}) p(part)"
_KEEP = """
UPDATE payment_sync_sessions SET plan_hash = %(hash)s WHERE workspace_id = %(workspace)s AND id = %(session)s
  AND EXISTS (SELECT FROM payment_sync_leases WHERE session_id = %(session)s AND fence = %(fence)s FOR KEY SHARE)
"""


async def keep_hash(session: AsyncSession, held: Held) -> None:
    """Work out what names the plan of a dry run, from all that is in it, and note it with the run."""
    found = await plan_hash(session, held.workspace_id, held.session_id)
    # By itself: whoever cancels waits for the run's row, which is not to be held while a large plan is read.
    connection = await driver(session)
    bound = {"workspace": held.workspace_id, "session": held.session_id, "fence": held.fence}
    await connection.execute(_KEEP, {**bound, "hash": found})


async def plan_hash(session: AsyncSession, workspace_id: UUID, session_id: UUID) -> str | None:
    connection = await driver(session)
    cursor = await connection.execute(_HASH, {"workspace": workspace_id, "session": session_id})
    row = await cursor.fetchone()
    return row and row[0]


@dataclass(frozen=True, slots=True)
class Later:
    """A run that makes a plan old news: a dry run of the same, or one that wrote."""

    id: UUID
    number: int
    dry_run: bool
    created_at: datetime


# A canary of the plan itself is no reason to look for another one.
_LATER = """
SELECT l.id, l.number, l.dry_run, l.created_at FROM payment_sync_sessions p CROSS JOIN LATERAL (
  SELECT s.id, s.number, s.dry_run, s.created_at FROM payment_sync_sessions s
  WHERE s.workspace_id = %(workspace)s AND s.deleted_at IS NULL AND (s.created_at, s.id) > (p.created_at, p.id)
    AND s.connection_id IS NOT DISTINCT FROM p.connection_id AND s.source_session_id IS DISTINCT FROM p.id
    AND CASE WHEN s.dry_run THEN s.status IN ('completed', 'partial') AND s.entity_types @> p.entity_types
        AND s.config->'date_range' IS NOT DISTINCT FROM p.config->'date_range'
      ELSE EXISTS (SELECT FROM payment_sync_entity_runs r WHERE r.workspace_id = %(workspace)s AND r.session_id = s.id
        AND r.entity_type = ANY(p.entity_types) AND r.created + r.updated > 0) END
  ORDER BY s.created_at DESC, s.id DESC LIMIT 1) l
WHERE p.workspace_id = %(workspace)s AND p.id = %(session)s
"""


async def superseded_by(session: AsyncSession, workspace_id: UUID, session_id: UUID) -> Later | None:
    """The newest such run."""
    connection = await driver(session)
    async with connection.cursor(row_factory=class_row(Later)) as cursor:
        await cursor.execute(_LATER, {"workspace": workspace_id, "session": session_id})
        return await cursor.fetchone()


# Of the last runs only: a workspace that never applied a plan would otherwise be read to its first one.
_RATES = """
SELECT n.planned / greatest(extract(epoch FROM s.completed_at - s.started_at), 0.5)::float8
FROM (SELECT * FROM payment_sync_sessions WHERE workspace_id = %(workspace)s AND deleted_at IS NULL
  ORDER BY created_at DESC, id DESC LIMIT 100) s
CROSS JOIN LATERAL (SELECT sum(created + updated + unchanged + skipped + conflicts + failed)::float8 AS planned
  FROM payment_sync_entity_runs r WHERE r.workspace_id = %(workspace)s AND r.session_id = s.id) n
WHERE s.source_session_id IS NOT NULL AND s.status IN ('completed', 'partial') AND s.config->>'limit' IS NULL
  AND s.completed_at > s.started_at AND n.planned > 0
ORDER BY s.created_at DESC LIMIT 10
"""


async def apply_rates(session: AsyncSession, workspace_id: UUID) -> list[float]:
    """Rows a second at which the last plans were applied whole."""
    connection = await driver(session)
    cursor: Any = await connection.execute(_RATES, {"workspace": workspace_id})
    return [float(rate) for (rate,) in await cursor.fetchall()]
