"""What a person typed into a record's form, turned into values or into sentences about what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from sync_core.domain.fields import FIELDS, JsonValue, Kind, Values
from sync_core.domain.vocabulary import EntityType
from sync_core.errors import Refusal

# Stripe's own limits, so that what is kept here could be written there.
METADATA_KEYS, METADATA_KEY_LENGTH, METADATA_VALUE_LENGTH = 50, 40, 500
_LENGTHS: Mapping[tuple[EntityType, str], int] = MappingProxyType(
    {
        (EntityType.CUSTOMERS, "email"): 512,
        (EntityType.CUSTOMERS, "name"): 256,
        (EntityType.CUSTOMERS, "phone"): 20,
        (EntityType.CUSTOMERS, "description"): 5_000,
        (EntityType.PRODUCTS, "name"): 250,
        (EntityType.PRODUCTS, "description"): 40_000,
        (EntityType.PRODUCTS, "image_url"): 2_048,
        (EntityType.PRODUCTS, "url"): 2_048,
    }
)
_REQUIRED = frozenset({(EntityType.PRODUCTS, "name")})
_EMAIL = re.compile(r"[^@\s<>,;\"]+@[^@\s<>,;\".]+(\.[^@\s<>,;\".]+)+")
_WEB = re.compile(r"https?://[^\s/]+\S*")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Typed:
    """A form as it was sent: text by field name (a switch as "on" or "off"), metadata as rows in their order.

    `version` is the row_version that the form was opened with.
    """

    version: int
    texts: Mapping[str, str]
    metadata: Sequence[tuple[str, str]]


def editable(entity: EntityType) -> tuple[str, ...]:
    """The fields that are ours to edit; empty for what only Stripe decides."""
    return tuple(field.name for field in FIELDS[entity] if field.editable)


def check(entity: EntityType, typed: Typed, before: Values) -> tuple[Values, list[Refusal]]:
    """The values with what was typed over `before`, and everything that is wrong with it.

    A field left as it was is never refused: it may come from Stripe, whose rules were others once.
    """
    values, refusals = dict(before), list[Refusal]()
    for field in FIELDS[entity]:
        if not field.editable or (field.name != "metadata" and field.name not in typed.texts):
            continue
        value: JsonValue
        if field.name == "metadata":
            value, wrong = _metadata(typed.metadata)
        elif field.kind is Kind.BOOL:
            value, wrong = typed.texts[field.name] == "on", []
        else:
            value = typed.texts[field.name].strip() or None
            wrong = _text(entity, field.name, field.label, value)
        if value != before.get(field.name):
            values[field.name] = value
            refusals += wrong
    return values, refusals


def _text(entity: EntityType, name: str, label: str, value: str | None) -> list[Refusal]:
    def refused(message: str) -> list[Refusal]:
        return [Refusal("value_invalid", message, name)]

    if value is None:
        return refused(f"{label} is needed.") if (entity, name) in _REQUIRED else []
    limit = _LENGTHS[entity, name]
    if len(value) > limit:
        return refused(f"{label} may have {limit:,} characters; this has {len(value):,}.")
    if _CONTROL.search(value):
        return refused(f"{label} has a character that cannot be written.")
    if name == "email" and not _EMAIL.fullmatch(value):
        return refused("That is no email address: write it like name@example.com.")
    if name.endswith("url") and not _WEB.fullmatch(value):
        return refused(f"{label} is a web address, starting with https://.")
    return []


def _metadata(rows: Sequence[tuple[str, str]]) -> tuple[dict[str, JsonValue], list[Refusal]]:
    kept = [(key.strip(), value) for key, value in rows if key.strip() or value.strip()]
    sentences = [sentence for place, one in enumerate(kept) if (sentence := _wrong_row(one, kept[:place]))]
    if len(kept) > METADATA_KEYS:
        sentences.append(f"Metadata may have {METADATA_KEYS} keys; this has {len(kept)}.")
    return dict(kept), [Refusal("value_invalid", sentence, "metadata") for sentence in sentences]


def _wrong_row(row: tuple[str, str], before: Sequence[tuple[str, str]]) -> str:
    key, value = row
    if not key:
        return f"The value “{value[:30]}” has no key."
    if len(key) > METADATA_KEY_LENGTH:
        return f"The key “{key[:30]}…” has {len(key)} characters; {METADATA_KEY_LENGTH} are allowed."
    if "[" in key or "]" in key:
        return f"The key “{key}” has a square bracket, which Stripe does not take."
    if any(key == other for other, _ in before):
        return f"The key “{key}” is there twice."
    if len(value) > METADATA_VALUE_LENGTH:
        return f"The value of “{key}” has {len(value)} characters; {METADATA_VALUE_LENGTH} are allowed."
    if _CONTROL.search(key + value):
        return f"The row “{key}” has a character that cannot be written."
    return ""
