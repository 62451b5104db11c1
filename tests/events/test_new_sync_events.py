"""The New sync page as a client drives it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from dashboard.pages.new_sync import NewSyncState
from dashboard.pages.new_sync_form import FIELD_LABELS
from dashboard.pages.sync_state import SyncState
from dashboard.state import PageState
from sync_core.domain.vocabulary import EntityType, Role, Strategy
from sync_core.errors import Refusal
from sync_core.sandbox.launch import SandboxProcess
from sync_core.services import connections, presets, sessions
from sync_core.services.session_views import Listing, SessionView
from sync_core.services.start_request import StartRequest
from sync_core.settings import Settings
from sync_core.store import database as database_module
from sync_core.store.database import Database
from tests.events._browser import Browser, browser
from tests.services import KEY, actor_of, settings_for, small_sandbox

PATH = "/syncs/new"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with small_sandbox() as running:
        yield running


@pytest.fixture
def settings(sandbox: SandboxProcess, tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> Settings:
    found = settings_for(sandbox, tmp_path, rate_unlimited=True)
    monkeypatch.setattr(database_module, "_database", database)
    for module in ("dashboard.pages.new_sync", "sync_core.services.connections", "sync_core.services.estimate"):
        monkeypatch.setattr(f"{module}.get_settings", lambda: found)
    return found


@pytest.fixture
async def owner(database: Database, workspace_id: UUID, settings: Settings) -> AsyncIterator[Browser]:
    """Of a connected workspace, the page opened."""
    await connections.connect(database, actor_of(workspace_id), KEY, settings=settings)
    async with browser(database, workspace_id, PATH) as client:
        await client.send(NewSyncState, "load")
        yield client


async def listed(database: Database, workspace_id: UUID) -> tuple[SessionView, ...]:
    page = await sessions.list_sessions(database, actor_of(workspace_id))
    assert isinstance(page, Listing)
    return page.items


async def test_without_an_account_nothing_can_be_started(
    database: Database, workspace_id: UUID, settings: Settings
) -> None:
    assert not settings.demo
    async with browser(database, workspace_id, PATH) as client:
        await client.send(NewSyncState, "load")
        assert client.of(NewSyncState, "account") in (None, "")
        await client.send(NewSyncState, "start", dry_run=True)
        assert client.of(NewSyncState, "error_form") == "Connect a Stripe account first."

    assert await listed(database, workspace_id) == ()


async def test_the_page_opens_with_an_estimate(owner: Browser, sandbox: SandboxProcess) -> None:
    assert owner.of(NewSyncState, "account") == "Sandbox Industries"
    assert owner.of(NewSyncState, "mode") == "test"
    estimate = owner.of(NewSyncState, "estimate")
    assert estimate["ready"] is True
    records = {row["label"]: row["records"] for row in estimate["rows"]}
    assert records["Products"] == str(len(sandbox.truth("products")))
    assert "reads made this month" in estimate["reads"]


async def test_an_estimate_that_breaks_is_not_waited_for(
    owner: Browser, database: Database, workspace_id: UUID
) -> None:
    async with database.workspace(workspace_id) as session:
        await session.execute(text("UPDATE payment_connections SET key_ciphertext = 'spoilt'"))

    await owner.send(NewSyncState, "run_estimate")

    assert owner.of(NewSyncState, "estimating") is False
    assert owner.of(NewSyncState, "estimate_problem") == "It could not be estimated. Try again."


async def test_a_dry_run_starts_and_leads_to_its_page(owner: Browser, database: Database, workspace_id: UUID) -> None:
    for name in ("invoices", "subscriptions", "prices", "products"):
        await owner.send(NewSyncState, "choose_entity", name=name, chosen=False)
    assert owner.of(NewSyncState, "left_out") == ""
    await owner.send(NewSyncState, "choose_entity", name="prices", chosen=True)
    assert owner.of(NewSyncState, "left_out").startswith("Prices are stored with the products")
    await owner.send(NewSyncState, "add_parents")
    assert owner.of(NewSyncState, "chosen") == ["customers", "products", "prices"]
    assert owner.of(NewSyncState, "left_out") == ""
    for name in ("prices", "products"):
        await owner.send(NewSyncState, "choose_entity", name=name, chosen=False)
    await owner.send(NewSyncState, "set_strategy", value="flag")
    await owner.send(NewSyncState, "set_entity_strategy", name="customers", value="overwrite")
    await owner.send(NewSyncState, "set_batch_size", value="50")
    await owner.send(NewSyncState, "set_concurrent", value="7")
    await owner.send(NewSyncState, "start", dry_run=True)

    (made,) = await listed(database, workspace_id)
    assert owner.redirects == [f"/syncs/{made.id}"]
    assert made.config.entity_types == (EntityType.CUSTOMERS,)
    assert (made.config.dry_run, made.config.batch_size, made.config.concurrent_batches) == (True, 50, 7)
    assert made.config.strategies.of(EntityType.CUSTOMERS) is Strategy.OVERWRITE
    assert made.config.strategies.default is Strategy.FLAG


async def test_the_last_configuration_is_there_again(owner: Browser, database: Database, workspace_id: UUID) -> None:
    await owner.send(NewSyncState, "choose_entity", name="invoices", chosen=False)
    await owner.send(NewSyncState, "set_span", span="custom")
    await owner.send(NewSyncState, "set_start_date", value="2024-02-01")
    await owner.send(NewSyncState, "start", dry_run=False)
    async with browser(database, workspace_id, PATH, Role.OPERATOR) as colleague:
        await colleague.send(NewSyncState, "load")
        assert colleague.of(NewSyncState, "filled_from") == "As in the last sync"
        assert "invoices" not in colleague.of(NewSyncState, "chosen")
        assert colleague.of(NewSyncState, "start_date") == "2024-02-01"
        assert colleague.of(NewSyncState, "running_href") == owner.redirects[0]

        await colleague.send(NewSyncState, "start", dry_run=False)
        assert "running already" in colleague.of(NewSyncState, "error_form")
        await colleague.send(NewSyncState, "start_over")
        assert len(colleague.of(NewSyncState, "chosen")) == len(EntityType)


WRONG: dict[str, tuple[list[tuple[str, dict[str, Any]]], str, str]] = {
    "no entity type": (
        [("choose_entity", {"name": entity.value, "chosen": False}) for entity in EntityType],
        "error_entities",
        "at least one",
    ),
    "no dates": ([("set_span", {"span": "custom"})], "error_range", "empty"),
    "reversed dates": (
        [
            ("set_span", {"span": "custom"}),
            ("set_start_date", {"value": "2024-02-02"}),
            ("set_end_date", {"value": "2024-02-01"}),
        ],
        "error_range",
        "reversed",
    ),
    "future dates": (
        [("set_span", {"span": "custom"}), ("set_start_date", {"value": "2999-01-01"})],
        "error_range",
        "future",
    ),
    "batch size 101": ([("set_batch_size", {"value": "101"})], "error_batch", "between 1 and 100"),
    "batch size nonsense": ([("set_batch_size", {"value": "many"})], "error_batch", "whole number"),
    "concurrency 0": ([("set_concurrent", {"value": "0"})], "error_concurrent", "Between 1 and 20"),
}


@pytest.mark.parametrize(("events", "field", "says"), WRONG.values(), ids=WRONG.keys())
async def test_mistakes_stand_beside_their_field(
    *,
    owner: Browser,
    database: Database,
    workspace_id: UUID,
    events: list[tuple[str, dict[str, Any]]],
    field: str,
    says: str,
) -> None:
    for handler, payload in events:
        await owner.send(NewSyncState, handler, **payload)
    await owner.send(NewSyncState, "start", dry_run=False)

    assert says in owner.of(NewSyncState, field)
    assert "Nothing was started" in owner.of(NewSyncState, "error_form")
    assert owner.redirects == []
    assert await listed(database, workspace_id) == ()


FORGED: dict[str, tuple[str, dict[str, Any]]] = {
    "an entity type of its own": ("choose_entity", {"name": "secrets", "chosen": True}),
    "a strategy of its own": ("set_strategy", {"value": "drop"}),
    "a range of its own": ("set_span", {"span": "7; drop table"}),
    "a number for a word": ("set_strategy", {"value": 5}),
    "a word for a flag": ("start", {"dry_run": "yes"}),
}


@pytest.mark.parametrize(("handler", "payload"), FORGED.values(), ids=FORGED.keys())
async def test_forged_events_change_nothing(
    owner: Browser, database: Database, workspace_id: UUID, handler: str, payload: dict[str, Any]
) -> None:
    names = ("chosen", "strategy", "span")
    before = [owner.of(NewSyncState, name) for name in names]

    await owner.send(NewSyncState, handler, **payload)

    assert [owner.of(NewSyncState, name) for name in names] == before
    assert await listed(database, workspace_id) == ()


async def test_a_viewer_may_not_start(database: Database, workspace_id: UUID, settings: Settings) -> None:
    await connections.connect(database, actor_of(workspace_id), KEY, settings=settings)
    async with browser(database, workspace_id, PATH, Role.VIEWER) as viewer:
        await viewer.send(NewSyncState, "load")
        assert viewer.of(NewSyncState, "may_run") in (None, False)
        await viewer.send(NewSyncState, "start", dry_run=False)
        assert "Your role" in viewer.of(NewSyncState, "error_form")

    assert await listed(database, workspace_id) == ()


async def test_a_sync_does_not_begin_looking_like_the_one_before(
    owner: Browser, database: Database, workspace_id: UUID
) -> None:
    await owner.send(NewSyncState, "start", dry_run=True)
    (before,) = await listed(database, workspace_id)
    owner.at(f"/syncs/{before.id}")
    await owner.send(SyncState, "load")
    assert owner.of(SyncState, "loaded") is True
    await owner.send(SyncState, "cancel")
    owner.at("/syncs/new")
    await owner.send(NewSyncState, "start", dry_run=True)
    assert owner.of(SyncState, "loaded") is False


async def test_a_preset_is_saved_shared_by_its_address_renamed_and_deleted(
    owner: Browser, database: Database, workspace_id: UUID
) -> None:
    await owner.send(NewSyncState, "choose_entity", name="invoices", chosen=False)
    await owner.send(NewSyncState, "set_span", span="30")
    await owner.send(NewSyncState, "set_strategy", value="flag")
    await owner.send(NewSyncState, "add_exception", form={"field": "customers.name", "field_strategy": "skip"})
    await owner.send(NewSyncState, "save_preset", form={"name": "Catch-up"})

    (preset,) = owner.of(NewSyncState, "presets")
    assert "last 30 days" in preset["about"]
    await owner.send(NewSyncState, "show_call", preset_id=preset["preset_id"])
    assert '"strategies": {"fields": {"customers.name": "skip"}}' in owner.of(NewSyncState, "preset_call")
    path, query = "/syncs/new", preset["preset_id"]
    async with browser(database, workspace_id, path, Role.OPERATOR) as colleague:
        colleague.at(path, preset=query)
        await colleague.send(NewSyncState, "load")
        assert colleague.of(NewSyncState, "filled_from") == "From the preset “Catch-up”"
        assert (colleague.of(NewSyncState, "span"), colleague.of(NewSyncState, "strategy")) == ("30", "flag")
        assert "invoices" not in colleague.of(NewSyncState, "chosen")
        assert [one["path"] for one in colleague.of(NewSyncState, "exceptions")] == ["customers.name"]
        await colleague.send(NewSyncState, "start", dry_run=True)
    (made,) = await listed(database, workspace_id)
    assert made.config.strategies.of(EntityType.CUSTOMERS, "name") is Strategy.SKIP
    assert made.config.start is not None

    await owner.send(NewSyncState, "save_preset", form={"name": "catch-UP"})
    assert "already" in owner.of(NewSyncState, "error_preset")
    await owner.send(NewSyncState, "rename_preset", form={"preset": preset["preset_id"], "name": "Weekly"})
    assert [one["name"] for one in owner.of(NewSyncState, "presets")] == ["Weekly"]
    await owner.send(NewSyncState, "delete_preset", preset_id=preset["preset_id"])
    assert owner.of(NewSyncState, "presets") == []


A_MESSAGE = 16_000


async def test_as_many_presets_and_exceptions_as_there_can_be_come_in_small_messages(
    owner: Browser, database: Database, workspace_id: UUID
) -> None:
    asked = StartRequest(entity_types=("customers",), strategies={"fields": dict.fromkeys(FIELD_LABELS, "flag")})
    for number in range(presets.MOST_PRESETS):
        name = f"{number:02}" + "夜" * (presets.LONGEST_NAME - 2)
        saved = await presets.save(database, actor_of(workspace_id, label=f"{'a' * 240}@example.com"), name, asked)
        assert not isinstance(saved, Refusal)
    preset_id = str((await presets.every(database, actor_of(workspace_id)))[-1].id)
    owner.at("/syncs/new", preset=preset_id)

    await owner.send(NewSyncState, "load")
    assert len(owner.of(NewSyncState, "exceptions")) == len(FIELD_LABELS)
    await owner.send(NewSyncState, "set_strategy", value="flag")
    await owner.send(NewSyncState, "rename_preset", form={"preset": preset_id, "name": "Weekly"})
    await owner.send(NewSyncState, "show_call", preset_id=preset_id)

    assert len(owner.of(NewSyncState, "presets")) == presets.MOST_PRESETS
    assert "夜" * 58 in {one["name"][2:] for one in owner.of(NewSyncState, "presets")}
    assert '"customers.name": "flag"' in owner.of(NewSyncState, "preset_call")
    assert [(one.size, sorted(one.names)) for one in owner.messages if one.size > A_MESSAGE] == []


async def test_what_was_entered_is_there_when_somebody_comes_back(owner: Browser) -> None:
    await owner.send(NewSyncState, "load")
    await owner.send(NewSyncState, "choose_entity", name="invoices", chosen=False)
    await owner.send(NewSyncState, "set_strategy", value="flag")

    await owner.send(NewSyncState, "load")
    assert "invoices" not in owner.of(NewSyncState, "chosen")
    assert (owner.of(NewSyncState, "strategy"), owner.of(NewSyncState, "filled_from")) == ("flag", "As you left it")
    await owner.send(NewSyncState, "start_over")
    await owner.send(NewSyncState, "load")
    assert (owner.of(NewSyncState, "strategy"), owner.of(NewSyncState, "filled_from")) == ("skip", "")


async def test_a_sync_can_be_run_again_as_it_was(owner: Browser, database: Database, workspace_id: UUID) -> None:
    await owner.send(NewSyncState, "set_batch_size", value="40")
    await owner.send(NewSyncState, "start", dry_run=True)
    (first,) = await listed(database, workspace_id)
    owner.at(PATH, like=str(first.id))
    await owner.send(NewSyncState, "start_over")
    await owner.send(NewSyncState, "load")

    assert owner.of(NewSyncState, "batch_size") == "40"
    assert owner.of(NewSyncState, "filled_from") == "As in the sync that you came from"


async def test_a_preset_that_is_gone_leaves_the_last_configuration(owner: Browser) -> None:
    owner.at(PATH, preset="01234567-89ab-cdef-0123-456789abcdef")
    await owner.send(NewSyncState, "load")
    assert owner.of(PageState, "notice") == "There is no such preset in this workspace."
    assert len(owner.of(NewSyncState, "chosen")) == len(EntityType)
