"""Stripe's limits, kept by us: so many requests a second for the account, and so many for each of its endpoints."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from sync_core.stripe_source.pacing import Clock, Pacer, Sleep
from sync_core.stripe_source.slots import SlotStore

Mode = Literal["live", "test"]

GLOBAL_LIMIT: Final[Mapping[Mode, int]] = {"live": 100, "test": 25}
ENDPOINT_LIMIT: Final = 25
_GLOBAL: Final = "global"
_CONCURRENCY_RECOVERS_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class GovernorStats:
    """`caps` are requests a second allowed now, by "global" and endpoint; `resume_at` is epoch seconds while paused."""

    requests: int
    throttled: Mapping[str, int]
    waiting: int
    in_flight: int
    caps: Mapping[str, float]
    resume_at: float | None


class Governor:
    """Lets requests start evenly spaced. Every `admit` is followed by one `on_response`, also when no answer came."""

    def __init__(
        self,
        slots: SlotStore,
        *,
        account: str,
        mode: Mode,
        cap_share: float,
        unlimited: bool = False,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._slots = slots
        self._prefix = f"{account}:{mode}:"
        self._share = cap_share
        self._unlimited = unlimited
        self._clock = clock
        self._sleep = sleep
        self._global = _Lane(self._pacer(_GLOBAL, GLOBAL_LIMIT[mode]))
        self._lanes: dict[str, _Lane] = {}
        self._flights = _Flights(clock)
        self._throttled: Counter[str] = Counter()
        self._requests = 0

    async def admit(self, endpoint: str) -> None:
        """Return when a request to the endpoint may start."""
        if not self._unlimited:
            await self._wait(self._lane(endpoint))
        self._requests += 1
        self._flights.took_off()

    def on_response(self, endpoint: str, status: int | None, reason: str | None = None) -> None:
        """`status` None: no answer. `reason` is `Stripe-Rate-Limited-Reason`, read on a 429 only."""
        self._flights.landed()
        if status != 429:
            return
        self._throttled[reason or "unknown"] += 1
        if reason == "global-rate":
            self._global.pacer.slow_down()
        elif reason in ("endpoint-rate", None):
            self._lane(endpoint).pacer.slow_down()
        elif reason.endswith("-concurrency"):
            self._flights.fewer()

    def stats(self) -> GovernorStats:
        pacers = {_GLOBAL: self._global.pacer} | {name: lane.pacer for name, lane in self._lanes.items()}
        paused = max(pacer.paused_until for pacer in pacers.values()) - self._clock()
        return GovernorStats(
            requests=self._requests,
            throttled=dict(self._throttled),
            waiting=sum(lane.waiting for lane in self._lanes.values()),
            in_flight=self._flights.count,
            caps={name: pacer.cap() for name, pacer in pacers.items()},
            resume_at=time.time() + paused if paused > 0 else None,
        )

    async def _wait(self, lane: _Lane) -> None:
        lane.waiting += 1
        self._global.waiting += 1
        try:
            # The lane is held until the request starts, so that what waits for the account's bucket
            # can't pile up and break the endpoint's spacing when it is let go.
            async with lane.lock:
                await lane.pacer.ready(lane.waiting)
                async with self._global.lock:
                    await self._flights.room()
                    await self._global.pacer.ready(self._global.waiting)
                    self._global.pacer.started()
                lane.pacer.started()
        finally:
            lane.waiting -= 1
            self._global.waiting -= 1

    def _lane(self, endpoint: str) -> _Lane:
        lane = self._lanes.get(endpoint)
        if lane is None:
            lane = self._lanes[endpoint] = _Lane(self._pacer(endpoint, ENDPOINT_LIMIT))
        return lane

    def _pacer(self, name: str, limit: int) -> Pacer:
        return Pacer(self._prefix + name, limit * self._share, self._slots, self._clock, self._sleep)


class _Lane:
    """A bucket and those who wait for it, first come first served."""

    def __init__(self, pacer: Pacer) -> None:
        self.pacer = pacer
        self.lock = asyncio.Lock()
        self.waiting = 0


class _Flights:
    """Requests under way. There is no limit until Stripe complains of concurrency; then it recovers one by one."""

    def __init__(self, clock: Clock) -> None:
        self.count = 0
        self._clock = clock
        self._most: int | None = None
        self._changed_at = 0.0
        self._freed = asyncio.Event()

    def took_off(self) -> None:
        self.count += 1

    def landed(self) -> None:
        self.count -= 1
        self._freed.set()

    def fewer(self) -> None:
        now = self._clock()
        if self._most is not None and now - self._changed_at < 1.0:
            return
        self._most = max(1, int((self.count + 1) * 0.7))
        self._changed_at = now

    async def room(self) -> None:
        while self._most is not None and self.count >= self._limit():
            self._freed.clear()
            await self._freed.wait()

    def _limit(self) -> int:
        most = self._most or 1
        return most + int((self._clock() - self._changed_at) / _CONCURRENCY_RECOVERS_SECONDS)
