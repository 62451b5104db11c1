"""What a run does while something it needs is away, and who is told: it waits, says what for, and ends rather than turning for ever."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import psutil
import pytest
from sqlalchemy import text

from sync_core.domain.starts import Wish
from sync_core.domain.vocabulary import EntityType, SessionStatus
from sync_core.engine.drive import MOST_ATTEMPTS, drive
from sync_core.errors import LeaseLost
from sync_core.jobs.child import run_once
from sync_core.jobs.scheduler import Dispatcher
from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint, Sizes
from sync_core.sandbox.server import SandboxServer
from sync_core.settings import Settings
from sync_core.store import run_state, runs
from sync_core.store.database import Database
from sync_core.store.rates import StoredSlots
from sync_core.stripe_source import Governor, LocalSlots, StripeSource, http_client
from tests import child, support, truth
from tests.fairclock import fair_clock

HEARD_WITHIN = 1.0


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    async with SandboxServer(
        Account.generated(Blueprint("patience", Sizes(200, 8, 16, 40, 40))), latency_ms=20
    ) as running:
        yield running


async def session_row(database: Database, workspace_id: UUID) -> dict[str, object]:
    found = await support.rows(
        database,
        workspace_id,
        "SELECT status, error_summary->>'message' AS said, stats->>'trouble' AS trouble FROM payment_sync_sessions",
    )
    return found[0]


async def set_lease(database: Database, assignments: str) -> None:
    async with database.system() as session:
        await session.execute(text(f"UPDATE payment_sync_leases SET {assignments}"))


async def test_starting_times_are_drawn_through_cut_connections(database: Database) -> None:
    slots = StoredSlots(database)
    for _ in range(5):
        # Those of the pool are dead when it begins, and those that it opens meanwhile are cut somewhere on the way.
        await support.cut_connections(database)
        lot, _ = await asyncio.gather(
            slots.reserve(Wish(("account", 1_000.0), ("endpoint", 1_000.0), 3)), support.cut_connections(database)
        )
        assert len(lot.starts) == 3


async def test_a_cancel_is_heard_while_a_batch_holds_the_counters(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    session_id = await support.enqueue(database, workspace_id, support.config(batch_size=20))
    async with support.taken(database, session_id, server.url) as run, database.engine.connect() as other:
        await other.execute(text("SELECT 1 FROM payment_sync_entity_runs FOR UPDATE"))
        work = asyncio.create_task(drive(run, lease_seconds=20.0))

        async def blocked() -> bool:
            return bool(await support.rows(database, workspace_id, "SELECT 1 FROM pg_locks WHERE NOT granted"))

        assert await support.holds(blocked)
        async with fair_clock(database) as clock:
            async with database.workspace(workspace_id) as session:
                asked = await runs.request_cancel(session, workspace_id, session_id)
            ended = await work
            assert clock() <= HEARD_WITHIN
        assert (asked, ended) in (support.HEARD, support.MUTE)


async def test_an_error_that_nobody_foresaw_is_tried_again_and_then_told(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    session_id = await support.enqueue(database, workspace_id, support.config())
    async with database.engine.begin() as connection:
        await connection.execute(text("REVOKE INSERT ON customers FROM cyphera_app"))

    async with support.taken(database, session_id, server.url) as run:
        assert await drive(run, lease_seconds=20.0) is None
    put_off = await session_row(database, workspace_id)
    async with database.system() as session:
        assert await runs.due(session) == [], "not before some seconds have passed"
    tried = await support.rows(database, workspace_id, "SELECT attempts FROM payment_sync_leases")
    await set_lease(database, "not_before = now(), attempts = 4")
    async with support.taken(database, session_id, server.url) as run:
        assert await drive(run, lease_seconds=20.0) is SessionStatus.FAILED

    assert put_off["status"] == "running"
    assert tried == [{"attempts": 1}], "counted, though objects have landed"
    assert "permission denied" in str(put_off["trouble"])
    assert "Gave up after 5 attempts" in str((await session_row(database, workspace_id))["said"])


async def test_a_run_whose_process_always_ends_early_is_given_up(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    session_id = await child.enqueue(database, workspace_id, support.config())
    await set_lease(database, f"attempts = {MOST_ATTEMPTS}")

    await run_once(database, Settings(_env_file=None, stripe_api_base=server.url), session_id)

    said = await session_row(database, workspace_id)
    assert said["status"] == "failed"
    assert "taken up 60 times" in str(said["said"])


async def test_attempts_are_counted_anew_once_something_has_come_of_one(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    session_id = await support.enqueue(database, workspace_id, support.config())
    async with support.taken(database, session_id, server.url) as run:
        attempts = "SELECT attempts FROM payment_sync_leases"
        for moved, expected in ((False, 1), (True, 0)):
            async with run.session() as session:
                await run_state.beat(session, run.held, seconds=20.0, moved=moved)
            assert (await support.rows(database, workspace_id, attempts))[0]["attempts"] == expected


async def test_a_cancel_does_not_wait_for_a_worker_that_gives_no_sign_of_life(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    session_id = await support.enqueue(database, workspace_id, support.config())
    async with support.taken(database, session_id, server.url) as run:
        await set_lease(database, "beat_at = clock_timestamp() + interval '1 min'")
        async with database.workspace(workspace_id) as session:
            assert await runs.request_cancel(session, workspace_id, session_id) is SessionStatus.PENDING, (
                "just heard of"
            )
        await set_lease(database, "beat_at = clock_timestamp() - interval '3 s'")
        async with database.workspace(workspace_id) as session:
            assert await runs.request_cancel(session, workspace_id, session_id) is SessionStatus.CANCELLED
        with pytest.raises(LeaseLost):
            async with run.session() as session:
                await run_state.begin(session, run.held)
        async with database.workspace(workspace_id) as session:
            assert await runs.requeue(session, workspace_id, session_id) == session_id
        assert await drive(run, lease_seconds=20.0) is None, "its lease was another one"
    async with support.taken(database, session_id, server.url) as again:
        assert await drive(again, lease_seconds=20.0) is SessionStatus.COMPLETED


async def test_a_run_that_is_put_off_while_someone_cancels_it_is_cancelled(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    session_id = await support.enqueue(database, workspace_id, support.config())
    async with support.taken(database, session_id, server.url) as run:
        async with database.workspace(workspace_id) as session:
            await runs.request_cancel(session, workspace_id, session_id)
        async with run.session() as session:
            assert not await run_state.put_off(session, run.held, 15.0, stats={"trouble": "x"}, attempts=1)
        async with run.session() as session:
            assert (await run_state.beat(session, run.held, seconds=20.0, moved=False)).held


async def test_an_answer_that_trickles_is_given_up_as_a_whole(server: SandboxServer) -> None:
    server.world.faults.replace([{"kind": "slow", "count": 1, "delay_ms": 3_000}])
    async with http_client() as http:
        http.timeout = 0.5
        governor = Governor(LocalSlots(), account="acct_1", mode="test", cap_share=1.0, unlimited=True)
        source = StripeSource(api_key=support.KEY, base_url=server.url, http=http, governor=governor)
        page = await source.list_page(EntityType.CUSTOMERS)
    assert len(page.objects) == 100
    assert server.world.statistics.requests["GET /v1/customers"] >= 2


@asynccontextmanager
async def dispatching(
    database: Database, server: SandboxServer, monkeypatch: pytest.MonkeyPatch, *, lease: float, stuck: float = 30.0
) -> AsyncIterator[None]:
    for name, value in child.environment(database, server.url, lease_seconds=lease).items():
        monkeypatch.setenv(name, value)
    dispatcher = Dispatcher(database, Settings(_env_file=None), stuck_seconds=stuck)
    async with support.every(0.25, dispatcher.tick):
        yield
    await dispatcher.end_children()


async def worker(database: Database, workspace_id: UUID) -> psutil.Process | None:
    """The process that holds the lease, once it has landed something."""
    found = await support.rows(
        database,
        workspace_id,
        "SELECT owner FROM payment_sync_leases WHERE EXISTS (SELECT FROM payment_sync_staged_objects)",
    )
    return psutil.Process(int(found[0]["owner"].split()[-1])) if found and found[0]["owner"] else None


@pytest.mark.parametrize(
    ("number", "lease", "stuck"),
    [(signal.SIGKILL, 60.0, 60.0), (signal.SIGSTOP, 3.0, 2.0)],
    ids=["killed", "stopped"],
)
async def test_the_server_takes_up_what_its_own_child_let_lie(
    *,
    database: Database,
    workspace_id: UUID,
    server: SandboxServer,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    lease: float,
    stuck: float,
) -> None:
    """Killed: long before the lease has run out. Stopped: the child is ended, since nobody else could take the run up."""
    # Long enough for a busy machine to send its signal before the run is over.
    server.world.latency.fixed_ms = 150
    await child.enqueue(database, workspace_id, support.config(batch_size=5))
    async with dispatching(database, server, monkeypatch, lease=lease, stuck=stuck):
        found: list[psutil.Process] = []

        async def at_work() -> bool:
            first = await worker(database, workspace_id)
            found.extend([first] if first is not None else [])
            return first is not None

        assert await support.holds(at_work)
        assert found[0].ppid() == os.getpid()
        found[0].send_signal(number)

        async def completed() -> bool:
            return (await session_row(database, workspace_id))["status"] == "completed"

        assert await support.holds(completed, within=200)
    await truth.assert_equal_to(database, workspace_id, server.world.account())
