"""How soon a run goes on that lost its process: the real timer, the default lease, and a server that dies with it or does not."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import psutil
import pytest

from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint, Sizes
from sync_core.sandbox.server import SandboxServer
from sync_core.store.database import Database
from tests import child, support, truth

pytestmark = pytest.mark.chaos

RESUMED_WITHIN = 35.0
MOMENTS = {
    "fetch": "payment_sync_staged_objects",
    "apply": "customers",
    "verify": "payment_sync_sessions WHERE phase = 'verify'",
}


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    account = Account.generated(Blueprint("resume", Sizes(400, 12, 40, 60, 60)))
    async with SandboxServer(account, latency_ms=60) as running:
        yield running


@asynccontextmanager
async def worker(database: Database, server: SandboxServer) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m sync_core worker`, which is the server's timer alone, with what it has by default."""
    made = child.environment(database, server.url)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sync_core", "worker", env=os.environ | made, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def lease(database: Database, workspace_id: UUID) -> tuple[int, int | None]:
    """Its fence and the process that holds it; 0 when the run is over."""
    found = await support.rows(database, workspace_id, "SELECT fence, owner FROM payment_sync_leases")
    if not found:
        return 0, None
    owner = found[0]["owner"]
    return found[0]["fence"], int(owner.split()[-1]) if owner else None


async def killed(
    database: Database, workspace_id: UUID, moment: str, *, first: asyncio.subprocess.Process | None = None
) -> int:
    """Kill the run's process once it has come so far, and `first` just before it; the fence that it held."""

    async def come() -> bool:
        return bool(await support.rows(database, workspace_id, f"SELECT 1 FROM {MOMENTS[moment]} LIMIT 1"))

    assert await support.holds(come, within=60, every=0.005)
    fence, pid = await lease(database, workspace_id)
    assert pid is not None
    if first is not None:
        first.kill()
    psutil.Process(pid).kill()
    return fence


async def resumed(database: Database, workspace_id: UUID, fence: int) -> float:
    """Seconds until another process has taken the run."""
    began = time.monotonic()

    async def taken() -> bool:
        return (await lease(database, workspace_id))[0] != fence

    assert await support.holds(taken, within=60)
    return time.monotonic() - began


async def completed(database: Database, workspace_id: UUID, server: SandboxServer) -> None:
    async def done() -> bool:
        found = await support.rows(database, workspace_id, "SELECT status FROM payment_sync_sessions")
        return bool(found[0]["status"] == "completed")

    assert await support.holds(done, within=60)
    await truth.assert_equal_to(database, workspace_id, server.world.account())


@pytest.mark.parametrize("moment", MOMENTS)
async def test_the_server_lives(
    database: Database,
    workspace_id: UUID,
    server: SandboxServer,
    record_property: Callable[[str, object], None],
    moment: str,
) -> None:
    await child.enqueue(database, workspace_id, support.config(batch_size=5))
    async with worker(database, server):
        took = await resumed(database, workspace_id, await killed(database, workspace_id, moment))
        await completed(database, workspace_id, server)
    record_property("seconds until resumed, the process killed", took)
    assert took <= RESUMED_WITHIN


@pytest.mark.parametrize("moment", MOMENTS)
async def test_the_server_dies_too_and_another_is_started(
    database: Database,
    workspace_id: UUID,
    server: SandboxServer,
    record_property: Callable[[str, object], None],
    moment: str,
) -> None:
    """As in a power cut: nobody is left who saw it, and the lease has to run out."""
    await child.enqueue(database, workspace_id, support.config(batch_size=5))
    async with worker(database, server) as first:
        fence = await killed(database, workspace_id, moment, first=first)
        async with worker(database, server):
            took = await resumed(database, workspace_id, fence)
            await completed(database, workspace_id, server)
    record_property("seconds until resumed, process and server killed", took)
    assert took <= RESUMED_WITHIN
