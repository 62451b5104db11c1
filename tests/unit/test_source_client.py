"""`StripeSource` against a server of our own: what goes over the wire, what comes back, how often it is asked."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from sync_core.domain.vocabulary import EntityType
from sync_core.engine.staging import stage_page
from sync_core.stripe_source import (
    STRIPE_VERSION,
    AuthRefused,
    CursorGone,
    Governor,
    LocalSlots,
    Page,
    PermissionMissing,
    RequestRefused,
    StripeSource,
    StripeUnavailable,
    http_client,
)
from sync_core.stripe_source.governor import Leave
from sync_core.stripe_source.wire import Wire
from tests.unit._wire import FakeWire, Seen, error, fake_server, fake_wire, page, reply

KEY = "sk_test_51H8xQ2eZvKYlo2C"
CUSTOMERS = EntityType.CUSTOMERS

Source = Callable[[FakeWire], StripeSource]


class Naps:
    """Waits between attempts, not waited for."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


@pytest.fixture
def naps() -> Naps:
    return Naps()


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with http_client(max_connections=8) as client:
        yield client


@pytest.fixture
def governor() -> Governor:
    return Governor(LocalSlots(), account="acct_1", mode="test", cap_share=1.0, unlimited=True)


@pytest.fixture
def source(http: httpx.AsyncClient, governor: Governor, naps: Naps) -> Source:
    def build(wire: FakeWire) -> StripeSource:
        return StripeSource(api_key=KEY, base_url=wire.url, http=http, governor=governor, roll=lambda: 1.0, sleep=naps)

    return build


@pytest.mark.parametrize(
    ("entity", "extras"),
    [
        pytest.param(EntityType.CUSTOMERS, [], id="customers"),
        pytest.param(EntityType.PRODUCTS, [], id="products-active-and-not"),
        pytest.param(
            EntityType.PRICES,
            [("expand[]", "data.tiers"), ("expand[]", "data.currency_options")],
            id="prices-with-tiers",
        ),
        pytest.param(EntityType.SUBSCRIPTIONS, [("status", "all")], id="subscriptions-canceled-too"),
        pytest.param(EntityType.INVOICES, [], id="invoices"),
    ],
)
async def test_list_page_is_one_request(source: Source, entity: EntityType, extras: list[tuple[str, str]]) -> None:
    before = time.time()
    async with fake_wire(page([{"id": "x_2", "created": 11}, {"id": "x_1", "created": 10}], more=True)) as wire:
        got = await source(wire).list_page(entity, gte=10, lt=20, starting_after="x_3")

    [seen] = wire.seen
    assert seen.path == f"/v1/{entity.value}"
    assert sorted(seen.params) == sorted(
        [("limit", "100"), *extras, ("created[gte]", "10"), ("created[lt]", "20"), ("starting_after", "x_3")]
    )
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.headers["stripe-version"] == STRIPE_VERSION
    assert [one["id"] for one in got.objects] == ["x_2", "x_1"]
    assert got.has_more
    assert before <= got.requested_at <= time.time()
    assert (got.server_date, got.request_id, got.has_nul) == (1795489200, "req_test", False)


@pytest.mark.parametrize(
    ("entity", "embed", "expanded"),
    [
        pytest.param(EntityType.INVOICES, {CUSTOMERS}, ["data.customer"], id="invoices"),
        pytest.param(EntityType.SUBSCRIPTIONS, {CUSTOMERS, EntityType.PRODUCTS}, ["data.customer"], id="subscriptions"),
        pytest.param(
            EntityType.PRICES,
            {CUSTOMERS, EntityType.PRODUCTS},
            ["data.tiers", "data.currency_options", "data.product"],
            id="prices",
        ),
        pytest.param(CUSTOMERS, {CUSTOMERS}, [], id="customers-name-nobody"),
        pytest.param(EntityType.INVOICES, {EntityType.PRODUCTS}, [], id="not-wanted"),
    ],
)
async def test_parents_come_inside(
    source: Source, entity: EntityType, embed: set[EntityType], expanded: list[str]
) -> None:
    async with fake_wire(page([])) as wire:
        await source(wire).list_page(entity, embed=embed)

    [seen] = wire.seen
    assert [value for name, value in seen.params if name == "expand[]"] == expanded


async def test_objects_are_plain_dicts(source: Source) -> None:
    async with fake_wire(page([{"id": "cus_1", "metadata": {"a": "b"}}])) as wire:
        got = await source(wire).list_page(CUSTOMERS)

    assert type(got.objects[0]) is dict
    assert type(got.objects[0]["metadata"]) is dict


@pytest.mark.parametrize(
    ("body", "name", "has_nul"),
    [
        pytest.param(rb'{"data":[{"id":"a","name":"x\u0000y"}]}', "x\x00y", True, id="nul"),
        pytest.param(rb'{"data":[{"id":"a","name":"\ud83d\ude00"}]}', "\U0001f600", False, id="pair"),
        pytest.param(rb'{"data":[{"id":"a","name":"x\ud83dy"}]}', "x\ufffdy", False, id="half-a-pair"),
        pytest.param('{"data":[{"id":"a","name":"Zoë"}]}'.encode(), "Zoë", False, id="utf-8"),
        pytest.param(rb'{"data":[{"id":"a","name":1e999}]}', None, False, id="number-beyond-floats"),
        pytest.param(rb'{"data":[{"id":"a","name":[NaN, -Infinity, 1.5]}]}', [None, None, 1.5], False, id="no-number"),
    ],
)
async def test_strange_values(source: Source, body: bytes, name: object, has_nul: bool) -> None:
    async with fake_wire(reply(200, body)) as wire:
        got = await source(wire).list_page(CUSTOMERS)

    assert (got.objects[0]["name"], got.has_nul) == (name, has_nul)
    assert len(wire.seen) == 1


FAILURES = [
    pytest.param(error(429, code="rate_limit", headers={"Stripe-Rate-Limited-Reason": "global-rate"}), id="429-rate"),
    pytest.param(error(429, code="lock_timeout"), id="429-lock"),
    pytest.param(error(409, code="lock_timeout"), id="409"),
    pytest.param(reply(500, {"error": {"type": "api_error", "message": "Oops"}}), id="500"),
    pytest.param(reply(502, b"<html>Bad gateway</html>"), id="502-html"),
    pytest.param(reply(503, b""), id="503-empty"),
    pytest.param(error(400, message="again", headers={"Stripe-Should-Retry": "true"}), id="told-to-retry"),
    pytest.param(b"", id="closed-without-answer"),
    pytest.param(reply(200, b'{"data":[{"id":"cus_1"', length=5000), id="cut-body"),
    pytest.param(reply(200, b'{"data":[{"id":"cus_1"'), id="half-json-with-honest-length"),
    pytest.param(reply(200, b"[]"), id="json-but-no-object"),
    pytest.param(reply(200, b"<html>"), id="html-with-200"),
    pytest.param(reply(200, b"not gzip", headers={"Content-Encoding": "gzip"}), id="broken-gzip"),
    pytest.param(b"NOT HTTP\r\n\r\n", id="not-http"),
]


@pytest.mark.parametrize("failure", FAILURES)
async def test_failures_are_repeated_until_an_answer(
    source: Source, governor: Governor, naps: Naps, failure: bytes
) -> None:
    async with fake_wire(failure, failure, page([{"id": "cus_1"}])) as wire:
        got = await source(wire).list_page(CUSTOMERS)

    assert [one["id"] for one in got.objects] == ["cus_1"]
    assert len(wire.seen) == 3
    assert len(naps.taken) == 2
    assert 0 < naps.taken[0] <= naps.taken[1]
    assert (governor.stats().requests, governor.stats().in_flight) == (3, 0)


async def test_the_governor_is_told_what_stripe_said(source: Source, governor: Governor) -> None:
    limited = [
        error(429, code="rate_limit", headers={"Stripe-Rate-Limited-Reason": reason})
        for reason in ("global-rate", "endpoint-rate", "global-rate")
    ]
    async with fake_wire(*limited) as wire:
        await source(wire).list_page(CUSTOMERS)

    assert governor.stats().throttled == {"global-rate": 2, "endpoint-rate": 1}


async def test_requested_at_is_that_of_the_attempt_that_succeeded(source: Source) -> None:
    first_seen: list[float] = []

    def answer(_: Seen) -> bytes:
        first_seen.append(time.time())
        return reply(500) if len(first_seen) == 1 else page()

    async with fake_server(answer) as wire:
        got = await source(wire).list_page(CUSTOMERS)

    assert first_seen[0] <= got.requested_at <= first_seen[1]


async def test_a_silent_server_is_a_timeout(naps: Naps, governor: Governor) -> None:
    async with (
        httpx.AsyncClient(timeout=httpx.Timeout(5, read=0.2)) as http,
        fake_wire(None, then=page([{"id": "cus_1"}])) as wire,
    ):
        source = StripeSource(api_key=KEY, base_url=wire.url, http=http, governor=governor, sleep=naps)
        got = await source.list_page(CUSTOMERS)

    assert len(got.objects) == 1
    # On a machine that is busy itself, more than one answer may be too late.
    assert len(wire.seen) == len(naps.taken) + 1 >= 2


@pytest.mark.parametrize(
    ("answer", "expected", "status"),
    [
        pytest.param(error(401, message="Invalid API Key provided: sk_test_****lo2C"), AuthRefused, 401, id="401"),
        pytest.param(error(403, message="Having the 'rak_customer_read' permission"), PermissionMissing, 403, id="403"),
        pytest.param(
            error(400, code="resource_missing", param="starting_after", message="No such customer: 'cus_9'"),
            CursorGone,
            400,
            id="cursor-deleted",
        ),
        pytest.param(error(400, message="Received unknown parameter"), RequestRefused, 400, id="400"),
        pytest.param(
            reply(302, b"", headers={"Location": "http://127.0.0.1:9/"}),
            RequestRefused,
            302,
            id="redirect-not-followed",
        ),
        pytest.param(error(500, headers={"Stripe-Should-Retry": "false"}), StripeUnavailable, 500, id="told-not-to"),
    ],
)
async def test_refusals_are_asked_once(source: Source, answer: bytes, expected: type[Exception], status: int) -> None:
    async with fake_wire(answer) as wire:
        with pytest.raises(expected) as raised:
            await source(wire).list_page(CUSTOMERS)

    assert len(wire.seen) == 1
    assert getattr(raised.value, "status", None) == status
    assert getattr(raised.value, "request_id", None) == "req_test"


async def test_patience_ends(http: httpx.AsyncClient, governor: Governor, naps: Naps) -> None:
    async with fake_wire(then=reply(500)) as wire:
        source = StripeSource(
            api_key=KEY, base_url=wire.url, http=http, governor=governor, patience=1.0, roll=lambda: 1.0, sleep=naps
        )
        with pytest.raises(StripeUnavailable, match="asked 2 times"):
            await source.list_page(CUSTOMERS)

    assert len(wire.seen) == 2


async def test_nobody_listens(http: httpx.AsyncClient, governor: Governor, naps: Naps) -> None:
    async with fake_wire() as wire:
        pass
    source = StripeSource(api_key=KEY, base_url=wire.url, http=http, governor=governor, patience=0.0, sleep=naps)

    with pytest.raises(StripeUnavailable, match="ConnectError"):
        await source.list_page(CUSTOMERS)


@pytest.mark.parametrize("failure", [error(400, message=f"bad {KEY}"), reply(502, f"echo {KEY}".encode())])
async def test_no_error_shows_the_key(
    http: httpx.AsyncClient, governor: Governor, naps: Naps, failure: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with fake_wire(then=failure) as wire:
        source = StripeSource(api_key=KEY, base_url=wire.url, http=http, governor=governor, patience=0.0, sleep=naps)
        with pytest.raises((RequestRefused, StripeUnavailable)) as raised:
            await source.list_page(CUSTOMERS)

    told = [str(raised.value), repr(raised.value), repr(vars(raised.value)), repr(source), caplog.text]
    assert not [text for text in told if KEY in text]
    assert raised.value.__cause__ is None


async def test_a_cancelled_request_frees_its_place(source: Source, governor: Governor) -> None:
    async with fake_wire(then=page()[:-1]) as wire:
        arrived = asyncio.Event()
        wire.answer = lambda _: arrived.set()
        task = asyncio.create_task(source(wire).list_page(CUSTOMERS))
        await asyncio.wait_for(arrived.wait(), 60)
        assert governor.stats().in_flight == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert governor.stats().in_flight == 0


@pytest.mark.parametrize(
    ("entity", "external_id", "path", "extras"),
    [
        pytest.param(CUSTOMERS, "cus_1", "/v1/customers/cus_1", [], id="customer"),
        pytest.param(
            EntityType.PRICES,
            "gold plan/2024?x=#é",
            "/v1/prices/gold%20plan%2F2024%3Fx%3D%23%C3%A9",
            [("expand[]", "tiers"), ("expand[]", "currency_options")],
            id="custom-id",
        ),
    ],
)
async def test_retrieve(
    source: Source, entity: EntityType, external_id: str, path: str, extras: list[tuple[str, str]]
) -> None:
    async with fake_wire(reply(200, {"id": external_id})) as wire:
        got = await source(wire).retrieve(entity, external_id)

    [seen] = wire.seen
    assert (seen.path, seen.params) == (path, extras)
    assert got.object == {"id": external_id}


async def test_retrieve_of_the_deleted_and_the_unknown(source: Source) -> None:
    stub = {"id": "cus_1", "object": "customer", "deleted": True}
    unknown = error(404, code="resource_missing", param="id", message="No such customer: 'cus_2'")
    async with fake_wire(reply(200, stub), unknown, error(400, message="no")) as wire:
        stripe = source(wire)
        assert (await stripe.retrieve(CUSTOMERS, "cus_1")).object == stub
        missing = await stripe.retrieve(CUSTOMERS, "cus_2")
        with pytest.raises(RequestRefused):
            await stripe.retrieve(CUSTOMERS, "cus_3")

    assert (missing.object, missing.request_id) == (None, "req_test")


@pytest.mark.parametrize(
    ("entity", "external_id", "path", "extras"),
    [
        pytest.param(
            EntityType.SUBSCRIPTIONS, "sub_1", "/v1/subscription_items", [("subscription", "sub_1")], id="items"
        ),
        pytest.param(EntityType.INVOICES, "in_1", "/v1/invoices/in_1/lines", [], id="lines"),
    ],
)
async def test_nested_follows_every_page(
    source: Source, entity: EntityType, external_id: str, path: str, extras: list[tuple[str, str]]
) -> None:
    objects = [{"id": f"i_{number}"} for number in range(150)]
    async with fake_wire(page(objects[:100], more=True), page(objects[100:])) as wire:
        got = await source(wire).nested(entity, external_id)

    assert got == objects
    first, second = wire.seen
    assert (first.path, first.params) == (path, [("limit", "100"), *extras])
    assert second.params == [("limit", "100"), *extras, ("starting_after", "i_99")]


_LINES = [{"id": f"il_{number}"} for number in range(150)]
_GONE = error(400, code="resource_missing", param="starting_after", message="No such line")


@pytest.mark.parametrize("lost", [page([], more=True), _GONE], ids=["empty-page-that-claims-more", "cursor-gone"])
async def test_a_nested_list_that_lost_its_place_is_read_anew(source: Source, lost: bytes) -> None:
    async with fake_wire(
        page(_LINES[:100], more=True), lost, page(_LINES[:100], more=True), page(_LINES[100:])
    ) as wire:
        assert await source(wire).nested(EntityType.INVOICES, "in_1") == _LINES

    assert len(wire.seen) == 4


async def test_a_part_of_a_nested_list_never_passes_for_the_whole(source: Source) -> None:
    async with fake_wire(then=page([], more=True)) as wire:
        with pytest.raises(StripeUnavailable):
            await source(wire).nested(EntityType.INVOICES, "in_1")

    assert len(wire.seen) == 5


_CUT_SHORT = {"id": "in_1", "lines": {"object": "list", "data": _LINES[:10], "has_more": True}}
_NOT_AGAIN = {"stripe-should-retry": "false"}
REFUSALS = {
    "a request that it will not answer": error(400, message="Nobody may"),
    "a permission that lacks": error(403, message="Nobody may"),
    "a failure of its own for this one": error(500, headers=_NOT_AGAIN, message="Nobody may"),
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
async def test_lines_that_stripe_does_not_give_make_an_error_of_their_invoice_alone(
    source: Source, refusal: bytes
) -> None:
    listed = Page([_CUT_SHORT, {"id": "in_2"}], False, 1.0, 1, "req_1", False)
    async with fake_wire(page(_LINES[:100], more=True), refusal) as wire:
        rows = await stage_page(source(wire), EntityType.INVOICES, listed)

    assert [row.external_id for row in rows] == ["in_1", "in_2"]
    issue = rows[0].issue or {}
    assert (rows[0].values, issue["reason"], issue["field"]) == (None, "fetch_failed", "lines")
    assert issue["message"] == "Stripe does not give its lines: Nobody may"


async def test_what_has_no_id_is_asked_for_nothing_and_is_one_error_however_often_it_is_read(source: Source) -> None:
    nameless = {name: value for name, value in _CUT_SHORT.items() if name != "id"} | {"object": "price"}
    async with fake_wire() as wire:
        read = [
            await stage_page(
                source(wire),
                EntityType.INVOICES,
                Page([{"id": "in_2"}] * place + [nameless], False, 1.0, 1, f"req_{place}", False),
            )
            for place in range(2)
        ]

    assert wire.seen == []
    assert read[0][0].external_id == read[1][1].external_id


async def test_a_way_to_stripe_that_is_cut_makes_no_errors(http: httpx.AsyncClient, governor: Governor) -> None:
    listed = Page([_CUT_SHORT], False, 1.0, 1, "req_1", False)
    async with fake_wire(then=page()[:-1]) as wire:
        stripe = StripeSource(api_key=KEY, base_url=wire.url, http=http, governor=governor, patience=0.0)
        with pytest.raises(StripeUnavailable):
            await stage_page(stripe, EntityType.INVOICES, listed)


async def test_tiers_in_other_currencies_are_asked_for_by_name(source: Source) -> None:
    async with fake_wire(reply(200, {"id": "price_1"})) as wire:
        await source(wire).retrieve(EntityType.PRICES, "price_1", tiers_in=["eur", "jpy"])

    assert [value for _, value in wire.seen[0].params] == [
        "tiers",
        "currency_options",
        "currency_options.eur.tiers",
        "currency_options.jpy.tiers",
    ]


@pytest.mark.parametrize(
    ("body", "name"),
    [
        pytest.param({"settings": {"dashboard": {"display_name": "Acme"}}}, "Acme", id="dashboard"),
        pytest.param({"settings": None, "business_profile": {"name": "Acme Ltd"}}, "Acme Ltd", id="profile"),
        pytest.param({}, None, id="neither"),
    ],
)
async def test_account(source: Source, body: dict[str, Any], name: str | None) -> None:
    async with fake_wire(reply(200, {"id": "acct_1", "country": "DE", "default_currency": "eur", **body})) as wire:
        got = await source(wire).account()

    assert got is not None
    assert (got.id, got.display_name, got.country, got.default_currency) == ("acct_1", name, "DE", "eur")
    assert wire.seen[0].path == "/v1/account"


@pytest.mark.parametrize(
    ("message", "account_id"),
    [
        pytest.param("no", None, id="hidden"),
        pytest.param("The key lacks permissions on account 'acct_1Abc'.", "acct_1Abc", id="named in the refusal"),
    ],
)
async def test_account_hidden_from_a_restricted_key(source: Source, message: str, account_id: str | None) -> None:
    async with fake_wire(error(403, message=message)) as wire:
        account = await source(wire).account()

    assert (None if account is None else account.id) == account_id


async def test_probe(source: Source) -> None:
    missing = error(403, message="Having the 'rak_invoice_read' permission would allow this request to continue.")
    async with fake_wire(page([{"id": "in_1", "created": 7}], more=True), page(), missing) as wire:
        stripe = source(wire)
        filled, empty, refused = [await stripe.probe(EntityType.INVOICES) for _ in range(3)]

    assert all(("limit", "1") in seen.params for seen in wire.seen)
    assert (filled.ok, filled.newest_created) == (True, 7)
    assert (empty.ok, empty.newest_created) == (True, None)
    assert (refused.ok, refused.missing_permission) == (False, "rak_invoice_read")


async def test_events_page(source: Source) -> None:
    async with fake_wire() as wire:
        await source(wire).events_page(types=["customer.updated", "price.*"], created_gte=5, ending_before="evt_1")

    assert wire.seen[0].path == "/v1/events"
    assert wire.seen[0].params == [
        ("limit", "100"),
        ("types[]", "customer.updated"),
        ("types[]", "price.*"),
        ("created[gte]", "5"),
        ("ending_before", "evt_1"),
    ]


async def test_loopback_is_not_compressed_but_stripe_is(http: httpx.AsyncClient) -> None:
    async with fake_wire(then=reply(200, gzip.compress(b'{"a":1}'), headers={"Content-Encoding": "gzip"})) as wire:
        near = await Wire(api_key=KEY, base_url=wire.url, http=http).get("/v1/x", [])
        port = wire.url.rsplit(":", 1)[1]
        transport = httpx.AsyncHTTPTransport()
        async with httpx.AsyncClient(transport=_ToPort(transport, int(port))) as redirected:
            far = await Wire(api_key=KEY, base_url="http://api.stripe.test", http=redirected).get("/v1/x", [])

    assert [seen.headers["accept-encoding"] for seen in wire.seen] == ["identity", "gzip"]
    assert near.body == far.body == b'{"a":1}'


class _ToPort(httpx.AsyncBaseTransport):
    """Leads every name to a port of this machine."""

    def __init__(self, inner: httpx.AsyncHTTPTransport, port: int) -> None:
        self._inner = inner
        self._port = port

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(host="127.0.0.1", port=self._port)
        return await self._inner.handle_async_request(request)


async def test_environment_proxies_are_not_used(monkeypatch: pytest.MonkeyPatch, governor: Governor) -> None:
    async with fake_wire() as proxy, fake_wire() as wire:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        async with http_client() as http:
            source = StripeSource(api_key=KEY, base_url=wire.url, http=http, governor=governor)
            await source.list_page(CUSTOMERS)

    assert (len(wire.seen), len(proxy.seen)) == (1, 0)


class Held(Leave):
    """Lets its request go when it is told to."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.released = asyncio.Event()
        self.left = False

    async def about_to_go(self) -> None:
        self.asked.set()
        await self.released.wait()

    def gone(self) -> None:
        self.left = True


async def test_leave_is_asked_for_once_more_before_the_first_byte(http: httpx.AsyncClient) -> None:
    async with fake_wire() as wire:
        sender = Wire(api_key=KEY, base_url=wire.url, http=http)
        await sender.get("/v1/customers", [])
        leave = Held()
        going = asyncio.ensure_future(sender.get("/v1/prices", [], leave))
        await asyncio.wait_for(leave.asked.wait(), 60)
        await sender.get("/v1/products", [])
        before = [one.path for one in wire.seen], leave.left
        leave.released.set()
        await going

    assert before == (["/v1/customers", "/v1/products"], False)
    assert [one.path for one in wire.seen] == ["/v1/customers", "/v1/products", "/v1/prices"]
    assert leave.left
