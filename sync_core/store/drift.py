"""A plan beside what is stored now: which of its records are no longer what it saw. Stripe is not asked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import Values
from sync_core.domain.vocabulary import Action, EntityType
from sync_core.store.database import driver, in_index_order
from sync_core.store.reports import PlanRef
from sync_core.store.values_sql import TABLES, compared, linked, values_expression

STEP = 10_000
"""Rows that one statement compares, a lookup each: about a tenth of a second."""

PLANNED = tuple(action for action in Action if action is not Action.ERROR)


@dataclass(frozen=True, slots=True)
class Account:
    """The Stripe account of a plan: a Stripe id is of one account and mode."""

    account: str
    livemode: bool


@dataclass(frozen=True, slots=True)
class DriftCount:
    """Of the rows looked at: `drifted` changed since, `done` are by now what the plan would make of them. `last` is the last one's place."""

    looked: int
    drifted: int
    done: int
    last: int | None


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the order in which a plan is compared: by entity type, action, landing. What is compared next comes behind it."""

    entity: EntityType
    action: Action
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Drifted:
    """A record that the plan saw otherwise. `record_version` is None where it saw none, `row_version` where there is none now."""

    seq: int
    external_id: str
    action: str
    record_id: UUID | None
    record_version: int | None
    row_version: int | None
    deleted: bool
    detail: dict[str, Any] | None
    theirs: Values | None
    local: Values | None


async def account_of(session: AsyncSession, plan: PlanRef) -> Account | None:
    connection = await driver(session)
    cursor = await connection.execute(
        "SELECT c.account_id, c.livemode FROM payment_sync_sessions s JOIN payment_connections c"
        " ON c.workspace_id = s.workspace_id AND c.id = s.connection_id"
        " WHERE s.workspace_id = %(workspace)s AND s.id = %(session)s",
        plan.bound(),
    )
    row = await cursor.fetchone()
    return None if row is None else Account(row[0], row[1])


_MOVED = "t.row_version IS DISTINCT FROM p.record_version"
# What Stripe had is looked up only where it matters: of most rows nothing has moved.
_THEIRS = (
    'LEFT JOIN LATERAL (SELECT o.deleted, o."values" FROM payment_sync_staged_objects o WHERE o.workspace_id = %(workspace)s'
    " AND o.session_id = %(staged)s AND o.entity_type = p.entity_type AND o.external_id = p.external_id"
    f" AND {_MOVED} OFFSET 0) s ON true"
)


@cache
def _beside(entity: EntityType) -> str:
    """The next rows behind a place, with what is stored. A record that the plan would create is looked for by its Stripe id."""
    table = TABLES[entity]
    return (
        "(SELECT i.* FROM payment_sync_plan_items i WHERE i.workspace_id = %(workspace)s AND i.session_id = %(session)s"
        " AND i.entity_type = %(entity)s AND i.action = %(action)s AND i.seq > %(after)s ORDER BY i.seq LIMIT %(step)s) p"
        " LEFT JOIN LATERAL (SELECT CASE WHEN p.record_id IS NOT NULL THEN p.record_id WHEN p.action = 'create' THEN"
        f" (SELECT l.id FROM {table} l WHERE {linked('l', 'p.external_id')}) END AS id OFFSET 0) k ON true"
        f" LEFT JOIN {table} t ON t.workspace_id = %(workspace)s AND t.id = k.id {_THEIRS}"
    )


# What a run that applies this plan has written last: an update that keeps some of ours is not Stripe's values, and a conflict is only opened.
# A write takes a record from the version that the run found to the next one; a conflict names the version that it is about.
_APPLIED = "ANY(ARRAY(SELECT a.id FROM payment_sync_sessions a WHERE a.workspace_id = %(workspace)s AND a.source_session_id = %(session)s))"
_WRITTEN = (
    "CASE p.action WHEN 'update' THEN EXISTS (SELECT FROM payment_sync_plan_items w WHERE w.workspace_id = %(workspace)s"
    f" AND w.session_id = {_APPLIED} AND w.entity_type = p.entity_type AND w.external_id = p.external_id"
    " AND w.action = 'update' AND w.record_version = t.row_version - 1)"
    " WHEN 'conflict' THEN EXISTS (SELECT FROM payment_sync_conflicts w WHERE w.workspace_id = %(workspace)s"
    f" AND w.session_id = {_APPLIED} AND w.entity_type = p.entity_type AND w.record_id = t.id AND w.external_id = p.external_id"
    " AND w.status = 'open' AND w.record_version = t.row_version) ELSE false END"
)


@cache
def _done(entity: EntityType) -> str:
    ours, theirs = compared(entity, values_expression(entity, "t")), compared(entity, 's."values"')
    return (
        f"CASE WHEN {_MOVED} AND t.id IS NOT NULL THEN CASE WHEN {_WRITTEN} THEN true WHEN s.deleted THEN t.deleted_at IS NOT NULL"
        f" ELSE t.deleted_at IS NULL AND {ours} = {theirs} END ELSE false END"
    )


@cache
def _count_sql(entity: EntityType) -> str:
    return (
        "SELECT count(*) AS looked, count(*) FILTER (WHERE moved AND NOT done) AS drifted,"
        " count(*) FILTER (WHERE done) AS done, max(seq) AS last"
        f" FROM (SELECT p.seq, {_MOVED} AS moved, {_done(entity)} AS done FROM {_beside(entity)}) seen"
    )


@cache
def _rows_sql(entity: EntityType) -> str:
    return (
        "SELECT p.seq, p.external_id, p.action, t.id AS record_id, p.record_version, t.row_version,"
        f' t.deleted_at IS NOT NULL AS deleted, p.detail, s."values" AS theirs,'
        f" CASE WHEN t.id IS NOT NULL THEN {values_expression(entity, 't')} END AS local"
        f" FROM {_beside(entity)} WHERE {_MOVED} AND NOT {_done(entity)} ORDER BY p.seq LIMIT %(limit)s"
    )


async def count(session: AsyncSession, plan: PlanRef, account: Account, after: Place) -> DriftCount:
    """Of the next `STEP` rows of the place's entity type and action."""
    [found] = await _all(session, DriftCount, _count_sql(after.entity), _bound(plan, account, after))
    assert isinstance(found, DriftCount)
    return found


async def rows(session: AsyncSession, plan: PlanRef, account: Account, after: Place, *, limit: int) -> list[Drifted]:
    """Those of the rows that `count` looks at which have drifted, in the order of landing."""
    return await _all(session, Drifted, _rows_sql(after.entity), _bound(plan, account, after) | {"limit": limit})


def _bound(plan: PlanRef, account: Account, after: Place) -> dict[str, Any]:
    return plan.bound(
        entity=after.entity.value,
        action=after.action.value,
        after=after.seq,
        step=STEP,
        account=account.account,
        livemode=account.livemode,
    )


async def _all(session: AsyncSession, kind: type[Any], sql: str, bound: dict[str, Any]) -> list[Any]:
    await in_index_order(session)
    connection = await driver(session)
    async with connection.cursor(row_factory=class_row(kind)) as cursor:
        await cursor.execute(sql, bound)
        return list(await cursor.fetchall())
