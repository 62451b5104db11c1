"""A run as it goes on: what a screen asks about once a second, by keys alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.vocabulary import EntityType, Phase, SessionStatus
from sync_core.store.runs import RunConfig


@dataclass(frozen=True, slots=True)
class WatchedRun:
    """Times are epoch seconds by the database's clock, `now` among them. `lease_left` is None when nobody has the run.

    `attempts` are those since something last came of one, `fence` is another with each worker, `heard` how many seconds ago the one
    named `worker` gave a sign of life. `livemode` is None of a run whose connection is gone.
    """

    id: UUID
    workspace_id: UUID
    status: SessionStatus
    phase: Phase
    config: RunConfig
    stats: dict[str, Any]
    error_summary: dict[str, Any] | None
    source_session_id: UUID | None
    range_start: int | None
    ceiling: int | None
    cancel_requested: bool
    created_by: str
    created_at: float
    started_at: float | None
    completed_at: float | None
    now: float
    is_leased: bool
    lease_left: float | None
    attempts: int
    fence: int
    worker: str
    heard: float | None
    livemode: bool | None

    def moves(self, one: WatchedEntity) -> bool:
        return self.status is SessionStatus.RUNNING and one.phase is not Phase.DONE


@dataclass(frozen=True, slots=True)
class WatchedEntity:
    """`last_page_at` is epoch seconds."""

    entity: EntityType
    requested: bool
    phase: Phase
    estimated: int
    fetched: int
    created: int
    updated: int
    unchanged: int
    skipped: int
    conflicts: int
    failed: int
    requests: int
    last_error: str | None
    last_page_at: float | None
    verified: dict[str, Any] | None

    @property
    def written(self) -> int:
        return self.created + self.updated

    @property
    def processed(self) -> int:
        return self.written + self.unchanged + self.skipped + self.conflicts + self.failed

    @property
    def is_shown(self) -> bool:
        """It was asked for, or came along."""
        return bool(self.requested or self.fetched or self.processed)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part [gte, lt) of `created` that has been read, in epoch seconds."""

    entity: EntityType
    gte: int
    lt: int


@dataclass(frozen=True, slots=True)
class OpenWindow:
    """A window that is being read, from `lt` down; `oldest_seen` is where it has come to. Epoch seconds."""

    entity: EntityType
    gte: int
    lt: int
    oldest_seen: int | None
    pages: int
    objects: int
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Sample:
    """The counters after `slot` seconds of work; `at` is epoch seconds."""

    slot: float
    at: float
    processed: int
    requests: int
    throttled: int


def _epoch(column: str) -> str:
    return f"extract(epoch FROM {column})::float8"


_RUN = text(
    "SELECT s.id, s.workspace_id, s.status, s.phase, s.config, s.stats, s.error_summary, s.source_session_id,"
    # What is shown begins with the account, or with Stripe: before them there is nothing to read, though a run asks.
    " CASE WHEN s.range_start = 0 AND s.ceiling > f.first THEN f.first ELSE s.range_start END AS range_start, s.ceiling,"
    " s.cancel_requested_at IS NOT NULL AS cancel_requested, s.created_by,"
    f" {_epoch('s.created_at')} AS created_at, {_epoch('s.started_at')} AS started_at,"
    f" {_epoch('s.completed_at')} AS completed_at, {_epoch('clock_timestamp()')} AS now,"
    f" l.session_id IS NOT NULL AS is_leased, {_epoch('l.lease_until - clock_timestamp()')} AS lease_left,"
    f" coalesce(l.attempts, 0) AS attempts, coalesce(l.fence, 0) AS fence, coalesce(l.owner, '') AS worker, {_epoch('clock_timestamp() - l.beat_at')} AS heard,"
    " c.livemode"
    " FROM payment_sync_sessions s LEFT JOIN payment_sync_leases l ON l.session_id = s.id"
    " LEFT JOIN payment_connections c ON c.workspace_id = s.workspace_id AND c.id = s.connection_id"
    " CROSS JOIN LATERAL (SELECT coalesce(c.account_created, 1293840000) AS first) f"
    " WHERE s.workspace_id = :workspace AND s.id = :session AND s.deleted_at IS NULL"
)
_ENTITIES = text(
    "SELECT entity_type AS entity, requested, phase, estimated, fetched, created, updated, unchanged, skipped, conflicts,"
    f" failed, requests, last_error, {_epoch('last_page_at')} AS last_page_at, verified FROM payment_sync_entity_runs"
    " WHERE workspace_id = :workspace AND session_id = :session"
)
# Windows overlap where one was split: what the old one read and what the new ones did is merged here, not on the screen.
_STRETCHES = text(
    "SELECT entity_type, lower(part) AS gte, upper(part) AS lt FROM (SELECT entity_type, unnest(range_agg(int8range("
    "least(CASE status WHEN 'done' THEN gte WHEN 'open' THEN oldest_seen ELSE oldest_seen + 1 END, lt), lt))) AS part"
    " FROM payment_sync_windows WHERE workspace_id = :workspace AND session_id = :session"
    " AND (status = 'done' OR oldest_seen IS NOT NULL) GROUP BY entity_type) read ORDER BY entity_type, gte"
)
_OPEN = text(
    "SELECT entity_type AS entity, gte, lt, oldest_seen, pages, objects, cursor FROM payment_sync_windows"
    " WHERE workspace_id = :workspace AND session_id = :session AND status = 'open' ORDER BY entity_type, lt DESC LIMIT 100"
)
# A window's cursor is the last object of its last page. What was recognised was not staged: of that nobody knows the request.
_REQUESTS = text(
    "SELECT external_id, request_id FROM payment_sync_staged_objects WHERE session_id = :session AND entity_type = :entity"
    " AND external_id = ANY(:cursors) AND request_id IS NOT NULL"
)

_SAMPLES = text(
    f"SELECT slot, {_epoch('at')} AS at, processed, requests, throttled FROM payment_sync_pace_samples"
    " WHERE workspace_id = :workspace AND session_id = :session ORDER BY slot"
)


async def read_run(session: AsyncSession, workspace_id: UUID, session_id: UUID) -> WatchedRun | None:
    found = await session.execute(_RUN, {"workspace": workspace_id, "session": session_id})
    row = found.mappings().one_or_none()
    if row is None:
        return None
    words = {"status": SessionStatus(row["status"]), "phase": Phase(row["phase"])}
    return WatchedRun(**{**row, **words, "config": RunConfig.from_json(row["config"])})


async def read_entities(session: AsyncSession, workspace_id: UUID, session_id: UUID) -> list[WatchedEntity]:
    found = await session.execute(_ENTITIES, {"workspace": workspace_id, "session": session_id})
    return [
        WatchedEntity(**{**row, "entity": EntityType(row["entity"]), "phase": Phase(row["phase"])})
        for row in found.mappings()
    ]


async def read_stretches(session: AsyncSession, workspace_id: UUID, session_id: UUID) -> Sequence[Stretch]:
    """What has been read of each entity type, merged, oldest first."""
    found = await session.execute(_STRETCHES, {"workspace": workspace_id, "session": session_id})
    return [Stretch(EntityType(entity), gte, lt) for entity, gte, lt in found]


async def read_open(session: AsyncSession, workspace_id: UUID, session_id: UUID) -> list[OpenWindow]:
    found = await session.execute(_OPEN, {"workspace": workspace_id, "session": session_id})
    return [OpenWindow(**{**row, "entity": EntityType(row["entity"])}) for row in found.mappings()]


async def read_requests(
    session: AsyncSession, session_id: UUID, entity: EntityType, cursors: Sequence[str]
) -> dict[str, str]:
    """The requests that brought the objects which cursors name, as far as they are known."""
    if not cursors:
        return {}
    bound = {"session": session_id, "entity": entity.value, "cursors": list(cursors)}
    return {row.external_id: row.request_id for row in await session.execute(_REQUESTS, bound)}


async def read_samples(session: AsyncSession, workspace_id: UUID, session_id: UUID) -> list[Sample]:
    """How far the run was at each second that is remembered, the earliest first."""
    found = await session.execute(_SAMPLES, {"workspace": workspace_id, "session": session_id})
    return [Sample(**row) for row in found.mappings()]
