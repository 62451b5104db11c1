"""A run's plan as people question it: its rows a page at a time, and what they have in common.

A plan may hold a million rows, so whole counts come from the run's own counters. What has to be read row by row is read of the first
`LOOKED_AT` of an entity type and action, in the order of landing; the screen says so when there are more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import FIELDS, Kind, Values
from sync_core.domain.vocabulary import Action, EntityType, ReasonCode
from sync_core.store.database import driver, in_index_order
from sync_core.store.values_sql import TABLES

LOOKED_AT = 20_000


@dataclass(frozen=True, slots=True)
class PlanRef:
    """A plan: the run that holds its items, and the run whose staged objects they are about (its own, or a dry run's), unless it
    has fetched them anew itself.
    """

    workspace_id: UUID
    session_id: UUID
    staged_id: UUID

    def bound(self, **more: Any) -> dict[str, Any]:
        ids = {"workspace": self.workspace_id, "session": self.session_id, "staged": self.staged_id}
        return {**ids, "cap": LOOKED_AT, **more}


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One line of a plan. `changes` are [ours, Stripe's] by field; `theirs` are the staged values, None when they could not be mapped."""

    seq: int
    external_id: str
    action: str
    reason_code: str | None
    record_id: UUID | None
    record_version: int | None
    changed_fields: list[str] | None
    detail: dict[str, Any] | None
    theirs: Values | None
    request_id: str | None


_ITEM = "p.workspace_id = %(workspace)s AND p.session_id = %(session)s AND p.entity_type = %(entity)s"
STAGED = (
    "LEFT JOIN LATERAL (SELECT * FROM payment_sync_staged_objects o WHERE o.workspace_id = p.workspace_id"
    " AND o.session_id IN (%(session)s, %(staged)s) AND o.entity_type = p.entity_type AND o.external_id = p.external_id"
    " ORDER BY o.observed_at DESC LIMIT 1) s ON true"
)
ROW = (
    "p.seq, p.external_id, p.action, p.reason_code, p.record_id, p.record_version, p.changed_fields, p.detail,"
    ' s."values" AS theirs, s.request_id'
)


@cache
def base_or_staged(entity: EntityType) -> str:
    """What was recognised was not staged: its values are the record's base, while nobody has written the record since."""
    base = (
        f"SELECT r.payment_base FROM {TABLES[entity]} r WHERE r.workspace_id = p.workspace_id AND r.id = p.record_id"
        " AND r.row_version = p.record_version AND p.action = 'unchanged'"
    )
    return f'coalesce(s."values", ({base}))'


@cache
def row_columns(entity: EntityType) -> str:
    return ROW.replace('s."values"', base_or_staged(entity))


async def rows(
    session: AsyncSession,
    plan: PlanRef,
    entity: EntityType,
    action: Action,
    *,
    after: int = 0,
    limit: int = 50,
    reason: ReasonCode | None = None,
    field: str | None = None,
    backward: bool = False,
) -> list[PlanRow]:
    """In the order of landing; `backward` gives the rows before `after`, the nearest first."""
    wanted = [f"{_ITEM} AND p.action = %(action)s", "p.seq < %(after)s" if backward else "p.seq > %(after)s"]
    if reason is not None:
        wanted.append("p.reason_code = %(reason)s")
    if field is not None:
        wanted.append("%(field)s = ANY(p.changed_fields)")
    order = "DESC" if backward else "ASC"
    sql = (
        f"SELECT {row_columns(entity)} FROM (SELECT * FROM payment_sync_plan_items p WHERE {' AND '.join(wanted)}"
        f" ORDER BY p.seq {order} LIMIT %(limit)s) p {STAGED} ORDER BY p.seq {order}"
    )
    bound = plan.bound(
        entity=entity.value,
        action=action.value,
        after=after,
        limit=limit,
        reason=None if reason is None else reason.value,
        field=field,
    )
    return await _all(session, PlanRow, sql, bound)


async def is_kept(session: AsyncSession, plan: PlanRef) -> bool:
    """Whether what the plan is about is still there: it is forgotten some time after the run's end. What is unchanged need not be; what
    was read and never planned would be lost.
    """
    connection = await driver(session)
    cursor = await connection.execute(
        "SELECT EXISTS (SELECT FROM payment_sync_staged_objects WHERE workspace_id = %(workspace)s AND session_id = %(staged)s)"
        " OR NOT EXISTS (SELECT FROM payment_sync_plan_items WHERE workspace_id = %(workspace)s"
        " AND session_id IN (%(session)s, %(staged)s) AND action <> 'unchanged')"
        " AND NOT EXISTS (SELECT FROM payment_sync_entity_runs WHERE workspace_id = %(workspace)s AND session_id = %(session)s"
        " AND fetched > created + updated + unchanged + skipped + conflicts + failed)",
        plan.bound(),
    )
    row = await cursor.fetchone()
    return bool(row and row[0])


async def has_errors(
    session: AsyncSession,
    plan: PlanRef,
    entity: EntityType | None,
    reason: ReasonCode | None,
    external_ids: Sequence[str] | None,
) -> bool:
    """Whether anything failed, or anything of what is named."""
    connection = await driver(session)
    cursor = await connection.execute(
        "SELECT EXISTS (SELECT FROM payment_sync_plan_items WHERE workspace_id = %(workspace)s AND session_id = %(session)s"
        " AND entity_type = ANY(%(entities)s) AND action = 'error' AND (%(reason)s::text IS NULL OR reason_code = %(reason)s)"
        " AND (%(ids)s::text[] IS NULL OR external_id = ANY(%(ids)s)))",
        plan.bound(
            entities=[one.value for one in EntityType if entity in (None, one)],
            reason=None if reason is None else reason.value,
            ids=None if external_ids is None else list(external_ids),
        ),
    )
    row = await cursor.fetchone()
    return bool(row and row[0])


_OF_RECORD = f"""
SELECT r.id AS session_id, p.entity_type, {ROW}
FROM (SELECT id, coalesce(source_session_id, id) AS staged_id FROM payment_sync_sessions WHERE workspace_id = %(workspace)s AND deleted_at IS NULL
  ORDER BY created_at DESC, id DESC LIMIT %(runs)s) r
CROSS JOIN unnest(%(entities)s::text[]) e(entity)
JOIN LATERAL (SELECT * FROM payment_sync_plan_items i WHERE i.workspace_id = %(workspace)s AND i.session_id = r.id
  AND i.entity_type = e.entity AND i.external_id = %(external_id)s OFFSET 0) p ON true
LEFT JOIN LATERAL (SELECT * FROM payment_sync_staged_objects o WHERE o.workspace_id = %(workspace)s
  AND o.session_id IN (r.id, r.staged_id) AND o.entity_type = e.entity AND o.external_id = p.external_id
  ORDER BY o.observed_at DESC LIMIT 1) s ON true
"""


@dataclass(frozen=True, slots=True)
class RecordRow(PlanRow):
    session_id: UUID
    entity_type: str


async def of_record(session: AsyncSession, workspace_id: UUID, external_id: str, *, runs: int) -> list[RecordRow]:
    """What the latest runs planned for one Stripe id, in no particular order."""
    bound = {
        "workspace": workspace_id,
        "external_id": external_id,
        "runs": runs,
        "entities": [entity.value for entity in EntityType],
    }
    return await _all(session, RecordRow, _OF_RECORD, bound)


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision that a person took about a record."""

    conflict_id: UUID
    entity_type: str
    actor: str
    choices: dict[str, Any]
    created_at: Any
    undone_at: Any
    undone_by: str | None


_DECISIONS = """
SELECT d.conflict_id, d.entity_type, d.actor, d.choices, d.created_at, d.undone_at, d.undone_by
FROM unnest(%(entities)s::text[]) e(entity)
JOIN payment_sync_conflicts c ON c.workspace_id = %(workspace)s AND c.entity_type = e.entity AND c.record_id = ANY(%(records)s)
JOIN payment_sync_conflict_decisions d ON d.workspace_id = %(workspace)s AND d.conflict_id = c.id
ORDER BY d.created_at DESC LIMIT 50
"""


async def decisions(session: AsyncSession, workspace_id: UUID, records: Sequence[UUID]) -> list[Decided]:
    entities = [entity.value for entity in EntityType]
    bound = {"workspace": workspace_id, "records": list(records), "entities": entities}
    return await _all(session, Decided, _DECISIONS, bound)


# The first rows of each entity type and action, by the index that has them in this order.
FIRST = """
unnest(%(entities)s::text[]) e(entity) CROSS JOIN unnest(%(actions)s::text[]) a(action)
CROSS JOIN LATERAL (SELECT i.* FROM payment_sync_plan_items i WHERE i.workspace_id = %(workspace)s AND i.session_id = %(session)s
  AND i.entity_type = e.entity AND i.action = a.action ORDER BY i.seq LIMIT %(cap)s) p
"""


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How many of the rows looked at got an action for a reason; `field` is the one an error names, `sample` their first ids."""

    entity_type: str
    action: str
    reason_code: str
    field: str | None
    count: int
    sample: list[str]
    message: str | None


_REASONS = f"""
SELECT e.entity AS entity_type, a.action, p.reason_code, CASE WHEN a.action = 'error' THEN p.detail->>'field' END AS field,
  count(*) AS count, (array_agg(p.external_id ORDER BY p.seq))[1:5] AS sample, min(p.detail->>'message') AS message
FROM {FIRST} WHERE p.reason_code IS NOT NULL GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC, 1, 2, 3
"""


async def reasons(
    session: AsyncSession, plan: PlanRef, entities: Sequence[EntityType], actions: Sequence[Action]
) -> list[ReasonCount]:
    return await _all(session, ReasonCount, _REASONS, _many(plan, entities, actions))


@dataclass(frozen=True, slots=True)
class FieldCount:
    """How often a field differs in rows of an action. `filled` had no value of ours, `emptied` has none of Stripe's."""

    entity_type: str
    field: str
    action: str
    count: int
    filled: int
    emptied: int


_FIELDS = f"""
SELECT e.entity AS entity_type, c.key AS field, a.action, count(*) AS count,
  count(*) FILTER (WHERE jsonb_typeof(c.value->0) = 'null') AS filled,
  count(*) FILTER (WHERE jsonb_typeof(c.value->1) = 'null') AS emptied
FROM {FIRST} CROSS JOIN LATERAL jsonb_each(p.detail->'changes') c GROUP BY 1, 2, 3
"""


async def fields(session: AsyncSession, plan: PlanRef, entities: Sequence[EntityType]) -> list[FieldCount]:
    """Every field that differs somewhere, by action."""
    return await _all(session, FieldCount, _FIELDS, _many(plan, entities, DIFFERING))


DIFFERING = (Action.UPDATE, Action.CONFLICT, Action.SKIP)


@dataclass(frozen=True, slots=True)
class Transition:
    """A value of ours and the one of Stripe's that stands against it, and how often they do; of an amount, in which currencies."""

    ours: Any
    theirs: Any
    ours_currency: str | None
    theirs_currency: str | None
    count: int


_CHANGED = "p.detail->'changes'"
_CURRENCIES = f"coalesce({_CHANGED}->'currency'->>0, s.\"values\"->>'currency') AS ours_currency, s.\"values\"->>'currency' AS theirs_currency"


@cache
def _transitions_sql(*, is_money: bool) -> str:
    currencies, staged = (_CURRENCIES, STAGED) if is_money else ("NULL AS ours_currency, NULL AS theirs_currency", "")
    return f"""
SELECT {_CHANGED}->%(field)s->0 AS ours, {_CHANGED}->%(field)s->1 AS theirs, {currencies}, count(*) AS count
FROM {FIRST} {staged} WHERE {_CHANGED} ? %(field)s GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC, 1, 2, 3, 4 LIMIT %(limit)s
"""


async def transitions(
    session: AsyncSession,
    plan: PlanRef,
    entity: EntityType,
    field: str,
    *,
    actions: Sequence[Action] = DIFFERING,
    limit: int = 20,
) -> list[Transition]:
    """The commonest pairs of values of a field, the commonest first."""
    is_money = next(one.kind for one in FIELDS[entity] if one.name == field) is Kind.MONEY
    bound = _many(plan, [entity], actions) | {"field": field, "limit": limit}
    return await _all(session, Transition, _transitions_sql(is_money=is_money), bound)


_OTHER_MODE = " OR ".join(
    f"EXISTS (SELECT FROM {table} WHERE workspace_id = %(workspace)s AND payment_provider = 'stripe'"
    " AND payment_livemode = %(livemode)s)"
    for table in TABLES.values()
)


async def has_records_of_mode(session: AsyncSession, workspace_id: UUID, *, livemode: bool) -> bool:
    """Whether any record came from Stripe's live, or test, side."""
    connection = await driver(session)
    cursor = await connection.execute(f"SELECT {_OTHER_MODE}", {"workspace": workspace_id, "livemode": livemode})
    row = await cursor.fetchone()
    return bool(row and row[0])


@dataclass(frozen=True, slots=True)
class AppliedRun:
    """A run that applies a dry run's plan, all of it or its first `limit`."""

    id: UUID
    number: int
    status: str
    limit: int | None


_APPLIED = """
SELECT id, number, status, (config->>'limit')::int AS limit FROM payment_sync_sessions
WHERE workspace_id = %(workspace)s AND source_session_id = %(session)s AND deleted_at IS NULL ORDER BY created_at DESC
"""


async def applied(session: AsyncSession, plan: PlanRef) -> list[AppliedRun]:
    """The newest first."""
    return await _all(session, AppliedRun, _APPLIED, plan.bound())


def _many(plan: PlanRef, entities: Sequence[EntityType], actions: Sequence[Action]) -> dict[str, Any]:
    return plan.bound(entities=[one.value for one in entities], actions=[one.value for one in actions])


async def _all(session: AsyncSession, kind: type[Any], sql: str, bound: dict[str, Any]) -> list[Any]:
    await in_index_order(session)
    connection = await driver(session)
    async with connection.cursor(row_factory=class_row(kind)) as cursor:
        await cursor.execute(sql, bound)
        return list(await cursor.fetchall())
