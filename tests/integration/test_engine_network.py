"""Runs through a network that fails: nothing is lost, nothing doubled. More seeds, and each fault alone, by `make chaos`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import text

from sync_core.domain.vocabulary import SessionStatus
from sync_core.engine.drive import drive
from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint, Sizes
from sync_core.sandbox.server import SandboxServer
from sync_core.store.database import Database
from tests import support, truth
from tests.faultproxy import Fault, FaultProxy

READ_SECONDS = 0.4


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    async with SandboxServer(Account.generated(Blueprint("network", Sizes(200, 8, 20, 40, 40)))) as running:
        yield running


async def completes(database: Database, workspace_id: UUID, server: SandboxServer, proxy: FaultProxy) -> None:
    """A run through the proxy comes to its end, holds what Stripe holds, and has met every fault that was asked for."""
    async with proxy:
        ended = await support.sync(
            database,
            workspace_id,
            proxy.url,
            support.config(batch_size=10),
            hurried=True,
            read_seconds=READ_SECONDS,
        )
    assert ended.status is SessionStatus.COMPLETED
    assert all(row["created"] == row["fetched"] for row in ended.counters.values())
    assert set(proxy.fired) == set(proxy.probability)
    await truth.assert_equal_to(database, workspace_id, server.world.account())


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_fault_in_turn(database: Database, workspace_id: UUID, server: SandboxServer, seed: int) -> None:
    proxy = FaultProxy(server.url, dict.fromkeys(Fault, 0.05), latency=0.002, jitter=0.03, seed=seed)
    await completes(database, workspace_id, server, proxy)


async def test_a_stripe_that_stays_away_puts_the_run_off_with_the_reason(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    session_id = await support.enqueue(database, workspace_id, support.config(batch_size=10))
    async with FaultProxy(server.url, latency=0.01) as proxy:
        proxy.gone_after = 20
        async with support.taken(database, session_id, proxy.url, read_seconds=READ_SECONDS, patience=1.0) as run:
            assert await drive(run, lease_seconds=20.0) is None

    said = await support.rows(
        database, workspace_id, "SELECT status, stats->>'trouble' AS trouble FROM payment_sync_sessions"
    )
    assert said[0]["status"] == "running"
    assert "Stripe did not answer usefully" in said[0]["trouble"]
    async with database.system() as session:
        await session.execute(text("UPDATE payment_sync_leases SET not_before = now()"))
    async with support.taken(database, session_id, server.url) as again:
        assert await drive(again, lease_seconds=20.0) is SessionStatus.COMPLETED
    await truth.assert_equal_to(database, workspace_id, server.world.account())
