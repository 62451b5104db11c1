"""What every table shares: constraint names, column shorthands, and the lists that the migration and the store read."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import Boolean, CheckConstraint, Column, DateTime, Enum, ForeignKeyConstraint, Integer, Text, text
from sqlalchemy.dialects.postgresql import JSON, JSONB, UUID
from sqlmodel import SQLModel

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

NEW_ID = text("new_id()")
NOW = text("now()")


def uuid_pk() -> Any:
    return Column(UUID(as_uuid=True), primary_key=True, server_default=NEW_ID)


def uuid_col(*, nullable: bool = False, primary_key: bool = False) -> Any:
    return Column(UUID(as_uuid=True), nullable=nullable, primary_key=primary_key)


def text_col(*, nullable: bool = False, default: str | None = None, primary_key: bool = False) -> Any:
    return Column(
        Text,
        nullable=nullable,
        primary_key=primary_key,
        server_default=None if default is None else text(f"'{default}'"),
    )


def external_id_col(*, nullable: bool = False, primary_key: bool = False) -> Any:
    """An id of Stripe's: bytes to compare, whatever language the database sorts in, and the same after its libraries are renewed."""
    return Column(Text(collation="C"), nullable=nullable, primary_key=primary_key)


def bool_col(*, default: bool | None = False, nullable: bool = False) -> Any:
    return Column(Boolean, nullable=nullable, server_default=None if default is None else text(str(default).lower()))


def int_col(column_type: Any = Integer, *, default: int | None = 0, nullable: bool = False) -> Any:
    return Column(column_type, nullable=nullable, server_default=None if default is None else text(str(default)))


def time_col(*, nullable: bool = True, now: bool = False) -> Any:
    return Column(DateTime(timezone=True), nullable=nullable, server_default=NOW if now else None)


def jsonb_col(*, nullable: bool = True, default: str | None = None) -> Any:
    return Column(
        JSONB(none_as_null=True),
        nullable=nullable,
        server_default=None if default is None else text(f"'{default}'::jsonb"),
    )


def json_col(*, nullable: bool = True) -> Any:
    """JSON kept as the text that Stripe sent: cheaper to write than JSONB, and it may hold escaped NULs."""
    return Column(JSON(none_as_null=True), nullable=nullable)


def words(members: type[StrEnum]) -> Enum:
    """A StrEnum stored by value (SQLAlchemy's default is the member's name) in a VARCHAR; `one_of` keeps strangers out."""
    return Enum(members, native_enum=False, length=32, values_callable=lambda all_: [member.value for member in all_])


def word_col(
    members: type[StrEnum], *, default: StrEnum | None = None, nullable: bool = False, primary_key: bool = False
) -> Any:
    return Column(
        words(members),
        nullable=nullable,
        primary_key=primary_key,
        server_default=None if default is None else text(f"'{default.value}'"),
    )


def one_of(column: str, members: type[StrEnum]) -> CheckConstraint:
    """The database accepts known words only."""
    known = ", ".join(f"'{member.value}'" for member in members)
    return CheckConstraint(f"{column} IN ({known})", name=f"{column}_known")


def workspace_fk() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], ondelete="CASCADE")


def tenant_fk(column: str, target: str, *, ondelete: str | None = None) -> ForeignKeyConstraint:
    """A reference that cannot leave the workspace: the key carries workspace_id."""
    return ForeignKeyConstraint(["workspace_id", column], [f"{target}.workspace_id", f"{target}.id"], ondelete=ondelete)


def check(name: str, sql: str) -> CheckConstraint:
    return CheckConstraint(sql, name=name)
