"""Workers that are stopped, superseded and continued, at random moments: whoever has lost the lease writes nothing."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable
from random import Random
from uuid import UUID

import pytest

from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint, Sizes
from sync_core.sandbox.server import SandboxServer
from sync_core.store.database import Database
from tests import audit, child, support, truth
from tests.child import Child
from tests.dueling import duel

pytestmark = pytest.mark.chaos


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    account = Account.generated(Blueprint("workers", Sizes(400, 12, 40, 60, 60)))
    async with SandboxServer(account, latency_ms=20) as running:
        yield running


@pytest.mark.parametrize("seed", range(10))
async def test_three_workers_on_one_run(
    database: Database,
    workspace_id: UUID,
    server: SandboxServer,
    record_property: Callable[[str, object], None],
    seed: int,
) -> None:
    writers = await duel(database, workspace_id, server, seed=seed, takings=15)
    record_property("leases that wrote something, of one run", writers)
    assert writers >= 4


@pytest.mark.parametrize("seed", range(12))
async def test_a_worker_stopped_anywhere_and_continued_beside_its_heir(
    database: Database, workspace_id: UUID, server: SandboxServer, seed: int
) -> None:
    rng = Random(seed)
    await audit.begin(database)
    session_id = await child.enqueue(database, workspace_id, support.config(batch_size=5))
    async with Child(database, server.url, session_id) as zombie:

        async def under_way() -> bool:
            return zombie.is_over or bool(
                await support.rows(database, workspace_id, "SELECT 1 FROM payment_sync_windows")
            )

        assert await support.holds(under_way, within=60)
        await support.passed(rng.uniform(0.0, 1.0))
        if not zombie.is_over:
            zombie.signal(signal.SIGSTOP)
        # Stopped in the middle of a transaction, it holds the lease until PostgreSQL ends it: after ten seconds.
        await child.free(database, session_id, or_ended=True)
        async with Child(database, server.url, session_id) as heir:
            await support.passed(rng.uniform(0.0, 2.5))
            if not zombie.is_over:
                zombie.signal(signal.SIGCONT)
            assert await heir.ended() == 0
        assert await zombie.ended() in (0, 1)
    await child.driven_to_its_end(database, server.url, session_id)
    found = await support.rows(database, workspace_id, "SELECT status FROM payment_sync_sessions")
    assert found == [{"status": "completed"}]
    await audit.assert_each_step_was_taken_once(database, workspace_id)
    await truth.assert_equal_to(database, workspace_id, server.world.account())
