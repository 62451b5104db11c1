"""The fields that a workspace's syncs leave alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.vocabulary import EntityType
from sync_core.store.database import driver

_IGNORED = "payment_sync_ignored_fields"


@dataclass(frozen=True, slots=True)
class StoredField:
    entity: EntityType
    name: str
    created_by: str
    created_at: datetime


async def ignored(session: AsyncSession, workspace_id: UUID) -> list[StoredField]:
    """In the order in which they were named."""
    connection = await driver(session)
    found = await connection.execute(
        f"SELECT entity_type, field, created_by, created_at FROM {_IGNORED} WHERE workspace_id = %(workspace)s"
        " ORDER BY created_at, entity_type, field",
        {"workspace": workspace_id},
    )
    return [StoredField(EntityType(row[0]), *row[1:]) for row in await found.fetchall()]


async def ignored_keys(session: AsyncSession, workspace_id: UUID) -> frozenset[tuple[EntityType, str]]:
    return frozenset((one.entity, one.name) for one in await ignored(session, workspace_id))


async def add(session: AsyncSession, workspace_id: UUID, entity: EntityType, name: str, actor: str) -> bool:
    """False when it is ignored already."""
    connection = await driver(session)
    done = await connection.execute(
        f"INSERT INTO {_IGNORED} (workspace_id, entity_type, field, created_by) VALUES (%(workspace)s, %(entity)s, %(field)s, %(actor)s)"
        " ON CONFLICT DO NOTHING",
        {"workspace": workspace_id, "entity": entity.value, "field": name, "actor": actor},
    )
    return done.rowcount == 1


async def remove(session: AsyncSession, workspace_id: UUID, entity: EntityType, name: str) -> bool:
    connection = await driver(session)
    done = await connection.execute(
        f"DELETE FROM {_IGNORED} WHERE workspace_id = %(workspace)s AND entity_type = %(entity)s AND field = %(field)s",
        {"workspace": workspace_id, "entity": entity.value, "field": name},
    )
    return done.rowcount == 1
