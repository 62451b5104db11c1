"""What is at the edge of Stripe's shapes, through the sandbox and PostgreSQL: stored whole, compared whole, read back the same."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from sync_core.domain.fields import FIELDS, ORDER
from sync_core.domain.vocabulary import EntityType, SessionStatus, Strategy
from sync_core.sandbox.account import Account
from sync_core.sandbox.faults import FaultRule
from sync_core.sandbox.http import Response
from sync_core.sandbox.server import SandboxServer
from sync_core.sandbox.world import Script
from sync_core.store.database import Database
from sync_core.store.values_sql import TABLES, values_expression
from tests import support, truth
from tests.retrying import RETRY_ALL, again, failed, requests
from tests.support import sync
from tests.unit import _stripe_objects as make

Raw = dict[str, Any]

_TIERS: list[Raw] = [
    {"flat_amount": 500, "flat_amount_decimal": "500", "unit_amount": 100, "unit_amount_decimal": "100", "up_to": 10},
    {"flat_amount": None, "flat_amount_decimal": None, "unit_amount": None, "unit_amount_decimal": "0.000000000001"}
    | {"up_to": None},
]
_OTHER_TIERS = [{**_TIERS[0], "unit_amount": 90, "unit_amount_decimal": "90"}, _TIERS[1]]
_ONE_TIME: Raw = {"type": "one_time", "recurring": None}
_NONE: Raw = {"unit_amount": None, "unit_amount_decimal": None}
_TIERED: Raw = {"billing_scheme": "tiered", "tiers": _TIERS, **_NONE}
_EUR = {"custom_unit_amount": None, "tax_behavior": "inclusive", "unit_amount": None, "unit_amount_decimal": "899.5"}

PRICES: dict[str, Raw] = {
    "graduated": {**_TIERED, "tiers_mode": "graduated"},
    "volume": {**_TIERED, "tiers_mode": "volume"},
    "metered": {"recurring": {"interval": "month", "interval_count": 3, "usage_type": "metered", "meter": "mtr_1"}},
    "custom": {"custom_unit_amount": {"maximum": 50_000, "minimum": 500, "preset": 1_000}, **_ONE_TIME, **_NONE},
    "sub-cent": {"unit_amount": None, "unit_amount_decimal": "0.000000000001"},
    "package": {"transform_quantity": {"divide_by": 1000, "round": "up"}},
    "several currencies": {"currency_options": {"eur": _EUR, "jpy": {**_EUR, "unit_amount_decimal": "1500"}}},
    "tiers in several currencies": {
        **_TIERED,
        "tiers_mode": "graduated",
        "currency_options": {
            "usd": {"tiers": _TIERS, "unit_amount": None, "unit_amount_decimal": None},
            "eur": {"tiers": _OTHER_TIERS, "unit_amount": None, "unit_amount_decimal": None},
        },
    },
    "free": {"unit_amount": 0, "unit_amount_decimal": "0"},
    "beyond 32 bits": {"unit_amount": 9_999_999_999_999, "unit_amount_decimal": "9999999999999"},
    "three decimals": {"currency": "kwd", "unit_amount": 1234, "unit_amount_decimal": "1234"},
    "no decimals": {"currency": "jpy", "unit_amount": 1000, "unit_amount_decimal": "1000"},
    "gold/plan one? é%2F#": {"lookup_key": "by hand"},
}
CUSTOMERS: dict[str, Raw] = {
    "cus_no_email": {"email": None, "name": None, "phone": "+1 555 0100"},
    "cus_limits": {"metadata": {f"{number:02d}{'k' * 38}": "é" * 500 for number in range(50)}},
    "cus_four_bytes": {
        "name": "🦜" * 64,
        "metadata": {"🦜" * 40: "𝄞" * 500},
        "description": "\u202eright to left\u2066",
    },
    "cus_long": {"name": "ß" * 256, "email": f"{'é' * 500}@example.com", "description": "𝄞" * 5000},
    "cus_quotes": {"name": 'O\'Neil \\ "x" \\N \\t', "description": "tab\tline\nreturn\r{{}} %s :name"},
    "cus_nul": {"name": "A\0da", "metadata": {"k\0": "v\0"}, "description": "\\u0000 only written so"},
    "cus_empty": {"name": "", "email": "", "phone": "", "description": "", "metadata": {}},
    "cus_clocked": {"test_clock": "clock_1"},
}


def _lines(count: int) -> Raw:
    lines = [
        {
            "id": f"il_{number}",
            "object": "line_item",
            "amount": number,
            "currency": "usd",
            "description": f"Line {number}",
        }
        | {"quantity": 1, "pricing": {"price_details": {"price": "package", "product": "prod_1"}}}
        for number in range(count)
    ]
    return {"object": "list", "data": lines, "has_more": False}


def _items(*prices: Raw) -> Raw:
    items = [make.item(id=f"si_{place}", price=price, quantity=place) for place, price in enumerate(prices)]
    return {"object": "list", "data": items, "has_more": False}


def border_objects() -> dict[str, list[Raw]]:
    prices = [make.price(id=name, **fields) for name, fields in PRICES.items()]
    inline = make.price(id="price_inline", active=False)
    many = [make.price(id=f"price_{number}") for number in range(25)]
    customers = [make.customer(id=name, **fields) for name, fields in CUSTOMERS.items()]
    return {
        "customers": [*customers, make.customer(), {"id": "cus_gone", "object": "customer", "deleted": True}],
        "products": [
            make.product(description="Ünï \0 code", images=["https://example.com/1.png"], url="https://example.com"),
            {"id": "prod_gone", "object": "product", "deleted": True},
        ],
        "prices": [
            *prices,
            *many,
            inline,
            make.price(id="price_orphan", product="prod_gone", nickname="Nick"),
            {"id": "price_gone", "object": "price", "deleted": True},
        ],
        "subscriptions": [
            make.subscription(id="sub_25", items=_items(*many), trial_end=40, metadata={"a": "b"}),
            make.subscription(id="sub_inline", items=_items(inline)),
            make.subscription(id="sub_metered", items={"data": [make.item(price=prices[2], quantity=None)]}),
            make.subscription(
                id="sub_orphan", customer="cus_gone", status="canceled", canceled_at=50, ended_at=60, items=_items(many[0])
            ),
            make.subscription(id="sub_clocked", customer="cus_clocked", test_clock="clock_1", items=_items(many[1])),
        ],
        "invoices": [
            make.invoice(
                id="in_25", lines=_lines(25), subscription="sub_25", number="A-1", tax=200, billing_reason="manual",
                collection_method="send_invoice", period_start=1, period_end=2, due_date=3,
                hosted_invoice_url="https://x", invoice_pdf="https://y",
            ),
            make.invoice(id="in_clocked", customer="cus_clocked", subscription="sub_clocked"),
            make.invoice(id="in_draft", status="draft", number=None, status_transitions={"paid_at": None}),
            make.invoice(id="in_negative", total=-1200, amount_due=0, amount_paid=0, subtotal=-1200),
        ],
    }  # fmt: skip


class Forgetful(dict[str, Raw]):
    """Stubs that are never kept: what was deleted is then as if it had never been."""

    def __setitem__(self, key: str, stub: Raw) -> None:
        return


async def synced(database: Database, workspace_id: UUID, account: Account) -> support.Ended:
    async with SandboxServer(account) as server:
        return await sync(database, workspace_id, server.url, support.config(batch_size=7))


async def errors_of(database: Database, workspace_id: UUID, session_id: UUID) -> list[Raw]:
    return await support.rows(
        database,
        workspace_id,
        "SELECT entity_type, external_id, reason_code, detail->>'field' AS field FROM payment_sync_plan_items"
        " WHERE session_id = :s AND action = 'error'",
        s=session_id,
    )


async def test_everything_at_the_edge_is_stored_whole(database: Database, workspace_id: UUID) -> None:
    account = Account.from_objects(border_objects(), unlisted=["price_inline"])

    ended = await synced(database, workspace_id, account)

    assert ended.status is SessionStatus.COMPLETED, ended.counters
    await truth.assert_equal_to(database, workspace_id, account)
    assert await truth.round_trips(database, workspace_id) == []
    found = await truth.stored(database, workspace_id)
    gone = {(entity.value, one) for entity in ORDER for one, record in found[entity].items() if record.values is None}
    assert gone == {("customers", "cus_gone"), ("products", "prod_gone")}
    assert {"cus_clocked", "cus_no_email"} <= found[EntityType.CUSTOMERS].keys()
    assert {"sub_clocked"} <= found[EntityType.SUBSCRIPTIONS].keys()
    assert {"price_inline", *PRICES} <= found[EntityType.PRICES].keys()


async def test_every_field_of_every_entity_type_is_read_back_from_its_column(
    database: Database, workspace_id: UUID
) -> None:
    """No field is absent throughout, or its round trip would show nothing."""
    await synced(database, workspace_id, Account.from_objects(border_objects(), unlisted=["price_inline"]))

    for entity in ORDER:
        told = {
            name
            for row in await support.rows(
                database,
                workspace_id,
                f"SELECT {values_expression(entity, 't')} AS local FROM {TABLES[entity]} t WHERE deleted_at IS NULL",
            )
            for name, value in row["local"].items()
            if value is not None
        }
        assert {field.name for field in FIELDS[entity]} - told == set(), entity.value
    assert await truth.round_trips(database, workspace_id) == []


async def test_an_id_that_fits_no_index_is_one_error_however_often_it_is_read(
    database: Database, workspace_id: UUID
) -> None:
    """The proof lists it again, and a retry can't ask for it: that makes it neither two errors nor one that is gone."""
    long, nul = "x" * 600, "price_\0nul"
    prices = [make.price(id=one) for one in (long, nul, "price_1")]
    account = Account.from_objects({"products": [make.product()], "prices": prices})
    async with SandboxServer(account) as server:
        wanted = support.config(EntityType.PRODUCTS, EntityType.PRICES)
        ended = await sync(database, workspace_id, server.url, wanted)
        retried = await again(database, server, ended, RETRY_ALL)
        assert requests(server) == {}

    for one in (ended, retried):
        counted = one.counters["prices"]
        assert (counted["created"], counted["failed"], counted["skipped"]) == (2, 1, 0)
        assert counted["verified"]["late_count"] == 0
        assert one.status is SessionStatus.PARTIAL
    assert list((await failed(database, ended)).values()) == ["value_invalid"]
    assert await support.stored_ids(database, workspace_id, EntityType.PRICES) == {"price_\ufffdnul", "price_1"}


async def raw_of(database: Database, workspace_id: UUID, external_id: str) -> Raw:
    row = await support.rows(
        database, workspace_id, "SELECT payment_raw::text AS raw FROM prices WHERE external_id = :id", id=external_id
    )
    found: Raw = orjson.loads(row[0]["raw"])
    return found


async def test_tiers_in_other_currencies_are_asked_for_where_the_list_leaves_them_out(
    database: Database, workspace_id: UUID
) -> None:
    account = Account.from_objects(border_objects())
    async with SandboxServer(account) as server:
        await sync(database, workspace_id, server.url, support.config(EntityType.PRICES))
        asked = server.world.statistics.requests["GET /v1/prices/:id"]

    raw = await raw_of(database, workspace_id, "tiers in several currencies")
    assert raw["currency_options"]["eur"]["tiers"] == _OTHER_TIERS
    assert asked == 1


MONEY: dict[str, tuple[str, Raw]] = {
    "a tier": ("graduated", {"tiers": _OTHER_TIERS}),
    "the mode of tiers": ("graduated", {"tiers_mode": "volume"}),
    "the exact amount": ("sub-cent", {"unit_amount_decimal": "0.000000000002"}),
    "the package": ("package", {"transform_quantity": {"divide_by": 1000, "round": "down"}}),
    "another currency": ("several currencies", {"currency_options": {"eur": {**_EUR, "unit_amount_decimal": "899.6"}}}),
    "the least custom amount": ("custom", {"custom_unit_amount": {"maximum": 50_000, "minimum": 501, "preset": 1_000}}),
    "a tier in another currency": (
        "tiers in several currencies",
        {"currency_options": {"usd": {"tiers": _TIERS}, "eur": {"tiers": _TIERS}}},
    ),
}  # fmt: skip


async def test_a_change_in_anything_of_money_is_seen(database: Database, workspace_id: UUID) -> None:
    """One price changes at a time, and just that one is updated."""
    account = Account.from_objects(border_objects())
    wanted = support.config(EntityType.PRICES, strategy=Strategy.OVERWRITE)
    async with SandboxServer(account) as server:
        await sync(database, workspace_id, server.url, wanted)
        for name, (external_id, changed) in MONEY.items():
            account.update("prices", external_id, changed, now=server.world.now())
            counted = (await sync(database, workspace_id, server.url, wanted)).counters["prices"]
            assert (counted["updated"], counted["created"], counted["failed"]) == (1, 0, 0), name
    assert await truth.round_trips(database, workspace_id) == []


@pytest.mark.parametrize(
    ("entity", "listed", "external_id"),
    [
        (EntityType.INVOICES, "GET /v1/invoices", "in_25"),
        (EntityType.PRICES, "GET /v1/prices", "tiers in several currencies"),
    ],
    ids=["lines", "tiers"],
)
async def test_what_is_deleted_while_its_parts_are_read_is_a_tombstone_and_not_a_record_without_them(
    database: Database, workspace_id: UUID, entity: EntityType, listed: str, external_id: str
) -> None:
    account = Account.from_objects(border_objects())
    async with SandboxServer(account) as server:
        # The second answer of a list is its first page: the first is the probe.
        gone = {"op": "delete", "type": entity.value, "id": external_id}
        server.world.set_scripts([Script(listed, 2, [gone])])
        ended = await sync(database, workspace_id, server.url, support.config(entity))

    assert ended.status is SessionStatus.COMPLETED
    assert (await truth.stored(database, workspace_id))[entity][external_id].values is None
    assert await support.stored_ids(database, workspace_id, entity) - {external_id} == set(account.truth(entity.value))


async def test_an_object_whose_parts_stripe_will_not_tell_is_an_error_until_it_does(
    database: Database, workspace_id: UUID
) -> None:
    account = Account.from_objects(border_objects())
    async with SandboxServer(account) as server:
        kept = dict(account.collections["invoices"].stubs)
        server.world.set_scripts([Script("GET /v1/invoices", 2, [{"op": "delete", "type": "invoices", "id": "in_25"}])])
        account.collections["invoices"].stubs = Forgetful(kept)
        ended = await sync(database, workspace_id, server.url, support.config(EntityType.INVOICES))

    errors = await errors_of(database, workspace_id, ended.session_id)
    assert [(row["external_id"], row["reason_code"], row["field"]) for row in errors] == [
        ("in_25", "fetch_failed", "lines")
    ]
    assert ended.status is SessionStatus.PARTIAL
    assert "in_25" not in await support.stored_ids(database, workspace_id, EntityType.INVOICES)


async def test_a_preview_of_an_invoice_is_passed_over_and_not_missed(database: Database, workspace_id: UUID) -> None:
    account = Account.from_objects(
        {"customers": [make.customer()], "invoices": [make.invoice(), make.invoice(id="upcoming_in_1")]}
    )
    async with SandboxServer(account) as server:
        ended = await sync(database, workspace_id, server.url, support.config())

    assert ended.status is SessionStatus.COMPLETED
    counted = ended.counters["invoices"]
    assert (counted["created"], counted["skipped"], counted["verified"]["expected"]) == (1, 1, 1)


async def test_half_a_surrogate_pair_and_nul_cross_the_wire(database: Database, workspace_id: UUID) -> None:
    """What a careless client wrote into Stripe: JSON that Python's and Rust's readers refuse, and text that PostgreSQL does."""
    broken = "\\ud83e\\u0000end"
    account = Account.from_objects({"customers": [make.customer(), make.customer(id="cus_broken", name="MARK")]})
    async with SandboxServer(account) as server:
        finished = server._api._finished

        def spoiled(response: Response, version: str | None, fault: FaultRule | None) -> Response:
            response.body = response.body.replace(b"MARK", broken.encode())
            return finished(response, version, fault)

        server._api._finished = spoiled  # type: ignore[method-assign]  # bytes that the sandbox itself can't write
        ended = await sync(database, workspace_id, server.url, support.config(EntityType.CUSTOMERS))

    assert ended.status is SessionStatus.COMPLETED
    found = (await truth.stored(database, workspace_id))[EntityType.CUSTOMERS]
    assert (found["cus_broken"].values or {})["name"] == "\ufffd\ufffdend"
    assert len(found) == 2


async def test_a_subscription_with_a_line_whose_price_nobody_has_is_an_error(
    database: Database, workspace_id: UUID
) -> None:
    """Not a record with a line that leads nowhere; and not one whose prices are yet to be created, as in a dry run."""
    known, other = make.price(), make.price(id="price_2")
    account = Account.from_objects(
        {
            "customers": [make.customer()],
            "products": [make.product()],
            "prices": [known, other],
            "subscriptions": [
                make.subscription(id="sub_whole", items=_items(known, other)),
                make.subscription(id="sub_part", items=_items(known, make.price(id="price_nowhere"))),
            ],
        }
    )
    async with SandboxServer(account) as server:
        for dry_run in (True, False):
            ended = await sync(database, workspace_id, server.url, support.config(dry_run=dry_run))
            errors = await errors_of(database, workspace_id, ended.session_id)
            assert [(row["external_id"], row["reason_code"], row["field"]) for row in errors] == [
                ("sub_part", "missing_parent", "items")
            ]
    assert await support.stored_ids(database, workspace_id, EntityType.SUBSCRIPTIONS) == {"sub_whole"}


async def test_a_value_that_fits_no_index_is_an_error_and_the_rest_is_stored(
    database: Database, workspace_id: UUID
) -> None:
    """PostgreSQL's word for it is one of those that are waited for."""
    noise = random.Random(1)
    long = "".join(chr(noise.randrange(0x4E00, 0x9FFF)) for _ in range(3000))
    account = Account.from_objects({"customers": [make.customer(name=long), make.customer(id="cus_2")]})
    async with SandboxServer(account) as server:
        ended = await sync(database, workspace_id, server.url, support.config(EntityType.CUSTOMERS))

    errors = await errors_of(database, workspace_id, ended.session_id)
    assert [(row["external_id"], row["reason_code"]) for row in errors] == [("cus_1", "write_failed")]
    assert await support.stored_ids(database, workspace_id, EntityType.CUSTOMERS) == {"cus_2"}


async def test_every_recorded_object_goes_through_the_sandbox_into_postgresql(
    database: Database, workspace_id: UUID, shared_dir: Path
) -> None:
    account = Account.from_folder(shared_dir / "stripe" / "objects")
    listed = {entity: set(account.truth(entity.value)) for entity in ORDER}
    assert min(map(len, listed.values())) > 1

    ended = await synced(database, workspace_id, account)

    # The recordings are of several accounts: parents that none of them holds are named, one error for each child.
    errors = await errors_of(database, workspace_id, ended.session_id)
    failed = {entity: {row["external_id"] for row in errors if row["entity_type"] == entity} for entity in ORDER}
    assert {row["reason_code"] for row in errors} <= {"missing_parent"}, json.dumps([dict(row) for row in errors])
    for entity in ORDER:
        stored = await support.stored_ids(database, workspace_id, entity)
        assert listed[entity] - failed[entity] <= stored
        assert not failed[entity] & stored
    assert await truth.round_trips(database, workspace_id) == []
