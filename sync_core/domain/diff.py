"""Two sides of a record, told apart down to the key and the character. For screens; `merge` decides."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby
from typing import Literal

from sync_core.domain.fields import FIELDS, Field, JsonValue, Values
from sync_core.domain.vocabulary import EntityType

Op = Literal["same", "removed", "added"]
Path = tuple[str | int, ...]

# Matching is cubic in the worst case; what is longer, common ends aside, is shown as removed and added whole.
_LONGEST_MATCHED = 400
_WORDS = re.compile(r"\w+|\W")
_ALIKE = 0.4
"""Texts that have a smaller share in common are shown as changed whole."""


@dataclass(frozen=True, slots=True)
class FieldDiff:
    """One value that differs. `path` leads to it inside the field's JSON and is empty for a plain field; None is absent."""

    field: Field
    path: Path
    a: JsonValue
    b: JsonValue

    @property
    def label(self) -> str:
        return " / ".join((self.field.label, *(str(step) for step in self.path)))


def diff(entity: EntityType, a: Values, b: Values) -> tuple[FieldDiff, ...]:
    """Everything in which two records differ, in the order of the fields, nested values one by one."""
    return tuple(
        FieldDiff(field, path, one, other)
        for field in FIELDS[entity]
        for path, one, other in _differing((), a.get(field.name), b.get(field.name))
    )


def _differing(path: Path, a: JsonValue, b: JsonValue) -> Iterator[tuple[Path, JsonValue, JsonValue]]:
    if a == b:
        return
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted({*a, *b}):
            yield from _differing((*path, key), a.get(key), b.get(key))
    elif isinstance(a, list) and isinstance(b, list):
        yield from _lists(path, a, b)
    else:
        yield path, a, b


def _lists(path: Path, a: list[JsonValue], b: list[JsonValue]) -> Iterator[tuple[Path, JsonValue, JsonValue]]:
    by_id = _by_id(a), _by_id(b)
    if by_id[0] is not None and by_id[1] is not None:
        found = list(_differing(path, dict(by_id[0]), dict(by_id[1])))
        # Equal but for their order: only positions can show it.
        if found:
            yield from found
            return
    for position in range(max(len(a), len(b))):
        one = a[position] if position < len(a) else None
        other = b[position] if position < len(b) else None
        yield from _differing((*path, position), one, other)


def _by_id(objects: list[JsonValue]) -> dict[str, JsonValue] | None:
    """The objects of a list by their ids, or None when they don't all have one of their own."""
    found: dict[str, JsonValue] = {}
    for one in objects:
        name = one.get("id") if isinstance(one, dict) else None
        if not isinstance(name, str) or name in found:
            return None
        found[name] = one
    return found


def char_diff(a: str, b: str) -> list[tuple[Op, str]]:
    """The steps from `a` to `b`: what is the same, removed and added, in reading order, never empty pieces.

    Words are told apart first, and within words characters: of words that have little in common no single letters are the same.
    """
    words, others = _WORDS.findall(a), _WORDS.findall(b)
    steps: list[tuple[Op, str]] = []
    removed = added = ""
    for same, mine, theirs in _by_words(words, others):
        if same and any(one.isalnum() for one in mine):
            steps += [*_by_characters(removed, added), ("same", mine)]
            removed = added = ""
        elif same and not removed and not added:
            steps.append(("same", mine))
        else:
            removed, added = removed + mine, added + theirs
    return _joined([*steps, *_by_characters(removed, added)])


def _by_words(a: Sequence[str], b: Sequence[str]) -> Iterator[tuple[bool, str, str]]:
    """Runs of words that both have in common, or not."""
    head, tail = _ends(a, b)
    yield True, "".join(a[:head]), "".join(b[:head])
    inner, other = a[head : len(a) - tail], b[head : len(b) - tail]
    if max(len(inner), len(other)) > _LONGEST_MATCHED:
        yield False, "".join(inner), "".join(other)
    else:
        for op, a_from, a_to, b_from, b_to in SequenceMatcher(None, inner, other, autojunk=False).get_opcodes():
            yield op == "equal", "".join(inner[a_from:a_to]), "".join(other[b_from:b_to])
    yield True, "".join(a[len(a) - tail :]), "".join(b[len(b) - tail :])


def _by_characters(a: str, b: str) -> list[tuple[Op, str]]:
    """Single letters between two changes are in common by chance."""
    head, tail = _ends(a, b)
    between = _between(a[head : len(a) - tail], b[head : len(b) - tail])
    alike = head + tail + sum(len(text) for op, text in between if op == "same" and len(text) > 1)
    if 2 * alike < _ALIKE * (len(a) + len(b)):
        return _pieces(a, b)
    return [("same", a[:head]), *between, ("same", a[len(a) - tail :])]


def _ends(a: Sequence[str], b: Sequence[str]) -> tuple[int, int]:
    """How many both have in common at the beginning, and at the end of the rest."""
    shorter = min(len(a), len(b))
    head = next((i for i in range(shorter) if a[i] != b[i]), shorter)
    return head, next((i for i in range(shorter - head) if a[-1 - i] != b[-1 - i]), shorter - head)


def _between(a: str, b: str) -> list[tuple[Op, str]]:
    if max(len(a), len(b)) > _LONGEST_MATCHED:
        return _pieces(a, b)
    steps: list[tuple[Op, str]] = []
    for op, a_from, a_to, b_from, b_to in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        steps += [("same", a[a_from:a_to])] if op == "equal" else _pieces(a[a_from:a_to], b[b_from:b_to])
    return steps


def _pieces(removed: str, added: str) -> list[tuple[Op, str]]:
    return [("removed", removed), ("added", added)]


def _joined(steps: Sequence[tuple[Op, str]]) -> list[tuple[Op, str]]:
    """Without empty pieces, and with those of one kind that follow each other as one."""
    kept = [step for step in steps if step[1]]
    return [(op, "".join(text for _, text in run)) for op, run in groupby(kept, key=lambda step: step[0])]
