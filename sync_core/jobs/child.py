"""A run in a process of its own: `python -m sync_core run --session ID`, started by the server's tick.

It ends with its parent: when standard input closes, it stops at once, and the lease expires by itself.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from uuid import UUID

import structlog

from sync_core.domain.vocabulary import SessionStatus
from sync_core.engine.context import Run
from sync_core.engine.drive import MOST_ATTEMPTS, drive, refuse
from sync_core.errors import ConfigError, FatalRunError
from sync_core.jobs.keys import working_source
from sync_core.settings import Settings, get_settings
from sync_core.store import run_state, runs
from sync_core.store.clock import shared_clock
from sync_core.store.connections import base_url, reveal_key
from sync_core.store.database import Database
from sync_core.store.embedded import database_url
from sync_core.store.patience import patiently
from sync_core.store.rates import StoredSlots
from sync_core.store.runs import Held
from sync_core.stripe_source import Governor, StripeSource, http_client

log = structlog.get_logger()


Ended = Callable[[Database, UUID, UUID], Awaitable[object]]
"""Called with the workspace and the run that this process brought to its end."""


def main(session_id: str, *, watch_stdin: bool = True, ended: Ended | None = None) -> int:
    """Drive the run to its end, if nobody else does. Returns the process's exit code."""
    import uvloop

    collect_rarely()
    return uvloop.run(_main(UUID(session_id), watch_stdin=watch_stdin, ended=ended))


def collect_rarely() -> None:
    """A page is thousands of dicts that live for a moment: at Python's own pace the collector's walks cost a run a fifth of its CPU."""
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)


async def _main(session_id: UUID, *, watch_stdin: bool, ended: Ended | None) -> int:
    settings = get_settings()
    database = Database(database_url(), pool_size=8)
    work = asyncio.create_task(run_once(database, settings, session_id, ended))
    orphaned = asyncio.create_task(_parent_gone()) if watch_stdin else None
    try:
        await asyncio.wait([one for one in (work, orphaned) if one], return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            log.warning("run.parent_gone", session=str(session_id))
            return 1
        work.result()
        return 0
    finally:
        for task in (work, orphaned):
            if task is not None:
                task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*(one for one in (work, orphaned) if one), return_exceptions=True)
        await database.dispose()


async def run_once(database: Database, settings: Settings, session_id: UUID, ended: Ended | None = None) -> None:
    """Take the run's lease and drive it. Nothing happens when another worker holds it."""
    async with database.system() as session:
        held = await runs.take(session, session_id, runs.owner_of(os.getpid()), settings.lease_seconds)
    if held is None:
        await runs.end_stopped(database)
        return
    if held.attempts > MOST_ATTEMPTS:
        await refuse(database, held, f"It was taken up {MOST_ATTEMPTS} times, and each time its process ended early.")
        return
    row = await patiently(lambda: _read(database, held))
    connection = row.connection
    try:
        key = _key(settings, held, row)
    except (FatalRunError, ConfigError) as refused:
        await refuse(database, held, str(refused))
        return
    governor = Governor(
        StoredSlots(database, meter=connection.account_id),
        account=connection.account_id,
        mode="live" if connection.livemode else "test",
        cap_share=settings.rate_cap_share,
        unlimited=settings.rate_unlimited,
    )
    clock = await patiently(lambda: shared_clock(database))
    async with http_client() as http:
        url = base_url(settings, is_sandbox=connection.is_sandbox)

        def source_with(one: str) -> StripeSource:
            return StripeSource(api_key=one, base_url=url, http=http, governor=governor, clock=clock)

        source = await working_source(database, settings, held, row, source_with(key), source_with)
        status = await drive(Run(database, held, row, source, governor), lease_seconds=settings.lease_seconds)
    if ended is not None and status in (SessionStatus.COMPLETED, SessionStatus.PARTIAL):
        await ended(database, held.workspace_id, session_id)


def _key(settings: Settings, held: Held, row: run_state.RunRow) -> str:
    connection = row.connection
    if connection.is_sandbox and not settings.demo:
        raise FatalRunError("This connection is the sandbox's, and the sandbox is switched off.")
    return reveal_key(held.workspace_id, connection.id, connection.key_ciphertext, settings)


async def _read(database: Database, held: Held) -> run_state.RunRow:
    async with database.workspace(held.workspace_id) as session:
        return await run_state.read_run(session, held.workspace_id, held.session_id)


async def _parent_gone() -> None:
    """Returns when standard input ends, which it does with the process that holds the other end."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(1024):
        pass
