"""Runs as people look at them: one, a page of them, their events, and what was counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.merge import Strategies
from sync_core.domain.progress import EntityProgress
from sync_core.domain.vocabulary import Action, EntityType, EventType, Phase, ReasonCode, SessionStatus, SessionType
from sync_core.store.database import in_index_order
from sync_core.store.runs import RunConfig


@dataclass(frozen=True, slots=True)
class StoredEntityRun:
    progress: EntityProgress
    requested: bool
    requests: int
    verified: dict[str, Any] | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class StoredSession:
    """`source_number` is that of the dry run whose plan is applied. `range_start` and `ceiling` are epoch seconds, set once the run has asked
    Stripe for its time.
    """

    id: UUID
    number: int
    source_number: int | None
    session_type: SessionType
    status: SessionStatus
    phase: Phase
    config: RunConfig
    stats: dict[str, Any]
    error_summary: dict[str, Any] | None
    connection_id: UUID | None
    source_session_id: UUID | None
    range_start: int | None
    ceiling: int | None
    cancel_requested: bool
    created_by: str
    started_at: datetime | None
    completed_at: datetime | None
    created_at: datetime
    updated_at: datetime
    plan_hash: str | None
    approved_hash: str | None
    approved_by: str | None
    approved_at: datetime | None


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page ends: the last row's time and id."""

    at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs; None for any. Of `entity_type`: runs that were asked for it. Started from `since` on and before `until`, epoch seconds."""

    status: SessionStatus | None = None
    dry_run: bool | None = None
    entity_type: EntityType | None = None
    created_by: str | None = None
    since: int | None = None
    until: int | None = None


_COLUMNS = (
    "id, number, (SELECT p.number FROM payment_sync_sessions p WHERE p.workspace_id = payment_sync_sessions.workspace_id"
    " AND p.id = payment_sync_sessions.source_session_id) AS source_number, session_type, status, phase, config, stats, error_summary, connection_id, source_session_id, range_start, ceiling,"
    " cancel_requested_at IS NOT NULL AS cancel_requested, created_by, started_at, completed_at, created_at, updated_at,"
    " plan_hash, approved_hash, approved_by, approved_at"
)
_MINE = "workspace_id = :workspace AND deleted_at IS NULL"
_ONE = text(f"SELECT {_COLUMNS} FROM payment_sync_sessions WHERE {_MINE} AND id = :session")
_LOCK = text(f"SELECT id FROM payment_sync_sessions WHERE {_MINE} AND id = :session FOR UPDATE")
_CONFIGURED = (
    f"FROM payment_sync_sessions WHERE {_MINE} AND source_session_id IS NULL AND session_type = 'initial_sync'"
    " ORDER BY created_at DESC, id DESC LIMIT 1"
)
_LATEST = text(f"SELECT {_COLUMNS} {_CONFIGURED}")
_LAST = text(f"SELECT id, created_at, config->'strategies' {_CONFIGURED}")
_APPLIED = text(
    f"SELECT id FROM payment_sync_sessions WHERE {_MINE} AND source_session_id = :session"
    " AND status NOT IN ('failed', 'cancelled') AND config ->> 'limit' IS NULL LIMIT 1"
)
_ENTITIES = text(
    "SELECT session_id, entity_type, requested, phase, estimated, fetched, created, updated, unchanged, skipped, conflicts,"
    " failed, requests, last_cursor, last_error, verified, updated_at FROM payment_sync_entity_runs"
    " WHERE workspace_id = :workspace AND session_id = ANY(:sessions)"
)
_REASONS = text(
    "SELECT entity_type, action, reason_code, count(*) AS objects, (array_agg(external_id ORDER BY seq))[1:5] AS sample"
    " FROM payment_sync_plan_items WHERE workspace_id = :workspace AND session_id = :session"
    " AND action IN ('skip', 'conflict', 'error') GROUP BY 1, 2, 3 ORDER BY 4 DESC"
)
_EMAIL = text("SELECT match_by_email, settings FROM workspaces WHERE id = :workspace")
_LOCK_WORKSPACE = text("SELECT id FROM workspaces WHERE id = :workspace FOR NO KEY UPDATE")
_KEEP_SETTING = text("UPDATE workspaces SET settings = settings || CAST(:setting AS jsonb) WHERE id = :workspace")
_READS_OF_RUN = text(
    "SELECT m.reads FROM payment_sync_sessions s"
    " JOIN payment_connections c ON c.workspace_id = s.workspace_id AND c.id = s.connection_id"
    " JOIN payment_sync_read_meter m ON m.account_id = c.account_id AND m.month = to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM')"
    " WHERE s.workspace_id = :workspace AND s.id = :session"
)
_READS = text(
    "SELECT reads FROM payment_sync_read_meter WHERE account_id = :account"
    " AND month = to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM')"
)


async def read(session: AsyncSession, workspace_id: UUID, session_id: UUID) -> StoredSession | None:
    row = (await session.execute(_ONE, {"workspace": workspace_id, "session": session_id})).one_or_none()
    return None if row is None else _stored(row)


async def lock(session: AsyncSession, workspace_id: UUID, session_id: UUID) -> None:
    """Two people who apply one plan at once do it one after the other."""
    await session.execute(_LOCK, {"workspace": workspace_id, "session": session_id})


async def latest(session: AsyncSession, workspace_id: UUID) -> StoredSession | None:
    """The last run that a person or a program configured."""
    row = (await session.execute(_LATEST, {"workspace": workspace_id})).one_or_none()
    return None if row is None else _stored(row)


@dataclass(frozen=True, slots=True)
class LastRun:
    """`strategies` is how it was to treat what differs, as its configuration has it."""

    id: UUID
    created_at: datetime
    strategies: Strategies


async def last(session: AsyncSession, workspace_id: UUID) -> LastRun | None:
    """The same run, and no more of it than what it was to do."""
    row = (await session.execute(_LAST, {"workspace": workspace_id})).one_or_none()
    return None if row is None else LastRun(row[0], row[1], Strategies.from_json(row[2] or {}))


async def applied_by(session: AsyncSession, workspace_id: UUID, session_id: UUID) -> UUID | None:
    """The run that applies, or applied, the whole of a dry run's plan."""
    bound = {"workspace": workspace_id, "session": session_id}
    found: UUID | None = (await session.execute(_APPLIED, bound)).scalar_one_or_none()
    return found


async def page(
    session: AsyncSession,
    workspace_id: UUID,
    *,
    limit: int,
    after: Position | None = None,
    only: RunFilter = RunFilter(),
) -> list[StoredSession]:
    """The newest first."""
    wanted = [_MINE]
    bound: dict[str, Any] = {"workspace": workspace_id, "limit": limit}
    if after is not None:
        wanted.append("(created_at, id) < (:at, :after)")
        bound |= {"at": after.at, "after": after.id}
    named = {"status": only.status and only.status.value, "dry_run": only.dry_run, "created_by": only.created_by}
    for name, value in named.items():
        if value is not None:
            wanted.append(f"{name} = :{name}")
            bound[name] = value
    for name, sign, moment in (("since", ">=", only.since), ("until", "<", only.until)):
        if moment is not None:
            wanted.append(f"created_at {sign} to_timestamp(:{name})")
            bound[name] = moment
    if only.entity_type is not None:
        # A word of ours, written out: it is how the index of the entity type is known.
        wanted.append(f"'{only.entity_type.value}' = ANY(entity_types)")
    sql = (
        f"SELECT {_COLUMNS} FROM payment_sync_sessions WHERE {' AND '.join(wanted)}"
        " ORDER BY created_at DESC, id DESC LIMIT :limit"
    )
    await in_index_order(session)
    return [_stored(row) for row in await session.execute(text(sql), bound)]


# From one name to the next by the index: a workspace has a handful, and may have any number of runs.
_WHO = text(
    "WITH RECURSIVE known(name) AS ((SELECT created_by FROM payment_sync_sessions WHERE workspace_id = :workspace"
    " AND deleted_at IS NULL ORDER BY created_by LIMIT 1) UNION ALL SELECT (SELECT created_by FROM payment_sync_sessions"
    " WHERE workspace_id = :workspace AND deleted_at IS NULL AND created_by > known.name ORDER BY created_by LIMIT 1)"
    " FROM known WHERE known.name IS NOT NULL) SELECT name FROM known WHERE name <> '' LIMIT 100"
)


async def starters(session: AsyncSession, workspace_id: UUID) -> list[str]:
    """Who has started runs here, people and programs."""
    await in_index_order(session)
    return list((await session.execute(_WHO, {"workspace": workspace_id})).scalars())


async def entity_runs(
    session: AsyncSession, workspace_id: UUID, session_ids: Sequence[UUID]
) -> dict[UUID, list[StoredEntityRun]]:
    """By run, in no particular order of entity types."""
    found: dict[UUID, list[StoredEntityRun]] = {session_id: [] for session_id in session_ids}
    for row in await session.execute(_ENTITIES, {"workspace": workspace_id, "sessions": list(session_ids)}):
        found[row.session_id].append(_entity_run(row))
    return found


@dataclass(frozen=True, slots=True)
class StoredEvent:
    id: UUID
    entity_type: str
    entity_id: UUID | None
    external_id: str | None
    event_type: EventType
    message: str | None
    details: dict[str, Any] | None
    occurred_at: datetime


async def events(
    session: AsyncSession,
    workspace_id: UUID,
    session_id: UUID,
    *,
    limit: int,
    after: Position | None = None,
    event_type: EventType | None = None,
    entity_type: EntityType | None = None,
) -> list[StoredEvent]:
    """The newest first."""
    wanted = ["workspace_id = :workspace", "session_id = :session"]
    bound: dict[str, Any] = {"workspace": workspace_id, "session": session_id, "limit": limit}
    if after is not None:
        wanted.append("(occurred_at, id) < (:at, :after)")
        bound |= {"at": after.at, "after": after.id}
    if event_type is not None:
        wanted.append("event_type = :event_type")
        bound["event_type"] = event_type.value
    if entity_type is not None:
        wanted.append("entity_type = :entity_type")
        bound["entity_type"] = entity_type.singular
    sql = (
        "SELECT id, entity_type, entity_id, external_id, event_type, event_message, event_details, occurred_at"
        f" FROM payment_sync_events WHERE {' AND '.join(wanted)} ORDER BY occurred_at DESC, id DESC LIMIT :limit"
    )
    if entity_type is None:
        await in_index_order(session)
    return [_event(row) for row in await session.execute(text(sql), bound)]


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How many staged objects got an action for a reason, and the ids of the first few."""

    entity_type: EntityType
    action: Action
    reason: ReasonCode | None
    count: int
    sample: list[str]


async def reasons(session: AsyncSession, workspace_id: UUID, session_id: UUID) -> list[ReasonCount]:
    """Why objects were left out, put up for review or failed; the commonest first."""
    rows = await session.execute(_REASONS, {"workspace": workspace_id, "session": session_id})
    return [
        ReasonCount(
            EntityType(row.entity_type),
            Action(row.action),
            None if row.reason_code is None else ReasonCode(row.reason_code),
            row.objects,
            row.sample,
        )
        for row in rows.all()
    ]


@dataclass(frozen=True, slots=True)
class WorkspaceDefaults:
    """What a workspace's settings say about its runs. `settings` is the free part."""

    match_by_email: bool
    settings: dict[str, Any]


async def defaults(session: AsyncSession, workspace_id: UUID) -> WorkspaceDefaults:
    row = (await session.execute(_EMAIL, {"workspace": workspace_id})).one()
    return WorkspaceDefaults(row.match_by_email, row.settings)


async def lock_workspace(session: AsyncSession, workspace_id: UUID) -> None:
    """Until the transaction ends one at a time counts what there is room for; whoever only refers to the workspace does not wait."""
    await session.execute(_LOCK_WORKSPACE, {"workspace": workspace_id})


async def keep_setting(session: AsyncSession, workspace_id: UUID, name: str, value: dict[str, Any]) -> None:
    """One of the workspace's settings; the others stay."""
    await session.execute(_KEEP_SETTING, {"workspace": workspace_id, "setting": orjson.dumps({name: value}).decode()})


async def reads_of_account(session: AsyncSession, workspace_id: UUID, session_id: UUID) -> int:
    """The same for the account that a run reads."""
    bound = {"workspace": workspace_id, "session": session_id}
    return (await session.execute(_READS_OF_RUN, bound)).scalar_one_or_none() or 0


async def reads_this_month(session: AsyncSession, account_id: str) -> int:
    """Requests to Stripe in this calendar month (UTC), by every workspace that uses the account."""
    return (await session.execute(_READS, {"account": account_id})).scalar_one_or_none() or 0


def _stored(row: Row[Any]) -> StoredSession:
    values = row._asdict()
    return StoredSession(
        **values
        | {
            "session_type": SessionType(row.session_type),
            "status": SessionStatus(row.status),
            "phase": Phase(row.phase),
            "config": RunConfig.from_json(row.config),
        }
    )


def _entity_run(row: Row[Any]) -> StoredEntityRun:
    done = row.phase == Phase.DONE
    counted = ("fetched", "created", "updated", "unchanged", "skipped", "conflicts", "failed")
    counts = {name: getattr(row, name) for name in counted}
    progress = EntityProgress(
        entity_type=EntityType(row.entity_type),
        total_estimated=max(row.estimated, row.fetched),
        estimated_exact=done,
        planned=sum(counts[name] for name in counted[1:]),
        last_cursor=row.last_cursor or "",
        is_complete=done,
        last_error=row.last_error,
        phase=Phase(row.phase),
        **counts,
    )
    return StoredEntityRun(progress, row.requested, row.requests, row.verified, row.updated_at)


def _event(row: Row[Any]) -> StoredEvent:
    return StoredEvent(
        id=row.id,
        entity_type=row.entity_type,
        entity_id=row.entity_id,
        external_id=row.external_id,
        event_type=EventType(row.event_type),
        message=row.event_message,
        details=row.event_details,
        occurred_at=row.occurred_at,
    )
