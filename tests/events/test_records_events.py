"""The records pages as a client drives them: events through Reflex's own processor, with a real session and database."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text
from starlette.applications import Starlette

from dashboard.auth.cookies import cookie_name
from dashboard.downloads import ROUTES as DOWNLOADS
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


A_MESSAGE = 16_000
_LONG = "Zahlungserinnerung für Gebäude “Nord” \\"
# As large as Stripe lets them be, and larger: fifty keys of metadata, texts of tens of thousands, hundreds of lines, and what hangs on them.
_FULL = (
    """UPDATE customers SET name = repeat('Ä', 256), email = repeat('e', 500) || '@example.com', description = repeat(:text, 120),
  metadata = (SELECT jsonb_object_agg(repeat('k', 36) || i, repeat(:text, 12)) FROM generate_series(10, 59) i),
  payment_base = payment_base || jsonb_build_object('metadata', '{}'::jsonb, 'description', repeat(:text, 90)),
  payment_raw = jsonb_build_object('id', external_id, 'all', repeat(:text, 5000)) WHERE id = :id""",
    """INSERT INTO audit_log (workspace_id, actor, action, target, details) SELECT workspace_id, repeat('a', 200), 'record.edited', 'customers/' || id,
  jsonb_build_object('changes', jsonb_build_object('description', jsonb_build_array(repeat(:text, 5), repeat(:text, 4)),
  'name', jsonb_build_array(repeat(:text, 5), repeat(:text, 4)))) FROM customers, generate_series(1, 60) WHERE id = :id""",
    "UPDATE products SET name = repeat(:text, 10), description = repeat(:text, 1000)",
    """INSERT INTO subscriptions (workspace_id, customer_id, status, provider_status, payment_provider, payment_account, payment_livemode,
  external_id) SELECT workspace_id, id, 'overdue', 'past_due', 'stripe', 'acct_1', false, 'sub_' || i FROM customers, generate_series(1, 20) i
  WHERE id = :id""",
    """INSERT INTO subscription_items (workspace_id, subscription_id, external_id, quantity, position)
  SELECT workspace_id, id, 'si_' || external_id || i, i, i FROM subscriptions, generate_series(1, 250) i""",
    """INSERT INTO invoices (workspace_id, customer_id, subscription_id, number, status, currency, total, payment_provider, payment_account,
  payment_livemode, external_id, lines) SELECT workspace_id, customer_id, id, repeat(:text, 5), 'open', 'EUR', 1234567, 'stripe', 'acct_1', false,
  'in_' || external_id, (SELECT jsonb_agg(jsonb_build_object('id', 'il_' || i, 'amount', i, 'quantity', i, 'description', repeat(:text, 9)))
  FROM generate_series(1, 300) i) FROM subscriptions""",
)


async def make_it_full(database: Database, workspace_id: UUID, record_id: str) -> None:
    async with database.workspace(workspace_id) as session:
        for statement in _FULL:
            names = {"text": _LONG, "id": record_id}
            await session.execute(
                text(statement), {name: one for name, one in names.items() if f":{name}" in statement}
            )


async def test_a_record_of_any_size_comes_in_small_messages(
    owner: Browser, database: Database, workspace_id: UUID
) -> None:
    customer = await record_id_of(database, workspace_id, "payment_sync_status = 'synced' AND deleted_at IS NULL")
    await make_it_full(database, workspace_id, customer)
    async with database.workspace(workspace_id) as session:
        others = {
            kind: (await session.execute(text(f"SELECT id FROM {kind} ORDER BY id LIMIT 1"))).scalar_one()
            for kind in ("products", "invoices", "subscriptions")
        }
    for kind, record_id in {"customers": customer, **others}.items():
        owner.path = f"/records/{kind}/{record_id}"
        await owner.send(RecordState, "load")
        card = owner.of(RecordState, "card")
        assert (card["record_id"], bool(card["fields"]), bool(card["history"])) == (str(record_id), True, True)
        await owner.send(RecordState, "show_raw")
        await owner.send(RecordState, "open_form")
    assert [(one.size, sorted(one.names)) for one in owner.messages if one.size > A_MESSAGE] == []


async def test_what_has_no_room_in_the_form_is_kept_when_the_rest_is_saved(
    owner: Browser, database: Database, workspace_id: UUID
) -> None:
    record_id = await record_id_of(database, workspace_id, "payment_sync_status = 'synced' AND deleted_at IS NULL")
    await make_it_full(database, workspace_id, record_id)
    owner.path = f"/records/customers/{record_id}"

    async def stored() -> tuple[str, str, dict[str, str]]:
        async with database.workspace(workspace_id) as session:
            sql = "SELECT name, description, metadata FROM customers WHERE id = :id"
            return tuple((await session.execute(text(sql), {"id": record_id})).one())

    _, description, metadata = await stored()
    await owner.send(RecordState, "open_form")
    kept = owner.of(RecordState, "kept")
    assert 0 < kept < len(metadata)
    form = as_sent(owner)
    assert {field["name"]: field["kind"] for field in owner.of(RecordState, "form")}["description"] == "long"
    first = next(name for name in form if name.startswith("metadata-value-"))

    await owner.send(RecordState, "save", form={**form, first: "changed", "name": "Renamed"})
    assert "out of date" in owner.of(RecordState, "form_error")
    await owner.send(RecordState, "save", form={**form, first: "changed", "name": "Renamed", "metadata-kept": "1"})

    changed = form[first.replace("value", "key")]
    assert await stored() == ("Renamed", description, {**metadata, changed: "changed"})


@pytest.fixture
async def http(owner: Browser) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=Starlette(routes=DOWNLOADS))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://localhost:3000", headers={"cookie": owner.cookie}
    ) as client:
        yield client


async def test_a_record_is_downloaded_whole(http: httpx.AsyncClient, database: Database, workspace_id: UUID) -> None:
    record_id = await record_id_of(database, workspace_id, "payment_sync_status = 'synced' AND deleted_at IS NULL")
    await make_it_full(database, workspace_id, record_id)
    async with database.workspace(workspace_id) as session:
        sql = "SELECT payment_raw, payment_base, description, external_id FROM customers WHERE id = :id"
        raw, base, description, external_id = (await session.execute(text(sql), {"id": record_id})).one()

    theirs = await http.get(f"/downloads/records/customers/{record_id}/stripe.json")
    ours = await http.get(f"/downloads/records/customers/{record_id}/record.json")

    assert theirs.json() == raw
    assert theirs.headers["content-disposition"] == f'attachment; filename="{external_id}-stripe.json"'
    assert (ours.json()["here"]["description"], ours.json()["last_sync"]) == (description, base)
    assert len(ours.json()["history"]) == 50


async def test_a_record_is_downloaded_by_nobody_else(
    http: httpx.AsyncClient, database: Database, workspace_id: UUID
) -> None:
    record_id = await record_id_of(database, workspace_id, "payment_raw IS NULL")
    other = await make_workspace(database, "Other")
    async with database.workspace(other) as session:
        made = await session.execute(
            text("INSERT INTO customers (workspace_id, name) VALUES (:w, 'theirs') RETURNING id"), {"w": other}
        )
    missing = (
        f"customers/{made.scalar_one()}/record",
        f"customers/{record_id}/stripe",
        f"customers/{record_id}/secrets",
        f"passwords/{record_id}/record",
        "customers/nobody/record",
    )
    answers = [(await http.get(f"/downloads/records/{one}.json")).status_code for one in missing]
    assert answers == [404] * len(missing)
    http.headers["cookie"] = f"{cookie_name()}=made-up"
    assert (await http.get(f"/downloads/records/customers/{record_id}/record.json")).status_code == 401
