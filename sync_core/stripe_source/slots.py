"""Where starting times of requests come from. All workers of one Stripe account draw from the same store."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from sync_core.domain.starts import Calendar, Lot, Wish, serve


class SlotStore(Protocol):
    async def reserve(self, wish: Wish) -> Lot: ...

    async def push_back(self, bucket: str, seconds: float) -> None:
        """Nothing new starts in the bucket for so many seconds from now."""
        ...

    async def take_back(self, account: str, endpoint: str, starts: Sequence[float]) -> None:
        """These were not used, and no more are wanted."""
        ...

    async def count(self, reads: int) -> None:
        """So many requests start without a time; below zero, so many did not start after all."""
        ...


class LocalSlots:
    """Slots of this process alone: for probes and tests."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._calendars: dict[str, Calendar] = {}

    async def reserve(self, wish: Wish) -> Lot:
        return serve(wish, self._calendar(wish.account[0]), self._calendar(wish.endpoint[0]), self._clock())

    async def push_back(self, bucket: str, seconds: float) -> None:
        calendar = self._calendar(bucket)
        calendar.closed_until = max(calendar.closed_until, self._clock() + seconds)

    async def take_back(self, account: str, endpoint: str, starts: Sequence[float]) -> None:
        for name in (account, endpoint):
            self._calendar(name).forget(self._clock(), starts)

    async def count(self, reads: int) -> None:
        pass

    def _calendar(self, name: str) -> Calendar:
        return self._calendars.setdefault(name, Calendar([]))
