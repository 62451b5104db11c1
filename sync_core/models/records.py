"""The workspace's own records: what Stripe is synced into. Columns are the plan's; departures are named in design.md.

Every one of the five carries the same sync columns:
`payment_base` holds the mapped values of the last sync (B of the three-way comparison), `payment_raw` the object they came from,
`payment_observed_at` when the request that saw it began, `row_version` counts every write by anyone.
`payment_digest` stands for Stripe's values while record, base and Stripe agree: a trigger takes it away with any write that brings none.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    Computed,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB
from sqlmodel import Field, SQLModel

from sync_core.domain.vocabulary import SyncStatus
from sync_core.models.base import (
    NEW_ID,
    NOW,
    bool_col,
    check,
    int_col,
    jsonb_col,
    one_of,
    tenant_fk,
    text_col,
    time_col,
    uuid_col,
    uuid_pk,
    words,
    workspace_fk,
)


def currency_col(*, nullable: bool = True) -> Any:
    return Column(String(3), ForeignKey("currencies.code"), nullable=nullable)


def record_args(table: str, *extra: Any) -> tuple[Any, ...]:
    """Keys and indexes that all five entity tables share."""
    return (
        workspace_fk(),
        UniqueConstraint(
            # The id before what is the same in nearly all rows: a comparison ends there, and finds it at a fixed place.
            "workspace_id",
            "external_id",
            "payment_provider",
            "payment_account",
            "payment_livemode",
            name=f"uq_{table}_external",
        ),
        one_of("payment_sync_status", SyncStatus),
        check(
            "linked",
            "external_id IS NULL OR (payment_provider IS NOT NULL AND payment_account IS NOT NULL AND payment_livemode IS NOT NULL)",
        ),
        Index(
            f"idx_{table}_payment_provider",
            "workspace_id",
            "payment_provider",
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index(
            f"idx_{table}_payment_sync_status",
            "workspace_id",
            "payment_sync_status",
            "listed_at",
            "id",
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index(f"idx_{table}_listed", "workspace_id", "listed_at", "id", postgresql_where=text("deleted_at IS NULL")),
        Index(
            f"idx_{table}_deleted", "workspace_id", "listed_at", "id", postgresql_where=text("deleted_at IS NOT NULL")
        ),
        *extra,
    )


def folded_col(source: str) -> Any:
    """A text in lower case, stored, for searching and sorting by.

    An index on `lower(…)` itself is closed to sessions under row-level security: `lower` is not leakproof, so the planner
    may not ask it before the policy (1,000,000 customers: 2.4 s a page, against 1 ms). "C" makes a prefix a range.
    """
    return Column(Text(collation="C"), Computed(f"lower({source})", persisted=True))


TIMESTAMP = DateTime(timezone=True)
DOCUMENT = JSONB(none_as_null=True)


class Record(SQLModel):
    """What all five share. Bare types, since SQLModel copies a plain field to each table but cannot share a Column."""

    workspace_id: UUID = Field(primary_key=True)
    id: UUID | None = Field(default=None, primary_key=True, sa_column_kwargs={"server_default": NEW_ID})
    external_id: str | None = Field(default=None, sa_type=Text(collation="C"))
    provider_created_at: datetime | None = Field(default=None, sa_type=TIMESTAMP)
    metadata_: dict[str, Any] = Field(
        default_factory=dict,
        sa_type=DOCUMENT,
        sa_column_kwargs={"name": "metadata", "server_default": text("'{}'::jsonb")},
    )
    payment_provider: str | None = Field(default=None, sa_type=String(50))
    payment_account: str | None = Field(default=None, sa_type=Text)
    payment_livemode: bool | None = Field(default=None)
    payment_sync_status: SyncStatus = Field(
        default=SyncStatus.PENDING, sa_type=words(SyncStatus), sa_column_kwargs={"server_default": text("'pending'")}
    )
    payment_sync_version: int = Field(default=1, sa_column_kwargs={"server_default": text("1")})
    payment_synced_at: datetime | None = Field(default=None, sa_type=TIMESTAMP)
    payment_observed_at: datetime | None = Field(default=None, sa_type=TIMESTAMP)
    payment_base: dict[str, Any] | None = Field(default=None, sa_type=DOCUMENT)
    payment_raw: dict[str, Any] | None = Field(default=None, sa_type=JSON(none_as_null=True))
    payment_digest: UUID | None = Field(default=None)
    row_version: int = Field(default=1, sa_type=BigInteger, sa_column_kwargs={"server_default": text("1")})
    created_at: datetime | None = Field(
        default=None, sa_type=TIMESTAMP, nullable=False, sa_column_kwargs={"server_default": NOW}
    )
    updated_at: datetime | None = Field(
        default=None, sa_type=TIMESTAMP, nullable=False, sa_column_kwargs={"server_default": NOW}
    )
    listed_at: datetime | None = Field(
        default=None,
        sa_type=TIMESTAMP,
        sa_column_kwargs={"server_default": Computed("COALESCE(provider_created_at, created_at)", persisted=True)},
    )
    deleted_at: datetime | None = Field(default=None, sa_type=TIMESTAMP)


class Currency(SQLModel, table=True):
    """ISO 4217 codes with the exponent Stripe uses for their minor unit."""

    __tablename__ = "currencies"

    code: str = Field(sa_column=Column(String(3), primary_key=True))
    exponent: int = Field(sa_column=int_col(default=None))


class Customer(Record, table=True):
    __tablename__ = "customers"
    __table_args__: ClassVar[Any] = record_args(
        "customers",
        Index(
            "ix_customers_email_unlinked",
            "workspace_id",
            "email_key",
            postgresql_where=text("external_id IS NULL AND deleted_at IS NULL"),
        ),
        Index("ix_customers_email", "workspace_id", "email_key", "id"),
        Index("ix_customers_name", "workspace_id", "name_key", "id"),
        Index("ix_customers_deleted", "workspace_id", "id", postgresql_where=text("deleted_at IS NOT NULL")),
    )

    email: str | None = Field(default=None, sa_column=text_col(nullable=True))
    name: str | None = Field(default=None, sa_column=text_col(nullable=True))
    phone: str | None = Field(default=None, sa_column=text_col(nullable=True))
    description: str | None = Field(default=None, sa_column=text_col(nullable=True))
    email_key: str | None = Field(default=None, sa_column=folded_col("email"))
    name_key: str | None = Field(default=None, sa_column=folded_col("name"))


class Product(Record, table=True):
    __tablename__ = "products"
    __table_args__: ClassVar[Any] = record_args(
        "products",
        tenant_fk("wallet_id", "wallets"),
        Index("ix_products_name", "workspace_id", "name_key", "id"),
    )

    wallet_id: UUID = Field(sa_column=uuid_col())
    name: str = Field(sa_column=text_col())
    description: str | None = Field(default=None, sa_column=text_col(nullable=True))
    image_url: str | None = Field(default=None, sa_column=text_col(nullable=True))
    url: str | None = Field(default=None, sa_column=text_col(nullable=True))
    active: bool = Field(default=True, sa_column=bool_col(default=True))
    name_key: str | None = Field(default=None, sa_column=folded_col("name"))


class Price(Record, table=True):
    """A tombstone (deleted in Stripe before we saw it) knows nothing but its id: the checks hold for living rows."""

    __tablename__ = "prices"
    __table_args__: ClassVar[Any] = record_args(
        "prices",
        tenant_fk("product_id", "products"),
        Index("ix_prices_product", "workspace_id", "product_id"),
        check(
            "recurring_fields",
            "deleted_at IS NOT NULL OR"
            " (type = 'recurring' AND interval_type IS NOT NULL AND term_length IS NOT NULL AND term_length > 0) OR"
            " (type = 'one_off' AND interval_type IS NULL AND term_length IS NULL)",
        ),
        check(
            "amount_known",
            "deleted_at IS NOT NULL OR unit_amount_in_pennies IS NOT NULL OR unit_amount_decimal IS NOT NULL"
            " OR billing_scheme = 'tiered' OR custom_unit_amount IS NOT NULL",
        ),
        check("living_complete", "deleted_at IS NOT NULL OR (currency IS NOT NULL AND product_id IS NOT NULL)"),
    )

    product_id: UUID | None = Field(default=None, sa_column=uuid_col(nullable=True))
    active: bool = Field(default=True, sa_column=bool_col(default=True))
    type: str | None = Field(default=None, sa_column=text_col(nullable=True))
    nickname: str | None = Field(default=None, sa_column=text_col(nullable=True))
    currency: str | None = Field(default=None, sa_column=currency_col())
    unit_amount_in_pennies: int | None = Field(default=None, sa_column=int_col(BigInteger, default=None, nullable=True))
    unit_amount_decimal: Decimal | None = Field(default=None, sa_column=Column(Numeric, nullable=True))
    billing_scheme: str | None = Field(default=None, sa_column=text_col(nullable=True))
    tiers_mode: str | None = Field(default=None, sa_column=text_col(nullable=True))
    tiers: list[Any] | None = Field(default=None, sa_column=jsonb_col())
    usage_type: str | None = Field(default=None, sa_column=text_col(nullable=True))
    interval_type: str | None = Field(default=None, sa_column=text_col(nullable=True))
    term_length: int | None = Field(default=None, sa_column=int_col(default=None, nullable=True))
    custom_unit_amount: dict[str, Any] | None = Field(default=None, sa_column=jsonb_col())
    transform_quantity: dict[str, Any] | None = Field(default=None, sa_column=jsonb_col())
    currency_options: dict[str, Any] | None = Field(default=None, sa_column=jsonb_col())
    tax_behavior: str | None = Field(default=None, sa_column=text_col(nullable=True))
    lookup_key: str | None = Field(default=None, sa_column=text_col(nullable=True))


class ProductToken(SQLModel, table=True):
    """The plan refers to it without defining it: which token a product may be paid in."""

    __tablename__ = "products_tokens"
    __table_args__: ClassVar[Any] = (workspace_fk(), tenant_fk("product_id", "products"))

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    id: UUID | None = Field(default=None, sa_column=uuid_pk())
    product_id: UUID = Field(sa_column=uuid_col())
    token_symbol: str = Field(sa_column=text_col())
    active: bool = Field(default=True, sa_column=bool_col(default=True))
    created_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))


class Delegation(SQLModel, table=True):
    """The plan refers to it without defining it: a customer's permission to draw tokens."""

    __tablename__ = "delegation_data"
    __table_args__: ClassVar[Any] = (workspace_fk(),)

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    id: UUID | None = Field(default=None, sa_column=uuid_pk())
    delegate: str = Field(sa_column=text_col())
    delegator: str = Field(sa_column=text_col())
    signature: str = Field(sa_column=text_col())
    created_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))


class CustomerWallet(SQLModel, table=True):
    """The plan refers to it without defining it: a wallet that a customer pays from."""

    __tablename__ = "customer_wallets"
    __table_args__: ClassVar[Any] = (workspace_fk(), tenant_fk("customer_id", "customers"))

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    id: UUID | None = Field(default=None, sa_column=uuid_pk())
    customer_id: UUID = Field(sa_column=uuid_col())
    wallet_address: str = Field(sa_column=text_col())
    network_type: str = Field(default="evm", sa_column=text_col(default="evm"))
    created_at: datetime | None = Field(default=None, sa_column=time_col(nullable=False, now=True))


class Subscription(Record, table=True):
    __tablename__ = "subscriptions"
    __table_args__: ClassVar[Any] = record_args(
        "subscriptions",
        tenant_fk("customer_id", "customers"),
        tenant_fk("product_id", "products"),
        tenant_fk("price_id", "prices"),
        tenant_fk("product_token_id", "products_tokens"),
        tenant_fk("delegation_id", "delegation_data"),
        tenant_fk("customer_wallet_id", "customer_wallets"),
        Index("ix_subscriptions_customer", "workspace_id", "customer_id"),
        # What a changed price reaches, for conflict review.
        Index("ix_subscriptions_price", "workspace_id", "price_id"),
        check(
            "own_or_imported",
            "payment_provider IS NOT NULL OR"
            " (product_token_id IS NOT NULL AND token_amount IS NOT NULL AND delegation_id IS NOT NULL"
            " AND product_id IS NOT NULL AND price_id IS NOT NULL)",
        ),
        check(
            "status_known",
            "status IN ('active', 'trial', 'overdue', 'suspended', 'pending', 'expired', 'canceled')",
        ),
    )

    customer_id: UUID | None = Field(default=None, sa_column=uuid_col(nullable=True))
    product_id: UUID | None = Field(default=None, sa_column=uuid_col(nullable=True))
    price_id: UUID | None = Field(default=None, sa_column=uuid_col(nullable=True))
    product_token_id: UUID | None = Field(default=None, sa_column=uuid_col(nullable=True))
    token_amount: int | None = Field(default=None, sa_column=int_col(default=None, nullable=True))
    delegation_id: UUID | None = Field(default=None, sa_column=uuid_col(nullable=True))
    customer_wallet_id: UUID | None = Field(default=None, sa_column=uuid_col(nullable=True))
    status: str = Field(default="active", sa_column=text_col(default="active"))
    provider_status: str | None = Field(default=None, sa_column=text_col(nullable=True))
    quantity: int | None = Field(default=None, sa_column=int_col(BigInteger, default=None, nullable=True))
    current_period_start: datetime | None = Field(default=None, sa_column=time_col())
    current_period_end: datetime | None = Field(default=None, sa_column=time_col())
    cancel_at_period_end: bool = Field(default=False, sa_column=bool_col())
    canceled_at: datetime | None = Field(default=None, sa_column=time_col())
    ended_at: datetime | None = Field(default=None, sa_column=time_col())
    trial_end: datetime | None = Field(default=None, sa_column=time_col())
    currency: str | None = Field(default=None, sa_column=currency_col())
    items: list[Any] | None = Field(default=None, sa_column=jsonb_col())
    next_redemption_date: datetime | None = Field(default=None, sa_column=time_col())
    total_redemptions: int = Field(default=0, sa_column=int_col())
    total_amount_in_cents: int = Field(default=0, sa_column=int_col(BigInteger))


class SubscriptionItem(SQLModel, table=True):
    """One line of a subscription, in Stripe's order. Rewritten as a set with its subscription."""

    __tablename__ = "subscription_items"
    __table_args__: ClassVar[Any] = (
        workspace_fk(),
        tenant_fk("subscription_id", "subscriptions", ondelete="CASCADE"),
        tenant_fk("price_id", "prices"),
    )

    workspace_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    subscription_id: UUID = Field(sa_column=uuid_col(primary_key=True))
    position: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    external_id: str = Field(sa_column=text_col())
    price_id: UUID | None = Field(default=None, sa_column=uuid_col(nullable=True))
    quantity: int | None = Field(default=None, sa_column=int_col(BigInteger, default=None, nullable=True))


class Invoice(Record, table=True):
    __tablename__ = "invoices"
    __table_args__: ClassVar[Any] = record_args(
        "invoices",
        tenant_fk("customer_id", "customers"),
        tenant_fk("subscription_id", "subscriptions"),
        Index("ix_invoices_customer", "workspace_id", "customer_id"),
        Index("ix_invoices_subscription", "workspace_id", "subscription_id"),
        Index("ix_invoices_number", "workspace_id", "number_key"),
    )

    customer_id: UUID | None = Field(default=None, sa_column=uuid_col(nullable=True))
    subscription_id: UUID | None = Field(default=None, sa_column=uuid_col(nullable=True))
    number: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    number_key: str | None = Field(default=None, sa_column=folded_col("number"))
    status: str | None = Field(default=None, sa_column=text_col(nullable=True))
    currency: str | None = Field(default=None, sa_column=currency_col())
    subtotal: int | None = Field(default=None, sa_column=int_col(BigInteger, default=None, nullable=True))
    tax: int | None = Field(default=None, sa_column=int_col(BigInteger, default=None, nullable=True))
    total: int | None = Field(default=None, sa_column=int_col(BigInteger, default=None, nullable=True))
    amount_due: int | None = Field(default=None, sa_column=int_col(BigInteger, default=None, nullable=True))
    amount_paid: int | None = Field(default=None, sa_column=int_col(BigInteger, default=None, nullable=True))
    amount_remaining: int | None = Field(default=None, sa_column=int_col(BigInteger, default=None, nullable=True))
    period_start: datetime | None = Field(default=None, sa_column=time_col())
    period_end: datetime | None = Field(default=None, sa_column=time_col())
    due_date: datetime | None = Field(default=None, sa_column=time_col())
    paid_at: datetime | None = Field(default=None, sa_column=time_col())
    billing_reason: str | None = Field(default=None, sa_column=text_col(nullable=True))
    collection_method: str | None = Field(default=None, sa_column=text_col(nullable=True))
    hosted_invoice_url: str | None = Field(default=None, sa_column=text_col(nullable=True))
    invoice_pdf: str | None = Field(default=None, sa_column=text_col(nullable=True))
    lines: list[Any] | None = Field(default=None, sa_column=jsonb_col())
