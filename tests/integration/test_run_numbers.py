"""Runs are numbered in each workspace, whoever queues them; what applies a plan names the plan's number."""

from __future__ import annotations

import asyncio
from uuid import UUID

from sqlalchemy import text

from sync_core.domain.vocabulary import EntityType
from sync_core.services import sessions
from sync_core.services.history import name_of
from sync_core.services.session_views import SessionView
from sync_core.store.database import Database
from tests.conftest import make_workspace
from tests.services import actor_of
from tests.support import config, enqueue

_INSERT = text(
    "INSERT INTO payment_sync_sessions (workspace_id, entity_types, status) VALUES (:w, '{customers}', 'completed') RETURNING number"
)

_APPLYING = text(
    "INSERT INTO payment_sync_sessions (workspace_id, entity_types, config, source_session_id)"
    " SELECT :w, entity_types, config || '{\"dry_run\": false}', id FROM payment_sync_sessions WHERE id = :plan RETURNING id"
)


async def inserted(database: Database, workspace_id: UUID) -> int:
    async with database.workspace(workspace_id) as session:
        number: int = (await session.execute(_INSERT, {"w": workspace_id})).scalar_one()
    return number


async def named(database: Database, workspace_id: UUID, session_id: UUID) -> str:
    found = await sessions.get(database, actor_of(workspace_id), session_id)
    assert isinstance(found, SessionView)
    return name_of(found)


async def test_runs_that_are_queued_at_once_each_get_a_number_of_their_own(
    database: Database, workspace_id: UUID
) -> None:
    other = await make_workspace(database, "Other")
    numbers = await asyncio.gather(*(inserted(database, one) for one in (workspace_id, other) for _ in range(4)))
    assert sorted(numbers[:4]) == sorted(numbers[4:]) == [1, 2, 3, 4]


async def test_a_plan_is_named_by_the_number_of_its_dry_run(database: Database, workspace_id: UUID) -> None:
    await inserted(database, workspace_id)
    plan = await enqueue(database, workspace_id, config(EntityType.CUSTOMERS, dry_run=True))
    async with database.workspace(workspace_id) as session:
        bound = {"w": workspace_id, "plan": plan}
        applying: UUID = (await session.execute(_APPLYING, bound)).scalar_one()
    assert await named(database, workspace_id, plan) == "Dry run · #2"
    assert await named(database, workspace_id, applying) == "Plan #2 applied · #3"
