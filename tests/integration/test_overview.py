"""The first screen, from an empty workspace to one with a million records."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from sqlalchemy import text

from sync_core.domain.vocabulary import EntityType, SyncStatus
from sync_core.sandbox.launch import SandboxProcess
from sync_core.services import overview
from sync_core.services.overview import Overview, StepName
from sync_core.store import overview as store
from sync_core.store.database import Database
from tests.conftest import make_workspace
from tests.fairclock import fair_clock
from tests.services import actor_of, small_sandbox
from tests.support import config, enqueue, make_connection, sync

CUSTOMERS = EntityType.CUSTOMERS


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with small_sandbox() as running:
        yield running


async def read(database: Database, workspace_id: UUID) -> Overview:
    found = await overview.read(database, actor_of(workspace_id))
    assert isinstance(found, Overview)
    return found


def next_step(found: Overview) -> StepName | None:
    return next((step.name for step in found.steps if step.is_next), None)


async def test_an_empty_workspace_is_led_from_step_to_step(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    led = [next_step(await read(database, workspace_id))]
    await make_connection(database, workspace_id)
    led.append(next_step(await read(database, workspace_id)))
    await sync(database, workspace_id, sandbox.url, config(CUSTOMERS, dry_run=True))
    led.append(next_step(await read(database, workspace_id)))
    await sync(database, workspace_id, sandbox.url, config(CUSTOMERS))
    led.append(next_step(await read(database, workspace_id)))

    assert led == [StepName.CONNECT, StepName.DRY_RUN, StepName.SYNC, None]


async def test_records_are_counted_by_how_they_stand(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    await sync(database, workspace_id, sandbox.url, config(CUSTOMERS))
    async with database.workspace(workspace_id) as session:
        for status, count in ((SyncStatus.CONFLICT, 3), (SyncStatus.LOCAL_EDIT, 5)):
            await session.execute(
                text(
                    "UPDATE customers SET payment_sync_status = :status WHERE id IN (SELECT id FROM customers"
                    " WHERE payment_sync_status = 'synced' AND deleted_at IS NULL LIMIT :count)"
                ),
                {"status": status.value, "count": count},
            )
        living = (await session.execute(text("SELECT count(*) FROM customers WHERE deleted_at IS NULL"))).scalar_one()
    found = next(one for one in (await read(database, workspace_id)).standings if one.entity is CUSTOMERS)

    assert (found.total.value, found.in_sync.value) == (living, living - 8)
    assert (found.conflicts.value, found.local_edits.value) == (3, 5)
    assert found.in_sync.is_exact


async def test_a_running_sync_and_the_last_ones_are_shown(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    ended = await sync(database, workspace_id, sandbox.url, config(CUSTOMERS))
    running = await enqueue(database, workspace_id, config(CUSTOMERS))
    found = await read(database, workspace_id)

    assert found.running is not None
    assert found.last is not None
    assert (found.running.session.id, found.last.session.id) == (running, ended.session_id)
    assert [run.session.id for run in found.runs] == [ended.session_id]
    assert not found.is_new


async def test_many_records_are_estimated_by_workspace_and_quickly(database: Database, workspace_id: UUID) -> None:
    """Two workspaces share the table: the estimate is of one of them, not of the table."""
    other_id = await make_workspace(database, "Other")
    for owner, count in ((workspace_id, 60_000), (other_id, 15_000)):
        async with database.workspace(owner) as session:
            await session.execute(
                text(
                    "INSERT INTO customers (workspace_id, external_id, payment_provider, payment_account, payment_livemode,"
                    " payment_sync_status) SELECT :w, 'cus_' || g, 'stripe', 'acct', false,"
                    " CASE WHEN g <= 25000 THEN 'local_edit' ELSE 'synced' END FROM generate_series(1, :count) g"
                ),
                {"w": owner, "count": count},
            )
    async with database.engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(
            text("VACUUM ANALYZE customers")
        )

    async with fair_clock(database) as clock:
        mine = next(one for one in (await read(database, workspace_id)).standings if one.entity is CUSTOMERS)
        seconds = clock()
    theirs = next(one for one in (await read(database, other_id)).standings if one.entity is CUSTOMERS)

    assert mine.total.value == pytest.approx(60_000, rel=0.15)
    assert mine.local_edits == store.Count(store.COUNT_END, is_exact=False)
    assert theirs.total == store.Count(15_000)
    assert seconds < 1.0
