"""Conflicts as the screen shows them: small frozen rows with every word and address ready."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from sync_core.domain.diff import char_diff
from sync_core.domain.fields import FIELDS, Field, JsonValue, Kind
from sync_core.domain.vocabulary import Choice, ConflictStatus, EntityType, ReasonCode
from sync_core.services.conflict_views import ConflictRow, ConflictView, Facets, FieldView, NestedView
from sync_core.services.conflicts import ConflictQuery
from sync_core.services.record_views import When, pretty, value_text

PATH = "/conflicts"
EXPORTS = "/exports/conflicts"
NOTHING = "—"
SEARCH_LENGTH = 100
_LONGEST = 2_000
_MOST_MARKS = 4
_FIELDS = frozenset(one.name for fields in FIELDS.values() for one in fields)
_WORDS: Mapping[str, type[EntityType | ReasonCode | ConflictStatus]] = {
    "entity": EntityType,
    "reason": ReasonCode,
    "status": ConflictStatus,
}
TAKES = {Choice.LOCAL: "Ours", Choice.STRIPE: "Stripe", Choice.BASE: "Last sync", Choice.CUSTOM: "Own value"}


def query_of(parameters: Mapping[str, str]) -> ConflictQuery:
    """What an address asks for; what it makes up is passed over."""
    words: dict[str, Any] = {}
    for name, kind in _WORDS.items():
        value = parameters.get(name, "")
        if value in {one.value for one in kind}:
            words[name] = kind(value)
    named = parameters.get("field", "")
    search = parameters.get("q", "").replace("\x00", "").strip()[:SEARCH_LENGTH]
    return ConflictQuery(
        **words,
        field=named if named in _FIELDS else None,
        search=search,
        session_id=_uuid(parameters.get("run", "")),
        assignee=parameters.get("assignee", "").replace("\x00", "")[:SEARCH_LENGTH] or None,
        snoozed=parameters.get("snoozed") == "1",
    )


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def filters_of(query: ConflictQuery) -> dict[str, str]:
    named = {
        "entity": query.entity.value if query.entity else "",
        "field": query.field or "",
        "reason": query.reason.value if query.reason else "",
        "run": str(query.session_id) if query.session_id else "",
        "assignee": query.assignee or "",
        "q": query.search,
        "status": "" if query.status is ConflictStatus.OPEN else query.status.value,
        "snoozed": "1" if query.snoozed else "",
    }
    return {name: value for name, value in named.items() if value}


def address(query: ConflictQuery, path: str = PATH, **more: str) -> str:
    parameters = {name: value for name, value in {**filters_of(query), **more}.items() if value}
    return f"{path}?{urlencode(parameters)}" if parameters else path


@dataclass(frozen=True, slots=True)
class ChipRow:
    label: str
    glyph: str


@dataclass(frozen=True, slots=True)
class ListRow:
    """Kept small: a page of these is one message to the browser, and that is to stay below 16 kB."""

    id: str
    entity: str
    label: str
    external_id: str
    reason: str
    chips: list[ChipRow]
    age: str
    at: str
    note: str


GLYPHS = {"+": "only in Stripe", "−": "only here", "~": "differs", "": "more"}  # noqa: RUF001 - a minus
_GLYPH_OF = {"added": "+", "removed": "−", "changed": "~"}  # noqa: RUF001 - the same
_MOST_CHIPS = 3


def list_row(row: ConflictRow, zone: str) -> ListRow:
    at = row.resolved_at or row.created_at
    chips = [ChipRow(chip.label, _GLYPH_OF[chip.change]) for chip in row.chips[:_MOST_CHIPS]]
    rest = len(row.chips) - _MOST_CHIPS
    return ListRow(
        id=str(row.id),
        entity=row.entity.value,
        label=row.label,
        external_id=row.external_id,
        reason=row.reason.label,
        chips=[*chips, ChipRow(f"+{rest}", "")] if rest > 0 else chips,
        age=age(at),
        at=When.of(at, zone).text,
        note=_note(row),
    )


def _note(row: ConflictRow) -> str:
    if row.resolved_by:
        return f"Settled by {row.resolved_by}"
    chosen = f"{row.answered} of {row.questions} chosen" if row.answered else ""
    return " · ".join(filter(None, [chosen, f"For {row.assignee}" if row.assignee else ""]))


_STEPS = ((60, "s"), (60, "min"), (24, "h"), (365, "d"))


def age(at: datetime) -> str:
    number: float = max(0.0, (datetime.now(UTC) - at).total_seconds())
    for size, unit in _STEPS:
        if number < size:
            return f"{int(number)} {unit}"
        number /= size
    return f"{int(number)} y"


@dataclass(frozen=True, slots=True)
class FacetItem:
    label: str
    count: str
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class FacetGroup:
    label: str
    options: list[FacetItem]


def facet_groups(facets: Facets, query: ConflictQuery, zone: str) -> list[FacetGroup]:
    runs = [replace(one, label=_run_label(one.label, zone)) for one in facets.session]
    groups = [
        ("Entity type", "entity", facets.entity, query.entity and query.entity.value),
        ("Field", "field", facets.field, query.field),
        ("Why", "reason", facets.reason, query.reason and query.reason.value),
        ("Sync", "run", runs, query.session_id and str(query.session_id)),
        ("Assigned to", "assignee", facets.assignee, query.assignee),
    ]
    return [
        FacetGroup(label, [_facet(query, name, one.value, one.label, one.count, chosen) for one in values])
        for label, name, values, chosen in groups
        if values
    ]


def _facet(query: ConflictQuery, name: str, value: str, label: str, count: int, chosen: str | None) -> FacetItem:
    """Choosing what is chosen takes the filter off."""
    current = value == chosen
    return FacetItem(label, f"{count:,}", address(query, **{name: "" if current else value}), current)


def _run_label(started: str, zone: str) -> str:
    return When.of(datetime.fromisoformat(started), zone).text if started else "Unknown"


@dataclass(frozen=True, slots=True)
class Seg:
    """A piece of a text: same, added (not in the other side) or removed."""

    op: str
    text: str


@dataclass(frozen=True, slots=True)
class ChoiceRow:
    """One line to choose for: a field, or a key inside one. `local` and `theirs` are marked against the last sync, or each other."""

    key: str
    label: str
    needed: bool
    nested: bool
    folded: str
    base: str
    local: list[Seg]
    theirs: list[Seg]
    result: str
    settled: bool
    take: str
    by: str
    has_base: bool
    custom: bool
    choosable: bool
    editor: str
    options: list[str]
    typed: str


def choice_rows(view: ConflictView, zone: str) -> list[ChoiceRow]:
    rows: list[ChoiceRow] = []
    for one in view.fields:
        rows.append(_field_row(view, one, zone))
        rows += [_nested_row(view, one, inner) for inner in one.nested]
    return rows


def _field_row(view: ConflictView, one: FieldView, zone: str) -> ChoiceRow:
    def text(value: JsonValue) -> str:
        return value_text(one.field, value, {"currency": view.currency}, zone)[:_LONGEST]

    texts = text(one.local), text(one.base), text(one.theirs)
    folded = f"{plural(len(one.nested), 'place')} inside, below" if one.nested else ""
    return ChoiceRow(
        key=one.name,
        label=one.label,
        needed=one.needed,
        nested=False,
        folded=folded,
        base=texts[1] if view.base_known else "",
        local=[] if folded else _marked(texts[0], texts[1] if view.base_known else texts[2]),
        theirs=[] if folded else _marked(texts[2], texts[1] if view.base_known else texts[0]),
        result=text(one.result) if one.settled else "",
        settled=one.settled,
        take=one.take.value if one.take else "",
        by=one.taken_by,
        has_base=view.base_known,
        custom=one.custom,
        choosable=True,
        editor=_editor(one.field),
        options=list(one.field.choices),
        typed=_typed(one.field, one.result if one.settled else one.local, texts[0]),
    )


def _editor(one: Field) -> str:
    if one.choices:
        return "choices"
    return {Kind.BOOL: "bool", Kind.JSON: "json"}.get(one.kind, "text")


def _typed(field: Field, value: JsonValue, shown: str) -> str:
    """What stands in the editor at first: as it would be typed, not as it is shown."""
    match field.kind:
        case Kind.TIMESTAMP if isinstance(value, int):
            return datetime.fromtimestamp(value, UTC).isoformat().replace("+00:00", "Z")
        case Kind.BOOL:
            return "yes" if value else "no"
        case Kind.JSON | Kind.MONEY:
            return value_text(field, value, {}, "UTC") if field.kind is Kind.JSON else shown
        case _:
            return "" if value is None else str(value)


def _nested_row(view: ConflictView, one: FieldView, inner: NestedView) -> ChoiceRow:
    texts = _plain(inner.local), _plain(inner.base), _plain(inner.theirs)
    against = (texts[1], texts[1]) if view.base_known else (texts[2], texts[0])
    taken = {Choice.LOCAL: texts[0], Choice.BASE: texts[1], Choice.STRIPE: texts[2], Choice.CUSTOM: _plain(inner.value)}
    return ChoiceRow(
        key=inner.key or f"{one.name}/{inner.label}",
        label=inner.label,
        needed=False,
        nested=True,
        folded="",
        base=texts[1] if view.base_known else "",
        local=_marked(texts[0], against[0]),
        theirs=_marked(texts[2], against[1]),
        result=taken[inner.take] if inner.take else "",
        settled=inner.take is not None,
        take=inner.take.value if inner.take else "",
        by="",
        has_base=view.base_known,
        custom=inner.key is not None and one.name == "metadata",
        choosable=inner.key is not None,
        editor="text",
        options=[],
        typed=texts[0],
    )


def _plain(value: JsonValue) -> str:
    return value if isinstance(value, str) else "" if value is None else pretty(value)


def _marked(text: str, other: str) -> list[Seg]:
    """The text with what the other side has not. What it lacks is shown only where nothing stands in its place: the other is beside it."""
    steps = char_diff(other, text)
    if sum(op != "same" for op, _ in steps) > _MOST_MARKS:
        # Two different sentences share letters by chance: only their common ends mean something.
        head, tail = (steps[0], steps[-1]) if steps else (("", ""), ("", ""))
        start = len(head[1]) if head[0] == "same" else 0
        end = len(tail[1]) if tail[0] == "same" else 0
        steps = [("same", text[:start]), ("added", text[start : len(text) - end]), ("same", text[len(text) - end :])]
    changed = not text or any(op == "added" for op, _ in steps)
    return [Seg(op, piece) for op, piece in steps if piece and (op != "removed" or not changed)]


@dataclass(frozen=True, slots=True)
class DecisionRow:
    id: str
    said: str
    at: str
    utc: str
    undone: str
    undoable: bool


def decision_rows(view: ConflictView, zone: str) -> list[DecisionRow]:
    labels = {one.name: one.label for one in FIELDS[view.row.entity]} | {"record": "Record"}
    return [
        DecisionRow(
            str(one.id),
            f"{one.actor} chose "
            + (
                ", ".join(f"{labels.get(key, key)}: {TAKES[made.take]}" for key, made in one.choices.items())
                or "nothing"
            ),
            When.of(one.created_at, zone).text,
            When.of(one.created_at, zone).utc,
            f"taken back by {one.undone_by}" if one.undone_by else "",
            one.undoable,
        )
        for one in view.decisions
    ]


def plural(count: int, word: str) -> str:
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def said(facets: Facets, query: ConflictQuery) -> str:
    """The list's own headline, whatever is filtered."""
    word = "open" if query.status is ConflictStatus.OPEN else "settled"
    if facets.matching == facets.total:
        return f"{plural(facets.total, f'{word} conflict')}"
    return f"{facets.matching:,} of {plural(facets.total, f'{word} conflict')} match"


def chosen_filters(query: ConflictQuery, groups: Iterable[FacetGroup]) -> list[FacetItem]:
    """What the list is narrowed by, each with the address without it."""
    chips = [item for group in groups for item in group.options if item.current]
    if query.search:
        chips.append(FacetItem(f"“{query.search}”", "", address(query, q=""), current=True))
    return chips
