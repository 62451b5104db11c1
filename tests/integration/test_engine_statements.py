"""What a run asks of PostgreSQL and of Stripe, counted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest

from sync_core.domain.vocabulary import EntityType
from sync_core.engine.planner import Planner
from sync_core.engine.staging import stage_page
from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint, Sizes
from sync_core.sandbox.server import SandboxServer
from sync_core.store.database import Database
from sync_core.store.landing import Landing, land, landing_table
from tests import support

OPENER = "SELECT set_config('role'"


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    async with SandboxServer(Account.generated(Blueprint("count", Sizes(730, 4, 8, 4, 4)))) as running:
        yield running


@contextmanager
def statements(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The text of everything sent to PostgreSQL in the block."""
    sent: list[str] = []
    execute, copy = psycopg.AsyncCursor.execute, psycopg.AsyncCursor.copy

    async def counted(self: Any, query: Any, *args: Any, **more: Any) -> Any:
        sent.append(str(query).strip())
        return await execute(self, query, *args, **more)

    def copied(self: Any, statement: Any, *args: Any, **more: Any) -> Any:
        sent.append(str(statement))
        return copy(self, statement, *args, **more)

    with monkeypatch.context() as patched:
        patched.setattr(psycopg.AsyncCursor, "execute", counted)
        patched.setattr(psycopg.AsyncCursor, "copy", copied)
        yield sent


async def test_a_landing_is_one_copy_and_one_statement_and_a_batch_one_select_and_one_write(
    database: Database, workspace_id: UUID, server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await support.enqueue(database, workspace_id, support.config(EntityType.CUSTOMERS))
    async with support.taken(database, session_id, server.url) as run:
        page = await run.source.list_page(EntityType.CUSTOMERS)
        rows = await stage_page(run.source, EntityType.CUSTOMERS, page)
        for place, row in enumerate(rows):
            row.seq = place + 1
        with statements(monkeypatch) as sent:
            async with run.session(by_key=True, prepares=[landing_table(run.role)]) as session:
                await land(session, workspace_id, session_id, run.held.fence, Landing(rows=rows))
        assert [one.split()[0] for one in sent] == ["SELECT", "COPY", "WITH"]
        assert sent[0].startswith(OPENER)

        planner = Planner(run, EntityType.CUSTOMERS, 0, planned=1_000)
        planner._claimed = set()
        planner._look_at = 10_000  # statistics are looked at now and then, not with each batch
        with statements(monkeypatch) as sent:
            assert await planner.batch() == 100
        opened, selected, opened_again, written = sent
        assert opened.startswith(OPENER)
        assert selected.startswith("WITH staged")
        assert opened_again.startswith(OPENER)
        assert written.startswith("WITH fence")


@pytest.mark.parametrize("dry_run", [True, False], ids=["dry", "real"])
async def test_requests_are_pages_probes_and_boundaries_and_no_more(
    database: Database, workspace_id: UUID, server: SandboxServer, dry_run: bool
) -> None:
    wanted = support.config(EntityType.CUSTOMERS, dry_run=dry_run, concurrent_batches=1)
    ended = await support.sync(database, workspace_id, server.url, wanted)

    assert ended.counters["customers"]["fetched"] == 730
    asked_again = 4  # at both ends, and at two places taken by lot
    assert ended.counters["customers"]["verified"]["asked"] == asked_again
    assert dict(server.world.statistics.requests) == {"GET /v1/customers": 1 + 8 + asked_again}
    assert ended.counters["customers"]["requests"] == 8 + asked_again
