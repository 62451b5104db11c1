"""A run's own rows: read at the start, beaten while it goes on, closed at its end. Every write proves the fence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.vocabulary import EntityType, EventType, Phase, ReasonCode, SessionStatus
from sync_core.errors import LeaseLost
from sync_core.store.database import driver
from sync_core.store.runs import Held, RunConfig, Task


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """The account a run reads. `account_created` is epoch seconds."""

    id: UUID
    account_id: str
    account_created: int | None
    livemode: bool
    is_sandbox: bool
    key_ciphertext: bytes
    key_fingerprint: str
    former_ciphertext: bytes | None


@dataclass(frozen=True, slots=True)
class Later:
    """A sync or dry run that began to look at the same account after another one had."""

    id: UUID
    began: float
    dry_run: bool


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run as it stands, with the figures that workers noted before. Times are epoch seconds.

    `later` are those that looked at Stripe after this run, or the dry run that it applies, had begun to: it was put off or taken up again.
    """

    config: RunConfig
    phase: Phase
    source_session_id: UUID | None
    range_start: int | None
    ceiling: int | None
    task: Task | None
    stats: dict[str, Any]
    connection: ConnectionRow
    later: tuple[Later, ...] = ()


@dataclass(frozen=True, slots=True)
class EntityRow:
    entity: EntityType
    requested: bool
    phase: Phase
    landed_seq: int
    planned_seq: int
    fetched: int
    failed: int
    planned: int


@dataclass(frozen=True, slots=True)
class Beat:
    held: bool
    cancel_requested: bool


_RUN = """
SELECT s.config, s.phase, s.source_session_id, s.range_start, s.ceiling, s.task, s.stats, c.id, c.account_id, c.account_created, c.livemode,
  c.is_sandbox, c.key_ciphertext, c.key_fingerprint, c.former_ciphertext
FROM payment_sync_sessions s JOIN payment_connections c ON c.workspace_id = s.workspace_id AND c.id = s.connection_id
WHERE s.workspace_id = %(workspace)s AND s.id = %(session)s
"""

_LATER = """
SELECT l.id, extract(epoch FROM l.started_at)::float8, l.dry_run
FROM payment_sync_sessions s JOIN payment_sync_sessions p ON p.workspace_id = s.workspace_id AND p.id = coalesce(s.source_session_id, s.id)
JOIN payment_connections c ON c.workspace_id = s.workspace_id AND c.id = s.connection_id
JOIN payment_connections k ON k.workspace_id = s.workspace_id AND k.account_id = c.account_id AND k.livemode = c.livemode
JOIN payment_sync_sessions l ON l.workspace_id = s.workspace_id AND l.connection_id = k.id AND l.source_session_id IS NULL
  AND l.id <> s.id AND l.started_at > p.started_at
WHERE s.workspace_id = %(workspace)s AND s.id = %(session)s
"""


async def read_run(session: AsyncSession, workspace_id: UUID, session_id: UUID) -> RunRow:
    connection = await driver(session)
    cursor = await connection.execute(_RUN, {"workspace": workspace_id, "session": session_id})
    row = await cursor.fetchone()
    if row is None:
        raise LookupError(f"no run {session_id}")
    cursor = await connection.execute(_LATER, {"workspace": workspace_id, "session": session_id})
    later = tuple(Later(*found) for found in await cursor.fetchall())
    config, phase, source_id, range_start, ceiling, task, stats, *account = row
    return RunRow(
        RunConfig.from_json(config),
        Phase(phase),
        source_id,
        range_start,
        ceiling,
        Task.from_json(task),
        stats,
        ConnectionRow(*account),
        later,
    )


async def read_entities(session: AsyncSession, workspace_id: UUID, session_id: UUID) -> dict[EntityType, EntityRow]:
    connection = await driver(session)
    cursor = await connection.execute(
        "SELECT entity_type, requested, phase, landed_seq, planned_seq, fetched, failed,"
        " created + updated + unchanged + skipped + conflicts + failed FROM payment_sync_entity_runs"
        " WHERE workspace_id = %(workspace)s AND session_id = %(session)s",
        {"workspace": workspace_id, "session": session_id},
    )
    rows = [EntityRow(EntityType(row[0]), row[1], Phase(row[2]), *row[3:]) for row in await cursor.fetchall()]
    return {row.entity: row for row in rows}


_BEAT = """
WITH held AS (
  UPDATE payment_sync_leases SET lease_until = clock_timestamp() + make_interval(secs => %(seconds)s),
    beat_at = clock_timestamp(), attempts = CASE WHEN %(moved)s THEN 0 ELSE attempts END
  WHERE session_id = %(session)s AND fence = %(fence)s RETURNING 1
)
SELECT EXISTS (SELECT FROM held), (SELECT cancel_requested_at IS NOT NULL FROM payment_sync_sessions
  WHERE workspace_id = %(workspace)s AND id = %(session)s)
"""


async def beat(session: AsyncSession, held: Held, *, seconds: float, moved: bool) -> Beat:
    """Renew the lease, and hear whether someone wants the run to stop. Waits for no batch: it touches the lease's row only.

    `moved`: something has come of this lease, so that what is counted as attempts are those in vain.
    """
    connection = await driver(session)
    bound = {"session": held.session_id, "workspace": held.workspace_id, "fence": held.fence}
    cursor = await connection.execute(_BEAT, {**bound, "seconds": seconds, "moved": moved})
    row = await cursor.fetchone()
    return Beat(bool(row and row[0]), bool(row and row[1]))


_FENCE = "EXISTS (SELECT FROM payment_sync_leases WHERE session_id = %(session)s AND fence = %(fence)s FOR KEY SHARE)"


async def _fenced(session: AsyncSession, held: Held, sql: str, **bound: Any) -> None:
    """Run an UPDATE that ends in the fence's condition; nothing updated means that the lease is gone."""
    connection = await driver(session)
    cursor = await connection.execute(
        f"{sql} AND {_FENCE}",
        {"workspace": held.workspace_id, "session": held.session_id, "fence": held.fence, **bound},
    )
    if cursor.rowcount == 0:
        raise LeaseLost(f"the lease of run {held.session_id} was taken by another worker")


async def begin(session: AsyncSession, held: Held) -> None:
    await _fenced(
        session,
        held,
        "UPDATE payment_sync_sessions SET status = 'running', started_at = coalesce(started_at, now()),"
        " completed_at = CASE WHEN dry_run AND task IS NOT NULL THEN completed_at END,"
        " error_summary = NULL"
        " WHERE workspace_id = %(workspace)s AND id = %(session)s",
    )


async def set_range(session: AsyncSession, held: Held, start: int, ceiling: int, *, skew: float) -> None:
    """Freeze what belongs to this run: start <= created < ceiling, in Stripe's seconds, whose clock is so many ahead of ours."""
    await _fenced(
        session,
        held,
        "UPDATE payment_sync_sessions SET range_start = %(start)s, ceiling = %(ceiling)s,"
        " stats = stats || jsonb_build_object('clock_skew', %(skew)s::float8)"
        " WHERE workspace_id = %(workspace)s AND id = %(session)s",
        start=start,
        ceiling=ceiling,
        skew=skew,
    )


async def set_phase(session: AsyncSession, held: Held, phase: Phase, *, steps: dict[str, Any]) -> None:
    """With its `steps`, so that the screen hears of both at once."""
    await _fenced(
        session,
        held,
        "UPDATE payment_sync_sessions SET phase = %(phase)s, stats = stats || jsonb_build_object('steps', %(steps)s::jsonb)"
        " WHERE workspace_id = %(workspace)s AND id = %(session)s",
        phase=phase.value,
        steps=Jsonb(steps),
    )


async def set_entity_phase(session: AsyncSession, held: Held, entity: EntityType, phase: Phase) -> None:
    await _fenced(
        session,
        held,
        "UPDATE payment_sync_entity_runs SET phase = %(phase)s::text, started_at = coalesce(started_at, now()),"
        " completed_at = CASE WHEN %(phase)s::text = 'done' THEN now() END, updated_at = now()"
        " WHERE workspace_id = %(workspace)s AND session_id = %(session)s AND entity_type = %(entity)s",
        entity=entity.value,
        phase=phase.value,
    )


async def set_verified(session: AsyncSession, held: Held, entity: EntityType, verified: dict[str, Any]) -> None:
    """What `verified` does not name stays: a retry asks Stripe for no proof anew."""
    await _fenced(
        session,
        held,
        "UPDATE payment_sync_entity_runs SET verified = coalesce(verified, '{}'::jsonb) || %(verified)s::jsonb"
        " WHERE workspace_id = %(workspace)s AND session_id = %(session)s AND entity_type = %(entity)s",
        entity=entity.value,
        verified=Jsonb(verified),
    )


async def recount(session: AsyncSession, held: Held, entity: EntityType, *, whole: bool) -> None:
    """Set an entity type's counters from its plan: batches add up, but an object that landed twice was counted twice.

    `whole`: everything that was fetched is in the plan.
    """
    await _fenced(
        session,
        held,
        "UPDATE payment_sync_entity_runs r SET created = n.created, updated = n.updated, unchanged = n.unchanged,"
        " skipped = n.skipped, conflicts = n.conflicts, failed = n.failed,"
        " fetched = CASE WHEN %(whole)s THEN n.total ELSE r.fetched END,"
        " last_error = CASE WHEN n.failed > 0 THEN r.last_error END"
        " FROM (SELECT count(*) FILTER (WHERE action = 'create') AS created, count(*) FILTER (WHERE action = 'update') AS updated,"
        " count(*) FILTER (WHERE action = 'unchanged') AS unchanged, count(*) FILTER (WHERE action = 'skip') AS skipped,"
        " count(*) FILTER (WHERE action = 'conflict') AS conflicts, count(*) FILTER (WHERE action = 'error') AS failed, count(*) AS total"
        " FROM payment_sync_plan_items WHERE workspace_id = %(workspace)s AND session_id = %(session)s"
        " AND entity_type = %(entity)s) n"
        " WHERE r.workspace_id = %(workspace)s AND r.session_id = %(session)s AND r.entity_type = %(entity)s",
        entity=entity.value,
        whole=whole,
    )


async def note_event(
    session: AsyncSession, held: Held, entity: EntityType, kind: EventType, *, message: str, details: dict[str, Any]
) -> None:
    connection = await driver(session)
    await connection.execute(
        "INSERT INTO payment_sync_events (workspace_id, session_id, entity_type, event_type, event_message, event_details)"
        " VALUES (%(workspace)s, %(session)s, %(entity)s, %(kind)s, %(message)s, %(details)s)",
        {
            "workspace": held.workspace_id,
            "session": held.session_id,
            "entity": entity.singular,
            "kind": kind.value,
            "message": message,
            "details": Jsonb(details),
        },
    )


_COUNTERS = (
    "SELECT entity_type, requested, estimated, fetched, created, updated, unchanged, skipped, conflicts, failed, requests,"
    " last_cursor, last_error, phase, verified FROM payment_sync_entity_runs"
    " WHERE workspace_id = %(workspace)s AND session_id = %(session)s"
)


async def read_counters(session: AsyncSession, workspace_id: UUID, session_id: UUID) -> list[dict[str, Any]]:
    connection = await driver(session)
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_COUNTERS, {"workspace": workspace_id, "session": session_id})
        return await cursor.fetchall()


_ERROR_SUMMARY = """
WITH failed AS (
  SELECT entity_type, reason_code, external_id, detail, count(*) OVER g AS n,
    row_number() OVER (PARTITION BY entity_type, reason_code ORDER BY seq) AS place
  FROM payment_sync_plan_items WHERE workspace_id = %(workspace)s AND session_id = %(session)s AND action = 'error'
  WINDOW g AS (PARTITION BY entity_type, reason_code)
)
SELECT f.entity_type, f.reason_code, max(f.n), jsonb_agg(f.external_id ORDER BY f.place), jsonb_agg(jsonb_build_object(
  'external_id', f.external_id, 'field', f.detail->>'field', 'message', f.detail->>'message', 'request_id', (SELECT s.request_id
    FROM payment_sync_staged_objects s WHERE s.workspace_id = %(workspace)s AND s.session_id = ANY(%(staged)s)
      AND s.entity_type = f.entity_type AND s.external_id = f.external_id ORDER BY s.observed_at DESC LIMIT 1)) ORDER BY f.place)
FROM failed f WHERE f.place <= 5 GROUP BY f.entity_type, f.reason_code ORDER BY max(f.n) DESC, f.entity_type, f.reason_code
"""


async def error_groups(
    session: AsyncSession, workspace_id: UUID, session_id: UUID, *, plan_id: UUID | None = None
) -> list[dict[str, Any]]:
    """Errors by entity type and reason, the commonest first, with the first five of each. `plan_id` is the dry run that is applied."""
    connection = await driver(session)
    bound = {
        "workspace": workspace_id,
        "session": session_id,
        "staged": [one for one in (session_id, plan_id) if one is not None],
    }
    cursor = await connection.execute(_ERROR_SUMMARY, bound)
    return [
        {
            "entity_type": entity,
            "reason_code": code,
            "reason": ReasonCode(code).label,
            "repair": ReasonCode(code).repair,
            "count": count,
            "sample": sample,
            "examples": examples,
        }
        for entity, code, count, sample, examples in await cursor.fetchall()
    ]


async def finish(
    session: AsyncSession,
    held: Held,
    status: SessionStatus,
    *,
    progress: dict[str, Any],
    error_summary: dict[str, Any] | None,
    stats: dict[str, Any] | None = None,
) -> None:
    """Close the run and give up its lease, in one transaction."""
    await _fenced(
        session,
        held,
        "UPDATE payment_sync_sessions SET status = %(status)s::text, completed_at = coalesce(completed_at, now()),"
        " progress = %(progress)s::jsonb, error_summary = %(errors)s::jsonb, task = NULL, stats = stats || %(stats)s::jsonb,"
        " phase = CASE WHEN %(status)s::text IN ('completed', 'partial') THEN 'done' ELSE phase END"
        " WHERE workspace_id = %(workspace)s AND id = %(session)s",
        status=status.value,
        progress=Jsonb(progress),
        errors=None if error_summary is None else Jsonb(error_summary),
        stats=Jsonb(stats or {}),
    )
    connection = await driver(session)
    await connection.execute(
        "DELETE FROM payment_sync_leases WHERE session_id = %(session)s AND fence = %(fence)s",
        {"session": held.session_id, "fence": held.fence},
    )


_PUT_OFF = """
WITH free AS (
  UPDATE payment_sync_leases SET lease_until = NULL, owner = NULL, attempts = %(attempts)s,
    not_before = clock_timestamp() + make_interval(secs => %(seconds)s)
  WHERE session_id = %(session)s AND fence = %(fence)s AND NOT EXISTS (SELECT FROM payment_sync_sessions
    WHERE workspace_id = %(workspace)s AND id = %(session)s AND cancel_requested_at IS NOT NULL) RETURNING 1
)
UPDATE payment_sync_sessions SET stats = stats || %(stats)s::jsonb
WHERE workspace_id = %(workspace)s AND id = %(session)s AND cancel_requested_at IS NULL AND EXISTS (SELECT FROM free)
RETURNING 1
"""


async def put_off(session: AsyncSession, held: Held, seconds: float, *, stats: dict[str, Any], attempts: int) -> bool:
    """Let go of the run for so long; whoever is free then goes on with it. False when someone wants it stopped."""
    connection = await driver(session)
    bound = {"session": held.session_id, "workspace": held.workspace_id, "fence": held.fence}
    cursor = await connection.execute(
        _PUT_OFF, {**bound, "seconds": seconds, "attempts": attempts, "stats": Jsonb(stats)}
    )
    return await cursor.fetchone() is not None
