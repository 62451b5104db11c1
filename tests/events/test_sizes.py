"""What the pages of a large workspace send and keep: no more than is on the screen, whatever is stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

import dashboard.dashboard
from sync_core.store import database as database_module
from sync_core.store.database import Database
from tests.conftest import database_named, make_workspace, on_server
from tests.events._browser import Browser, browser
from tests.large_data import Large, make_large

LOADS: dict[str, list[Any]] = dashboard.dashboard.app._load_events
A_MESSAGE = 16_000
DEFAULTS = 20_000
ROWS = 50
_LONG_NAME = "'Hildegard Oppenheimer and Daughters Trading ' || external_id"


@pytest.fixture(scope="module")
def large(server_url: str, template: str) -> Iterator[tuple[str, Large]]:
    name = f"sizes_{uuid4().hex[:8]}"
    on_server(server_url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    url = database_named(server_url, name)
    workspace_id = asyncio.run(_workspace(url))
    made = make_large(url, workspace_id, customers=4_000, invoices=1_000, conflicts=2_000, plan=4_000)
    with psycopg.connect(url, autocommit=True) as connection:
        for table, column in (("customers", "name"), ("payment_sync_conflicts", "label")):
            connection.execute(f"UPDATE {table} SET {column} = {_LONG_NAME}")
    yield url, made
    on_server(server_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def _workspace(url: str) -> UUID:
    database = Database(url, pool_size=1)
    try:
        return await make_workspace(database)
    finally:
        await database.dispose()


@pytest.fixture
async def visitor(large: tuple[str, Large], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Browser, Large]]:
    url, made = large
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE users CASCADE")
    database = Database(url)
    monkeypatch.setattr(database_module, "_database", database)
    async with browser(database, made.workspace_id, "/") as client:
        yield client, made
    await database.dispose()


def address(route: str, large: Large, ids: dict[str, str]) -> str:
    """A page of the most that it can show."""
    path = route.replace("index", "")
    for name, value in ids.items():
        path = path.replace(f"[{name}]", value)
    queries = {
        "syncs/compare": f"?one={large.sessions[0]}&other={large.sessions[2]}",
        "syncs/record": "?id=cus_777",
        "records/[record_kind]": "?size=25",
        "syncs/[sync_id]/report": "?entity=customers&action=update",
    }
    return f"/{path}{queries.get(route, '')}"


def ids_of(url: str, large: Large) -> dict[str, str]:
    with psycopg.connect(url) as connection:
        [(conflict,)] = connection.execute("SELECT id FROM payment_sync_conflicts LIMIT 1").fetchall()
        [(record,)] = connection.execute("SELECT id FROM customers LIMIT 1").fetchall()
    return {
        "sync_id": str(large.session_id),
        "conflict_id": str(conflict),
        "record_kind": "customers",
        "record_key": str(record),
        "batch_id": str(uuid4()),
    }


LARGEST = {
    "customers": ("records/[record_kind]", "/records/customers?size=50"),
    "invoices": ("records/[record_kind]", "/records/invoices?size=50"),
    "syncs": ("syncs", "/syncs"),
    "conflicts": ("conflicts", "/conflicts"),
    "settled conflicts": ("conflicts", "/conflicts?status=resolved"),
    **{
        f"objects to {action}": ("syncs/[sync_id]/report", f"/syncs/[sync_id]/report?entity=customers&action={action}")
        for action in ("create", "update", "conflict", "error")
    },
}


@pytest.mark.parametrize(("route", "path"), LARGEST.values(), ids=LARGEST.keys())
async def test_a_list_at_its_largest_comes_in_small_messages(
    visitor: tuple[Browser, Large], route: str, path: str
) -> None:
    client, made = visitor
    client.path = path.replace("[sync_id]", str(made.session_id))
    await client.send(LOADS[route][-1].state, LOADS[route][-1].fn.__name__)
    # A browser has the defaults with the bundle: the first message is this client's own way to be told them.
    _, *messages = client.messages
    assert any({"rows", "runs", "lines"} & message.names for message in messages)
    assert [(message.size, sorted(message.names)) for message in messages if message.size > A_MESSAGE] == []


@pytest.mark.parametrize("route", sorted(LOADS))
async def test_a_page_sends_no_more_than_it_shows(
    visitor: tuple[Browser, Large], large: tuple[str, Large], route: str
) -> None:
    client, made = visitor
    client.path = address(route, made, ids_of(large[0], made))
    first = LOADS[route][0]
    # A client that is new here is told all defaults, and its page is loaded, whatever it asks first.
    await client.send(first.state, first.fn.__name__)
    longest = {name: len(value) for name, value in client.told.items() if isinstance(value, list) and len(value) > ROWS}
    assert longest == {}
    defaults, *messages = client.messages
    assert defaults.size <= DEFAULTS
    assert [(message.size, sorted(message.names)) for message in messages if message.size > A_MESSAGE] == []
