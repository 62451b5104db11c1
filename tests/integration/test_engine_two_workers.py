"""Two workers of one run with the same write under way at the same instant: a lease that is taken while its holder's transaction is open."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import text

from sync_core.domain.vocabulary import EntityType, SessionStatus
from sync_core.engine.drive import drive
from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint, Sizes
from sync_core.sandbox.server import SandboxServer
from sync_core.store import runs
from sync_core.store.database import Database
from tests import audit, child, support, truth
from tests.child import Child

# Writers wait for the table before they look at anything, their fence included.
_HOLD = "LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"
_WAITING = text(
    "SELECT DISTINCT l.pid FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.relation = CAST(:table AS regclass)"
    " AND NOT l.granted AND a.query LIKE '%WITH fence AS%'"
)
_EXPIRE = text(
    "UPDATE payment_sync_leases SET lease_until = clock_timestamp() - interval '1 s' WHERE session_id IN"
    " (SELECT session_id FROM payment_sync_leases WHERE session_id = :session FOR UPDATE SKIP LOCKED)"
)
_ACTIVE = text("SELECT 1 FROM pg_stat_activity WHERE pid = ANY(:pids) AND state = 'active'")


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    account = Account.generated(Blueprint("two workers", Sizes(60, 2, 2, 2, 2)))
    async with SandboxServer(account, latency_ms=200) as running:
        yield running


async def taken_over(database: Database, session_id: UUID, holder: Child) -> runs.Held:
    """From a holder that is stopped, as if its lease had run out. One stopped in the middle of a beat holds the row: it goes on first."""
    found: list[runs.Held] = []

    async def taken() -> bool:
        holder.signal(signal.SIGSTOP)
        async with database.system() as session:
            await session.execute(_EXPIRE, {"session": session_id})
            held = await runs.take(session, session_id, "heir", 20.0)
        found.extend([held] if held is not None else [])
        if held is None:
            holder.signal(signal.SIGCONT)
        return held is not None

    assert await support.holds(taken)
    return found[0]


@pytest.mark.parametrize(
    ("table", "readers"), [("payment_sync_windows", 2), ("customers", 1)], ids=["landing", "applying"]
)
async def test_of_two_that_write_at_once_only_the_one_with_the_lease_does(
    *, database: Database, workspace_id: UUID, server: SandboxServer, table: str, readers: int
) -> None:
    await audit.begin(database)
    session_id = await child.enqueue(database, workspace_id, support.config(EntityType.CUSTOMERS, batch_size=5))

    async def writing() -> set[int]:
        async with database.engine.connect() as connection:
            return set((await connection.execute(_WAITING, {"table": table})).scalars())

    async def one_writes() -> bool:
        return len(await writing()) == 1

    async def both_write() -> bool:
        return len(await writing()) == 2

    async with Child(database, server.url, session_id) as first:

        async def some_pages() -> bool:
            return len(await support.rows(database, workspace_id, "SELECT FROM steps WHERE pages = 1")) > 0

        assert await support.holds(some_pages, every=0.005)
        async with database.engine.connect() as gate:
            await gate.execute(text(_HOLD.format(table=table)))
            assert await support.holds(one_writes)
            pids = await writing()
            held = await taken_over(database, session_id, first)
            # A statement waits for ten seconds at most: the second is to be there long before.
            server.world.latency.fixed_ms = 0
            async with support.under(database, held, server.url) as run:
                second = asyncio.create_task(drive(run, lease_seconds=20.0))
                assert await support.holds(both_write)
                await gate.rollback()

                async def written() -> bool:
                    async with database.engine.connect() as connection:
                        return not (await connection.execute(_ACTIVE, {"pids": list(pids)})).all()

                # All that is left to the first is to commit, before anything tells it that it has lost the run.
                assert await support.holds(written)
                first.signal(signal.SIGCONT)
                assert await second is SessionStatus.COMPLETED
        assert await first.ended() == 0

    assert await audit.assert_each_step_was_taken_once(database, workspace_id) == readers
    counted = (await support.counters(database, workspace_id, session_id))["customers"]
    assert counted["created"] == counted["fetched"] == len(list(server.world.account().truth("customers")))
    await truth.assert_equal_to(database, workspace_id, server.world.account(), entities=[EntityType.CUSTOMERS])
