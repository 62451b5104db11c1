"""How long a run may still take, from what its watcher saw of it: a range that is to hold its true end in four moments of five.

Nothing here knows the machine, Stripe's limits or what else is at work: all of that is in the pace of the last seconds, and in how much
that pace has changed. `tests/recorded` holds whole runs, second by second, on which the range is tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, inf
from typing import Final

from sync_core.domain.vocabulary import EntityType

KEPT_SECONDS: Final = 95.0
"""No look at a run is worth anything after this."""

_LEAST_LOOKS: Final = 6
_LEAST_SECONDS: Final = 5.0
# A pace is taken over the last of each of these: what it will be is thought to lie between the slowest and the quickest of them, and a bit beyond.
_SPANS: Final = (6.0, 12.0, 30.0, 90.0)
_BEYOND: Final = 0.22
# Of its end, a run spends some seconds on looking at what was done.
_MOST_VERIFYING: Final = 2.0
# A range that is wider says nothing, unless all of it is near.
_WIDEST: Final = 5.0
_NEAR_SECONDS: Final = 30.0
# A list may be a page from its end and stay so, for what its estimate was out by.
_A_PAGE: Final = 100
_PART_OF_A_LIST: Final = 0.02
# Objects planned a second where nothing waits for Stripe: the slowest and the quickest machine thought of.
_SLOW, _FAST = 2_000.0, 8_000.0
# What planning an object costs, beside a customer.
_COSTS: Final = {EntityType.PRICES: 1.3, EntityType.SUBSCRIPTIONS: 2.5, EntityType.INVOICES: 4.0}
# A kind of which nothing was planned yet may cost that much more than it is thought to.
_UNTRIED: Final = 2.5
# An estimate is taken from the density of what was read, which means nothing while that is a second in which many were made at once.
_ABSURD: Final = 10.0


@dataclass(frozen=True, slots=True)
class Part:
    """How far one entity type is. `total` is None while nobody knows of how many."""

    fetched: int
    processed: int
    total: int | None

    @property
    def unread(self) -> int:
        return max(0, (self.total or 0) - self.fetched)

    @property
    def unplanned(self) -> int:
        return max(0, self.fetched - self.processed)

    @property
    def is_read(self) -> bool:
        return self.unread < max(_A_PAGE, _PART_OF_A_LIST * (self.total or 0))


_NOTHING = Part(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Look:
    """At a moment, in seconds of a clock that only goes on."""

    at: float
    parts: Mapping[EntityType, Part]


Range = tuple[float, float]


def believable(estimated: int, fetched: int, read: float) -> int | None:
    """Of how many, by an estimate made when `read` of the date range had brought so many; None for one that can't be believed."""
    if read <= 0 or estimated > _ABSURD * fetched / read:
        return None
    return estimated if estimated > fetched or read > 1 - _PART_OF_A_LIST else None


def time_left(looks: Sequence[Look]) -> Range | None:
    """Seconds, the least and the most; None until they can be believed."""
    if len(looks) < _LEAST_LOOKS or looks[-1].at - looks[0].at < _LEAST_SECONDS:
        return None
    now = looks[-1]
    if any(part.total is None for part in now.parts.values()):
        return None
    found = [_by_pace(_since(looks, span), now) for span in _SPANS]
    least = min(low for low, _ in found) * (1 - _BEYOND)
    most = max(high for _, high in found) * (1 + _BEYOND) + _MOST_VERIFYING
    if most == inf or (most > _WIDEST * least and most > _NEAR_SECONDS):
        return None
    return least, most


def _since(looks: Sequence[Look], span: float) -> Look:
    return next(look for look in looks if look.at >= looks[-1].at - span)


def _by_pace(then: Look, now: Look) -> Range:
    """As if it went on as it did since then: to the end of the lists, then to the end of what only these let be planned."""
    seconds = max(now.at - then.at, 1e-3)
    reading = [entity for entity, part in now.parts.items() if part.fetched and not part.is_read]
    if not reading:
        return _planned(then, now, seconds)
    paces = [(now.parts[one].fetched - then.parts.get(one, _NOTHING).fetched) / seconds for one in reading]
    if min(paces) <= 0:
        return inf, inf
    unread = [now.parts[one].unread for one in reading]
    # What ends first may leave its share of a limit to the others, or not.
    together, alone = sum(unread) / sum(paces), max(map(_ratio, unread, paces))
    behind = sum(_behind(part) for part in now.parts.values())
    return together + behind / _FAST, alone + behind / _SLOW


def _ratio(count: float, pace: float) -> float:
    return count / pace


def _behind(part: Part) -> int:
    """What there will be to plan when the lists have ended: all of an entity type that waits for its parents."""
    return part.total or 0 if part.processed < part.fetched / 2 else part.fetched - part.processed


def _planned(then: Look, now: Look, seconds: float) -> Range:
    left = {entity: part.unplanned * _cost(entity) for entity, part in now.parts.items()}
    if not sum(left.values()):
        return 0.0, 0.0
    before = {entity: then.parts.get(entity, _NOTHING).processed for entity in now.parts}
    done = sum((part.processed - before[entity]) * _cost(entity) for entity, part in now.parts.items())
    if done <= 0:
        return inf, inf
    tried = sum(cost for entity, cost in left.items() if now.parts[entity].processed)
    untried = sum(left.values()) - tried
    return (tried + untried) * seconds / done, (tried + _UNTRIED * untried) * seconds / done


def _cost(entity: EntityType) -> float:
    return _COSTS.get(entity, 1.0)


_SHORT, _SECONDS, _MINUTES, _LONG = 90, 180, 30 * 60, 4 * 3600


def rounded(left: Range) -> tuple[int, int]:
    """As people say it, and never narrower than it is: by five seconds, ten, minutes, five minutes, hours."""
    least, most = left
    step = 5 if most < _SHORT else 10 if most < _SECONDS else 60 if most < _MINUTES else 300 if most < _LONG else 3600
    return floor(least / step) * step, ceil(most / step) * step
