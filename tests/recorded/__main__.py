"""Records runs for `test_time_left`: `python -m tests.recorded [NAME …]` writes what a watcher sees each second, and when it was over.

Anew when what a run tells its watchers changes. All of them take a quarter of an hour.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import structlog
import uvloop

from sync_core.domain.vocabulary import EntityType
from sync_core.engine.drive import drive
from sync_core.sandbox import timeline
from sync_core.sandbox.cli import add_arguments
from sync_core.sandbox.cli import main as serve
from sync_core.sandbox.launch import SandboxProcess
from sync_core.services import run_windows
from sync_core.store import watching
from sync_core.store.database import Database
from sync_core.store.rates import StoredSlots
from sync_core.store.runs import RunConfig
from sync_core.stripe_source import Governor, StripeSource, http_client
from tests.bench.__main__ import LATENCY, LIMITED, mixed
from tests.bench.measure import LIVE_KEY, Bench, account_created, server
from tests.conftest import make_workspace
from tests.recorded import FOLDER
from tests.support import config, enqueue, make_connection, passed, taken

CUSTOMERS = EntityType.CUSTOMERS
# Of all objects, an account has as many after a part of its time as that part to the third: most are young.
_GROWTH = 1 / 3
_LEASE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Scene:
    """An account, and how it is read: by a `share` of the limit, the second time (`again`), by a worker that ends after some seconds."""

    account: tuple[str, ...]
    how: tuple[str, ...] = LIMITED
    entities: tuple[EntityType, ...] = ()
    share: float = 1.0
    faults: tuple[dict[str, Any], ...] = ()
    growing: bool = False
    again: bool = False
    dry: bool = False
    windows: int = 8
    stopped_after: float | None = None


_ALL = mixed(40_000)
_BILLS = (
    "--customers",
    "4000",
    "--products",
    "200",
    "--prices",
    "800",
    "--subscriptions",
    "15000",
    "--invoices",
    "30000",
)
SCENES: dict[str, Scene] = {
    "customers": Scene(("--customers", "120000"), entities=(CUSTOMERS,)),
    "customers-of-a-growing-account": Scene(("--customers", "120000"), entities=(CUSTOMERS,), growing=True),
    "all": Scene(_ALL),
    "all-of-a-growing-account": Scene(_ALL, growing=True),
    "all-unchanged": Scene(_ALL, again=True),
    "a-fifth-of-the-limit": Scene(mixed(20_000), share=0.2),
    "a-fifth-of-a-growing-account": Scene(mixed(20_000), share=0.2, growing=True),
    "bills": Scene(_BILLS),
    "bills-of-a-growing-account": Scene(_BILLS, growing=True),
    "without-limits": Scene(mixed(60_000), how=()),
    "one-page-at-a-time": Scene(("--customers", "20000"), how=LATENCY, entities=(CUSTOMERS,), windows=1),
    "refused-now-and-then": Scene(_ALL, faults=({"kind": "rate_global", "probability": 0.03, "seed": 7},)),
    "slow-from-the-middle-on": Scene(
        ("--customers", "80000"),
        entities=(CUSTOMERS,),
        faults=({"kind": "slow", "after_requests": 400, "delay_ms": 1500},),
    ),
    "a-break-in-the-middle": Scene(
        ("--customers", "100000"),
        entities=(CUSTOMERS,),
        faults=({"kind": "rate_global", "after_requests": 400, "count": 60, "headers": {"Retry-After": "12"}},),
    ),
    "taken-over": Scene(("--customers", "100000"), entities=(CUSTOMERS,), stopped_after=15.0),
    "dry-and-applied": Scene(_ALL, dry=True),
}


class Recorder:
    """What `Watch` reads, once a second."""

    def __init__(self, database: Database, workspace_id: UUID, session_id: UUID) -> None:
        self._database, self._workspace_id, self._session_id = database, workspace_id, session_id
        self.seen: list[list[Any]] = []
        self.ended = 0.0

    async def __call__(self) -> None:
        while not await self._note():
            await passed(1.0)

    async def _note(self) -> bool:
        async with self._database.workspace(self._workspace_id) as session:
            run = await watching.read_run(session, self._workspace_id, self._session_id)
            entities = await watching.read_entities(session, self._workspace_id, self._session_id)
            stretches = await watching.read_stretches(session, self._workspace_id, self._session_id)
        assert run is not None
        if run.started_at is None:
            return False
        if run.completed_at is not None:
            self.ended = round(run.completed_at - run.started_at, 2)
            return True
        stats, start = run.stats, run.started_at
        beat, resume = stats.get("beat_at"), stats.get("resume_at") or 0
        self.seen.append(
            [
                round(run.now - start, 2),
                run.phase.value,
                None if beat is None else round(beat - start, 2),
                int(stats.get("requests") or 0),
                round(resume - start, 2) if resume > run.now else None,
                sum((stats.get("throttled") or {}).values()),
                [
                    [
                        one.entity.value,
                        one.phase.value,
                        one.estimated,
                        one.fetched,
                        one.processed,
                        one.requests,
                        round(
                            run_windows.share_read([part for part in stretches if part.entity is one.entity], run), 5
                        ),
                    ]
                    for one in entities
                    if one.requested or one.fetched
                ],
            ]
        )
        return False


@asynccontextmanager
async def at_work(
    database: Database, session_id: UUID, sandbox: SandboxProcess, share: float
) -> AsyncIterator[asyncio.Task[Any]]:
    async with taken(database, session_id, sandbox.url) as run, http_client() as http:
        if share:
            governor = Governor(StoredSlots(database), account="acct_bench", mode="live", cap_share=share)
            run.governor = governor
            run.source = StripeSource(api_key=LIVE_KEY, base_url=sandbox.url, http=http, governor=governor)
        yield asyncio.create_task(drive(run, lease_seconds=_LEASE_SECONDS))


async def recorded(
    database: Database,
    workspace_id: UUID,
    sandbox: SandboxProcess,
    scene: Scene,
    wanted: RunConfig,
    source: UUID | None = None,
) -> tuple[UUID, Recorder]:
    session_id = await enqueue(database, workspace_id, wanted, source_session_id=source)
    recorder = Recorder(database, workspace_id, session_id)
    recording = asyncio.create_task(recorder())
    share = scene.share if scene.how == LIMITED else 0.0
    if scene.stopped_after is not None:
        async with at_work(database, session_id, sandbox, share) as work:
            await passed(scene.stopped_after)
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        await passed(_LEASE_SECONDS + 0.5)
    async with at_work(database, session_id, sandbox, share) as work:
        await work
    await recording
    return session_id, recorder


def keep(name: str, recorder: Recorder, **about: Any) -> None:
    seconds = [orjson.dumps(one).decode() for one in recorder.seen]
    head = orjson.dumps({"ended": recorder.ended, **about}).decode()
    (FOLDER / f"{name}.jsonl").write_text("\n".join([head, *seconds]) + "\n")
    sys.stdout.write(f"{name}: {recorder.ended:.0f} s, {len(seconds)} looks\n")


async def play(bench: Bench, name: str, scene: Scene) -> None:
    with GrowingSandbox(*scene.account, *scene.how, grows=scene.growing) as sandbox:
        database = await bench.fresh()
        workspace_id = await make_workspace(database)
        await make_connection(database, workspace_id, created=await account_created(sandbox))
        wanted = config(*scene.entities, concurrent_batches=scene.windows, dry_run=scene.dry)
        if scene.again:
            await recorded(database, workspace_id, sandbox, scene, wanted)
        sandbox.faults(*scene.faults)
        source, recorder = await recorded(database, workspace_id, sandbox, scene, wanted)
        more = {} if scene.stopped_after is None else {"taken_over_at": scene.stopped_after + _LEASE_SECONDS}
        keep(name.replace("-and-applied", ""), recorder, dry=scene.dry, applied=False, **more)
        if scene.dry:
            wanted = config(*scene.entities, concurrent_batches=scene.windows)
            _, recorder = await recorded(database, workspace_id, sandbox, scene, wanted, source)
            keep("applied", recorder, dry=False, applied=True)
        await database.dispose()


class GrowingSandbox(SandboxProcess):
    """The sandbox's accounts are as old as they are large; this one's newest part is the densest."""

    def __init__(self, *arguments: str, grows: bool) -> None:
        super().__init__(*arguments)
        if grows:
            self._command[1:3] = ["-m", "tests.recorded", "--sandbox"]


def grow() -> None:
    even = timeline.Timeline.created

    def created(self: timeline.Timeline, index: int) -> int:
        span = self._step * self.count / timeline._BLOCK
        share = (even(self, index) - self._start) / max(span, 1.0)
        return self._start + int(span * share**_GROWTH)

    timeline.Timeline.created = created  # type: ignore[method-assign]  # in a sandbox of this recording alone


async def main(names: list[str]) -> int:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    FOLDER.mkdir(exist_ok=True)
    with server() as url:
        bench = Bench(url)
        for name in names or SCENES:
            await play(bench, name, SCENES[name])
    return 0


def served(words: list[str]) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return serve(parser.parse_args(words))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--sandbox"]:
        grow()
        sys.exit(served(sys.argv[2:]))
    parser = argparse.ArgumentParser(prog="python -m tests.recorded", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SCENES))
    sys.exit(uvloop.run(main(parser.parse_args().names)))
