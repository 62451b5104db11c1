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
from sync_core.store.database import driver
from sync_core.store.reports import FIRST, STAGED, PlanRef
from sync_core.store.values_sql import TABLES, compared, linked, values_expression

LOOKED_AT = 100_000
"""Rows of an entity type and action that are compared; a lookup each. When the plan is applied, all are."""

PLANNED = tuple(action for action in Action if action is not Action.ERROR)


@dataclass(frozen=True, slots=True)
class Account:
    """The Stripe account of a plan: a Stripe id is of one account and mode."""

    account: str
    livemode: bool


@dataclass(frozen=True, slots=True)
class DriftCount:
    """Of the rows looked at: `drifted` changed since, `done` are by now what the plan would make of them."""

    action: str
    looked: int
    drifted: int
    done: int


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


@cache
def _beside(entity: EntityType) -> str:
    """A record that the plan would create is looked for by its Stripe id."""
    table = TABLES[entity]
    return (
        f"{FIRST} LEFT JOIN LATERAL (SELECT CASE WHEN p.record_id IS NOT NULL THEN p.record_id WHEN p.action = 'create' THEN"
        f" (SELECT l.id FROM {table} l WHERE {linked('l', 'p.external_id')}) END AS id OFFSET 0) k ON true"
        f" LEFT JOIN {table} t ON t.workspace_id = %(workspace)s AND t.id = k.id {STAGED}"
    )


_MOVED = "t.row_version IS DISTINCT FROM p.record_version"


@cache
def _done(entity: EntityType) -> str:
    ours, theirs = compared(entity, values_expression(entity, "t")), compared(entity, 's."values"')
    return (
        f"CASE WHEN {_MOVED} AND t.id IS NOT NULL THEN CASE WHEN s.deleted THEN t.deleted_at IS NOT NULL"
        f" ELSE t.deleted_at IS NULL AND {ours} = {theirs} END ELSE false END"
    )


@cache
def _count_sql(entity: EntityType) -> str:
    return (
        "SELECT action, count(*) AS looked, count(*) FILTER (WHERE moved AND NOT done) AS drifted,"
        f" count(*) FILTER (WHERE done) AS done FROM (SELECT a.action, {_MOVED} AS moved, {_done(entity)} AS done"
        f" FROM {_beside(entity)}) seen GROUP BY action"
    )


@cache
def _rows_sql(entity: EntityType) -> str:
    return (
        "SELECT p.seq, p.external_id, p.action, t.id AS record_id, p.record_version, t.row_version,"
        f' t.deleted_at IS NOT NULL AS deleted, p.detail, s."values" AS theirs,'
        f" CASE WHEN t.id IS NOT NULL THEN {values_expression(entity, 't')} END AS local"
        f" FROM {_beside(entity)} WHERE p.seq > %(after)s AND {_MOVED} AND NOT {_done(entity)} ORDER BY p.seq LIMIT %(limit)s"
    )


async def count(session: AsyncSession, plan: PlanRef, account: Account, entity: EntityType) -> list[DriftCount]:
    return await _all(session, DriftCount, _count_sql(entity), _bound(plan, account, entity))


async def rows(
    session: AsyncSession, plan: PlanRef, account: Account, entity: EntityType, *, after: int, limit: int
) -> list[Drifted]:
    """In the order of landing."""
    bound = _bound(plan, account, entity) | {"after": after, "limit": limit}
    return await _all(session, Drifted, _rows_sql(entity), bound)


def _bound(plan: PlanRef, account: Account, entity: EntityType) -> dict[str, Any]:
    return plan.bound(
        entities=[entity.value],
        actions=[one.value for one in PLANNED],
        account=account.account,
        livemode=account.livemode,
        cap=LOOKED_AT,
    )


async def _all(session: AsyncSession, kind: type[Any], sql: str, bound: dict[str, Any]) -> list[Any]:
    connection = await driver(session)
    async with connection.cursor(row_factory=class_row(kind)) as cursor:
        await cursor.execute(sql, bound)
        return list(await cursor.fetchall())
