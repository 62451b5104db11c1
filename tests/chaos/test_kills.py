"""Two hundred kills, at named places and after any number of requests, seeded: see `tests/integration/test_engine_kill.py`."""

from __future__ import annotations

from random import Random
from uuid import UUID

import pytest

from sync_core.engine.failpoints import NAMES
from sync_core.sandbox.server import SandboxServer
from sync_core.store.database import Database
from tests.integration import test_engine_kill as kills
from tests.integration.test_engine_kill import server as server  # noqa: PLC0414 - pytest finds a fixture by its name here

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize("seed", range(100))
async def test_at_a_named_place(database: Database, workspace_id: UUID, server: SandboxServer, seed: int) -> None:
    rng = Random(seed)
    name = NAMES[seed % len(NAMES)]
    count = rng.randint(1, 12) if name.startswith(("fetch", "land")) else 1
    await kills.killed_at(database, workspace_id, server, f"{name}:{count}")


@pytest.mark.parametrize("seed", range(100))
async def test_after_any_number_of_requests(
    database: Database, workspace_id: UUID, server: SandboxServer, seed: int
) -> None:
    await kills.killed_after(database, workspace_id, server, Random(seed).randint(1, 40))
