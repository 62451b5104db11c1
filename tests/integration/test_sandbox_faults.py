"""What the sandbox does on request: faults, limits, changes while being paged, wrong clocks; and its process."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

import httpx
import pytest

from sync_core.sandbox.account import ENTITIES, Account
from sync_core.sandbox.blueprint import Blueprint, Json, Sizes
from sync_core.sandbox.keys import DEMO_KEY
from sync_core.sandbox.launch import SandboxProcess
from sync_core.sandbox.server import SandboxServer

AUTH = {"Authorization": f"Bearer {DEMO_KEY}"}
SMALL = Sizes(40, 5, 15, 12, 12)


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    async with SandboxServer(lambda suffix: Account.generated(Blueprint(f"faults{suffix}", SMALL))) as server:
        yield server


@pytest.fixture
async def http(sandbox: SandboxServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=sandbox.url, headers=AUTH, timeout=60) as client:
        yield client


async def put(http: httpx.AsyncClient, path: str, body: Any) -> Json:
    answer = await http.put(f"/_sandbox/{path}", json=body)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def key(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}"}


@pytest.mark.parametrize(
    ("kind", "status", "code", "reason"),
    [
        ("rate_global", 429, "rate_limit", "global-rate"),
        ("rate_endpoint", 429, "rate_limit", "endpoint-rate"),
        ("lock_timeout", 429, "lock_timeout", None),
        ("error500", 500, None, None),
    ],
)
async def test_refusals_on_request(
    http: httpx.AsyncClient, kind: str, status: int, code: str | None, reason: str | None
) -> None:
    rule = {"kind": kind, "match": "GET /v1/customers", "count": 1, "headers": {"Retry-After": "3"}}
    await put(http, "faults", [rule])
    failed = await http.get("/v1/customers")
    other = await http.get("/v1/prices")
    again = await http.get("/v1/customers")

    assert (failed.status_code, failed.json()["error"].get("code")) == (status, code)
    assert failed.headers.get("Stripe-Rate-Limited-Reason") == reason
    assert failed.headers["Retry-After"] == "3"
    assert (other.status_code, again.status_code) == (200, 200)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        pytest.param("reset", httpx.ReadError, id="reset"),
        pytest.param("truncate", httpx.RemoteProtocolError, id="truncate"),
        pytest.param("black_hole", httpx.ReadTimeout, id="black-hole"),
    ],
)
async def test_broken_connections(
    sandbox: SandboxServer, http: httpx.AsyncClient, kind: str, error: type[Exception]
) -> None:
    await put(http, "faults", [{"kind": kind, "count": 1}])
    patience = 0.3 if error is httpx.ReadTimeout else 60.0
    async with httpx.AsyncClient(base_url=sandbox.url, headers=AUTH, timeout=patience) as impatient:
        with pytest.raises(error):
            await impatient.get("/v1/customers?limit=40")
    assert (await http.get("/v1/customers")).status_code == 200
    assert (await http.get("/_sandbox/stats")).json()["faults"] == {kind: 1}


async def test_slow_bodies_arrive_whole(http: httpx.AsyncClient) -> None:
    await put(http, "faults", [{"kind": "slow", "count": 1, "delay_ms": 200}])
    began = time.monotonic()
    answer = await http.get("/v1/customers?limit=40")

    assert time.monotonic() - began >= 0.17
    assert len(answer.json()["data"]) == 40


async def test_one_object_of_a_page_is_malformed(http: httpx.AsyncClient) -> None:
    whole = (await http.get("/v1/prices?limit=15")).json()["data"]
    broken_id = whole[4]["id"]
    await put(http, "faults", [{"kind": "malformed_object", "match": "GET /v1/prices", "ids": [broken_id]}])
    found = (await http.get("/v1/prices?limit=15")).json()["data"]

    assert found[4] | whole[4] == whole[4]
    assert found[4] != whole[4]
    assert (found[4]["id"], found[4]["created"], found[4]["currency"]) == (broken_id, whole[4]["created"], "zzz")
    assert found[:4] + found[5:] == whole[:4] + whole[5:]


async def test_empty_page_that_promises_more(http: httpx.AsyncClient) -> None:
    await put(http, "faults", [{"kind": "empty_page", "count": 1}])
    page = (await http.get("/v1/customers")).json()

    assert (page["data"], page["has_more"]) == ([], True)


@pytest.mark.parametrize("rules", [[{"kind": "rain"}], {"kind": "reset"}, [{"match": "*"}], "reset"])
async def test_bad_rules_are_refused(http: httpx.AsyncClient, rules: Any) -> None:
    answer = await http.put("/_sandbox/faults", json=rules)

    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize(
    ("limits", "reason"),
    [pytest.param("live", "endpoint-rate", id="live"), pytest.param("test", "global-rate", id="test")],
)
async def test_limits_refuse_what_comes_too_fast(
    sandbox: SandboxServer, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, limits: str, reason: str
) -> None:
    """However long the requests take, to the limits they all come at one moment."""
    await put(http, "settings", {"limits": limits})
    limiter, most = sandbox.world.limiter, 60
    at_once = partial(limiter.refusal, now=time.monotonic())
    monkeypatch.setattr(limiter, "refusal", lambda account, endpoint, _now: at_once(account, endpoint))
    answers = [await http.get("/v1/customers?limit=1") for _ in range(most)]
    refused = [answer for answer in answers if answer.status_code == 429]
    stats = (await http.get("/_sandbox/stats")).json()

    assert most - len(refused) == 25
    assert {answer.headers["Stripe-Rate-Limited-Reason"] for answer in refused} == {reason}
    assert stats["rate_limited"] == {reason: len(refused)}
    assert stats["requests_by_endpoint"] == {"GET /v1/customers": most}


async def test_objects_come_and_go_while_being_paged(http: httpx.AsyncClient) -> None:
    truth = (await http.get("/_sandbox/truth?type=customers")).json()["ids"]
    gone, made = truth[9], "cus_made_meanwhile"
    mutations = [
        {"op": "delete", "type": "customers", "id": gone},
        {"op": "create", "type": "customers", "object": {"id": made, "name": "Meanwhile"}},
    ]
    await put(http, "scripts", [{"endpoint": "GET /v1/customers", "after": 1, "mutations": mutations}])
    first = (await http.get("/v1/customers?limit=10")).json()["data"]
    lost = await http.get(f"/v1/customers?limit=10&starting_after={first[-1]['id']}")
    after = (await http.get("/_sandbox/truth?type=customers")).json()

    assert [body["id"] for body in first] == truth[:10]
    assert (lost.status_code, lost.json()["error"]["code"]) == (400, "resource_missing")
    assert after == {"ids": [made, *(object_id for object_id in truth if object_id != gone)], "count": 40}


async def test_a_failing_script_is_told(http: httpx.AsyncClient) -> None:
    mutations = [{"op": "delete", "type": "customers", "id": "cus_nobody"}]
    await put(http, "scripts", [{"endpoint": "GET /v1/prices", "after": 1, "mutations": mutations}])
    assert (await http.get("/v1/prices")).status_code == 200

    errors = (await http.get("/_sandbox/stats")).json()["script_errors"]
    assert errors == ["ValueError: No such customer: cus_nobody"]


@pytest.mark.parametrize("entity", ENTITIES)
async def test_changes_show_everywhere(http: httpx.AsyncClient, entity: str) -> None:
    target = (await http.get(f"/_sandbox/truth?type={entity}")).json()["ids"][3]
    update = {"op": "update", "type": entity, "id": target, "fields": {"metadata": {"seen": "yes"}}}
    create = {"op": "create", "type": entity, "created": 1_700_000_000}
    made = (await http.post("/_sandbox/mutations", json=[update, create])).json()["objects"][1]["id"]
    listed = (await http.get(f"/v1/{entity}?limit=100")).json()["data"]
    single = (await http.get(f"/v1/{entity}/{target}")).json()
    true = (await http.get(f"/_sandbox/truth/{entity}/{target}")).json()
    events = (await http.get("/v1/events")).json()["data"]

    assert single["metadata"] == true["metadata"] == {"seen": "yes"}
    assert [body["metadata"] for body in listed if body["id"] == target] in ([{"seen": "yes"}], [])
    assert listed[-1]["id"] == made
    assert [event["data"]["object"]["id"] for event in events] == [made, target]
    assert (await http.get(f"/v1/events/{events[0]['id']}")).json() == events[0]


async def test_full_truth_is_one_object_a_line(http: httpx.AsyncClient) -> None:
    lines = (await http.get("/_sandbox/truth?type=prices&full=1")).text.splitlines()
    ids = (await http.get("/_sandbox/truth?type=prices")).json()["ids"]

    bodies = [json.loads(line) for line in lines]
    assert [body["id"] for body in bodies] == ids
    assert any(body["tiers"] for body in bodies)


async def test_the_clock_can_be_wrong(http: httpx.AsyncClient) -> None:
    await put(http, "settings", {"skew_seconds": -600})
    date = parsedate_to_datetime((await http.get("/v1/customers")).headers["Date"]).timestamp()
    made = (await http.post("/_sandbox/mutations", json={"op": "create", "type": "customers"})).json()["objects"][0]

    assert abs(date - (time.time() - 600)) < 60
    assert abs(made["created"] - (time.time() - 600)) < 60


async def test_latency_is_waited_for(http: httpx.AsyncClient) -> None:
    await put(http, "settings", {"latency_ms": 80, "jitter_ms": 20})
    began = time.monotonic()
    answers = await asyncio.gather(*(http.get("/v1/customers?limit=1") for _ in range(5)))

    assert time.monotonic() - began >= 0.08
    assert {answer.status_code for answer in answers} == {200}


async def test_headers_of_an_answer(http: httpx.AsyncClient) -> None:
    good, bad = await http.get("/v1/customers"), await http.get("/v1/customers", headers=key("sk_test_revoked"))

    assert good.headers["Stripe-Version"] == "2026-06-24.dahlia"
    assert good.headers["Request-Id"].startswith("req_")
    assert good.headers["Request-Id"] != bad.headers["Request-Id"]
    assert bad.status_code == 401
    assert "Stripe-Version" not in bad.headers


EXPANDED = ("invoices?expand[]=data.customer", "customers")


@pytest.mark.parametrize("resource", [*ENTITIES, "events", "account", EXPANDED[0]])
async def test_restricted_keys_are_told_what_they_lack(http: httpx.AsyncClient, resource: str) -> None:
    lacking = EXPANDED[1] if resource == EXPANDED[0] else resource
    account_id = (await http.get("/v1/account")).json()["id"]
    answer = await http.get(f"/v1/{resource}", headers=key(f"rk_test_no_{lacking}_77"))

    assert answer.status_code == 403
    assert "_read' permission would allow this request to continue." in answer.json()["error"]["message"]
    assert account_id in answer.json()["error"]["message"]


async def test_keys_lead_to_accounts_and_modes(http: httpx.AsyncClient) -> None:
    async def seen(name: str) -> tuple[str, bool, str]:
        account = (await http.get("/v1/account", headers=key(name))).json()["id"]
        first = (await http.get("/v1/subscriptions?limit=1", headers=key(name))).json()["data"][0]
        assert first["items"]["data"][0]["price"]["livemode"] is first["livemode"]
        return account, first["livemode"], first["id"]

    test, live, other = await seen("sk_test_a"), await seen("sk_live_a"), await seen("rk_test_a_acct2")
    assert (test[0], test[1], live[1]) == (live[0], False, True)
    assert test[0] != other[0]
    assert test[2] != other[2]


async def test_it_is_read_only(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/customers", data={"name": "x"})

    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"hello\r\n\r\n", id="not-http"),
        pytest.param(b"GET /v1/customers HTTP/1.1\r\nContent-Length: -4\r\n\r\n", id="bad-length"),
        pytest.param(b"x" * 70_000, id="endless-head"),
    ],
)
async def test_what_is_not_http_is_turned_away(sandbox: SandboxServer, raw: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.port)
    writer.write(raw)
    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()


@pytest.mark.parametrize("latency_ms", [0, 20])
async def test_requests_sent_ahead_are_answered_in_order(sandbox: SandboxServer, latency_ms: float) -> None:
    sandbox.world.latency.fixed_ms = latency_ms
    reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.port)
    head = f"GET /v1/customers?limit=%d HTTP/1.1\r\nAuthorization: Bearer {DEMO_KEY}\r\n%s\r\n"
    writer.write((head % (1, "") + head % (2, "Connection: close\r\n")).encode())
    answers = (await asyncio.wait_for(reader.read(), 60)).split(b"HTTP/1.1 200 OK")[1:]
    bodies = [json.loads(answer.partition(b"\r\n\r\n")[2]) for answer in answers]

    assert [len(body["data"]) for body in bodies] == [1, 2]
    writer.close()


def test_the_process_serves_and_is_told() -> None:
    with SandboxProcess("--customers", "300", "--seed", "process") as sandbox:
        ids = sandbox.truth("customers")
        newest = sandbox.mutate({"op": "create", "type": "customers", "object": {"name": "Ada"}})[0]
        sandbox.faults({"kind": "error500", "count": 1})
        answers = [httpx.get(f"{sandbox.url}/v1/customers?limit=1", headers=AUTH) for _ in range(2)]
        stats = sandbox.stats()
        sandbox.reset_stats()

        assert len(ids) == 300
        assert [answer.status_code for answer in answers] == [500, 200]
        assert answers[1].json()["data"][0]["id"] == newest["id"]
        assert sandbox.true_object("customers", newest["id"])["name"] == "Ada"
        assert (stats["requests"], stats["objects"]) == (2, 1)
        assert sandbox.stats()["requests"] == 0
        with pytest.raises(RuntimeError, match="Unknown type"):
            sandbox.truth("wallets")


def test_the_process_ends_with_its_parent() -> None:
    command = [sys.executable, "-m", "sync_core.sandbox", "--port", "0", "--watch-stdin", "--customers", "5"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stdout.readline().startswith(b"listening on http://127.0.0.1:")
        child.stdin.close()
        assert child.wait(60) == 0


def test_a_process_that_cannot_start_is_told() -> None:
    with pytest.raises(RuntimeError, match="did not start"):
        SandboxProcess("--limits", "sometimes").start()


@pytest.mark.parametrize("customers", [10_000, 1_000_000])
def test_a_million_customers_take_no_more_memory(customers: int) -> None:
    with SandboxProcess("--customers", str(customers)) as sandbox:
        before = sandbox.stats()["peak_memory_bytes"]
        assert len(sandbox.truth("customers")) == customers
        with httpx.Client(base_url=sandbox.url, headers=AUTH) as http:
            for second in range(1_730_419_200, 1_793_491_200, 1_000_000):
                http.get("/v1/customers", params={"limit": 100, "created[gte]": second})
        after = sandbox.stats()["peak_memory_bytes"]

    assert after - before < 16 * 1024 * 1024
    assert after < 100 * 1024 * 1024
