"""The fields that a workspace's syncs leave alone: in every record of a kind, or in single ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.vocabulary import EntityType
from sync_core.store.database import driver

_EVERYWHERE, _HERE = "payment_sync_ignored_fields", "payment_sync_ignored_record_fields"
IGNORED_NOW = (
    f"ARRAY(SELECT i.field FROM {_EVERYWHERE} i WHERE i.workspace_id = c.workspace_id AND i.entity_type = c.entity_type"
    f" UNION SELECT h.field FROM {_HERE} h WHERE h.workspace_id = c.workspace_id AND h.entity_type = c.entity_type AND h.record_id = c.record_id)"
)
"""Part of a statement: what is ignored of the record of a conflict `c`."""


@dataclass(frozen=True, slots=True)
class StoredField:
    """`record_id` is None where it is ignored in every record. `label` and `open`: what the record's conflicts call it, and how many of them
    are open about the field.
    """

    entity: EntityType
    name: str
    created_by: str
    created_at: datetime
    record_id: UUID | None = None
    label: str = ""
    open: int = 0


async def everywhere(session: AsyncSession, workspace_id: UUID) -> list[StoredField]:
    """In the order in which they were named."""
    connection = await driver(session)
    found = await connection.execute(
        f"SELECT entity_type, field, created_by, created_at FROM {_EVERYWHERE} WHERE workspace_id = %(workspace)s"
        " ORDER BY created_at, entity_type, field",
        {"workspace": workspace_id},
    )
    return [StoredField(EntityType(row[0]), *row[1:]) for row in await found.fetchall()]


async def here(session: AsyncSession, workspace_id: UUID) -> list[StoredField]:
    """Of single records, in the order in which they were named."""
    connection = await driver(session)
    found = await connection.execute(
        "SELECT i.entity_type, i.field, i.created_by, i.created_at, i.record_id, coalesce(last.label, ''), coalesce(last.open, 0)"
        f" FROM {_HERE} i LEFT JOIN LATERAL (SELECT (array_agg(coalesce(nullif(c.label, ''), c.external_id) ORDER BY c.created_at DESC))[1]"
        " AS label, count(*) FILTER (WHERE c.status = 'open' AND i.field = ANY(c.fields)) AS open FROM payment_sync_conflicts c"
        " WHERE c.workspace_id = i.workspace_id AND c.entity_type = i.entity_type AND c.record_id = i.record_id) last ON true"
        " WHERE i.workspace_id = %(workspace)s ORDER BY i.created_at, i.record_id, i.field",
        {"workspace": workspace_id},
    )
    return [StoredField(EntityType(row[0]), *row[1:]) for row in await found.fetchall()]


async def ignored_keys(
    session: AsyncSession, workspace_id: UUID
) -> tuple[frozenset[tuple[EntityType, str]], dict[UUID, frozenset[str]]]:
    """What a run is to leave alone in every record, and in which ones."""
    connection = await driver(session)
    found = await connection.execute(
        f"SELECT record_id, array_agg(field) FROM {_HERE} WHERE workspace_id = %(workspace)s GROUP BY record_id",
        {"workspace": workspace_id},
    )
    in_records = {row[0]: frozenset(row[1]) for row in await found.fetchall()}
    return frozenset((one.entity, one.name) for one in await everywhere(session, workspace_id)), in_records


async def count_here(session: AsyncSession, workspace_id: UUID) -> int:
    connection = await driver(session)
    found = await connection.execute(
        f"SELECT count(*) FROM {_HERE} WHERE workspace_id = %(workspace)s", {"workspace": workspace_id}
    )
    row = await found.fetchone()
    assert row is not None
    return int(row[0])


async def add(session: AsyncSession, workspace_id: UUID, entity: EntityType, name: str, actor: str) -> bool:
    """False when it is ignored already."""
    connection = await driver(session)
    done = await connection.execute(
        f"INSERT INTO {_EVERYWHERE} (workspace_id, entity_type, field, created_by) VALUES (%(workspace)s, %(entity)s, %(field)s, %(actor)s)"
        " ON CONFLICT DO NOTHING",
        {"workspace": workspace_id, "entity": entity.value, "field": name, "actor": actor},
    )
    return done.rowcount == 1


async def add_here(
    session: AsyncSession, workspace_id: UUID, entity: EntityType, record_ids: Sequence[UUID], name: str, actor: str
) -> int:
    """In how many of the records it was not ignored yet."""
    connection = await driver(session)
    done = await connection.execute(
        f"INSERT INTO {_HERE} (workspace_id, entity_type, record_id, field, created_by)"
        " SELECT %(workspace)s, %(entity)s, r.id, %(field)s, %(actor)s FROM unnest(%(records)s::uuid[]) r(id) ON CONFLICT DO NOTHING",
        {
            "workspace": workspace_id,
            "entity": entity.value,
            "records": list(record_ids),
            "field": name,
            "actor": actor,
        },
    )
    return done.rowcount


async def remove(
    session: AsyncSession, workspace_id: UUID, entity: EntityType, name: str, record_id: UUID | None = None
) -> bool:
    connection = await driver(session)
    table, of_record = (_EVERYWHERE, "") if record_id is None else (_HERE, " AND record_id = %(record)s")
    done = await connection.execute(
        f"DELETE FROM {table} WHERE workspace_id = %(workspace)s AND entity_type = %(entity)s AND field = %(field)s{of_record}",
        {"workspace": workspace_id, "entity": entity.value, "field": name, "record": record_id},
    )
    return done.rowcount == 1
