"""What belongs to running syncs beside the runs themselves: configurations kept under a name or by the clock, and samples of the pace."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, Column, DateTime, Index, Integer, text
from sqlmodel import Field, SQLModel

from sync_core.models.base import (
    bool_col,
    check,
    int_col,
    jsonb_col,
    tenant_fk,
    text_col,
    time_col,
    uuid_col,
    uuid_pk,
    workspace_fk,
)


class Preset(SQLModel, table=True):
    """A configuration of a sync under a name. `config` is the request for it; its range may be relative ("days")."""

    __tablename__ = "payment_sync_presets"
    __table_args__: ClassVar[Any] = (
        workspace_fk(),
        Index("uq_payment_sync_presets_name", "workspace_id", text("lower(name)"), unique=True),
    )

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    id: UUID | None = Field(default=None, sa_column=uuid_pk())
    name: str = Field(sa_column=text_col())
    config: dict[str, Any] = Field(sa_column=jsonb_col(nullable=False))
    created_by: str = Field(default="", sa_column=text_col(default=""))
    created_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
    updated_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))


class PaceSample(SQLModel, table=True):
    """The counters of a run after `slot` seconds of work. At most 240 of a run: as it grows, every other one is dropped."""

    __tablename__ = "payment_sync_pace_samples"
    __table_args__: ClassVar[Any] = (tenant_fk("session_id", "payment_sync_sessions", ondelete="CASCADE"),)

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    session_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    slot: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    at: datetime | None = Field(
        default=None,
        sa_column=Column(DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    )
    fetched: int = Field(sa_column=int_col(BigInteger, default=None))
    processed: int = Field(sa_column=int_col(BigInteger, default=None))
    requests: int = Field(sa_column=int_col(BigInteger, default=None))
    throttled: int = Field(sa_column=int_col(BigInteger, default=None))


class Schedule(SQLModel, table=True):
    """A sync that repeats: every `every_minutes`, or at a local time of each day or of one weekday (Monday = 0).

    `config` is a session's configuration, with `days` where its range is relative; `next_at` is when the tick starts the next one, and null while it is paused.
    `revision` counts what people have changed, the last of them `changed_by`.
    """

    __tablename__ = "payment_sync_schedules"
    __table_args__: ClassVar[Any] = (
        workspace_fk(),
        check(
            "one_rhythm",
            "CASE WHEN every_minutes IS NULL THEN minute_of_day BETWEEN 0 AND 1439 AND coalesce(weekday BETWEEN 0 AND 6, true)"
            " ELSE every_minutes > 0 AND minute_of_day IS NULL AND weekday IS NULL END IS TRUE",
        ),
        Index("ix_payment_sync_schedules_due", "next_at"),
        Index("uq_payment_sync_schedules_name", "workspace_id", text("lower(name)"), unique=True),
    )

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    id: UUID | None = Field(default=None, sa_column=uuid_pk())
    name: str = Field(sa_column=text_col())
    every_minutes: int | None = Field(default=None, sa_column=int_col(default=None, nullable=True))
    minute_of_day: int | None = Field(default=None, sa_column=int_col(default=None, nullable=True))
    weekday: int | None = Field(default=None, sa_column=int_col(default=None, nullable=True))
    enabled: bool = Field(default=True, sa_column=bool_col(default=True))
    config: dict[str, Any] = Field(default_factory=dict, sa_column=jsonb_col(nullable=False, default="{}"))
    next_at: datetime | None = Field(default=None, sa_column=time_col())
    last_session_id: UUID | None = Field(default=None, sa_column=uuid_col(nullable=True))
    last_note: str = Field(default="", sa_column=text_col(default=""))
    created_by: str = Field(default="", sa_column=text_col(default=""))
    changed_by: str = Field(default="", sa_column=text_col(default=""))
    revision: int = Field(default=1, sa_column=int_col(default=1))
    created_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
    updated_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
