"""Stripe's limits, kept by us: so many requests a second for the account, and so many for each of its endpoints."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from sync_core.stripe_source.pacing import Allowance, Clock, Lane, Sleep, Start, Timing
from sync_core.stripe_source.slots import SlotStore

Mode = Literal["live", "test"]

GLOBAL_LIMIT: Final[Mapping[Mode, int]] = {"live": 100, "test": 25}
ENDPOINT_LIMIT: Final = 25
_GLOBAL: Final = "global"
_LEAST_ENDPOINT: Final = 1.0
_CONCURRENCY_RECOVERS_SECONDS: Final = 5.0
_COUNTED_AHEAD: Final = 50


def account_bucket(account: str, mode: Mode) -> str:
    """The name under which all workers of the account share its limit."""
    return f"{account}:{mode}:{_GLOBAL}"


def endpoint_cap(cap: int, mode: Mode) -> float:
    """Requests a second to one list where the account is allowed `cap`: the same share of its limit, but one at the least."""
    return max(_LEAST_ENDPOINT, ENDPOINT_LIMIT * cap / GLOBAL_LIMIT[mode])


@dataclass(frozen=True, slots=True)
class GovernorStats:
    """`caps` are requests a second allowed now, by "global" and endpoint; `resume_at` is epoch seconds while paused."""

    requests: int
    throttled: Mapping[str, int]
    waiting: int
    in_flight: int
    caps: Mapping[str, float]
    resume_at: float | None


class Leave:
    """To start one request. The loop may be kept by much else until its first byte goes, so who sends it asks once more."""

    def __init__(self, governor: Governor, lane: Lane, start: Start) -> None:
        self._governor = governor
        self._lane = lane
        self._start = start

    async def about_to_go(self) -> None:
        """Return when the request may start: at once, unless its time is over."""
        while not self._lane.may_go(self._start):
            self._lane.too_late(self._start)
            self._start = await self._governor.again(self._lane)

    def gone(self) -> None:
        self._lane.went(self._start)


class Governor:
    """Lets requests start so that no second holds more than the caps. Every `admit` is followed by one `on_response`, also
    when no answer came. `cap_share` of Stripe's limits, unless the store of slots knows of a cap of the account's own.
    """

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
        self._prefix = account_bucket(account, mode).removesuffix(_GLOBAL)
        self._mode: Mode = mode
        self._share = cap_share
        self._cap: int | None = None
        self._unlimited = unlimited
        self._clock = clock
        self._sleep = sleep
        self._global = Allowance(self._prefix + _GLOBAL, self._account_cap(), clock)
        self._lanes: dict[str, Lane] = {}
        self._timing = Timing(clock)
        self._flights = _Flights(clock)
        self._throttled: Counter[str] = Counter()
        self._requests = 0
        self._counted = 0
        self._counting = asyncio.Lock()

    async def admit(self, endpoint: str) -> Leave | None:
        """Return when a request to the endpoint may start; None where there is no limit to keep."""
        if self._unlimited:
            await self._count()
            self._take_off()
            return None
        lane = self._lane(endpoint)
        return Leave(self, lane, await self._wait(lane))

    async def again(self, lane: Lane) -> Start:
        """Another time for a request that has been let through and did not start."""
        self._requests -= 1
        self._flights.landed()
        try:
            return await self._wait(lane)
        except BaseException:
            # It ends, and `on_response` will say so.
            self._take_off()
            raise

    def on_response(self, endpoint: str, status: int | None, reason: str | None = None) -> None:
        """`status` None: no answer. `reason` is `Stripe-Rate-Limited-Reason`, read on a 429 only."""
        self._flights.landed()
        if status != 429:
            return
        self._throttled[reason or "unknown"] += 1
        if reason == "global-rate":
            self._global.slow_down()
        elif reason in ("endpoint-rate", None):
            self._lane(endpoint).endpoint.slow_down()
        elif reason.endswith("-concurrency"):
            self._flights.fewer()

    async def close(self) -> None:
        """When no more requests are to come: what was drawn and not used is given back."""
        if self._counted:
            left, self._counted = self._counted, 0
            await self._slots.count(-left)
        for lane in self._lanes.values():
            await lane.close()

    def stats(self) -> GovernorStats:
        buckets = {_GLOBAL: self._global} | {name: lane.endpoint for name, lane in self._lanes.items()}
        paused = max(bucket.paused_until for bucket in buckets.values()) - self._clock()
        return GovernorStats(
            requests=self._requests,
            throttled=dict(self._throttled),
            waiting=sum(lane.waiting for lane in self._lanes.values()),
            in_flight=self._flights.count,
            caps={name: bucket.cap() for name, bucket in buckets.items()},
            resume_at=time.time() + paused if paused > 0 else None,
        )

    async def _count(self) -> None:
        """Before it starts, as a starting time is: a process that is killed leaves no request uncounted."""
        async with self._counting:
            if not self._counted:
                await self._slots.count(_COUNTED_AHEAD)
                self._counted = _COUNTED_AHEAD
            self._counted -= 1

    async def _wait(self, lane: Lane) -> Start:
        lane.waiting += 1
        try:
            # First come, first served; whoever holds the lane is the only one to draw times for it.
            async with lane.lock:
                while True:
                    await self._flights.room()
                    start = await lane.next_start()
                    if self._flights.has_room():
                        break
                    lane.give_back(start)
                lane.used()
                self._take_off()
                return start
        finally:
            lane.waiting -= 1

    def _take_off(self) -> None:
        self._requests += 1
        self._flights.took_off()

    def _lane(self, endpoint: str) -> Lane:
        lane = self._lanes.get(endpoint)
        if lane is None:
            allowance = Allowance(self._prefix + endpoint, self._endpoint_cap(), self._clock)
            lane = self._lanes[endpoint] = Lane(
                self._global, allowance, self._slots, self._timing, self._clock, self._sleep, told=self._heed
            )
        return lane

    def _heed(self, cap: int | None) -> None:
        """What is drawn from now on keeps the account's cap; None, when there is none any more."""
        if cap == self._cap:
            return
        self._cap = cap
        self._global.allow(self._account_cap())
        for lane in self._lanes.values():
            lane.endpoint.allow(self._endpoint_cap())

    def _account_cap(self) -> float:
        return GLOBAL_LIMIT[self._mode] * self._share if self._cap is None else self._cap

    def _endpoint_cap(self) -> float:
        return ENDPOINT_LIMIT * self._share if self._cap is None else endpoint_cap(self._cap, self._mode)


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

    def has_room(self) -> bool:
        return self._most is None or self.count < self._limit()

    async def room(self) -> None:
        while not self.has_room():
            self._freed.clear()
            await self._freed.wait()

    def _limit(self) -> int:
        most = self._most or 1
        return most + int((self._clock() - self._changed_at) / _CONCURRENCY_RECOVERS_SECONDS)
