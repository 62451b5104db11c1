"""The governor against a clock that jumps: never above a cap in any second, nearly all of it used, and slower when told."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from dataclasses import dataclass, field, replace

import pytest

from sync_core.domain.starts import Lot, Wish
from sync_core.stripe_source import Governor, LocalSlots
from sync_core.stripe_source.governor import Mode
from tests.unit._virtual_time import run_virtually, stall


class CountingSlots(LocalSlots):
    """A store that takes its time, as a database does, and counts how often it is asked."""

    def __init__(self, rng: random.Random, *, slowness: float = 0.005) -> None:
        super().__init__(asyncio.get_running_loop().time)
        self._rng = rng
        self._slowness = slowness
        self.asked = 0

    async def reserve(self, wish: Wish) -> Lot:
        self.asked += 1
        await self._pass()
        lot = await super().reserve(wish)
        await self._pass()
        return lot

    async def _pass(self) -> None:
        await wait_virtually(self._rng.uniform(0, self._slowness))


async def wait_virtually(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    passed = loop.create_future()
    loop.call_later(seconds, passed.set_result, None)
    await passed


def busiest_second(times: list[float]) -> int:
    """The most that lie within any window of one second, its end not included."""
    most = first = 0
    ordered = sorted(times)
    for last, time in enumerate(ordered):
        while time - ordered[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


@dataclass
class Run:
    starts: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    seconds: float = 0.0
    asked: int = 0

    @property
    def all_starts(self) -> list[float]:
        return [time for times in self.starts.values() for time in times]

    @property
    def rate(self) -> float:
        return len(self.all_starts) / self.seconds


@dataclass(frozen=True)
class Load:
    """`readers` a lane ask again as soon as they have an answer, which takes `latency`. Now and then one computes; `before_it_goes`, so
    long at most, other work comes between a request's leave and its first byte.
    """

    mode: Mode = "live"
    share: float = 1.0
    endpoints: int = 1
    readers: int = 8
    latency: tuple[float, float] = (0.05, 0.25)
    stalls: float = 0.0
    before_it_goes: float = 0.0
    slowness: float = 0.005
    seconds: float = 20.0
    processes: int = 1


async def drive(load: Load, seed: int) -> Run:
    loop = asyncio.get_running_loop()
    rng = random.Random(seed)
    slots = CountingSlots(rng, slowness=load.slowness)
    governors = [
        Governor(slots, account="acct_1", mode=load.mode, cap_share=load.share, clock=loop.time)
        for _ in range(load.processes)
    ]
    run = Run(seconds=load.seconds)
    end = loop.time() + load.seconds

    async def reader(governor: Governor, endpoint: str) -> None:
        while loop.time() < end:
            leave = await governor.admit(endpoint)
            assert leave is not None
            stall(rng.uniform(0, load.before_it_goes) if load.before_it_goes and rng.random() < 0.1 else 0.0)
            await leave.about_to_go()
            leave.gone()
            if loop.time() < end:
                run.starts[endpoint].append(loop.time())
            stall(rng.uniform(0, load.stalls) if load.stalls and rng.random() < 0.1 else 0.0)
            await wait_virtually(rng.uniform(*load.latency))
            governor.on_response(endpoint, 200)

    names = [f"entity{number}.list" for number in range(load.endpoints)]
    each = [(governor, name) for governor in governors for name in names] * load.readers
    await asyncio.gather(*(reader(governor, name) for governor, name in each))
    run.asked = slots.asked
    return run


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("load", "global_cap", "endpoint_cap", "at_least"),
    [
        pytest.param(Load(), 100, 25, 0.95 * 25, id="live-one-entity"),
        pytest.param(Load(endpoints=4), 100, 25, 95, id="live-four"),
        pytest.param(Load(endpoints=5), 100, 25, 95, id="live-five"),
        pytest.param(Load(mode="test"), 25, 25, 0.95 * 25, id="test-one"),
        pytest.param(Load(mode="test", endpoints=5), 25, 25, 0.95 * 25, id="test-five"),
        pytest.param(Load(share=0.8), 80, 20, 0.95 * 20, id="share-one"),
        pytest.param(Load(share=0.8, endpoints=5), 80, 20, 0.95 * 80, id="share-five"),
        pytest.param(Load(share=0.1, endpoints=5), 10, 2, 0.95 * 10, id="tenth-rounded-down"),
        pytest.param(Load(share=0.1), 2, 2, 0.95 * 2, id="tenth-of-one-endpoint"),
        pytest.param(Load(latency=(0.001, 0.002)), 100, 25, 0.95 * 25, id="no-latency"),
        pytest.param(Load(latency=(0.0, 1.5), readers=40), 100, 25, 0.95 * 25, id="wild-latency"),
        pytest.param(Load(stalls=0.05), 100, 25, 0.95 * 25, id="one-entity-beside-computing"),
        pytest.param(Load(stalls=0.5, endpoints=5), 100, 25, 0, id="long-stalls-never-burst"),
        pytest.param(Load(before_it_goes=0.02), 100, 25, 0.94 * 25, id="one-entity-short-work-before-it-goes"),
        pytest.param(Load(before_it_goes=0.5, endpoints=5), 100, 25, 0, id="long-work-before-it-goes"),
        pytest.param(Load(slowness=0.03, endpoints=5), 100, 25, 95, id="slow-store"),
    ],
)
def test_never_above_a_cap_and_nearly_all_of_it_used(
    load: Load, global_cap: int, endpoint_cap: int, at_least: float, seed: int
) -> None:
    run = run_virtually(drive(load, seed))

    assert busiest_second(run.all_starts) <= global_cap
    assert max(busiest_second(times) for times in run.starts.values()) <= endpoint_cap
    assert run.rate >= at_least


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize(
    ("load", "global_cap", "endpoint_cap", "at_least"),
    [
        pytest.param(Load(share=0.8), 80, 20, 0.95 * 20, id="one-entity"),
        pytest.param(Load(share=0.8, endpoints=5), 80, 20, 0.95 * 80, id="five"),
        pytest.param(Load(endpoints=5), 100, 25, 95, id="five-at-the-full-limit"),
        pytest.param(Load(mode="test", endpoints=5), 25, 25, 0.95 * 25, id="test-mode"),
        pytest.param(Load(endpoints=5, readers=2, latency=(0.0, 2.0)), 100, 25, 0, id="uneven-demand"),
        pytest.param(Load(endpoints=5, stalls=0.05), 100, 25, 88, id="computing-a-quarter-of-the-time"),
        pytest.param(Load(endpoints=5, stalls=0.5), 100, 25, 0, id="long-stalls-never-burst"),
        pytest.param(Load(endpoints=5, before_it_goes=0.5), 100, 25, 0, id="long-work-before-it-goes"),
        pytest.param(Load(endpoints=5, slowness=0.03), 100, 25, 95, id="slow-store"),
    ],
)
def test_processes_share_one_account_and_keep_its_caps(
    *, load: Load, global_cap: int, endpoint_cap: int, at_least: float, processes: int, seed: int
) -> None:
    run = run_virtually(drive(replace(load, processes=processes), seed))

    assert busiest_second(run.all_starts) <= global_cap
    assert max(busiest_second(times) for times in run.starts.values()) <= endpoint_cap
    assert run.rate >= at_least


@pytest.mark.parametrize(
    ("load", "most"),
    [
        pytest.param(Load(), 8, id="one-entity"),
        pytest.param(Load(endpoints=5), 18, id="five"),
        pytest.param(Load(readers=1, latency=(2.0, 3.0)), 1, id="hardly-any"),
    ],
)
def test_the_store_is_asked_a_few_times_a_second(load: Load, most: float) -> None:
    run = run_virtually(drive(replace(load, seconds=60.0), seed=1))

    assert run.asked / run.seconds <= most


def test_lanes_share_the_account_evenly() -> None:
    run = run_virtually(drive(Load(mode="test", endpoints=5), seed=1))

    counts = [len(times) for times in run.starts.values()]
    assert max(counts) - min(counts) <= 0.1 * max(counts)


def test_unlimited_never_waits() -> None:
    async def main() -> tuple[float, int]:
        loop = asyncio.get_running_loop()
        governor = Governor(LocalSlots(loop.time), account="a", mode="test", cap_share=1.0, unlimited=True)
        began = loop.time()
        for _ in range(1000):
            await governor.admit("customers.list")
        return loop.time() - began, governor.stats().requests

    assert run_virtually(main()) == (0.0, 1000)


@dataclass(frozen=True)
class Told:
    before: float
    after: float
    recovered: float
    pause: float


async def tell(reason: str | None, bucket: str) -> Told:
    loop = asyncio.get_running_loop()
    governor = Governor(LocalSlots(loop.time), account="a", mode="live", cap_share=1.0, clock=loop.time)
    await governor.admit("customers.list")
    await governor.admit("prices.list")
    before = governor.stats().caps[bucket]
    for _ in range(20):
        governor.on_response("customers.list", 429, reason)
    after = governor.stats().caps[bucket]
    asked = loop.time()
    await governor.admit("customers.list")
    pause = loop.time() - asked
    await wait_virtually(60)
    return Told(before, after, governor.stats().caps[bucket], pause)


@pytest.mark.parametrize(
    ("reason", "bucket", "slower"),
    [
        pytest.param("global-rate", "global", True, id="global-rate-slows-the-account"),
        pytest.param("global-rate", "customers.list", False, id="global-rate-leaves-the-endpoint"),
        pytest.param("endpoint-rate", "customers.list", True, id="endpoint-rate-slows-its-endpoint"),
        pytest.param("endpoint-rate", "prices.list", False, id="endpoint-rate-leaves-others"),
        pytest.param("endpoint-rate", "global", False, id="endpoint-rate-leaves-the-account"),
        pytest.param(None, "customers.list", True, id="no-reason-slows-the-endpoint"),
        pytest.param("resource-specific", "customers.list", False, id="one-object-slows-nothing"),
        pytest.param("global-concurrency", "global", False, id="concurrency-slows-no-rate"),
    ],
)
def test_429_slows_what_it_names_and_it_recovers(reason: str | None, bucket: str, slower: bool) -> None:
    told = run_virtually(tell(reason, bucket))

    # Twenty answers of one burst count once: 0.7 of the cap, not 0.7 to the twentieth.
    assert told.after == pytest.approx(told.before * (0.7 if slower else 1.0))
    assert told.recovered == pytest.approx(told.before)
    if slower:
        assert told.pause >= 0.5


def test_a_429_pauses_the_other_processes_too() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        slots = LocalSlots(loop.time)
        told, other = (Governor(slots, account="a", mode="live", cap_share=1.0, clock=loop.time) for _ in range(2))
        await told.admit("customers.list")
        told.on_response("customers.list", 429, "global-rate")
        began = loop.time()
        again = asyncio.ensure_future(told.admit("customers.list"))
        await wait_virtually(0.05)
        await other.admit("prices.list")
        paused = loop.time() - began
        await again
        return paused

    assert run_virtually(main()) >= 0.5


def test_stats_tell_when_requests_resume() -> None:
    async def main() -> tuple[float | None, dict[str, int], bool]:
        loop = asyncio.get_running_loop()
        governor = Governor(LocalSlots(loop.time), account="a", mode="live", cap_share=1.0, clock=loop.time)
        before = governor.stats().resume_at
        await governor.admit("customers.list")
        governor.on_response("customers.list", 429, "global-rate")
        stats = governor.stats()
        return before, dict(stats.throttled), stats.resume_at is not None

    assert run_virtually(main()) == (None, {"global-rate": 1}, True)


def test_a_time_that_is_over_before_the_first_byte_is_no_second_request() -> None:
    async def main() -> tuple[float, int, int, float]:
        loop = asyncio.get_running_loop()
        slots = LocalSlots(loop.time)
        governor = Governor(slots, account="a", mode="live", cap_share=1.0, clock=loop.time)
        leave = await governor.admit("customers.list")
        assert leave is not None
        stall(3.0)
        began = loop.time()
        await leave.about_to_go()
        late = loop.time() - began
        leave.gone()
        stats = governor.stats()
        governor.on_response("customers.list", 200)
        return late, stats.requests, stats.in_flight, governor.stats().in_flight

    late, requests, in_flight, after = run_virtually(main())
    assert late < 1.0
    assert (requests, in_flight, after) == (1, 1, 0)


def test_a_pause_that_comes_before_the_first_byte_is_heeded() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        governor = Governor(LocalSlots(loop.time), account="a", mode="live", cap_share=1.0, clock=loop.time)
        first, second = [await governor.admit(name) for name in ("customers.list", "prices.list")]
        assert first is not None
        assert second is not None
        began = loop.time()
        governor.on_response("customers.list", 429, "global-rate")
        await second.about_to_go()
        return loop.time() - began

    assert run_virtually(main()) >= 0.5


def test_concurrency_complaints_mean_fewer_in_flight() -> None:
    async def main() -> tuple[int, int, int]:
        loop = asyncio.get_running_loop()
        governor = Governor(LocalSlots(loop.time), account="a", mode="live", cap_share=1.0, clock=loop.time)
        tasks = [asyncio.ensure_future(governor.admit(f"e{number % 4}")) for number in range(10)]
        await asyncio.wait(tasks)
        governor.on_response("e0", 429, "global-concurrency")
        more = [asyncio.ensure_future(governor.admit(f"e{number % 4}")) for number in range(10)]
        await wait_virtually(2)
        held = governor.stats().in_flight
        for _ in range(4):
            governor.on_response("e1", 200)
        await wait_virtually(2)
        after = governor.stats().in_flight
        for _ in range(9):
            governor.on_response("e1", 200)
            await wait_virtually(2)
        await asyncio.wait(more, timeout=60)
        return held, after, sum(task.done() for task in more)

    held, after, done = run_virtually(main())
    assert held == 9
    assert after == 7
    assert done == 10


def test_a_waiter_that_is_cancelled_leaves_no_trace() -> None:
    async def main() -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        governor = Governor(LocalSlots(loop.time), account="a", mode="test", cap_share=1.0, clock=loop.time)
        tasks = [asyncio.ensure_future(governor.admit("customers.list")) for _ in range(20)]
        await wait_virtually(0.1)
        waiting = governor.stats().waiting
        for task in tasks[5:]:
            task.cancel()
        await asyncio.wait(tasks)
        await governor.admit("customers.list")
        return waiting, governor.stats().waiting

    waiting, left = run_virtually(main())
    assert waiting > 10
    assert left == 0
