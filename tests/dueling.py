"""Several workers that take one run from each other, again and again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random
from uuid import UUID

from sqlalchemy import text

from sync_core.domain.vocabulary import SessionStatus
from sync_core.engine.drive import drive
from sync_core.sandbox.server import SandboxServer
from sync_core.sandbox.world import Latency
from sync_core.store import runs
from sync_core.store.database import Database
from tests import audit, support, truth

WORKERS = 3
_QUICK, _SLOW_SECONDS = 15, 2.0


@dataclass(slots=True)
class _Paced(Latency):
    """Some answers come as soon as ever, those after them late: so that the run is not over before it is taken, on any machine."""

    quick: int = _QUICK

    def seconds(self) -> float:
        self.quick -= 1
        return Latency.seconds(self) + (0.0 if self.quick >= 0 else _SLOW_SECONDS)


async def duel(database: Database, workspace_id: UUID, server: SandboxServer, *, seed: int, takings: int) -> int:
    """Each works as if alone while its lease is declared run out, after it has taken a random number of steps; who is superseded
    learns it from the database only.

    Returns how many of the leases wrote something.
    """
    rng = Random(seed)
    await audit.begin(database)
    session_id = await support.enqueue(database, workspace_id, support.config(batch_size=5))
    ordinary = server.world.latency
    server.world.latency = paced = _Paced(ordinary.fixed_ms, ordinary.jitter_ms)
    workers = [asyncio.create_task(_work(database, server, session_id)) for _ in range(WORKERS)]
    fence = 0

    def is_over() -> bool:
        return any(worker.done() for worker in workers)

    for _ in range(takings):
        enough, before, paced.quick = rng.randint(1, 8), fence, _QUICK

        async def come(enough: int = enough, before: int = before) -> bool:
            return is_over() or await _steps(database, workspace_id, before) >= enough

        assert await support.holds(come)
        fence = await _fence(database, session_id)

        async def taken(fence: int = fence) -> bool:
            # Its owner may renew it before another comes to take it.
            await _expire(database, session_id, fence)
            return is_over() or await _fence(database, session_id) > fence

        assert await support.holds(taken)
    server.world.latency = ordinary
    ended = await asyncio.gather(*workers)
    assert [status for status in ended if status is not None] == [SessionStatus.COMPLETED], "one of them closes the run"
    writers = await audit.assert_each_step_was_taken_once(database, workspace_id)
    await truth.assert_equal_to(database, workspace_id, server.world.account())
    counted = await support.counters(database, workspace_id, session_id)
    assert all(row["created"] == row["fetched"] for row in counted.values())
    return writers


async def _work(database: Database, server: SandboxServer, session_id: UUID) -> SessionStatus | None:
    """Take the run whenever it is free; until it is closed, by oneself or another."""
    while await _fence(database, session_id):
        async with database.system() as session:
            held = await runs.take(session, session_id, "worker", 20.0)
        if held is not None:
            async with support.under(database, held, server.url) as run:
                if (status := await drive(run, lease_seconds=20.0)) is not None:
                    return status
        await support.passed(0.02)
    return None


async def _steps(database: Database, workspace_id: UUID, above: int) -> int:
    """Taken under leases newer than the fence ``above``."""
    found = await support.rows(database, workspace_id, "SELECT count(*) FROM steps WHERE fence > :above", above=above)
    return int(found[0]["count"])


async def _fence(database: Database, session_id: UUID) -> int:
    """Nought once the run is closed."""
    async with database.system() as session:
        found = await session.execute(
            text("SELECT fence FROM payment_sync_leases WHERE session_id = :s"), {"s": session_id}
        )
        return int(found.scalar() or 0)


async def _expire(database: Database, session_id: UUID, fence: int) -> None:
    async with database.system() as session:
        await session.execute(
            text(
                "UPDATE payment_sync_leases SET lease_until = clock_timestamp() - interval '1 s'"
                " WHERE session_id = :s AND fence = :fence"
            ),
            {"s": session_id, "fence": fence},
        )
