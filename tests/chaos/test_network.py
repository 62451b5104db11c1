"""Whole runs through each fault of the network, and under Stripe's refusals, seeded."""

from __future__ import annotations

from uuid import UUID

import pytest

from sync_core.domain.vocabulary import SessionStatus
from sync_core.sandbox.server import SandboxServer
from sync_core.store.database import Database
from tests import support, truth
from tests.faultproxy import Fault, FaultProxy
from tests.integration import test_engine_network as network
from tests.integration.test_engine_network import server as server  # noqa: PLC0414 - pytest finds a fixture by its name here

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("fault", Fault)
async def test_one_fault(
    database: Database, workspace_id: UUID, server: SandboxServer, fault: Fault, seed: int
) -> None:
    proxy = FaultProxy(server.url, {fault: 0.25}, jitter=0.02, seed=seed)
    await network.completes(database, workspace_id, server, proxy)


@pytest.mark.parametrize("seed", range(10, 20))
async def test_all_of_them(database: Database, workspace_id: UUID, server: SandboxServer, seed: int) -> None:
    proxy = FaultProxy(server.url, dict.fromkeys(Fault, 0.06), latency=0.01, jitter=0.1, seed=seed)
    await network.completes(database, workspace_id, server, proxy)


@pytest.mark.parametrize("seed", range(4))
async def test_throttled_and_failing_for_a_whole_run(
    database: Database, workspace_id: UUID, server: SandboxServer, seed: int
) -> None:
    """429 for 30 % of all requests and 5xx for a tenth of the others, with every wait waited in full."""
    server.world.faults.replace(
        [
            {"kind": "rate_global", "probability": 0.15, "seed": seed},
            {"kind": "rate_endpoint", "probability": 0.176, "seed": seed + 100},
            {"kind": "error500", "probability": 0.1, "seed": seed + 200},
        ]
    )
    ended = await support.sync(database, workspace_id, server.url, support.config(batch_size=20))
    assert ended.status is SessionStatus.COMPLETED
    assert all(rule["fired"] > 0 for rule in server.world.faults.report())
    await truth.assert_equal_to(database, workspace_id, server.world.account())
