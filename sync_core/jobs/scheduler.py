"""The server's one timer: it starts runs that are due, each in a process of its own, and starts syncs that are scheduled.

A run that nobody drives is one whose lease has run out: after a crash, a restart or a `kill -9` the next tick takes it up again.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any
from uuid import UUID

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from sqlalchemy.exc import SQLAlchemyError

from sync_core.jobs.housekeeping import prune, start_scheduled
from sync_core.settings import Settings, get_settings
from sync_core.store import runs
from sync_core.store.database import Database, get_database

log = structlog.get_logger()

_END_SECONDS = 5.0


class Dispatcher:
    """Keeps the children of this server: at most one for a run."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._children: dict[UUID, asyncio.subprocess.Process] = {}
        self._at_work: set[asyncio.Task[Any]] = set()

    async def tick(self) -> None:
        """What is due now is started. A database that is away is tried again at the next tick."""
        with self._working():
            await self._tick()

    async def _tick(self) -> None:
        self._children = {key: child for key, child in self._children.items() if child.returncode is None}
        try:
            await start_scheduled(self._database)
            async with self._database.system() as session:
                due = await runs.due(session)
        except (SQLAlchemyError, OSError) as away:
            log.warning("tick.database_away", error=str(away).splitlines()[0])
            return
        for one in due:
            if one.session_id not in self._children and len(self._children) < self._settings.max_runs:
                await self._start(one.session_id)

    async def _start(self, session_id: UUID) -> None:
        log.info("run.starting", session=str(session_id))
        self._children[session_id] = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sync_core", "run", "--session", str(session_id), stdin=asyncio.subprocess.PIPE
        )

    async def prune(self) -> None:
        with self._working(), suppress(SQLAlchemyError, OSError):
            await prune(self._database)

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
        living = [child for child in self._children.values() if child.returncode is None]
        for child in living:
            if child.stdin is not None:
                child.stdin.close()
        for child in living:
            try:
                await asyncio.wait_for(child.wait(), _END_SECONDS)
            except TimeoutError:
                child.kill()
                await child.wait()


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
