"""Syncs that repeat: the rows, and how the tick claims one that is due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import RowMapping, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.rhythm import Interval, LocalTime, Rhythm


@dataclass(frozen=True, slots=True)
class StoredSchedule:
    """`config` is a run's configuration, with `days` where its range is relative. `next_at` is None while it is paused."""

    id: UUID
    name: str
    rhythm: Rhythm
    config: dict[str, Any]
    enabled: bool
    next_at: datetime | None
    last_session_id: UUID | None
    last_note: str
    created_by: str
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
    next_at: datetime
    now: datetime
    zone: str


_COLUMNS = (
    "id, name, every_minutes, minute_of_day, weekday, config, enabled, next_at, last_session_id, last_note, created_by,"
    " created_at"
)
_ALL = text(f"SELECT {_COLUMNS} FROM payment_sync_schedules WHERE workspace_id = :workspace ORDER BY lower(name), id")
_ONE = text(f"SELECT {_COLUMNS} FROM payment_sync_schedules WHERE workspace_id = :workspace AND id = :id FOR UPDATE")
_ADD = text(
    "INSERT INTO payment_sync_schedules"
    " (workspace_id, name, every_minutes, minute_of_day, weekday, config, next_at, created_by)"
    " VALUES (:workspace, :name, :every_minutes, :minute_of_day, :weekday, CAST(:config AS jsonb), :next_at, :by)"
    f" RETURNING {_COLUMNS}"
)
_MOVE = text(
    "UPDATE payment_sync_schedules SET enabled = CAST(:next_at AS timestamptz) IS NOT NULL, next_at = CAST(:next_at AS timestamptz)"
    f" WHERE workspace_id = :workspace AND id = :id RETURNING {_COLUMNS}"
)
_DELETE = text("DELETE FROM payment_sync_schedules WHERE workspace_id = :workspace AND id = :id RETURNING name")
_DUE = text(
    "SELECT s.workspace_id, s.id, s.name, s.every_minutes, s.minute_of_day, s.weekday, s.config, s.created_by, s.next_at,"
    " now() AS now, w.time_zone AS zone FROM payment_sync_schedules s JOIN workspaces w ON w.id = s.workspace_id"
    " WHERE s.enabled AND s.next_at <= now() ORDER BY s.next_at, s.id"
)
# Who finds another time there came too late: another server has started it, or a person has paused it.
_CLAIM = text(
    "UPDATE payment_sync_schedules SET next_at = :next_at"
    " WHERE workspace_id = :workspace AND id = :id AND enabled AND next_at = :due RETURNING id"
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
    bound = {
        "workspace": workspace_id,
        "name": name,
        "every_minutes": rhythm.minutes if isinstance(rhythm, Interval) else None,
        "minute_of_day": rhythm.minute if isinstance(rhythm, LocalTime) else None,
        "weekday": rhythm.weekday if isinstance(rhythm, LocalTime) else None,
        "config": orjson.dumps(config).decode(),
        "next_at": next_at,
        "by": created_by,
    }
    try:
        async with session.begin_nested():
            return _stored((await session.execute(_ADD, bound)).mappings().one())
    except IntegrityError as taken:
        raise NameTaken(name) from taken


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
            next_at=row["next_at"],
            now=row["now"],
            zone=row["zone"],
        )
        for row in found.mappings()
    ]


async def claim(session: AsyncSession, one: DueSchedule, next_at: datetime) -> bool:
    """Move it on from the time that was due. Of any number who try, one gets it, once its transaction is committed."""
    bound = {"workspace": one.workspace_id, "id": one.id, "due": one.next_at, "next_at": next_at}
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
        last_session_id=row["last_session_id"],
        last_note=row["last_note"],
        created_by=row["created_by"],
        created_at=row["created_at"],
    )


def _rhythm(row: RowMapping) -> Rhythm:
    if row["every_minutes"] is not None:
        return Interval(row["every_minutes"])
    return LocalTime(row["minute_of_day"], row["weekday"])
