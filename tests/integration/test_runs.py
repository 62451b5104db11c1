"""Runs as rows: one open run per workspace, cancelled and resumed, leases by the database's clock."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import text

from sync_core.domain.vocabulary import EntityType, SessionStatus
from sync_core.store import runs
from sync_core.store.database import Database


@pytest.fixture
async def connection_id(database: Database, workspace_id: UUID) -> UUID:
    async with database.workspace(workspace_id) as session:
        made = await session.execute(
            text(
                "INSERT INTO payment_connections (workspace_id, account_id, livemode, key_kind, key_last4, key_fingerprint,"
                " key_ciphertext) VALUES (:w, 'acct_1', false, 'secret', '1234', 'f', 'x') RETURNING id"
            ),
            {"w": workspace_id},
        )
        return UUID(str(made.scalar_one()))


CONFIG = runs.RunConfig(entity_types=(EntityType.CUSTOMERS,))


async def start(database: Database, workspace_id: UUID, connection_id: UUID) -> UUID | None:
    async with database.workspace(workspace_id) as session:
        return await runs.enqueue(session, workspace_id, CONFIG, connection_id=connection_id, created_by="test")


async def test_a_second_run_of_a_workspace_is_refused_while_one_is_open(
    database: Database, workspace_id: UUID, connection_id: UUID
) -> None:
    assert await start(database, workspace_id, connection_id) is not None
    assert await start(database, workspace_id, connection_id) is None


async def test_a_lease_is_taken_once_and_a_later_one_has_a_higher_fence(
    database: Database, workspace_id: UUID, connection_id: UUID
) -> None:
    session_id = await start(database, workspace_id, connection_id)
    assert session_id is not None
    async with database.system() as session:
        assert [one.session_id for one in await runs.due(session)] == [session_id]
        first = await runs.take(session, session_id, "a", 0.0)
    async with database.system() as session:
        second = await runs.take(session, session_id, "b", 30.0)
        third = await runs.take(session, session_id, "c", 30.0)
    assert first is not None
    assert second is not None
    assert third is None
    assert second.fence > first.fence


async def test_a_waiting_run_is_cancelled_at_once_and_can_be_resumed(
    database: Database, workspace_id: UUID, connection_id: UUID
) -> None:
    session_id = await start(database, workspace_id, connection_id)
    assert session_id is not None
    async with database.workspace(workspace_id) as session:
        assert await runs.request_cancel(session, workspace_id, session_id) is SessionStatus.CANCELLED
    async with database.workspace(workspace_id) as session:
        assert await runs.requeue(session, workspace_id, session_id) == session_id
    async with database.workspace(workspace_id) as session:
        assert await runs.requeue(session, workspace_id, session_id) is None


def test_a_configuration_survives_its_json() -> None:
    assert runs.RunConfig.from_json(CONFIG.to_json()) == CONFIG
