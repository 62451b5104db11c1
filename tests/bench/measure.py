"""One measured run: the sandbox in a process of its own, the engine in this one, PostgreSQL beside them."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psutil
import psycopg

from sync_core.domain.vocabulary import EntityType
from sync_core.engine.context import Run
from sync_core.engine.drive import drive
from sync_core.sandbox.launch import SandboxProcess
from sync_core.settings import Settings
from sync_core.store import embedded, migrate
from sync_core.store.database import Database
from sync_core.store.rates import StoredSlots
from sync_core.stripe_source import Governor, LocalSlots, StripeSource, http_client
from tests.conftest import database_named, make_workspace, on_server, plain_url
from tests.support import KEY, config, counters, enqueue, make_connection, taken

NAME = "bench"
# Of 20 that may be chosen. What is read at once lands together: more makes a re-sync quicker, and a first sync not.
WINDOWS = 16
LIVE_KEY = KEY.replace("_test_", "_live_")
# The requests of the end ask one place after the other: how much of the limit is used shows until then.
_BUSY_SHARE = 0.95


@dataclass(frozen=True, slots=True)
class Figures:
    """One run. Times in seconds, CPU in µs an object, memory in MiB; `busy_rate` is requests a second until 95 % of them were made."""

    objects: int
    seconds: float
    engine_us: float
    postgres_us: float
    sandbox_us: float
    requests: int
    busy_rate: float
    peak_mb: float
    wrote: int

    @property
    def rate(self) -> float:
        return float(self.objects / self.seconds)


@contextmanager
def server() -> Iterator[str]:
    """TEST_DATABASE_URL's, or one as the product starts it: what is committed is on disk."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield plain_url(given)
        return
    with tempfile.TemporaryDirectory(prefix="cyphera-bench-", ignore_cleanup_errors=True) as folder:
        settings = Settings(data_dir=Path(folder), database_url=None)
        yield embedded.database_url(settings)
        embedded.stop(settings)


def postmaster(server_url: str) -> psutil.Process | None:
    """The server's own process; None when it runs elsewhere."""
    with psycopg.connect(server_url) as connection:
        pid = connection.info.backend_pid
        try:
            return psutil.Process(pid).parent()
        except psutil.NoSuchProcess:
            return None


def backend_seconds(parent: psutil.Process | None) -> float:
    """CPU of the measured database's backends, and of those that have ended."""
    if parent is None:
        return 0.0
    spent = parent.cpu_times()
    total = float(spent.children_user + spent.children_system)
    for process in parent.children():
        try:
            if NAME in " ".join(process.cmdline()).split():
                times = process.cpu_times()
                total += times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return total


def cpu_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def peak_mb() -> float:
    """The most memory that this process held so far; 0 where the system does not say."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) / 1024


async def account_created(sandbox: SandboxProcess) -> int | None:
    """Connecting reads it, so a run knows it."""
    governor = Governor(LocalSlots(), account="acct_bench", mode="test", cap_share=1.0)
    async with http_client() as http:
        account = await StripeSource(api_key=KEY, base_url=sandbox.url, http=http, governor=governor).account()
    return account.created if account else None


class Requests:
    """When how many requests had been made."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._seen: list[tuple[float, int]] = []

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()
            self._note()

    async def _watch(self) -> None:
        while True:
            self._note()
            await asyncio.sleep(0.05)

    def _note(self) -> None:
        self._seen.append((time.perf_counter(), self._run.governor.stats().requests))

    @property
    def total(self) -> int:
        return self._seen[-1][1]

    @property
    def busy_rate(self) -> float:
        began = next((at for at, count in self._seen if count), 0.0)
        most = self.total * _BUSY_SHARE
        at, count = next(((at, count) for at, count in self._seen if count >= most), (began + 1, 0))
        return count / max(at - began, 1e-3)


class Bench:
    def __init__(self, server_url: str) -> None:
        self.server_url = server_url
        self._postmaster = postmaster(server_url)

    async def fresh(self) -> Database:
        on_server(self.server_url, f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
        on_server(self.server_url, f"CREATE DATABASE {NAME}")
        url = database_named(self.server_url, NAME)
        migrate.upgrade(url)
        return Database(url)

    async def run(
        self, database: Database, workspace_id: UUID, sandbox: SandboxProcess, *entities: EntityType, limited: bool
    ) -> Figures:
        session_id = await enqueue(database, workspace_id, config(*entities, concurrent_batches=WINDOWS))
        sandbox.reset_stats()
        engine, other = time.process_time(), cpu_seconds(sandbox.pid)
        postgres = backend_seconds(self._postmaster)
        async with taken(database, session_id, sandbox.url) as run, http_client() as http:
            if limited:
                governor = Governor(StoredSlots(database), account="acct_bench", mode="live", cap_share=1.0)
                run.governor = governor
                run.source = StripeSource(api_key=LIVE_KEY, base_url=sandbox.url, http=http, governor=governor)
            requests = Requests(run)
            began = time.perf_counter()
            async with requests.watched():
                await drive(run, lease_seconds=20.0)
            seconds = time.perf_counter() - began
        counted = await counters(database, workspace_id, session_id)
        objects = sum(row["fetched"] for row in counted.values())
        micro = 1e6 / max(objects, 1)
        return Figures(
            objects=objects,
            seconds=seconds,
            engine_us=(time.process_time() - engine) * micro,
            postgres_us=(backend_seconds(self._postmaster) - postgres) * micro,
            sandbox_us=(cpu_seconds(sandbox.pid) - other) * micro,
            requests=requests.total,
            busy_rate=requests.busy_rate,
            peak_mb=peak_mb(),
            wrote=sum(row["created"] + row["updated"] for row in counted.values()),
        )

    async def syncs(
        self, sandbox: SandboxProcess, *entities: EntityType, limited: bool = False, times: int = 1
    ) -> list[Figures]:
        """A first sync into an empty workspace, and further ones of the same, unchanged account."""
        database = await self.fresh()
        workspace_id = await make_workspace(database)
        await make_connection(database, workspace_id, created=await account_created(sandbox))
        try:
            return [await self.run(database, workspace_id, sandbox, *entities, limited=limited) for _ in range(times)]
        finally:
            await database.dispose()


def median(rounds: Sequence[Figures], name: str) -> float:
    return float(statistics.median(getattr(one, name) for one in rounds))


def spread(values: Sequence[float]) -> str:
    """The median, with the least and the most beside it."""
    return f"{statistics.median(values):,.0f} ({min(values):,.0f}-{max(values):,.0f})"


def show(title: str, rounds: Sequence[Figures]) -> None:
    sample = rounds[0]
    costs = "  ".join(
        f"{name} {spread([getattr(one, f'{name}_us') for one in rounds])} µs" for name in ("engine", "postgres")
    )
    per_hundred = median(rounds, "requests") / max(sample.objects, 1) * 100
    print(
        f"{title}: {sample.objects:,} objects, {spread([one.rate for one in rounds])}/s\n"
        f"    {costs}  sandbox {median(rounds, 'sandbox_us'):.0f} µs  peak {median(rounds, 'peak_mb'):.0f} MiB"
        f"  {per_hundred:.2f} requests per 100 objects  wrote {median(rounds, 'wrote'):,.0f} records",
        flush=True,
    )


def verdict(text: str, value: float, wanted: float, *, least: bool = True, unit: str = "") -> None:
    """A figure beside what it should be."""
    good = value >= wanted if least else value <= wanted
    word = "at least" if least else "at most"
    print(f"    {'met ' if good else 'MISS'}  {text}: {value:,.2f}{unit}, {word} {wanted:,g}{unit}", flush=True)
