"""Connections of the pool that broke while nobody used them: what rested is looked at before it is given out."""

from __future__ import annotations

from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from sync_core.store import database as database_module
from sync_core.store.database import Database


async def cut(database: Database, database_url: str) -> None:
    """All connections that the pool keeps, ended by the server."""
    async with database.system() as one, database.system() as other:
        for session in (one, other):
            await session.execute(text("SELECT 1"))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


async def names(database: Database, workspace_id: UUID) -> list[str]:
    async with database.workspace(workspace_id) as session:
        return [*(await session.execute(text("SELECT name FROM workspaces"))).scalars()]


async def test_what_rested_is_replaced(
    database: Database, database_url: str, workspace_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "_RESTED_SECONDS", 0.0)
    await cut(database, database_url)
    assert await names(database, workspace_id) == ["Default"]


async def test_what_was_in_use_a_moment_ago_fails_once_for_all(
    database: Database, database_url: str, workspace_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "_RESTED_SECONDS", 3_600.0)
    await cut(database, database_url)
    with pytest.raises(DBAPIError):
        await names(database, workspace_id)
    assert await names(database, workspace_id) == ["Default"]
