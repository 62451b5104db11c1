"""Who may call what, and the one shape of every no."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from dashboard.api.app import create_api
from dashboard.api.middleware import MOST_BODY_BYTES
from sync_core.services.api_keys import KeyLevel
from sync_core.settings import Settings
from sync_core.store.database import Database
from tests.api.conftest import Client, issued
from tests.conftest import make_workspace

SESSIONS = "/sync/stripe/sessions"


def assert_error(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"code", "message", "details"}
    assert error["code"] == code
    assert error["message"].endswith((".", ")"))
    assert isinstance(error["details"], dict)
    return error


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        pytest.param({"X-API-Key": None}, 401, "unauthorized", id="no key"),
        pytest.param({"X-API-Key": ""}, 401, "unauthorized", id="empty key"),
        pytest.param({"X-API-Key": "csk_wrong"}, 401, "unauthorized", id="no such key"),
        pytest.param({"X-Workspace-ID": None}, 400, "invalid_workspace_id", id="no workspace"),
        pytest.param({"X-Workspace-ID": "default"}, 400, "invalid_workspace_id", id="not a UUID"),
        pytest.param({"X-Workspace-ID": str(uuid4())}, 404, "workspace_not_found", id="another workspace"),
        pytest.param({"X-API-Key": None, "X-Workspace-ID": None}, 401, "unauthorized", id="neither"),
    ],
)
async def test_refused_headers(call: Client, headers: dict[str, str | None], status: int, code: str) -> None:
    assert_error(await call("GET", SESSIONS, headers=headers), status, code)


async def test_a_key_of_another_workspace_finds_nothing(call: Client, database: Database) -> None:
    other = await make_workspace(database, "Other")
    key = await issued(database, other, KeyLevel.ADMIN)

    assert_error(await call("GET", SESSIONS, headers={"X-API-Key": key}), 404, "workspace_not_found")


@pytest.mark.parametrize(
    ("method", "path", "body", "least"),
    [
        pytest.param("POST", "/sync/stripe/initial", {"entity_types": ["customers"]}, KeyLevel.WRITE, id="start"),
        pytest.param("POST", "/sync/stripe/estimate", {"entity_types": ["customers"]}, KeyLevel.WRITE, id="estimate"),
        pytest.param("PUT", f"{SESSIONS}/{uuid4()}/cancel", None, KeyLevel.WRITE, id="cancel"),
        pytest.param("POST", f"{SESSIONS}/{uuid4()}/resume", None, KeyLevel.WRITE, id="resume"),
        pytest.param("POST", f"{SESSIONS}/{uuid4()}/apply", None, KeyLevel.WRITE, id="apply"),
        pytest.param("PUT", "/connections/stripe", {"api_key": "pk_test_1"}, KeyLevel.ADMIN, id="connect"),
        pytest.param("POST", "/connections/stripe/check", None, KeyLevel.ADMIN, id="check"),
        pytest.param("POST", "/connections/stripe/disconnect", {"confirmation": "x"}, KeyLevel.ADMIN, id="disconnect"),
        pytest.param(
            "PUT", "/connections/stripe/webhook-secret", {"webhook_secret": "x"}, KeyLevel.ADMIN, id="webhook secret"
        ),
    ],
)
async def test_levels(call: Client, method: str, path: str, body: dict[str, Any] | None, least: KeyLevel) -> None:
    order = list(KeyLevel)
    statuses = {level: (await call(method, path, body, level=level)).status_code for level in order}

    too_low = [level for level in order if order.index(level) < order.index(least)]
    assert too_low
    assert {level: status == 403 for level, status in statuses.items()} == {level: level in too_low for level in order}


async def test_reading_takes_any_level(call: Client) -> None:
    for level in KeyLevel:
        assert (await call("GET", SESSIONS, level=level)).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "more", "status", "code"),
    [
        pytest.param("GET", "/nowhere", {}, 404, "not_found", id="no such address"),
        pytest.param("GET", "/", {}, 404, "not_found", id="the root"),
        pytest.param("DELETE", SESSIONS, {}, 405, "method_not_allowed", id="no such method"),
        pytest.param("GET", f"{SESSIONS}/abc", {}, 400, "invalid_id", id="an id that is none"),
        pytest.param("POST", "/sync/stripe/initial", {"content": b"{nope"}, 400, "malformed_json", id="malformed"),
        pytest.param("POST", "/sync/stripe/initial", {"content": b"[1]"}, 422, "invalid_request", id="not an object"),
        pytest.param("POST", "/sync/stripe/initial", {"content": b""}, 422, "invalid_request", id="no body"),
        pytest.param("POST", "/sync/stripe/initial", {"content": b"\xff\xfe"}, 400, "malformed_json", id="no UTF-8"),
        pytest.param(
            "POST",
            "/sync/stripe/initial",
            {"content": b"x" * (MOST_BODY_BYTES + 1)},
            413,
            "body_too_large",
            id="too large",
        ),
    ],
)
async def test_the_shape_of_errors(
    call: Client, *, method: str, path: str, more: dict[str, Any], status: int, code: str
) -> None:
    headers: dict[str, str | None] = {"Content-Type": "application/json"}
    assert_error(await call(method, path, headers=headers, **more), status, code)


async def test_a_large_body_without_a_length_is_refused(call: Client) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 10_000

    answer = await call("POST", "/sync/stripe/initial", content=endless())

    assert_error(answer, 413, "body_too_large")


async def test_what_breaks_says_nothing_of_itself(api_settings: Settings) -> None:
    def no_database() -> Database:
        raise RuntimeError("secret detail")

    transport = httpx.ASGITransport(app=create_api(no_database, lambda: api_settings), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get(SESSIONS, headers={"X-API-Key": "csk_x"})

    error = assert_error(answer, 500, "internal_error")
    assert "secret" not in str(error)


async def test_health_metrics_and_documents_need_no_key(call: Client) -> None:
    none: dict[str, str | None] = {"X-API-Key": None, "X-Workspace-ID": None}
    await call("GET", SESSIONS)
    health, ready, metrics, schema, docs = [
        await call("GET", path, headers=none) for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs")
    ]

    assert health.json() == ready.json() == {"status": "ok"}
    assert 'cyphera_api_requests_total{method="GET",route="/sync/stripe/sessions",status="200"}' in metrics.text
    assert 'cyphera_open_runs{state="driven"} 0.0' in metrics.text
    assert schema.json()["servers"] == [{"url": "/api/v1"}]
    assert "/sync/stripe/initial" in schema.json()["paths"]
    assert "POST</b>/api/v1/sync/stripe/initial" in docs.text
    assert "src=" not in docs.text
    assert "http" not in docs.text.replace("HTTP", "")


async def test_not_ready_without_a_database(api_settings: Settings) -> None:
    gone = Database("postgresql://nobody@127.0.0.1:9/none")
    transport = httpx.ASGITransport(app=create_api(lambda: gone, lambda: api_settings), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        ready, alive, metrics = [await client.get(path) for path in ("/readyz", "/healthz", "/metrics")]
    await gone.dispose()

    assert_error(ready, 503, "database_away")
    assert (alive.status_code, metrics.status_code) == (200, 200)
