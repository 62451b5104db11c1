"""What is known of the last changes of conflicts' fields, on both sides: our edits and decisions, and Stripe's events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.newer import Change, Traces, fingerprint
from sync_core.domain.vocabulary import EntityType
from sync_core.store.database import driver
from sync_core.store.values_sql import TABLES


@dataclass(frozen=True, slots=True)
class Traced:
    """A conflict's fields that differ, with what is known of each; `fields` of them need somebody to choose. `seq` is its place in a preview."""

    seq: int
    conflict_id: UUID
    fields: tuple[str, ...]
    traces: Mapping[str, Traces]


_BASE_AT = " ".join(
    f"WHEN '{entity.value}' THEN (SELECT t.payment_observed_at FROM {TABLES[entity]} t"
    " WHERE t.workspace_id = %(workspace)s AND t.id = c.record_id)"
    for entity in EntityType
)
_COLUMNS = "c.id, c.session_id, c.entity_type, c.record_id, c.external_id, c.fields, c.local, c.theirs, c.theirs_deleted, c.observed_at"
_ITEMS = (
    f"SELECT i.seq, {_COLUMNS} FROM payment_sync_conflict_preview_items i"
    " JOIN payment_sync_conflicts c ON c.workspace_id = i.workspace_id AND c.id = i.conflict_id"
    " WHERE i.workspace_id = %(workspace)s AND i.preview_id = %(preview)s AND i.seq > %(after)s ORDER BY i.seq LIMIT %(size)s"
)
_ONE = (
    f"SELECT 0 AS seq, {_COLUMNS} FROM payment_sync_conflicts c WHERE c.workspace_id = %(workspace)s AND c.id = %(id)s"
)
# The log keeps the beginning of a long value only, and the fingerprint of all of it, which is compared with ours.
_EDITS = """
SELECT x.key AS name, a.occurred_at AS at, a.actor AS by, x.value->1 = n.local->x.key AS holds, false AS kept,
  CASE WHEN a.details->'fingerprints' ? x.key THEN jsonb_build_array(a.details->'fingerprints'->x.key, n.local->x.key) END AS cut
FROM audit_log a CROSS JOIN LATERAL jsonb_each(a.details->'changes') x
WHERE a.workspace_id = %(workspace)s AND a.target = n.target AND a.action = 'record.edited'
"""
# A decision taken back is none; nor is a field decided by having it ignored.
_DECISIONS = """
SELECT k.name, d.created_at, d.actor, d.after->'values'->k.name = n.local->k.name, d.before->'values'->k.name = d.after->'values'->k.name, NULL
FROM payment_sync_conflicts o
JOIN payment_sync_conflict_decisions d ON d.workspace_id = o.workspace_id AND d.conflict_id = o.id AND d.undone_at IS NULL
CROSS JOIN LATERAL (SELECT DISTINCT split_part(j.key, '.', 1) AS name FROM jsonb_each(d.choices) j
  WHERE j.key <> 'record' AND j.value->>'ignored' IS DISTINCT FROM 'true') k
WHERE o.workspace_id = %(workspace)s AND o.entity_type = n.entity_type AND o.record_id = n.record_id
"""
# Of one second's events the order is not known: one of them left what stands.
_EVENTS = """
SELECT DISTINCT ON (x.key) x.key AS name, w.happened_at AS at, w.event_id AS by, x.value = n.theirs->x.key AS holds
FROM payment_webhook_inbox w CROSS JOIN LATERAL jsonb_each(w.changes) x
WHERE w.workspace_id = %(workspace)s AND w.object_id = n.external_id AND w.account_id = n.account AND w.livemode = n.livemode
ORDER BY x.key, w.happened_at DESC, 4 DESC, w.event_id
"""
_LAST = "jsonb_object_agg(l.name, jsonb_build_array(extract(epoch FROM l.at), l.by, l.holds, {more}))"


def _sql(source: str) -> str:
    """Keys are worked out a step before they are looked up: under row-level security only plain comparisons choose an index."""
    return f"""
WITH c AS MATERIALIZED ({source}), n AS MATERIALIZED (
  SELECT c.*, c.entity_type || '/' || c.record_id AS target, CASE c.entity_type {_BASE_AT} END AS base_at, k.account_id AS account, k.livemode,
    coalesce(s.stats->>'clock_skew', (SELECT o.stats->>'clock_skew' FROM payment_sync_sessions o
      WHERE o.workspace_id = %(workspace)s AND o.id = s.source_session_id))::float8 AS skew
  FROM c
  JOIN payment_sync_sessions s ON s.workspace_id = %(workspace)s AND s.id = c.session_id
  LEFT JOIN payment_connections k ON k.workspace_id = %(workspace)s AND k.id = s.connection_id
)
SELECT n.seq, n.id, n.fields, n.skew, extract(epoch FROM n.observed_at)::float8 AS observed_at,
  extract(epoch FROM CASE WHEN n.base_at < n.observed_at THEN n.base_at END)::float8 AS base_at,
  CASE WHEN n.theirs_deleted THEN '{{}}'::text[] ELSE
    ARRAY(SELECT f.key FROM jsonb_each(n.local) f WHERE f.value IS DISTINCT FROM n.theirs->f.key) END AS differing,
  (SELECT {_LAST.format(more="l.kept, l.cut")} FROM (SELECT DISTINCT ON (e.name) e.* FROM ({_EDITS} UNION ALL {_DECISIONS}) e
    ORDER BY e.name, e.at DESC) l) AS ours,
  (SELECT {_LAST.format(more="false, NULL")} FROM ({_EVENTS}) l) AS theirs
FROM n ORDER BY n.seq
"""


_OF_PREVIEW, _OF_ONE = _sql(_ITEMS), _sql(_ONE)


async def of_preview(
    session: AsyncSession, workspace_id: UUID, preview_id: UUID, *, after: int, size: int
) -> list[Traced]:
    """The next conflicts of a preview, in its order."""
    bound = {"workspace": workspace_id, "preview": preview_id, "after": after, "size": size}
    return await _read(session, _OF_PREVIEW, bound)


async def of_conflict(session: AsyncSession, workspace_id: UUID, conflict_id: UUID) -> Mapping[str, Traces]:
    """Of each field of one conflict that differs."""
    found = await _read(session, _OF_ONE, {"workspace": workspace_id, "id": conflict_id})
    return found[0].traces if found else {}


async def _read(session: AsyncSession, sql: str, bound: Mapping[str, Any]) -> list[Traced]:
    connection = await driver(session)
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(sql, bound)
        return [_traced(row) for row in await cursor.fetchall()]


def _traced(row: Mapping[str, Any]) -> Traced:
    ours, theirs = row["ours"] or {}, row["theirs"] or {}
    traces = {
        name: Traces(
            _change(ours.get(name)), _change(theirs.get(name)), row["observed_at"], row["base_at"], row["skew"]
        )
        for name in row["differing"]
    }
    return Traced(row["seq"], row["id"], tuple(row["fields"]), traces)


def _change(kept: list[Any] | None) -> Change | None:
    if kept is None:
        return None
    at, by, holds, decided, cut = kept
    return Change(float(at), by, fingerprint(cut[1]) == cut[0] if cut else holds is True, decided is True)
