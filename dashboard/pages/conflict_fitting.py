"""A conflict at a size that one message holds, however much differs in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from dashboard.fitting import lightened, shortened, weight
from dashboard.pages.conflict_rows import ChoiceRow, DecisionRow

_CHOICES: Final = 9_500
_TYPED: Final = 2_500
_LONGEST_SAID: Final = 300
_SHORTEST: Final = 50
_TEXTS: Final = frozenset({"text", "base", "result"})


def fitted_choices(rows: Sequence[ChoiceRow]) -> list[ChoiceRow]:
    """Every field always. Values are cut, what is too long is not typed over here, and of the places inside a field the first are shown."""
    if weight(rows) <= _CHOICES:
        return list(rows)
    light = _without_long_editors(rows)
    shown = lightened(light, _CHOICES, _TEXTS)
    return shown if len(shown) == len(light) else _first_places(shortened(light, _SHORTEST, _TEXTS))


def _without_long_editors(rows: Sequence[ChoiceRow]) -> list[ChoiceRow]:
    """An editor begins with the whole value or is not there: one that began with a part would write the part."""
    over, closed = sum(weight(row.typed) for row in rows) - _TYPED, set[int]()
    for place in sorted(range(len(rows)), key=lambda place: -weight(rows[place].typed)):
        if over <= 0:
            break
        closed.add(place)
        over -= weight(rows[place].typed)
    return [replace(row, typed="", custom=False) if place in closed else row for place, row in enumerate(rows)]


def _first_places(rows: Sequence[ChoiceRow]) -> list[ChoiceRow]:
    room = _CHOICES - sum(weight(row) for row in rows if not row.nested)
    shown: list[ChoiceRow] = []
    for row in rows:
        room -= weight(row) if row.nested else 0
        if not row.nested:
            said = f"{row.folded}; not all of them, for want of room" if row.folded else ""
            shown.append(replace(row, folded=said))
        elif room >= 0:
            shown.append(row)
    return shown


def fitted_decisions(rows: Sequence[DecisionRow]) -> list[DecisionRow]:
    return shortened(rows, _LONGEST_SAID, {"said"})
