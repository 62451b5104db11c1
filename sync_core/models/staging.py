"""What a run has read, and what it does with it: the two bulk tables."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, Column, Index, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from sync_core.domain.vocabulary import (
    Action,
    EntityType,
    ReasonCode,
)
from sync_core.models.base import (
    bool_col,
    external_id_col,
    int_col,
    json_col,
    jsonb_col,
    text_col,
    time_col,
    uuid_col,
    word_col,
)


class StagedObject(SQLModel, table=True):
    """An object as Stripe sent it, with its mapped values. `seq` is dense per entity type: the order of landing, the planner's queue.

    No foreign key to the session: it would be looked up, and its row locked, for each object (3 µs of 80). Runs are kept; `upkeep`
    forgets what they staged.

    What is found unchanged on its way in is not staged: it gets its plan item at once. `digest` stands for the values.

    `issue` is set when the object could not be mapped: {"reason", "field", "message"}; then values is null.
    """

    __tablename__ = "payment_sync_staged_objects"
    __table_args__: ClassVar[Any] = (
        # For the queue alone, whose readers say `seq > 0`: while an entity type is new to the statistics, this looks as good as the key.
        Index(
            "ix_payment_sync_staged_objects_seq", "session_id", "entity_type", "seq", postgresql_where=text("seq > 0")
        ),
    )

    workspace_id: UUID = Field(sa_column=uuid_col())
    session_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    # In the key the id comes before the type: a comparison ends there, and finds it at a fixed place (7 µs an object).
    external_id: str = Field(sa_column=external_id_col(primary_key=True))
    entity_type: EntityType = Field(sa_column=word_col(EntityType, primary_key=True))
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
    external_id: str = Field(sa_column=external_id_col(primary_key=True))
    entity_type: EntityType = Field(sa_column=word_col(EntityType, primary_key=True))
    seq: int = Field(sa_column=int_col(BigInteger, default=None))
    action: Action = Field(sa_column=word_col(Action))
    reason_code: ReasonCode | None = Field(default=None, sa_column=word_col(ReasonCode, nullable=True))
    record_id: UUID | None = Field(default=None, sa_column=uuid_col(nullable=True))
    record_version: int | None = Field(default=None, sa_column=int_col(BigInteger, default=None, nullable=True))
    changed_fields: list[str] | None = Field(default=None, sa_column=Column(ARRAY(Text), nullable=True))
    detail: dict[str, Any] | None = Field(default=None, sa_column=jsonb_col())
