"""From an object as Stripe sent it to values: every API shape since 2017, or a reason why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

from sync_core.domain.fields import FIELDS, Field, JsonValue, Kind, Values
from sync_core.domain.money import format_money
from sync_core.domain.shapes import SHAPES, Misfit, Raw
from sync_core.domain.value_words import word_label
from sync_core.domain.vocabulary import EntityType, ReasonCode

NUL_IN_JSON = b"\\u0000"
_REPLACEMENT = "\ufffd"
# Twice what Stripe allows; what is longer fits no index.
_LONGEST_ID = 500


@dataclass(slots=True)
class Mapped:
    """`packed` is `values` as JSON text, a by-product that saves the writer a second pass.

    `livemode` is False for a deleted stub, which does not say; `created` is None there too.
    """

    external_id: str
    created: int | None
    livemode: bool
    deleted: bool
    values: Values
    packed: bytes


@dataclass(slots=True)
class Unmappable:
    """`field` is the value that can't be had, or the key of Stripe's object that is at fault."""

    external_id: str | None
    reason: ReasonCode
    field: str | None
    message: str


def map_object(entity: EntityType, raw: Raw) -> Mapped | Unmappable:
    """Never raises, whatever Stripe sends; strings in the values are free of NUL, which PostgreSQL does not take."""
    try:
        external_id = _identify(entity, raw)
        if _is_deleted(raw):
            return Mapped(external_id, _created_if_told(raw), raw.get("livemode") is True, True, {}, b"{}")
        values = SHAPES[entity](raw)
        _check(entity, values)
        values, packed = _pack(values)
        return Mapped(external_id, _created(raw), raw.get("livemode") is True, False, values, packed)
    except Misfit as misfit:
        return Unmappable(_id_of(raw), misfit.reason, misfit.field, misfit.message)
    except (AttributeError, KeyError, TypeError, RecursionError) as odd:
        # A nested value of a kind that no version ever sent: the object is put aside, the run goes on.
        return Unmappable(_id_of(raw), ReasonCode.UNSUPPORTED_SHAPE, None, f"not understood: {odd!r}")


_KINDS: Mapping[EntityType, tuple[str, ...]] = {
    EntityType.CUSTOMERS: ("customer",),
    EntityType.PRODUCTS: ("product",),
    EntityType.PRICES: ("price", "plan"),
    EntityType.SUBSCRIPTIONS: ("subscription",),
    EntityType.INVOICES: ("invoice",),
}


def _identify(entity: EntityType, raw: Raw) -> str:
    if type(raw) is not dict:
        raise Misfit("object", f"not an object: {type(raw).__name__}")
    kind = raw.get("object")
    if kind is not None and kind not in _KINDS[entity]:
        raise Misfit("object", f"a {kind!r} among {entity.value}")
    external_id = raw.get("id")
    if entity is EntityType.INVOICES and _is_preview(external_id):
        raise Misfit("id", "a preview of an invoice, not an issued one", ReasonCode.NOT_FOR_SYNC)
    if type(external_id) is not str or not external_id:
        raise Misfit("id", "an object without an id")
    if len(external_id) > _LONGEST_ID:
        raise Misfit("id", f"an id of {len(external_id)} characters", ReasonCode.VALUE_INVALID)
    return known_as(external_id)


def _is_deleted(raw: Raw) -> bool:
    # `invoice.deleted` sends the draft as it was, and says so in its status only.
    return raw.get("deleted") is True or (raw.get("object") == "invoice" and raw.get("status") == "deleted")


def _is_preview(external_id: object) -> bool:
    return external_id is None or (type(external_id) is str and external_id.startswith("upcoming_in"))


def known_as(external_id: str) -> str:
    """What an object is listed by here: its id in characters that PostgreSQL takes; one that fits no index by its beginning and a digest."""
    plain = external_id if external_id.isascii() and "\0" not in external_id else str(_scrub(external_id))
    if len(plain) <= _LONGEST_ID:
        return plain
    return f"{plain[:80]}…{blake2b(plain.encode(), digest_size=8).hexdigest()}"


def _id_of(raw: Any) -> str | None:
    external_id = raw.get("id") if type(raw) is dict else None
    return known_as(external_id) if type(external_id) is str and external_id else None


def _created(raw: Raw) -> int:
    created = _created_if_told(raw)
    if created is None:
        raise Misfit("created", f"created is {raw.get('created', raw.get('date'))!r}")
    return created


def _created_if_told(raw: Raw) -> int | None:
    """A deleted object need not say when it was created."""
    # Invoices called it `date` until 2019.
    created = raw.get("created", raw.get("date"))
    return created if type(created) is int and 0 <= created <= _LAST_SECOND else None


_NONE = type(None)
_TYPES = {
    Kind.TEXT: frozenset({str, _NONE}),
    Kind.DECIMAL: frozenset({str, _NONE}),
    Kind.REF: frozenset({str, _NONE}),
    Kind.CURRENCY: frozenset({str, _NONE}),
    Kind.BOOL: frozenset({bool, _NONE}),
    Kind.INT: frozenset({int, _NONE}),
    Kind.MONEY: frozenset({int, _NONE}),
    Kind.TIMESTAMP: frozenset({int, _NONE}),
    Kind.JSON: frozenset({dict, list, _NONE}),
}
# 9999-12-31, where Python's dates end; BIGINT, where PostgreSQL's whole numbers do.
_LAST_SECOND = 253_402_300_799
_RANGES = {
    Kind.TIMESTAMP: (0, _LAST_SECOND),
    Kind.MONEY: (-(2**63), 2**63 - 1),
    Kind.INT: (-(2**63), 2**63 - 1),
}
_CHECKS = {entity: tuple((field.name, _TYPES[field.kind]) for field in fields) for entity, fields in FIELDS.items()}
_NUMBERS = {
    entity: tuple((field.name, *_RANGES[field.kind]) for field in fields if field.kind in _RANGES)
    for entity, fields in FIELDS.items()
}
_CHOICES = {
    entity: tuple((field.name, frozenset({None, *field.choices})) for field in fields if field.choices)
    for entity, fields in FIELDS.items()
}


def _check(entity: EntityType, values: Values) -> None:
    """Hold the values to the field table; an empty text becomes the absent one it is."""
    for name, types in _CHECKS[entity]:
        value = values[name]
        if type(value) not in types:
            raise Misfit(name, f"{name} is {type(value).__name__}")
        if value == "":
            values[name] = None
    for name, least, most in _NUMBERS[entity]:
        number = values[name]
        if number is not None and not least <= number <= most:  # type: ignore[operator]  # checked above
            raise Misfit(name, f"{name} is out of range: {number}", ReasonCode.VALUE_INVALID)
    for name, choices in _CHOICES[entity]:
        if values[name] not in choices:
            raise Misfit(name, f"unknown {name}: {values[name]!r}")


_VOLATILE = {entity: frozenset(field.name for field in fields if field.volatile) for entity, fields in FIELDS.items()}


def digest(entity: EntityType, mapped: Mapped) -> str:
    """32 hex digits that stand for the values whose difference is a change. Texts that differ in the order of keys only differ here too."""
    volatile = _VOLATILE[entity]
    packed = mapped.packed
    if volatile:
        packed = orjson.dumps({name: value for name, value in mapped.values.items() if name not in volatile})
    return blake2b(packed, digest_size=16).hexdigest()


def _pack(values: Values) -> tuple[Values, bytes]:
    try:
        packed = orjson.dumps(values)
        if NUL_IN_JSON not in packed:
            return values, packed
    except TypeError:
        # Half of a surrogate pair: text that no encoding holds.
        pass
    cleaned: Values = {key: _scrub(value) for key, value in values.items()}
    try:
        return cleaned, orjson.dumps(cleaned)
    except TypeError as odd:
        raise Misfit("object", f"a value does not fit: {odd}", ReasonCode.VALUE_INVALID) from odd


def has_nul(body: bytes) -> bool:
    """Whether a JSON text may hold a NUL; a false alarm costs one `clean`."""
    return NUL_IN_JSON in body


def clean(raw: Raw) -> Raw:
    """The object with every NUL, in keys too, replaced by U+FFFD; the same object when there is none."""
    try:
        if NUL_IN_JSON not in orjson.dumps(raw):
            return raw
    except TypeError:
        pass
    scrubbed: Raw = _scrub(raw)
    return scrubbed


def _scrub(value: Any) -> Any:
    if type(value) is str:
        return value.replace("\0", _REPLACEMENT).encode("utf-8", "replace").decode() if value else value
    if type(value) is dict:
        return {_scrub(key): _scrub(inner) for key, inner in value.items()}
    if type(value) is list:
        return [_scrub(inner) for inner in value]
    return value


_NESTED = {EntityType.SUBSCRIPTIONS: "items", EntityType.INVOICES: "lines"}


def nested_gap(entity: EntityType, raw: Raw) -> str | None:
    """What Stripe left out of the object and tells when asked, so that it must be asked before the object is mapped:
    a nested list cut short, or the tiers of a price in its other currencies. Of what has no id nothing can be asked.
    """
    if type(raw.get("id")) is not str:
        return None
    if entity is EntityType.PRICES:
        return "currency_options" if untold_currencies(raw) else None
    name = _NESTED.get(entity)
    nested = raw.get(name) if name else None
    return name if type(nested) is dict and nested.get("has_more") is True else None


def untold_currencies(raw: Raw) -> tuple[str, ...]:
    """The currencies in which a tiered price has tiers that were not sent: Stripe expands each by its name only."""
    options = raw.get("currency_options")
    if raw.get("billing_scheme") != "tiered" or type(options) is not dict:
        return ()
    return tuple(code for code, option in options.items() if type(option) is dict and "tiers" not in option)


def unsaid(entity: EntityType, raw: Raw) -> tuple[str, ...]:
    """Values that Stripe sends only when asked to expand them, and did not: events never hold them.

    They map to None, which is not news: whoever compares puts the stored ones in their place.
    """
    if entity is not EntityType.PRICES:
        return ()
    tiers = raw.get("billing_scheme") == "tiered" and not raw.get("tiers")
    return (("tiers",) if tiers else ()) + (() if "currency_options" in raw else ("currency_options",))


_REFERENCES: Mapping[EntityType, tuple[Field, ...]] = {
    entity: tuple(field for field in fields if field.parent) for entity, fields in FIELDS.items()
}


def parents_of(entity: EntityType, values: Values) -> tuple[tuple[EntityType, str], ...]:
    """All records that this one refers to, each once, the further items of a subscription included."""
    found: dict[tuple[EntityType, str], None] = {}
    for field in _REFERENCES[entity]:
        _note(found, field.parent, values.get(field.name))
    if entity is EntityType.SUBSCRIPTIONS:
        for item in _dicts(values.get("items")):
            _note(found, EntityType.PRODUCTS, item.get("product"))
            _note(found, EntityType.PRICES, item.get("price"))
    return tuple(found)


def _note(found: dict[tuple[EntityType, str], None], parent: EntityType | None, external_id: JsonValue) -> None:
    if parent is not None and type(external_id) is str:
        found[(parent, external_id)] = None


def _dicts(value: JsonValue) -> list[dict[str, JsonValue]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def describe(entity: EntityType, values: Values) -> str:
    """A few words by which a person recognises the record; empty when it has none (a deleted stub)."""
    if not values:
        return ""
    match entity:
        case EntityType.CUSTOMERS:
            return _first(values, "name", "email", "description")
        case EntityType.PRODUCTS:
            return _first(values, "name", "description")
        case EntityType.PRICES:
            return _first(values, "nickname", "lookup_key") or _amount(values)
        case EntityType.SUBSCRIPTIONS:
            count = len(_dicts(values["items"]))
            return (
                f"{word_label(values['provider_status'] or values['status'])}, {count} item{'' if count == 1 else 's'}"
            )
        case EntityType.INVOICES:
            name = values["number"] or f"{word_label(values['status'])} invoice"
            return f"{name}, {_money(values, 'total')}".rstrip(", ")


def _first(values: Values, *names: str) -> str:
    return next((str(values[name]) for name in names if values.get(name)), "")


def _money(values: Values, name: str) -> str:
    minor, currency = values[name], values["currency"]
    return format_money(minor if isinstance(minor, int) else None, str(currency))


def _amount(values: Values) -> str:
    amount = _money(values, "unit_amount_in_pennies")
    if not amount:
        amount = f"{values['currency']} {'tiered' if values['billing_scheme'] == 'tiered' else 'custom amount'}"
    if values["interval_type"] is None:
        return amount
    count = values["term_length"]
    return f"{amount} / {values['interval_type']}" if count == 1 else f"{amount} / {count} {values['interval_type']}s"
