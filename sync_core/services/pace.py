"""How fast a run goes, by what a watcher saw of it in the last minute, how long it may still take, and how often it asked again."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sync_core.domain.progress import eta_range
from sync_core.domain.vocabulary import EntityType

_ETA_EVERY = 5.0
_ETA_JUMP = 0.3
_RATE_SECONDS = 10.0
_KEPT_SECONDS = 65.0
# Lists that belong to an entity type of another name.
_LISTS = {"subscription_items": EntityType.SUBSCRIPTIONS.value}


@dataclass(slots=True)
class Pace:
    """What a watcher remembers from one look to the next: the recent past, and the last range it showed."""

    samples: deque[tuple[float, int]] = field(default_factory=deque)
    requests: deque[tuple[float, int]] = field(default_factory=deque)
    shown: tuple[float, float] | None = None
    shown_at: float = float("-inf")

    def note(self, now: float, processed: int, beat_at: float | None, requests: int) -> None:
        # A run that was taken over counts its requests anew, and a resumed one its failures: the past is no measure then.
        if self.samples and processed < self.samples[-1][1]:
            self.samples.clear()
        if self.requests and requests < self.requests[-1][1]:
            self.requests.clear()
        self.samples.append((now, processed))
        if beat_at is not None and (not self.requests or beat_at > self.requests[-1][0]):
            self.requests.append((beat_at, requests))
        for kept in (self.samples, self.requests):
            while kept and kept[0][0] < now - _KEPT_SECONDS:
                kept.popleft()

    def rate(self) -> float | None:
        """Objects a second over the last ten."""
        return _slope(self.samples)

    def request_rate(self) -> float | None:
        return _slope(self.requests)

    def eta(self, now: float, remaining: int, *, disturbed: bool) -> tuple[float, float] | None:
        """Seconds left, looked at anew every five seconds; undisturbed, it moves by at most 30 % at a time."""
        since = now - self.shown_at
        if since < _ETA_EVERY:
            return None if self.shown is None else _less(self.shown, since)
        found = eta_range(list(self.samples), remaining)
        before = None if self.shown is None else _less(self.shown, since)
        if found is not None and before is not None and not disturbed:
            found = (_near(found[0], before[0]), _near(found[1], before[1]))
        self.shown, self.shown_at = found, now
        return found


def _slope(samples: Sequence[tuple[float, int]]) -> float | None:
    if not samples:
        return None
    last = samples[-1]
    first = next(one for one in samples if one[0] >= last[0] - _RATE_SECONDS)
    return None if last[0] - first[0] < 1.0 else (last[1] - first[1]) / (last[0] - first[0])


def _less(shown: tuple[float, float], seconds: float) -> tuple[float, float]:
    return max(0.0, shown[0] - seconds), max(1.0, shown[1] - seconds)


def _near(wanted: float, before: float) -> float:
    """A short while may go either way: 30 % of two seconds is nothing to hold on to."""
    room = max(before * _ETA_JUMP, 5.0)
    return min(max(wanted, before - room), before + room)


@dataclass(frozen=True, slots=True)
class Retried:
    """Requests made again, by cause, by all workers that the run has had; `again_in` is seconds until one that waits is made."""

    causes: tuple[tuple[str, int], ...] = ()
    again_in: float | None = None

    @property
    def count(self) -> int:
        return sum(count for _, count in self.causes)


def retried_by_entity(stats: Mapping[str, Any], now: float, *, is_open: bool) -> dict[str, Retried]:
    """Of the figures that the worker noted."""
    causes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    until: Counter[str] = Counter()
    for name, noted in (stats.get("retries") or {}).items():
        entity = _LISTS.get(name, name)
        causes[entity].update(noted.get("causes") or {})
        until[entity] = max(until[entity], noted.get("until") or 0)
    return {
        entity: Retried(tuple(counted.most_common()), until[entity] - now if is_open and until[entity] > now else None)
        for entity, counted in causes.items()
    }
