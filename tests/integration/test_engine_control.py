"""Cancelled, taken over, stopped and continued: who may write, how soon it is heard, and what stays."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import permutations
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.vocabulary import EntityType, Phase, SessionStatus
from sync_core.engine.context import Run
from sync_core.engine.drive import drive
from sync_core.engine.landing import Lander
from sync_core.engine.planner import Planner
from sync_core.engine.staging import stage, stage_page
from sync_core.engine.tasks import ended
from sync_core.errors import LeaseLost
from sync_core.jobs.child import run_once
from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint, Sizes
from sync_core.sandbox.server import SandboxServer
from sync_core.settings import Settings
from sync_core.store import run_state, runs
from sync_core.store.database import Database, DbRole
from sync_core.store.landing import Landing, land, landing_table, new_window
from tests import child, support, truth
from tests.child import Child
from tests.dueling import duel
from tests.fairclock import fair_clock
from tests.unit._stripe_objects import customer

HEARD_WITHIN = 1.0


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    account = Account.generated(Blueprint("control", Sizes(300, 12, 40, 60, 60)))
    async with SandboxServer(account, latency_ms=30) as running:
        yield running


async def one(database: Database, workspace_id: UUID, sql: str) -> object:
    return next(iter((await support.rows(database, workspace_id, sql))[0].values()))


Condition = Callable[[Database, UUID], Awaitable[bool]]


def reached(sql: str) -> Condition:
    async def holds(database: Database, workspace_id: UUID) -> bool:
        return bool(await one(database, workspace_id, f"SELECT EXISTS (SELECT FROM {sql})"))

    return holds


MOMENTS = {
    "preflight": reached("payment_sync_sessions WHERE status = 'running'"),
    "fetch": reached("payment_sync_staged_objects"),
    "related": reached("payment_sync_staged_objects WHERE related"),
    "apply": reached("payment_sync_plan_items"),
    "verify": reached("payment_sync_sessions WHERE phase = 'verify'"),
}


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_cancel_is_heard_within_a_second_and_a_resume_completes(
    database: Database, workspace_id: UUID, server: SandboxServer, moment: str
) -> None:
    session_id = await support.enqueue(database, workspace_id, support.config(batch_size=20))
    async with support.taken(database, session_id, server.url) as run:
        work = asyncio.create_task(drive(run, lease_seconds=20.0))

        async def is_there() -> bool:
            return work.done() or await MOMENTS[moment](database, workspace_id)

        assert await support.holds(is_there, within=60.0, every=0.005)
        async with fair_clock(database) as clock:
            async with database.workspace(workspace_id) as session:
                asked = await runs.request_cancel(session, workspace_id, session_id)
            status = await work
            took = clock()

    if asked is None:
        assert (moment, status) == ("verify", SessionStatus.COMPLETED), "only the last phase may be over too soon"
        return
    assert (asked, status) in (support.HEARD, support.MUTE, (SessionStatus.RUNNING, SessionStatus.COMPLETED))
    assert took <= HEARD_WITHIN
    if status is not SessionStatus.COMPLETED:
        async with database.workspace(workspace_id) as session:
            assert await runs.requeue(session, workspace_id, session_id) == session_id
        async with support.taken(database, session_id, server.url) as again:
            assert await drive(again, lease_seconds=20.0) is SessionStatus.COMPLETED
    await truth.assert_equal_to(database, workspace_id, server.world.account())


async def superseded(database: Database, run: Run) -> None:
    """Another worker takes the run, as after a lease that ran out."""
    held = run.held
    async with database.system() as session:
        assert await runs.take(session, held.session_id, "another", 30.0) is None, "a live lease is not taken"
        assert await expire(session, held.session_id)
        assert await runs.take(session, held.session_id, "another", 30.0) is not None


async def expire(session: AsyncSession, session_id: UUID) -> bool:
    done = await session.execute(
        text(
            "UPDATE payment_sync_leases SET lease_until = clock_timestamp() - interval '1 s' WHERE session_id = :s"
            " RETURNING 1"
        ),
        {"s": session_id},
    )
    return bool(done.scalar_one())


Look = tuple[float, str]


async def test_the_newest_look_at_an_object_wins_whichever_lands_last(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    """It changed and changed back: seen, seen otherwise, seen as at first. Each order has an object of its own."""
    looks: list[Look] = [(1.0, "first"), (2.0, "other"), (3.0, "first")]
    orders = list(permutations(looks))
    session_id = await support.enqueue(database, workspace_id, support.config(EntityType.CUSTOMERS))
    async with support.taken(database, session_id, server.url) as run:
        for turn in range(len(looks)):
            rows = []
            for place, order in enumerate(orders):
                at, name = order[turn]
                raw = customer(id=f"cus_{place}", name=name)
                rows.append(stage(EntityType.CUSTOMERS, raw, observed_at=at, request_id=None))
                rows[-1].seq = turn * len(orders) + place + 1
            async with run.session(prepares=[landing_table(run.role)]) as session:
                await land(session, workspace_id, session_id, run.held.fence, Landing(rows=rows))

    found = await support.rows(
        database,
        workspace_id,
        "SELECT extract(epoch FROM observed_at) AS at, \"values\"->>'name' AS name, seq FROM payment_sync_staged_objects"
        " ORDER BY external_id",
    )
    assert [(row["at"], row["name"]) for row in found] == [(3, "first")] * 6
    news = [max(turn for turn, look in enumerate(order) if is_news(order[:turn], look)) for order in orders]
    assert [(row["seq"] - 1) // len(orders) for row in found] == news, "what shows nothing new is not planned again"


async def test_of_looks_that_land_together_the_newest_wins(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    orders = list(permutations([(1.0, "first"), (2.0, "second"), (3.0, "third")]))
    session_id = await support.enqueue(database, workspace_id, support.config(EntityType.CUSTOMERS))
    async with support.taken(database, session_id, server.url) as run:
        lander = Lander(run)
        landings = [
            Landing(
                rows=[
                    stage(EntityType.CUSTOMERS, customer(id=f"cus_{place}", name=name), observed_at=at, request_id=None)
                    for place, (at, name) in enumerate(looks)
                ]
            )
            for looks in zip(*orders, strict=True)
        ]
        given = [asyncio.create_task(lander.submit(one)) for one in landings]
        await asyncio.sleep(0)
        work = asyncio.create_task(lander.work())
        await asyncio.gather(*given)
        await ended([work])

    found = await support.rows(
        database, workspace_id, "SELECT \"values\"->>'name' AS name FROM payment_sync_staged_objects"
    )
    assert [row["name"] for row in found] == ["third"] * len(orders)


def is_news(before: Sequence[Look], look: Look) -> bool:
    newest = max(before, default=None)
    return newest is None or (look[0] > newest[0] and look[1] != newest[1])


async def test_a_zombie_writes_nothing(database: Database, workspace_id: UUID, server: SandboxServer) -> None:
    session_id = await support.enqueue(database, workspace_id, support.config(EntityType.CUSTOMERS))
    async with support.taken(database, session_id, server.url) as run:
        page = await run.source.list_page(EntityType.CUSTOMERS, limit=5)
        staged = await stage_page(run.source, EntityType.CUSTOMERS, page)
        for place, row in enumerate(staged):
            row.seq = place + 1
        held = run.held
        async with run.session(prepares=[landing_table(run.role)]) as session:
            await land(session, workspace_id, session_id, held.fence, Landing(rows=staged[:2]))
        await superseded(database, run)

        with pytest.raises(LeaseLost):
            async with run.session(prepares=[landing_table(run.role)]) as session:
                await land(
                    session,
                    workspace_id,
                    session_id,
                    held.fence,
                    Landing(rows=staged[2:], opened=[new_window(EntityType.CUSTOMERS, 0, 9)]),
                )
        with pytest.raises(LeaseLost):
            await Planner(run, EntityType.CUSTOMERS, 0).batch()
        writes: tuple[Callable[[AsyncSession], Awaitable[None]], ...] = (
            lambda session: run_state.begin(session, held),
            lambda session: run_state.set_phase(session, held, Phase.VERIFY, steps={}),
            lambda session: run_state.set_range(session, held, 0, 1, skew=0.0),
            lambda session: run_state.recount(session, held, EntityType.CUSTOMERS, whole=True),
            lambda session: run_state.finish(session, held, SessionStatus.COMPLETED, progress={}, error_summary=None),
        )
        for write in writes:
            with pytest.raises(LeaseLost):
                async with run.session() as session:
                    await write(session)
        assert await drive(run, lease_seconds=20.0) is None

    assert await one(database, workspace_id, "SELECT count(*) FROM payment_sync_staged_objects") == 2
    assert await one(database, workspace_id, "SELECT count(*) FROM payment_sync_windows") == 0
    assert await one(database, workspace_id, "SELECT count(*) FROM payment_sync_plan_items") == 0
    assert await one(database, workspace_id, "SELECT count(*) FROM customers") == 0
    assert await one(database, workspace_id, "SELECT status FROM payment_sync_sessions") == "pending"


async def test_a_run_whose_lease_is_taken_stops_by_itself(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    session_id = await support.enqueue(database, workspace_id, support.config(batch_size=5))
    async with support.taken(database, session_id, server.url) as run:
        # It cannot come to its end before: of each list, what follows the first pages takes longer than any of this.
        server.world.faults.replace([{"kind": "slow", "after_requests": 20, "delay_ms": 25_000}])
        others = asyncio.all_tasks()
        work = asyncio.create_task(drive(run, lease_seconds=20.0))

        async def landing() -> bool:
            return await MOMENTS["fetch"](database, workspace_id)

        assert await support.holds(landing)

        async def taken_over() -> bool:
            # Taking skips a run in the middle of a commit.
            async with database.system() as session:
                await expire(session, session_id)
                return await runs.take(session, session_id, "another", 30.0) is not None

        assert await support.holds(taken_over)
        before = await one(database, workspace_id, "SELECT count(*) FROM payment_sync_staged_objects")
        assert await work is None
        assert asyncio.all_tasks() - others == set(), "nothing of it is left waiting"
    assert await one(database, workspace_id, "SELECT count(*) FROM payment_sync_staged_objects") == before
    assert await one(database, workspace_id, "SELECT status FROM payment_sync_sessions") == "running"


async def test_a_worker_stopped_beyond_its_lease_writes_nothing_when_it_goes_on(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    session_id = await child.enqueue(database, workspace_id, support.config(batch_size=5))
    async with Child(database, server.url, session_id) as zombie:

        async def landing() -> bool:
            return await MOMENTS["fetch"](database, workspace_id)

        assert await support.holds(landing, every=0.005)
        zombie.signal(signal.SIGSTOP)
        await child.driven_to_its_end(database, server.url, session_id)
        before = await truth.stored(database, workspace_id)
        ended = await support.rows(database, workspace_id, "SELECT status, completed_at FROM payment_sync_sessions")
        zombie.signal(signal.SIGCONT)
        assert await zombie.ended() == 0

    assert ended[0]["status"] == "completed"
    assert await support.rows(database, workspace_id, "SELECT status, completed_at FROM payment_sync_sessions") == ended
    assert truth.differences(await truth.stored(database, workspace_id), before) == []
    await truth.assert_equal_to(database, workspace_id, server.world.account())


async def test_a_worker_stopped_while_it_brings_rows_does_not_keep_its_run(
    database: Database, workspace_id: UUID, server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL waits for the rest of a COPY for ever, and the transaction may hold the lease's row."""
    session_id = await child.enqueue(database, workspace_id, support.config(EntityType.CUSTOMERS))
    settings = Settings(
        _env_file=None, encryption_keys=child.RING, stripe_api_base=server.url, rate_unlimited=True, demo=False
    )
    monkeypatch.setattr(runs, "STOPPED_SECONDS", 0.5)

    async def completed() -> bool:
        await run_once(database, settings, session_id)
        return await one(database, workspace_id, "SELECT status FROM payment_sync_sessions") == "completed"

    async def bring_rows() -> None:
        async with support.apart(database) as stopped, stopped.transaction(), stopped.cursor() as cursor:
            await cursor.execute("SELECT FROM payment_sync_leases WHERE session_id = %s FOR KEY SHARE", [session_id])
            await cursor.execute(landing_table(DbRole.APP))
            async with cursor.copy("COPY landing_cyphera_app FROM STDIN"):
                assert await support.holds(completed)

    with pytest.raises(psycopg.OperationalError):
        await bring_rows()
    await truth.assert_equal_to(database, workspace_id, server.world.account(), entities=[EntityType.CUSTOMERS])


async def test_workers_that_take_a_run_from_each_other_never_both_commit_a_window(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    assert await duel(database, workspace_id, server, seed=1, takings=6) >= 4


async def test_a_transaction_of_a_stopped_worker_is_ended_for_it(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    """Whatever it was doing: an open transaction keeps the lease from being taken."""
    session_id = await support.enqueue(database, workspace_id, support.config())
    async with support.taken(database, session_id, server.url) as run:
        for by_key in (False, True):
            async with run.session(by_key=by_key) as session:
                limit = await session.execute(text("SHOW idle_in_transaction_session_timeout"))
                assert limit.scalar_one() == "10s"


@pytest.mark.parametrize("sandbox", [True, False], ids=["sandbox-switched-off", "key-ring-lost"])
async def test_a_run_that_cannot_begin_ends_with_the_reason(
    database: Database, workspace_id: UUID, server: SandboxServer, tmp_path: Path, sandbox: bool
) -> None:
    session_id = await child.enqueue(database, workspace_id, support.config())
    async with database.workspace(workspace_id) as session:
        await session.execute(text("UPDATE payment_connections SET is_sandbox = :sandbox"), {"sandbox": sandbox})
    settings = Settings(_env_file=None, demo=False, data_dir=tmp_path, stripe_api_base=server.url)

    await run_once(database, settings, session_id)

    found = await support.rows(
        database, workspace_id, "SELECT status, error_summary->>'message' AS said FROM payment_sync_sessions"
    )
    assert found[0]["status"] == "failed"
    assert ("switched off" if sandbox else "can't be decrypted") in found[0]["said"]
    async with database.system() as session:
        assert await runs.due(session) == []


async def test_a_write_that_is_cancelled_stays_cancelled_whatever_its_end_looks_like(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    """Seen under load: psycopg's rollback of a cut statement fails, and its error took the place of the cancelling."""
    session_id = await support.enqueue(database, workspace_id, support.config())
    attempts = 0
    async with support.taken(database, session_id, server.url) as run:

        async def cut_short(_: AsyncSession) -> None:
            nonlocal attempts
            attempts += 1
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise psycopg.OperationalError("another command is already in progress") from None

        work = asyncio.create_task(run.write(cut_short))

        async def begun() -> bool:
            return attempts == 1

        assert await support.holds(begun)
        work.cancel()
        await asyncio.wait([work], timeout=5)
        assert work.cancelled()
    assert attempts == 1
