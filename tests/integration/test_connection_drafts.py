"""A connection that is begun and left: sealed, examined, taken up, discarded, forgotten; and nothing is connected by it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text

from sync_core.domain.vocabulary import Role
from sync_core.errors import Refusal
from sync_core.jobs.housekeeping import prune
from sync_core.sandbox.launch import SandboxProcess
from sync_core.services import connection_drafts as drafts
from sync_core.services import connections
from sync_core.services.check_results import Check, CheckName, CheckStatus
from sync_core.services.connection_drafts import DraftView
from sync_core.services.connection_views import ConnectionView, ConnectRefusal
from sync_core.settings import Settings
from sync_core.store.database import Database
from tests.services import KEY, actor_of, audit_actions, settings_for, small_sandbox
from tests.support import rows

LACKING = "rk_test_no_invoices_01234567"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with small_sandbox(customers=10) as running:
        yield running


@pytest.fixture
def settings(sandbox: SandboxProcess, tmp_path: Path) -> Settings:
    return settings_for(sandbox, tmp_path)


async def saved(database: Database, workspace_id: UUID, settings: Settings, key: str, label: str = "") -> DraftView:
    view = await drafts.save(database, actor_of(workspace_id), key, label=label, mode="live", settings=settings)
    assert isinstance(view, DraftView)
    return view


async def stored(database: Database, workspace_id: UUID) -> list[dict[str, object]]:
    return await rows(database, workspace_id, "SELECT * FROM payment_connection_drafts")


async def test_a_key_is_left_sealed_and_taken_up(database: Database, workspace_id: UUID, settings: Settings) -> None:
    view = await saved(database, workspace_id, settings, f" {KEY}\n", "  ask Ben ")

    assert (view.label, view.mode, view.masked_key) == ("ask Ben", "test", f"rk_test_…{KEY[-4:]}")
    assert {check.name for check in view.checks if check.status is CheckStatus.PASSED} >= {CheckName.PERMISSIONS}
    assert KEY not in json.dumps(asdict(view), default=str)
    assert KEY not in str(await stored(database, workspace_id))
    assert await connections.current(database, actor_of(workspace_id)) is None

    connected = await drafts.take_up(database, actor_of(workspace_id), settings=settings)

    assert isinstance(connected, ConnectionView)
    assert connected.key_last4 == KEY[-4:]
    assert await drafts.current(database, actor_of(workspace_id)) is None
    assert await stored(database, workspace_id) == []
    assert await audit_actions(database, workspace_id) == ["connection.draft_saved", "connection.connected"]


async def test_a_key_that_lacks_something_stays_with_what_was_found(
    database: Database, workspace_id: UUID, settings: Settings
) -> None:
    heard: list[Check] = []
    before = await saved(database, workspace_id, settings, LACKING)
    refused = await drafts.take_up(database, actor_of(workspace_id), settings=settings, report=heard.append)

    after = await drafts.current(database, actor_of(workspace_id))
    assert isinstance(refused, ConnectRefusal)
    assert refused.code == "permission_missing"
    assert after is not None
    assert (after.id, after.expires_at) == (before.id, before.expires_at)
    for checks in (before.checks, after.checks, tuple(heard)):
        (failed,) = (check for check in checks if check.failed)
        assert "rak_invoice_read" in failed.message
    assert await connections.current(database, actor_of(workspace_id)) is None


@pytest.mark.parametrize(
    ("key", "code"),
    [
        pytest.param("hello", "key_malformed", id="no key"),
        pytest.param("pk_test_0123456789abcdef", "publishable_key", id="publishable"),
    ],
)
async def test_what_is_no_key_is_not_kept(
    database: Database, workspace_id: UUID, settings: Settings, key: str, code: str
) -> None:
    refused = await drafts.save(database, actor_of(workspace_id), key, label="", mode="test", settings=settings)

    assert isinstance(refused, Refusal)
    assert refused.code == code
    assert await stored(database, workspace_id) == []


async def test_without_a_key_it_waits_for_one_and_ends_with_any_that_connects(
    database: Database, workspace_id: UUID, settings: Settings
) -> None:
    await saved(database, workspace_id, settings, LACKING)
    view = await saved(database, workspace_id, settings, "", "later")
    assert (view.label, view.mode, view.masked_key, view.checks) == ("later", "live", "", ())
    assert [one["key_ciphertext"] for one in await stored(database, workspace_id)] == [None]

    refused = await drafts.take_up(database, actor_of(workspace_id), settings=settings)
    assert isinstance(refused, ConnectRefusal)
    assert refused.code == "draft_without_key"

    await connections.connect(database, actor_of(workspace_id), KEY, settings=settings)
    assert await drafts.current(database, actor_of(workspace_id)) is None


async def test_discarded_or_expired_it_is_forgotten(database: Database, workspace_id: UUID, settings: Settings) -> None:
    await saved(database, workspace_id, settings, KEY)
    assert await drafts.discard(database, actor_of(workspace_id)) is None
    assert await stored(database, workspace_id) == []
    again = await drafts.discard(database, actor_of(workspace_id))
    assert isinstance(again, Refusal)

    await saved(database, workspace_id, settings, KEY)
    await rows(database, workspace_id, "UPDATE payment_connection_drafts SET expires_at = now() RETURNING id")
    assert await drafts.current(database, actor_of(workspace_id)) is None
    gone = await drafts.take_up(database, actor_of(workspace_id), settings=settings)
    assert isinstance(gone, ConnectRefusal)
    assert gone.code == "draft_gone"
    await prune(database)
    assert await stored(database, workspace_id) == []


async def test_a_lost_key_ring_is_said_and_not_a_fault(
    database: Database, workspace_id: UUID, settings: Settings, tmp_path: Path
) -> None:
    await saved(database, workspace_id, settings, KEY)
    other = settings.model_copy(update={"data_dir": tmp_path / "other"})

    refused = await drafts.take_up(database, actor_of(workspace_id), settings=other)

    assert isinstance(refused, ConnectRefusal)
    assert refused.code == "draft_unreadable"


async def test_who_may_not_connect_neither_sees_nor_changes_it(
    database: Database, workspace_id: UUID, settings: Settings
) -> None:
    await saved(database, workspace_id, settings, KEY)
    operator = actor_of(workspace_id, Role.OPERATOR)

    assert await drafts.current(database, operator) is None
    for refused in (
        await drafts.save(database, operator, KEY, label="", mode="test", settings=settings),
        await drafts.take_up(database, operator, settings=settings),
        await drafts.discard(database, operator),
    ):
        assert isinstance(refused, Refusal)
        assert refused.code == "forbidden"
    async with database.workspace(workspace_id) as session:
        kept = await session.execute(text("SELECT count(*) FROM payment_connection_drafts"))
        assert kept.scalar_one() == 1
