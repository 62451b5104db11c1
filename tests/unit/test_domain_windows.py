"""Windows: whatever is cut, what is left is covered exactly, and no object is lost or read outside its window."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_core.domain.windows import (
    Window,
    cumulative_of,
    estimate_remaining,
    restart_from,
    split,
    tile,
)

SECONDS = st.integers(min_value=0, max_value=2_000_000_000)
WINDOWS = st.builds(lambda gte, length: Window(gte, gte + length), SECONDS, st.integers(1, 100_000_000))


@pytest.mark.parametrize(("gte", "lt"), [(5, 5), (6, 5)])
def test_there_is_no_empty_window(gte: int, lt: int) -> None:
    with pytest.raises(ValueError, match="empty"):
        Window(gte, lt)


CUTS = {
    "in halves, newest first": (Window(0, 100), 99, 2, (Window(50, 100), Window(0, 50))),
    "the boundary second is asked again": (Window(0, 100), 49, 1, (Window(0, 50),)),
    "fewer seconds than parts": (Window(0, 100), 1, 5, (Window(1, 2), Window(0, 1))),
    "one second is never cut": (Window(0, 100), 0, 8, (Window(0, 1),)),
    "no parts is one": (Window(0, 100), 9, 0, (Window(0, 10),)),
    "an object from the future": (Window(0, 100), 400, 1, (Window(0, 100),)),
    "an object from before the window": (Window(50, 100), 3, 3, (Window(50, 51),)),
}


@pytest.mark.parametrize(("window", "oldest", "parts", "expected"), CUTS.values(), ids=CUTS.keys())
def test_a_window_is_cut(window: Window, oldest: int, parts: int, expected: tuple[Window, ...]) -> None:
    assert split(window, oldest, parts) == expected


def covers_exactly(windows: tuple[Window, ...], whole: Window) -> bool:
    oldest_first = windows[::-1]
    return (
        oldest_first[0].gte == whole.gte
        and oldest_first[-1].lt == whole.lt
        and all(older.lt == newer.gte for older, newer in pairwise(oldest_first))
    )


@settings(max_examples=500)
@given(window=WINDOWS, at=st.floats(0, 1), parts=st.integers(0, 40), samples=st.lists(st.floats(0, 1), max_size=30))
def test_what_is_left_is_covered_once(window: Window, at: float, parts: int, samples: list[float]) -> None:
    oldest = window.gte + int(at * (window.seconds - 1))
    density = cumulative_of([window.gte + int(where * window.seconds) for where in samples])
    windows = split(window, oldest, parts, density)
    assert covers_exactly(windows, Window(window.gte, oldest + 1))
    assert 1 <= len(windows) <= max(1, parts)
    assert len(windows) == max(1, min(parts, oldest + 1 - window.gte))


@settings(max_examples=100)
@given(window=WINDOWS, parts=st.integers(1, 40))
def test_a_range_is_tiled_whole(window: Window, parts: int) -> None:
    assert covers_exactly(tile(window, parts), window)


@settings(max_examples=200)
@given(
    created=st.lists(st.integers(0, 60), max_size=120),
    page=st.integers(1, 7),
    choices=st.randoms(use_true_random=False),
)
def test_an_account_read_through_any_cuts_is_read_whole(created: list[int], page: int, choices: object) -> None:
    """Pages newest first with ties at their borders; a window is given up for new ones at random moments."""
    draw = choices.randint  # type: ignore[attr-defined]  # Hypothesis' random has no public type
    account = sorted(enumerate(created), key=lambda one: (one[1], one[0]), reverse=True)
    landed: Counter[int] = Counter()
    todo = list(tile(Window(0, 61), draw(1, 9)))
    while todo:
        window = todo.pop()
        inside = [one for one in account if window.gte <= one[1] < window.lt]
        pages = [inside[at : at + page] for at in range(0, len(inside), page)]
        for number, objects in enumerate(pages):
            landed.update(name for name, _ in objects)
            left = restart_from(window, objects[-1][1])
            if number + 1 < len(pages) and left.seconds > 1 and left != window and draw(0, 2) == 0:
                todo += split(window, objects[-1][1], draw(1, 4))
                break
    assert set(landed) == set(range(len(created)))


def test_cuts_follow_density() -> None:
    young = [90, 91, 92, 93, 94, 95, 96, 97, 98, 99]
    newest, *_, oldest = split(Window(0, 100), 99, 4, cumulative_of(young))
    assert newest.seconds < 5
    assert oldest.seconds > 80
    assert [one.seconds for one in split(Window(0, 100), 99, 4)] == [25, 25, 25, 25]


@pytest.mark.parametrize("samples", [[], [5], [5, 5, 5]], ids=["none", "one", "one second"])
def test_density_needs_two_seconds(samples: list[int]) -> None:
    assert cumulative_of(samples) is None


@settings(max_examples=100)
@given(samples=st.lists(st.integers(0, 1000), min_size=2, max_size=30), at=st.lists(st.integers(-10, 1010), min_size=2))
def test_cumulative_density_never_falls(samples: list[int], at: list[int]) -> None:
    cumulative = cumulative_of(samples)
    if cumulative is not None:
        heights = [cumulative(second) for second in sorted(at)]
        assert heights == sorted(heights)
        assert (cumulative(-10), cumulative(1010)) == (0.0, float(len(samples)))


REMAINING = {
    "half read": (Window(0, 100), 100, 99, 50, 100.0),
    "nothing read": (Window(0, 100), 0, 0, 0, 0.0),
    "all read": (Window(0, 100), 100, 99, 0, 0.0),
    "a page within one second": (Window(0, 100), 100, 60, 60, 6000.0),
}


@pytest.mark.parametrize(("window", "seen", "newest", "oldest", "left"), REMAINING.values(), ids=REMAINING.keys())
def test_what_remains_is_guessed_from_density(window: Window, seen: int, newest: int, oldest: int, left: float) -> None:
    assert estimate_remaining(window, seen, newest, oldest) == left
