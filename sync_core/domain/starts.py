"""Starting times of requests, given out so that no span of time holds more than so many in any bucket that they count for.

A calendar is the sorted list of a bucket's times, those lately past and those still to come. It may have gaps: a time that was given
back, or one that another bucket had no room for. A new time goes into the earliest place that suits all its buckets, so a bucket that
is full keeps nobody from using the others.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from typing import Final

# A cap of C is kept as C starts in any 1 s + slack + way. By the slack a start may be later than its time, by the way one request may
# take longer to Stripe than another, and still no window of one second holds more than C. At the least it costs 1.5 % of an endpoint's cap
# and 2 % of an account's: of its many more requests some are further apart on their way.
LEAST_SLACK: Final = 0.0075
MOST_SLACK: Final = 0.25
_WAY: Final = 0.0075
_WAY_OF_ALL: Final = 0.0125
_SLACK_HOLDS_SECONDS: Final = 5.0
# Neighbours keep this share of the distance that even spacing would give, so that what was given back is soon caught up.
_EVEN: Final = 0.9
# Nobody plans as far ahead. What lies there was written before a clock was set back.
_NONSENSE_SECONDS: Final = 600.0
_ALIKE: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Rule:
    """At most `most` starts in any `span` seconds, neighbours at least `apart`."""

    most: int
    span: float
    apart: float

    @classmethod
    def of(cls, cap: float, slack: float = LEAST_SLACK, *, even: bool = True) -> Rule:
        """`cap` is requests a second. Not `even`: the bucket of an account, in which those of its endpoints interleave."""
        most = max(1, floor(cap))
        span = (1.0 + slack + (_WAY if even else _WAY_OF_ALL)) * max(1.0, most / cap)
        return cls(most, span, (_EVEN if even else _EVEN / 2) * span / most)


_ONE: Final = Rule.of(1.0)


@dataclass(slots=True)
class Calendar:
    """Nothing starts before `closed_until`. The slacks are the most that any user asked for, since `slack_at` and for a while before:
    the late starts of one and the timely ones of another count together.
    """

    starts: list[float]
    closed_until: float = 0.0
    slack: float = LEAST_SLACK
    slack_before: float = LEAST_SLACK
    slack_at: float = 0.0
    rule: Rule = _ONE

    def forget(self, now: float, returned: Sequence[float] = ()) -> None:
        """Drop what no longer bears on the future, and what was given back."""
        back = frozenset(returned)
        since, until = now - self.rule.span, now + _NONSENSE_SECONDS
        self.starts = [one for one in self.starts if since < one < until and one not in back]
        self.closed_until = self.closed_until if self.closed_until < until else 0.0

    def widen(self, now: float, slack: float) -> float:
        """The slack to keep, given that one more user asks for so much."""
        age = now - self.slack_at
        if 0 <= age < _SLACK_HOLDS_SECONDS:
            self.slack = max(self.slack, slack)
        else:
            lately = 0 <= age < 2 * _SLACK_HOLDS_SECONDS
            self.slack_before = self.slack if lately else LEAST_SLACK
            self.slack, self.slack_at = slack, now
        return max(self.slack, self.slack_before)

    def earliest(self, at: float) -> float:
        """The first time from `at` on that fits."""
        starts = self.starts
        at = max(at, self.closed_until)
        while True:
            place = bisect_left(starts, at)
            least = self._allowed_after(place)
            if least > at + _ALIKE:
                at = least
            elif place == len(starts) or self._leaves_room(place, at):
                return at
            else:
                at = starts[place] + self.rule.apart

    def _allowed_after(self, place: int) -> float:
        """The first moment at which those before `place` allow one more."""
        starts, rule = self.starts, self.rule
        least = starts[place - 1] + rule.apart if place else 0.0
        return max(least, starts[place - rule.most] + rule.span) if place >= rule.most else least

    def _leaves_room(self, place: int, at: float) -> bool:
        """Whether those after `place` allow one more before them."""
        starts, rule = self.starts, self.rule
        if starts[place] - at < rule.apart - _ALIKE:
            return False
        # With one more, `most` of them that stand in a row around it are one too many unless they reach over the span.
        first = max(0, place - rule.most + 1)
        rows = zip(starts[first:place], starts[first + rule.most - 1 :], strict=False)
        last = place + rule.most - 1
        alone = last >= len(starts) or starts[last] - at >= rule.span - _ALIKE
        return alone and all(end - begin >= rule.span - _ALIKE for begin, end in rows)


@dataclass(frozen=True, slots=True)
class Wish:
    """So many times at which both buckets (name, requests a second) have room, `lead` seconds from now on: they must be known before
    they are due. `returned` were not used; `slack` is how late its starts may be.
    """

    account: tuple[str, float]
    endpoint: tuple[str, float]
    count: int
    returned: Sequence[float] = ()
    slack: float = LEAST_SLACK
    lead: float = 0.0


@dataclass(frozen=True, slots=True)
class Lot:
    """Times at which requests may start, and what time it was then, by the clock of whoever keeps the calendars.

    `cap` is what people allow the account, in requests a second; None where nobody said.
    """

    now: float
    starts: Sequence[float]
    cap: int | None = None


def serve(wish: Wish, account: Calendar, endpoint: Calendar, now: float) -> Lot:
    """Note in both calendars what is given and what came back."""
    for one, cap, even in ((account, wish.account[1], False), (endpoint, wish.endpoint[1], True)):
        one.rule = Rule.of(cap, one.widen(now, wish.slack), even=even)
        one.forget(now, wish.returned)
    return Lot(now, give((account, endpoint), now + wish.lead, wish.count))


def give(calendars: Sequence[Calendar], now: float, count: int) -> list[float]:
    """So many times from now on, each noted in every calendar."""
    given: list[float] = []
    at = now
    for _ in range(count):
        at = _common(calendars, at)
        for calendar in calendars:
            insort(calendar.starts, at)
        given.append(at)
    return given


def _common(calendars: Sequence[Calendar], at: float) -> float:
    while True:
        latest = max(calendar.earliest(at) for calendar in calendars)
        if latest <= at + _ALIKE:
            return latest
        at = latest
