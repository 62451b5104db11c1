"""Runs: the plan's `payment_sync_*` tables, their entity types, windows and events."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from sync_core.domain.vocabulary import (
    EntityType,
    EventType,
    Phase,
    SessionStatus,
    SessionType,
    WindowStatus,
)
from sync_core.models.base import (
    bool_col,
    external_id_col,
    int_col,
    jsonb_col,
    one_of,
    tenant_fk,
    text_col,
    time_col,
    uuid_col,
    uuid_pk,
    word_col,
    workspace_fk,
)


def of_session(column: str = "session_id") -> ForeignKeyConstraint:
    return tenant_fk(column, "payment_sync_sessions", ondelete="CASCADE")


def _runs_of(entity: EntityType) -> Index:
    """Under row-level security no GIN index may be asked about `entity_types`: each has an index of its own."""
    return Index(
        f"ix_payment_sync_sessions_{entity.value}",
        "workspace_id",
        text("created_at DESC"),
        text("id DESC"),
        postgresql_where=text(f"deleted_at IS NULL AND '{entity.value}' = ANY (entity_types)"),
    )


class SyncSession(SQLModel, table=True):
    """One run, `number` in its workspace. `range_start` and `ceiling` are epoch seconds: objects with range_start <= created < ceiling belong to it.

    `plan_hash` names the plan of a dry run that came to its end; who approved it did so of the plan that `approved_hash` names.
    `task` is set while an ended run is taken up again for a part of it: errors to retry, or records to repair.
    """

    __tablename__ = "payment_sync_sessions"
    __table_args__: ClassVar[Any] = (
        workspace_fk(),
        tenant_fk("connection_id", "payment_connections"),
        Index("idx_payment_sync_sessions_workspace_id", "workspace_id", text("created_at DESC"), text("id DESC")),
        UniqueConstraint("workspace_id", "number", name="uq_payment_sync_sessions_number"),
        Index("ix_payment_sync_sessions_ended", "workspace_id", "completed_at", "id"),
        Index("idx_payment_sync_sessions_provider", "workspace_id", "provider_name"),
        Index(
            "ix_payment_sync_sessions_source",
            "workspace_id",
            "source_session_id",
            postgresql_where=text("source_session_id IS NOT NULL"),
        ),
        *(_runs_of(entity) for entity in EntityType),
        Index(
            "ix_payment_sync_sessions_by",
            "workspace_id",
            "created_by",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index(
            "idx_payment_sync_sessions_status", "workspace_id", "status", postgresql_where=text("deleted_at IS NULL")
        ),
        one_of("status", SessionStatus),
        one_of("phase", Phase),
        one_of("session_type", SessionType),
    )

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    id: UUID | None = Field(default=None, sa_column=uuid_pk())
    # Given by a trigger.
    number: int | None = Field(default=None, sa_column=int_col(default=None))
    provider_name: str = Field(default="stripe", sa_column=text_col(default="stripe"))
    session_type: SessionType = Field(
        default=SessionType.INITIAL, sa_column=word_col(SessionType, default=SessionType.INITIAL)
    )
    status: SessionStatus = Field(
        default=SessionStatus.PENDING, sa_column=word_col(SessionStatus, default=SessionStatus.PENDING)
    )
    phase: Phase = Field(default=Phase.PREFLIGHT, sa_column=word_col(Phase, default=Phase.PREFLIGHT))
    entity_types: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    config: dict[str, Any] = Field(default_factory=dict, sa_column=jsonb_col(nullable=False, default="{}"))
    progress: dict[str, Any] = Field(default_factory=dict, sa_column=jsonb_col(nullable=False, default="{}"))
    stats: dict[str, Any] = Field(default_factory=dict, sa_column=jsonb_col(nullable=False, default="{}"))
    error_summary: dict[str, Any] | None = Field(default=None, sa_column=jsonb_col())
    task: dict[str, Any] | None = Field(default=None, sa_column=jsonb_col())
    dry_run: bool = Field(default=False, sa_column=bool_col())
    connection_id: UUID | None = Field(default=None, sa_column=uuid_col(nullable=True))
    source_session_id: UUID | None = Field(default=None, sa_column=uuid_col(nullable=True))
    range_start: int | None = Field(default=None, sa_column=int_col(BigInteger, default=None, nullable=True))
    ceiling: int | None = Field(default=None, sa_column=int_col(BigInteger, default=None, nullable=True))
    plan_hash: str | None = Field(default=None, sa_column=text_col(nullable=True))
    approved_hash: str | None = Field(default=None, sa_column=text_col(nullable=True))
    approved_by: str | None = Field(default=None, sa_column=text_col(nullable=True))
    approved_at: datetime | None = Field(default=None, sa_column=time_col())
    cancel_requested_at: datetime | None = Field(default=None, sa_column=time_col())
    created_by: str = Field(default="", sa_column=text_col(default=""))
    started_at: datetime | None = Field(default=None, sa_column=time_col())
    completed_at: datetime | None = Field(default=None, sa_column=time_col())
    created_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
    updated_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
    deleted_at: datetime | None = Field(default=None, sa_column=time_col())


class EntityRun(SQLModel, table=True):
    """One entity type of one run: the watermarks of its phases and its counters, written in the batch's own transaction.

    `plan_upto` is the last place in the queue of the plan that the run applies; its own places come after it.
    """

    __tablename__ = "payment_sync_entity_runs"
    __table_args__: ClassVar[Any] = (
        workspace_fk(),
        of_session(),
        one_of("entity_type", EntityType),
        one_of("phase", Phase),
    )

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    session_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    entity_type: EntityType = Field(sa_column=word_col(EntityType, primary_key=True))
    phase: Phase = Field(default=Phase.PREFLIGHT, sa_column=word_col(Phase, default=Phase.PREFLIGHT))
    requested: bool = Field(default=True, sa_column=bool_col(default=True))
    estimated: int = Field(default=0, sa_column=int_col(BigInteger))
    fetched: int = Field(default=0, sa_column=int_col(BigInteger))
    landed_seq: int = Field(default=0, sa_column=int_col(BigInteger))
    planned_seq: int = Field(default=0, sa_column=int_col(BigInteger))
    plan_upto: int | None = Field(default=None, sa_column=int_col(BigInteger, default=None, nullable=True))
    created: int = Field(default=0, sa_column=int_col(BigInteger))
    updated: int = Field(default=0, sa_column=int_col(BigInteger))
    unchanged: int = Field(default=0, sa_column=int_col(BigInteger))
    skipped: int = Field(default=0, sa_column=int_col(BigInteger))
    conflicts: int = Field(default=0, sa_column=int_col(BigInteger))
    failed: int = Field(default=0, sa_column=int_col(BigInteger))
    requests: int = Field(default=0, sa_column=int_col(BigInteger))
    last_cursor: str | None = Field(default=None, sa_column=text_col(nullable=True))
    last_error: str | None = Field(default=None, sa_column=text_col(nullable=True))
    last_page_at: datetime | None = Field(default=None, sa_column=time_col())
    verified: dict[str, Any] | None = Field(default=None, sa_column=jsonb_col())
    started_at: datetime | None = Field(default=None, sa_column=time_col())
    completed_at: datetime | None = Field(default=None, sa_column=time_col())
    updated_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))


class SyncWindow(SQLModel, table=True):
    """An immutable stretch [gte, lt) of `created`, in epoch seconds, and how far down it has been read."""

    __tablename__ = "payment_sync_windows"
    __table_args__: ClassVar[Any] = (
        workspace_fk(),
        of_session(),
        Index("ix_payment_sync_windows_session", "workspace_id", "session_id", "entity_type", "status"),
        one_of("status", WindowStatus),
    )

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    id: UUID | None = Field(default=None, sa_column=uuid_pk())
    session_id: UUID = Field(sa_column=uuid_col())
    entity_type: EntityType = Field(sa_column=word_col(EntityType))
    gte: int = Field(sa_column=int_col(BigInteger, default=None))
    lt: int = Field(sa_column=int_col(BigInteger, default=None))
    status: WindowStatus = Field(default=WindowStatus.OPEN, sa_column=word_col(WindowStatus, default=WindowStatus.OPEN))
    cursor: str | None = Field(default=None, sa_column=text_col(nullable=True))
    oldest_seen: int | None = Field(default=None, sa_column=int_col(BigInteger, default=None, nullable=True))
    pages: int = Field(default=0, sa_column=int_col())
    objects: int = Field(default=0, sa_column=int_col(BigInteger))
    parent_id: UUID | None = Field(default=None, sa_column=uuid_col(nullable=True))
    created_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
    updated_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))


class SyncEvent(SQLModel, table=True):
    """Started and completed per entity type; failed, skipped and conflict per record. Successes are the plan items."""

    __tablename__ = "payment_sync_events"
    __table_args__: ClassVar[Any] = (
        workspace_fk(),
        of_session(),
        Index(
            "idx_payment_sync_events_session_id",
            "workspace_id",
            "session_id",
            text("occurred_at DESC"),
            text("id DESC"),
        ),
        Index("idx_payment_sync_events_entity_type", "workspace_id", "session_id", "entity_type", "event_type"),
        Index(
            "ix_payment_sync_events_kind",
            "workspace_id",
            "session_id",
            "event_type",
            text("occurred_at DESC"),
            text("id DESC"),
        ),
        Index("idx_payment_sync_events_external_id", "workspace_id", "external_id"),
        Index("idx_payment_sync_events_provider", "workspace_id", "provider_name"),
        one_of("event_type", EventType),
    )

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    id: UUID | None = Field(default=None, sa_column=uuid_pk())
    session_id: UUID = Field(sa_column=uuid_col())
    provider_name: str = Field(default="stripe", sa_column=text_col(default="stripe"))
    entity_type: str = Field(sa_column=text_col())
    entity_id: UUID | None = Field(default=None, sa_column=uuid_col(nullable=True))
    external_id: str | None = Field(default=None, sa_column=external_id_col(nullable=True))
    event_type: EventType = Field(sa_column=word_col(EventType))
    event_message: str | None = Field(default=None, sa_column=text_col(nullable=True))
    event_details: dict[str, Any] | None = Field(default=None, sa_column=jsonb_col())
    occurred_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
