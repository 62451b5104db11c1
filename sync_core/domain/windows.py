"""The rules by which a range of `created` is cut into windows and read in parallel without losing an object.

Times are whole epoch seconds, Stripe's own resolution. A window is read newest first and is never changed: what is
left of one becomes *new* windows, none of which inherits a cursor. Many objects may share a second, and the page may
have ended among them, so the second of the oldest object seen is always asked again, and no second is ever cut.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

Cumulative = Callable[[int], float]
"""How many objects are thought to be older than a second; it must not fall as the second grows."""


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """`gte <= created < lt`, never empty."""

    gte: int
    lt: int

    def __post_init__(self) -> None:
        if self.gte >= self.lt:
            raise ValueError(f"an empty window: [{self.gte}, {self.lt})")

    @property
    def seconds(self) -> int:
        return self.lt - self.gte


def restart_from(window: Window, oldest: int) -> Window:
    """What is left of a window once everything newer than second `oldest` was read: that second included."""
    return Window(window.gte, _boundary(window, oldest))


def split(window: Window, oldest: int, parts: int, cumulative: Cumulative | None = None) -> tuple[Window, ...]:
    """What is left of a window that was read down to second `oldest`, as up to `parts` new ones, newest first.

    Each is to hold about as many objects as the others by `cumulative`, or lasts as long when there is none.
    There are fewer than `parts` when there are fewer seconds.
    """
    left = restart_from(window, oldest)
    count = max(1, min(parts, left.seconds))
    weigh = cumulative or float
    start, total = weigh(left.gte), weigh(left.lt) - weigh(left.gte)
    if total <= 0:
        weigh, start, total = float, float(left.gte), float(left.seconds)
    bounds = [left.gte]
    for part in range(1, count):
        wanted = start + total * part / count
        # One second at least for this part, and one for each that follows.
        least, most = bounds[-1] + 1, left.lt - (count - part)
        bounds.append(least + bisect_left(range(least, most), wanted, key=weigh))
    bounds.append(left.lt)
    windows = [Window(gte, lt) for gte, lt in pairwise(bounds)]
    return tuple(reversed(windows))


def tile(window: Window, parts: int, cumulative: Cumulative | None = None) -> tuple[Window, ...]:
    """A whole range as up to `parts` windows, newest first: the start of a fetch."""
    return split(window, window.lt - 1, parts, cumulative)


def uncovered(whole: Window, read: Iterable[Window]) -> tuple[Window, ...]:
    """The parts of `whole` that none of the stretches in `read` covers, oldest first: what a complete reading has none of."""
    gaps, upto = list[Window](), whole.gte
    for one in sorted(read):
        if one.gte > upto:
            gaps.append(Window(upto, min(one.gte, whole.lt)))
        upto = max(upto, one.lt)
        if upto >= whole.lt:
            return tuple(gaps)
    return (*gaps, Window(upto, whole.lt))


def estimate_remaining(window: Window, seen: int, newest: int, oldest: int) -> float:
    """Objects left in a window of which `seen` were read, created from `newest` down to `oldest`.

    Taken from the density of the part read; the rest may be denser or empty, so this steers and never proves.
    """
    if seen <= 0:
        return 0.0
    return seen / (newest - oldest + 1) * max(0, oldest - window.gte)


def cumulative_of(samples: Sequence[int]) -> Cumulative | None:
    """Density as guessed from the `created` of some objects, evenly between each two; None without two seconds."""
    seconds = sorted(samples)
    if len(seconds) < 2 or seconds[0] == seconds[-1]:
        return None

    def cumulative(second: int) -> float:
        after = bisect_left(seconds, second)
        if after == 0:
            return 0.0
        if after == len(seconds):
            return float(len(seconds))
        before = seconds[after - 1]
        return after + (second - before) / (seconds[after] - before)

    return cumulative


def _boundary(window: Window, oldest: int) -> int:
    """The end of what is left. A clock that is ahead can't move it outside the window."""
    return max(window.gte + 1, min(oldest + 1, window.lt))
