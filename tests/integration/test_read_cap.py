"""How fast an account may be read: within what bounds, by whom, and that a sync that is going on keeps to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text

from sync_core.domain.vocabulary import EntityType, Role, SessionStatus
from sync_core.engine.drive import drive
from sync_core.errors import Refusal
from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint, Sizes
from sync_core.sandbox.server import SandboxServer
from sync_core.services import read_cap
from sync_core.services.read_cap import ReadCap
from sync_core.settings import Settings
from sync_core.store import rates
from sync_core.store.database import Database
from sync_core.stripe_source.governor import account_bucket
from tests import support
from tests.conftest import make_workspace
from tests.services import actor_of, audit_actions

ASKED = 14
CAP = 6


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path)


async def in_live_mode(database: Database, workspace_id: UUID) -> None:
    await support.make_connection(database, workspace_id)
    await support.rows(
        database, workspace_id, "UPDATE payment_connections SET livemode = true, is_sandbox = false RETURNING id"
    )


@pytest.mark.parametrize(
    ("live", "asked", "each_list"),
    [
        pytest.param(True, 1, 1, id="live, the least"),
        pytest.param(True, 29, 7, id="live, a share that floats do not hold"),
        pytest.param(True, 100, 25, id="live, all that Stripe allows"),
        pytest.param(False, 1, 1, id="test, the least"),
        pytest.param(False, 25, 25, id="test, all that Stripe allows"),
        pytest.param(True, 0, None, id="live, none"),
        pytest.param(True, -1, None, id="live, below none"),
        pytest.param(True, 101, None, id="live, more than Stripe allows"),
        pytest.param(False, 26, None, id="test, more than Stripe allows"),
        pytest.param(False, 10**9, None, id="test, far more"),
    ],
)
async def test_a_cap_lies_between_one_and_stripes_own(
    *, database: Database, workspace_id: UUID, settings: Settings, live: bool, asked: int, each_list: int | None
) -> None:
    await (in_live_mode if live else support.make_connection)(database, workspace_id)
    before = await read_cap.read(database, actor_of(workspace_id), settings=settings)

    saved = await read_cap.save(database, actor_of(workspace_id), asked, settings=settings)

    shown = await read_cap.read(database, actor_of(workspace_id), settings=settings)
    if each_list is None:
        assert isinstance(saved, Refusal)
        assert (saved.code, saved.field) == ("read_cap_out_of_range", "requests_per_second")
        assert shown == before
        assert await audit_actions(database, workspace_id) == []
        return
    assert isinstance(saved, ReadCap)
    assert saved == shown
    assert (saved.per_second, saved.each_list, saved.is_chosen) == (asked, each_list, True)
    assert [(one.by, one.before, one.after) for one in saved.changes] == [
        ("ana@example.com", 80 if live else 20, asked)
    ]


async def test_who_changed_it_is_kept_and_nothing_reads_as_the_default(
    database: Database, workspace_id: UUID, settings: Settings
) -> None:
    await support.make_connection(database, workspace_id)
    ana, ben = actor_of(workspace_id), actor_of(workspace_id, Role.ADMIN, "ben@example.com")
    for actor, asked in ((ana, 5), (ben, 5), (ben, 9), (ana, None)):
        assert isinstance(await read_cap.save(database, actor, asked, settings=settings), ReadCap)

    found = await read_cap.read(database, actor_of(workspace_id, Role.VIEWER), settings=settings)

    assert isinstance(found, ReadCap)
    assert (found.per_second, found.each_list, found.is_chosen) == (20, 20, False)
    assert [(one.by, one.before, one.after) for one in found.changes] == [
        ("ana@example.com", 9, 20),
        ("ben@example.com", 5, 9),
        ("ana@example.com", 20, 5),
    ]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
async def test_who_may_not_manage_the_connection_changes_nothing(
    database: Database, workspace_id: UUID, settings: Settings, role: Role
) -> None:
    await support.make_connection(database, workspace_id)

    refused = await read_cap.save(database, actor_of(workspace_id, role), 3, settings=settings)

    assert isinstance(refused, Refusal)
    assert refused.code == "forbidden"
    found = await read_cap.read(database, actor_of(workspace_id), settings=settings)
    assert isinstance(found, ReadCap)
    assert not found.is_chosen


async def test_without_a_connection_there_is_nothing_to_cap(
    database: Database, workspace_id: UUID, settings: Settings
) -> None:
    for refused in (
        await read_cap.read(database, actor_of(workspace_id), settings=settings),
        await read_cap.save(database, actor_of(workspace_id), 3, settings=settings),
    ):
        assert isinstance(refused, Refusal)
        assert refused.code == "not_connected"


async def held(database: Database, workspace_id: UUID) -> int | None:
    """What the account is held to, for whichever workspace reads it."""
    async with database.workspace(workspace_id) as session:
        return await rates.cap_of(session, account_bucket("acct_test", "test"))


async def said(database: Database, workspace_id: UUID, settings: Settings) -> tuple[int, bool]:
    """What a workspace is told of it: its own number, and whether what holds was set elsewhere."""
    found = await read_cap.read(database, actor_of(workspace_id), settings=settings)
    assert isinstance(found, ReadCap)
    return found.per_second, found.set_elsewhere


async def test_the_least_that_any_workspace_of_the_account_wants_holds(
    database: Database, workspace_id: UUID, settings: Settings
) -> None:
    """Nobody lifts what another set, and nobody is told by whom it was set, or what it is."""
    same, other = await make_workspace(database, "Same"), await make_workspace(database, "Other")
    for workspace, account in ((workspace_id, "acct_test"), (same, "acct_test"), (other, "acct_other")):
        await support.make_connection(database, workspace, account)

    async def wants(workspace: UUID, asked: int | None) -> None:
        assert isinstance(await read_cap.save(database, actor_of(workspace), asked, settings=settings), ReadCap)

    await wants(workspace_id, 3)
    assert await held(database, same) == 3
    assert await said(database, same, settings) == (20, True)
    await wants(same, 25)
    assert await held(database, same) == 3
    assert await said(database, same, settings) == (25, True)
    await wants(same, None)
    await wants(same, 12)
    assert (await held(database, same), await said(database, workspace_id, settings)) == (3, (3, False))
    await wants(workspace_id, None)
    assert (await held(database, same), await said(database, workspace_id, settings)) == (12, (20, True))
    seen = await read_cap.read(database, actor_of(same), settings=settings)
    assert isinstance(seen, ReadCap)
    assert [(one.before, one.after) for one in seen.changes] == [(20, 25), (25, 20), (20, 12)][::-1]
    assert await said(database, other, settings) == (20, False)


async def test_who_disconnects_wants_nothing_and_who_comes_back_wants_what_they_did(
    database: Database, workspace_id: UUID, settings: Settings
) -> None:
    same = await make_workspace(database, "Same")
    for workspace, asked in ((workspace_id, 3), (same, 12)):
        await support.make_connection(database, workspace)
        await read_cap.save(database, actor_of(workspace), asked, settings=settings)
    switch = "UPDATE payment_connections SET disconnected_at = {} RETURNING id"

    await support.rows(database, workspace_id, switch.format("now()"))
    assert (await held(database, same), await said(database, same, settings)) == (12, (12, False))
    await support.rows(database, workspace_id, switch.format("NULL"))
    assert (await held(database, same), await said(database, same, settings)) == (3, (12, True))


async def test_who_sets_it_while_another_does_sees_what_the_other_set(
    database: Database, workspace_id: UUID, settings: Settings
) -> None:
    same = await make_workspace(database, "Same")
    for workspace in (workspace_id, same):
        await support.make_connection(database, workspace)
    for asked in (15, None):
        await read_cap.save(database, actor_of(same), asked, settings=settings)
    async with support.apart(database) as beside, database.workspace(workspace_id) as session:
        await session.execute(text("UPDATE payment_connections SET read_cap = 3"))
        later = asyncio.create_task(read_cap.save(database, actor_of(same), 12, settings=settings))
        assert await support.holds(lambda: support.waiting_for_a_lock(beside, 1))
    assert isinstance(await later, ReadCap)
    assert await held(database, same) == 3


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    account = Account.generated(Blueprint("cap", Sizes(60, 1, 1, 1, 1)))
    async with SandboxServer(account) as running:
        yield running


async def test_a_running_sync_keeps_to_a_new_cap_at_once(
    database: Database, workspace_id: UUID, settings: Settings, server: SandboxServer
) -> None:
    """Counted where the requests arrive. Fewer would arrive on a slower machine, never more."""
    wanted = support.config(EntityType.CUSTOMERS, batch_size=1)
    session_id = await support.enqueue(database, workspace_id, wanted)
    async with support.taken(database, session_id, server.url, limited=True) as run:
        work = asyncio.create_task(drive(run, lease_seconds=20.0))

        def seen() -> int:
            return server.world.statistics.requests.total()

        async def arrived(more: int) -> None:
            until = seen() + more
            while seen() < until:
                assert not work.done()
                await asyncio.sleep(0.005)

        await arrived(10)
        await read_cap.save(database, actor_of(workspace_id), CAP, settings=settings)
        while run.governor.stats().caps["global"] != CAP:
            await arrived(1)
        # What was drawn before is used up first.
        await arrived(10)
        began = time.monotonic()
        await arrived(ASKED)
        took = time.monotonic() - began

        await read_cap.save(database, actor_of(workspace_id), None, settings=settings)
        assert await work is SessionStatus.COMPLETED

    assert took >= (ASKED - CAP - 1) / CAP
    assert run.governor.stats().caps["global"] == 25
