"""A record's form: what it opens with, what was sent, and what is wrong beside each field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sync_core.domain.fields import FIELDS, Field, JsonValue, Kind, Values
from sync_core.domain.vocabulary import EntityType
from sync_core.errors import Refusal
from sync_core.services.record_edits import METADATA_KEYS, Typed, editable

_KEY, _VALUE = "metadata-key-", "metadata-value-"
_LONG = frozenset({"description"})
_TYPES = {"email": "email", "phone": "tel", "url": "url", "image_url": "url"}


@dataclass(frozen=True, slots=True)
class FormField:
    """`kind` is `text`, `long`, `switch`, or `kept` for what is too long to be edited here; `stored` is what somebody else has saved
    meanwhile, in words.
    """

    name: str
    label: str
    kind: str
    value: str
    input_type: str = "text"
    error: str = ""
    stored: str = ""


@dataclass(frozen=True, slots=True)
class MetadataRow:
    """`place` names the row's inputs for as long as the form is open; a `fresh` one was just asked for and takes the focus."""

    place: str
    key: str
    value: str
    key_name: str
    value_name: str
    fresh: bool = False


def fields_of(entity: EntityType, values: Values) -> list[FormField]:
    return [
        FormField(
            name=field.name,
            label=field.label,
            kind=_kind(field),
            value=_text(field, values.get(field.name)),
            input_type=_TYPES.get(field.name, "text"),
        )
        for field in FIELDS[entity]
        if field.editable and field.name != "metadata"
    ]


def _kind(field: Field) -> str:
    if field.kind is Kind.BOOL:
        return "switch"
    return "long" if field.name in _LONG else "text"


def _text(field: Field, value: JsonValue) -> str:
    if field.kind is Kind.BOOL:
        return "on" if value else "off"
    return "" if value is None else str(value)


def editable_here(fields: list[FormField], most: int) -> list[FormField]:
    """The longest of them are kept as they are, until what is left takes so many bytes at most."""
    sizes = {field.name: len(json.dumps(field.value, ensure_ascii=False).encode()) for field in fields}
    over, kept = sum(sizes.values()) - most, set[str]()
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        if over <= 0:
            break
        kept.add(name)
        over -= sizes[name]
    return [
        replace(field, kind="kept", value=f"{len(field.value):,}") if field.name in kept else field for field in fields
    ]


def metadata_of(values: Values) -> list[MetadataRow]:
    return [metadata_row(place, key, value) for place, (key, value) in enumerate(pairs_of(values))]


def pairs_of(values: Values) -> list[tuple[str, str]]:
    metadata = values.get("metadata")
    pairs = metadata.items() if isinstance(metadata, dict) else ()
    return [(key, value if isinstance(value, str) else json.dumps(value)) for key, value in pairs]


def metadata_row(place: int, key: str = "", value: str = "", *, fresh: bool = False) -> MetadataRow:
    return MetadataRow(str(place), key, value, f"{_KEY}{place}", f"{_VALUE}{place}", fresh)


def typed_of(entity: EntityType, version: int, sent: Mapping[str, object]) -> Typed:
    """What a browser sent, whatever it is: unknown names are passed over, and a switch that is off is not sent at all."""
    texts = {name: str(sent[name]) for name in editable(entity) if isinstance(sent.get(name), str)}
    switches = {field.name for field in FIELDS[entity] if field.editable and field.kind is Kind.BOOL}
    texts |= {name: "on" if sent.get(name) in (True, "on", "true") else "off" for name in switches}
    places = sorted({place for name in sent for place in _place(name)})
    rows = [(str(sent.get(f"{_KEY}{one}") or ""), str(sent.get(f"{_VALUE}{one}") or "")) for one in places]
    return Typed(version, texts, rows[: 2 * METADATA_KEYS])


def _place(name: object) -> list[int]:
    """Which metadata row an input's name belongs to, if to one at all."""
    rest = str(name).removeprefix(_KEY).removeprefix(_VALUE)
    return [int(rest)] if rest != name and rest.isascii() and rest.isdecimal() and len(rest) < 5 else []


def with_errors(fields: list[FormField], refusals: tuple[Refusal, ...]) -> list[FormField]:
    """Each field with its own sentence; those of no field of the form are left to the caller."""
    sentences = {one.field: one.message for one in reversed(refusals)}
    return [replace(field, error=sentences.get(field.name, ""), stored="") for field in fields]


def with_stored(fields: list[FormField], entity: EntityType, opened: Values, stored: Values) -> list[FormField]:
    """Each field that somebody changed since the form was opened, with what is stored now."""
    known = {field.name: field for field in FIELDS[entity]}
    return [
        replace(
            field,
            error="",
            stored=_in_words(known[field.name], stored.get(field.name))
            if stored.get(field.name) != opened.get(field.name)
            else "",
        )
        for field in fields
    ]


def _in_words(field: Field, value: JsonValue) -> str:
    if field.kind is Kind.BOOL:
        return "Yes" if value else "No"
    return str(value) if value else "(empty)"
