"""When each step of a run began, how long it was at work, and when it ended. Several are under way at once: what is read is compared and
written meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sync_core.domain.vocabulary import Step


@dataclass(slots=True)
class Timer:
    """Epoch seconds. It was at work for `seconds`, and is since `since`; `ended` is None until nothing is left of it to do."""

    began: float
    seconds: float = 0.0
    since: float | None = None
    ended: float | None = None

    def pause(self, at: float) -> None:
        if self.since is not None:
            self.seconds += max(0.0, at - self.since)
            self.since = None

    def at_work(self, now: float) -> float:
        return self.seconds + (0.0 if self.since is None else max(0.0, now - self.since))


def read_timers(stats: Mapping[str, Any]) -> dict[Step, Timer]:
    """As a worker noted them."""
    return {Step(name): Timer(*noted) for name, noted in (stats.get("steps") or {}).items()}


class Steps:
    """A worker's notes. Those of the workers before it go on; what one of them left open was nobody's work after its last beat."""

    def __init__(self, stats: Mapping[str, Any], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._timers = read_timers(stats)
        self._seen: dict[Step, float] = {}
        for timer in self._timers.values():
            timer.pause(float(stats.get("beat_at") or 0.0))

    def begin(self, step: Step) -> None:
        """Or see that it is still at work."""
        now = self._seen[step] = self._clock()
        timer = self._timers.setdefault(step, Timer(now))
        timer.ended = None
        if timer.since is None:
            timer.since = now

    def pause(self, *steps: Step) -> None:
        """All of them, unless some are named: there is more to do, and nobody does it now."""
        now = self._clock()
        for step in steps or tuple(self._timers):
            if step in self._timers:
                self._timers[step].pause(now)

    def end(self, *steps: Step) -> None:
        """Of those that have begun."""
        now = self._clock()
        for step in steps:
            self._end(step, now)

    def end_as_seen(self, step: Step) -> None:
        """When it was last seen at work, of one whose end is only known afterwards."""
        self._end(step, self._seen.get(step, self._clock()))

    def _end(self, step: Step, at: float) -> None:
        timer = self._timers.get(step)
        if timer is not None and timer.ended is None:
            timer.pause(at)
            timer.ended = at

    def to_json(self) -> dict[str, list[float | None]]:
        return {
            step.value: [_short(one.began), _short(one.seconds), _short(one.since), _short(one.ended)]
            for step, one in self._timers.items()
        }


def _short(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
