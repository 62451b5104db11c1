"""Runs and what belongs to them: the plan's `payment_sync_*` tables and those that the five phases need."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Column, Computed, Date, ForeignKeyConstraint, Index, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from sync_core.domain.vocabulary import (
    Action,
    ConflictStatus,
    EntityType,
    EventType,
    Phase,
    ReasonCode,
    SessionStatus,
    SessionType,
    Snooze,
    WindowStatus,
)
from sync_core.models.base import (
    bool_col,
    int_col,
    json_col,
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


class Connection(SQLModel, table=True):
    """A workspace's Stripe account. The key is an envelope (AES-256-GCM); only its last four characters are readable."""

    __tablename__ = "payment_connections"
    __table_args__: ClassVar[Any] = (
        workspace_fk(),
        Index(
            "uq_payment_connections_active",
            "workspace_id",
            "provider_name",
            unique=True,
            postgresql_where=text("disconnected_at IS NULL"),
        ),
    )

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    id: UUID | None = Field(default=None, sa_column=uuid_pk())
    provider_name: str = Field(default="stripe", sa_column=text_col(default="stripe"))
    account_id: str = Field(sa_column=text_col())
    account_name: str | None = Field(default=None, sa_column=text_col(nullable=True))
    country: str | None = Field(default=None, sa_column=text_col(nullable=True))
    default_currency: str | None = Field(default=None, sa_column=text_col(nullable=True))
    account_created: int | None = Field(default=None, sa_column=int_col(BigInteger, default=None, nullable=True))
    livemode: bool = Field(sa_column=bool_col(default=None))
    is_sandbox: bool = Field(default=False, sa_column=bool_col())
    key_kind: str = Field(sa_column=text_col())
    key_last4: str = Field(sa_column=text_col())
    key_fingerprint: str = Field(sa_column=text_col())
    key_ciphertext: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    webhook_ciphertext: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    checks: list[Any] = Field(default_factory=list, sa_column=jsonb_col(nullable=False, default="[]"))
    checked_at: datetime | None = Field(default=None, sa_column=time_col())
    created_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
    updated_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
    disconnected_at: datetime | None = Field(default=None, sa_column=time_col())


class SyncSession(SQLModel, table=True):
    """One run. `range_start` and `ceiling` are epoch seconds: objects with range_start <= created < ceiling belong to it.

    `task` is set while an ended run is taken up again for a part of it: errors to retry, or records to repair.
    """

    __tablename__ = "payment_sync_sessions"
    __table_args__: ClassVar[Any] = (
        workspace_fk(),
        tenant_fk("connection_id", "payment_connections"),
        Index("idx_payment_sync_sessions_workspace_id", "workspace_id", text("created_at DESC"), text("id DESC")),
        Index("idx_payment_sync_sessions_provider", "workspace_id", "provider_name"),
        Index(
            "ix_payment_sync_sessions_source",
            "workspace_id",
            "source_session_id",
            postgresql_where=text("source_session_id IS NOT NULL"),
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
    cancel_requested_at: datetime | None = Field(default=None, sa_column=time_col())
    created_by: str = Field(default="", sa_column=text_col(default=""))
    started_at: datetime | None = Field(default=None, sa_column=time_col())
    completed_at: datetime | None = Field(default=None, sa_column=time_col())
    created_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
    updated_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
    deleted_at: datetime | None = Field(default=None, sa_column=time_col())


class EntityRun(SQLModel, table=True):
    """One entity type of one run: the watermarks of its phases and its counters, written in the batch's own transaction."""

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


class StagedObject(SQLModel, table=True):
    """An object as Stripe sent it, with its mapped values. `seq` is dense per entity type: the order of landing, the planner's queue.

    No foreign key to the session: it would be looked up, and its row locked, for each object (3 µs of 80). Runs are kept; `upkeep`
    forgets what they staged.

    What is found unchanged on its way in is not staged: it gets its plan item at once. `digest` stands for the values.

    `issue` is set when the object could not be mapped: {"reason", "field", "message"}; then values is null.
    """

    __tablename__ = "payment_sync_staged_objects"
    __table_args__: ClassVar[Any] = (Index("ix_payment_sync_staged_objects_seq", "session_id", "entity_type", "seq"),)

    workspace_id: UUID = Field(sa_column=uuid_col())
    session_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    entity_type: EntityType = Field(sa_column=word_col(EntityType, primary_key=True))
    external_id: str = Field(sa_column=text_col(primary_key=True))
    seq: int = Field(sa_column=int_col(BigInteger, default=None))
    provider_created: int | None = Field(default=None, sa_column=int_col(BigInteger, default=None, nullable=True))
    livemode: bool | None = Field(default=None, sa_column=bool_col(default=None, nullable=True))
    deleted: bool = Field(default=False, sa_column=bool_col())
    related: bool = Field(default=False, sa_column=bool_col())
    observed_at: datetime = Field(sa_column=time_col(nullable=False))
    request_id: str | None = Field(default=None, sa_column=text_col(nullable=True))
    issue: dict[str, Any] | None = Field(default=None, sa_column=jsonb_col())
    digest: UUID | None = Field(default=None, sa_column=uuid_col(nullable=True))
    values_: dict[str, Any] | None = Field(default=None, sa_column=Column("values", jsonb_col().type, nullable=True))
    raw: dict[str, Any] | None = Field(default=None, sa_column=json_col())


class PlanItem(SQLModel, table=True):
    """What the run does (or, dry, would do) with one staged object. Insert-only beside the staged row, so that both stay cheap."""

    __tablename__ = "payment_sync_plan_items"
    __table_args__: ClassVar[Any] = (
        # Not the key's own beginning: to a planner without statistics of a run, both would look alike, and this one is walked.
        Index("ix_payment_sync_plan_items_action", "session_id", "action", "entity_type", "seq"),
    )

    workspace_id: UUID = Field(sa_column=uuid_col())
    session_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    entity_type: EntityType = Field(sa_column=word_col(EntityType, primary_key=True))
    external_id: str = Field(sa_column=text_col(primary_key=True))
    seq: int = Field(sa_column=int_col(BigInteger, default=None))
    action: Action = Field(sa_column=word_col(Action))
    reason_code: ReasonCode | None = Field(default=None, sa_column=word_col(ReasonCode, nullable=True))
    record_id: UUID | None = Field(default=None, sa_column=uuid_col(nullable=True))
    record_version: int | None = Field(default=None, sa_column=int_col(BigInteger, default=None, nullable=True))
    changed_fields: list[str] | None = Field(default=None, sa_column=Column(ARRAY(Text), nullable=True))
    detail: dict[str, Any] | None = Field(default=None, sa_column=jsonb_col())


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
    external_id: str | None = Field(default=None, sa_column=text_col(nullable=True))
    event_type: EventType = Field(sa_column=word_col(EventType))
    event_message: str | None = Field(default=None, sa_column=text_col(nullable=True))
    event_details: dict[str, Any] | None = Field(default=None, sa_column=jsonb_col())
    occurred_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))


_CELL = (
    "conflict_cell(entity_type, reason_code, session_id, fields, local, theirs, reopened_at IS NOT NULL, choices <> '{}'::jsonb,"
    " snoozed_for, snoozed_until, assignee)"
)


class Conflict(SQLModel, table=True):
    """A record on which Stripe and the workspace disagree. At most one open per record: a later run refreshes it.

    `local`, `base` and `theirs` are whole value sets as of `revision`; `fields` names those that need a person.
    `choices` are pending or taken: {field: {"take": Choice, "value": …}}. `reopened_at` is set when a side changed after choices were
    made; `reopens` is the settled conflict that they come from, where it was settled. `transitions` are those of `fields`. `cell` is all that it can be filtered by, as one text, `cell_key` its hash.
    """

    __tablename__ = "payment_sync_conflicts"
    __table_args__: ClassVar[Any] = (
        workspace_fk(),
        of_session(),
        Index(
            "uq_payment_sync_conflicts_open",
            "workspace_id",
            "entity_type",
            "record_id",
            "external_id",
            unique=True,
            postgresql_where=text("status = 'open'"),
        ),
        Index("ix_payment_sync_conflicts_record", "workspace_id", "entity_type", "record_id"),
        # The list, newest first, filtered by the keys of its cells: under row-level security no GIN index may be asked about `fields`.
        Index(
            "ix_payment_sync_conflicts_review",
            "workspace_id",
            "status",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_include=["search_key", "snoozed_until", "snoozed_for", "cell_key"],
        ),
        # The counts: few cells and days, so that PostgreSQL keeps each once with a list of rows.
        Index("ix_payment_sync_conflicts_cells", "workspace_id", "status", "cell", "opened_on"),
        Index(
            "ix_payment_sync_conflicts_pending",
            "workspace_id",
            "id",
            postgresql_where=text("pending AND status = 'open'"),
        ),
        one_of("status", ConflictStatus),
        one_of("entity_type", EntityType),
        one_of("snoozed_for", Snooze),
    )

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    id: UUID | None = Field(default=None, sa_column=uuid_pk())
    session_id: UUID = Field(sa_column=uuid_col())
    entity_type: EntityType = Field(sa_column=word_col(EntityType))
    record_id: UUID = Field(sa_column=uuid_col())
    external_id: str = Field(sa_column=text_col())
    label: str = Field(default="", sa_column=text_col(default=""))
    reason_code: ReasonCode = Field(sa_column=word_col(ReasonCode))
    fields: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    local: dict[str, Any] = Field(sa_column=jsonb_col(nullable=False))
    base: dict[str, Any] | None = Field(default=None, sa_column=jsonb_col())
    theirs: dict[str, Any] = Field(sa_column=jsonb_col(nullable=False))
    theirs_deleted: bool = Field(default=False, sa_column=bool_col())
    record_version: int = Field(sa_column=int_col(BigInteger, default=None))
    observed_at: datetime = Field(sa_column=time_col(nullable=False))
    status: ConflictStatus = Field(
        default=ConflictStatus.OPEN, sa_column=word_col(ConflictStatus, default=ConflictStatus.OPEN)
    )
    choices: dict[str, Any] = Field(default_factory=dict, sa_column=jsonb_col(nullable=False, default="{}"))
    revision: int = Field(default=1, sa_column=int_col(BigInteger, default=1))
    search_key: str | None = Field(
        default=None,
        sa_column=Column(
            Text(collation="C"),
            Computed("left(lower(label || ' ' || external_id), 200)", persisted=True),
            nullable=True,
        ),
    )
    assignee: str | None = Field(default=None, sa_column=text_col(nullable=True))
    snoozed_until: datetime | None = Field(default=None, sa_column=time_col())
    snoozed_for: str | None = Field(default=None, sa_column=text_col(nullable=True))
    transitions: list[str] | None = Field(
        default=None,
        sa_column=Column(ARRAY(Text), Computed("conflict_transitions(fields, local, theirs)", persisted=True)),
    )
    pending: bool | None = Field(
        default=None, sa_column=Column(Boolean, Computed("choices <> '{}'::jsonb", persisted=True))
    )
    cell: str | None = Field(
        default=None, sa_column=Column(Text(collation="C"), Computed(_CELL, persisted=True), nullable=True)
    )
    cell_key: int | None = Field(
        default=None, sa_column=Column(BigInteger, Computed(f"hashtextextended({_CELL}, 0)", persisted=True))
    )
    opened_on: date | None = Field(
        default=None, sa_column=Column(Date, Computed("(created_at AT TIME ZONE 'UTC')::date", persisted=True))
    )
    reopened_at: datetime | None = Field(default=None, sa_column=time_col())
    reopens: UUID | None = Field(default=None, sa_column=uuid_col(nullable=True))
    resolved_by: str | None = Field(default=None, sa_column=text_col(nullable=True))
    resolved_at: datetime | None = Field(default=None, sa_column=time_col())
    created_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
    updated_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))


class ConflictDecision(SQLModel, table=True):
    """The journal of decisions: enough to undo each one. A batch shares `batch_id`; `alone` says that it is of no batch but its own."""

    __tablename__ = "payment_sync_conflict_decisions"
    __table_args__: ClassVar[Any] = (
        workspace_fk(),
        tenant_fk("conflict_id", "payment_sync_conflicts", ondelete="CASCADE"),
        Index("ix_payment_sync_conflict_decisions_batch", "workspace_id", "batch_id", "entity_type", "id"),
        Index("ix_payment_sync_conflict_decisions_recent", "workspace_id", text("created_at DESC"), text("id DESC")),
        Index("ix_payment_sync_conflict_decisions_conflict", "workspace_id", "conflict_id"),
        Index(
            "ix_payment_sync_conflict_decisions_alone",
            "workspace_id",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_where=text("alone"),
        ),
    )

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    id: UUID | None = Field(default=None, sa_column=uuid_pk())
    batch_id: UUID = Field(sa_column=uuid_col())
    conflict_id: UUID = Field(sa_column=uuid_col())
    entity_type: EntityType = Field(sa_column=word_col(EntityType))
    record_id: UUID = Field(sa_column=uuid_col())
    actor: str = Field(sa_column=text_col())
    choices: dict[str, Any] = Field(sa_column=jsonb_col(nullable=False))
    before: dict[str, Any] = Field(sa_column=jsonb_col(nullable=False))
    after: dict[str, Any] = Field(sa_column=jsonb_col(nullable=False))
    record_version_after: int = Field(sa_column=int_col(BigInteger, default=None))
    alone: bool = Field(default=False, sa_column=bool_col())
    created_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
    undone_at: datetime | None = Field(default=None, sa_column=time_col())
    undone_by: str | None = Field(default=None, sa_column=text_col(nullable=True))


class WebhookEvent(SQLModel, table=True):
    """The inbox: a signed event is stored before it is answered, and worked on afterwards."""

    __tablename__ = "payment_webhook_inbox"
    __table_args__: ClassVar[Any] = (
        workspace_fk(),
        Index(
            "ix_payment_webhook_inbox_due", "workspace_id", "received_at", postgresql_where=text("processed_at IS NULL")
        ),
    )

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    event_id: str = Field(sa_column=text_col(primary_key=True))
    event_type: str = Field(sa_column=text_col())
    account_id: str | None = Field(default=None, sa_column=text_col(nullable=True))
    payload: dict[str, Any] = Field(sa_column=json_col(nullable=False))
    received_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
    processed_at: datetime | None = Field(default=None, sa_column=time_col())
    outcome: str | None = Field(default=None, sa_column=text_col(nullable=True))


class Schedule(SQLModel, table=True):
    """A sync that repeats. `config` is a session's configuration; `next_at` is when the tick starts the next one."""

    __tablename__ = "payment_sync_schedules"
    __table_args__: ClassVar[Any] = (workspace_fk(), Index("ix_payment_sync_schedules_due", "next_at"))

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    id: UUID | None = Field(default=None, sa_column=uuid_pk())
    name: str = Field(default="", sa_column=text_col(default=""))
    every_minutes: int = Field(sa_column=int_col(default=None))
    enabled: bool = Field(default=True, sa_column=bool_col(default=True))
    config: dict[str, Any] = Field(default_factory=dict, sa_column=jsonb_col(nullable=False, default="{}"))
    next_at: datetime | None = Field(default=None, sa_column=time_col())
    last_session_id: UUID | None = Field(default=None, sa_column=uuid_col(nullable=True))
    created_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
    updated_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
