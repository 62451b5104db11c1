"""A bucket's cap as Stripe's answers change it, and an endpoint's supply of starting times, drawn in small lots."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from sync_core.domain.starts import LEAST_SLACK, MOST_SLACK, Lot, Wish
from sync_core.stripe_source.slots import SlotStore

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]

_SLOWER: Final = 0.7
_SLOWEST: Final = 0.05
_RECOVERY_PER_SECOND: Final = 0.02
_PAUSE_SECONDS: Final = 0.5

_LOT_SECONDS: Final = 0.4
_PREFETCH_SECONDS: Final = 0.1
# Lots shrink while their last time lies further ahead than this: many processes want the same bucket, and long lots would only make
# those wait who come new, and keep a pause after a 429 from being heeded.
_AHEAD_SECONDS: Final = 0.6
_LEAST_SCALE: Final = 0.1
# A clock that is being set right runs at most so much faster or slower (RFC 5905: 500 ppm).
_DRIFT: Final = 5e-4
# What starts later than the slack allows is given back and drawn anew: after the wait for it, and once more when the first byte is about
# to go. Where that happens to more than one in fourteen, because the machine is busy, more slack is asked for: it costs a share of the
# cap, but less than what is given back.
_LATE_SLACK: Final = 1.15
_TIMELY_SLACK: Final = 0.99
_MOST_LEAD_SECONDS: Final = 0.25


class Allowance:
    """Requests a second allowed in one bucket: less after a 429, and slowly more again."""

    def __init__(self, name: str, cap: float, clock: Clock) -> None:
        self.name = name
        self.paused_until = -math.inf
        self.pause_owed = 0.0
        self.allow(cap)
        self._clock = clock
        self._factor = 1.0
        self._slowed_at = -math.inf

    def cap(self) -> float:
        recovered = _RECOVERY_PER_SECOND * max(0.0, self._clock() - self._slowed_at)
        return self._cap * min(1.0, self._factor + recovered)

    def allow(self, cap: float) -> None:
        """From now on; what a 429 took off stays off for its time."""
        # A share of a whole number is a whole number again, but for what floats lose on the way.
        self._cap = math.floor(cap + 1e-9) if cap >= 1 else cap

    def slow_down(self) -> None:
        """Stripe said that this bucket is over its limit. Many answers of one burst count once."""
        now = self._clock()
        if now - self._slowed_at < 1.0:
            return
        self._factor = max(_SLOWEST, _SLOWER * self.cap() / self._cap)
        self._slowed_at = now
        self.pause_owed = _PAUSE_SECONDS
        self.paused_until = now + _PAUSE_SECONDS


@dataclass(frozen=True, slots=True, order=True)
class Start:
    """When a request may start, by the store's clock, and how much later than that it still may."""

    at: float
    slack: float


class Timing:
    """How this process keeps time: what the store's clock shows, how long asking it takes, and how late starts tend to be."""

    def __init__(self, clock: Clock) -> None:
        self.slack = LEAST_SLACK
        self.lead = 0.0
        self._clock = clock
        self._ahead = 0.0
        self._least, self._most = -math.inf, math.inf
        self._compared_at = 0.0
        self._late_at = -math.inf

    def due(self, start: Start) -> float:
        return start.at + self._ahead

    def is_late(self, start: Start) -> bool:
        return self._clock() - self.due(start) > start.slack

    def was_late(self, start: Start) -> None:
        # One halt of the process makes the starts of many lanes late: it says no more than that of one.
        if self.due(start) > self._late_at:
            self.slack = min(MOST_SLACK, self.slack * _LATE_SLACK)
        self._late_at = self._clock()

    def was_timely(self) -> None:
        self.slack = max(LEAST_SLACK, self.slack * _TIMELY_SLACK)

    def compare(self, asked: float, now_there: float) -> None:
        """What the other clock showed, it showed after the question and before the answer. The quickest question and the quickest answer so
        far leave the least room; the middle of it holds.
        """
        now = self._clock()
        self.lead = min(_MOST_LEAD_SECONDS, max(1.5 * (now - asked), 0.8 * self.lead))
        drift = _DRIFT * (now - self._compared_at)
        least, most = max(self._least - drift, asked - now_there), min(self._most + drift, now - now_there)
        if least > most:
            # A clock was set.
            least, most = asked - now_there, now - now_there
        self._least, self._most, self._compared_at = least, most, now
        self._ahead = (least + most) / 2


class Lane:
    """One endpoint's times. `next_start` and `give_back` are for one caller at a time, who holds `lock`."""

    def __init__(
        self,
        account: Allowance,
        endpoint: Allowance,
        slots: SlotStore,
        timing: Timing,
        clock: Clock,
        sleep: Sleep,
        *,
        told: Callable[[int | None], None],
    ) -> None:
        """`told` hears the account's cap, as it was when times were drawn."""
        self.endpoint = endpoint
        self.lock = asyncio.Lock()
        self.waiting = 0
        self._account = account
        self._slots = slots
        self._clock = clock
        self._sleep = sleep
        self._timing = timing
        self._told = told
        self._pool: deque[Start] = deque()
        self._returned: list[float] = []
        self._prefetch: asyncio.Task[None] | None = None
        self._drawn_at = -math.inf
        self._used = 0
        self._scale = _LEAST_SCALE

    async def next_start(self) -> Start:
        """Return when a request may start."""
        while True:
            while not self._pool:
                await self._refill()
            start = self._pool.popleft()
            if not self.may_go(start):
                self._returned.append(start.at)
                continue
            self._look_ahead()
            try:
                await self._sleep(max(0.0, self._timing.due(start) - self._clock()))
            except asyncio.CancelledError:
                self._returned.append(start.at)
                raise
            if self.may_go(start):
                return start
            self.too_late(start)

    def may_go(self, start: Start) -> bool:
        """Whether it is neither too late for it, nor a pause has come before it."""
        return not self._timing.is_late(start) and self._timing.due(start) >= self._paused_until()

    def too_late(self, start: Start) -> None:
        """Given back soon, its room can still be used; a second later it would be lost."""
        if self._timing.is_late(start):
            self._timing.was_late(start)
        self._returned.append(start.at)
        self._draw_ahead(1)

    def went(self, start: Start) -> None:
        """Its first byte has gone."""
        if self._timing.is_late(start):
            self._timing.was_late(start)
        else:
            self._timing.was_timely()

    def used(self) -> None:
        self._used += 1

    def give_back(self, start: Start) -> None:
        """It was not used after all."""
        self._returned.append(start.at)

    async def close(self) -> None:
        """Give back what is left: it counts as read until then."""
        if self._prefetch is not None:
            task, self._prefetch = self._prefetch, None
            await task
        left = [*self._returned, *(start.at for start in self._pool)]
        self._returned.clear()
        self._pool.clear()
        if left:
            await self._slots.take_back(self._account.name, self.endpoint.name, left)

    def _paused_until(self) -> float:
        return max(self._account.paused_until, self.endpoint.paused_until)

    async def _refill(self) -> None:
        if self._prefetch is None:
            await self._draw(self._size())
            return
        task, self._prefetch = self._prefetch, None
        await task

    def _look_ahead(self) -> None:
        """Ask for the next lot while the last times of this one are still ahead: asking takes time too."""
        soon = self._clock() + _PREFETCH_SECONDS + 2 * self._timing.lead
        short = not self._pool or self._timing.due(self._pool[-1]) < soon
        if short and self.waiting > 1:
            self._draw_ahead()

    def _draw_ahead(self, count: int | None = None) -> None:
        if self._prefetch is not None and self._prefetch.done():
            self._prefetch.result()
            self._prefetch = None
        if self._prefetch is None:
            self._prefetch = asyncio.ensure_future(self._draw(count or self._size()))

    async def _draw(self, count: int) -> None:
        await self._heed_pause(self._account)
        await self._heed_pause(self.endpoint)
        returned, self._returned = self._returned, []
        wish = Wish(
            (self._account.name, self._account.cap()),
            (self.endpoint.name, self.endpoint.cap()),
            count,
            returned,
            self._timing.slack,
            self._timing.lead,
        )
        asked = self._clock()
        lot = await self._slots.reserve(wish)
        self._told(lot.cap)
        self._timing.compare(asked, lot.now)
        self._scale_to(lot)
        self._pool = deque(sorted([*self._pool, *(Start(at, wish.slack) for at in lot.starts)]))

    async def _heed_pause(self, bucket: Allowance) -> None:
        if bucket.pause_owed:
            owed, bucket.pause_owed = bucket.pause_owed, 0.0
            await self._slots.push_back(bucket.name, owed)

    def _size(self) -> int:
        """As many as will start within the lot's time, judged by those that wait and by what was used since the last lot."""
        now = self._clock()
        since = max(now - self._drawn_at, 1e-3)
        expected = self._used / since * _LOT_SECONDS
        self._drawn_at, self._used = now, 0
        most = min(math.ceil(self.endpoint.cap() * _LOT_SECONDS), max(self.waiting, math.ceil(expected)))
        return max(1, int(most * self._scale))

    def _scale_to(self, lot: Lot) -> None:
        far = lot.starts[-1] - lot.now > _AHEAD_SECONDS
        self._scale = max(_LEAST_SCALE, self._scale / 2) if far else min(1.0, self._scale * 1.25)
