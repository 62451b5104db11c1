"""Syncs that repeat: the rows, and how the tick claims one that is due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import RowMapping, TextClause, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.rhythm import Interval, LocalTime, Rhythm
from sync_core.domain.vocabulary import SessionStatus


@dataclass(frozen=True, slots=True)
class LastRun:
    """`at` is its end, or its beginning while it goes on."""

    id: UUID
    number: int
    status: SessionStatus
    at: datetime


@dataclass(frozen=True, slots=True)
class StoredSchedule:
    """`config` is a run's configuration, with `days` where its range is relative. `next_at` is None while it is paused. `revision` counts
    what people have changed of it.
    """

    id: UUID
    name: str
    rhythm: Rhythm
    config: dict[str, Any]
    enabled: bool
    next_at: datetime | None
    last_run: LastRun | None
    last_note: str
    created_by: str
    changed_by: str
    revision: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DueSchedule:
    """`now` is the database's time, `zone` the workspace's."""

    workspace_id: UUID
    id: UUID
    name: str
    rhythm: Rhythm
    config: dict[str, Any]
    created_by: str
    changed_by: str
    revision: int
    next_at: datetime
    now: datetime
    zone: str


_COLUMNS = (
    "s.id, s.name, s.every_minutes, s.minute_of_day, s.weekday, s.config, s.enabled, s.next_at, s.last_session_id, s.last_note,"
    " s.created_by, s.changed_by, s.revision, s.created_at,"
    " r.number AS last_number, r.status AS last_status, coalesce(r.completed_at, r.started_at, r.created_at) AS last_at"
)
_WITH_RUN = " s LEFT JOIN payment_sync_sessions r ON r.workspace_id = s.workspace_id AND r.id = s.last_session_id AND r.deleted_at IS NULL"
_LISTED = f"SELECT {_COLUMNS} FROM payment_sync_schedules{_WITH_RUN} WHERE s.workspace_id = :workspace"
_ALL = text(f"{_LISTED} ORDER BY lower(s.name), s.id")
_ONE = text(f"{_LISTED} AND s.id = :id FOR UPDATE OF s")
_ADD = text(
    "WITH made AS (INSERT INTO payment_sync_schedules"
    " (workspace_id, name, every_minutes, minute_of_day, weekday, config, next_at, created_by)"
    " VALUES (:workspace, :name, :every_minutes, :minute_of_day, :weekday, CAST(:config AS jsonb), :next_at, :by)"
    f" RETURNING *) SELECT {_COLUMNS} FROM made{_WITH_RUN}"
)
_CHANGE = text(
    "WITH changed AS (UPDATE payment_sync_schedules SET name = :name, every_minutes = :every_minutes, minute_of_day = :minute_of_day,"
    " weekday = :weekday, config = CAST(:config AS jsonb), next_at = :next_at, changed_by = :by, revision = revision + 1"
    f" WHERE workspace_id = :workspace AND id = :id RETURNING *) SELECT {_COLUMNS} FROM changed{_WITH_RUN}"
)
_MOVE = text(
    "WITH moved AS (UPDATE payment_sync_schedules SET enabled = CAST(:next_at AS timestamptz) IS NOT NULL,"
    " next_at = CAST(:next_at AS timestamptz) WHERE workspace_id = :workspace AND id = :id RETURNING *)"
    f" SELECT {_COLUMNS} FROM moved{_WITH_RUN}"
)
_DELETE = text("DELETE FROM payment_sync_schedules WHERE workspace_id = :workspace AND id = :id RETURNING name")
_DUE = text(
    "SELECT s.workspace_id, s.id, s.name, s.every_minutes, s.minute_of_day, s.weekday, s.config, s.created_by, s.changed_by, s.revision,"
    " s.next_at, now() AS now, w.time_zone AS zone FROM payment_sync_schedules s JOIN workspaces w ON w.id = s.workspace_id"
    " WHERE s.enabled AND s.next_at <= now() ORDER BY s.next_at, s.id"
)
# Who finds another time there came too late: another server has started it, or a person has paused it. One that was changed since it was read
# is read again by the next tick.
_CLAIM = text(
    "UPDATE payment_sync_schedules SET next_at = :next_at"
    " WHERE workspace_id = :workspace AND id = :id AND enabled AND next_at = :due AND revision = :revision RETURNING id"
)
_NOTE = text(
    "UPDATE payment_sync_schedules SET last_session_id = coalesce(CAST(:session AS uuid), last_session_id), last_note = :note"
    " WHERE workspace_id = :workspace AND id = :id"
)


_NOW = text("SELECT now()")


class NameTaken(Exception):  # noqa: N818 - what happened, not a fault
    """Another schedule of the workspace has this name."""


async def now(session: AsyncSession) -> datetime:
    """By the clock that says what is due."""
    found: datetime = (await session.execute(_NOW)).scalar_one()
    return found


async def every(session: AsyncSession, workspace_id: UUID) -> Sequence[StoredSchedule]:
    """By name."""
    found = await session.execute(_ALL, {"workspace": workspace_id})
    return [_stored(row) for row in found.mappings()]


async def locked(session: AsyncSession, workspace_id: UUID, schedule_id: UUID) -> StoredSchedule | None:
    """Nobody moves it until the transaction ends."""
    row = (await session.execute(_ONE, {"workspace": workspace_id, "id": schedule_id})).mappings().one_or_none()
    return None if row is None else _stored(row)


async def add(
    session: AsyncSession,
    workspace_id: UUID,
    *,
    name: str,
    rhythm: Rhythm,
    config: dict[str, Any],
    next_at: datetime,
    created_by: str,
) -> StoredSchedule:
    wanted = {**_bound(name, rhythm, config), "next_at": next_at, "by": created_by, "workspace": workspace_id}
    return await _named(session, _ADD, wanted)


async def change(
    session: AsyncSession,
    workspace_id: UUID,
    schedule_id: UUID,
    *,
    name: str,
    rhythm: Rhythm,
    config: dict[str, Any],
    next_at: datetime | None,
    changed_by: str,
) -> StoredSchedule:
    """Of one that the caller holds locked. Paused it stays paused."""
    wanted = {**_bound(name, rhythm, config), "next_at": next_at, "by": changed_by, "workspace": workspace_id}
    return await _named(session, _CHANGE, {**wanted, "id": schedule_id})


def _bound(name: str, rhythm: Rhythm, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "every_minutes": rhythm.minutes if isinstance(rhythm, Interval) else None,
        "minute_of_day": rhythm.minute if isinstance(rhythm, LocalTime) else None,
        "weekday": rhythm.weekday if isinstance(rhythm, LocalTime) else None,
        "config": orjson.dumps(config).decode(),
    }


async def _named(session: AsyncSession, statement: TextClause, wanted: dict[str, Any]) -> StoredSchedule:
    try:
        async with session.begin_nested():
            return _stored((await session.execute(statement, wanted)).mappings().one())
    except IntegrityError as taken:
        raise NameTaken(wanted["name"]) from taken


async def move(
    session: AsyncSession, workspace_id: UUID, schedule_id: UUID, next_at: datetime | None
) -> StoredSchedule:
    """To another time; None pauses it."""
    bound = {"workspace": workspace_id, "id": schedule_id, "next_at": next_at}
    return _stored((await session.execute(_MOVE, bound)).mappings().one())


async def delete(session: AsyncSession, workspace_id: UUID, schedule_id: UUID) -> str | None:
    """The name it had; None when there is none."""
    found: str | None = (
        await session.execute(_DELETE, {"workspace": workspace_id, "id": schedule_id})
    ).scalar_one_or_none()
    return found


async def due(session: AsyncSession) -> list[DueSchedule]:
    """Of all workspaces, those whose time has come."""
    found = await session.execute(_DUE)
    return [
        DueSchedule(
            workspace_id=row["workspace_id"],
            id=row["id"],
            name=row["name"],
            rhythm=_rhythm(row),
            config=row["config"],
            created_by=row["created_by"],
            changed_by=row["changed_by"],
            revision=row["revision"],
            next_at=row["next_at"],
            now=row["now"],
            zone=row["zone"],
        )
        for row in found.mappings()
    ]


async def claim(session: AsyncSession, one: DueSchedule, next_at: datetime) -> bool:
    """Move it on from the time that was due. Of any number who try, one gets it, once its transaction is committed."""
    bound = {
        "workspace": one.workspace_id,
        "id": one.id,
        "due": one.next_at,
        "next_at": next_at,
        "revision": one.revision,
    }
    return (await session.execute(_CLAIM, bound)).scalar_one_or_none() is not None


async def note(session: AsyncSession, one: DueSchedule, session_id: UUID | None, said: str) -> None:
    """What came of its time: a run, or why none."""
    bound = {"workspace": one.workspace_id, "id": one.id, "session": session_id, "note": said}
    await session.execute(_NOTE, bound)


def _stored(row: RowMapping) -> StoredSchedule:
    return StoredSchedule(
        id=row["id"],
        name=row["name"],
        rhythm=_rhythm(row),
        config=row["config"],
        enabled=row["enabled"],
        next_at=row["next_at"],
        last_run=_last_run(row),
        last_note=row["last_note"],
        created_by=row["created_by"],
        changed_by=row["changed_by"],
        revision=row["revision"],
        created_at=row["created_at"],
    )


def _last_run(row: RowMapping) -> LastRun | None:
    if row["last_status"] is None:
        return None
    return LastRun(row["last_session_id"], row["last_number"], SessionStatus(row["last_status"]), row["last_at"])


def _rhythm(row: RowMapping) -> Rhythm:
    if row["every_minutes"] is not None:
        return Interval(row["every_minutes"])
    return LocalTime(row["minute_of_day"], row["weekday"])
