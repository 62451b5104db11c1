"""Stripe's read API over a socket: lists, cursors, windows, retrieval, versions."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from sync_core.sandbox.account import ENTITIES, Account
from sync_core.sandbox.blueprint import Blueprint, Json, Sizes
from sync_core.sandbox.collection import Window
from sync_core.sandbox.keys import DEMO_KEY
from sync_core.sandbox.server import SandboxServer

SHARED = Path(os.environ.get("SHARED_DIR", str(Path(__file__).parents[3] / "shared")))
RECORDED = SHARED / "stripe" / "objects"
PLAN = Blueprint(sizes=Sizes(customers=1_600))
ACCOUNT = Account.generated(PLAN)


class Reader:
    """A client that reads pages the way a sync does."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def get(self, path: str, *, expect: int = 200, headers: dict[str, str] | None = None, **params: Any) -> Json:
        answer = await self.http.get(path, params=params, headers=headers)
        assert answer.status_code == expect, answer.text[:300]
        body: Json = answer.json()
        return body

    async def all(self, path: str, *, limit: int = 100, **params: Any) -> list[Json]:
        found: list[Json] = []
        while True:
            cursor = {"starting_after": found[-1]["id"]} if found else {}
            page = await self.get(path, limit=limit, **params, **cursor)
            assert not set(ids(page["data"])) & set(ids(found)), "an object was listed twice"
            found += page["data"]
            if not page["has_more"]:
                return found
            assert len(page["data"]) == limit


@pytest.fixture(scope="module")
async def stripe() -> AsyncIterator[Reader]:
    headers = {"Authorization": f"Bearer {DEMO_KEY}"}
    async with SandboxServer(ACCOUNT) as server, httpx.AsyncClient(base_url=server.url, headers=headers) as http:
        yield Reader(http)


def ids(objects: list[Json]) -> list[str]:
    return [body["id"] for body in objects]


@pytest.mark.parametrize("entity", ENTITIES)
@pytest.mark.parametrize("limit", [7, 100])
async def test_pages_hold_everything_once_newest_first(stripe: Reader, entity: str, limit: int) -> None:
    everything: dict[str, Any] = {"status": "all"} if entity == "subscriptions" else {}
    found = await stripe.all(f"/v1/{entity}", limit=limit, **everything)

    assert ids(found) == list(ACCOUNT.truth(entity))
    assert all(newer["created"] >= older["created"] for newer, older in pairwise(found))


async def test_ten_are_listed_by_default(stripe: Reader) -> None:
    page = await stripe.get("/v1/customers")

    assert (page["object"], len(page["data"]), page["has_more"], page["url"]) == ("list", 10, True, "/v1/customers")


@pytest.mark.parametrize(
    ("limit", "more"),
    [
        pytest.param(24, False, id="exactly-all"),
        pytest.param(23, True, id="one-left"),
        pytest.param(99, False, id="over"),
    ],
)
async def test_has_more_is_exact(stripe: Reader, limit: int, more: bool) -> None:
    assert (await stripe.get("/v1/products", limit=limit))["has_more"] is more


async def test_ending_before_reads_backwards(stripe: Reader) -> None:
    truth = list(ACCOUNT.truth("customers"))
    near_top = await stripe.get("/v1/customers", limit=5, ending_before=truth[3])
    middle = await stripe.get("/v1/customers", limit=5, ending_before=truth[40])

    whole = await stripe.get("/v1/customers", limit=3, ending_before=truth[3])

    assert (ids(near_top["data"]), near_top["has_more"]) == (truth[:3], False)
    assert whole == near_top
    assert (ids(middle["data"]), middle["has_more"]) == (truth[35:40], True)


@pytest.mark.parametrize("entity", ENTITIES)
async def test_windows_cut_at_shared_seconds_lose_nothing(stripe: Reader, entity: str) -> None:
    seconds = sorted({body["created"] for body in ACCOUNT.truth_objects(entity)})
    cuts = [0, *seconds[:: max(1, len(seconds) // 6)], PLAN.until]
    everything: dict[str, Any] = {"status": "all"} if entity == "subscriptions" else {}
    found: list[str] = []
    for low, high in pairwise(cuts):
        window = {"created[gte]": low, "created[lt]": high}
        found = ids(await stripe.all(f"/v1/{entity}", **everything, **window)) + found

    assert found == list(ACCOUNT.truth(entity))


async def test_more_than_a_page_in_one_second(stripe: Reader) -> None:
    seconds = [body["created"] for body in ACCOUNT.truth_objects("customers")]
    fullest = max(set(seconds), key=seconds.count)
    found = await stripe.all("/v1/customers", created=fullest)

    assert len(found) == seconds.count(fullest) > 100
    assert ids(found) == list(ACCOUNT.truth("customers", Window(fullest, fullest + 1)))


async def test_a_cursor_newer_than_the_window_gives_an_empty_page_with_more(stripe: Reader) -> None:
    truth = list(ACCOUNT.truth_objects("customers"))
    window = {"created[lt]": truth[50]["created"], "starting_after": truth[0]["id"]}
    page = await stripe.get("/v1/customers", **window)
    older = await stripe.get("/v1/customers", **{"created[gte]": truth[50]["created"]}, starting_after=truth[-1]["id"])

    assert (page["data"], page["has_more"]) == ([], True)
    assert (older["data"], older["has_more"]) == ([], False)


@pytest.mark.parametrize(
    ("path", "params", "expected"),
    [
        pytest.param("/v1/customers", {"limit": 101}, (400, "parameter_invalid_integer", "limit"), id="limit"),
        pytest.param("/v1/customers", {"x": 1}, (400, "parameter_unknown", "x"), id="unknown-parameter"),
        pytest.param(
            "/v1/customers", {"starting_after": "cus_no"}, (400, "resource_missing", "starting_after"), id="lost-cursor"
        ),
        pytest.param(
            "/v1/prices", {"ending_before": "p"}, (400, "resource_missing", "ending_before"), id="lost-cursor-before"
        ),
        pytest.param("/v1/subscriptions", {"status": "dead"}, (400, None, "status"), id="status"),
        pytest.param("/v1/prices", {"expand[]": "tiers"}, (400, None, "expand"), id="expand-without-data"),
        pytest.param("/v1/prices", {"expand[]": "data.colour"}, (400, None, "expand"), id="expand-unknown"),
        pytest.param("/v1/invoices/in_no", {}, (404, "resource_missing", "id"), id="no-such-object"),
        pytest.param("/v1/subscription_items", {}, (400, "parameter_missing", "subscription"), id="items-of-what"),
        pytest.param("/v1/invoices/in_no/lines", {}, (404, "resource_missing", "invoice"), id="lines-of-what"),
        pytest.param("/v1/wallets", {}, (404, None, None), id="no-such-url"),
    ],
)
async def test_refusals(
    stripe: Reader, path: str, params: dict[str, Any], expected: tuple[int, str | None, str | None]
) -> None:
    status, code, param = expected
    error = (await stripe.get(path, expect=status, **params))["error"]

    assert (error["type"], error.get("code"), error.get("param")) == ("invalid_request_error", code, param)
    assert error["message"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (None, {"active", "trialing", "past_due", "unpaid", "incomplete", "incomplete_expired", "paused"}),
        ("canceled", {"canceled"}),
        ("ended", {"canceled", "incomplete_expired"}),
        ("past_due", {"past_due"}),
    ],
)
async def test_subscription_status(stripe: Reader, status: str | None, expected: set[str]) -> None:
    found = await stripe.all("/v1/subscriptions", limit=9, **({"status": status} if status else {}))
    truth = [body["id"] for body in ACCOUNT.truth_objects("subscriptions") if body["status"] in expected]

    assert ids(found) == truth
    assert {body["status"] for body in found} == expected


async def test_filters(stripe: Reader) -> None:
    body = next(body for body in ACCOUNT.truth_objects("invoices") if body["parent"])
    subscription = body["parent"]["subscription_details"]["subscription"]
    of_customer = await stripe.all("/v1/invoices", customer=body["customer"])
    of_subscription = await stripe.all("/v1/invoices", subscription=subscription)
    archived = await stripe.all("/v1/prices", active="false")

    assert body["id"] in ids(of_customer)
    assert {found["customer"] for found in of_customer} == {body["customer"]}
    assert body["id"] in ids(of_subscription)
    assert {found["active"] for found in archived} == {False}


@pytest.mark.parametrize("entity", ENTITIES)
async def test_hidden_and_deleted_objects_answer_by_id_only(stripe: Reader, entity: str) -> None:
    hidden = list(ACCOUNT.collections[entity].hidden(live=False))
    listed = set(ACCOUNT.truth(entity))

    assert len(hidden) >= 3
    for body in hidden:
        found = await stripe.get(f"/v1/{entity}/{body['id']}")
        assert body["id"] not in listed
        assert found["id"] == body["id"]
        if body.get("deleted"):
            assert found == {"id": body["id"], "object": entity[:-1], "deleted": True}


@pytest.mark.parametrize("entity", ["customers", "subscriptions"])
async def test_test_clock_objects_are_listed_for_their_clock(stripe: Reader, entity: str) -> None:
    bodies = [body for body in ACCOUNT.collections[entity].hidden(live=False) if body.get("test_clock")]
    found = await stripe.get(f"/v1/{entity}", test_clock=bodies[0]["test_clock"])

    assert ids(found["data"]) == [bodies[0]["id"]]


async def test_tiers_and_currency_options_come_only_when_asked_for(stripe: Reader) -> None:
    expand: dict[str, Any] = {"expand[]": ["data.tiers", "data.currency_options"]}
    bare = await stripe.all("/v1/prices")
    asked = await stripe.all("/v1/prices", **expand)
    graduated = next(price for price in asked if price["tiers_mode"] == "graduated")
    only_tiers: dict[str, Any] = {"expand[]": "tiers"}
    single = await stripe.get(f"/v1/prices/{graduated['id']}", **only_tiers)

    assert all("tiers" not in price and "currency_options" not in price for price in bare)
    assert len(graduated["tiers"]) > 1
    assert single["tiers"] == graduated["tiers"]
    assert "currency_options" not in single
    assert any(price["currency_options"] for price in asked)


async def test_references_expand(stripe: Reader) -> None:
    paths = ["data.customer", "data.items.data.price.product", "data.latest_invoice"]
    expand: dict[str, Any] = {"expand[]": paths}
    found = await stripe.all("/v1/subscriptions", **expand)

    assert {body["customer"]["object"] for body in found} == {"customer"}
    assert {item["price"]["product"]["object"] for body in found for item in body["items"]["data"]} == {"product"}
    assert any(body["latest_invoice"] and body["latest_invoice"]["object"] == "invoice" for body in found)


@pytest.mark.parametrize(
    ("entity", "name"),
    [pytest.param("subscriptions", "items", id="items"), pytest.param("invoices", "lines", id="lines")],
)
async def test_nested_lists_show_ten_and_page_on(stripe: Reader, entity: str, name: str) -> None:
    whole = next(body for body in ACCOUNT.truth_objects(entity) if len(body[name]["data"]) > 10)
    shown = (await stripe.get(f"/v1/{entity}/{whole['id']}"))[name]
    path, _, query = shown["url"].partition("?")
    params = dict(pair.split("=") for pair in query.split("&") if pair)

    assert (len(shown["data"]), shown["has_more"]) == (10, True)
    assert ids(await stripe.all(path, limit=5, **params)) == ids(whole[name]["data"])
    listed = [body for body in await stripe.all(f"/v1/{entity}") if body["id"] == whole["id"]]
    assert listed[0][name] == shown


SHAPES = {
    "newest subscription": ("2026-06-24.dahlia", "subscriptions", {"managed_payments"}, {"current_period_end", "plan"}),
    "clover subscription": ("2025-09-30.clover", "subscriptions", {"billing_mode"}, {"managed_payments", "plan"}),
    "old subscription": ("2024-06-20", "subscriptions", {"current_period_end", "discount", "plan"}, {"billing_mode"}),
    "newest invoice": ("2026-06-24.dahlia", "invoices", {"parent", "total_taxes"}, {"paid", "charge", "tax"}),
    "basil invoice": ("2025-03-31.basil", "invoices", {"parent"}, {"paid", "customer_account"}),
    "old invoice": ("2020-08-27", "invoices", {"paid", "charge", "payment_intent", "tax"}, {"parent", "total_taxes"}),
}


@pytest.mark.parametrize("name", SHAPES)
async def test_shapes_follow_the_version(stripe: Reader, name: str) -> None:
    version, entity, present, absent = SHAPES[name]
    answer = await stripe.http.get(f"/v1/{entity}?limit=100", headers={"Stripe-Version": version})

    assert answer.headers["Stripe-Version"] == version
    for body in answer.json()["data"]:
        assert present <= body.keys()
        assert absent.isdisjoint(body.keys())


async def test_old_shapes_say_the_same(stripe: Reader) -> None:
    old = {"Stripe-Version": "2020-08-27"}
    for body in list(ACCOUNT.truth_objects("invoices"))[:60]:
        found = await stripe.get(f"/v1/invoices/{body['id']}", headers=old)
        details = (body["parent"] or {}).get("subscription_details") or {}
        assert found["subscription"] == details.get("subscription")
        assert found["paid"] is (body["status"] == "paid")
        assert (found["tax"] or 0) == body["total"] - body["subtotal"]
        assert all({"price", "plan", "proration", "type"} <= line.keys() for line in found["lines"]["data"])
    for body in list(ACCOUNT.truth_objects("subscriptions"))[:60]:
        found = await stripe.get(f"/v1/subscriptions/{body['id']}", headers=old)
        assert found["current_period_end"] == body["items"]["data"][0]["current_period_end"]
        assert "current_period_end" not in found["items"]["data"][0]
        recurring = [item["price"]["recurring"] for item in found["items"]["data"]]
        assert all("aggregate_usage" in each for each in recurring)


async def test_an_impossible_version_is_refused(stripe: Reader) -> None:
    error = (await stripe.get("/v1/customers", expect=400, headers={"Stripe-Version": "tomorrow"}))["error"]

    assert error["message"] == "Invalid Stripe API version: tomorrow"


@pytest.mark.parametrize("object_id", ["plan-" + "9" * 5_000, "plan-007", "cus_%22", "%00", "plan-"])
async def test_odd_ids_are_unknown(stripe: Reader, object_id: str) -> None:
    error = (await stripe.get(f"/v1/products/{object_id}", expect=404))["error"]

    assert error["code"] == "resource_missing"


@pytest.mark.skipif(not RECORDED.exists(), reason="SHARED_DIR with recorded Stripe data is absent")
async def test_recordings_are_listed_and_retrieved_as_they_are() -> None:
    account = Account.from_folder(RECORDED)
    headers = {"Authorization": f"Bearer {DEMO_KEY}", "Stripe-Version": "2024-06-20"}
    async with SandboxServer(account) as server, httpx.AsyncClient(base_url=server.url, headers=headers) as http:
        reader = Reader(http)
        for entity in ENTITIES:
            everything: dict[str, Any] = {"status": "all"} if entity == "subscriptions" else {}
            listed = await reader.all(f"/v1/{entity}", limit=2, **everything)
            assert ids(listed) == list(account.truth(entity))
            for body in listed:
                assert body == await reader.get(f"/v1/{entity}/{body['id']}")
        for body in account.truth_objects("subscriptions"):
            items = await reader.all("/v1/subscription_items", subscription=body["id"])
            assert items == body.get("items", {}).get("data", [])


async def test_the_stripe_library_reads_it(stripe: Reader) -> None:
    from stripe import HTTPXClient, StripeClient

    client = StripeClient(DEMO_KEY, base_addresses={"api": str(stripe.http.base_url)}, http_client=HTTPXClient())
    page = await client.v1.subscriptions.list_async({"status": "all", "limit": 100})
    found = [body.id async for body in page.auto_paging_iter()]

    assert found == list(ACCOUNT.truth("subscriptions"))
