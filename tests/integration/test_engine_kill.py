"""A run's process killed at every named place, one after another, then taken up again: the tables equal the truth. More by `make chaos`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from random import Random
from uuid import UUID

import pytest

from sync_core.engine.failpoints import NAMES
from sync_core.sandbox.server import SandboxServer
from sync_core.store.database import Database
from tests import killing
from tests.killing import Victim


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    async with killing.server() as running:
        yield running


async def test_killed_at_every_named_place(database: Database, workspace_id: UUID, server: SandboxServer) -> None:
    """In the order of a run, the page and the batch in its middle."""
    victim = await Victim.of(database, workspace_id, server)
    kills = await victim.suffer([f"{name}:{3 if name.startswith(('fetch', 'land')) else 1}" for name in NAMES])
    await victim.finish()
    await victim.assert_equal_to_the_account()
    assert len(kills) == len(NAMES)
    assert {kill.phase for kill in kills} == {"preflight", "fetch", "apply", "verify"}


async def test_killed_while_a_dry_run_is_planned_and_while_its_plan_is_applied(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    kills = await killing.dry_run_and_its_plan(
        database,
        workspace_id,
        server,
        ["land.after_commit:2", "plan.before_commit:3", "finish.before:1"],
        ["plan.before_write:2", "plan.after_commit:1", "verify.checked:2", "finish.before_commit:1"],
    )
    assert len(kills) == 7


async def test_a_later_sync_killed_while_it_knows_again_what_is_unchanged(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    kills = await killing.later_sync(
        database, workspace_id, server, ["land.before_commit:3", "land.after_commit:3"], Random(1)
    )
    assert len(kills) == 2


@pytest.mark.parametrize("seed", [1])
async def test_killed_at_any_moment(database: Database, workspace_id: UUID, server: SandboxServer, seed: int) -> None:
    victim = await Victim.of(database, workspace_id, server)
    await victim.suffer(killing.at_any_moments(Random(seed), 2))
    await victim.finish()
    await victim.assert_equal_to_the_account()
