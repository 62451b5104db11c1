"""What all workers share before they know a workspace: ids and counts only, outside row-level security."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from sync_core.models.base import int_col, text_col, time_col, uuid_col


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


class RateBucket(SQLModel, table=True):
    """The next free slot of one bucket of one Stripe account; shared by all workers, hence outside row-level security."""

    __tablename__ = "payment_sync_rate_buckets"

    name: str = Field(sa_column=text_col(primary_key=True))
    next_at: datetime = Field(sa_column=time_col(nullable=False))


class ReadMeter(SQLModel, table=True):
    """Requests made to one Stripe account in one calendar month (UTC), by every workspace that uses it."""

    __tablename__ = "payment_sync_read_meter"

    account_id: str = Field(sa_column=text_col(primary_key=True))
    month: str = Field(sa_column=text_col(primary_key=True))
    reads: int = Field(default=0, sa_column=int_col(BigInteger))
