"""When the n-th object was created: a pure, monotone function of the index, with many objects in the same second."""

from __future__ import annotations

from bisect import bisect_left
from random import Random

_BLOCK = 256
_BURST = 130
_SIZES = (1,) * 12 + (2, 2, 3, 4, 5)


def _pattern(rng: Random, *, burst: bool) -> list[float]:
    """Where in its block each object lies, from 0 to 1. Objects of a group share their second."""
    places: list[float] = []
    while len(places) < _BLOCK:
        size = _BURST if burst and len(places) > 40 else rng.choice(_SIZES)
        if size == _BURST:
            burst = False
        size = min(size, _BLOCK - len(places))
        places += [(len(places) + rng.random()) / _BLOCK] * size
    return places


class Timeline:
    """``count`` objects from ``start`` to before ``end`` (epoch seconds)."""

    def __init__(self, count: int, start: int, end: int, seed: str) -> None:
        rng = Random(f"{seed}/timeline")
        self.count = count
        self._start = start
        self._step = (end - start) * _BLOCK / max(count, 1)
        # A bulk import of more than a page in one second comes in every sixth block, never in the first.
        self._patterns = [_pattern(rng, burst=number == 4) for number in range(6)]

    def created(self, index: int) -> int:
        block, place = divmod(index, _BLOCK)
        return self._start + int((block + self._patterns[block % 6][place]) * self._step)

    def of_hidden(self, index: int) -> int:
        """When a hidden one was created: they share the times of those that are listed."""
        return self.created(index % max(self.count, 1))

    def first_at_or_after(self, second: int) -> int:
        """The lowest index created at ``second`` or later; ``count`` when there is none."""
        return bisect_left(range(self.count), second, key=self.created)
