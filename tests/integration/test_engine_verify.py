"""What "verified" says of values: records hold what was planned of them, whatever was done to them behind the run's back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import text

from sync_core.domain.vocabulary import EntityType, SessionStatus, Strategy
from sync_core.engine import verify
from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint, Sizes
from sync_core.sandbox.server import SandboxServer
from sync_core.store.database import Database
from tests import support, truth
from tests.retrying import REPAIR, again, requests
from tests.support import sync

CUSTOMERS = EntityType.CUSTOMERS


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    async with SandboxServer(Account.generated(Blueprint("verify", Sizes(20, 3, 6, 8, 8)))) as running:
        yield running


async def as_owner(database: Database, *statements: str) -> None:
    async with database.engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def shorten(database: Database, odd: str, when: str) -> None:
    """By a trigger of somebody else's."""
    await as_owner(
        database,
        "CREATE FUNCTION shorten() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN IF NEW.external_id = '{odd}' THEN NEW.name := left(NEW.name, 3); END IF; RETURN NEW; END $$",
        f"CREATE TRIGGER shorten BEFORE {when} ON customers FOR EACH ROW EXECUTE FUNCTION shorten()",
    )


@pytest.mark.parametrize("strategy", [Strategy.FLAG, Strategy.OVERWRITE])
async def test_a_record_that_was_stored_otherwise_than_planned_is_named(
    *,
    database: Database,
    workspace_id: UUID,
    server: SandboxServer,
    monkeypatch: pytest.MonkeyPatch,
    strategy: Strategy,
) -> None:
    """Whatever the lot falls on. A repair judges it by the strategy, as an edit made here."""
    monkeypatch.setattr(verify, "_COMPARED", 0)
    odd = min(server.world.account().truth("customers"))
    await shorten(database, odd, "INSERT")

    ended = await sync(database, workspace_id, server.url, support.config(CUSTOMERS, strategy=strategy))

    found = ended.counters["customers"]["verified"]
    assert ended.status is SessionStatus.PARTIAL
    assert (found["verified"], found["expected"], found["found"]) == (False, 20, 20)
    assert (found["values_compared"], found["differing"], found["differing_ids"]) == (20, 1, [odd])

    repaired = await again(database, server, ended, REPAIR)

    assert requests(server)["GET /v1/customers/:id"] == 1
    assert repaired.status is SessionStatus.COMPLETED
    assert repaired.counters["customers"]["verified"]["differing"] == 0
    kept = await support.rows(
        database, workspace_id, "SELECT external_id FROM customers WHERE payment_sync_status = 'local_edit'"
    )
    assert [row["external_id"] for row in kept] == ([odd] if strategy is Strategy.FLAG else [])
    if strategy is Strategy.OVERWRITE:
        await truth.assert_equal_to(database, workspace_id, server.world.account(), entities=[CUSTOMERS])


async def test_so_is_one_that_was_written_over(
    database: Database, workspace_id: UUID, server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "_COMPARED", 0)
    wanted, account = support.config(CUSTOMERS, strategy=Strategy.OVERWRITE), server.world.account()
    await sync(database, workspace_id, server.url, wanted)
    odd, other = sorted(account.truth("customers"))[:2]
    for one in (odd, other):
        account.update("customers", one, {"name": "Longer than that"}, now=server.world.now())
    await shorten(database, odd, "UPDATE")

    ended = await sync(database, workspace_id, server.url, wanted)

    found = ended.counters["customers"]["verified"]
    assert (found["values_compared"], found["differing_ids"]) == (2, [odd])
    assert ended.status is SessionStatus.PARTIAL


UNSEEN = {
    "a value": ("customers", "UPDATE customers SET name = 'Unseen' WHERE external_id = :id"),
    "a line": (
        "subscriptions",
        "DELETE FROM subscription_items WHERE subscription_id = (SELECT id FROM subscriptions WHERE external_id = :id)",
    ),
    "the last sync's value": (
        "invoices",
        "UPDATE invoices SET payment_base = jsonb_set(payment_base, '{total}', '1') WHERE external_id = :id",
    ),
}


@pytest.mark.parametrize("name", UNSEEN)
async def test_what_was_written_past_the_triggers_does_not_pass_for_unchanged(
    database: Database, workspace_id: UUID, server: SandboxServer, name: str
) -> None:
    """A restore, or a script that switched them off: the record still says that it is Stripe's, and is known again by that."""
    entity, sql = UNSEEN[name]
    odd = min(server.world.account().truth(entity))
    await sync(database, workspace_id, server.url, support.config())
    async with database.engine.begin() as connection:
        await connection.execute(text("SET LOCAL session_replication_role = replica"))
        assert (await connection.execute(text(sql), {"id": odd})).rowcount > 0

    ended = await sync(database, workspace_id, server.url, support.config())

    assert ended.status is SessionStatus.PARTIAL
    assert {
        one: row["verified"]["differing_ids"] for one, row in ended.counters.items() if row["verified"]["differing"]
    } == {entity: [odd]}


async def test_what_people_write_is_theirs(database: Database, workspace_id: UUID, server: SandboxServer) -> None:
    ended = await sync(database, workspace_id, server.url, support.config())
    assert sum(row["verified"]["values_compared"] for row in ended.counters.values()) == sum(
        row["created"] for row in ended.counters.values()
    )
    async with database.workspace(workspace_id) as session:
        await session.execute(text("UPDATE customers SET name = 'Ours' WHERE email IS NOT NULL"))
        await session.execute(text("UPDATE invoices SET deleted_at = now()"))

    repaired = await again(database, server, ended, REPAIR)

    assert repaired.status is SessionStatus.COMPLETED
    assert repaired.counters["customers"]["verified"]["differing"] == 0
    assert repaired.counters["invoices"]["verified"]["values_compared"] == 0
