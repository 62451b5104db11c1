"""A field that is ignored: real runs leave it alone under every strategy, until it is taken back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from sync_core.domain.merge import Strategies
from sync_core.domain.vocabulary import EntityType, Role, Strategy
from sync_core.errors import Refusal
from sync_core.sandbox.account import Account
from sync_core.sandbox.server import SandboxServer
from sync_core.services import conflict_ignored as ignored
from sync_core.store.database import Database
from tests.conflict_data import make_conflicts, person
from tests.conftest import make_workspace
from tests.support import config, rows, sync

THEN = 1_700_000_000
CUSTOMERS, NAME = EntityType.CUSTOMERS, "customers.name"


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    account = Account("ignored", {}, verbatim=True)
    account.create("customers", {"id": "cus_ada", "name": "Ada", "phone": "1"}, now=THEN)
    async with SandboxServer(account) as running:
        yield running


async def both_change(database: Database, workspace_id: UUID, server: SandboxServer, **theirs: Any) -> None:
    await rows(database, workspace_id, "UPDATE customers SET name = 'Ours' RETURNING id")
    server.world.account().update("customers", "cus_ada", theirs, now=server.world.now())


async def the_record(database: Database, workspace_id: UUID) -> tuple[Any, ...]:
    (found,) = await rows(
        database,
        workspace_id,
        "SELECT name, phone, payment_base->>'name' AS base, (SELECT count(*) FROM payment_sync_conflicts) AS conflicts FROM customers",
    )
    return found["name"], found["phone"], found["base"], found["conflicts"]


@pytest.mark.parametrize("strategy", [Strategy.FLAG, Strategy.OVERWRITE], ids=lambda one: one.value)
async def test_ours_stays_and_is_not_asked_about(
    database: Database, workspace_id: UUID, server: SandboxServer, strategy: Strategy
) -> None:
    wanted = config(CUSTOMERS, strategies=Strategies(strategy, by_field={(CUSTOMERS, "name"): strategy}))
    await sync(database, workspace_id, server.url, wanted)
    await both_change(database, workspace_id, server, name="Theirs", phone="2")
    assert await ignored.ignore(database, person(workspace_id), NAME) is True
    for _ in range(2):
        await sync(database, workspace_id, server.url, wanted)
        assert await the_record(database, workspace_id) == ("Ours", "2", "Ada", 0)


async def test_taken_back_it_is_asked_about_again(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    ann, flagged = person(workspace_id), config(CUSTOMERS)
    await sync(database, workspace_id, server.url, flagged)
    await both_change(database, workspace_id, server, name="Theirs")
    await ignored.ignore(database, ann, NAME)
    await sync(database, workspace_id, server.url, flagged)
    assert await the_record(database, workspace_id) == ("Ours", "1", "Ada", 0)
    assert await ignored.heed(database, ann, NAME) is None
    await sync(database, workspace_id, server.url, flagged)
    assert await the_record(database, workspace_id) == ("Ours", "1", "Ada", 1)


async def test_a_plan_made_before_is_applied_without_it(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    """Also of a record that has drifted since."""
    overwrite = config(CUSTOMERS, strategy=Strategy.OVERWRITE)
    await sync(database, workspace_id, server.url, overwrite)
    await both_change(database, workspace_id, server, name="Theirs", phone="2")
    dry = config(CUSTOMERS, strategy=Strategy.OVERWRITE, dry_run=True)
    plan = await sync(database, workspace_id, server.url, dry)
    await ignored.ignore(database, person(workspace_id), NAME)
    await rows(database, workspace_id, "UPDATE customers SET description = 'touched' RETURNING id")
    await sync(database, workspace_id, server.url, overwrite, source_session_id=plan.session_id)
    name, _, base, _ = await the_record(database, workspace_id)
    assert (name, base) == ("Ours", "Ada")
    found = await rows(database, workspace_id, "SELECT fields FROM payment_sync_conflicts")
    assert all("name" not in row["fields"] for row in found)


async def test_a_new_record_gets_stripes_value(database: Database, workspace_id: UUID, server: SandboxServer) -> None:
    await ignored.ignore(database, person(workspace_id), NAME)
    await sync(database, workspace_id, server.url, config(CUSTOMERS))
    assert await the_record(database, workspace_id) == ("Ada", "1", "Ada", 0)


async def test_listed_with_what_is_open_about_it(database: Database, workspace_id: UUID) -> None:
    await make_conflicts(database, workspace_id, 3)
    ann = person(workspace_id)
    assert await ignored.ignore(database, ann, NAME) is True
    assert await ignored.ignore(database, ann, NAME) is False
    await ignored.ignore(database, ann, "invoices.amount_due", money=True)
    listed = await ignored.listed(database, ann)
    assert not isinstance(listed, Refusal)
    assert [(one.path, one.label, one.money, one.by, one.open) for one in listed] == [
        (NAME, "Customers: Name", False, "Ann", 3),
        ("invoices.amount_due", "Invoices: Amount due", True, "Ann", 0),
    ]
    (open_still,) = await rows(
        database, workspace_id, "SELECT count(*) FROM payment_sync_conflicts WHERE status = 'open'"
    )
    assert open_still["count"] == 3
    audited = await rows(database, workspace_id, "SELECT action, target FROM audit_log ORDER BY target")
    assert [(one["action"], one["target"]) for one in audited] == [
        ("conflict_field.ignored", NAME),
        ("conflict_field.ignored", "invoices.amount_due"),
    ]


REFUSED = {
    "no field": (Role.ADMIN, "customers.shoe", False, "field_unknown"),
    "no entity type": (Role.ADMIN, "coupons.name", False, "field_unknown"),
    "no path": (Role.ADMIN, "name", False, "field_unknown"),
    "one that is never compared": (Role.ADMIN, "invoices.invoice_pdf", False, "field_unknown"),
    "money by silence": (Role.ADMIN, "invoices.amount_due", False, "money"),
    "an operator": (Role.OPERATOR, NAME, False, "forbidden"),
    "a viewer": (Role.VIEWER, NAME, True, "forbidden"),
}


@pytest.mark.parametrize(("role", "path", "money", "code"), REFUSED.values(), ids=REFUSED)
async def test_refused(
    database: Database, workspace_id: UUID, role: Role, path: str, code: str, *, money: bool
) -> None:
    done = await ignored.ignore(database, person(workspace_id, "Op", role), path, money=money)
    assert isinstance(done, Refusal)
    assert done.code == code
    assert await ignored.listed(database, person(workspace_id)) == ()


async def test_another_workspace_ignores_nothing_of_it(database: Database, workspace_id: UUID) -> None:
    other = person(await make_workspace(database, "Other"))
    await ignored.ignore(database, person(workspace_id), NAME)
    assert await ignored.listed(database, other) == ()
    taken = await ignored.heed(database, other, NAME)
    assert isinstance(taken, Refusal)
    assert taken.status == 404
