"""Where starting times of requests come from. All workers of one Stripe account draw from the same store."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol


class SlotStore(Protocol):
    async def reserve(self, buckets: Sequence[tuple[str, float]], count: int) -> Sequence[float]:
        """For each of `count` requests the seconds from now at which it may start, such that every named bucket
        (name, rate per second) is evenly spaced at 1/rate.
        """
        ...

    async def push_back(self, bucket: str, seconds: float) -> None:
        """Nothing starts in the bucket for so many seconds from now."""
        ...


class LocalSlots:
    """Slots of this process alone: for probes and tests."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next: dict[str, float] = {}

    async def reserve(self, buckets: Sequence[tuple[str, float]], count: int) -> Sequence[float]:
        now = self._clock()
        slots: list[float] = []
        for _ in range(count):
            start = max(now, *(self._next.get(name, now) for name, _ in buckets))
            for name, rate in buckets:
                self._next[name] = start + 1.0 / rate
            slots.append(start - now)
        return slots

    async def push_back(self, bucket: str, seconds: float) -> None:
        now = self._clock()
        self._next[bucket] = max(self._next.get(bucket, now), now + seconds)
