"""More than two hundred kills over all phases. Each seed is a test of its own: `make chaos ARGS="-k at_named_places[7]"` plays it again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from random import Random
from uuid import UUID

import pytest

from sync_core.sandbox.server import SandboxServer
from sync_core.store.database import Database
from tests import killing
from tests.killing import Kill, Victim

pytestmark = pytest.mark.chaos

Note = Callable[[str, object], None]


@pytest.fixture
async def server(request: pytest.FixtureRequest) -> AsyncIterator[SandboxServer]:
    async with killing.server(f"kill {request.node.name}") as running:
        yield running


def note(record_property: Note, kills: list[Kill]) -> None:
    for kill in kills:
        record_property("kill", (kill.phase, kill.place, kill.again, kill.windows))


@pytest.mark.parametrize("seed", range(30))
async def test_at_named_places(
    database: Database, workspace_id: UUID, server: SandboxServer, record_property: Note, seed: int
) -> None:
    victim = await Victim.of(database, workspace_id, server)
    kills = await victim.suffer(killing.at_named_places(Random(seed), 5))
    await victim.finish()
    await victim.assert_equal_to_the_account()
    note(record_property, kills)


@pytest.mark.parametrize("seed", range(12))
async def test_a_dry_run_and_its_plan(
    database: Database, workspace_id: UUID, server: SandboxServer, record_property: Note, seed: int
) -> None:
    rng = Random(seed)
    before, applying = killing.at_named_places(rng, 2), killing.at_named_places(rng, 2, reading=False)
    note(record_property, await killing.dry_run_and_its_plan(database, workspace_id, server, before, applying))


@pytest.mark.parametrize("seed", range(10))
async def test_a_later_sync(
    database: Database, workspace_id: UUID, server: SandboxServer, record_property: Note, seed: int
) -> None:
    rng = Random(seed)
    places = [f"{name}:{rng.randint(1, 3)}" for name in ("fetch.page_read", "land.before_commit", "land.after_commit")]
    places.append(rng.choice(["verify.before:1", "proof.before_landing:1", "finish.before_commit:1"]))
    note(record_property, await killing.later_sync(database, workspace_id, server, places, rng))


@pytest.mark.parametrize("seed", range(20))
async def test_at_any_moments(
    database: Database, workspace_id: UUID, server: SandboxServer, record_property: Note, seed: int
) -> None:
    victim = await Victim.of(database, workspace_id, server)
    kills = await victim.suffer(killing.at_any_moments(Random(seed), 3))
    await victim.finish()
    await victim.assert_equal_to_the_account()
    note(record_property, kills)
