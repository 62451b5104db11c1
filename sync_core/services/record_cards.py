"""One record as its page shows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sync_core.domain.fields import FIELDS, Field, JsonValue, Kind
from sync_core.domain.money import format_money
from sync_core.domain.vocabulary import Choice, EntityType, EventType, ReasonCode
from sync_core.services.record_edits import editable
from sync_core.services.record_views import (
    COLUMNS,
    NOTHING,
    Column,
    FieldRow,
    Row,
    When,
    amount_text,
    field_rows,
    href,
    interval_text,
    row,
    title_of,
    value_text,
)
from sync_core.store.record_details import Children, Happened, RecordDetail

_STRIPE_PATHS = {
    EntityType.CUSTOMERS: "customers",
    EntityType.PRODUCTS: "products",
    EntityType.PRICES: "prices",
    EntityType.SUBSCRIPTIONS: "subscriptions",
    EntityType.INVOICES: "invoices",
}


@dataclass(frozen=True, slots=True)
class Related:
    """A record that this one refers to."""

    label: str
    title: str
    note: str
    href: str


@dataclass(frozen=True, slots=True)
class ChildList:
    """`base` and a row's id make its address; `columns` are of the rows' cells; `all_href` is empty when everything is shown."""

    label: str
    base: str
    columns: list[Column]
    rows: list[Row]
    all_href: str


@dataclass(frozen=True, slots=True)
class LineRow:
    title: str
    note: str
    quantity: str
    amount: str
    href: str


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened to a record. `href` leads to the run or the conflict it belongs to."""

    title: str
    note: str
    who: str
    when: str
    utc: str
    href: str


@dataclass(frozen=True, slots=True)
class Card:
    """`cut`: not all of it is here, for want of room on the page."""

    record_id: str
    entity: str
    entity_label: str
    title: str
    note: str
    status: str
    status_label: str
    deleted: bool
    editable: bool
    version: int
    external_id: str
    stripe_url: str
    conflict_href: str
    has_base: bool
    has_raw: bool
    differing: int
    synced: When
    fields: list[FieldRow]
    parents: list[Related]
    children: list[ChildList]
    lines: list[LineRow]
    history: list[Entry]
    cut: bool = False

    @classmethod
    def blank(cls) -> Card:
        """What stands in a page before its record is there."""
        text = (
            "record_id",
            "entity",
            "entity_label",
            "title",
            "note",
            "status",
            "status_label",
            "external_id",
            "stripe_url",
            "conflict_href",
        )
        switches = ("deleted", "editable", "has_base", "has_raw")
        lists = ("fields", "parents", "children", "lines", "history")
        return cls(
            **dict.fromkeys(text, ""),  # type: ignore[arg-type] # a table of names is shorter than 20 arguments
            **dict.fromkeys(switches, False),  # type: ignore[arg-type] # the same
            **{name: [] for name in lists},  # type: ignore[arg-type] # the same
            version=0,
            differing=0,
            synced=When(),
        )


def card(detail: RecordDetail, zone: str) -> Card:
    entity, state, times = detail.entity, detail.state, detail.times
    fields = field_rows(entity, state.local, state.base, zone)
    title, note = _title(detail)
    return Card(
        record_id=str(state.record_id),
        entity=entity.value,
        entity_label=entity.label,
        title=title,
        note=note,
        status=state.status.value,
        status_label=state.status.label,
        deleted=state.deleted,
        editable=bool(editable(entity)) and not state.deleted,
        version=state.row_version,
        external_id=state.external_id or "",
        stripe_url=_stripe_url(detail),
        conflict_href=f"/conflicts/{times.open_conflict}" if times.open_conflict else "",
        has_base=state.base is not None,
        has_raw=times.raw is not None,
        differing=sum(one.differs for one in fields),
        synced=When.of(times.payment_synced_at, zone),
        fields=fields,
        parents=[
            _related(one.field, detail, title_of(one.entity, one.record), href(one.entity, one.record.record_id))
            for one in detail.parents
        ],
        children=[_child_list(detail, one, zone) for one in detail.children],
        lines=_lines(detail),
        history=history(detail, zone),
    )


def _title(detail: RecordDetail) -> tuple[str, str]:
    local = detail.state.local
    named = next((str(local[name]) for name in ("name", "number", "nickname", "email") if local.get(name)), "")
    about = {one.field: title_of(one.entity, one.record)[0] for one in detail.parents}
    whose = about.get("customer") or about.get("product") or ""
    match detail.entity:
        case EntityType.CUSTOMERS:
            email = local["email"]
            return named or detail.state.external_id or NOTHING, str(email) if email and email != named else ""
        case EntityType.PRICES:
            return whose or named or detail.state.external_id or NOTHING, _price_note(detail)
        case EntityType.SUBSCRIPTIONS:
            return about.get(
                "product"
            ) or detail.state.external_id or NOTHING, f"for {about['customer']}" if "customer" in about else ""
        case _:
            return named or detail.state.external_id or NOTHING, f"for {whose}" if whose else ""


def _price_note(detail: RecordDetail) -> str:
    local = detail.state.local
    data = {
        "unit_amount": local["unit_amount_in_pennies"],
        "unit_amount_decimal": local["unit_amount_decimal"],
        "currency": local["currency"],
        "billing_scheme": local["billing_scheme"],
        "custom": local["custom_unit_amount"] is not None,
        "interval_type": local["interval_type"],
        "term_length": local["term_length"],
    }
    return f"{amount_text(data)}, {interval_text(data).lower()}"


def _stripe_url(detail: RecordDetail) -> str:
    """Where Stripe's own dashboard shows the object; the sandbox has none."""
    state = detail.state
    if state.external_id is None or not detail.times.at_stripe:
        return ""
    mode = "" if state.livemode else "test/"
    return f"https://dashboard.stripe.com/{state.account}/{mode}{_STRIPE_PATHS[detail.entity]}/{state.external_id}"


def _related(field: str, detail: RecordDetail, titles: tuple[str, str], where: str) -> Related:
    label = next(one.label for one in FIELDS[detail.entity] if one.name == field)
    return Related(label, *titles, where)


def _child_list(detail: RecordDetail, children: Children, zone: str) -> ChildList:
    search = detail.state.external_id or str(detail.state.record_id)
    rows = [_below(detail.entity, children.entity, row(children.entity, one, zone)) for one in children.rows]
    columns = list(COLUMNS[children.entity])
    return ChildList(
        label=children.entity.label,
        base=href(children.entity, ""),
        columns=columns[-len(rows[0].cells) :] if rows else columns,
        rows=rows,
        all_href=f"/records/{children.entity.value}?q={search}" if children.more else "",
    )


def _below(parent: EntityType, entity: EntityType, one: Row) -> Row:
    """Without what the parent's own page says: called by what tells it from its like."""
    match parent, entity:
        case EntityType.CUSTOMERS, EntityType.SUBSCRIPTIONS:
            return replace(one, title=one.cells[0].text, note="", cells=one.cells[1:])
        case _, EntityType.PRICES:
            amount, billed, *others = one.cells
            return replace(one, title=", ".join(filter(None, (amount.text, billed.text.lower()))), cells=others)
        case _, EntityType.INVOICES:
            return replace(one, cells=one.cells[1:])
        case _:
            return one


def _lines(detail: RecordDetail) -> list[LineRow]:
    if detail.entity is EntityType.SUBSCRIPTIONS:
        return [
            LineRow(
                title=item.product or item.external_id,
                note=interval_text(item.data),
                quantity="" if item.quantity is None else f"{item.quantity:,}",
                amount=amount_text(item.data),
                href=href(EntityType.PRICES, item.price_id) if item.price_id else "",
            )
            for item in detail.items
        ]
    currency = detail.state.local.get("currency")
    lines = detail.state.local.get("lines")
    return (
        [_invoice_line(one, str(currency)) for one in lines if isinstance(one, dict)] if isinstance(lines, list) else []
    )


def _invoice_line(line: dict[str, JsonValue], currency: str) -> LineRow:
    amount, quantity = line.get("amount"), line.get("quantity")
    return LineRow(
        title=str(line.get("description") or line.get("id") or NOTHING),
        note=str(line.get("price") or ""),
        quantity=f"{quantity:,}" if isinstance(quantity, int) else "",
        amount=format_money(amount, currency) if isinstance(amount, int) else NOTHING,
        href="",
    )


def history(detail: RecordDetail, zone: str) -> list[Entry]:
    """Newest first; the record's own dates are among it."""
    dated = [(one.occurred_at, _entry(detail, one, zone)) for one in detail.history]
    dated += [(at, Entry(title, note, "", *_when(at, zone), "")) for at, title, note in _dates(detail)]
    dated.sort(key=lambda one: one[0], reverse=True)
    return [entry for _, entry in dated]


def _dates(detail: RecordDetail) -> Iterator[tuple[datetime, str, str]]:
    times = detail.times
    yield times.created_at, "Added here", ""
    if times.provider_created_at is not None:
        yield times.provider_created_at, "Created in Stripe", ""
    if times.payment_synced_at is not None:
        yield times.payment_synced_at, "Last synced", "Both sides agreed on the values under “Last sync”."
    if times.deleted_at is not None:
        yield times.deleted_at, "Deleted", ""


def _when(at: datetime, zone: str) -> tuple[str, str]:
    when = When.of(at, zone)
    return when.text, when.utc


# What a sync notes about an object is a reason's code, or a sentence.
_REASONS = {reason.value: reason.label for reason in ReasonCode}
_TITLES = {"record.edited": "Edited", "resolved": "Conflict settled", "undone": "Decision undone"}


def _entry(detail: RecordDetail, one: Happened, zone: str) -> Entry:
    where = ""
    title = _TITLES.get(one.what, one.what.replace(".", " ").replace("_", " ").capitalize())
    match one.kind:
        case "event":
            title, where = f"Sync: {_small(EventType(one.what).label)}", f"/syncs/{one.session_id}"
        case "conflict":
            title, where = f"Conflict: {_small(ReasonCode(one.what).label)}", f"/conflicts/{one.conflict_id}"
        case "decision":
            where = f"/conflicts/{one.conflict_id}"
    said = one.message or ""
    return Entry(title, _REASONS.get(said, said) or _note(detail, one), one.who, *_when(one.occurred_at, zone), where)


def _note(detail: RecordDetail, one: Happened) -> str:
    fields = {field.name: field for field in FIELDS[detail.entity]}
    labels = {name: field.label for name, field in fields.items()}
    details: dict[str, Any] = one.details or {}
    match one.kind, one.what:
        case "audit", "record.edited":
            changes = details.get("changes", {})
            return "; ".join(
                f"{fields[name].label}: {_short(fields[name], a)} → {_short(fields[name], b)}"
                for name, (a, b) in changes.items()
                if name in fields
            )
        case "conflict", _:
            return ", ".join(labels.get(name, name) for name in details.get("fields", ()))
        case "decision", _:
            known = {choice.value: choice.label for choice in Choice}
            taken = ((name, one.get("take", "")) for name, one in details.items() if isinstance(one, dict))
            return "; ".join(f"{labels.get(name, name)}: {known.get(take, take)}" for name, take in taken)
        case _:
            return ""


def _small(label: str) -> str:
    return label[:1].lower() + label[1:]


def _short(field: Field, value: JsonValue) -> str:
    """A value that people can edit, on one line."""
    # An object that is too long to be kept is the beginning of its text.
    said = value if isinstance(value, str) and field.kind is Kind.JSON else value_text(field, value, {}, "UTC")
    text = " ".join(said.split()) or NOTHING
    return text if len(text) <= 80 else f"{text[:79]}…"
