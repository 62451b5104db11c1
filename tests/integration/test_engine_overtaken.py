"""What one look at Stripe found, beside what a later look, or a person, has said since: the newer never gives way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from sync_core.domain.vocabulary import Choice, EntityType, SessionStatus, Strategy
from sync_core.sandbox.account import Account
from sync_core.sandbox.server import SandboxServer
from sync_core.sandbox.world import Script
from sync_core.services import conflicts
from sync_core.services.conflict_views import Resolved
from sync_core.store import runs
from sync_core.store.database import Database
from sync_core.store.planning import write_plan
from tests import support
from tests.conflict_data import person
from tests.retrying import again
from tests.support import Ended, sync

CUSTOMERS = EntityType.CUSTOMERS
THEN = 1_700_000_000
WANTED = support.config(CUSTOMERS, strategy=Strategy.OVERWRITE)
ASKING = support.config(CUSTOMERS)


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    account = Account("overtaken", {}, verbatim=True)
    account.create("customers", {"id": "cus_ada", "name": "Ada", "email": "ada@example.com"}, now=THEN)
    async with SandboxServer(account) as running:
        yield running


def call_her(server: SandboxServer, name: str) -> None:
    server.world.account().update("customers", "cus_ada", {"name": name}, now=server.world.now())


async def we_call_her(database: Database, workspace_id: UUID, name: str) -> None:
    async with database.workspace(workspace_id) as session:
        await session.execute(text("UPDATE customers SET name = :name"), {"name": name})


async def name_of_ours(database: Database, workspace_id: UUID) -> str:
    (found,) = await support.rows(database, workspace_id, "SELECT name FROM customers")
    return str(found["name"])


async def open_conflicts(database: Database, workspace_id: UUID) -> list[dict[str, Any]]:
    sql = (
        "SELECT id, local->>'name' AS ours, theirs->>'name' AS theirs FROM payment_sync_conflicts WHERE status = 'open'"
    )
    return await support.rows(database, workspace_id, sql)


Finish = Callable[[], Awaitable[Ended]]


async def planned(database: Database, workspace_id: UUID, server: SandboxServer) -> Finish:
    """A dry run, whose plan is applied."""
    dry = await sync(
        database, workspace_id, server.url, support.config(CUSTOMERS, strategy=Strategy.OVERWRITE, dry_run=True)
    )
    assert dry.counters["customers"]["updated"] == 1
    return lambda: sync(database, workspace_id, server.url, WANTED, source_session_id=dry.session_id)


async def cancelled(database: Database, workspace_id: UUID, server: SandboxServer) -> Finish:
    """A run that had read when it was cancelled, and had planned nothing, which is resumed."""
    await support.on_insert(database, "payment_sync_plan_items", "RAISE EXCEPTION 'not now';")
    left = await sync(database, workspace_id, server.url, WANTED)
    assert left.status is None
    async with database.workspace(workspace_id) as session:
        assert await runs.request_cancel(session, workspace_id, left.session_id) is SessionStatus.CANCELLED
    await support.on_insert(database, "payment_sync_plan_items", None)
    return lambda: again(database, server, left, None)


@pytest.mark.parametrize("before", [planned, cancelled])
async def test_what_a_later_sync_found_unchanged_is_not_set_back(
    *,
    database: Database,
    workspace_id: UUID,
    server: SandboxServer,
    before: Callable[[Database, UUID, SandboxServer], Awaitable[Finish]],
) -> None:
    """It changed in Stripe, was seen so, and changed back: what was seen in between is old by the time that it could be written."""
    await sync(database, workspace_id, server.url, WANTED)
    call_her(server, "Ada for a day")
    finish = await before(database, workspace_id, server)
    call_her(server, "Ada")
    later = await sync(database, workspace_id, server.url, WANTED)
    assert later.counters["customers"]["unchanged"] == 1

    ended = await finish()

    assert ended.status is SessionStatus.COMPLETED
    assert ended.counters["customers"]["unchanged"] == 1
    assert await name_of_ours(database, workspace_id) == "Ada"


async def test_what_a_later_sync_asks_about_is_not_asked_about_with_an_older_answer(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    await sync(database, workspace_id, server.url, ASKING)
    call_her(server, "Ada for a day")
    dry = await sync(database, workspace_id, server.url, support.config(CUSTOMERS, dry_run=True))
    await we_call_her(database, workspace_id, "Ada of ours")
    call_her(server, "Ada at last")
    await sync(database, workspace_id, server.url, ASKING)

    await sync(database, workspace_id, server.url, ASKING, source_session_id=dry.session_id)

    (asked,) = await open_conflicts(database, workspace_id)
    assert (asked["ours"], asked["theirs"]) == ("Ada of ours", "Ada at last")


async def test_a_plan_is_applied_where_later_syncs_passed_its_objects_over(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    await sync(database, workspace_id, server.url, WANTED)
    call_her(server, "Ada again")
    apply = await planned(database, workspace_id, server)
    await sync(database, workspace_id, server.url, support.config(CUSTOMERS, strategy=Strategy.SKIP))

    assert (await apply()).counters["customers"]["updated"] == 1
    assert await name_of_ours(database, workspace_id) == "Ada again"


def before_it_writes(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Awaitable[object]]) -> list[object]:
    """Once, when a batch is planned and not yet written; what came of it."""
    done: list[object] = []

    async def write_behind(*batch: Any, **more: Any) -> None:
        if not done:
            done.append(await act())
        await write_plan(*batch, **more)

    monkeypatch.setattr("sync_core.engine.planner.write_plan", write_behind)
    return done


@pytest.mark.parametrize("edited_before", [False, True], ids=["an update", "a conflict"])
async def test_an_edit_made_while_a_run_plans_is_seen(
    *,
    database: Database,
    workspace_id: UUID,
    server: SandboxServer,
    monkeypatch: pytest.MonkeyPatch,
    edited_before: bool,
) -> None:
    await sync(database, workspace_id, server.url, ASKING)
    if edited_before:
        await we_call_her(database, workspace_id, "Ada of ours")
    call_her(server, "Ada of Stripe")

    before_it_writes(monkeypatch, lambda: we_call_her(database, workspace_id, "Ada just now"))
    ended = await sync(database, workspace_id, server.url, ASKING)

    assert (ended.counters["customers"]["updated"], ended.counters["customers"]["conflicts"]) == (0, 1)
    assert await name_of_ours(database, workspace_id) == "Ada just now"
    (asked,) = await open_conflicts(database, workspace_id)
    assert (asked["ours"], asked["theirs"]) == ("Ada just now", "Ada of Stripe")


async def test_a_conflict_that_is_settled_while_a_run_plans_is_not_opened_again(
    database: Database, workspace_id: UUID, server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sync(database, workspace_id, server.url, ASKING)
    await we_call_her(database, workspace_id, "Ada of ours")
    call_her(server, "Ada of Stripe")
    await sync(database, workspace_id, server.url, ASKING)
    (asked,) = await open_conflicts(database, workspace_id)

    decided = before_it_writes(
        monkeypatch,
        lambda: conflicts.resolve(database, person(workspace_id), asked["id"], take_all=Choice.STRIPE),
    )
    ended = await sync(database, workspace_id, server.url, ASKING)

    assert isinstance(decided[0], Resolved)
    assert ended.counters["customers"]["unchanged"] == 1
    assert await open_conflicts(database, workspace_id) == []
    assert await name_of_ours(database, workspace_id) == "Ada of Stripe"


async def test_the_first_object_of_its_kind_may_come_while_it_is_asked_whether_there_is_one(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    """The answer says that there is none, and a date by which the object, made in between, is in the range."""
    late = {
        "op": "create",
        "type": "products",
        "created": server.world.now() - 1,
        "object": {"id": "prod_1", "name": "Late"},
    }
    server.world.set_scripts([Script("GET /v1/products", 1, [late])])

    ended = await sync(database, workspace_id, server.url, support.config(CUSTOMERS, EntityType.PRODUCTS))

    assert server.world.script_errors == []
    assert await support.stored_ids(database, workspace_id, EntityType.PRODUCTS) == {"prod_1"}
    assert ended.counters["products"]["verified"]["expected"] == 1
