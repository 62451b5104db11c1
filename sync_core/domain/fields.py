"""The field table: which values of a record both sides know, and in what form.

*Values* hold exactly one key per field of their entity type, always all of them, `None` for absent: money and whole
numbers as `int` (minor units), timestamps as epoch seconds, decimals as normalised strings, references as the Stripe
id of the parent, currencies as upper-case ISO codes, metadata always an object. Two records agree iff `same` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from sync_core.domain.vocabulary import EntityType

Scalar = str | int | float | bool | None
JsonValue = Scalar | list["JsonValue"] | dict[str, "JsonValue"]
Values = dict[str, JsonValue]


class Kind(StrEnum):
    TEXT = "text"
    BOOL = "bool"
    INT = "int"
    DECIMAL = "decimal"
    TIMESTAMP = "timestamp"
    JSON = "json"
    REF = "ref"
    CURRENCY = "currency"
    MONEY = "money"


@dataclass(frozen=True, slots=True)
class Field:
    """`parent` is set for references only. A volatile field is written along with others, but its difference is no change."""

    name: str
    kind: Kind
    label: str
    parent: EntityType | None = None
    editable: bool = False
    choices: tuple[str, ...] = ()
    volatile: bool = False

    @property
    def money(self) -> bool:
        """Minor units of the record's own `currency`."""
        return self.kind is Kind.MONEY


def column(field: Field) -> str:
    """The column that holds the field: its name, except that a reference is stored as our own id of the parent."""
    return f"{field.name}_id" if field.kind is Kind.REF else field.name


SUBSCRIPTION_STATUSES = ("active", "trial", "overdue", "suspended", "pending", "expired", "canceled")
INVOICE_STATUSES = ("draft", "open", "paid", "uncollectible", "void")

_CUSTOMERS = (
    Field("email", Kind.TEXT, "Email", editable=True),
    Field("name", Kind.TEXT, "Name", editable=True),
    Field("phone", Kind.TEXT, "Phone", editable=True),
    Field("description", Kind.TEXT, "Description", editable=True),
    Field("metadata", Kind.JSON, "Metadata", editable=True),
)

_PRODUCTS = (
    Field("name", Kind.TEXT, "Name", editable=True),
    Field("description", Kind.TEXT, "Description", editable=True),
    Field("image_url", Kind.TEXT, "Image", editable=True),
    Field("url", Kind.TEXT, "Web page", editable=True),
    Field("active", Kind.BOOL, "Active", editable=True),
    Field("metadata", Kind.JSON, "Metadata", editable=True),
)

_PRICES = (
    Field("product", Kind.REF, "Product", parent=EntityType.PRODUCTS),
    Field("active", Kind.BOOL, "Active"),
    Field("type", Kind.TEXT, "Type", choices=("recurring", "one_off")),
    Field("nickname", Kind.TEXT, "Nickname"),
    Field("currency", Kind.CURRENCY, "Currency"),
    Field("unit_amount_in_pennies", Kind.MONEY, "Unit amount"),
    Field("unit_amount_decimal", Kind.DECIMAL, "Exact unit amount"),
    Field("billing_scheme", Kind.TEXT, "Billing scheme", choices=("per_unit", "tiered")),
    Field("tiers_mode", Kind.TEXT, "Tiers mode", choices=("graduated", "volume")),
    Field("tiers", Kind.JSON, "Tiers"),
    Field("usage_type", Kind.TEXT, "Usage type", choices=("licensed", "metered")),
    Field("interval_type", Kind.TEXT, "Interval", choices=("day", "week", "month", "year")),
    Field("term_length", Kind.INT, "Intervals per term"),
    Field("custom_unit_amount", Kind.JSON, "Custom amount"),
    Field("transform_quantity", Kind.JSON, "Package"),
    Field("currency_options", Kind.JSON, "Other currencies"),
    Field("tax_behavior", Kind.TEXT, "Tax behaviour"),
    Field("lookup_key", Kind.TEXT, "Lookup key"),
    Field("metadata", Kind.JSON, "Metadata"),
)

_SUBSCRIPTIONS = (
    Field("customer", Kind.REF, "Customer", parent=EntityType.CUSTOMERS),
    Field("product", Kind.REF, "Product", parent=EntityType.PRODUCTS),
    Field("price", Kind.REF, "Price", parent=EntityType.PRICES),
    Field("status", Kind.TEXT, "Status", choices=SUBSCRIPTION_STATUSES),
    Field("provider_status", Kind.TEXT, "Status in Stripe"),
    Field("quantity", Kind.INT, "Quantity"),
    Field("current_period_start", Kind.TIMESTAMP, "Period start"),
    Field("current_period_end", Kind.TIMESTAMP, "Period end"),
    Field("cancel_at_period_end", Kind.BOOL, "Cancels at period end"),
    Field("canceled_at", Kind.TIMESTAMP, "Canceled"),
    Field("ended_at", Kind.TIMESTAMP, "Ended"),
    Field("trial_end", Kind.TIMESTAMP, "Trial end"),
    Field("currency", Kind.CURRENCY, "Currency"),
    Field("items", Kind.JSON, "Items"),
    Field("metadata", Kind.JSON, "Metadata"),
)

_INVOICES = (
    Field("customer", Kind.REF, "Customer", parent=EntityType.CUSTOMERS),
    Field("subscription", Kind.REF, "Subscription", parent=EntityType.SUBSCRIPTIONS),
    Field("number", Kind.TEXT, "Number"),
    Field("status", Kind.TEXT, "Status", choices=INVOICE_STATUSES),
    Field("currency", Kind.CURRENCY, "Currency"),
    Field("subtotal", Kind.MONEY, "Subtotal"),
    Field("tax", Kind.MONEY, "Tax"),
    Field("total", Kind.MONEY, "Total"),
    Field("amount_due", Kind.MONEY, "Amount due"),
    Field("amount_paid", Kind.MONEY, "Amount paid"),
    Field("amount_remaining", Kind.MONEY, "Amount remaining"),
    Field("period_start", Kind.TIMESTAMP, "Period start"),
    Field("period_end", Kind.TIMESTAMP, "Period end"),
    Field("due_date", Kind.TIMESTAMP, "Due"),
    Field("paid_at", Kind.TIMESTAMP, "Paid"),
    Field("billing_reason", Kind.TEXT, "Billing reason"),
    Field("collection_method", Kind.TEXT, "Collection method"),
    # Stripe signs these anew with each rendering: a new signature is not a changed invoice.
    Field("hosted_invoice_url", Kind.TEXT, "Invoice page", volatile=True),
    Field("invoice_pdf", Kind.TEXT, "Invoice PDF", volatile=True),
    Field("lines", Kind.JSON, "Lines"),
    Field("metadata", Kind.JSON, "Metadata"),
)

FIELDS: Mapping[EntityType, tuple[Field, ...]] = MappingProxyType(
    {
        EntityType.CUSTOMERS: _CUSTOMERS,
        EntityType.PRODUCTS: _PRODUCTS,
        EntityType.PRICES: _PRICES,
        EntityType.SUBSCRIPTIONS: _SUBSCRIPTIONS,
        EntityType.INVOICES: _INVOICES,
    }
)

NAMES: Mapping[EntityType, tuple[str, ...]] = MappingProxyType(
    {entity: tuple(field.name for field in fields) for entity, fields in FIELDS.items()}
)

ALL_NAMES = frozenset(name for names in NAMES.values() for name in names)
"""Of any entity type."""

COMPARED: Mapping[EntityType, tuple[str, ...]] = MappingProxyType(
    {entity: tuple(field.name for field in fields if not field.volatile) for entity, fields in FIELDS.items()}
)

ORDER: tuple[EntityType, ...] = (
    EntityType.CUSTOMERS,
    EntityType.PRODUCTS,
    EntityType.PRICES,
    EntityType.SUBSCRIPTIONS,
    EntityType.INVOICES,
)
"""Parents before children."""

PARENTS: Mapping[EntityType, tuple[EntityType, ...]] = MappingProxyType(
    {
        entity: tuple(parent for parent in ORDER if any(field.parent is parent for field in fields))
        for entity, fields in FIELDS.items()
    }
)


def same(entity: EntityType, a: Values, b: Values) -> bool:
    """Whether two records agree, volatile fields aside."""
    return a == b or all(a[name] == b[name] for name in COMPARED[entity])
