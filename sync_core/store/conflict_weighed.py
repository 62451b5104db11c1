"""Previews whose items are weighed one by one: what is chosen for each, and only those kept for which something is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.vocabulary import Choice, EntityType
from sync_core.store.database import driver

_OF_PREVIEW = "i.workspace_id = %(workspace)s AND i.preview_id = %(preview)s"


async def note_choices(
    session: AsyncSession, workspace_id: UUID, preview_id: UUID, choices: Mapping[int, Mapping[str, Any]]
) -> None:
    """Choices of their own for items of a filled preview, by place."""
    connection = await driver(session)
    await connection.execute(
        "UPDATE payment_sync_conflict_preview_items i SET choices = (%(choices)s::jsonb[])[array_position(%(seqs)s::bigint[], i.seq)]"
        f" WHERE {_OF_PREVIEW} AND i.seq = ANY(%(seqs)s)",
        {
            "workspace": workspace_id,
            "preview": preview_id,
            "seqs": list(choices),
            "choices": [Jsonb(one) for one in choices.values()],
        },
    )


async def keep_chosen(session: AsyncSession, workspace_id: UUID, preview_id: UUID) -> int:
    """Only the items that have choices of their own, from the first place on; how many of them somebody had begun to choose for."""
    connection = await driver(session)
    found = await connection.execute(
        f"WITH old AS (DELETE FROM payment_sync_conflict_preview_items i WHERE {_OF_PREVIEW} RETURNING i.*), kept AS ("
        "INSERT INTO payment_sync_conflict_preview_items (workspace_id, preview_id, seq, entity_type, conflict_id, revision, choices)"
        " SELECT workspace_id, preview_id, row_number() OVER (ORDER BY seq), entity_type, conflict_id, revision, choices FROM old"
        " WHERE choices IS NOT NULL RETURNING conflict_id)"
        " SELECT count(*) FROM kept k JOIN payment_sync_conflicts c ON c.workspace_id = %(workspace)s AND c.id = k.conflict_id AND c.pending",
        {"workspace": workspace_id, "preview": preview_id},
    )
    row = await found.fetchone()
    assert row is not None
    return int(row[0])


async def sides(
    session: AsyncSession, workspace_id: UUID, preview_id: UUID
) -> dict[tuple[EntityType, str], dict[Choice, int]]:
    """How often each side is taken for a field by the items' own choices."""
    connection = await driver(session)
    found = await connection.execute(
        "SELECT i.entity_type, k.key, k.value->>'take', count(*) FROM payment_sync_conflict_preview_items i"
        f" CROSS JOIN LATERAL jsonb_each(i.choices) k WHERE {_OF_PREVIEW} GROUP BY 1, 2, 3",
        {"workspace": workspace_id, "preview": preview_id},
    )
    counts: dict[tuple[EntityType, str], dict[Choice, int]] = {}
    for entity, name, take, count in await found.fetchall():
        counts.setdefault((EntityType(entity), name), {})[Choice(take)] = count
    return counts
