"""What all workers share before they know a workspace: ids and counts only, outside row-level security."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, Column, Index, text
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION
from sqlmodel import Field, SQLModel

from sync_core.models.base import bool_col, check, int_col, text_col, time_col, uuid_col


class Lease(SQLModel, table=True):
    """Who drives a run. Ids only and outside row-level security: the tick must see every workspace's.

    The row lives as long as the run is to be worked on. `fence` grows with each taking: a commit with an old one is refused.
    `beat_at` is the worker's last sign of life; `attempts` counts takings since something last came of one.
    """

    __tablename__ = "payment_sync_leases"
    __table_args__: ClassVar[Any] = (Index("uq_payment_sync_leases_workspace", "workspace_id", unique=True),)

    session_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    workspace_id: UUID = Field(sa_column=uuid_col())
    fence: int = Field(default=0, sa_column=int_col(BigInteger))
    owner: str | None = Field(default=None, sa_column=text_col(nullable=True))
    attempts: int = Field(default=0, sa_column=int_col())
    lease_until: datetime | None = Field(default=None, sa_column=time_col())
    beat_at: datetime | None = Field(default=None, sa_column=time_col())
    not_before: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))
    created_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))


def _seconds(default: str) -> Column[Any]:
    return Column(DOUBLE_PRECISION, nullable=False, server_default=text(default))


class RateBucket(SQLModel, table=True):
    """The calendar of one bucket of one Stripe account; shared by all workers, hence outside row-level security.

    `cap` is what people allow an account, in requests a second: the least that a workspace wants (`AccountUse`). None: the operator's share
    of Stripe's limit.
    `starts` are the times given out (epoch seconds), lately past and to come; nothing starts before `next_at`. The slacks are by how
    many seconds starts may be late, as users asked since `slack_at` (epoch seconds) and before.
    """

    __tablename__ = "payment_sync_rate_buckets"
    __table_args__: ClassVar[Any] = (check("cap_is_a_rate", "cap >= 1"),)

    name: str = Field(sa_column=text_col(primary_key=True))
    next_at: datetime = Field(sa_column=time_col(nullable=False))
    starts: list[float] = Field(
        default_factory=list, sa_column=Column(ARRAY(DOUBLE_PRECISION), nullable=False, server_default=text("'{}'"))
    )
    slack: float = Field(default=0.01, sa_column=_seconds("0.01"))
    slack_before: float = Field(default=0.01, sa_column=_seconds("0.01"))
    slack_at: float = Field(default=0.0, sa_column=_seconds("0"))
    cap: int | None = Field(default=None, sa_column=int_col(default=None, nullable=True))


class AccountUse(SQLModel, table=True):
    """Which connections there are to an account, in whatever workspace. A trigger writes it and no role reads it: to those who hold a key
    of the account, `is_connected_elsewhere` says yes or no. The trigger keeps the least `read_cap` of an account in its bucket.
    """

    __tablename__ = "payment_account_uses"
    __table_args__: ClassVar[Any] = (Index("ix_payment_account_uses_account", "account_id", "livemode", "is_sandbox"),)

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    connection_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    account_id: str = Field(sa_column=text_col())
    livemode: bool = Field(sa_column=bool_col(default=None))
    is_sandbox: bool = Field(sa_column=bool_col(default=None))
    read_cap: int | None = Field(default=None, sa_column=int_col(default=None, nullable=True))


class ReadMeter(SQLModel, table=True):
    """Requests made to one Stripe account in one calendar month (UTC), by every workspace that uses it."""

    __tablename__ = "payment_sync_read_meter"

    account_id: str = Field(sa_column=text_col(primary_key=True))
    month: str = Field(sa_column=text_col(primary_key=True))
    reads: int = Field(default=0, sa_column=int_col(BigInteger))
