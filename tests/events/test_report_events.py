"""The report's page as a client drives it: whose word a plan waits for, and who can give it."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import pytest
from sqlalchemy import text

from dashboard.pages.report_state import ReportState
from sync_core.domain.vocabulary import EntityType, Role
from sync_core.sandbox.launch import SandboxProcess
from sync_core.services import drift, plan_limits
from sync_core.services.plan_limits import Limits
from sync_core.store import database as database_module
from sync_core.store import drift as drift_store
from sync_core.store.database import Database
from tests.events._browser import browser
from tests.services import actor_of, small_sandbox
from tests.support import config, enqueue, sync


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with small_sandbox(customers=30) as running:
        yield running


@pytest.mark.parametrize(
    ("maker", "role", "may", "after"),
    [
        pytest.param("ben@example.com", Role.OPERATOR, True, "approved", id="somebody else's plan"),
        pytest.param("operator@example.com", Role.OPERATOR, False, "needed", id="one's own plan"),
        pytest.param("ben@example.com", Role.VIEWER, False, "needed", id="may only look"),
    ],
)
async def test_a_plan_is_approved_in_its_report_by_somebody_else(
    database: Database,
    workspace_id: UUID,
    sandbox: SandboxProcess,
    monkeypatch: pytest.MonkeyPatch,
    *,
    maker: str,
    role: Role,
    may: bool,
    after: str,
) -> None:
    """Where the button is not shown, the event behind it does nothing either."""
    monkeypatch.setattr(database_module, "_database", database)
    await plan_limits.save(database, actor_of(workspace_id), Limits(approval=True))
    plan = (await sync(database, workspace_id, sandbox.url, config(EntityType.PRODUCTS, dry_run=True))).session_id
    async with database.workspace(workspace_id) as session:
        await session.execute(text("UPDATE payment_sync_sessions SET created_by = :maker"), {"maker": maker})

    async with browser(database, workspace_id, f"/syncs/{plan}/report", role) as client:
        await client.send(ReportState, "load")
        assert client.of(ReportState, "approval") == "needed"
        assert client.of(ReportState, "may_approve") is may
        assert len(client.of(ReportState, "plan_hash")) == 64
        await client.send(ReportState, "approve")
        await client.send(ReportState, "load")
        assert client.of(ReportState, "approval") == after
        assert client.of(ReportState, "approved_by") in (None, "", f"{role.value}@example.com")


async def test_drift_is_counted_to_the_end_of_the_plan_a_step_after_the_other(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a million rows: what is found so far is on the screen meanwhile, and a page fills up however far its rows lie apart."""
    monkeypatch.setattr(database_module, "_database", database)
    monkeypatch.setattr(drift_store, "STEP", 4)
    monkeypatch.setattr(drift, "BUDGET_SECONDS", 0.0)
    await sync(database, workspace_id, sandbox.url, config(EntityType.CUSTOMERS))
    plan = (await sync(database, workspace_id, sandbox.url, config(EntityType.CUSTOMERS, dry_run=True))).session_id
    async with database.workspace(workspace_id) as session:
        await session.execute(text("UPDATE customers SET name = 'Mine'"))
        changed = int((await session.execute(text("SELECT count(*) FROM customers"))).scalar_one())

    async with browser(database, workspace_id, f"/syncs/{plan}/report") as client:
        await client.send(ReportState, "load")
        await client.send(ReportState, "look")
        meanwhile = [message for message in client.messages if "drift_part" in message.names]
        assert len(meanwhile) > changed / 4
        assert client.of(ReportState, "drift").endswith(f"; {changed} drifted.")
        assert client.of(ReportState, "drift_rows") == f"{changed} rows"
        assert (client.of(ReportState, "drift_count"), client.of(ReportState, "drift_part")) == (changed, "")
        first = [row["external_id"] for row in client.of(ReportState, "drifted")]
        await client.send(ReportState, "page_drift", cursor=client.of(ReportState, "drift_cursor"))
        second = [row["external_id"] for row in client.of(ReportState, "drifted")]
        assert (len(first), len({*first, *second})) == (25, changed)
        assert client.of(ReportState, "drift_cursor") == ""


async def test_a_report_of_nothing_offers_a_way_on_and_one_that_is_not_there_yet_says_nothing_of_it(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "_database", database)
    wanted = config(EntityType.PRODUCTS, dry_run=True, start=946_684_800, end=946_771_200)
    empty = (await sync(database, workspace_id, sandbox.url, wanted)).session_id
    waiting = await enqueue(database, workspace_id, wanted)
    async with browser(database, workspace_id, f"/syncs/{empty}/report") as client:
        for run, is_empty in ((empty, True), (waiting, False)):
            client.at(f"/syncs/{run}/report")
            await client.send(ReportState, "load")
            assert client.of(ReportState, "is_empty") is is_empty


_ORPHANED = """
WITH lost AS (
  UPDATE payment_sync_plan_items SET action = 'error', reason_code = 'missing_parent', detail = '{"field": "product"}'
  WHERE entity_type = 'prices' AND seq <= 5 RETURNING 1
)
UPDATE payment_sync_entity_runs SET failed = 5, created = created - 5 WHERE entity_type = 'prices' AND (SELECT count(*) FROM lost) = 5
"""


async def test_what_a_plan_counts_leads_to_its_rows(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "_database", database)
    await sync(database, workspace_id, sandbox.url, config(EntityType.CUSTOMERS))
    async with database.workspace(workspace_id) as session:
        # Both sides changed some: no update has this field in it.
        await session.execute(
            text(
                "UPDATE customers SET name = 'Ours', payment_base = jsonb_set(payment_base, '{name}', '\"Older\"')"
                " WHERE id IN (SELECT id FROM customers WHERE deleted_at IS NULL LIMIT 3)"
            )
        )
    plan = (await sync(database, workspace_id, sandbox.url, config(dry_run=True))).session_id
    async with database.workspace(workspace_id) as session:
        await session.execute(text(_ORPHANED))

    path = f"/syncs/{plan}/report"
    async with browser(database, workspace_id, path) as client:
        await client.send(ReportState, "load")
        await client.send(ReportState, "look")
        await client.send(ReportState, "show_field", entity="customers", field="name")
        (shown,) = client.of(ReportState, "field_links")
        orphans = [
            one for one in client.of(ReportState, "among") if one["label"].startswith("Prices: 5 without a parent")
        ]
        rails = [one for one in client.of(ReportState, "rails") if one["name"] == "Orphans"]
        assert shown["label"] == "3 to review"
        for href, rows in ((shown["href"], 3), (orphans[0]["href"], 5), (rails[0]["href"], 5)):
            client.at(path, **dict(parse_qsl(urlsplit(href).query)))
            await client.send(ReportState, "load")
            assert len(client.of(ReportState, "lines")) == rows

        assert client.of(ReportState, "may_ask_again")
        await client.send(ReportState, "fetch_parents")
        assert client.redirects == [f"/syncs/{plan}"]
    async with database.workspace(workspace_id) as session:
        found = await session.execute(
            text("SELECT status, task->>'reason_code' FROM payment_sync_sessions WHERE id = :id"), {"id": plan}
        )
        assert found.one() == ("pending", "missing_parent")
