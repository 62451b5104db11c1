"""Two syncs compared as a client looks at them: how rows differ, a page after the other, each of them an address."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import orjson
import pytest
from sqlalchemy import text

from dashboard.pages.history_differences import DifferencesState
from sync_core.services import differences
from sync_core.store import database as database_module
from sync_core.store import plan_differences as store
from sync_core.store.database import Database
from tests.events._browser import Browser, browser
from tests.support import config

_ITEMS = text(
    "INSERT INTO payment_sync_plan_items (workspace_id, session_id, entity_type, external_id, seq, action, reason_code)"
    " SELECT :w, :s, CASE WHEN n <= 40 THEN 'customers' ELSE 'prices' END, 'id_' || lpad(CAST(n AS text), 3, '0'), n,"
    " CASE WHEN n % CAST(:every AS int) = 0 THEN 'error' ELSE 'create' END, CASE WHEN n % CAST(:every AS int) = 0 THEN 'missing_parent' END"
    " FROM generate_series(1, 60) n"
)


async def go(client: Browser, href: str) -> list[str]:
    client.at("/syncs/compare", **dict(parse_qsl(urlsplit(href).query)))
    await client.send(DifferencesState, "look")
    return [row["external_id"] for row in client.of(DifferencesState, "rows")]


_RUN = text(
    "INSERT INTO payment_sync_sessions (workspace_id, entity_types, config, status, dry_run, source_session_id)"
    " VALUES (:w, '{customers,prices}', CAST(:config AS jsonb), 'completed', :dry, :plan) RETURNING id"
)


async def made(database: Database, workspace_id: UUID, every: int, plan: UUID | None = None) -> UUID:
    """A run whose every so many rows are errors."""
    wanted = orjson.dumps(config(dry_run=plan is None).to_json()).decode()
    async with database.workspace(workspace_id) as session:
        bound = {"w": workspace_id, "config": wanted, "dry": plan is None, "plan": plan}
        run: UUID = (await session.execute(_RUN, bound)).scalar_one()
        await session.execute(_ITEMS, {"w": workspace_id, "s": run, "every": every})
    return run


async def test_rows_that_differ_are_paged_and_narrowed_by_their_addresses(
    database: Database, workspace_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps and calls end anywhere: what is counted so far is on the screen meanwhile, and pages fill up."""
    monkeypatch.setattr(database_module, "_database", database)
    monkeypatch.setattr(store, "STEP", 7)
    monkeypatch.setattr(differences, "BUDGET_SECONDS", 0.0)
    plan = await made(database, workspace_id, 1_000)
    applied = await made(database, workspace_id, 2, plan)
    path = f"/syncs/compare?one={applied}&other={plan}"

    async with browser(database, workspace_id, path) as client:
        first = await go(client, path)
        assert client.of(DifferencesState, "sentence") == "30 of 60 rows came out otherwise than planned."
        assert len([one for one in client.messages if "sentence" in one.names]) > 60 / 7
        customers, prices = client.of(DifferencesState, "kinds")
        assert [(one["label"], one["earlier"], one["later"], one["count"]) for one in (customers, prices)] == [
            ("Customers", "create", "error", "20"),
            ("Prices", "create", "error", "10"),
        ]
        assert (len(first), client.of(DifferencesState, "first_url")) == (20, "")
        second = await go(client, client.of(DifferencesState, "next_url"))
        assert [*first, *second] == [f"id_{n:03}" for n in range(2, 61, 2)]
        assert client.of(DifferencesState, "next_url") == ""
        assert await go(client, client.of(DifferencesState, "first_url")) == first

        assert await go(client, prices["href"]) == [f"id_{n:03}" for n in range(42, 61, 2)]
        assert client.of(DifferencesState, "narrowed")["key"] == prices["key"]
        assert client.of(DifferencesState, "csv_href").endswith("?entity=prices&from=create&to=error")
        assert await go(client, client.of(DifferencesState, "all_href")) == first

        assert await go(client, f"{path}&entity=prices") == []
        assert client.of(DifferencesState, "refused") == "There is no such way to differ."
        assert await go(client, f"{path}&after=nonsense") == []
        assert client.of(DifferencesState, "refused").startswith("This cursor")
