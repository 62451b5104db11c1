"""Several processes, one Stripe account, real PostgreSQL between them, and a sandbox that refuses what is above Stripe's limits."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sync_core.domain.starts import Wish
from sync_core.domain.vocabulary import EntityType
from sync_core.sandbox.keys import DEMO_KEY
from sync_core.sandbox.launch import SandboxProcess
from sync_core.store.database import Database
from sync_core.store.rates import StoredSlots
from sync_core.stripe_source.governor import Mode
from tests.fairclock import fair_clock
from tests.reader import Orders
from tests.unit.test_source_governor import busiest_second

ROOT = Path(__file__).parents[2]
ALL = [entity.value for entity in EntityType]
SECONDS = 5.0
STARTING_SECONDS = 1.5


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    sizes = [part for entity in ALL for part in (f"--{entity}", "20")]
    with SandboxProcess(*sizes, "--seed", "governor") as running:
        yield running


async def ready(orders: Orders) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.reader"),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(orders.to_line())
    assert await process.stdout.readline() == b"ready\n"
    return process


async def told(process: asyncio.subprocess.Process, until: float) -> dict[str, Any]:
    out, _ = await process.communicate(f"{until}\n".encode())
    assert process.returncode == 0
    return dict(json.loads(out))


@pytest.mark.parametrize(
    ("mode", "share", "entities", "processes"),
    [
        pytest.param("live", 0.8, ALL, 3, id="live-five-default-share"),
        pytest.param("live", 1.0, ["customers"], 2, id="live-one-whole-limit"),
        pytest.param("test", 1.0, ALL, 3, id="test-five-whole-limit"),
    ],
)
async def test_processes_together_keep_the_caps(
    *, database: Database, sandbox: SandboxProcess, mode: Mode, share: float, entities: list[str], processes: int
) -> None:
    sandbox.settings(limits=mode, latency_ms=100, jitter_ms=20)
    sandbox.reset_stats()
    key = DEMO_KEY.replace("_test_", f"_{mode}_")
    orders = Orders(database.url, sandbox.url, key, mode, share, entities)

    all_ready = await asyncio.gather(*(ready(orders) for _ in range(processes)))
    async with fair_clock(database) as clock:
        until = time.monotonic() + STARTING_SECONDS + SECONDS
        reports = await asyncio.gather(*(told(one, until) for one in all_ready))
        lag = clock.lag

    starts: dict[str, list[float]] = defaultdict(list)
    for endpoint, at in (one for each in reports for one in each["starts"]):
        starts[endpoint].append(at)
    whole = [at for times in starts.values() for at in times]
    account_cap, endpoint_cap = (100 if mode == "live" else 25) * share, 25 * share
    assert busiest_second(whole) <= account_cap
    assert max(busiest_second(times) for times in starts.values()) <= endpoint_cap
    assert [one["throttled"] for one in reports] == [{}] * processes
    assert sandbox.stats()["rate_limited"] == {}
    most = min(account_cap, endpoint_cap * len(entities))
    # That 95 % are used is shown in virtual time, where what else the machine does takes none of it.
    assert sum(until - SECONDS <= at < until for at in whole) >= 0.5 * most * (SECONDS - lag)


async def test_a_calendar_outlives_those_who_wrote_it(database: Database) -> None:
    """Another worker, with a store of its own, goes on where the first stopped: a kill gives no second budget."""
    customers, prices = ("a:customers.list", 20), ("a:prices.list", 20)
    # Half a minute full: no machine is so slow that it passes before the last of these has drawn.
    drawn = [await StoredSlots(database).reserve(Wish(("a:global", 80), customers, 20)) for _ in range(30)]
    other = await StoredSlots(database).reserve(Wish(("a:global", 80), prices, 20))

    assert all(later.starts[0] >= earlier.starts[0] + 1.015 for earlier, later in pairwise(drawn))
    assert busiest_second([at for lot in drawn for at in lot.starts]) <= 20
    assert other.starts[0] < drawn[-1].starts[0]
    assert busiest_second([at for lot in [*drawn, other] for at in lot.starts]) <= 80


async def test_a_pause_is_heeded_by_those_who_come_after(database: Database) -> None:
    slots = StoredSlots(database)
    await slots.push_back("b:global", 60.0)
    lot = await StoredSlots(database).reserve(Wish(("b:global", 80), ("b:customers.list", 20), 1))
    assert 30.0 <= lot.starts[0] - lot.now <= 60.0


async def test_many_draw_at_once_and_no_time_is_given_twice(database: Database) -> None:
    lots = await asyncio.gather(
        *(StoredSlots(database).reserve(Wish(("c:global", 100), (f"c:{turn % 5}", 25), 3)) for turn in range(40))
    )
    starts = [one for lot in lots for one in lot.starts]
    assert len(set(starts)) == 120
    assert busiest_second(starts) <= 100
