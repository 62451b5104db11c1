"""Records on which Stripe and the workspace disagree, and what people decided about them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Column, Computed, Date, Index, Numeric, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from sync_core.domain.vocabulary import (
    ConflictStatus,
    EntityType,
    ReasonCode,
    Snooze,
)
from sync_core.models.base import (
    bool_col,
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
from sync_core.models.sync import of_session

_CELL = (
    "conflict_cell(entity_type, reason_code, session_id, fields, local, theirs, reopened_at IS NOT NULL, choices <> '{}'::jsonb,"
    " snoozed_for, snoozed_until, assignee)"
)


class Conflict(SQLModel, table=True):
    """A record on which Stripe and the workspace disagree. At most one open per record: a later run refreshes it.

    `local`, `base` and `theirs` are whole value sets as of `revision`; `fields` names those that need a person.
    `choices` are pending or taken: {field: {"take": Choice, "value": …}}. `reopened_at` is set when a side changed after choices were
    made; `reopens` is the settled conflict that they come from, where it was settled. `transitions` are those of `fields`. `search_key` begins with the label and goes on with the values that differ,
    `customer_id` is the customer that the record is, or is of, as of the run that found it last: none for products and prices, the record's
    own id where it names nobody. `amount_delta` is by how much amounts differ at the most. `cell` is all that it can be filtered by, as one text, `cell_key` its hash.
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
            postgresql_include=[
                "search_key",
                "snoozed_until",
                "snoozed_for",
                "cell_key",
                "amount_delta",
                "customer_id",
            ],
        ),
        # Of deleted customers, who are few: theirs are counted from here.
        Index(
            "ix_payment_sync_conflicts_customer",
            "workspace_id",
            "status",
            "customer_id",
            postgresql_include=["id", "cell_key", "created_at"],
        ),
        # Of which records they are, by the keys of the cells, those that a search finds too: only customers' may share one.
        Index(
            "ix_payment_sync_conflicts_records",
            "workspace_id",
            "cell_key",
            postgresql_include=["id", "record_id", "created_at", "search_key", "amount_delta"],
            postgresql_where=text("status = 'open' AND entity_type = 'customers'"),
        ),
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
            Computed(
                "left(lower(label || ' ' || external_id || ' ' || conflict_values(fields, local, theirs)), 250)",
                persisted=True,
            ),
            nullable=True,
        ),
    )
    amount_delta: Decimal | None = Field(
        default=None, sa_column=Column(Numeric, Computed("conflict_delta(fields, local, theirs)", persisted=True))
    )
    customer_id: UUID | None = Field(default=None, sa_column=uuid_col(nullable=True))
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


class ConflictCount(SQLModel, table=True):
    """By how many the conflicts of a cell and a day became more or fewer: triggers add what each statement changed, and the sum is what there is.

    Rows are only ever added, or folded into one (`store/conflict_counts.py`), so that nobody who writes conflicts waits for another.
    """

    __tablename__ = "payment_sync_conflict_counts"
    __table_args__: ClassVar[Any] = (workspace_fk(),)

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    status: ConflictStatus = Field(sa_column=word_col(ConflictStatus, primary_key=True))
    id: UUID | None = Field(default=None, sa_column=uuid_pk())
    cell: str = Field(sa_column=Column(Text(collation="C"), nullable=False))
    opened_on: date = Field(sa_column=Column(Date, nullable=False))
    count: int = Field(sa_column=int_col(BigInteger, default=None))


class ConflictDecision(SQLModel, table=True):
    """The journal of decisions: enough to undo each one. A batch shares `batch_id`; `alone` says that it is of no batch but its own."""

    __tablename__ = "payment_sync_conflict_decisions"
    __table_args__: ClassVar[Any] = (
        workspace_fk(),
        tenant_fk("conflict_id", "payment_sync_conflicts", ondelete="CASCADE"),
        Index(
            "ix_payment_sync_conflict_decisions_batch",
            "workspace_id",
            "batch_id",
            "entity_type",
            "id",
            postgresql_include=["undone_at"],
        ),
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
