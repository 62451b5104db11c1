"""What belongs to reviewing conflicts beside the conflicts themselves: previews of many decisions at once, and remarks."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, Index, text
from sqlmodel import Field, SQLModel

from sync_core.domain.vocabulary import EntityType
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


class ConflictPreview(SQLModel, table=True):
    """Decisions about a set of conflicts, shown before they are made. `hash` is of the rows, their revisions and the rule.

    Its id is also the batch's: the decisions that come of it carry it as `batch_id`. `worked_at` is the last sign of life of whoever
    applies it, `stopped_at` says that somebody asked for its end.
    """

    __tablename__ = "payment_sync_conflict_previews"
    __table_args__: ClassVar[Any] = (
        workspace_fk(),
        Index("ix_payment_sync_conflict_previews_recent", "workspace_id", text("created_at DESC")),
    )

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    id: UUID | None = Field(default=None, sa_column=uuid_pk())
    created_by: str = Field(sa_column=text_col())
    query: dict[str, Any] = Field(sa_column=jsonb_col(nullable=False))
    rule: dict[str, Any] = Field(sa_column=jsonb_col(nullable=False))
    summary: dict[str, Any] = Field(sa_column=jsonb_col(nullable=False))
    hash: str = Field(sa_column=text_col())
    created_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
    applied_at: datetime | None = Field(default=None, sa_column=time_col())
    stopped_at: datetime | None = Field(default=None, sa_column=time_col())
    worked_at: datetime | None = Field(default=None, sa_column=time_col())


class ConflictPreviewItem(SQLModel, table=True):
    """One conflict of a preview, as it was then. `choices` are its own where the rule does not give them; `outcome` is set on applying.

    It is written a hundred thousand at a time, and a conflict that is gone is only left out: no foreign key but that of its preview.
    """

    __tablename__ = "payment_sync_conflict_preview_items"
    __table_args__: ClassVar[Any] = (
        tenant_fk("preview_id", "payment_sync_conflict_previews", ondelete="CASCADE"),
        Index(
            "ix_payment_sync_conflict_preview_items_left_out",
            "workspace_id",
            "preview_id",
            "seq",
            postgresql_where=text("outcome <> 'resolved'"),
        ),
    )

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    preview_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    seq: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    entity_type: EntityType = Field(sa_column=word_col(EntityType))
    conflict_id: UUID = Field(sa_column=uuid_col())
    revision: int = Field(sa_column=int_col(BigInteger, default=None))
    choices: dict[str, Any] | None = Field(default=None, sa_column=jsonb_col())
    outcome: str | None = Field(default=None, sa_column=text_col(nullable=True))


class ConflictComment(SQLModel, table=True):
    __tablename__ = "payment_sync_conflict_comments"
    __table_args__: ClassVar[Any] = (
        workspace_fk(),
        tenant_fk("conflict_id", "payment_sync_conflicts", ondelete="CASCADE"),
        Index("ix_payment_sync_conflict_comments_conflict", "workspace_id", "conflict_id", "created_at"),
    )

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    id: UUID | None = Field(default=None, sa_column=uuid_pk())
    conflict_id: UUID = Field(sa_column=uuid_col())
    author: str = Field(sa_column=text_col())
    body: str = Field(sa_column=text_col())
    created_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))


class ConflictMention(SQLModel, table=True):
    """Somebody whom a comment calls to its conflict. `seen_at` is when they came, or put it aside."""

    __tablename__ = "payment_sync_conflict_mentions"
    __table_args__: ClassVar[Any] = (
        ForeignKeyConstraint(
            ["workspace_id", "user_id"], ["memberships.workspace_id", "memberships.user_id"], ondelete="CASCADE"
        ),
        tenant_fk("comment_id", "payment_sync_conflict_comments", ondelete="CASCADE"),
        Index(
            "ix_payment_sync_conflict_mentions_newest",
            "workspace_id",
            "user_id",
            text("created_at DESC"),
            text("comment_id DESC"),
        ),
        Index(
            "ix_payment_sync_conflict_mentions_unseen",
            "workspace_id",
            "user_id",
            "conflict_id",
            postgresql_where=text("seen_at IS NULL"),
        ),
        Index("ix_payment_sync_conflict_mentions_comment", "workspace_id", "comment_id"),
    )

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    user_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    comment_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    conflict_id: UUID = Field(sa_column=uuid_col())
    created_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
    seen_at: datetime | None = Field(default=None, sa_column=time_col())


class ConflictRule(SQLModel, table=True):
    """A standing answer: `query` says to which conflicts, `rule` says what. In order of `position`, the first that fits decides."""

    __tablename__ = "payment_sync_conflict_rules"
    __table_args__: ClassVar[Any] = (
        workspace_fk(),
        Index("ix_payment_sync_conflict_rules_order", "workspace_id", "position"),
    )

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    id: UUID | None = Field(default=None, sa_column=uuid_pk())
    position: int = Field(sa_column=int_col(default=None))
    name: str = Field(sa_column=text_col())
    enabled: bool = Field(default=False, sa_column=bool_col())
    query: dict[str, Any] = Field(sa_column=jsonb_col(nullable=False))
    rule: dict[str, Any] = Field(sa_column=jsonb_col(nullable=False))
    hits: int = Field(default=0, sa_column=int_col(BigInteger))
    last_hit_at: datetime | None = Field(default=None, sa_column=time_col())
    created_by: str = Field(sa_column=text_col())
    created_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))


class ConflictViewer(SQLModel, table=True):
    """A person who has a conflict open. It is a soft lease: what is not renewed counts for nothing, so no conflict waits for one.

    No foreign key to the conflict: its check would hold the row for a moment, and a batch leaves out what somebody holds.
    """

    __tablename__ = "payment_sync_conflict_viewers"
    __table_args__: ClassVar[Any] = (
        ForeignKeyConstraint(
            ["workspace_id", "user_id"], ["memberships.workspace_id", "memberships.user_id"], ondelete="CASCADE"
        ),
    )

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    conflict_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    user_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    seen_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))


class ConflictReview(SQLModel, table=True):
    """A person's tick of a conflict that they looked through. `sides` is the hash of its two sides as they were: after a change the tick
    counts no longer. No foreign key to the conflict, for the viewers' reason.
    """

    __tablename__ = "payment_sync_conflict_reviews"
    __table_args__: ClassVar[Any] = (
        ForeignKeyConstraint(
            ["workspace_id", "user_id"], ["memberships.workspace_id", "memberships.user_id"], ondelete="CASCADE"
        ),
        Index(
            "ix_payment_sync_conflict_reviews_mine",
            "workspace_id",
            "user_id",
            "conflict_id",
            postgresql_include=["sides"],
        ),
    )

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    conflict_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    user_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    sides: int = Field(sa_column=int_col(BigInteger, default=None))
    reviewed_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))


class IgnoredField(SQLModel, table=True):
    """A field that syncs leave alone, from the next one on: ours stays, and a difference is no conflict."""

    __tablename__ = "payment_sync_ignored_fields"
    __table_args__: ClassVar[Any] = (workspace_fk(), one_of("entity_type", EntityType))

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    entity_type: EntityType = Field(sa_column=word_col(EntityType, primary_key=True))
    field: str = Field(sa_column=text_col(primary_key=True))
    created_by: str = Field(sa_column=text_col())
    created_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))


class IgnoredRecordField(SQLModel, table=True):
    """The same in one record. No foreign key: records of five tables may be named; one that is gone is asked about by nobody."""

    __tablename__ = "payment_sync_ignored_record_fields"
    __table_args__: ClassVar[Any] = (workspace_fk(), one_of("entity_type", EntityType))

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    entity_type: EntityType = Field(sa_column=word_col(EntityType, primary_key=True))
    record_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    field: str = Field(sa_column=text_col(primary_key=True))
    created_by: str = Field(sa_column=text_col())
    created_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
