"""What the pages of a large workspace send and keep: no more than is on the screen, whatever is stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from reflex.state import State, state_snapshot_hashes

import dashboard.dashboard
from dashboard.pages.conflict_detail import ConflictState
from dashboard.pages.new_sync import NewSyncState
from dashboard.pages.records import RecordsState
from dashboard.pages.report_state import ReportState
from dashboard.pages.sync_problems import ProblemsState
from dashboard.pages.sync_state import SyncState
from sync_core.domain.vocabulary import EntityType
from sync_core.store import database as database_module
from sync_core.store.database import Database
from tests.conftest import database_named, make_workspace, on_server
from tests.events._browser import Browser, browser
from tests.large_data import Large, make_large

LOADS: dict[str, list[Any]] = dashboard.dashboard.app._load_events
A_MESSAGE = 16_000
# The page that has most to say once keeps some room for what comes to it.
A_RUNS_MESSAGE = 13_000
ROWS = 50
_LONG_NAME = "'Hildegard Oppenheimer and Daughters Trading ' || external_id"
_LONG_TEXT = "repeat('Stripe says that the value ' || external_id || ' does not fit its field. ', 12)"
_ALL_REASONS = "'{missing_parent,unsupported_shape,currency_unknown,value_invalid,fetch_failed,write_failed}'::text[]"
# Every one of its kind, as long as they come: errors of all reasons and several fields, events, and what the large workspace has none of.
_MOST = (
    f"""UPDATE payment_sync_plan_items SET reason_code = ({_ALL_REASONS})[1 + seq %% 6],
  detail = jsonb_build_object('field', 'items.' || seq %% 5, 'message', {_LONG_TEXT}, 'request_id', 'req_' || external_id)
  WHERE action = 'error'""",
    f"UPDATE payment_sync_events SET event_message = {_LONG_TEXT}",
    f"""INSERT INTO products (workspace_id, wallet_id, name, description, payment_provider, payment_account, payment_livemode, external_id)
  SELECT %(workspace)s, (SELECT id FROM wallets WHERE workspace_id = %(workspace)s), 'The large and comfortable plan number ' || i, repeat('With all that belongs to it. ', 5), 'stripe', 'acct_large',
  false, 'prod_' || i FROM generate_series(1, {ROWS * 2}) i""",
    """INSERT INTO prices (workspace_id, product_id, nickname, lookup_key, currency, unit_amount_in_pennies, unit_amount_decimal, billing_scheme,
  interval_type, term_length, payment_provider, payment_account, payment_livemode, external_id)
  SELECT workspace_id, id, 'Nickname of ' || name, external_id, 'EUR', 123456789, 123456789, 'per_unit', 'month', 3, 'stripe', 'acct_large',
  false, 'price_' || external_id FROM products""",
    """INSERT INTO subscriptions (workspace_id, customer_id, product_id, price_id, status, provider_status, quantity, current_period_end,
  cancel_at_period_end, payment_provider, payment_account, payment_livemode, external_id)
  SELECT r.workspace_id, (SELECT id FROM customers LIMIT 1), r.product_id, r.id, 'overdue', 'past_due', 1000, now(), true, 'stripe',
  'acct_large', false, 'sub_' || r.external_id FROM prices r""",
    f"""INSERT INTO payment_sync_plan_items (workspace_id, session_id, entity_type, external_id, seq, action, reason_code, record_id, record_version,
  detail) SELECT workspace_id, %(other)s, entity_type, external_id, seq, CASE WHEN action = 'error' THEN 'error' ELSE 'conflict' END, 'both_changed', record_id,
  record_version + 1, jsonb_build_object('drifted', true, 'message', {_LONG_TEXT}, 'changes', jsonb_build_object('name',
    jsonb_build_array({_LONG_TEXT}, 'b'), 'phone', jsonb_build_array({_LONG_TEXT}, 'b'), 'email', jsonb_build_array({_LONG_TEXT}, 'b')))
  FROM payment_sync_plan_items WHERE session_id = %(session)s""",
)


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
        for statement in _MOST:
            connection.execute(
                statement, {"workspace": workspace_id, "session": made.session_id, "other": made.sessions[0]}
            )
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


RUN, REPORT, RECORDS = "syncs/[sync_id]", "syncs/[sync_id]/report", "records/[record_kind]"
COMPARE = "syncs/compare"
Ask = Callable[[Browser], Awaitable[None]]


def sending(state: type[Any], handler: str, **payload: Any) -> Ask:
    return lambda client: client.send(state, handler, **payload)


async def turning_drift(client: Browser) -> None:
    await client.send(ReportState, "page_drift", cursor=client.of(ReportState, "drift_cursor"))


async def turning_problems(client: Browser) -> None:
    await client.send(ProblemsState, "show", entity="customers", reason="value_invalid")
    await client.send(ProblemsState, "turn", cursor=client.of(ProblemsState, "next_cursor"))


_FILTERS = (
    "entity=customers,invoices,prices&severity=normal,high&field=name,phone,email&reason=both_changed,no_base&transition=filled,other,emptied"
    "&age=day,week,month,older&assignee=nobody,ana@example.com"
)
LARGEST: dict[str, tuple[str, str, str, Ask | None]] = {
    **{kind.value: (RECORDS, f"/records/{kind.value}?size=50", "rows", None) for kind in EntityType},
    "syncs": ("syncs", "/syncs", "runs", None),
    "conflicts": ("conflicts", "/conflicts", "rows", None),
    "conflicts by many filters": ("conflicts", f"/conflicts?{_FILTERS}", "rows", None),
    "settled conflicts": ("conflicts", "/conflicts?status=resolved", "rows", None),
    **{
        f"objects to {action}": (REPORT, f"/syncs/[sync_id]/report?entity=customers&action={action}", "lines", None)
        for action in ("create", "update", "conflict", "error")
    },
    "why": (REPORT, "/syncs/[sync_id]/report", "reasons", None),
    "rows that differ": (COMPARE, "/syncs/compare?one=[sync_id]&other=[other_id]", "rows", None),
    "drift": (REPORT, "/syncs/[sync_id]/report", "drifted", turning_drift),
    "errors by reason": (RUN, "/syncs/[sync_id]", "problems", None),
    "errors one by one": (RUN, "/syncs/[sync_id]", "failures", turning_problems),
    "events": (RUN, "/syncs/[sync_id]", "events", sending(SyncState, "older_events")),
    "events of a kind": (RUN, "/syncs/[sync_id]", "events", sending(SyncState, "show_events", kind="sync_failed")),
}


@pytest.mark.parametrize(("route", "path", "name", "then"), LARGEST.values(), ids=LARGEST.keys())
async def test_a_list_at_its_largest_comes_in_small_messages(
    visitor: tuple[Browser, Large], route: str, path: str, name: str, then: Ask | None
) -> None:
    client, made = visitor
    client.path = path.replace("[sync_id]", str(made.session_id)).replace("[other_id]", str(made.sessions[0]))
    await client.send(LOADS[route][-1].state, LOADS[route][-1].fn.__name__)
    if then is not None:
        await then(client)
    most = A_RUNS_MESSAGE if route == RUN else A_MESSAGE
    assert any(value for told, value in client.told.items() if told.endswith(f".{name}"))
    assert [(one.size, sorted(one.names)) for one in client.messages if one.size > most] == []


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
    assert [(one.size, sorted(one.names)) for one in client.messages if one.size > A_MESSAGE] == []


# Fifty keys of metadata that each say something else on all three sides, beside texts as long as Stripe takes them.
_DIFFERS = """UPDATE payment_sync_conflicts SET fields = ARRAY['metadata', 'name', 'description'], {sides}
WHERE id = %(id)s"""
_SIDE = """{side} = coalesce({side}, '{{}}'::jsonb) || jsonb_build_object('name', repeat('{letter}', 250), 'description', repeat('{letter} “ä” ', 700),
  'metadata', (SELECT jsonb_object_agg('key ' || i, repeat('{letter}', 500)) FROM generate_series(10, 59) i))"""


async def test_a_conflict_of_any_size_comes_in_small_messages(
    visitor: tuple[Browser, Large], large: tuple[str, Large]
) -> None:
    client, _ = visitor
    with psycopg.connect(large[0], autocommit=True) as connection:
        wanted = "SELECT id FROM payment_sync_conflicts WHERE entity_type = 'customers' AND status = 'open' ORDER BY id LIMIT 1"
        [(conflict,)] = connection.execute(wanted).fetchall()
        sides = ", ".join(_SIDE.format(side=side, letter=side[0]) for side in ("local", "base", "theirs"))
        connection.execute(_DIFFERS.format(sides=sides), {"id": conflict})
    client.path = f"/conflicts/{conflict}"
    await client.send(ConflictState, "load")
    rows = client.of(ConflictState, "choices")
    assert {row["key"] for row in rows if not row["nested"]} >= {"metadata", "name", "description"}
    assert 0 < sum(row["nested"] for row in rows) < 50
    # What is typed over begins whole: a part would be written as if it were all.
    typed = {row["key"]: row["typed"] for row in rows if row["custom"]}
    assert "description" not in typed
    assert all(value == "l" * 500 for key, value in typed.items() if key.startswith("metadata"))
    assert [(one.size, sorted(one.names)) for one in client.messages if one.size > A_MESSAGE] == []


def hashes_of_the_bundle() -> list[str]:
    """What a browser says of the defaults that it holds."""
    fresh = State(_reflex_internal_init=True)  # type: ignore[call-arg]  # mypy takes the fields for all arguments
    return state_snapshot_hashes(fresh.dict(initial=True))


async def test_a_tab_that_comes_back_is_told_of_the_page_that_it_is_on(
    visitor: tuple[Browser, Large], large: tuple[str, Large]
) -> None:
    client, made = visitor
    ids, hashes = ids_of(large[0], made), hashes_of_the_bundle()
    for route, loads in LOADS.items():
        client.path = address(route, made, ids)
        await client.send(loads[0].state, loads[0].fn.__name__)
    told: dict[str, list[int]] = {}
    for route in LOADS:
        client.path, before = address(route, made, ids), len(client.messages)
        await client.send(State, "hydrate_and_load", hashes=hashes)
        told[route] = [message.size for message in client.messages[before:]]
    assert {route: sizes for route, sizes in told.items() if max(sizes) > A_MESSAGE} == {}


async def test_coming_back_leaves_what_is_on_the_page_as_it_is(visitor: tuple[Browser, Large]) -> None:
    client, _ = visitor
    hashes = hashes_of_the_bundle()
    for path, state in (("/records/customers", RecordsState), ("/syncs/new", NewSyncState)):
        client.path = path
        await client.send(state, "load")
    await client.send(NewSyncState, "set_strategy", value="flag")
    before = len(client.messages)
    await client.send(State, "hydrate_and_load", hashes=hashes)
    first = client.messages[before]
    assert "strategy" in first.names
    assert "rows" not in first.names
