"""Starting times: never more in a span than a bucket allows, whatever was given, given back and asked for in between."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_core.domain.starts import LEAST_SLACK, Calendar, Rule, Wish, give, serve

SPAN = 1 + LEAST_SLACK + 0.0075


def most_within(starts: list[float], span: float) -> int:
    """The most that lie within any half-open span."""
    ordered = sorted(starts)
    most = first = 0
    for place, one in enumerate(ordered):
        while one - ordered[first] >= span - 1e-5:
            first += 1
        most = max(most, place - first + 1)
    return most


def full(cap: float, seconds: float) -> list[float]:
    calendar = Calendar([], rule=Rule.of(cap))
    return [one for one in give([calendar], 0.0, int(cap * seconds * 2) + 5) if one < seconds]


@pytest.mark.parametrize("cap", [1.0, 2.0, 7.5, 20.0, 25.0, 80.0, 100.0])
def test_a_full_bucket_holds_its_cap_and_uses_nearly_all_of_it(cap: float) -> None:
    starts = full(cap, 100.0)
    assert most_within(starts, 1.0) <= cap
    assert len(starts) / 100 >= 0.95 * int(cap)


@pytest.mark.parametrize("cap", [0.25, 0.5])
def test_less_than_one_a_second_is_one_every_so_often(cap: float) -> None:
    starts = full(cap, 100.0)
    assert min(b - a for a, b in itertools.pairwise(starts)) >= SPAN / cap - 1e-5


def test_a_full_bucket_keeps_nobody_from_another() -> None:
    account = Calendar([], rule=Rule.of(80, even=False))
    busy, idle = Calendar([], rule=Rule.of(20)), Calendar([], rule=Rule.of(20))
    ahead = give([busy, account], 0.0, 60)
    assert ahead[-1] > 2.5
    assert give([idle, account], 0.0, 10)[-1] < 0.5


def test_four_endpoints_use_the_whole_account() -> None:
    account = Calendar([], rule=Rule.of(80, even=False))
    lanes = [Calendar([], rule=Rule.of(20)) for _ in range(5)]
    for turn in range(300):
        give([lanes[turn % 5], account], 0.0, 4)
    assert len([one for one in account.starts if one < 10.0]) >= 0.95 * 800
    assert most_within(account.starts, 1.0) <= 80


def test_what_was_given_back_is_given_again() -> None:
    calendar = Calendar([], rule=Rule.of(20))
    first = give([calendar], 0.0, 20)
    calendar.forget(0.0, returned=first[5:7])
    again = give([calendar], 0.0, 2)
    assert again == pytest.approx(first[5:7], abs=0.05)
    assert most_within(calendar.starts, SPAN) <= 20


def test_nothing_starts_while_closed_and_a_clock_set_back_does_not_close_for_ever() -> None:
    closed = Calendar([], 5.0, rule=Rule.of(20))
    assert give([closed], 1.0, 1) == [5.0]
    late = Calendar([7200.0 + one for one in range(20)], 7200.0, rule=Rule.of(20))
    late.forget(10.0)
    assert give([late], 10.0, 1) == [10.0]


STEPS = st.lists(
    st.tuples(
        st.floats(0, 0.7),
        st.integers(0, 2),
        st.integers(1, 12),
        st.lists(st.integers(0, 200), max_size=4),
        st.sampled_from([1.0, 0.7, 0.3]),
    ),
    max_size=40,
)


@settings(max_examples=300)
@given(steps=STEPS, caps=st.tuples(st.integers(1, 12), st.integers(1, 30)))
def test_no_history_breaks_a_cap(steps: list[tuple[float, int, int, list[int], float]], caps: tuple[int, int]) -> None:
    """Any mixture of lanes, lots, returns and slowed caps: what is kept never exceeds the widest cap, in any second."""
    lane_cap, account_cap = float(caps[0]), float(caps[1])
    account, lanes = Calendar([]), [Calendar([]) for _ in range(3)]
    kept: list[list[float]] = [[], [], []]
    now = 100.0
    for passed, lane, count, returns, slowed in steps:
        now += passed
        if max(account.starts, default=now) > now + 300:
            continue
        # Only what is still to come is given back: a time that passed was used.
        back = [kept[lane][place] for place in returns if place < len(kept[lane]) and kept[lane][place] > now]
        kept[lane] = [one for one in kept[lane] if one not in back]
        slack = LEAST_SLACK / slowed
        wish = Wish(("a", account_cap * slowed), ("e", lane_cap * slowed), count, back, slack, lead=0.01)
        given = serve(wish, account, lanes[lane], now).starts
        assert all(one >= now for one in given)
        kept[lane] += given
    assert most_within([one for starts in kept for one in starts], SPAN) <= account_cap
    assert all(most_within(starts, SPAN) <= lane_cap for starts in kept)


def test_who_starts_late_makes_room_for_it_in_everybodys_times() -> None:
    """One process is late by up to its slack, another never: no second holds more than the cap, whichever way they mix."""
    account, endpoint = Calendar([]), Calendar([])
    starts: list[float] = []
    for turn in range(200):
        wish = Wish(("a", 20.0), ("e", 20.0), 2, slack=0.2 if turn % 2 else LEAST_SLACK)
        lot = serve(wish, account, endpoint, 1000.0 + turn / 10)
        late = 0.2 * (turn % 7) / 6 if turn % 2 else 0.0
        starts += [one + late for one in lot.starts]
    assert most_within(starts, 1.0) <= 20


def test_slack_is_kept_for_a_while_and_then_given_up() -> None:
    calendar = Calendar([])
    assert calendar.widen(1000.0, 0.2) == 0.2
    assert calendar.widen(1004.0, 0.1) == 0.2
    assert calendar.widen(1009.0, 0.1) == 0.2
    assert calendar.widen(1015.0, 0.05) == 0.1
    assert calendar.widen(1100.0, LEAST_SLACK) == LEAST_SLACK
    assert calendar.widen(10.0, LEAST_SLACK) == LEAST_SLACK
