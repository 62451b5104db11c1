"""A page's values at a size that a message to the browser may have, whatever was stored: long texts are cut, then lists."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final, TypeVar

from reflex_base.utils.format import json_dumps

T = TypeVar("T")
_LENGTHS: Final = (2_000, 1_000, 500, 250, 120, 80, 50)


def weight(value: Any) -> int:
    """The bytes that it takes in a message."""
    return len(json_dumps(value).encode())


def clipped(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"


def beginning(text: str, most: int) -> str:
    """As much of it as fits into so many bytes of a message."""
    if weight(text) <= most:
        return text
    return text[: _largest(len(text), lambda length: weight(text[:length]) <= most)]


def lightened(rows: Sequence[T], most: int, texts: Collection[str]) -> list[T]:
    """Rows whose texts of these names are cut alike until all fit, and as many of the rows as fit even so."""
    if weight(rows) <= most:
        return list(rows)
    cut: list[T] = []
    for longest in _LENGTHS:
        cut = shortened(rows, longest, texts)
        if weight(cut) <= most:
            return cut
    return cut[: _largest(len(cut), lambda count: weight(cut[:count]) <= most)]


def shortened(rows: Sequence[T], longest: int, texts: Collection[str]) -> list[T]:
    """All of the rows, with their texts of these names cut at the length."""
    return [_cut(row, longest, texts) for row in rows]


def shares(wanted: Mapping[str, int], least: Mapping[str, int], most: int) -> dict[str, int]:
    """Who wants little gets it, who wants much what is left then, in their order; nobody less than their least of it."""
    given = {name: min(size, least[name]) for name, size in wanted.items()}
    left = most - sum(given.values())
    for name, size in wanted.items():
        more = max(0, min(left, size - given[name]))
        given[name], left = given[name] + more, left - more
    return given


def _largest(end: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to the end that fits, where a smaller one fits better."""
    low, high = 0, end
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _cut(value: Any, longest: int, texts: Collection[str]) -> Any:
    if isinstance(value, list):
        return [_cut(one, longest, texts) for one in value]
    if not is_dataclass(value) or isinstance(value, type):
        return value
    changes = {}
    for field in fields(value):
        held = getattr(value, field.name)
        if isinstance(held, str):
            changes[field.name] = clipped(held, longest) if field.name in texts else held
        elif isinstance(held, list) or is_dataclass(held):
            changes[field.name] = _cut(held, longest, texts)
    return replace(value, **changes)
