"""Records as a person reads them: money in its currency, times in the workspace's zone, references by name."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from sync_core.domain.fields import FIELDS, Field, JsonValue, Kind, Values
from sync_core.domain.money import EXPONENTS, currency_prefix, format_money, normalise_decimal
from sync_core.domain.value_words import in_words
from sync_core.domain.vocabulary import EntityType
from sync_core.store.record_lists import ListedRecord, Sort

NOTHING = "—"


@dataclass(frozen=True, slots=True)
class When:
    """`text` in the workspace's zone, `utc` for the tooltip; both empty for never."""

    text: str = ""
    utc: str = ""

    @classmethod
    def of(cls, moment: datetime | int | None, zone: str) -> When:
        if moment is None:
            return cls()
        at = datetime.fromtimestamp(moment, UTC) if isinstance(moment, int) else moment
        local = at.astimezone(ZoneInfo(zone))
        return cls(f"{local.day} {local:%b %Y, %H:%M}", f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC")

    @classmethod
    def each(cls, moments: Sequence[datetime | int | None], zone: str) -> list[When]:
        """Of a list in which each is to be told from the others: those of one minute have their second as well."""
        plain = [cls.of(moment, zone) for moment in moments]
        # The zone's offset is of whole minutes, so the second is that of UTC.
        second = len(":00 UTC")
        taken = Counter(one.text for one in plain)
        return [
            replace(one, text=one.text + one.utc[-second:-4]) if one.text and taken[one.text] > 1 else one
            for one in plain
        ]


@dataclass(frozen=True, slots=True)
class Column:
    """`sort` is the sort that its header offers, empty for none; `number` sets it flush right."""

    label: str
    sort: str = ""
    number: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """`hint` is for the tooltip, `note` a second, quieter line."""

    text: str
    note: str = ""
    hint: str = ""
    number: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    record_id: str
    title: str
    note: str
    cells: list[Cell]
    status: str
    deleted: bool
    external_id: str
    created: str
    created_utc: str


COLUMNS: Mapping[EntityType, tuple[Column, ...]] = MappingProxyType(
    {
        EntityType.CUSTOMERS: (Column("Name", Sort.NAME.value), Column("Email", Sort.EMAIL.value), Column("Phone")),
        EntityType.PRODUCTS: (Column("Name", Sort.NAME.value), Column("State"), Column("Prices", number=True)),
        EntityType.PRICES: (Column("Product"), Column("Amount", number=True), Column("Billed"), Column("State")),
        EntityType.SUBSCRIPTIONS: (
            Column("Customer"),
            Column("Product"),
            Column("Price", number=True),
            Column("State"),
            Column("Period ends"),
        ),
        EntityType.INVOICES: (
            Column("Number"),
            Column("Customer"),
            Column("Total", number=True),
            Column("To pay", number=True),
            Column("State"),
            Column("Due"),
        ),
    }
)
"""Those of each entity type, before Created, Sync and Stripe id, which all have."""


def href(entity: EntityType, record_id: object) -> str:
    return f"/records/{entity.value}/{record_id}"


def row(entity: EntityType, record: ListedRecord, zone: str) -> Row:
    title, note = title_of(entity, record)
    created = When.of(record.listed_at, zone)
    return Row(
        record_id=str(record.record_id),
        title=title,
        note=note,
        cells=_cells(entity, record.data, zone),
        status=record.status.value,
        deleted=record.deleted,
        external_id=record.external_id or "",
        created=created.text,
        created_utc=created.utc,
    )


def title_of(entity: EntityType, record: ListedRecord) -> tuple[str, str]:
    """What a record is called, and a second line that tells it from its like."""
    data, fallback = record.data, record.external_id or NOTHING
    match entity:
        case EntityType.CUSTOMERS:
            return data["name"] or data["email"] or fallback, ""
        case EntityType.PRODUCTS:
            return data["name"] or fallback, _clipped(data["description"] or "", 70)
        case EntityType.PRICES:
            return data["product"] or fallback, data["nickname"] or ""
        case EntityType.SUBSCRIPTIONS:
            return data["customer"] or fallback, _unless_same(data["customer_email"], data["customer"])
        case EntityType.INVOICES:
            return data["number"] or fallback, ""


def _unless_same(note: str | None, title: str | None) -> str:
    return note if note and note != title else ""


def _cells(entity: EntityType, data: Mapping[str, Any], zone: str) -> list[Cell]:
    match entity:
        case EntityType.CUSTOMERS:
            return [Cell(data["email"] or NOTHING), Cell((data["phone"] or NOTHING).replace(" ", "\N{NO-BREAK SPACE}"))]
        case EntityType.PRODUCTS:
            return [_sold(data), Cell(f"{data['prices']:,}", number=True)]
        case EntityType.PRICES:
            return [Cell(amount_text(data), number=True), Cell(interval_text(data)), _sold(data)]
        case EntityType.SUBSCRIPTIONS:
            ends = When.of(data["current_period_end"], zone)
            price = Cell(amount_text(data), interval_text(data) + _times(data["quantity"]), number=True)
            return [
                Cell(data["product"] or NOTHING),
                price,
                _state(data["state"], data["provider_status"]),
                Cell(ends.text or NOTHING, "then it ends" if data["cancel_at_period_end"] else "", ends.utc),
            ]
        case EntityType.INVOICES:
            due = When.of(data["due_date"], zone)
            return [
                Cell(data["customer"] or NOTHING, _unless_same(data["customer_email"], data["customer"])),
                Cell(format_money(data["total"], data["currency"]) or NOTHING, number=True),
                Cell(format_money(data["amount_remaining"], data["currency"]) or NOTHING, number=True),
                _state(data["state"], None),
                Cell(due.text or NOTHING, hint=due.utc),
            ]


def _sold(data: Mapping[str, Any]) -> Cell:
    return Cell("Active" if data["active"] else "Archived")


def _times(quantity: int | None) -> str:
    return f" \u00d7 {quantity:,}" if quantity not in (None, 1) else ""


def _state(ours: str | None, theirs: str | None) -> Cell:
    note = f"{theirs} in Stripe" if theirs and theirs != ours else ""
    return Cell(ours.capitalize() if ours else NOTHING, note.replace("_", " "))


def amount_text(data: Mapping[str, Any]) -> str:
    """What one unit costs, in as many words as it takes when that is no single amount."""
    if data["unit_amount"] is not None:
        return format_money(data["unit_amount"], data["currency"])
    if data["unit_amount_decimal"] is not None:
        # Below the minor unit: fractions of a cent are shown as they are, never rounded.
        exponent = EXPONENTS.get(data["currency"] or "", 0)
        amount = normalise_decimal(Decimal(data["unit_amount_decimal"]).scaleb(-exponent))
        return f"{currency_prefix(data['currency'])}{amount}"
    if data["billing_scheme"] == "tiered":
        return "By tiers"
    return "Customer chooses" if data["custom"] else NOTHING


def interval_text(data: Mapping[str, Any]) -> str:
    if not data["interval_type"]:
        return "Once" if data["currency"] else ""
    length = data["term_length"] or 1
    return f"Every {data['interval_type']}" if length == 1 else f"Every {length} {data['interval_type']}s"


def _clipped(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One field, or one key inside it: ours beside what both sides agreed on at the last sync. `block` is for pretty JSON."""

    label: str
    ours: str
    synced: str
    hint: str
    differs: bool
    block: bool


def field_rows(entity: EntityType, local: Values, base: Values | None, zone: str) -> list[FieldRow]:
    """Empty fields are left out, except those that a person could fill."""
    return [
        one
        for field in FIELDS[entity]
        for one in _field(field, local, base, zone)
        if one.ours or one.synced or field.editable
    ]


def _field(field: Field, local: Values, base: Values | None, zone: str) -> Iterator[FieldRow]:
    ours, synced = local.get(field.name), None if base is None else base.get(field.name)
    if field.name == "metadata":
        yield from _metadata(field, ours, synced, known=base is not None)
        return
    yield FieldRow(
        label=field.label,
        ours=value_text(field, ours, local, zone),
        synced=value_text(field, synced, base or {}, zone),
        hint=" / ".join(one.utc for one in _moments(field, ours, synced, zone)),
        differs=base is not None and ours != synced,
        block=field.kind is Kind.JSON,
    )


def _metadata(field: Field, ours: JsonValue, synced: JsonValue, *, known: bool) -> Iterator[FieldRow]:
    one, other = ours if isinstance(ours, dict) else {}, synced if isinstance(synced, dict) else {}
    for key in sorted({*one, *other}):
        a, b = _plain(one.get(key)), _plain(other.get(key))
        differs = known and one.get(key) != other.get(key)
        yield FieldRow(f"{field.label} / {key}", a, b, "", differs=differs, block=False)


def _moments(field: Field, *values: Any) -> list[When]:
    *moments, zone = values
    return [When.of(one, zone) for one in moments if field.kind is Kind.TIMESTAMP and isinstance(one, int)]


def value_text(field: Field, value: JsonValue, record: Mapping[str, JsonValue], zone: str) -> str:
    """A value in the words of its kind; empty for none."""
    if value is None:
        return ""
    match field.kind:
        case Kind.BOOL:
            return "Yes" if value else "No"
        case Kind.MONEY if isinstance(value, int):
            currency = record.get("currency")
            return format_money(value, currency if isinstance(currency, str) else None)
        case Kind.TIMESTAMP if isinstance(value, int):
            return When.of(value, zone).text
        case Kind.INT if isinstance(value, int):
            return f"{value:,}"
        case Kind.JSON:
            return pretty(value) if value else ""
        case Kind.TEXT if isinstance(value, str):
            return in_words(field, value)
        case _:
            return str(value)


def _plain(value: JsonValue) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)


def pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
