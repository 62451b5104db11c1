"""A cancel wherever it finds the run: heard within a second, what was written stays and is said, and a resume completes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from sync_core.domain.fields import ORDER
from sync_core.domain.going_on import Way
from sync_core.domain.vocabulary import SessionStatus
from sync_core.engine.context import Run
from sync_core.engine.drive import drive
from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint, Sizes
from sync_core.sandbox.server import SandboxServer
from sync_core.services import sessions
from sync_core.services.progress_view import ProgressView, Watch
from sync_core.services.session_views import SessionView, stays
from sync_core.store import runs
from sync_core.store.database import Database
from tests import support, truth
from tests.fairclock import fair_clock
from tests.services import actor_of

HEARD_WITHIN = 1.0


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    async with SandboxServer(Account.generated(Blueprint("cancel", Sizes(150, 8, 20, 40, 40)))) as running:
        yield running


@dataclass(frozen=True, slots=True)
class Scene:
    database: Database
    server: SandboxServer
    run: Run


@dataclass(frozen=True, slots=True)
class Situation:
    """What goes on when the cancel comes. `slow` is a table whose rows take eight seconds to write, `full` one that has no room."""

    reached: Callable[[Scene], Awaitable[bool]]
    faults: list[dict[str, Any]] = field(default_factory=list)
    slow: str = ""
    full: str = ""
    latency_ms: float = 0.0
    limited: bool = False
    dry_run: bool = False
    applies_a_plan: bool = False


async def asleep_in_a_batch(scene: Scene) -> bool:
    async with scene.database.engine.connect() as connection:
        found = await connection.execute(
            text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'")
        )
        return int(found.scalar_one()) > 0


async def probing(scene: Scene) -> bool:
    return bool(scene.server.world.statistics.requests)


async def waiting_for_its_turn(scene: Scene) -> bool:
    return scene.run.governor.stats().waiting >= 3


async def paused(scene: Scene) -> bool:
    return scene.run.governor.stats().resume_at is not None


async def in_trouble(scene: Scene) -> bool:
    return bool(scene.run.trouble)


def fired(count: int) -> Callable[[Scene], Awaitable[bool]]:
    async def reached(scene: Scene) -> bool:
        return sum(int(rule["fired"]) for rule in scene.server.world.faults.report()) >= count

    return reached


SITUATIONS = {
    "probing": Situation(probing, latency_ms=3_000),
    "waiting-for-the-governor": Situation(waiting_for_its_turn, limited=True),
    "paused-after-429": Situation(paused, [{"kind": "rate_global", "after_requests": 10}], limited=True),
    "backing-off-after-errors": Situation(fired(8), [{"kind": "error500", "after_requests": 10}]),
    "unanswered": Situation(fired(1), [{"kind": "black_hole", "after_requests": 10}]),
    "fetching-related": Situation(fired(1), [{"kind": "slow", "match": "GET /v1/*/:id", "delay_ms": 8_000}]),
    "in-a-long-landing": Situation(asleep_in_a_batch, slow="payment_sync_staged_objects"),
    "in-a-long-batch": Situation(asleep_in_a_batch, slow="customers"),
    "in-a-long-check": Situation(asleep_in_a_batch, slow="payment_sync_events"),
    "planning-a-dry-run": Situation(asleep_in_a_batch, slow="payment_sync_plan_items", dry_run=True),
    "applying-a-plan": Situation(asleep_in_a_batch, slow="prices", applies_a_plan=True),
    "disk-full": Situation(in_trouble, full="payment_sync_staged_objects"),
}


async def burden(database: Database, situation: Situation) -> None:
    """Make a table slow, or full."""
    for table, does in ((situation.slow, "PERFORM pg_sleep(8);"), (situation.full, support.DISK_FULL)):
        if table:
            await support.on_insert(database, table, does)


async def unburden(database: Database, situation: Situation, server: SandboxServer) -> None:
    for table in filter(None, (situation.slow, situation.full)):
        await support.on_insert(database, table, None)
    server.world.faults.replace([])
    server.world.latency.fixed_ms = 0


async def written(database: Database, workspace_id: UUID) -> int:
    counted = " + ".join(f"(SELECT count(*) FROM {entity.value} WHERE external_id IS NOT NULL)" for entity in ORDER)
    found = await support.rows(database, workspace_id, f"SELECT {counted} AS records")
    return int(found[0]["records"])


@pytest.mark.parametrize("name", SITUATIONS)
async def test_a_cancel_is_heard_wherever_it_finds_the_run(
    database: Database, workspace_id: UUID, server: SandboxServer, name: str
) -> None:
    situation = SITUATIONS[name]
    source = None
    if situation.applies_a_plan:
        planned = await support.sync(database, workspace_id, server.url, support.config(dry_run=True))
        source = planned.session_id
    await burden(database, situation)
    server.world.faults.replace(situation.faults)
    server.world.latency.fixed_ms = situation.latency_ms
    wanted = support.config(batch_size=5, dry_run=situation.dry_run)
    session_id = await support.enqueue(database, workspace_id, wanted, source_session_id=source)

    async with support.taken(database, session_id, server.url, limited=situation.limited) as run:
        work = asyncio.create_task(drive(run, lease_seconds=20.0))
        scene = Scene(database, server, run)
        assert await support.holds(lambda: situation.reached(scene))
        assert not work.done()
        async with fair_clock(database) as clock:
            async with database.workspace(workspace_id) as session:
                asked = await runs.request_cancel(session, workspace_id, session_id)
            ended = await work
            assert clock() <= HEARD_WITHIN
    # On a machine that let nobody go on for two seconds the worker was mute, and nobody waited for it.
    assert (asked, ended) in (support.HEARD, support.MUTE)

    records = await written(database, workspace_id)
    view = await sessions.get(database, actor_of(workspace_id), session_id)
    assert isinstance(view, SessionView)
    assert view.to_json()["outcome"] == stays(records, dry_run=situation.dry_run)
    shown = await Watch(database, actor_of(workspace_id), session_id).look()
    assert isinstance(shown, ProgressView)
    assert (shown.stays, shown.trouble, shown.ending.ways) == (view.outcome, "", (Way.RESUME,))

    await unburden(database, situation, server)
    async with database.workspace(workspace_id) as session:
        assert await runs.requeue(session, workspace_id, session_id) == session_id
    async with support.taken(database, session_id, server.url) as again:
        assert await drive(again, lease_seconds=20.0) is SessionStatus.COMPLETED
    if not situation.dry_run:
        await truth.assert_equal_to(database, workspace_id, server.world.account())
    finished = await sessions.get(database, actor_of(workspace_id), session_id)
    assert isinstance(finished, SessionView)
    assert "outcome" not in finished.to_json()
