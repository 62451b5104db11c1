"""A value of a person's own for a field: read from what was typed, and held to what the field may be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from sync_core.domain.fields import Field, JsonValue, Kind
from sync_core.domain.money import known_currency, normalise_decimal, parse_money
from sync_core.domain.vocabulary import EntityType

_TRUE, _FALSE = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0"})
_REQUIRED = frozenset(
    {
        (EntityType.PRODUCTS, "name"),
        (EntityType.PRODUCTS, "active"),
        (EntityType.PRICES, "active"),
        (EntityType.PRICES, "currency"),
        (EntityType.PRICES, "type"),
        (EntityType.SUBSCRIPTIONS, "status"),
        (EntityType.SUBSCRIPTIONS, "cancel_at_period_end"),
    }
)
_LARGEST = 2**63 - 1
_LONGEST = 40_000


def allowed(one: Field) -> bool:
    """A reference is an id that Stripe gave: it is taken from a side, not typed."""
    return one.kind is not Kind.REF and not one.volatile


def parse(one: Field, typed: str, currency: str | None) -> JsonValue:
    """The value that a person typed; nothing typed is no value. Raises ValueError with a sentence for them."""
    text = typed.strip()
    if not text and one.name != "metadata":
        return None
    match one.kind:
        case Kind.BOOL:
            return _parse_bool(one, text)
        case Kind.INT:
            return _parse_int(one, text)
        case Kind.MONEY:
            return parse_money(text, currency or "")
        case Kind.DECIMAL:
            return normalise_decimal(text)
        case Kind.TIMESTAMP:
            return _parse_time(one, text)
        case Kind.CURRENCY:
            return text.upper()
        case Kind.JSON:
            return _parse_json(one, text or "{}")
        case _:
            return text


def _parse_bool(one: Field, text: str) -> bool:
    word = text.lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(f"{one.label} is yes or no.")
    return word in _TRUE


def _parse_int(one: Field, text: str) -> int:
    try:
        return int(text.replace(",", ""))
    except ValueError as none:
        raise ValueError(f"{one.label} is a whole number.") from none


def _parse_time(one: Field, text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as none:
        raise ValueError(f"{one.label} is a date, like 2026-01-31 or 2026-01-31T12:00:00Z.") from none
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _parse_json(one: Field, text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(text)
    except ValueError as none:
        raise ValueError(f"{one.label} is written as JSON.") from none
    return value


def checked(entity: EntityType, one: Field, value: JsonValue) -> str:
    """What is wrong with a value for the field, as a sentence; empty when it fits."""
    if not allowed(one):
        return f"{one.label} can be taken from a side, but not typed."
    if value is None:
        return f"{one.label} is needed." if (entity, one.name) in _REQUIRED or one.name == "metadata" else ""
    if one.choices and value not in one.choices:
        return f"{one.label} is one of: {', '.join(one.choices)}."
    return _misfit(one, value)


def _misfit(one: Field, value: JsonValue) -> str:
    match one.kind:
        case Kind.BOOL:
            return "" if isinstance(value, bool) else f"{one.label} is yes or no."
        case Kind.INT | Kind.MONEY | Kind.TIMESTAMP:
            whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST
            return "" if whole else f"{one.label} is a whole number."
        case Kind.DECIMAL:
            return "" if _is_decimal(value) else f"{one.label} is a decimal number, like 12.5."
        case Kind.CURRENCY:
            known = isinstance(value, str) and known_currency(value) == value
            return "" if known else f"{one.label} is a currency code, like USD."
        case Kind.JSON:
            return described(one.name, value)
        case _:
            return _misfit_text(one, value)


def _misfit_text(one: Field, value: JsonValue) -> str:
    if not isinstance(value, str):
        return f"{one.label} is a text."
    if len(value) > _LONGEST:
        return f"{one.label} may have {_LONGEST:,} characters."
    return f"{one.label} has a character that cannot be written." if unwritable(value) else ""


def _is_decimal(value: JsonValue) -> bool:
    try:
        return isinstance(value, str) and normalise_decimal(value) == value
    except ValueError:
        return False


def unwritable(value: object) -> bool:
    """Whether there is something in it that PostgreSQL keeps nowhere: NUL, half of a character, a number that is none."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode()
    except (ValueError, RecursionError):
        return True
    # An escaped backslash may stand before a plain “u0000”.
    return "\\u0000" in text.replace("\\\\", "")


def described(name: str, value: JsonValue) -> str:
    """What is wrong with the value of a JSON field. Metadata are texts by key, as in Stripe."""
    if unwritable(value):
        return "There is something in it that cannot be written."
    if name != "metadata":
        return "" if isinstance(value, dict | list) else "This is an object or a list, written as JSON."
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for text in value.values()):
        return 'Metadata are texts by key, like {"plan": "gold"}.'
    return ""
