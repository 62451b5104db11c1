"""What a sync is said to cost, beside what the sandbox holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from sync_core.domain.vocabulary import EntityType, Role
from sync_core.errors import Refusal
from sync_core.sandbox.launch import SandboxProcess
from sync_core.services import connections
from sync_core.services.estimate import Estimate, estimate
from sync_core.services.start_request import StartRequest
from sync_core.settings import Settings
from sync_core.store.database import Database
from tests.services import KEY, actor_of, settings_for, small_sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with small_sandbox(customers=4000) as running:
        yield running


@pytest.fixture
async def settings(database: Database, workspace_id: UUID, sandbox: SandboxProcess, tmp_path: Path) -> Settings:
    found = settings_for(sandbox, tmp_path, rate_unlimited=True)
    await connections.connect(database, actor_of(workspace_id), KEY, settings=found)
    return found


async def estimated(database: Database, workspace_id: UUID, settings: Settings, **asked: Any) -> Estimate:
    got = await estimate(database, actor_of(workspace_id), StartRequest(**asked), settings=settings)
    assert isinstance(got, Estimate)
    return got


async def test_small_entity_types_are_counted_and_large_ones_guessed(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess, settings: Settings
) -> None:
    got = await estimated(database, workspace_id, settings, entity_types=("customers", "products", "prices"))

    by_entity = {one.entity_type: one for one in got.entities}
    customers = by_entity[EntityType.CUSTOMERS].guess
    truth = len(sandbox.truth("customers"))
    assert by_entity[EntityType.PRODUCTS].guess.exact
    assert by_entity[EntityType.PRODUCTS].guess.records == len(sandbox.truth("products"))
    assert not customers.exact
    assert customers.low <= truth <= customers.high
    assert 0.6 * truth <= customers.records <= 1.5 * truth
    assert got.warning is None
    assert 0 < got.seconds_low < got.seconds_high


async def test_reads_are_metered_and_a_costly_sync_is_warned_of(
    database: Database, workspace_id: UUID, settings: Settings
) -> None:
    async with database.system() as session:
        await session.execute(
            text("UPDATE workspaces SET settings = '{\"read_warning_share\": 0.001}' WHERE id = :id"),
            {"id": workspace_id},
        )
    first = await estimated(database, workspace_id, settings, entity_types=("customers",), batch_size=10)
    second = await estimated(database, workspace_id, settings, entity_types=("customers",), batch_size=10)

    assert first.warning is not None
    assert "10,000" in first.warning
    assert second.reads.this_month > first.reads.this_month > 0
    assert second.reads.this_month - first.reads.this_month <= 6


async def test_long_nested_lists_are_in_the_estimate(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess, settings: Settings
) -> None:
    """Counted here, since all invoices come with one page: each that holds more than ten lines is a read more."""
    got = await estimated(database, workspace_id, settings, entity_types=("invoices",))

    long = sum(len(sandbox.true_object("invoices", one)["lines"]["data"]) > 10 for one in sandbox.truth("invoices"))
    assert got.entities[0].guess.exact
    assert got.requests == 2 + long > 2


async def test_parents_left_out_are_named(database: Database, workspace_id: UUID, settings: Settings) -> None:
    got = await estimated(database, workspace_id, settings, entity_types=("prices",))

    assert got.entities[0].missing_parents == (EntityType.PRODUCTS,)
    assert got.to_json()["entities"]["prices"]["missing_parents"] == ["products"]


async def test_refusals(database: Database, workspace_id: UUID, settings: Settings) -> None:
    viewer = await estimate(database, actor_of(workspace_id, Role.VIEWER), StartRequest(("prices",)), settings=settings)
    empty = await estimate(database, actor_of(workspace_id), StartRequest(), settings=settings)
    gone = settings.model_copy(update={"stripe_api_base": "http://127.0.0.1:9"})
    away = await estimate(database, actor_of(workspace_id), StartRequest(("prices",)), settings=gone)

    assert [one.code for one in (viewer, empty, away) if isinstance(one, Refusal)] == [
        "forbidden",
        "entity_types_empty",
        "stripe_unavailable",
    ]
