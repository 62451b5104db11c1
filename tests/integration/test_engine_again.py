"""A later sync knows again what it stored: what is unchanged is noted without being staged, and nothing else passes for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from sync_core.domain.vocabulary import Action, EntityType, SessionStatus
from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint, Sizes
from sync_core.sandbox.server import SandboxServer
from sync_core.sandbox.world import Script
from sync_core.store import reports
from sync_core.store.database import Database
from sync_core.store.reports import PlanRef
from tests import support, truth
from tests.support import sync

SIZES = Sizes(130, 12, 20, 25, 25)


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    async with SandboxServer(Account.generated(Blueprint("again", SIZES))) as running:
        yield running


@pytest.fixture(autouse=True)
async def synced(database: Database, workspace_id: UUID, server: SandboxServer) -> support.Ended:
    return await sync(database, workspace_id, server.url, support.config())


async def staged(database: Database, workspace_id: UUID, session_id: UUID) -> set[str]:
    found = await support.rows(
        database,
        workspace_id,
        "SELECT external_id FROM payment_sync_staged_objects WHERE session_id = :s",
        s=session_id,
    )
    return {row["external_id"] for row in found}


async def actions(database: Database, workspace_id: UUID, session_id: UUID) -> dict[str, str]:
    found = await support.rows(
        database,
        workspace_id,
        "SELECT external_id, action FROM payment_sync_plan_items WHERE session_id = :s",
        s=session_id,
    )
    return {row["external_id"]: row["action"] for row in found}


async def write(database: Database, workspace_id: UUID, sql: str, **bound: Any) -> None:
    async with database.workspace(workspace_id) as session:
        await session.execute(text(sql), bound)


async def test_what_is_unchanged_is_noted_and_not_staged(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    again = await sync(database, workspace_id, server.url, support.config())

    assert again.status is SessionStatus.COMPLETED
    assert await staged(database, workspace_id, again.session_id) == set()
    assert set((await actions(database, workspace_id, again.session_id)).values()) == {"unchanged"}
    for name, row in again.counters.items():
        assert row["fetched"] == row["unchanged"] == row["verified"]["found"], name
    listed = await support.rows(
        database, workspace_id, "SELECT seq FROM payment_sync_plan_items WHERE session_id = :s", s=again.session_id
    )
    assert len({row["seq"] for row in listed}) >= 130, "each has a place of its own"


async def test_the_report_shows_the_values_of_what_was_not_staged(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    again = await sync(database, workspace_id, server.url, support.config())

    expected = truth.truth_of(server.world.account())[EntityType.CUSTOMERS]
    plan = PlanRef(workspace_id, again.session_id, again.session_id)
    async with database.workspace(workspace_id) as session:
        listed = await reports.rows(session, plan, EntityType.CUSTOMERS, Action.UNCHANGED)
    assert listed
    assert {row.external_id: row.theirs for row in listed} == {
        row.external_id: expected[row.external_id].values for row in listed
    }


WRITES = {
    "a value": "UPDATE customers SET name = 'Ours' WHERE external_id = :id",
    "nothing new": "UPDATE customers SET name = name WHERE external_id = :id",
    "the base": "UPDATE customers SET payment_base = NULL WHERE external_id = :id",
    "the status": "UPDATE customers SET payment_sync_status = 'conflict' WHERE external_id = :id",
    "deletion": "UPDATE customers SET deleted_at = now() WHERE external_id = :id",
}


@pytest.mark.parametrize("statement", WRITES.values(), ids=WRITES)
async def test_a_record_that_anybody_wrote_is_compared_again(
    database: Database, workspace_id: UUID, server: SandboxServer, statement: str
) -> None:
    touched = min(server.world.account().truth("customers"))
    await write(database, workspace_id, statement, id=touched)

    again = await sync(database, workspace_id, server.url, support.config(EntityType.CUSTOMERS))

    assert await staged(database, workspace_id, again.session_id) == {touched}
    if statement == WRITES["a value"]:
        assert (await actions(database, workspace_id, again.session_id))[touched] != "unchanged"


@pytest.mark.parametrize(
    ("child", "parent"),
    [
        (EntityType.PRICES, EntityType.PRODUCTS),
        (EntityType.SUBSCRIPTIONS, EntityType.CUSTOMERS),
        (EntityType.INVOICES, EntityType.CUSTOMERS),
    ],
    ids=str,
)
async def test_a_record_whose_parent_is_another_one_now_is_compared_again(
    database: Database,
    workspace_id: UUID,
    server: SandboxServer,
    child: EntityType,
    parent: EntityType,
) -> None:
    named = f"SELECT external_id, payment_base->>'{parent.singular}' AS parent FROM {child.value} ORDER BY 1"
    children = await support.rows(database, workspace_id, named)
    moved = children[0]["parent"]
    await write(
        database, workspace_id, f"UPDATE {parent.value} SET external_id = 'moved' WHERE external_id = :id", id=moved
    )

    again = await sync(database, workspace_id, server.url, support.config(child))

    theirs = {row["external_id"] for row in children if row["parent"] == moved}
    assert await staged(database, workspace_id, again.session_id) >= theirs
    known = {row["external_id"] for row in children} - theirs
    assert known.isdisjoint(await staged(database, workspace_id, again.session_id))


async def test_what_stripe_changed_is_updated_once_and_known_afterwards(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    account = server.world.account()
    changed = sorted(account.truth("customers"))[:3]
    for external_id in changed:
        account.mutate(
            {"op": "update", "type": "customers", "id": external_id, "fields": {"name": "New"}}, now=server.world.now()
        )

    second = await sync(database, workspace_id, server.url, support.config())
    third = await sync(database, workspace_id, server.url, support.config())

    assert second.counters["customers"]["updated"] == 3
    assert await staged(database, workspace_id, second.session_id) == set(changed)
    assert await staged(database, workspace_id, third.session_id) == set()
    await truth.assert_equal_to(database, workspace_id, account)


async def test_a_dry_run_stages_all_and_its_plan_can_be_applied(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    dry = await sync(database, workspace_id, server.url, support.config(dry_run=True))
    touched = min(server.world.account().truth("customers"))
    await write(database, workspace_id, "DELETE FROM invoices WHERE external_id IS NOT NULL")

    applied = await sync(database, workspace_id, server.url, support.config(), source_session_id=dry.session_id)

    assert touched in await staged(database, workspace_id, dry.session_id)
    assert applied.counters["invoices"]["created"] == 25
    await truth.assert_equal_to(database, workspace_id, server.world.account())


async def test_a_change_seen_twice_in_one_run_is_counted_once(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    """Known when its page is read, changed by the time that the next window asks for its second again."""
    wanted = support.config(EntityType.CUSTOMERS, batch_size=5, concurrent_batches=8)
    account = server.world.account()
    ids = sorted(account.truth("customers"))
    server.world.set_scripts(
        [
            Script(
                "GET /v1/customers",
                after,
                [{"op": "update", "type": "customers", "id": one, "fields": {"name": f"N{after}"}}],
            )
            for after, one in enumerate(ids[:12], start=3)
        ]
    )

    again = await sync(database, workspace_id, server.url, wanted)

    row = again.counters["customers"]
    assert again.status is SessionStatus.COMPLETED
    assert row["fetched"] == row["unchanged"] + row["updated"] == len(ids)
