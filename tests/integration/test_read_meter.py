"""The month's meter of an account: what Stripe counted is what we counted, through estimates, runs, kills and whatever is left over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text

from sync_core.domain.vocabulary import EntityType, SessionStatus
from sync_core.engine.drive import drive
from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint, Sizes
from sync_core.sandbox.server import SandboxServer
from sync_core.services import report
from sync_core.services.estimate import Estimate, estimate
from sync_core.services.report import ReportView
from sync_core.services.start_request import StartRequest
from sync_core.settings import Settings
from sync_core.store.database import Database
from sync_core.store.rates import StoredSlots
from sync_core.stripe_source import Governor, StripeSource, http_client
from tests import child, support
from tests.services import actor_of

ACCOUNT = "acct_test"


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    async with SandboxServer(Account.generated(Blueprint("meter", Sizes(240, 12, 40, 60, 80)))) as running:
        yield running


async def metered(database: Database) -> int:
    async with database.system() as session:
        found = await session.execute(
            text("SELECT coalesce(sum(reads), 0) FROM payment_sync_read_meter WHERE account_id = :a"), {"a": ACCOUNT}
        )
        return int(found.scalar_one())


def asked(server: SandboxServer) -> int:
    return sum(server.world.statistics.requests.values())


def governor_of(database: Database, *, unlimited: bool = False) -> Governor:
    slots = StoredSlots(database, meter=ACCOUNT)
    return Governor(slots, account=ACCOUNT, mode="live", cap_share=1.0, unlimited=unlimited)


@pytest.mark.parametrize("unlimited", [False, True], ids=["paced", "unlimited"])
@pytest.mark.parametrize("fault", [None, "error500"], ids=["calm", "with-retries"])
async def test_a_run_counts_every_request_once(
    *, database: Database, workspace_id: UUID, server: SandboxServer, unlimited: bool, fault: str | None
) -> None:
    """Probes, pages, nested lists, parents by id and attempts that failed: Stripe counts them all."""
    if fault:
        server.world.faults.replace([{"kind": fault, "probability": 0.1, "seed": 3}])
    session_id = await support.enqueue(database, workspace_id, support.config())
    async with support.taken(database, session_id, server.url, hurried=True) as run, http_client() as http:
        run.governor = governor_of(database, unlimited=unlimited)
        run.source = StripeSource(api_key=support.KEY, base_url=server.url, http=http, governor=run.governor)
        assert await drive(run, lease_seconds=20.0) is SessionStatus.COMPLETED

    assert await metered(database) == asked(server) > 20


@pytest.mark.parametrize("limited", [True, False], ids=["paced", "unlimited"])
async def test_a_killed_run_leaves_no_read_uncounted(*, database: Database, workspace_id: UUID, limited: bool) -> None:
    account = Account.generated(Blueprint("meter", Sizes(3_000, 1, 1, 1, 1)))
    async with SandboxServer(account) as server:
        session_id = await child.enqueue(database, workspace_id, support.config(EntityType.CUSTOMERS, batch_size=10))
        async with child.Child(database, server.url, session_id, limited=limited) as running:

            async def some_pages() -> bool:
                return asked(server) >= 20

            assert await support.holds(some_pages)
            assert running.process is not None
            running.process.kill()
            await running.ended()
        made = asked(server)

    # Drawn ahead and never used: a lot at most, and one more that was on its way.
    assert made <= await metered(database) <= made + (20 if limited else 50)


async def test_what_was_drawn_and_not_used_is_taken_off(database: Database) -> None:
    governor = governor_of(database)
    for _ in range(3):
        await governor.admit("customers.list")
    waiting = [asyncio.ensure_future(governor.admit("customers.list")) for _ in range(12)]
    await waiting[0]
    for one in waiting[1:]:
        one.cancel()
    await asyncio.wait(waiting)
    await governor.close()

    assert await metered(database) == governor.stats().requests


async def test_an_estimate_is_metered_and_tells_of_the_allowance(
    database: Database, workspace_id: UUID, server: SandboxServer, tmp_path: Path
) -> None:
    sealed = await child.enqueue(database, workspace_id, support.config())
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path,
        stripe_api_base=server.url,
        encryption_keys=child.RING,
        monthly_reads=40,
        read_warning_share=0.1,
    )
    found = await estimate(database, actor_of(workspace_id), StartRequest(("customers",)), settings=settings)

    assert isinstance(found, Estimate)
    assert found.reads.this_month == await metered(database) == asked(server) > 0
    assert found.to_json()["reads"]["allowance"] == 40
    assert "40 that Stripe allows" in str(found.warning)
    seen = await report.summary(database, actor_of(workspace_id), sealed)
    assert isinstance(seen, ReportView)
    assert report.json_view(seen)["reads"] == {"this_month": asked(server), "allowance": 10_000, "share": 0.0}
