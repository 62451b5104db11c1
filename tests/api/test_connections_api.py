"""/connections/stripe and the webhooks that follow from it."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from sync_core.services.api_keys import KeyLevel
from sync_core.store.database import Database
from tests.api.conftest import Client
from tests.api.test_access import assert_error
from tests.services import KEY

SECRET = "whsec_0123456789"


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [
        pytest.param("", 422, "key_missing", id="empty"),
        pytest.param("hello", 422, "key_malformed", id="no key"),
        pytest.param("pk_live_0123456789abcdef", 422, "publishable_key", id="publishable"),
        pytest.param("sk_test_revoked_0123456789", 422, "key_not_accepted", id="revoked"),
        pytest.param("rk_test_no_prices_01234567", 422, "permission_missing", id="under-privileged"),
    ],
)
async def test_bad_keys(call: Client, key: str, status: int, code: str) -> None:
    answer = await call("PUT", "/connections/stripe", {"api_key": key})

    error = assert_error(answer, status, code)
    assert error["details"]["field"] == "api_key"
    assert [check["name"] for check in error["details"]["checks"] if check["status"] == "failed"]
    assert not key or key not in answer.text
    assert_error(await call("GET", "/connections/stripe"), 404, "not_connected")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="no key"),
        pytest.param({"api_key": 5}, id="a number"),
        pytest.param({"api_key": None}, id="null"),
        pytest.param({"api_key": KEY, "base_url": "http://evil"}, id="an address"),
    ],
)
async def test_bad_bodies_are_not_repeated(call: Client, body: dict[str, Any]) -> None:
    answer = await call("PUT", "/connections/stripe", body)

    assert_error(answer, 422, "invalid_request")
    assert KEY not in answer.text


async def test_connect_show_disconnect(call: Client, connected: dict[str, Any]) -> None:
    shown = (await call("GET", "/connections/stripe")).json()
    assert shown == connected
    assert (shown["object"], shown["livemode"], shown["key"]) == (
        "connection",
        False,
        {"kind": "restricted", "last4": KEY[-4:]},
    )
    assert KEY not in json.dumps(shown)

    other = await call("PUT", "/connections/stripe", {"api_key": "sk_test_acct2_0123456789"})
    assert_error(other, 409, "account_differs")
    again = await call("POST", "/connections/stripe/check")
    assert again.json()["id"] == shown["id"]
    wrong = await call("POST", "/connections/stripe/disconnect", {"confirmation": "yes"})
    assert assert_error(wrong, 422, "confirmation_mismatch")["details"]["field"] == "confirmation"
    done = await call("POST", "/connections/stripe/disconnect", {"confirmation": shown["account_name"]})
    assert done.status_code == 204
    assert_error(await call("GET", "/connections/stripe"), 404, "not_connected")


@pytest.mark.usefixtures("connected")
async def test_how_fast_the_account_is_read(call: Client) -> None:
    path = "/connections/stripe/read-cap"
    found = (await call("GET", path, level=KeyLevel.READ)).json()
    assert (found["requests_per_second"], found["per_list"], found["most"], found["is_default"]) == (20, 20, 25, True)

    assert_error(await call("PUT", path, {"requests_per_second": 5}, level=KeyLevel.WRITE), 403, "forbidden")
    too_many = await call("PUT", path, {"requests_per_second": 26})
    assert assert_error(too_many, 422, "read_cap_out_of_range")["details"]["field"] == "requests_per_second"
    for bad in ({}, {"requests_per_second": "5"}, {"requests_per_second": 2.5}, {"requests_per_second": True}):
        assert_error(await call("PUT", path, bad), 422, "invalid_request")

    saved = (await call("PUT", path, {"requests_per_second": 5})).json()
    assert saved == (await call("GET", path)).json()
    assert (saved["requests_per_second"], saved["per_list"], saved["is_default"]) == (5, 5, False)
    assert [(one["from"], one["to"]) for one in saved["changes"]] == [(20, 5)]
    assert saved["limit_set_elsewhere"] is False
    again = (await call("PUT", path, {"requests_per_second": None})).json()
    assert (again["requests_per_second"], again["is_default"]) == (20, True)


def signed(body: bytes, secret: str = SECRET, at: int | None = None) -> dict[str, str | None]:
    moment = int(time.time()) if at is None else at
    digest = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={moment},v1={digest}", "X-API-Key": None, "X-Workspace-ID": None}


EVENT = json.dumps({"id": "evt_1", "object": "event", "type": "customer.updated", "account": None}).encode()


@pytest.mark.usefixtures("connected")
async def test_signed_events_are_kept_once(call: Client, database: Database) -> None:
    await call("PUT", "/connections/stripe/webhook-secret", {"webhook_secret": SECRET})
    path = f"/webhooks/stripe/{call.workspace_id}"

    answers = [await call("POST", path, content=EVENT, headers=signed(EVENT)) for _ in range(2)]

    assert [(one.status_code, one.json()) for one in answers] == [(200, {"received": True})] * 2
    async with database.workspace(call.workspace_id) as session:
        kept = (await session.execute(text("SELECT event_id, event_type FROM payment_webhook_inbox"))).all()
    assert [tuple(row) for row in kept] == [("evt_1", "customer.updated")]


@pytest.mark.usefixtures("connected")
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        pytest.param({}, "signature_malformed", id="unsigned"),
        pytest.param({"Stripe-Signature": "t=1,v1=00"}, "signature_invalid", id="made up"),
        pytest.param(signed(EVENT, "whsec_other"), "signature_invalid", id="another secret"),
        pytest.param(signed(EVENT, at=1_600_000_000), "signature_expired", id="old"),
    ],
)
async def test_unsigned_events_are_refused(
    call: Client, database: Database, headers: dict[str, str | None], code: str
) -> None:
    await call("PUT", "/connections/stripe/webhook-secret", {"webhook_secret": SECRET})

    answer = await call("POST", f"/webhooks/stripe/{call.workspace_id}", content=EVENT, headers=headers)

    assert_error(answer, 400, code)
    async with database.workspace(call.workspace_id) as session:
        assert (await session.execute(text("SELECT count(*) FROM payment_webhook_inbox"))).scalar_one() == 0


async def test_a_workspace_without_webhooks_is_like_one_that_is_not_there(call: Client) -> None:
    answers = [
        await call("POST", f"/webhooks/stripe/{workspace}", content=EVENT, headers=signed(EVENT))
        for workspace in (call.workspace_id, uuid4())
    ]

    assert answers[0].status_code == 400
    assert answers[0].json() == answers[1].json()
