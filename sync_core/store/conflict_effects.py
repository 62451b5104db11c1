"""What a preview of decisions would write, counted: in how many rows a field differs, in which way, and in how many ours becomes another."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.conflict_rules import Rule
from sync_core.domain.fields import COMPARED, FIELDS
from sync_core.domain.resolution import ASKED_OF_RECORD, RECORD
from sync_core.domain.vocabulary import Blend, Choice, EntityType, ReasonCode, Transition
from sync_core.store.conflict_previews import ITEMS, OF_PREVIEW
from sync_core.store.database import driver
from sync_core.store.ignored_fields import IGNORED_NOW
from sync_core.store.values_sql import TABLES, values_expression


@dataclass(frozen=True, slots=True)
class FieldCount:
    """In how many rows a field differs, and how; in `written` of them ours becomes another value."""

    entity: EntityType
    name: str
    rows: int
    transitions: dict[Transition, int] = field(default_factory=dict)
    written: int = 0


# What is ignored is written only where it is asked about, or named.
_HEEDED = f"(f.name = ANY(c.fields) OR f.name = ANY(%(named)s::text[]) OR NOT f.name = ANY({IGNORED_NOW}))"
_TAKE = "coalesce(i.choices->f.name->>'take', %(takes)s::jsonb->>f.name)"
# A record that is kept apart, or kept deleted, is not written at all.
_KEPT = (
    f"c.reason_code = ANY(%(asked)s) AND coalesce(i.choices->'{RECORD}'->>'take', %(answer)s) = '{Choice.LOCAL.value}'"
)
# As `conflict_rules` joins them: what one side alone changed or took away counts, and where both changed a key Stripe's stands.
_JOINED_OTHERWISE = """EXISTS (SELECT FROM (SELECT jsonb_object_keys(v.ours) UNION SELECT jsonb_object_keys(v.theirs)) k(key)
  CROSS JOIN LATERAL (SELECT v.base->k.key AS was, v.ours->k.key AS here, v.theirs->k.key AS there) w
  WHERE w.was IS DISTINCT FROM w.there AND (w.there IS NOT NULL OR w.was IS NOT DISTINCT FROM w.here) AND w.there IS DISTINCT FROM w.here)"""
_BY_KEYS = "i.choices IS NOT NULL AND EXISTS (SELECT FROM jsonb_object_keys(i.choices) k WHERE k LIKE f.name || '.%%')"
_WRITTEN = f"""CASE WHEN {_KEPT} THEN false WHEN {_BY_KEYS} THEN true ELSE CASE {_TAKE}
    WHEN '{Choice.STRIPE.value}' THEN true
    WHEN '{Choice.BASE.value}' THEN v.base IS DISTINCT FROM v.ours
    WHEN '{Choice.CUSTOM.value}' THEN i.choices->f.name->'value' IS DISTINCT FROM v.ours
    WHEN '{Blend.FILLED.value}' THEN v.transition = '{Transition.FILLED.value}'
    WHEN '{Blend.KEYS.value}' THEN {_JOINED_OTHERWISE}
    ELSE {_TAKE} IS NULL AND v.base IS NOT DISTINCT FROM v.ours END END"""


async def count_fields(
    session: AsyncSession,
    workspace_id: UUID,
    preview_id: UUID,
    entity: EntityType,
    rule: Rule,
    named: Collection[str] = (),
) -> list[FieldCount]:
    """The preview's fields of an entity type that differ in any of its rows; `named` ones also where they are ignored."""
    connection = await driver(session)
    names = COMPARED[entity]
    # Which side is the newer is noted with each item; where it is not, the field merges by itself.
    takes = {name: take.value for name in names if (take := rule.of(name)) not in (None, Blend.NEWER)}
    found = await connection.execute(
        f"SELECT f.name, v.transition, count(*), count(*) FILTER (WHERE {_WRITTEN})"
        f" FROM {ITEMS} CROSS JOIN unnest(%(names)s::text[]) f(name) CROSS JOIN LATERAL (SELECT c.local->f.name AS ours,"
        " c.theirs->f.name AS theirs, c.base->f.name AS base, conflict_transition(f.name, c.local->f.name, c.theirs->f.name) AS transition) v"
        f" WHERE {OF_PREVIEW} AND i.entity_type = '{entity.value}' AND NOT c.theirs_deleted"
        f" AND v.ours IS DISTINCT FROM v.theirs AND {_HEEDED} GROUP BY 1, 2",
        {
            "workspace": workspace_id,
            "preview": preview_id,
            "names": list(names),
            "named": list(named),
            "takes": Jsonb(takes),
            "answer": None if rule.answer is None else rule.answer.value,
            "asked": [one.value for one in ASKED_OF_RECORD],
        },
    )
    counts: dict[str, list[tuple[Transition, int, int]]] = {}
    for name, word, count, written in await found.fetchall():
        counts.setdefault(name, []).append((Transition(word), count, written))
    return [_summed(entity, name, counts[name]) for name in names if name in counts]


def _summed(entity: EntityType, name: str, counts: list[tuple[Transition, int, int]]) -> FieldCount:
    commonest_first = sorted(counts, key=lambda one: -one[1])
    return FieldCount(
        entity,
        name,
        sum(count for _, count, _ in counts),
        {word: count for word, count, _ in commonest_first},
        sum(written for _, _, written in counts),
    )


async def moved_on(session: AsyncSession, workspace_id: UUID, preview_id: UUID, entity: EntityType) -> int:
    """How many of the preview's rows are not what it saw: settled or chosen for since, or of a record that has other values by now."""
    connection = await driver(session)
    found = await connection.execute(
        f"SELECT count(*) FROM {ITEMS} LEFT JOIN {TABLES[entity]} t ON t.workspace_id = c.workspace_id AND t.id = c.record_id"
        f" WHERE {OF_PREVIEW} AND i.entity_type = '{entity.value}' AND i.outcome IS NULL AND (c.status <> 'open' OR c.revision <> i.revision"
        " OR t.row_version IS DISTINCT FROM c.record_version AND (t.payment_base IS DISTINCT FROM nullif(c.base, 'null')"
        f" OR (t.deleted_at IS NOT NULL) <> (c.reason_code = '{ReasonCode.DELETED_HERE.value}')"
        f" OR {values_expression(entity, 't')} IS DISTINCT FROM c.local))",
        {"workspace": workspace_id, "preview": preview_id},
    )
    row = await found.fetchone()
    assert row is not None
    return int(row[0])


_AMOUNTS = [one.name for entity in EntityType for one in FIELDS[entity] if one.money]


async def largest(session: AsyncSession, workspace_id: UUID, preview_id: UUID, size: int) -> list[int]:
    """The places of the items in which an amount differs most."""
    connection = await driver(session)
    found = await connection.execute(
        "SELECT seq FROM (SELECT DISTINCT ON (i.seq) i.seq, abs((c.theirs->>f.name)::numeric - (c.local->>f.name)::numeric) AS delta"
        f" FROM {ITEMS} CROSS JOIN unnest(%(names)s::text[]) f(name)"
        f" WHERE {OF_PREVIEW} AND i.entity_type IN ('prices', 'invoices') AND f.name = ANY(c.fields)"
        " AND jsonb_typeof(c.local->f.name) = 'number' AND jsonb_typeof(c.theirs->f.name) = 'number'"
        " ORDER BY i.seq, delta DESC) differing ORDER BY delta DESC, seq LIMIT %(size)s",
        {"workspace": workspace_id, "preview": preview_id, "names": _AMOUNTS, "size": size},
    )
    return [row[0] for row in await found.fetchall()]
