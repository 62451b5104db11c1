"""The records pages as a client drives them: events through Reflex's own processor, with a real session and database."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from dashboard.auth.cookies import cookie_name
from dashboard.pages.record_state import RecordState
from dashboard.pages.records import RecordsState
from sync_core.services.demo import seed_demo
from sync_core.settings import Settings
from sync_core.store import database as database_module
from sync_core.store.database import Database
from tests.conftest import make_workspace
from tests.events._browser import Browser, browser


@pytest.fixture
async def owner(database: Database, workspace_id: UUID, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Browser]:
    """A signed-in owner of the demo workspace."""
    monkeypatch.setattr(database_module, "_database", database)
    await seed_demo(database, workspace_id, settings=Settings(demo=True, _env_file=None))
    async with browser(database, workspace_id, "/records") as client:
        yield client


async def record_id_of(database: Database, workspace_id: UUID, condition: str) -> str:
    async with database.workspace(workspace_id) as session:
        found = await session.execute(text(f"SELECT id FROM customers WHERE {condition} ORDER BY id LIMIT 1"))
        return str(found.scalar_one())


LISTS = {
    "customers": ("/records", "customers", 25),
    "products": ("/records/products", "products", 14),
    "what was edited here": ("/records/customers?status=local_edit", "customers", 15),
    "what is deleted": ("/records/customers?status=deleted", "customers", 2),
    "a search": ("/records/customers?q=marisol", "customers", 1),
    "another kind of thing": ("/records/passwords", "customers", 25),
}


@pytest.mark.parametrize(("path", "kind", "count"), LISTS.values(), ids=LISTS.keys())
async def test_the_address_says_what_is_listed(owner: Browser, path: str, kind: str, count: int) -> None:
    owner.path = path
    await owner.send(RecordsState, "load")
    assert (owner.of(RecordsState, "kind"), len(owner.of(RecordsState, "rows"))) == (kind, count)
    assert owner.of(RecordsState, "total") == ("40" if count == 25 else str(count))
    assert len(json.dumps(owner.of(RecordsState, "rows"))) <= 16_000


CHOICES: dict[str, tuple[str, dict[str, Any], str]] = {
    "a search": ("find", {"form": {"q": " ada "}}, "/records/customers?q=ada"),
    "a search for nothing": ("find", {"form": {"q": ""}}, "/records/customers"),
    "a search that is no text": ("find", {"form": {"q": ["x"]}}, "/records/customers"),
    "a status": ("show_status", {"value": "conflict"}, "/records/customers?status=conflict"),
    "deleted ones": ("show_status", {"value": "deleted"}, "/records/customers?status=deleted"),
    "an unknown status": ("show_status", {"value": "x' OR 1=1"}, "/records/customers"),
    "a page size": ("show_size", {"value": "50"}, "/records/customers?size=50"),
    "an endless page": ("show_size", {"value": "100000"}, "/records/customers"),
}


@pytest.mark.parametrize(("handler", "payload", "address"), CHOICES.values(), ids=CHOICES.keys())
async def test_a_choice_leads_to_an_address(
    owner: Browser, handler: str, payload: dict[str, Any], address: str
) -> None:
    await owner.send(RecordsState, handler, **payload)
    assert owner.redirects == [address]


async def test_an_edit_is_saved_and_shown(owner: Browser, database: Database, workspace_id: UUID) -> None:
    record_id = await record_id_of(database, workspace_id, "payment_sync_status = 'synced' AND deleted_at IS NULL")
    owner.path = f"/records/customers/{record_id}"
    await owner.send(RecordState, "load")
    assert owner.of(RecordState, "card")["status"] == "synced"
    await owner.send(RecordState, "open_form")
    form = as_sent(owner)
    await owner.send(
        RecordState, "save", form={**form, "name": "Renamed", "metadata-key-7": "vip", "metadata-value-7": "yes"}
    )
    card = owner.of(RecordState, "card")
    assert (card["title"], card["status"], owner.of(RecordState, "editing")) == ("Renamed", "local_edit", False)
    shown = {field["label"]: (field["ours"], field["differs"]) for field in card["fields"]}
    assert shown["Name"] == ("Renamed", True)
    assert shown["Metadata / vip"] == ("yes", True)


def as_sent(client: Browser) -> dict[str, str]:
    """The open form as a browser would send it untouched."""
    fields = {field["name"]: field["value"] for field in client.of(RecordState, "form")}
    for row in client.of(RecordState, "metadata") or []:
        fields |= {row["key_name"]: row["key"], row["value_name"]: row["value"]}
    return fields


async def test_what_is_wrong_is_said_beside_its_field_and_nothing_else_changes(
    owner: Browser, database: Database, workspace_id: UUID
) -> None:
    record_id = await record_id_of(database, workspace_id, "payment_sync_status = 'synced' AND deleted_at IS NULL")
    owner.path = f"/records/customers/{record_id}"
    await owner.send(RecordState, "open_form")
    before = owner.of(RecordState, "form")
    await owner.send(RecordState, "save", form={**as_sent(owner), "email": "nobody", "metadata-value-3": "no key"})
    after = owner.of(RecordState, "form")
    assert [field["name"] for field in after if field["error"]] == ["email"]
    assert [field["value"] for field in after] == [field["value"] for field in before]
    assert "no key" in owner.of(RecordState, "metadata_error")
    assert owner.of(RecordState, "editing") is True


async def test_the_later_editor_sees_the_others_value_and_may_write_over_it(
    owner: Browser, database: Database, workspace_id: UUID
) -> None:
    record_id = await record_id_of(database, workspace_id, "payment_sync_status = 'synced' AND deleted_at IS NULL")
    owner.path = f"/records/customers/{record_id}"
    await owner.send(RecordState, "open_form")
    async with database.workspace(workspace_id) as session:
        await session.execute(text("UPDATE customers SET phone = '+1' WHERE id = :id"), {"id": record_id})
    mine = {**as_sent(owner), "phone": "+2"}
    await owner.send(RecordState, "save", form=mine)
    assert owner.of(RecordState, "overtaken") is True
    stored = {field["name"]: field["stored"] for field in owner.of(RecordState, "form") if field["stored"]}
    assert stored == {"phone": "+1"}
    await owner.send(RecordState, "save", form=mine)
    assert owner.of(RecordState, "editing") is False
    async with database.workspace(workspace_id) as session:
        assert (
            await session.execute(text("SELECT phone FROM customers WHERE id = :id"), {"id": record_id})
        ).scalar_one() == "+2"


NOWHERE = {
    "no id": "/records/customers/nobody",
    "an id of nobody": "/records/customers/00000000-0000-0000-0000-000000000000",
    "an unknown kind": "/records/secrets/00000000-0000-0000-0000-000000000000",
}


@pytest.mark.parametrize("path", NOWHERE.values(), ids=NOWHERE.keys())
async def test_a_record_that_is_not_there_is_said_to_be_missing(owner: Browser, path: str) -> None:
    owner.path = path
    await owner.send(RecordState, "load")
    assert "no such record" in owner.of(RecordState, "problem")


async def test_another_workspaces_record_is_missing(owner: Browser, database: Database) -> None:
    other = await make_workspace(database, "Other")
    async with database.workspace(other) as session:
        made = await session.execute(
            text("INSERT INTO customers (workspace_id, name) VALUES (:w, 'theirs') RETURNING id"), {"w": other}
        )
        owner.path = f"/records/customers/{made.scalar_one()}"
    await owner.send(RecordState, "load")
    assert "no such record" in owner.of(RecordState, "problem")
    await owner.send(RecordState, "save", form={"name": "mine now"})
    async with database.workspace(other) as session:
        assert (await session.execute(text("SELECT name FROM customers"))).scalar_one() == "theirs"


async def test_without_a_session_nothing_is_told(owner: Browser) -> None:
    owner.cookie = f"{cookie_name()}=made-up"
    await owner.send(RecordsState, "load")
    await owner.send(RecordState, "open_form")
    assert owner.of(RecordsState, "rows") in (None, [])
    assert owner.of(RecordState, "form") in (None, [])
    assert any(name.endswith(".signed_out") and told is True for name, told in owner.told.items())
