"""A run's process killed at every named place and at chosen moments, then taken up again: the tables equal the truth."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from sync_core.domain.fields import ORDER
from sync_core.engine.failpoints import NAMES
from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint, Sizes
from sync_core.sandbox.server import SandboxServer
from sync_core.store.database import Database
from tests import child, support, truth
from tests.child import Child

SIZES = Sizes(120, 12, 40, 40, 40)
KILLED = -9


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    async with SandboxServer(Account.generated(Blueprint("kill", SIZES)), latency_ms=5) as running:
        yield running


async def lost_pages(database: Database, workspace_id: UUID, server: SandboxServer) -> tuple[int, int] | None:
    """(pages read that are not durable, open windows), as long as windows are being read."""
    found = await support.rows(
        database,
        workspace_id,
        "SELECT coalesce(sum(pages), 0)::int AS pages, (count(*) FILTER (WHERE status = 'open'))::int AS open"
        " FROM payment_sync_windows",
    )
    read = sum(server.world.statistics.requests[f"GET /v1/{entity.value}"] for entity in ORDER) - len(ORDER)
    return (read - found[0]["pages"], found[0]["open"]) if found[0]["open"] else None


async def finish(database: Database, workspace_id: UUID, server: SandboxServer, session_id: UUID) -> None:
    lost = await lost_pages(database, workspace_id, server)
    assert lost is None or lost[0] <= lost[1], "more than one page per open window is to be read again"
    await child.free(database, session_id)
    async with Child(database, server.url, session_id) as again:
        assert await again.ended() == 0
    found = await support.rows(
        database, workspace_id, "SELECT status FROM payment_sync_sessions WHERE id = :s", s=session_id
    )
    assert found == [{"status": "completed"}]
    await truth.assert_equal_to(database, workspace_id, server.world.account())
    for row in (await support.counters(database, workspace_id, session_id)).values():
        assert row["created"] == row["fetched"], row
        assert row["verified"]["verified"] is True


async def killed_at(database: Database, workspace_id: UUID, server: SandboxServer, failpoint: str) -> None:
    session_id = await child.enqueue(database, workspace_id, support.config(batch_size=10))
    async with Child(database, server.url, session_id, failpoint=failpoint) as first:
        assert await first.ended() == KILLED
    await finish(database, workspace_id, server, session_id)


async def killed_after(database: Database, workspace_id: UUID, server: SandboxServer, requests: int) -> None:
    session_id = await child.enqueue(database, workspace_id, support.config(batch_size=10))
    async with Child(database, server.url, session_id):

        async def far_enough() -> bool:
            return sum(server.world.statistics.requests.values()) >= requests

        assert await support.holds(far_enough, every=0.001, within=30)
    await finish(database, workspace_id, server, session_id)


@pytest.mark.parametrize("name", NAMES)
async def test_killed_at_a_named_place(
    database: Database, workspace_id: UUID, server: SandboxServer, name: str
) -> None:
    count = 4 if name.startswith(("fetch", "land", "plan")) else 1
    await killed_at(database, workspace_id, server, f"{name}:{count}")


@pytest.mark.parametrize("requests", [3, 17, 40])
async def test_killed_after_so_many_requests(
    database: Database, workspace_id: UUID, server: SandboxServer, requests: int
) -> None:
    await killed_after(database, workspace_id, server, requests)
