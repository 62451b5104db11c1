"""Connections of the pool that broke while nobody used them: they show when a transaction begins, and are replaced."""

from __future__ import annotations

from contextlib import AsyncExitStack
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from sync_core.store.database import Database


@pytest.mark.parametrize("cut", [1, 7, 20], ids=["one", "several", "all-that-the-pool-may-have"])
async def test_what_died_gives_way_before_anything_is_done(
    database: Database, database_url: str, workspace_id: UUID, cut: int
) -> None:
    async with AsyncExitStack() as held:
        for _ in range(cut):
            await held.enter_async_context(database.system())
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    async with database.workspace(workspace_id) as session:
        assert (await session.execute(text("SELECT name FROM workspaces"))).scalar_one() == "Default"


async def test_what_breaks_within_is_the_callers_to_know(database: Database, workspace_id: UUID) -> None:
    async def end_oneself() -> None:
        async with database.workspace(workspace_id) as session:
            await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
            await session.execute(text("SELECT 1"))

    with pytest.raises(DBAPIError):
        await end_oneself()
