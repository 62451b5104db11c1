"""Questions across entity types: which parents are missing, what failed, what is not stored that should be.

Each row is looked up by a subquery on a unique key: as joins they were planned, for a session not analysed yet, as loops over whole tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import FIELDS
from sync_core.domain.vocabulary import EntityType, ReasonCode
from sync_core.errors import LeaseLost
from sync_core.store.database import driver
from sync_core.store.planning import Scope
from sync_core.store.values_sql import TABLES, linked

_OF = "s.external_id = ANY(%(of)s)"
_BETWEEN = "s.seq > 0 AND s.seq > %(after)s AND s.seq <= %(until)s"


@cache
def references(child: EntityType, parent: EntityType, *, only: str = "true", told: str = "") -> str:
    """Every Stripe id of `parent` that a staged `child` names, its items' too; `only` narrows the staged objects, `s`, and `told` are
    further columns of them.
    """
    staged = (
        "FROM payment_sync_staged_objects s WHERE s.workspace_id = %(workspace)s AND s.session_id = %(staged)s"
        f" AND s.entity_type = '{child.value}' AND s.values IS NOT NULL AND {only}"
    )
    parts = [f"SELECT {told}s.values->>'{ref.name}' AS id {staged}" for ref in FIELDS[child] if ref.parent is parent]
    if child is EntityType.SUBSCRIPTIONS and parent in (EntityType.PRICES, EntityType.PRODUCTS):
        nested = staged.replace(" WHERE", ", jsonb_array_elements(s.values->'items') AS line WHERE")
        parts.append(f"SELECT {told}line->>'{parent.singular}' AS id {nested}")
    return " UNION ".join(parts)


# An applied plan has what its dry run staged, too.
_QUEUE, _QUEUES = "= %(staged)s", "IN (%(staged)s, %(plan)s)"


@cache
def missing_sql(child: EntityType, parent: EntityType, *, narrowed: bool, applied: bool = False) -> str:
    # What is staged is not looked for among the records: they may be none yet, which is when any of their indexes looks good, and
    # thousands by the time that the statement comes to its end.
    return f"""
SELECT DISTINCT r.id FROM ({references(child, parent, only=_OF if narrowed else _BETWEEN)}) r
WHERE r.id IS NOT NULL
  AND CASE WHEN (SELECT k.seq FROM payment_sync_staged_objects k WHERE k.workspace_id = %(workspace)s
    AND k.session_id {_QUEUES if applied else _QUEUE} AND k.entity_type = '{parent.value}' AND k.external_id = r.id
    AND k.issue->>'reason' IS DISTINCT FROM 'gone' LIMIT 1) IS NULL
    THEN (SELECT t.id FROM {TABLES[parent]} t WHERE {linked("t", "r.id")}) IS NULL ELSE false END
  AND r.id <> ALL(%(absent)s)
ORDER BY r.id LIMIT %(limit)s
"""


async def missing_parents(
    session: AsyncSession,
    scope: Scope,
    child: EntityType,
    parent: EntityType,
    *,
    limit: int,
    known_absent: Sequence[str],
    of: Sequence[str] | tuple[int, int],
) -> list[str]:
    """Stripe ids that are neither stored nor staged; `known_absent` were asked for already. `of` are the children: their ids, or the
    places in their queue, from behind the first to the second.
    """
    connection = await driver(session)
    by_id = not isinstance(of, tuple)
    sql = missing_sql(child, parent, narrowed=by_id, applied=scope.plan_id is not None)
    children = {"of": list(of)} if by_id else {"after": of[0], "until": of[1]}
    bound = {"limit": limit, "absent": list(known_absent), **children}
    cursor = await connection.execute(sql, {**scope.bound(child), **bound})
    return [row[0] for row in await cursor.fetchall()]


async def failed_parents(
    session: AsyncSession, scope: Scope, child: EntityType, parent: EntityType, *, of: Sequence[str]
) -> list[str]:
    """Parents of these children that landed, but ended as errors themselves."""
    connection = await driver(session)
    sql = (
        f"SELECT DISTINCT r.id FROM ({references(child, parent, only=_OF)}) r WHERE r.id IS NOT NULL"
        " AND (SELECT p.action FROM payment_sync_plan_items p WHERE p.workspace_id = %(workspace)s AND p.session_id = %(session)s"
        f" AND p.entity_type = '{parent.value}' AND p.external_id = r.id) = 'error'"
    )
    cursor = await connection.execute(sql, {**scope.bound(child), "of": list(of)})
    return [row[0] for row in await cursor.fetchall()]


_FAILED = """
SELECT p.external_id, p.reason_code, coalesce((SELECT s.seq FROM payment_sync_staged_objects s
  WHERE s.workspace_id = p.workspace_id AND s.session_id = %(staged)s AND s.entity_type = p.entity_type
  AND s.external_id = p.external_id) > p.seq, false), coalesce(p.detail->>'field' = 'id', false)
FROM payment_sync_plan_items p
WHERE p.workspace_id = %(workspace)s AND p.session_id = %(session)s AND p.entity_type = %(entity)s AND p.action = 'error'
  AND (%(reason)s::text IS NULL OR p.reason_code = %(reason)s) AND (%(ids)s::text[] IS NULL OR p.external_id = ANY(%(ids)s))
ORDER BY p.seq
"""
_AGAIN = """
WITH fence AS (SELECT 1 FROM payment_sync_leases WHERE session_id = %(session)s AND fence = %(fence)s FOR KEY SHARE),
counted AS (UPDATE payment_sync_entity_runs SET landed_seq = greatest(landed_seq, %(before)s + cardinality(%(ids)s::text[]))
  WHERE workspace_id = %(workspace)s AND session_id = %(session)s AND entity_type = %(entity)s AND EXISTS (SELECT FROM fence))
UPDATE payment_sync_staged_objects s SET seq = %(before)s + n.place
FROM unnest(%(ids)s::text[]) WITH ORDINALITY AS n(id, place)
WHERE s.workspace_id = %(workspace)s AND s.session_id = %(staged)s AND s.entity_type = %(entity)s AND s.external_id = n.id
  AND EXISTS (SELECT FROM fence)
  AND (NOT %(failed_only)s OR EXISTS (SELECT FROM payment_sync_plan_items p WHERE p.workspace_id = %(workspace)s
    AND p.session_id = %(session)s AND p.entity_type = %(entity)s AND p.external_id = n.id AND p.action = 'error' AND p.seq >= s.seq))
"""


@dataclass(frozen=True, slots=True)
class Failed:
    """An object that ended as an error. `is_queued` when a newer view of it has landed, which the planner will come to; `is_nameless`
    when it is its id that is wrong, by which nothing can be asked.
    """

    external_id: str
    reason: ReasonCode
    is_queued: bool
    is_nameless: bool


async def failed_items(
    session: AsyncSession,
    scope: Scope,
    entity: EntityType,
    *,
    reason: ReasonCode | None = None,
    ids: Sequence[str] | None = None,
) -> list[Failed]:
    connection = await driver(session)
    narrowed = {"reason": None if reason is None else reason.value, "ids": None if ids is None else list(ids)}
    cursor = await connection.execute(_FAILED, {**scope.bound(entity), **narrowed})
    return [Failed(row[0], ReasonCode(row[1]), *row[2:]) for row in await cursor.fetchall()]


_PLAN_ENDS = """
UPDATE payment_sync_entity_runs r SET plan_upto = coalesce(r.plan_upto, (SELECT s.seq FROM payment_sync_staged_objects s
  WHERE s.workspace_id = %(workspace)s AND s.session_id = %(plan)s AND s.entity_type = r.entity_type AND s.seq > 0
  ORDER BY s.seq DESC LIMIT 1), 0)
WHERE r.workspace_id = %(workspace)s AND r.session_id = %(session)s
  AND EXISTS (SELECT FROM payment_sync_leases WHERE session_id = %(session)s AND fence = %(fence)s FOR KEY SHARE)
RETURNING r.entity_type, r.plan_upto
"""


async def plan_ends(session: AsyncSession, scope: Scope) -> dict[EntityType, int]:
    """The last place in each queue of the applied plan, as it was when this run first asked; its own places come after those."""
    connection = await driver(session)
    cursor = await connection.execute(_PLAN_ENDS, scope.bound(EntityType.CUSTOMERS))
    ends = {EntityType(row[0]): row[1] for row in await cursor.fetchall()}
    if not ends:
        raise LeaseLost(f"the lease of run {scope.session_id} was taken by another worker")
    return ends


# At a place before all others: they are not queued until they are planned again.
_TAKE_OVER = """
INSERT INTO payment_sync_staged_objects (workspace_id, session_id, entity_type, external_id, seq, provider_created, livemode, deleted,
  related, observed_at, request_id, issue, digest, values, raw)
SELECT workspace_id, %(session)s, entity_type, external_id, 0, provider_created, livemode, deleted, related, observed_at, request_id,
  issue, digest, values, raw
FROM payment_sync_staged_objects WHERE workspace_id = %(workspace)s AND session_id = %(plan)s AND entity_type = %(entity)s
  AND external_id = ANY(%(ids)s)
  AND EXISTS (SELECT FROM payment_sync_leases WHERE session_id = %(session)s AND fence = %(fence)s FOR KEY SHARE)
ON CONFLICT DO NOTHING
"""


async def take_over(session: AsyncSession, scope: Scope, entity: EntityType, ids: Sequence[str]) -> None:
    """Make these objects of the applied plan the run's own, where they are not: the plan stays as it was looked at."""
    connection = await driver(session)
    await connection.execute(_TAKE_OVER, {**scope.bound(entity), "ids": list(ids)})


async def plan_again(
    session: AsyncSession,
    scope: Scope,
    entity: EntityType,
    ids: Sequence[str],
    *,
    before: int,
    failed_only: bool = False,
) -> None:
    """Put staged objects at the end of the planner's queue, in the places after `before`.

    With `failed_only`, not those whose newer view is queued already, or was planned well meanwhile.
    """
    connection = await driver(session)
    await connection.execute(
        _AGAIN, {**scope.bound(entity), "ids": list(ids), "before": before, "failed_only": failed_only}
    )


async def naming(
    session: AsyncSession,
    scope: Scope,
    child: EntityType,
    parent: EntityType,
    *,
    of: Sequence[str],
    parents: Sequence[str],
    limit: int,
) -> list[str]:
    """Children, of these, that name any of those parents; when there are too many, some of them by lot."""
    connection = await driver(session)
    sql = (
        f"SELECT r.child FROM ({references(child, parent, only=_OF, told='s.external_id AS child, ')}) r"
        " WHERE r.id = ANY(%(parents)s) GROUP BY r.child ORDER BY random() LIMIT %(limit)s"
    )
    bound = {**scope.bound(child), "of": list(of), "parents": list(parents), "limit": limit}
    return [row[0] for row in await (await connection.execute(sql, bound)).fetchall()]


# EXCEPT is never planned as a loop: 25,000 objects took 20 s as look-ups by whichever index looked good to a planner without statistics.
_UNPLANNED = """
SELECT count(*), (array_agg(external_id))[1:1000] FROM (
  SELECT s.external_id{place} FROM payment_sync_staged_objects s
  WHERE s.workspace_id = %(workspace)s AND s.session_id {queues} AND s.entity_type = %(entity)s
  EXCEPT
  SELECT p.external_id{place} FROM payment_sync_plan_items p
  WHERE p.workspace_id = %(workspace)s AND p.session_id = %(session)s AND p.entity_type = %(entity)s
) u
"""


async def unplanned(session: AsyncSession, scope: Scope, entity: EntityType) -> tuple[int, list[str]]:
    """Landed without an action: none, if the planner did its work. A newer view has a place of its own, and so has its action; only
    what a run makes up for of the plan that it applies is in two queues.
    """
    connection = await driver(session)
    own = scope.plan_id is None
    sql = _UNPLANNED.format(queues=_QUEUE if own else _QUEUES, place=", seq" if own else "")
    cursor = await connection.execute(sql, scope.bound(entity))
    row = await cursor.fetchone()
    return (row[0], list(row[1] or [])) if row else (0, [])


_CLAIMED = (
    "SELECT record_id FROM payment_sync_plan_items WHERE workspace_id = %(workspace)s AND session_id = %(session)s"
    " AND entity_type = %(entity)s AND action = 'update' AND reason_code = 'email_match'"
)


async def claimed_records(session: AsyncSession, scope: Scope, entity: EntityType) -> set[UUID]:
    """Records that this run has linked, or would link, by email: no second object may claim one."""
    connection = await driver(session)
    cursor = await connection.execute(_CLAIMED, scope.bound(entity))
    return {row[0] for row in await cursor.fetchall()}


async def unstaged(session: AsyncSession, scope: Scope, entity: EntityType, ids: Sequence[str]) -> list[str]:
    """Those of the ids that have not landed, nor were recognised instead."""
    connection = await driver(session)
    cursor = await connection.execute(
        "SELECT n.id FROM unnest(%(ids)s::text[]) AS n(id) WHERE (SELECT s.seq FROM payment_sync_staged_objects s"
        " WHERE s.workspace_id = %(workspace)s AND s.session_id = %(staged)s AND s.entity_type = %(entity)s"
        " AND s.external_id = n.id) IS NULL AND (SELECT p.seq FROM payment_sync_plan_items p WHERE p.workspace_id = %(workspace)s"
        " AND p.session_id = %(session)s AND p.entity_type = %(entity)s AND p.external_id = n.id) IS NULL",
        {**scope.bound(entity), "ids": list(ids)},
    )
    return [row[0] for row in await cursor.fetchall()]
