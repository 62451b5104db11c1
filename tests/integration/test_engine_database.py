"""PostgreSQL goes away under a run: crashed and back, or without room. The run waits, says so, and loses nothing. More by `make chaos`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from uuid import UUID

import pytest

from sync_core.domain.vocabulary import SessionStatus
from sync_core.engine.drive import drive
from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint, Sizes
from sync_core.sandbox.server import SandboxServer
from sync_core.services.progress_view import ProgressView, Watch
from sync_core.store import runs
from sync_core.store.database import Database
from tests import support, truth
from tests.conftest import make_workspace
from tests.fairclock import fair_clock
from tests.ownpostgres import OwnPostgres, own_postgres
from tests.services import actor_of

HEARD_WITHIN = 1.0


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    async with SandboxServer(
        Account.generated(Blueprint("database", Sizes(200, 8, 20, 40, 40))), latency_ms=40
    ) as running:
        yield running


@pytest.fixture(scope="module")
def own() -> Iterator[OwnPostgres]:
    with own_postgres() as running:
        yield running


@pytest.fixture
async def mine(own: OwnPostgres) -> AsyncIterator[Database]:
    database = Database(own.url)
    yield database
    await database.dispose()


async def count(database: Database, workspace_id: UUID, table: str) -> int:
    return int((await support.rows(database, workspace_id, f"SELECT count(*) FROM {table}"))[0]["count"])


async def test_a_crash_of_postgresql_while_reading_and_while_writing(
    mine: Database, own: OwnPostgres, server: SandboxServer
) -> None:
    workspace_id = await make_workspace(mine)
    session_id = await support.enqueue(mine, workspace_id, support.config(batch_size=5))
    async with support.taken(mine, session_id, server.url, limited=False) as run:
        work = asyncio.create_task(drive(run, lease_seconds=20.0))
        for table in ("payment_sync_staged_objects", "customers"):

            async def begun(table: str = table) -> bool:
                return work.done() or await count(mine, workspace_id, table) > 0

            assert await support.holds(begun)
            assert not work.done()
            await own.restart("immediate")
        assert await work is SessionStatus.COMPLETED
    await truth.assert_equal_to(mine, workspace_id, server.world.account())
    counted = await support.counters(mine, workspace_id, session_id)
    assert all(row["created"] == row["fetched"] for row in counted.values())


async def test_a_cancel_after_postgresql_was_away_is_heard_at_once(
    mine: Database, own: OwnPostgres, server: SandboxServer
) -> None:
    workspace_id = await make_workspace(mine)
    session_id = await support.enqueue(mine, workspace_id, support.config(batch_size=5))
    async with support.taken(mine, session_id, server.url) as run:
        work = asyncio.create_task(drive(run, lease_seconds=20.0))

        async def begun() -> bool:
            return await count(mine, workspace_id, "payment_sync_staged_objects") > 0

        assert await support.holds(begun)
        await own.stop()

        async def troubled() -> bool:
            return bool(run.trouble)

        assert await support.holds(troubled)
        # Long enough for the waits between tries to have grown.
        await support.passed(3.0)
        await own.start()
        await mine.engine.dispose()
        async with fair_clock(mine) as clock:
            async with mine.workspace(workspace_id) as session:
                asked = await runs.request_cancel(session, workspace_id, session_id)
            ended = await work
            assert clock() <= HEARD_WITHIN
    # Whoever asks before the worker's next beat takes the run from it: it has been mute for seconds.
    assert (asked, ended) in (support.HEARD, support.MUTE)
    found = await support.rows(mine, workspace_id, "SELECT status FROM payment_sync_sessions")
    assert found == [{"status": "cancelled"}]


FULL = ["payment_sync_windows", "payment_sync_staged_objects", "payment_sync_plan_items", "customers", "invoices"]


@pytest.mark.parametrize("table", FULL)
async def test_a_disk_that_is_full_is_said_and_waited_for(
    database: Database, workspace_id: UUID, server: SandboxServer, table: str
) -> None:
    await support.on_insert(database, table, support.DISK_FULL)
    session_id = await support.enqueue(database, workspace_id, support.config(batch_size=20))
    async with support.taken(database, session_id, server.url) as run:
        work = asyncio.create_task(drive(run, lease_seconds=20.0))
        watch = Watch(database, actor_of(workspace_id), session_id)

        async def said() -> bool:
            view = await watch.look()
            assert isinstance(view, ProgressView)
            return work.done() or "No space left on device" in view.trouble

        assert await support.holds(said)
        assert not work.done()
        await support.on_insert(database, table, None)
        assert await work is SessionStatus.COMPLETED
    await truth.assert_equal_to(database, workspace_id, server.world.account())
    view = await watch.look()
    assert isinstance(view, ProgressView)
    assert view.trouble == ""
