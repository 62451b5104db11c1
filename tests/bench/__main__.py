"""`make bench`: how fast a sync is, and what it costs, beside what was promised. Prints figures; asserts nothing.

Parts: unlimited, limits, memory, peer, screens; all of them when none is named. A figure is the median of so many `--rounds`, with the least and
the most in parentheses. The whole takes about half an hour on two idle cores, `--quick` about three minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog
import uvloop

from sync_core.domain.vocabulary import EntityType
from sync_core.jobs.child import collect_rarely
from sync_core.sandbox.launch import SandboxProcess
from tests.bench import peer, screens
from tests.bench.measure import Bench, Figures, median, server, show, spread, verdict

LATENCY = ("--latency-ms", "150")
LIMITED = ("--limits", "live", *LATENCY)
# The most of Stripe's limits: 25 requests a second of one endpoint, 100 of all, a hundred objects each.
ONE_TYPE = 2_500.0
ALL_TYPES = 100.0


@dataclass(frozen=True, slots=True)
class Options:
    rounds: int
    size: int
    quick: bool


def mixed(size: int) -> tuple[str, ...]:
    """An account of which five endpoints have as much to give as one another, those of three lists and of both nested lists (for one
    subscription and one invoice in twenty), so that there is work for the whole limit until the end.
    """
    parts = {"customers": size, "products": size, "prices": size}
    parts |= {"subscriptions": size * 32 // 100, "invoices": size * 16 // 100}
    return tuple(word for name, count in parts.items() for word in (f"--{name}", str(count)))


async def unlimited(bench: Bench, options: Options) -> None:
    with SandboxProcess("--customers", str(options.size)) as sandbox:
        pairs = [await bench.syncs(sandbox, EntityType.CUSTOMERS, times=2) for _ in range(options.rounds)]
    first, again = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    show("customers, no latency, no limits, first sync", first)
    verdict("objects a second", median(first, "rate"), 8_000)
    verdict("engine CPU an object", median(first, "engine_us"), 90, least=False, unit=" µs")
    verdict("PostgreSQL CPU an object", median(first, "postgres_us"), 100, least=False, unit=" µs")
    show("customers, no latency, no limits, unchanged", again)
    verdict("times as fast as the first", median(again, "rate") / median(first, "rate"), 2)
    verdict("records written", median(again, "wrote"), 0, least=False)


async def limits(bench: Bench, options: Options) -> None:
    # Eight times as many: the few requests of a run's beginning and end, which wait for one another, are not what is measured.
    with SandboxProcess("--customers", str(options.size * 8), *LIMITED) as sandbox:
        rounds = min(3, options.rounds)
        one = [(await bench.syncs(sandbox, EntityType.CUSTOMERS, limited=True))[0] for _ in range(rounds)]
        refused = brief(sandbox.stats())
    show("customers, 150 ms, live limits", one)
    verdict("of 2,500 objects a second", median(one, "rate") / ONE_TYPE * 100, 95, unit=" %")
    print(f"    the sandbox saw {refused}")
    with SandboxProcess(*mixed(options.size // 2), *LIMITED) as sandbox:
        every = [(await bench.syncs(sandbox, limited=True))[0] for _ in range(options.rounds)]
        refused = brief(sandbox.stats())
    show("all five, 150 ms, live limits", every)
    verdict(
        "of 100 requests a second, while there is work", median(every, "busy_rate") / ALL_TYPES * 100, 90, unit=" %"
    )
    print(f"    the sandbox saw {refused}")


def brief(stats: dict[str, object]) -> str:
    return ", ".join(f"{name} {stats[name]}" for name in ("rate_limited", "max_in_one_second") if name in stats)


async def memory(bench: Bench, options: Options) -> None:
    """Each size in a process of its own, whose peak is then its own too. The million is measured once."""
    sizes = (10_000, 100_000) if options.quick else (10_000, 100_000, 1_000_000)
    found: list[list[Figures]] = []
    for size in sizes:
        rounds = 1 if size > 100_000 else min(3, options.rounds)
        found.append([apart(bench.server_url, size) for _ in range(rounds)])
        show(f"{size:,} customers, no latency, no limits", found[-1])
    small, middle, large = found[0], found[1], found[-1]
    verdict("MiB above the smallest's peak", median(large, "peak_mb") - median(small, "peak_mb"), 150, least=False)
    slower = (median(middle, "rate") / median(large, "rate") - 1) * 100
    verdict("more time an object than of 100,000", slower, 10, least=False, unit=" %")


def apart(server_url: str, size: int) -> Figures:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--one", str(size)],
        env=os.environ | {"TEST_DATABASE_URL": server_url},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Figures(**json.loads(done.stdout.splitlines()[-1]))


async def one(size: int) -> int:
    with server() as url, SandboxProcess("--customers", str(size)) as sandbox:
        (figures,) = await Bench(url).syncs(sandbox, EntityType.CUSTOMERS)
    print(json.dumps(asdict(figures)))
    return 0


async def beside_peer(bench: Bench, options: Options) -> None:
    try:
        node = peer.install()
        account = mixed(1_000 if options.quick else options.size // 2)
        await _compare(bench, node, account, "no latency, no limits", 3, min(3, options.rounds))
        # One round: it takes the peer four minutes. It reads one page at a time, so that no limit of Stripe's ever holds it up.
        theirs = await _compare(bench, node, account, "150 ms, no limits", 15, 1, *LATENCY)
        with SandboxProcess(*account, *LIMITED) as sandbox:
            peer.without_nul(sandbox)
            ours = await bench.syncs(sandbox, limited=True)
        show("all five, 150 ms, live limits, ours", ours)
        verdict("times the peer's rate without limits", median(ours, "rate") / theirs, 15)
    except (peer.Unavailable, subprocess.TimeoutExpired) as reason:
        print(f"peer: skipped, {reason}", flush=True)


async def _compare(
    bench: Bench, node: Path, account: tuple[str, ...], title: str, wanted: float, rounds: int, *how: str
) -> float:
    """The same objects, turn by turn. Returns the peer's rate."""
    ours, theirs = [], []
    with SandboxProcess(*account, *how) as sandbox:
        changed = peer.without_nul(sandbox)
        for _ in range(rounds):
            theirs.append(peer.run(node, bench.server_url, sandbox))
            ours += await bench.syncs(sandbox)
    rate = statistics.median(one.rate for one in theirs)
    names = " ".join(f"{name} {version}" for name, version in peer.PACKAGES.items())
    show(f"all five, {title}, ours", ours)
    print(f"all five, {title}, {names}: {theirs[0].objects:,} objects, {spread([one.rate for one in theirs])}/s")
    print(f"    {changed} objects had a NUL, at which it stops; it got them without")
    verdict("times the peer's rate", median(ours, "rate") / rate, wanted)
    return rate


async def in_the_browser(bench: Bench, options: Options) -> None:
    """Playwright's synchronous side wants a thread without a loop."""
    await asyncio.to_thread(screens.measure, bench.server_url, quick=options.quick)


PARTS: dict[str, Callable[[Bench, Options], Awaitable[None]]] = {
    "unlimited": unlimited,
    "limits": limits,
    "memory": memory,
    "peer": beside_peer,
    "screens": in_the_browser,
}


async def main(arguments: argparse.Namespace) -> int:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    collect_rarely()
    if arguments.one:
        return await one(arguments.one)
    quick = arguments.quick
    options = Options(arguments.rounds or (1 if quick else 5), arguments.size or (20_000 if quick else 50_000), quick)
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}; {options.rounds} rounds")
    with server() as url:
        bench = Bench(url)
        for name in arguments.what or PARTS:
            await PARTS[name](bench, options)
    return 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("what", nargs="*", metavar="PART", help=f"one or more of {', '.join(PARTS)}")
    parser.add_argument("--size", type=int, help="customers (50,000)")
    parser.add_argument("--rounds", type=int, help="the median of so many (5)")
    parser.add_argument("--quick", action="store_true", help="smaller accounts, one round")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    unknown = set(arguments.what) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    return arguments


if __name__ == "__main__":
    sys.exit(uvloop.run(main(parsed())))
