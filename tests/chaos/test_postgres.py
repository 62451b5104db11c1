"""PostgreSQL under a whole run: crashed every twenty seconds, its connections cut, its disk full for longer than anybody waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from random import Random
from uuid import UUID

import pytest

from sync_core.domain.vocabulary import EntityType, SessionStatus
from sync_core.engine.drive import drive
from sync_core.jobs.scheduler import Dispatcher
from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint, Sizes
from sync_core.sandbox.server import SandboxServer
from sync_core.settings import Settings
from sync_core.store import runs
from sync_core.store.database import Database
from tests import child, support, truth
from tests.conftest import make_workspace
from tests.ownpostgres import OwnPostgres, own_postgres

pytestmark = pytest.mark.chaos

RESTART_EVERY = 20.0


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    account = Account.generated(Blueprint("postgres", Sizes(5_000, 20, 200, 400, 400)))
    async with SandboxServer(account, latency_ms=20) as running:
        yield running


@pytest.fixture
def own() -> Iterator[OwnPostgres]:
    with own_postgres() as running:
        yield running


@pytest.mark.parametrize("mode", ["immediate", "fast"])
async def test_restarted_every_twenty_seconds(
    own: OwnPostgres,
    server: SandboxServer,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
    mode: str,
) -> None:
    """The server's own timer and children, with the default lease and Stripe's test limits, whose slots are rows too."""
    database = Database(own.url)
    workspace_id = await make_workspace(database)
    for name, value in child.environment(database, server.url, limited=True).items():
        monkeypatch.setenv(name, value)
    await child.enqueue(database, workspace_id, support.config(batch_size=5))
    dispatcher = Dispatcher(database, Settings(_env_file=None))

    async def completed() -> bool:
        try:
            found = await support.rows(database, workspace_id, "SELECT status FROM payment_sync_sessions")
        except Exception:  # noqa: BLE001 - away, which is what it is about
            return False
        return bool(found[0]["status"] == "completed")

    async with (
        support.every(2.0, dispatcher.tick),
        support.every(RESTART_EVERY, lambda: own.restart("fast" if mode == "fast" else "immediate")) as restarts,
    ):
        assert await support.holds(completed, within=280, every=0.5)
    await dispatcher.end_children()
    record_property("restarts of PostgreSQL in one run", restarts.done)
    assert restarts.done >= 2
    await truth.assert_equal_to(database, workspace_id, server.world.account())
    found = await support.rows(database, workspace_id, "SELECT created, fetched FROM payment_sync_entity_runs")
    assert all(row["created"] == row["fetched"] for row in found)
    await database.dispose()


@pytest.mark.parametrize("seed", range(6))
async def test_connections_cut_at_random_moments(database: Database, workspace_id: UUID, seed: int) -> None:
    rng = Random(seed)
    account = Account.generated(Blueprint(f"cut {seed}", Sizes(300, 12, 40, 60, 60)))
    async with SandboxServer(account, latency_ms=30) as server:
        session_id = await support.enqueue(database, workspace_id, support.config(batch_size=5))
        cutter = support.Cutter(database)
        async with (
            support.taken(database, session_id, server.url) as run,
            support.every(rng.uniform(0.05, 0.4), cutter),
        ):
            assert await drive(run, lease_seconds=20.0) is SessionStatus.COMPLETED
    assert cutter.cuts >= 3
    await truth.assert_equal_to(database, workspace_id, account)
    counted = await support.counters(database, workspace_id, session_id)
    assert all(row["created"] == row["fetched"] for row in counted.values())


async def test_a_disk_that_stays_full_puts_the_run_off_with_the_reason(database: Database, workspace_id: UUID) -> None:
    """For longer than a minute; and a cancel is heard even then, as is a resume."""
    account = Account.generated(Blueprint("full", Sizes(100, 4, 8, 8, 8)))
    async with SandboxServer(account) as server:
        await support.on_insert(database, "customers", support.DISK_FULL)
        session_id = await support.enqueue(database, workspace_id, support.config(EntityType.CUSTOMERS))
        async with support.taken(database, session_id, server.url) as run:
            assert await drive(run, lease_seconds=20.0) is None
        said = await support.rows(
            database, workspace_id, "SELECT status, stats->>'trouble' AS trouble FROM payment_sync_sessions"
        )
        assert said[0]["status"] == "running"
        assert "No space left on device" in said[0]["trouble"]
        await support.on_insert(database, "customers", None)
        async with database.workspace(workspace_id) as session:
            assert await runs.request_cancel(session, workspace_id, session_id) is SessionStatus.CANCELLED
            assert await runs.requeue(session, workspace_id, session_id) == session_id
        async with support.taken(database, session_id, server.url) as again:
            assert await drive(again, lease_seconds=20.0) is SessionStatus.COMPLETED
    await truth.assert_equal_to(database, workspace_id, account, entities=[EntityType.CUSTOMERS])


async def test_postgresql_away_for_longer_than_a_lease(own: OwnPostgres, server: SandboxServer) -> None:
    database = Database(own.url)
    workspace_id = await make_workspace(database)
    session_id = await support.enqueue(database, workspace_id, support.config(EntityType.CUSTOMERS))
    async with support.taken(database, session_id, server.url, seconds=5.0) as run:
        work = asyncio.create_task(drive(run, lease_seconds=5.0))

        async def begun() -> bool:
            return bool(await support.rows(database, workspace_id, "SELECT 1 FROM payment_sync_staged_objects LIMIT 1"))

        assert await support.holds(begun)
        await own.stop()
        await support.passed(12.0)
        await own.start()
        assert await work is SessionStatus.COMPLETED
    await truth.assert_equal_to(database, workspace_id, server.world.account(), entities=[EntityType.CUSTOMERS])
    await database.dispose()
