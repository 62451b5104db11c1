"""Even spacing of requests in one bucket, from starting times that are drawn in small lots."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from sync_core.stripe_source.slots import SlotStore

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]

# Slots are spaced for this share of the cap. With C a second allowed, request C + 1 then comes 1/0.98 s after the first:
# the way to Stripe may delay one by 20 ms more than another before a window of one second holds one too many.
_NOMINAL: Final = 0.98
# After a stall, requests are never closer than at this share of the cap, whatever slots have become due meanwhile.
_CATCHING_UP: Final = 0.995
# Alone in a bucket, a lot is this long and its slots may be used this late: the spacing keeps the cap by itself.
_LOT_SECONDS: Final = 0.4
_STALE_SECONDS: Final = 0.5
_PREFETCH_SECONDS: Final = 0.08
# Beside other processes, slots must be used when they are due, or late ones of one meet timely ones of another; so they
# are drawn one by one. Simulated, four processes at full demand keep the account's cap, and an endpoint's within two
# requests; large lots went 30 % above. A bucket counts as shared at first, until its slots show that it is not.
_SHARED_LOT_SECONDS: Final = 0.02
_SHARED_STALE_SECONDS: Final = 0.1
_SHARED_MEMORY_SECONDS: Final = 1.0
# What a timer oversleeps is not added to the spacing, or 1 ms at 100 requests a second would cost a tenth of them.
_TIMER_SLACK: Final = 0.003
_SLOWER: Final = 0.7
_SLOWEST: Final = 0.05
_RECOVERY_PER_SECOND: Final = 0.02
_PAUSE_SECONDS: Final = 0.5


class Pacer:
    """One bucket. `ready` and `started` belong together, one caller at a time."""

    def __init__(self, name: str, cap: float, slots: SlotStore, clock: Clock, sleep: Sleep) -> None:
        self.name = name
        self.paused_until = -math.inf
        self._cap = math.floor(cap) if cap >= 1 else cap
        self._slots = slots
        self._clock = clock
        self._sleep = sleep
        self._pool: deque[float] = deque()
        self._start = -math.inf
        self._last = -math.inf
        self._factor = 1.0
        self._slowed_at = -math.inf
        self._pause_owed = 0.0
        self._drawn_at = -math.inf
        self._tail = -math.inf
        self._shared_until = clock() + _SHARED_MEMORY_SECONDS
        self._round_trip = 0.0
        self._used = 0
        self._prefetch: asyncio.Task[None] | None = None

    def cap(self) -> float:
        """Requests a second allowed now."""
        recovered = _RECOVERY_PER_SECOND * max(0.0, self._clock() - self._slowed_at)
        return self._cap * min(1.0, self._factor + recovered)

    async def ready(self, waiting: int) -> None:
        """Return when a request may start. `waiting` is how many want to, this one included."""
        slot = await self._take(waiting)
        self._start = max(slot, self._last + 1.0 / (_CATCHING_UP * self.cap()), self.paused_until)
        wait = self._start - self._clock()
        if wait > 0:
            await self._sleep(wait)

    def started(self) -> None:
        self._last = max(self._start, self._clock() - _TIMER_SLACK)
        self._used += 1

    def slow_down(self) -> None:
        """Stripe said that this bucket is over its limit. Many answers of one burst count once."""
        now = self._clock()
        if now - self._slowed_at < 1.0:
            return
        self._factor = max(_SLOWEST, _SLOWER * self.cap() / self._cap)
        self._slowed_at = now
        self._pause_owed = _PAUSE_SECONDS
        self.paused_until = now + _PAUSE_SECONDS

    async def _take(self, waiting: int) -> float:
        while True:
            if not self._pool:
                await self._refill(waiting)
            while self._pool:
                slot = self._pool.popleft()
                if slot > self._clock() - (_SHARED_STALE_SECONDS if self._is_shared() else _STALE_SECONDS):
                    self._look_ahead(waiting)
                    return slot

    async def _refill(self, waiting: int) -> None:
        if self._prefetch is None:
            await self._draw(waiting)
            return
        task, self._prefetch = self._prefetch, None
        await task

    def _look_ahead(self, waiting: int) -> None:
        """Ask for the next lot while the last slots of this one are still ahead: asking takes time too."""
        if self._prefetch is None and waiting > 1 and len(self._pool) <= self._few():
            self._prefetch = asyncio.ensure_future(self._draw(waiting))

    def _few(self) -> float:
        if self._is_shared():
            return 1.0 if self._round_trip * self.cap() > 1.0 else -1.0
        return max(1.0, _PREFETCH_SECONDS * self.cap())

    async def _draw(self, waiting: int) -> None:
        if self._pause_owed:
            owed, self._pause_owed = self._pause_owed, 0.0
            await self._slots.push_back(self.name, owed)
        rate = _NOMINAL * self.cap()
        asked = self._clock()
        waits = await self._slots.reserve([(self.name, rate)], self._lot(rate, waiting))
        self._round_trip = self._clock() - asked
        # The store counts from some instant in between.
        origin = asked + self._round_trip / 2
        self._notice_others(origin, waits[0], rate)
        self._pool.extend(origin + wait for wait in waits)
        self._tail = origin + waits[-1]

    def _notice_others(self, origin: float, wait: float, rate: float) -> None:
        """Slots between our last one and the next can only be somebody else's."""
        expected = self._tail + 1.5 / rate + self._round_trip
        if wait > 0.1 / rate and origin + wait > expected and origin > self.paused_until:
            self._shared_until = origin + wait + _SHARED_MEMORY_SECONDS

    def _is_shared(self) -> bool:
        return self._clock() < self._shared_until

    def _lot_seconds(self) -> float:
        return max(_SHARED_LOT_SECONDS, 2 * self._round_trip) if self._is_shared() else _LOT_SECONDS

    def _lot(self, rate: float, waiting: int) -> int:
        """As many as will start within the lot's time, judged by what was used since the last lot."""
        now = self._clock()
        since = max(now - self._drawn_at, 1e-3)
        seconds = self._lot_seconds()
        expected = self._used / since * seconds
        self._drawn_at, self._used = now, 0
        return max(1, min(math.ceil(rate * seconds), max(waiting, math.ceil(expected))))
