"""Runs as rows: queued, leased, cancelled, resumed. The lease's clock is the database's."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field, replace
from typing import Any, Self
from uuid import UUID, uuid4

import orjson
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import ORDER
from sync_core.domain.merge import Strategies
from sync_core.domain.vocabulary import EntityType, ReasonCode, SessionStatus, SessionType, TaskKind
from sync_core.store.database import Database, DbRole
from sync_core.store.ignored_fields import ignored_keys


@dataclass(frozen=True, slots=True)
class RunConfig:
    """What a person asked for. `start` and `end` are epoch seconds, end exclusive; `limit` applies the first N of a plan only."""

    entity_types: tuple[EntityType, ...]
    batch_size: int = 100
    concurrent_batches: int = 3
    start: int | None = None
    end: int | None = None
    strategies: Strategies = field(default_factory=Strategies)
    dry_run: bool = False
    match_by_email: bool = True
    limit: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "entity_types": [entity.value for entity in self.entity_types],
            "batch_size": self.batch_size,
            "concurrent_batches": self.concurrent_batches,
            "date_range": {"start": self.start, "end": self.end},
            "conflict_strategy": self.strategies.default.value,
            "strategies": self.strategies.to_json(),
            "dry_run": self.dry_run,
            "match_by_email": self.match_by_email,
            "limit": self.limit,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        span = data.get("date_range") or {}
        return cls(
            entity_types=tuple(EntityType(word) for word in data["entity_types"]),
            batch_size=data["batch_size"],
            concurrent_batches=data["concurrent_batches"],
            start=span.get("start"),
            end=span.get("end"),
            strategies=Strategies.from_json(data.get("strategies") or {"default": data["conflict_strategy"]}),
            dry_run=data["dry_run"],
            match_by_email=data.get("match_by_email", True),
            limit=data.get("limit"),
        )


@dataclass(frozen=True, slots=True)
class Task:
    """A part of an ended run that is to be done again. Of a retry, `entity`, `reason` and `ids` narrow the errors; none set: all of them."""

    kind: TaskKind
    entity: EntityType | None = None
    reason: ReasonCode | None = None
    ids: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind.value,
            "entity_type": None if self.entity is None else self.entity.value,
            "reason_code": None if self.reason is None else self.reason.value,
            "ids": list(self.ids),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any] | None) -> Self | None:
        if data is None:
            return None
        entity, reason = data["entity_type"], data["reason_code"]
        return cls(
            TaskKind(data["kind"]),
            None if entity is None else EntityType(entity),
            None if reason is None else ReasonCode(reason),
            tuple(data["ids"]),
        )


# As text: the tables' classes would cost each run's process a third of the time that it takes to start.
_NEW_SESSION = text(
    "INSERT INTO payment_sync_sessions"
    " (workspace_id, id, session_type, entity_types, config, dry_run, connection_id, source_session_id, created_by)"
    " VALUES (:workspace, :session, :type, :entities, CAST(:config AS jsonb), :dry_run, :connection, :source, :created_by)"
)
_NEW_ENTITY_RUNS = text(
    "INSERT INTO payment_sync_entity_runs (workspace_id, session_id, entity_type, requested)"
    " SELECT :workspace, :session, one, one = ANY(CAST(:entities AS text[])) FROM unnest(CAST(:every AS text[])) one"
)
# The fence starts at the clock, so that a run's later lease is above all of its earlier ones.
_NEW_LEASE = text(
    "INSERT INTO payment_sync_leases (session_id, workspace_id, fence)"
    " VALUES (:session, :workspace, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)"
)


async def enqueue(
    session: AsyncSession,
    workspace_id: UUID,
    config: RunConfig,
    *,
    connection_id: UUID,
    created_by: str,
    session_type: SessionType = SessionType.INITIAL,
    source_session_id: UUID | None = None,
) -> UUID | None:
    """Queue a run; the next tick takes it. None when a run of this workspace is open already.

    The fields that the workspace ignores now go with it: a configuration from elsewhere brings none of its own.
    """
    everywhere, here = await ignored_keys(session, workspace_id)
    config = replace(config, strategies=replace(config.strategies, ignored=everywhere, ignored_here=here))
    session_id = uuid4()
    try:
        async with session.begin_nested():
            await session.execute(_NEW_LEASE, {"workspace": workspace_id, "session": session_id})
    except IntegrityError:
        return None
    entities = [entity.value for entity in config.entity_types]
    await session.execute(
        _NEW_SESSION,
        {
            "workspace": workspace_id,
            "session": session_id,
            "type": session_type.value,
            "entities": entities,
            "config": orjson.dumps(config.to_json()).decode(),
            "dry_run": config.dry_run,
            "connection": connection_id,
            "source": source_session_id,
            "created_by": created_by,
        },
    )
    every = [entity.value for entity in ORDER]
    await session.execute(
        _NEW_ENTITY_RUNS, {"workspace": workspace_id, "session": session_id, "every": every, "entities": entities}
    )
    return session_id


_CANCEL = text(
    "UPDATE payment_sync_sessions SET cancel_requested_at = coalesce(cancel_requested_at, now())"
    " WHERE workspace_id = :workspace AND id = :session AND status IN ('pending', 'running') RETURNING status"
)
# A worker that has been mute for two seconds, eight beats, is not waited for: without its lease's row, nothing that it still does commits. The row is
# left to a batch that is just being committed under it.
_CANCEL_WAITING = text(
    "WITH mute AS (SELECT session_id FROM payment_sync_leases WHERE session_id = :session AND workspace_id = :workspace"
    " AND (owner IS NULL OR lease_until < clock_timestamp() OR beat_at < clock_timestamp() - interval '2 s')"
    " FOR UPDATE SKIP LOCKED),"
    " gone AS (DELETE FROM payment_sync_leases l USING mute WHERE l.session_id = mute.session_id RETURNING l.session_id)"
    " UPDATE payment_sync_sessions SET status = 'cancelled', completed_at = now(), task = NULL"
    " WHERE workspace_id = :workspace AND id IN (SELECT session_id FROM gone)"
    " AND status IN ('pending', 'running') RETURNING status"
)


async def request_cancel(session: AsyncSession, workspace_id: UUID, session_id: UUID) -> SessionStatus | None:
    """Ask a run to stop; it answers within a second. One that nobody drives, or whose worker is mute, ends here. None when it was not open."""
    bound = {"workspace": workspace_id, "session": session_id}
    status = (await session.execute(_CANCEL, bound)).scalar_one_or_none()
    if status is None:
        return None
    ended = (await session.execute(_CANCEL_WAITING, bound)).scalar_one_or_none()
    return SessionStatus(ended or status)


# A task does not make a plan younger than its reading: a dry run keeps the time at which it ended.
_REQUEUE = text(
    "UPDATE payment_sync_sessions SET status = 'pending', cancel_requested_at = NULL, error_summary = NULL, plan_hash = NULL,"
    " completed_at = CASE WHEN dry_run AND CAST(:task AS jsonb) IS NOT NULL THEN completed_at END, task = CAST(:task AS jsonb)"
    " WHERE workspace_id = :workspace AND id = :session AND status = ANY(:statuses) RETURNING id"
)
_RESUMABLE = ["failed", "cancelled", "partial"]


async def requeue(
    session: AsyncSession, workspace_id: UUID, session_id: UUID, *, task: Task | None = None
) -> UUID | None:
    """Go on with a run that failed, was cancelled or left errors; with a `task`, do that part of an ended one again.

    None when it can't be, or another run is open.
    """
    bound = {"workspace": workspace_id, "session": session_id}
    asked = {
        "task": None if task is None else orjson.dumps(task.to_json()).decode(),
        "statuses": _RESUMABLE if task is None else [*_RESUMABLE, "completed"],
    }
    try:
        async with session.begin_nested():
            row = (await session.execute(_REQUEUE, {**bound, **asked})).scalar_one_or_none()
            if row is not None:
                await session.execute(_NEW_LEASE, bound)
    except IntegrityError:
        return None
    return None if row is None else session_id


@dataclass(frozen=True, slots=True)
class Due:
    """`owner` is whose lease has run out; None when nobody's has."""

    session_id: UUID
    workspace_id: UUID
    owner: str | None


@dataclass(frozen=True, slots=True)
class Held:
    """A lease taken: every commit of this run proves `fence`."""

    session_id: UUID
    workspace_id: UUID
    fence: int
    attempts: int


_DUE = text(
    "SELECT session_id, workspace_id, owner FROM payment_sync_leases"
    " WHERE (lease_until IS NULL OR lease_until < now()) AND not_before <= now() ORDER BY created_at"
)
# Batches hold the row FOR KEY SHARE: renewing it does not wait for them, taking it does, so that none commits under an old fence.
_TAKE = text(
    "WITH free AS (SELECT session_id FROM payment_sync_leases WHERE session_id = :session"
    " AND (lease_until IS NULL OR lease_until < clock_timestamp()) AND not_before <= clock_timestamp() FOR UPDATE SKIP LOCKED)"
    " UPDATE payment_sync_leases l SET fence = l.fence + 1, attempts = l.attempts + 1, owner = :owner, beat_at = clock_timestamp(),"
    " lease_until = clock_timestamp() + make_interval(secs => :seconds) FROM free WHERE l.session_id = free.session_id"
    " RETURNING l.session_id, l.workspace_id, l.fence, l.attempts"
)


STOPPED_SECONDS = 10.0
# PostgreSQL looks at none of its time limits while it waits for the rows of a COPY: a worker that is stopped there is ended by nobody else.
_END_STOPPED = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND usename = session_user"
    " AND query LIKE 'COPY landing%' AND state = 'active' AND wait_event = 'ClientRead'"
    " AND query_start < clock_timestamp() - make_interval(secs => :seconds)"
)


async def due(session: AsyncSession) -> list[Due]:
    """Runs that nobody drives now."""
    return [Due(row.session_id, row.workspace_id, row.owner) for row in await session.execute(_DUE)]


async def take(session: AsyncSession, session_id: UUID, owner: str, seconds: float) -> Held | None:
    """None when another was quicker."""
    row = (await session.execute(_TAKE, {"session": session_id, "owner": owner, "seconds": seconds})).one_or_none()
    return None if row is None else Held(row.session_id, row.workspace_id, row.fence, row.attempts)


async def end_stopped(database: Database) -> None:
    """For whoever does not get a run that is due: a worker that was stopped may hold its lease's row in the middle of bringing rows."""
    async with database.engine.begin() as connection:
        await connection.execute(_END_STOPPED, {"seconds": STOPPED_SECONDS})


def owner_of(pid: int) -> str:
    """What a worker writes into its lease, so that whoever sees it end can free what it held."""
    return f"{socket.gethostname()} {pid}"


# The more often nothing came of it, the longer until the next try.
_RELEASE = text(
    "UPDATE payment_sync_leases SET lease_until = NULL, owner = NULL,"
    " not_before = clock_timestamp() + make_interval(secs => greatest(0, least(attempts - 1, 15)))"
    " WHERE session_id = :session AND owner = :owner"
)


async def release(session: AsyncSession, session_id: UUID, owner: str) -> None:
    """Free the run of a worker that has ended without closing it. Only whoever saw it end may say so."""
    await session.execute(_RELEASE, {"session": session_id, "owner": owner})


def role_of(config: RunConfig) -> DbRole:
    """A dry run cannot write records: its role has no grant to."""
    return DbRole.DRY_RUN if config.dry_run else DbRole.APP
