"""The API as a client meets it, in the test's own process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from starlette.applications import Starlette

from dashboard.api.app import api_mount
from sync_core.sandbox.launch import SandboxProcess
from sync_core.services.api_keys import KeyLevel, issue
from sync_core.settings import Settings
from sync_core.store.database import Database
from tests.services import KEY, settings_for, small_sandbox


@pytest.fixture(scope="session")
def api_sandbox() -> Iterator[SandboxProcess]:
    with small_sandbox(customers=60) as running:
        yield running


@pytest.fixture
def api_settings(api_sandbox: SandboxProcess, tmp_path: Path) -> Settings:
    return settings_for(api_sandbox, tmp_path)


@dataclass(frozen=True)
class Client:
    """Calls under /api/v1 with a key of a level; `headers` replace or, when None, leave out."""

    http: httpx.AsyncClient
    workspace_id: UUID
    keys: dict[KeyLevel, str]

    async def __call__(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        level: KeyLevel = KeyLevel.ADMIN,
        headers: dict[str, str | None] | None = None,
        **more: Any,
    ) -> httpx.Response:
        sent = {"X-API-Key": self.keys[level], "X-Workspace-ID": str(self.workspace_id)} | (headers or {})
        kept = {name: value for name, value in sent.items() if value is not None}
        if json is not None:
            more["json"] = json
        return await self.http.request(method, f"/api/v1{path}", headers=kept, **more)


async def issued(database: Database, workspace_id: UUID, level: KeyLevel) -> str:
    key = await issue(database, workspace_id, level=level, name=f"test {level.value}")
    assert isinstance(key, str)
    return key


@pytest.fixture
async def http(database: Database, api_settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=[api_mount(lambda: database, lambda: api_settings)])
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.fixture
async def call(http: httpx.AsyncClient, database: Database, workspace_id: UUID) -> Client:
    return Client(http, workspace_id, {level: await issued(database, workspace_id, level) for level in KeyLevel})


@pytest.fixture
async def connected(call: Client) -> dict[str, Any]:
    answer = await call("PUT", "/connections/stripe", {"api_key": KEY})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found
