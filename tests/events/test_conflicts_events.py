"""Conflict review as a client drives it: list, choose, apply, undo, many at once, and what a client makes up."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from dashboard.pages.conflict_bulk import BulkState
from dashboard.pages.conflict_detail import ConflictState
from dashboard.pages.conflicts import ConflictsState
from sync_core.domain.vocabulary import Choice, Role
from sync_core.services import conflicts
from sync_core.store import database as database_module
from sync_core.store.database import Database
from tests.conflict_data import make_conflicts, person
from tests.events._browser import Browser, browser
from tests.support import rows


@pytest.fixture(autouse=True)
def _one_database(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "_database", database)


@pytest.fixture
async def listing(database: Database, workspace_id: UUID) -> AsyncIterator[Browser]:
    """The list of 60 conflicts, opened."""
    await make_conflicts(database, workspace_id, 60)
    async with browser(database, workspace_id, "/conflicts") as client:
        await client.send(ConflictsState, "load")
        yield client


async def first_id(database: Database, workspace_id: UUID) -> str:
    found = await rows(database, workspace_id, "SELECT id FROM payment_sync_conflicts ORDER BY created_at DESC LIMIT 1")
    return str(found[0]["id"])


async def record_names(database: Database, workspace_id: UUID) -> set[str]:
    return {row["name"] for row in await rows(database, workspace_id, "SELECT name FROM customers")}


async def test_a_page_of_the_list_is_one_small_message(listing: Browser) -> None:
    listed = listing.of(ConflictsState, "rows")
    assert len(listed) == 40
    assert listing.of(ConflictsState, "headline") == "60 open conflicts"
    assert listing.of(ConflictsState, "next_url").startswith("/conflicts?at=")
    assert len(json.dumps([listed, listing.of(ConflictsState, "groups")], default=str)) < 16_000


async def test_a_search_becomes_an_address(listing: Browser) -> None:
    await listing.send(ConflictsState, "find", form={"q": " ours 1 "})
    assert listing.redirects == ["/conflicts?q=ours+1"]


async def test_choosing_applying_and_undoing(database: Database, workspace_id: UUID) -> None:
    await make_conflicts(database, workspace_id, 1)
    async with browser(database, workspace_id, f"/conflicts/{await first_id(database, workspace_id)}") as client:
        await client.send(ConflictState, "load")
        assert client.of(ConflictState, "to_choose") == "Choose a value for name."
        await client.send(ConflictState, "take", key="name", side="local")
        assert client.of(ConflictState, "to_choose") == ""
        await client.send(ConflictState, "take", key="name", side="local")
        assert client.of(ConflictState, "to_choose") == "Choose a value for name."
        await client.send(ConflictState, "edit", key="name")
        await client.send(ConflictState, "keep_own", form={"value": "Third"})
        await client.send(ConflictState, "apply")
        assert client.of(ConflictState, "status") == "resolved"
        assert await record_names(database, workspace_id) == {"Third"}
        (decision,) = client.of(ConflictState, "decisions")
        await client.send(ConflictState, "undo", decision_id=decision["id"])
        assert client.of(ConflictState, "status") == "open"
        assert await record_names(database, workspace_id) == {"Ours 1"}


async def test_the_later_of_two_sees_what_the_other_decided(database: Database, workspace_id: UUID) -> None:
    await make_conflicts(database, workspace_id, 1)
    chosen = await first_id(database, workspace_id)
    async with browser(database, workspace_id, f"/conflicts/{chosen}") as late:
        await late.send(ConflictState, "load")
        await conflicts.resolve(database, person(workspace_id, "Ben"), UUID(chosen), take_all=Choice.STRIPE)
        await late.send(ConflictState, "take_all", side="local")
        assert late.of(ConflictState, "overtaken") == "Ben has settled this already."
        assert late.of(ConflictState, "status") == "resolved"
    assert await record_names(database, workspace_id) == {"Stripe 1"}


async def test_many_at_once_and_all_of_them_back(listing: Browser, database: Database, workspace_id: UUID) -> None:
    await listing.send(BulkState, "open")
    await listing.send(BulkState, "choose_take", take="stripe")
    await listing.send(BulkState, "look")
    assert listing.of(BulkState, "preview")["said"] == "60 conflicts would be settled: 60 customers."
    await listing.send(BulkState, "apply")
    assert listing.of(BulkState, "outcome") == "60 conflicts settled."
    assert "Ours 1" not in await record_names(database, workspace_id)
    await listing.send(ConflictsState, "undo_last")
    assert "Stripe 1" not in await record_names(database, workspace_id)


async def test_decisions_come_back_in_from_a_file(database: Database, workspace_id: UUID, listing: Browser) -> None:
    chosen = await first_id(database, workspace_id)
    await listing.send(BulkState, "open_import")
    await listing.send(
        BulkState, "look_at_import", form={"decisions": f"id,revision,field,choice\n{chosen},1,name,stripe"}
    )
    await listing.send(BulkState, "apply")
    assert listing.of(BulkState, "outcome") == "1 conflict settled."
    assert "Stripe 60" in await record_names(database, workspace_id)


FORGED: list[tuple[type[Any], str, dict[str, Any]]] = [
    (ConflictState, "take", {"key": "name", "side": "everything"}),
    (ConflictState, "take", {"key": "name", "side": "custom"}),
    (ConflictState, "take", {"key": "__class__", "side": "stripe"}),
    (ConflictState, "take_all", {"side": "custom"}),
    (ConflictState, "take_all", {"side": "' OR 1=1"}),
    (ConflictState, "undo", {"decision_id": "nonsense"}),
    (ConflictState, "keep_own", {"form": {"value": ["a"]}}),
    (ConflictState, "snooze", {"until": "-1"}),
    (ConflictState, "assign", {"assignee": "eve@example.com"}),
    (ConflictState, "unfold", {"row_id": "nonsense"}),
    (ConflictState, "reopen_with_mine", {}),
    (ConflictsState, "pick", {"row_id": "nonsense"}),
    (ConflictsState, "pick_everything", {}),
    (ConflictsState, "assign_picked", {"assignee": "nobody"}),
    (ConflictsState, "snooze_picked", {"until": "7"}),
    (ConflictState, "comment", {"form": {}}),
    (BulkState, "apply", {}),
    (BulkState, "choose_take", {"take": "custom"}),
    (BulkState, "look_at_import", {"form": {"decisions": 5}}),
]


async def test_what_a_client_makes_up_changes_nothing(database: Database, workspace_id: UUID) -> None:
    await make_conflicts(database, workspace_id, 1)
    before = await rows(database, workspace_id, "SELECT choices, revision, status FROM payment_sync_conflicts")
    async with browser(database, workspace_id, f"/conflicts/{await first_id(database, workspace_id)}") as client:
        await client.send(ConflictState, "load")
        for state, handler, payload in FORGED:
            await client.send(state, handler, **payload)
    assert await rows(database, workspace_id, "SELECT choices, revision, status FROM payment_sync_conflicts") == before
    assert await record_names(database, workspace_id) == {"Ours 1"}


async def test_a_viewer_sees_but_decides_nothing(database: Database, workspace_id: UUID) -> None:
    await make_conflicts(database, workspace_id, 1)
    path = f"/conflicts/{await first_id(database, workspace_id)}"
    async with browser(database, workspace_id, path, role=Role.VIEWER) as client:
        await client.send(ConflictState, "load")
        assert client.of(ConflictState, "may_resolve") is False
        await client.send(ConflictState, "take_all", side="stripe")
        await client.send(BulkState, "look")
        assert client.of(BulkState, "problem") == "Your role does not allow this."
    assert await record_names(database, workspace_id) == {"Ours 1"}


@pytest.mark.parametrize("path", ["/conflicts/nonsense", "/conflicts/00000000-0000-0000-0000-000000000000"])
async def test_an_address_of_no_conflict_says_so(database: Database, workspace_id: UUID, path: str) -> None:
    async with browser(database, workspace_id, path) as client:
        await client.send(ConflictState, "load")
        assert client.of(ConflictState, "problem") == "There is no such conflict in this workspace."
