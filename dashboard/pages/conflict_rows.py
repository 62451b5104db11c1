"""Conflicts as the screen shows them: small frozen rows with every word and address ready."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from dashboard.formatting import plural
from sync_core.domain.conflict_rules import Take
from sync_core.domain.diff import char_diff
from sync_core.domain.fields import FIELDS, Field, JsonValue, Kind
from sync_core.domain.mentions import pieces
from sync_core.domain.newer import Change
from sync_core.domain.resolution import RECORD, Taken
from sync_core.domain.value_words import in_words, is_worded
from sync_core.domain.vocabulary import Blend, Choice, ConflictStatus, Doubt, Severity, Strategy
from sync_core.services.conflict_views import ConflictRow, ConflictView, FieldView, NestedView
from sync_core.services.record_views import When, pretty, value_text
from sync_core.store.conflicts import Comment
from sync_core.store.record_details import DEPENDENTS_END

NOTHING = "—"
SYNC = "sync"
"""Who has settled what a run found to be equal."""
_LONGEST = 2_000
_MOST_MARKS = 4
TAKES: Mapping[Take, str] = {
    Choice.LOCAL: "Ours",
    Choice.STRIPE: "Stripe",
    Choice.BASE: "Last sync",
    Choice.CUSTOM: "Own value",
    Blend.NEWER: "The newer",
}


@dataclass(frozen=True, slots=True)
class ChipRow:
    label: str
    glyph: str


@dataclass(frozen=True, slots=True)
class ListRow:
    """Kept small: a page of these is one message to the browser, and that is to stay below 16 kB. What differs in `few` fields is decided
    in its row by a click beside its name. `slot` is the row of the table that shows it.
    """

    id: str
    entity: str
    label: str
    external_id: str
    reason: str
    chips: list[ChipRow]
    age: str
    at: str
    note: str
    high: bool
    reopened: bool
    few: bool
    slot: int = 0


GLYPHS = {"+": "only in Stripe", "−": "only here", "~": "differs", "": "more"}  # noqa: RUF001 - a minus
_GLYPH_OF = {"added": "+", "removed": "−", "changed": "~"}  # noqa: RUF001 - the same
_MOST_CHIPS = 3
_FEW = 3


RUN_SAID = {
    Strategy.SKIP: "It was to skip records that exist here, so it asks about none",
    Strategy.OVERWRITE: "It was to overwrite what differs, so it asks about nothing",
    Strategy.FLAG: "It was to flag what both sides changed, and nothing of it is left to decide",
}
RUN_NARROWER = ", but where an entity type or a field has a strategy of its own."


def list_row(row: ConflictRow, zone: str) -> ListRow:
    at = row.resolved_at or row.created_at
    shown = When.of(at, zone)
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
        at=f"{shown.text} · {shown.utc}",
        note=_note(row),
        high=row.severity is Severity.HIGH,
        reopened=row.reopened_at is not None,
        few=len(row.chips) <= _FEW,
    )


def in_slots(rows: Sequence[ListRow], shown: Sequence[ListRow]) -> list[ListRow]:
    """Another list writes over the rows that are there, from the top, which costs the browser half of new ones. The same list again keeps each
    record in its row, where somebody may be at work; what is new to it gets a row of its own.
    """
    taken = {one.id: one.slot for one in shown}
    fresh = itertools.count(max(taken.values(), default=-1) + 1)
    return [replace(row, slot=taken[row.id] if row.id in taken else next(fresh)) for row in rows]


def _note(row: ConflictRow) -> str:
    if row.resolved_by:
        return "A sync found both sides equal" if row.resolved_by == SYNC else f"Settled by {row.resolved_by}"
    chosen = f"{row.answered} of {row.questions} chosen" if row.answered else ""
    put_off = row.snoozed_for.label if row.snoozed_for else ""
    return " · ".join(filter(None, [chosen, f"For {row.assignee}" if row.assignee else "", put_off]))


_STEPS = ((60, "s"), (60, "min"), (24, "h"), (365, "d"))


def age(at: datetime) -> str:
    number: float = max(0.0, (datetime.now(UTC) - at).total_seconds())
    for size, unit in _STEPS:
        if number < size:
            return f"{int(number)} {unit}"
        number /= size
    return f"{int(number)} y"


@dataclass(frozen=True, slots=True)
class Seg:
    """A piece of a text: same, added (not in the other side) or removed."""

    op: str
    text: str


@dataclass(frozen=True, slots=True)
class ChoiceRow:
    """One line to choose for: a field, or a key inside one. `local` and `theirs` are marked against the last sync, or each other. `merges`
    says what becomes of it where nobody chooses; `here` and `there` when each side changed last, and by what, with the times in UTC.
    """

    key: str
    label: str
    needed: bool
    merges: str
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
    options: list[list[str]]
    typed: str
    here: str = ""
    here_utc: str = ""
    there: str = ""
    there_utc: str = ""


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
    # Digits and letters that an amount, a time or a word has in common with another mean nothing.
    whole = one.field.kind not in (Kind.TEXT, Kind.JSON, Kind.REF) or is_worded(one.field)
    folded = f"{plural(len(one.nested), 'place')} inside, below" if one.nested else ""
    here, there = changed_of(one, one.here, zone), changed_of(one, one.there, zone)
    return ChoiceRow(
        key=one.name,
        label=one.label,
        needed=one.needed,
        merges="" if one.needed or one.take else "left alone by syncs" if one.left else "merges by itself",
        nested=False,
        folded=folded,
        base=texts[1] if view.base_known else "",
        local=[] if folded else _marked(texts[0], texts[1] if view.base_known else texts[2], whole=whole),
        theirs=[] if folded else _marked(texts[2], texts[1] if view.base_known else texts[0], whole=whole),
        result=text(one.result) if one.settled else "",
        settled=one.settled,
        take=one.take.value if one.take else "",
        by=one.taken_by,
        has_base=view.base_known,
        custom=one.custom,
        choosable=True,
        editor=_editor(one.field),
        options=[[word, in_words(one.field, word)] for word in one.field.choices],
        typed=_typed(one.field, one.result if one.settled else one.local, texts[0]),
        here=here[0],
        here_utc=here[1],
        there=there[0],
        there_utc=there[1],
    )


def changed_of(one: FieldView, known: Change | Doubt | None, zone: str) -> tuple[str, str]:
    """When a side changed, in words, and the same in UTC. That it is not known is said where both sides changed, and of one it is known when."""
    if isinstance(known, Change):
        at = When.of(datetime.fromtimestamp(known.at, UTC), zone)
        return f"{'kept' if known.kept else 'changed'} {at.text} by {known.by}", at.utc
    beside = isinstance(one.here, Change) or isinstance(one.there, Change)
    return ("time not known", known.label) if known is not None and one.needed and beside else ("", "")


def newest_of(view: ConflictView) -> list[str]:
    """Of each field that both sides changed, which side did so last, or why nobody can say."""
    return [
        f"{one.label}: {_SIDES[one.newer]}"
        if isinstance(one.newer, Choice)
        else f"{one.label}: not known. {one.newer.label}"
        for one in view.fields
        if one.needed and one.newer is not None
    ]


_SIDES: Mapping[Choice, str] = {Choice.STRIPE: "Stripe's is the newer.", Choice.LOCAL: "ours is the newer."}


def told_by(view: ConflictView) -> Change | None:
    """Stripe's newest event about any field that differs."""
    known = [one.there for one in view.fields if isinstance(one.there, Change)]
    return max(known, key=lambda one: one.at, default=None)


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
    settled, becomes = _becomes_inside(one, inner)
    return ChoiceRow(
        key=inner.key or f"{one.name}/{inner.label}",
        label=inner.label,
        needed=False,
        merges="",
        nested=True,
        folded="",
        base=texts[1] if view.base_known else "",
        local=_marked(texts[0], against[0]),
        theirs=_marked(texts[2], against[1]),
        result=_plain(becomes),
        settled=settled,
        take=inner.take.value if inner.take else "",
        by="",
        has_base=view.base_known,
        custom=inner.key is not None and one.name == "metadata",
        choosable=inner.key is not None,
        editor="text",
        options=[],
        typed=texts[0],
    )


def _becomes_inside(one: FieldView, inner: NestedView) -> tuple[bool, JsonValue]:
    """Whether it is settled what stands in a place, by its own choice or by that for all of the field, and what that is."""
    sides = {
        Choice.LOCAL: inner.local,
        Choice.BASE: inner.base,
        Choice.STRIPE: inner.theirs,
        Choice.CUSTOM: inner.value,
    }
    if inner.take is not None:
        return True, sides[inner.take]
    if one.take is not None and one.take is not Choice.CUSTOM:
        return True, sides[one.take]
    if not one.settled or inner.key is None:
        return False, None
    return True, one.result.get(inner.label) if isinstance(one.result, dict) else None


def _plain(value: JsonValue) -> str:
    return value if isinstance(value, str) else "" if value is None else pretty(value)


def _marked(text: str, other: str, *, whole: bool = False) -> list[Seg]:
    """The text with what the other side has not, or as a `whole`. What it lacks is shown only where nothing stands in its place: the other
    is beside it.
    """
    if whole and text:
        return [Seg("same" if text == other else "added", text)]
    steps = char_diff(other, text)
    if sum(op != "same" for op, _ in steps) > _MOST_MARKS and text.casefold() != other.casefold():
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
    who: str
    said: str
    at: str
    utc: str
    undone: str
    undoable: bool


@dataclass(frozen=True, slots=True)
class PieceRow:
    """A part of a comment; `called` says that it names a member."""

    text: str
    called: bool


@dataclass(frozen=True, slots=True)
class CommentRow:
    author: str
    body: list[PieceRow]
    at: When


def comment_row(one: Comment, members: Sequence[str], zone: str) -> CommentRow:
    body = [PieceRow(piece.text, piece.member != "") for piece in pieces(one.body, members)]
    return CommentRow(one.author, body, When.of(one.created_at, zone))


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A member whom a comment can call."""

    email: str
    name: str


def decision_rows(view: ConflictView, zone: str) -> list[DecisionRow]:
    return [
        DecisionRow(
            str(one.id),
            one.actor,
            f"{one.actor} chose {said_of(one.choices, view) or 'nothing'}",
            When.of(one.created_at, zone).text,
            When.of(one.created_at, zone).utc,
            f"taken back by {one.undone_by}" if one.undone_by else "",
            one.undoable and view.row.status is ConflictStatus.RESOLVED,
        )
        for one in view.decisions
    ]


def said_of(choices: Mapping[str, Taken], view: ConflictView) -> str:
    """Choices in words: “Name: Stripe, Phone: Ours”."""
    labels = {one.name: one.label for one in FIELDS[view.row.entity]} | {RECORD: "Record"}
    return ", ".join(
        f"{labels.get(key, key)}: {'ignored' if made.ignored else TAKES[made.take]}" for key, made in choices.items()
    )


def pending_of(view: ConflictView) -> dict[str, Taken]:
    """The choices kept for a conflict, as far as they can be made again."""
    kept = {one.name: Taken(one.take, one.result) for one in view.fields if one.take is not None}
    for one in view.fields:
        kept |= {inner.key: Taken(inner.take, inner.value) for inner in one.nested if inner.key and inner.take}
    if view.record is not None and view.record.take is not None:
        kept[RECORD] = Taken(view.record.take)
    return {key: taken if taken.take is Choice.CUSTOM else Taken(taken.take) for key, taken in kept.items()}


def reach_of(view: ConflictView) -> str:
    """What else a decision reaches, in words; empty for a record that nothing refers to."""
    parts = [
        f"{DEPENDENTS_END:,}+ {entity.label.lower()}" if count > DEPENDENTS_END else plural(count, entity.singular)
        for entity, count in view.dependents.items()
    ]
    one = sum(view.dependents.values()) == 1
    named = view.row.entity.singular
    return f"{' and '.join(parts)} {'refers' if one else 'refer'} to this {named}." if parts else ""
