"""The server's one timer: it starts runs that are due, each in a process of its own, and starts syncs that are scheduled.

A run that nobody drives is one whose lease has run out: after a crash, a restart or a `kill -9` the next tick takes it up again.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from sqlalchemy.exc import SQLAlchemyError

from sync_core.jobs.housekeeping import prune, read_events, start_scheduled
from sync_core.settings import Settings, get_settings
from sync_core.store import runs
from sync_core.store.database import Database, get_database

log = structlog.get_logger()

_END_SECONDS = 5.0
_RELEASE_SECONDS = 2.0
# So long may a child of ours let its lease lie that has run out, before it is taken for stuck; and so long may one take to start.
_STUCK_SECONDS = 5.0
_START_SECONDS = 60.0


@dataclass(slots=True)
class _Child:
    """`idle_since` is when its run was first seen without a living lease, in monotonic seconds."""

    process: asyncio.subprocess.Process
    watch: asyncio.Task[None]
    idle_since: float | None = None


class Dispatcher:
    """Keeps the children of this server: at most one for a run."""

    def __init__(self, database: Database, settings: Settings, *, stuck_seconds: float = _STUCK_SECONDS) -> None:
        self._database = database
        self._settings = settings
        self._stuck_seconds = stuck_seconds
        self._children: dict[UUID, _Child] = {}
        self._at_work: set[asyncio.Task[Any]] = set()

    async def tick(self) -> None:
        """What is due now is started. A database that is away is tried again at the next tick."""
        with self._working():
            await self._tick()

    async def _tick(self) -> None:
        self._children = {key: child for key, child in self._children.items() if not child.watch.done()}
        try:
            await start_scheduled(self._database)
            async with self._database.system() as session:
                due = {one.session_id: one.owner for one in await runs.due(session)}
        except (SQLAlchemyError, OSError) as away:
            log.warning("tick.database_away", error=str(away).splitlines()[0])
            return
        for session_id, child in self._children.items():
            if session_id in due:
                self._end_if_stuck(session_id, child, due[session_id])
            else:
                child.idle_since = None
        for session_id in due:
            if session_id not in self._children and len(self._children) < self._settings.max_runs:
                await self._start(session_id)

    def _end_if_stuck(self, session_id: UUID, child: _Child, owner: str | None) -> None:
        """A child that was stopped, or hangs, lets its lease run out and does not end: nobody else would take the run up."""
        now = time.monotonic()
        child.idle_since = now if child.idle_since is None else child.idle_since
        had_begun = owner == runs.owner_of(child.process.pid)
        if now - child.idle_since >= (self._stuck_seconds if had_begun else _START_SECONDS):
            log.warning("run.stuck", session=str(session_id), pid=child.process.pid)
            with suppress(ProcessLookupError):
                child.process.kill()

    async def _start(self, session_id: UUID) -> None:
        log.info("run.starting", session=str(session_id))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sync_core", "run", "--session", str(session_id), stdin=asyncio.subprocess.PIPE
        )
        self._children[session_id] = _Child(process, asyncio.create_task(self._watch(session_id, process)))

    async def _watch(self, session_id: UUID, process: asyncio.subprocess.Process) -> None:
        """A child that ends by accident leaves its lease: seen by us, the run need not wait until that has run out."""
        if await process.wait() == 0:
            return
        log.warning("run.child_ended", session=str(session_id), code=process.returncode)
        with suppress(SQLAlchemyError, OSError):
            async with self._database.system() as session:
                await runs.release(session, session_id, runs.owner_of(process.pid))

    async def prune(self) -> None:
        with self._working(), suppress(SQLAlchemyError, OSError):
            await prune(self._database)

    async def read_events(self) -> None:
        with self._working(), suppress(SQLAlchemyError, OSError):
            await read_events(self._database)

    @contextmanager
    def _working(self) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None
        self._at_work.add(task)
        try:
            yield
        finally:
            self._at_work.discard(task)

    async def rest(self) -> None:
        """Let what is under way come to its end: a tick cut short may have started a child that nobody knows of."""
        if self._at_work:
            await asyncio.wait(self._at_work, timeout=_END_SECONDS)

    async def end_children(self) -> None:
        """Their standard input closes with us; whoever does not heed that within seconds is ended."""
        living = [child.process for child in self._children.values() if child.process.returncode is None]
        for child in living:
            if child.stdin is not None:
                child.stdin.close()
        for child in living:
            try:
                await asyncio.wait_for(child.wait(), _END_SECONDS)
            except TimeoutError:
                child.kill()
                await child.wait()
        watches = [child.watch for child in self._children.values()]
        if watches:
            await asyncio.wait(watches, timeout=_RELEASE_SECONDS)
        for watch in watches:
            watch.cancel()


_scheduler: AsyncIOScheduler | None = None
_TICK = "tick"


@asynccontextmanager
async def running() -> AsyncIterator[Dispatcher]:
    """For the server's lifespan. A second start in one process is a mistake and is refused."""
    global _scheduler  # noqa: PLW0603 - one timer per process is the point
    if _scheduler is not None:
        raise RuntimeError("the scheduler runs already")
    settings = get_settings()
    dispatcher = Dispatcher(get_database(), settings)
    _scheduler = AsyncIOScheduler(timezone="UTC")
    _scheduler.add_job(
        dispatcher.tick, "interval", id=_TICK, seconds=settings.tick_seconds, max_instances=1, coalesce=True
    )
    _scheduler.add_job(dispatcher.prune, "interval", id="prune", hours=1, max_instances=1, coalesce=True)
    _scheduler.add_job(dispatcher.read_events, id="events")
    _scheduler.start()
    poke()
    try:
        yield dispatcher
    finally:
        _scheduler.pause()
        await dispatcher.rest()
        _scheduler.shutdown(wait=False)
        _scheduler = None
        await dispatcher.end_children()


def poke() -> None:
    """Tick now: someone has just started a run and is looking. Without a timer here, another process's will do it."""
    from datetime import UTC, datetime

    if _scheduler is not None:
        _scheduler.modify_job(_TICK, next_run_time=datetime.now(UTC))
