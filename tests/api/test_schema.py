"""The OpenAPI document held to what the server does, by generated requests over a socket."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen
from uuid import uuid4

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from dashboard.api.app import create_api
from sync_core.sandbox.launch import SandboxProcess
from sync_core.services.api_keys import KeyLevel
from sync_core.store.database import Database
from tests.api.conftest import issued
from tests.conftest import database_named, make_workspace, on_server
from tests.ports import free_port
from tests.services import KEY

schema = schemathesis.openapi.from_dict(create_api().openapi())
ROOT = Path(__file__).parents[2]
START_SECONDS = 180.0
CHECKS: list[CheckFunction] = [status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def served(
    server_url: str, template: str, api_sandbox: SandboxProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, dict[str, str]]]:
    """The address, and headers of an admin's key."""
    name = f"fuzzed_{uuid4().hex[:8]}"
    on_server(server_url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    url = database_named(server_url, name)
    port = free_port()
    environment = os.environ | {
        "DATABASE_URL": url,
        "STRIPE_API_BASE": api_sandbox.url,
        "DATA_DIR": str(tmp_path_factory.mktemp("data")),
        "RATE_UNLIMITED": "1",
    }
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--factory", "--host", "127.0.0.1"]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--no-ws", "tests.api.served:create"], cwd=ROOT, env=environment
    )
    try:
        address = f"http://127.0.0.1:{port}/api/v1"
        wait_until_up(f"{address}/healthz", process)
        headers = asyncio.run(headers_of(url))
        httpx.put(f"{address}/connections/stripe", json={"api_key": KEY}, headers=headers).raise_for_status()
        yield address, headers
    finally:
        process.terminate()
        process.wait(60)
        on_server(server_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def wait_until_up(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urlopen(url, timeout=10):  # noqa: S310 - our own child on loopback
                return
        except (URLError, OSError):
            # A process that ends meanwhile is seen at once.
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
    raise AssertionError(f"nothing answers at {url}")


async def headers_of(url: str) -> dict[str, str]:
    database = Database(url)
    workspace_id = await make_workspace(database)
    key = await issued(database, workspace_id, KeyLevel.ADMIN)
    await database.dispose()
    return {"X-API-Key": key, "X-Workspace-ID": str(workspace_id)}


@schema.exclude(path="/metrics").parametrize()
@settings(
    max_examples=20,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture],
)
def test_answers_are_as_documented(case: schemathesis.Case[Any], served: tuple[str, dict[str, str]]) -> None:
    address, headers = served
    response = case.call(base_url=address, headers=headers)

    assert response.status_code < 500 or response.status_code == 502
    case.validate_response(response, checks=CHECKS)


def test_every_route_of_the_contract_is_documented() -> None:
    documented = {
        (method.upper(), path) for path, methods in create_api().openapi()["paths"].items() for method in methods
    }

    assert documented >= {
        ("PUT", "/connections/stripe"),
        ("POST", "/sync/stripe/initial"),
        ("GET", "/sync/stripe/sessions"),
        ("GET", "/sync/stripe/sessions/{session_id}"),
        ("PUT", "/sync/stripe/sessions/{session_id}/cancel"),
        ("POST", "/sync/stripe/sessions/{session_id}/resume"),
        ("POST", "/sync/stripe/sessions/{session_id}/apply"),
        ("GET", "/sync/stripe/sessions/{session_id}/events"),
        ("GET", "/sync/stripe/sessions/{session_id}/report"),
        ("GET", "/sync/stripe/conflicts"),
        ("POST", "/sync/stripe/conflicts/{conflict_id}/resolve"),
        ("POST", "/sync/stripe/conflicts/bulk-preview"),
        ("POST", "/sync/stripe/conflicts/bulk-resolve"),
        ("POST", "/webhooks/stripe/{workspace_id}"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
    }
