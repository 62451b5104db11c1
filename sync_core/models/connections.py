"""A workspace's Stripe account, and what Stripe tells it of its own accord."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Column, Index, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from sync_core.domain.vocabulary import EntityType
from sync_core.models.base import (
    bool_col,
    check,
    int_col,
    json_col,
    jsonb_col,
    text_col,
    time_col,
    uuid_col,
    uuid_pk,
    workspace_fk,
)


def _entity_types() -> Column[Any]:
    every = ",".join(entity.value for entity in EntityType)
    return Column(ARRAY(Text), nullable=False, server_default=text(f"'{{{every}}}'::text[]"))


class Connection(SQLModel, table=True):
    """A workspace's Stripe account. The key is an envelope (AES-256-GCM); only its last four characters are readable.

    The `former` key stays until the one that replaced it has worked. `entity_types` are those that it is to read.
    `read_cap` is how fast this workspace wants the account to be read.
    """

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
        check("read_cap_is_a_rate", "read_cap >= 1"),
        check("reads_something", "cardinality(entity_types) > 0"),
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
    former_ciphertext: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    former_last4: str | None = Field(default=None, sa_column=text_col(nullable=True))
    former_fingerprint: str | None = Field(default=None, sa_column=text_col(nullable=True))
    webhook_ciphertext: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    checks: list[Any] = Field(default_factory=list, sa_column=jsonb_col(nullable=False, default="[]"))
    checked_at: datetime | None = Field(default=None, sa_column=time_col())
    entity_types: list[str] = Field(sa_column=_entity_types())
    read_cap: int | None = Field(default=None, sa_column=int_col(default=None, nullable=True))
    created_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
    updated_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
    disconnected_at: datetime | None = Field(default=None, sa_column=time_col())


class ConnectionDraft(SQLModel, table=True):
    """A connection that was begun and left, one of a workspace at the most. Its key is an envelope like a connection's, bound to `id`."""

    __tablename__ = "payment_connection_drafts"
    __table_args__: ClassVar[Any] = (workspace_fk(), check("reads_something", "cardinality(entity_types) > 0"))

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    id: UUID = Field(sa_column=uuid_col())
    label: str = Field(default="", sa_column=text_col(default=""))
    livemode: bool = Field(sa_column=bool_col(default=None))
    entity_types: list[str] = Field(sa_column=_entity_types())
    key_kind: str | None = Field(default=None, sa_column=text_col(nullable=True))
    key_last4: str | None = Field(default=None, sa_column=text_col(nullable=True))
    key_ciphertext: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    checks: list[Any] = Field(default_factory=list, sa_column=jsonb_col(nullable=False, default="[]"))
    created_by: str = Field(default="", sa_column=text_col(default=""))
    created_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
    expires_at: datetime = Field(sa_column=time_col(nullable=False))


class WebhookEvent(SQLModel, table=True):
    """The inbox: a signed event is stored before it is answered, and worked on afterwards.

    `changes` are the fields of the object `object_id` that it says changed, with their new values; null until it has been read. An event that
    is about nothing of ours has no object here.
    """

    __tablename__ = "payment_webhook_inbox"
    __table_args__: ClassVar[Any] = (
        workspace_fk(),
        Index(
            "ix_payment_webhook_inbox_due", "workspace_id", "received_at", postgresql_where=text("processed_at IS NULL")
        ),
        Index("ix_payment_webhook_inbox_recent", "workspace_id", text("received_at DESC")),
        Index(
            "ix_payment_webhook_inbox_object",
            "workspace_id",
            "object_id",
            "happened_at",
            postgresql_where=text("object_id IS NOT NULL"),
        ),
        Index("ix_payment_webhook_inbox_unread", "workspace_id", "event_id", postgresql_where=text("changes IS NULL")),
    )

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    event_id: str = Field(sa_column=text_col(primary_key=True))
    event_type: str = Field(sa_column=text_col())
    account_id: str | None = Field(default=None, sa_column=text_col(nullable=True))
    payload: dict[str, Any] = Field(sa_column=json_col(nullable=False))
    object_id: str | None = Field(default=None, sa_column=text_col(nullable=True))
    happened_at: datetime | None = Field(default=None, sa_column=time_col())
    livemode: bool | None = Field(default=None, sa_column=Column(Boolean, nullable=True))
    changes: dict[str, Any] | None = Field(default=None, sa_column=jsonb_col())
    received_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
    processed_at: datetime | None = Field(default=None, sa_column=time_col())
    outcome: str | None = Field(default=None, sa_column=text_col(nullable=True))
