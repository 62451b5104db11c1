"""How fast a run goes, by what a watcher saw of it in the last minute, how long it may still take, and how often it asked again."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median_low
from typing import Any

from sync_core.domain.time_left import KEPT_SECONDS, Look, Part, Range, believable, time_left
from sync_core.domain.vocabulary import EntityType
from sync_core.store.watching import WatchedEntity, WatchedRun

_ETA_EVERY = 5.0
_ETA_JUMP = 0.3
_RATE_SECONDS = 10.0
_ESTIMATE_SECONDS = 30.0
_WHY_SECONDS = 30.0
_DISTURBED_SECONDS = 30.0
# Lists that belong to an entity type of another name.
_LISTS = {"subscription_items": EntityType.SUBSCRIPTIONS.value}


@dataclass(slots=True)
class Pace:
    """What a watcher remembers from one look to the next: the recent past, and the last range it showed.

    `why` is the reason for which that range has jumped, as long as it is new.
    """

    looks: deque[Look] = field(default_factory=deque)
    requests: deque[tuple[float, int]] = field(default_factory=deque)
    totals: deque[tuple[float, int]] = field(default_factory=deque)
    expected: int | None = None
    shown: Range | None = None
    shown_at: float = float("-inf")
    why: str = ""
    why_at: float = float("-inf")

    def expect(self, now: float, total: int | None) -> int | None:
        """Of how many, in the middle of what was said in the last seconds: an estimate leaps while there is little to estimate from."""
        if total is not None:
            self.totals.append((now, total))
        _forget(self.totals, now - _ESTIMATE_SECONDS)
        if self.totals:
            self.expected = median_low(count for _, count in self.totals)
        return self.expected

    def note(self, look: Look, beat_at: float | None, requests: int) -> None:
        # A resumed run counts its failures anew, and one that was taken over its requests: the past is no measure then.
        if self.looks and _processed(look) < _processed(self.looks[-1]):
            self.looks.clear()
        if self.requests and requests < self.requests[-1][1]:
            self.requests.clear()
        self.looks.append(look)
        if beat_at is not None and (not self.requests or beat_at > self.requests[-1][0]):
            self.requests.append((beat_at, requests))
        _forget(self.requests, look.at - KEPT_SECONDS)
        while self.looks[0].at < look.at - KEPT_SECONDS:
            self.looks.popleft()

    def rate(self) -> float | None:
        """Objects a second over the last ten."""
        if not self.looks:
            return None
        last = self.looks[-1]
        first = next(look for look in self.looks if look.at >= last.at - _RATE_SECONDS)
        return _slope([(look.at, _processed(look)) for look in (first, last)])

    def request_rate(self) -> float | None:
        return _slope(self.requests)

    def eta(self, now: float, *, disturbed: str = "") -> Range | None:
        """Seconds left, looked at anew every five seconds; what has not been `disturbed` moves by at most 30 % at a time."""
        since = now - self.shown_at
        if now - self.why_at >= _WHY_SECONDS:
            self.why = ""
        if since < _ETA_EVERY:
            return None if self.shown is None else _less(self.shown, since)
        found = time_left(list(self.looks))
        before = None if self.shown is None else _less(self.shown, since)
        if found is not None and before is not None:
            near = _near(found[0], before[0]), _near(found[1], before[1])
            if disturbed and near != found:
                self.why, self.why_at = disturbed, now
            elif not disturbed:
                found = near
        self.shown, self.shown_at = found, now
        return found


def _processed(look: Look) -> int:
    return sum(part.processed for part in look.parts.values())


def _forget(kept: deque[tuple[float, int]], before: float) -> None:
    while kept and kept[0][0] < before:
        kept.popleft()


def _slope(samples: Sequence[tuple[float, int]]) -> float | None:
    if not samples:
        return None
    last = samples[-1]
    first = next(one for one in samples if one[0] >= last[0] - _RATE_SECONDS)
    return None if last[0] - first[0] < 1.0 else (last[1] - first[1]) / (last[0] - first[0])


def _less(shown: Range, seconds: float) -> Range:
    return max(0.0, shown[0] - seconds), max(1.0, shown[1] - seconds)


def _near(wanted: float, before: float) -> float:
    """A short while may go either way: 30 % of two seconds is nothing to hold on to."""
    room = max(before * _ETA_JUMP, 5.0)
    return min(max(wanted, before - room), before + room)


@dataclass(slots=True)
class Memory:
    """A watcher's: of the run's pace (under None) and of each entity type's, and of what may have changed it.

    `planned` is how many objects of each entity type the plan holds that the run applies; None before that was looked at.
    """

    paces: defaultdict[EntityType | None, Pace] = field(default_factory=lambda: defaultdict(Pace))
    planned: Mapping[EntityType, int] | None = None
    fence: int = 0
    taken_over_at: float = float("-inf")
    refused: int = 0
    refused_at: float = float("-inf")

    def disturbed(self, run: WatchedRun) -> str:
        """What may have made the run slower or quicker all at once, in words."""
        if self.fence and run.worker and run.fence != self.fence:
            self.taken_over_at = run.now
            for pace in self.paces.values():
                pace.looks.clear()
        self.fence = run.fence if run.worker else self.fence
        refused = sum((run.stats.get("throttled") or {}).values())
        if refused > self.refused:
            self.refused_at = run.now
        self.refused = refused
        resumes = float(run.stats.get("resume_at") or 0) > run.now
        return "rate limited" if resumes or run.now - self.refused_at < _DISTURBED_SECONDS else ""

    def is_taken_over(self, run: WatchedRun) -> bool:
        """Another worker has taken it up a moment ago."""
        return run.now - self.taken_over_at < _DISTURBED_SECONDS

    def part(self, one: WatchedEntity, run: WatchedRun, read: float) -> Part:
        """How far an entity type is of which `read` of the date range was read."""
        planned = (self.planned or {}).get(one.entity)
        if planned is not None:
            return Part(planned, one.processed, max(planned, one.processed))
        done = max(one.fetched, one.processed)
        if not one.requested or not run.moves(one):
            return Part(done, one.processed, done)
        expected = self.paces[one.entity].expect(run.now, believable(one.estimated, one.fetched, read))
        return Part(one.fetched, one.processed, max(done, expected) if expected is not None else None)


@dataclass(frozen=True, slots=True)
class Retried:
    """Requests made again, by cause, by all workers that the run has had; `again_in` is seconds until one that waits is made, `waits_for` its cause."""

    causes: tuple[tuple[str, int], ...] = ()
    again_in: float | None = None
    waits_for: str = ""

    @property
    def count(self) -> int:
        return sum(count for _, count in self.causes)


def retried_by_entity(stats: Mapping[str, Any], now: float, *, is_open: bool) -> dict[str, Retried]:
    """Of the figures that the worker noted."""
    causes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    waits: dict[str, tuple[float, str]] = {}
    for name, noted in (stats.get("retries") or {}).items():
        entity = _LISTS.get(name, name)
        causes[entity].update(noted.get("causes") or {})
        waits[entity] = max(waits.get(entity, (now, "")), (noted.get("until") or 0, noted.get("waits_for") or ""))
    found = {}
    for entity, counted in causes.items():
        until, cause = waits[entity]
        waiting = (until - now, cause) if is_open and until > now else (None, "")
        found[entity] = Retried(tuple(counted.most_common()), *waiting)
    return found
