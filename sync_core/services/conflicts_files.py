"""Conflicts out as a file, decisions in from one. What comes in goes through the same preview as a rule."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sync_core.domain.conflict_rules import Rule
from sync_core.domain.custom_values import parse, unwritable
from sync_core.domain.fields import FIELDS, JsonValue, Values
from sync_core.domain.resolution import Taken
from sync_core.domain.vocabulary import Choice, ConflictStatus, EntityType
from sync_core.errors import Refusal
from sync_core.services.actor import Actor, Permission
from sync_core.services.conflict_bulk_views import BulkPreview, NotCovered
from sync_core.services.conflict_facets import FORBIDDEN
from sync_core.services.conflicts_bulk import seal
from sync_core.store import conflict_previews as previews
from sync_core.store import conflicts as store
from sync_core.store.conflict_query import ConflictQuery
from sync_core.store.conflicts import Position, StoredConflict
from sync_core.store.database import Database

HEADER = (
    "id",
    "revision",
    "entity_type",
    "label",
    "external_id",
    "reason",
    "field",
    "local",
    "base",
    "stripe",
    "choice",
    "value",
)
MOST_LINES = 50_000
_BATCH = 500
_NAMED = 10
_MOST_DIGITS = 18
Known = Mapping[UUID, tuple[EntityType, int, ConflictStatus]]
"""Of conflicts that a file names: what is there."""
# What a spreadsheet would take for a formula; the apostrophe that keeps it from doing so is taken off again on import.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def safe(value: JsonValue) -> str:
    """A cell that no spreadsheet executes."""
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.startswith(_FORMULA) else text


async def export_csv(database: Database, actor: Actor, query: ConflictQuery) -> AsyncIterator[str]:
    """A line per field, to be read, filled in under `choice` and brought back. Nothing for those who may not look."""
    yield _line(HEADER)
    async for found in _all(database, actor, query):
        yield "".join(_line(row) for row in _rows(found))


async def export_json(database: Database, actor: Actor, query: ConflictQuery) -> AsyncIterator[str]:
    """A JSON object a line."""
    async for found in _all(database, actor, query):
        shown = {
            "id": str(found.id),
            "revision": found.revision,
            "entity_type": found.entity_type,
            "external_id": found.external_id,
            "label": found.label,
            "reason": found.reason_code,
            "fields": found.fields,
            "local": found.local,
            "base": found.base,
            "stripe": found.theirs,
            "choices": found.choices,
        }
        yield json.dumps(shown, ensure_ascii=False) + "\n"


async def _all(database: Database, actor: Actor, query: ConflictQuery) -> AsyncIterator[StoredConflict]:
    if not actor.can(Permission.VIEW):
        return
    query = query.by(actor.user_id)
    at: Position | None = None
    while True:
        async with database.workspace(actor.workspace_id) as session:
            among = await store.cells_for(session, actor.workspace_id, query)
            found = await store.page(session, actor.workspace_id, query, at, _BATCH, among)
        for one in found:
            yield one
        if len(found) < _BATCH:
            return
        at = found[-1].place(query.sort)


def _rows(found: StoredConflict) -> Iterator[tuple[str, ...]]:
    dispute = found.dispute
    # A key is a line of its own where it has been chosen for by itself: brought back, it is not to be missing.
    keys = [key for key in found.choices if "." in key]
    for name in [*(["record"] if dispute.asks_record else []), *dispute.differing, *keys]:
        taken = found.choices.get(name, {})
        yield (
            str(found.id),
            str(found.revision),
            found.entity_type,
            safe(found.label),
            safe(found.external_id),
            found.reason_code,
            name,
            *(safe(_at(side or {}, name)) for side in (found.local, found.base, found.theirs)),
            str(taken.get("take", "")),
            safe(taken.get("value")),
        )


def _at(side: Values, name: str) -> JsonValue:
    field, _, key = name.partition(".")
    value = side.get(field)
    return value.get(key) if key and isinstance(value, dict) else None if key else value


def _line(cells: tuple[str, ...]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(cells)
    return out.getvalue()


@dataclass(frozen=True, slots=True)
class _Decision:
    line: int
    conflict_id: UUID
    revision: int
    field: str
    take: Choice
    value: JsonValue
    typed: bool


async def import_preview(database: Database, actor: Actor, text: str) -> BulkPreview | Refusal:
    """A preview of the decisions in a file: CSV as exported, or JSON objects {"id", "revision", "field", "choice", "value"}.

    Lines without a choice are passed over. A line that makes no sense refuses the whole file, by its number. What has changed since the
    file was written is left out, and said.
    """
    if not actor.can(Permission.RESOLVE_CONFLICTS):
        return FORBIDDEN
    try:
        # In a thread: tens of thousands of lines would hold everybody else up for as long as they take.
        decisions = await asyncio.to_thread(lambda: list(_decisions(text)))
    except ValueError as wrong:
        return Refusal("file_invalid", str(wrong), field="decisions")
    if not decisions:
        return Refusal("file_invalid", "There is no decision in it: fill in the column “choice”.", field="decisions")
    async with database.workspace(actor.workspace_id) as session:
        known = await store.ids_by_key(session, actor.workspace_id, [*{one.conflict_id for one in decisions}])
        try:
            items = await asyncio.to_thread(_items, decisions, known)
        except ValueError as wrong:
            return Refusal("file_invalid", str(wrong), field="decisions")
        preview_id = await previews.create(session, actor.workspace_id, actor.label, {"import": len(decisions)})
        await previews.add_items(session, actor.workspace_id, preview_id, items)
        return await seal(session, actor, preview_id, Rule(), _not_covered(decisions, known))


def _not_covered(decisions: Sequence[_Decision], known: Known) -> tuple[NotCovered, ...]:
    """The conflicts for which the file comes too late."""
    asked = {one.conflict_id: one for one in decisions}
    gone = [one for key, one in asked.items() if not _is_open(known, key)]
    moved = [one for key, one in asked.items() if _is_open(known, key) and known[key][1] != one.revision]
    lines = "line " if len(moved) == 1 else "lines "
    lines += ", ".join(str(one.line) for one in moved[:_NAMED]) + ("…" if len(moved) > _NAMED else "")
    found = (
        ("They are settled already, or not of this workspace.", gone),
        (f"They have changed since the file was written: {lines}.", moved),
    )
    return tuple(NotCovered(why, len(several)) for why, several in found if several)


def _is_open(known: Known, conflict_id: UUID) -> bool:
    return conflict_id in known and known[conflict_id][2] is ConflictStatus.OPEN


def _decisions(text: str) -> Iterator[_Decision]:
    lines = text.lstrip("\ufeff").strip()
    rows = _json_rows(lines) if lines[:1] in ("{", "[") else _csv_rows(lines)
    for number, row in rows:
        if number > MOST_LINES:
            raise ValueError(f"A file may have {MOST_LINES:,} lines; bring the rest in a second one.")
        if str(row.get("choice") or "").strip():
            yield _decision(number, row)


def _csv_rows(text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text))
    missing = {"id", "revision", "field", "choice"} - set(reader.fieldnames or ())
    if text and missing:
        raise ValueError(f"The first line names the columns; {', '.join(sorted(missing))} is missing.")
    try:
        for row in reader:
            # A cell that is not there is no empty one, which would empty the field.
            there = {name: cell for name, cell in row.items() if cell is not None}
            yield reader.line_num, {**there, "typed": True}
    except csv.Error as wrong:
        raise ValueError(f"Line {reader.line_num}: {wrong}.") from None


def _json_rows(text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        found = (
            json.loads(text) if text.startswith("[") else [json.loads(one) for one in text.splitlines() if one.strip()]
        )
    except ValueError:
        raise ValueError("That is not JSON: one object a line, or a list of them.") from None
    for number, row in enumerate(found, 1):
        if not isinstance(row, dict):
            raise ValueError(f"Line {number} is not an object.")  # noqa: TRY004 - a sentence for a person
        yield number, {**row, "typed": False}


def _decision(number: int, row: Mapping[str, Any]) -> _Decision:
    if unwritable([row.get("field"), row.get("value")]):
        raise ValueError(f"Line {number}: there is something in it that cannot be written.")
    try:
        take = Choice(str(row["choice"]).strip().lower())
        value = row["value"] if take is Choice.CUSTOM else row.get("value")
        if row["typed"] and isinstance(value, str) and value.startswith("'") and value[1:].startswith(_FORMULA):
            value = value[1:]
        return _Decision(
            number,
            UUID(str(row["id"])),
            _revision(row["revision"]),
            str(row["field"]).strip(),
            take,
            value,
            bool(row["typed"]),
        )
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"Line {number}: it needs an id, a revision, a field and a choice (local, stripe, base or custom, which needs a value)."
        ) from None


def _revision(cell: object) -> int:
    text = str(cell).strip()
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise ValueError(text)
    return int(text)


def _items(decisions: list[_Decision], known: Known) -> list[dict[str, Any]]:
    """One item per conflict, entity type by entity type. Raises ValueError, naming the line."""
    items: dict[UUID, dict[str, Any]] = {}
    for one in decisions:
        if not _is_open(known, one.conflict_id):
            continue
        found = known[one.conflict_id]
        item = items.setdefault(
            one.conflict_id,
            {
                "entity_type": found[0].value,
                "conflict_id": str(one.conflict_id),
                "revision": one.revision,
                "choices": {},
            },
        )
        if item["revision"] != one.revision:
            raise ValueError(f"Line {one.line}: this conflict is there with two revisions.")
        if one.field in item["choices"]:
            raise ValueError(f"Line {one.line}: an earlier line decides this field already.")
        item["choices"][one.field] = Taken(one.take, _value(one, found[0])).to_json()
    fresh = [item for item in items.values() if known[UUID(item["conflict_id"])][1] == item["revision"]]
    return sorted(fresh, key=lambda item: (item["entity_type"], item["conflict_id"]))


def _value(one: _Decision, entity: EntityType) -> JsonValue:
    if one.take is not Choice.CUSTOM or not one.typed:
        return one.value
    named = next((field for field in FIELDS[entity] if field.name == one.field), None)
    if named is None or not isinstance(one.value, str):
        return one.value
    try:
        # Amounts in a file are minor units, as they were exported: a file has no currency to read them by.
        return int(one.value) if named.money else parse(named, one.value, None)
    except ValueError as wrong:
        raise ValueError(f"Line {one.line}: {wrong}") from None
