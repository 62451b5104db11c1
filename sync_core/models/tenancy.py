"""Workspaces, the people in them, and how they sign in."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, Index, Text, func, text
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlmodel import Field, SQLModel

from sync_core.domain.vocabulary import Role
from sync_core.models.base import (
    bool_col,
    jsonb_col,
    text_col,
    time_col,
    uuid_col,
    uuid_pk,
    word_col,
    workspace_fk,
)

__all__ = [
    "ApiKey",
    "AuditEntry",
    "Membership",
    "SetupToken",
    "SignInAttempt",
    "User",
    "UserSession",
    "Wallet",
    "Workspace",
]


class Workspace(SQLModel, table=True):
    __tablename__ = "workspaces"
    __table_args__: ClassVar[Any] = (
        ForeignKeyConstraint(
            ["id", "settlement_wallet_id"],
            ["wallets.workspace_id", "wallets.id"],
            name="fk_workspaces_settlement_wallet",
            use_alter=True,
        ),
    )

    id: UUID | None = Field(default=None, sa_column=uuid_pk())
    name: str = Field(sa_column=text_col())
    time_zone: str = Field(default="UTC", sa_column=text_col(default="UTC"))
    settlement_wallet_id: UUID | None = Field(default=None, sa_column=uuid_col(nullable=True))
    match_by_email: bool = Field(default=True, sa_column=bool_col(default=True))
    settings: dict[str, Any] = Field(default_factory=dict, sa_column=jsonb_col(nullable=False, default="{}"))
    created_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
    updated_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))


class Wallet(SQLModel, table=True):
    """Where a workspace's money settles. Imported products get the one chosen in settings."""

    __tablename__ = "wallets"
    __table_args__: ClassVar[Any] = (workspace_fk(),)

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    id: UUID | None = Field(default=None, sa_column=uuid_pk())
    nickname: str | None = Field(default=None, sa_column=text_col(nullable=True))
    network_type: str = Field(default="evm", sa_column=text_col(default="evm"))
    wallet_address: str = Field(sa_column=text_col())
    created_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
    updated_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
    deleted_at: datetime | None = Field(default=None, sa_column=time_col())


class User(SQLModel, table=True):
    __tablename__ = "users"
    __table_args__: ClassVar[Any] = (Index("uq_users_email", func.lower(text("email")), unique=True),)

    id: UUID | None = Field(default=None, sa_column=uuid_pk())
    email: str = Field(sa_column=text_col())
    name: str = Field(default="", sa_column=text_col(default=""))
    password_hash: str = Field(sa_column=text_col())
    created_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
    disabled_at: datetime | None = Field(default=None, sa_column=time_col())
    single_keys: bool = Field(default=True, sa_column=bool_col(default=True))


class Membership(SQLModel, table=True):
    __tablename__ = "memberships"
    __table_args__: ClassVar[Any] = (
        workspace_fk(),
        ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
        Index("ix_memberships_user_id", "user_id"),
    )

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    user_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    role: Role = Field(sa_column=word_col(Role))
    created_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))


class UserSession(SQLModel, table=True):
    """A signed-in browser. Only the token's hash is kept."""

    __tablename__ = "user_sessions"
    __table_args__: ClassVar[Any] = (
        ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
        Index("ix_user_sessions_user_id", "user_id"),
    )

    id: UUID | None = Field(default=None, sa_column=uuid_pk())
    user_id: UUID = Field(sa_column=uuid_col())
    token_hash: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    workspace_id: UUID | None = Field(
        default=None,
        sa_column=Column(PG_UUID(as_uuid=True), ForeignKey("workspaces.id", ondelete="SET NULL"), nullable=True),
    )
    user_agent: str = Field(default="", sa_column=text_col(default=""))
    created_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
    last_seen_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
    expires_at: datetime = Field(sa_column=time_col(nullable=False))


class SetupToken(SQLModel, table=True):
    __tablename__ = "setup_tokens"

    token_hash: str = Field(sa_column=text_col(primary_key=True))
    created_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
    expires_at: datetime = Field(sa_column=time_col(nullable=False))
    used_at: datetime | None = Field(default=None, sa_column=time_col())


class SignInAttempt(SQLModel, table=True):
    """Failed attempts by key (address or account), for slowing guessers down."""

    __tablename__ = "sign_in_attempts"
    __table_args__: ClassVar[Any] = (Index("ix_sign_in_attempts_key_occurred_at", "key", "occurred_at"),)

    id: UUID | None = Field(default=None, sa_column=uuid_pk())
    key: str = Field(sa_column=text_col())
    occurred_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))


class ApiKey(SQLModel, table=True):
    __tablename__ = "api_keys"
    __table_args__: ClassVar[Any] = (workspace_fk(),)

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    id: UUID | None = Field(default=None, sa_column=uuid_pk())
    name: str = Field(default="", sa_column=text_col(default=""))
    level: str = Field(sa_column=text_col())
    prefix: str = Field(sa_column=text_col())
    key_hash: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    created_by: UUID | None = Field(default=None, sa_column=uuid_col(nullable=True))
    created_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
    last_used_at: datetime | None = Field(default=None, sa_column=time_col())
    revoked_at: datetime | None = Field(default=None, sa_column=time_col())


class AuditEntry(SQLModel, table=True):
    """Who did what to which thing. Never holds a secret or a whole record."""

    __tablename__ = "audit_log"
    __table_args__: ClassVar[Any] = (
        workspace_fk(),
        Index("ix_audit_log_occurred_at", "workspace_id", "occurred_at"),
        Index("ix_audit_log_target", "workspace_id", "target", "occurred_at"),
        Index(
            "ix_audit_log_told",
            "workspace_id",
            "occurred_at",
            "id",
            postgresql_where=text(
                "action <> ALL (ARRAY['conflict.resolved', 'conflict.bulk_resolved', 'conflict.reopened', 'conflict.undone',"
                " 'record.edited', 'signed_in'])"
            ),
        ),
    )

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    id: UUID | None = Field(default=None, sa_column=uuid_pk())
    actor: str = Field(sa_column=text_col())
    action: str = Field(sa_column=text_col())
    target: str = Field(default="", sa_column=text_col(default=""))
    details: dict[str, Any] = Field(default_factory=dict, sa_column=jsonb_col(nullable=False, default="{}"))
    occurred_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
