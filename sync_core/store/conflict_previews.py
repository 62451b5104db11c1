"""Previews of decisions about many conflicts: what they would touch, kept row by row, and walked when they are applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.vocabulary import EntityType
from sync_core.store.conflict_query import CUSTOMER, ConflictQuery, bound, conditions
from sync_core.store.conflicts import StoredConflict, columns
from sync_core.store.database import driver

RESOLVED = "resolved"
QUIET_SECONDS = 30
"""Whoever applies a preview and is not heard of for so long has ended."""
VALID_HOURS = 24
"""An older preview is made anew before it is applied."""


@dataclass(frozen=True, slots=True)
class StoredPreview:
    id: UUID
    created_by: str
    rule: dict[str, Any]
    summary: dict[str, Any]
    hash: str
    created_at: datetime
    applied_at: datetime | None
    expired: bool


@dataclass(frozen=True, slots=True)
class Covered:
    """Conflicts of one kind that a rule settles: all that have these fields in dispute for this reason, differ so, and are of such a customer."""

    entity_type: str
    reason_code: str
    fields: tuple[str, ...]
    transitions: tuple[str, ...]
    customer: str

    def to_json(self) -> dict[str, Any]:
        return {
            "entity_type": self.entity_type,
            "reason_code": self.reason_code,
            "fields": self.fields,
            "transitions": self.transitions,
            "customer": self.customer,
        }


async def create(session: AsyncSession, workspace_id: UUID, actor: str, query: Mapping[str, Any]) -> UUID:
    """An empty preview. What nobody applied within a day, and what is too old to be taken back, goes."""
    connection = await driver(session)
    await connection.execute(
        "DELETE FROM payment_sync_conflict_previews WHERE workspace_id = %(workspace)s AND created_at < now() - interval '1 day'"
        " AND (applied_at IS NULL OR created_at < now() - interval '30 days')",
        {"workspace": workspace_id},
    )
    made = await connection.execute(
        "INSERT INTO payment_sync_conflict_previews (workspace_id, created_by, query, rule, summary, hash)"
        " VALUES (%(workspace)s, %(actor)s, %(query)s, '{}', '{}', '') RETURNING id",
        {"workspace": workspace_id, "actor": actor, "query": Jsonb(dict(query))},
    )
    row = await made.fetchone()
    assert row is not None
    return UUID(str(row[0]))


async def fill(
    session: AsyncSession, workspace_id: UUID, preview_id: UUID, query: ConflictQuery, covered: Sequence[Covered]
) -> None:
    """Every matching conflict of the covered kinds, entity type by entity type."""
    connection = await driver(session)
    await connection.execute(
        "INSERT INTO payment_sync_conflict_preview_items (workspace_id, preview_id, seq, entity_type, conflict_id, revision)"
        " SELECT %(workspace)s, %(preview)s, row_number() OVER (ORDER BY c.entity_type, c.id), c.entity_type, c.id, c.revision"
        " FROM payment_sync_conflicts c JOIN jsonb_to_recordset(%(covered)s)"
        " AS k(entity_type text, reason_code text, fields text[], transitions text[], customer text) ON k.entity_type = c.entity_type"
        " AND k.reason_code = c.reason_code AND k.fields = c.fields AND k.transitions = c.transitions"
        f" WHERE {CUSTOMER} = k.customer AND {conditions(query)}",
        {
            **bound(workspace_id, query),
            "preview": preview_id,
            "covered": Jsonb([one.to_json() for one in covered]),
        },
    )


async def add_items(
    session: AsyncSession, workspace_id: UUID, preview_id: UUID, items: Sequence[Mapping[str, Any]]
) -> None:
    """Items with choices of their own: {"entity_type", "conflict_id", "revision", "choices"}, in the order of their entity types."""
    connection = await driver(session)
    await connection.execute(
        "INSERT INTO payment_sync_conflict_preview_items (workspace_id, preview_id, seq, entity_type, conflict_id, revision, choices)"
        " SELECT %(workspace)s, %(preview)s, i.seq, i.entity_type, i.conflict_id, i.revision, i.choices FROM jsonb_to_recordset(%(items)s)"
        " AS i(seq bigint, entity_type text, conflict_id uuid, revision bigint, choices jsonb)",
        {
            "workspace": workspace_id,
            "preview": preview_id,
            "items": Jsonb([{**one, "seq": seq} for seq, one in enumerate(items, 1)]),
        },
    )


async def finish(
    session: AsyncSession,
    workspace_id: UUID,
    preview_id: UUID,
    rule: Mapping[str, Any],
    summary: Mapping[str, Any],
) -> str:
    """Seal the preview; its hash is of the rows as they are, and of the rule."""
    connection = await driver(session)
    found = await connection.execute(
        "UPDATE payment_sync_conflict_previews SET rule = %(rule)s, summary = %(summary)s, hash = encode(sha256(convert_to("
        "%(rule_text)s || coalesce((SELECT string_agg(i.conflict_id || ':' || i.revision || coalesce(i.choices::text, ''), ',' ORDER BY i.seq)"
        " FROM payment_sync_conflict_preview_items i WHERE i.workspace_id = %(workspace)s AND i.preview_id = %(preview)s), ''), 'UTF8')),"
        " 'hex') WHERE workspace_id = %(workspace)s AND id = %(preview)s RETURNING hash",
        {
            "workspace": workspace_id,
            "preview": preview_id,
            "rule": Jsonb(dict(rule)),
            "rule_text": str(sorted(rule.items())),
            "summary": Jsonb(dict(summary)),
        },
    )
    row = await found.fetchone()
    assert row is not None
    return str(row[0])


ITEMS = "payment_sync_conflict_preview_items i JOIN payment_sync_conflicts c ON c.workspace_id = i.workspace_id AND c.id = i.conflict_id"
OF_PREVIEW = "i.workspace_id = %(workspace)s AND i.preview_id = %(preview)s"


async def entities(session: AsyncSession, workspace_id: UUID, preview_id: UUID) -> dict[EntityType, int]:
    connection = await driver(session)
    found = await connection.execute(
        f"SELECT i.entity_type, count(*) FROM payment_sync_conflict_preview_items i WHERE {OF_PREVIEW} GROUP BY 1",
        {"workspace": workspace_id, "preview": preview_id},
    )
    return {EntityType(word): count for word, count in await found.fetchall()}


async def samples(
    session: AsyncSession, workspace_id: UUID, preview_id: UUID, rows: int, size: int, besides: Sequence[int] = ()
) -> list[tuple[int, dict[str, Any] | None, StoredConflict]]:
    """Evenly spread over the preview, and those at the places `besides`: (seq, the choices that belong to the item, conflict)."""
    step = max(1, rows // size)
    connection = await driver(session)
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            f"SELECT {columns()}, i.seq, i.choices AS own FROM {ITEMS} WHERE {OF_PREVIEW} AND i.seq = ANY(%(seqs)s) ORDER BY i.seq",
            {
                "workspace": workspace_id,
                "preview": preview_id,
                "seqs": [*besides, *list(range(1, rows + 1, step))[:size]],
            },
        )
        found = await cursor.fetchall()
    return [(row.pop("seq"), row.pop("own"), StoredConflict(**row)) for row in found]


async def read(session: AsyncSession, workspace_id: UUID, preview_id: UUID) -> StoredPreview | None:
    connection = await driver(session)
    async with connection.cursor(row_factory=class_row(StoredPreview)) as cursor:
        await cursor.execute(
            "SELECT id, created_by, rule, summary, hash, created_at, applied_at,"
            f" created_at < now() - interval '{VALID_HOURS} hours' AS expired FROM payment_sync_conflict_previews"
            " WHERE workspace_id = %(workspace)s AND id = %(preview)s",
            {"workspace": workspace_id, "preview": preview_id},
        )
        return await cursor.fetchone()


_WAITING = (
    "EXISTS (SELECT FROM payment_sync_conflict_preview_items i WHERE i.workspace_id = %(workspace)s AND i.preview_id = %(preview)s"
    " AND i.outcome IS NULL)"
)


async def start(session: AsyncSession, workspace_id: UUID, preview_id: UUID) -> bool:
    """Take the preview for applying, or for going on where that ended halfway; False when somebody has it, or it is done."""
    connection = await driver(session)
    done = await connection.execute(
        "UPDATE payment_sync_conflict_previews SET applied_at = coalesce(applied_at, now()), worked_at = now(), stopped_at = NULL"
        " WHERE workspace_id = %(workspace)s AND id = %(preview)s AND (applied_at IS NULL OR"
        f" ((stopped_at IS NOT NULL OR worked_at < now() - interval '{QUIET_SECONDS} seconds') AND {_WAITING}))",
        {"workspace": workspace_id, "preview": preview_id},
    )
    return done.rowcount == 1


async def go_on(session: AsyncSession, workspace_id: UUID, preview_id: UUID) -> bool:
    """A sign of life; False when somebody asked for the end."""
    connection = await driver(session)
    done = await connection.execute(
        "UPDATE payment_sync_conflict_previews SET worked_at = now() WHERE workspace_id = %(workspace)s AND id = %(preview)s"
        " AND stopped_at IS NULL",
        {"workspace": workspace_id, "preview": preview_id},
    )
    return done.rowcount == 1


async def stop(session: AsyncSession, workspace_id: UUID, preview_id: UUID) -> bool:
    """Ask whoever applies it to end after the rows in hand."""
    connection = await driver(session)
    done = await connection.execute(
        "UPDATE payment_sync_conflict_previews SET stopped_at = now() WHERE workspace_id = %(workspace)s AND id = %(preview)s"
        " AND applied_at IS NOT NULL AND stopped_at IS NULL",
        {"workspace": workspace_id, "preview": preview_id},
    )
    return done.rowcount == 1


async def note_result(session: AsyncSession, workspace_id: UUID, preview_id: UUID, result: Mapping[str, int]) -> None:
    """What came of it, beside what was foreseen, so that lists need not count rows."""
    connection = await driver(session)
    await connection.execute(
        "UPDATE payment_sync_conflict_previews SET summary = summary || %(result)s"
        " WHERE workspace_id = %(workspace)s AND id = %(preview)s",
        {"workspace": workspace_id, "preview": preview_id, "result": Jsonb(dict(result))},
    )


async def note_undone(session: AsyncSession, workspace_id: UUID, batch_id: UUID, rows: int) -> None:
    connection = await driver(session)
    await connection.execute(
        "UPDATE payment_sync_conflict_previews SET summary = jsonb_set(summary, '{undone}',"
        " to_jsonb(coalesce((summary->>'undone')::bigint, 0) + %(rows)s)) WHERE workspace_id = %(workspace)s AND id = %(batch)s",
        {"workspace": workspace_id, "batch": batch_id, "rows": rows},
    )


@dataclass(frozen=True, slots=True)
class Item:
    seq: int
    entity_type: str
    conflict_id: UUID
    revision: int
    choices: dict[str, Any] | None


async def waiting(session: AsyncSession, workspace_id: UUID, preview_id: UUID, *, after: int, size: int) -> list[Item]:
    """The next items without an outcome, all of one entity type."""
    connection = await driver(session)
    async with connection.cursor(row_factory=class_row(Item)) as cursor:
        await cursor.execute(
            "SELECT i.seq, i.entity_type, i.conflict_id, i.revision, i.choices FROM payment_sync_conflict_preview_items i"
            f" WHERE {OF_PREVIEW} AND i.seq > %(after)s AND i.outcome IS NULL ORDER BY i.seq LIMIT %(size)s",
            {"workspace": workspace_id, "preview": preview_id, "after": after, "size": size},
        )
        found = await cursor.fetchall()
    return [one for one in found if one.entity_type == found[0].entity_type]


async def note_outcomes(
    session: AsyncSession, workspace_id: UUID, preview_id: UUID, outcomes: Mapping[int, str]
) -> None:
    """By place in an array: joined with the outcomes, the planner would go through all of the preview for each of them."""
    connection = await driver(session)
    await connection.execute(
        "UPDATE payment_sync_conflict_preview_items i SET outcome = (%(outcomes)s::text[])[array_position(%(seqs)s::bigint[], i.seq)]"
        f" WHERE {OF_PREVIEW} AND i.seq = ANY(%(seqs)s) AND i.outcome IS NULL",
        {
            "workspace": workspace_id,
            "preview": preview_id,
            "seqs": list(outcomes),
            "outcomes": list(outcomes.values()),
        },
    )


async def tally(session: AsyncSession, workspace_id: UUID, preview_id: UUID) -> tuple[int, int, int]:
    """How many items were resolved, left out, and not come to."""
    connection = await driver(session)
    found = await connection.execute(
        f"SELECT count(*) FILTER (WHERE i.outcome = '{RESOLVED}'), count(*) FILTER (WHERE i.outcome <> '{RESOLVED}'),"
        f" count(*) FILTER (WHERE i.outcome IS NULL) FROM payment_sync_conflict_preview_items i WHERE {OF_PREVIEW}",
        {"workspace": workspace_id, "preview": preview_id},
    )
    row = await found.fetchone()
    assert row is not None
    return row[0], row[1], row[2]


async def left_out(
    session: AsyncSession, workspace_id: UUID, preview_id: UUID, *, after: int, size: int
) -> list[tuple[int, UUID, str, str]]:
    """(seq, conflict id, label, why) of items that were not resolved; the label is empty where the conflict is gone."""
    connection = await driver(session)
    found = await connection.execute(
        "SELECT i.seq, i.conflict_id, coalesce(nullif(c.label, ''), c.external_id, ''), i.outcome"
        " FROM payment_sync_conflict_preview_items i LEFT JOIN payment_sync_conflicts c ON c.workspace_id = i.workspace_id"
        f" AND c.id = i.conflict_id WHERE {OF_PREVIEW} AND i.outcome <> '{RESOLVED}' AND i.seq > %(after)s ORDER BY i.seq LIMIT %(size)s",
        {"workspace": workspace_id, "preview": preview_id, "after": after, "size": size},
    )
    return [(row[0], row[1], row[2], row[3]) for row in await found.fetchall()]
