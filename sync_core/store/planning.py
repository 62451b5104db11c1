"""A batch of staged objects compared with what is stored, and the batch's plan written: one SELECT and one write, in one transaction.

Both statements are made from the field table. The write proves the run's fence and the version of every record it touches; anything
that moved in between makes it write nothing, and the batch is planned again from what is there now.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import Values
from sync_core.domain.vocabulary import Action, EntityType, ReasonCode, SyncStatus
from sync_core.errors import LeaseLost
from sync_core.store.arrays import numbers, texts
from sync_core.store.database import driver
from sync_core.store.planning_sql import MOVE, select_sql, write_sql
from sync_core.store.run_state import Later


@dataclass(frozen=True, slots=True)
class Scope:
    """What a batch belongs to. `staged_id` is the session whose staged objects are planned: the run's own, or those of `plan_id`, the
    dry run whose plan it applies. `later` have looked at Stripe since, or may have.
    """

    workspace_id: UUID
    session_id: UUID
    staged_id: UUID
    fence: int
    account: str
    livemode: bool
    dry_run: bool
    match_by_email: bool
    plan_id: UUID | None = None
    later: tuple[Later, ...] = ()

    def bound(self, entity: EntityType) -> dict[str, Any]:
        return {
            "workspace": self.workspace_id,
            "session": self.session_id,
            "staged": self.staged_id,
            "plan": self.plan_id,
            "fence": self.fence,
            "account": self.account,
            "livemode": self.livemode,
            "entity": entity.value,
            "later": [one.id for one in self.later],
            "later_began": [one.began for one in self.later],
            "later_dry": [one.dry_run for one in self.later],
        }


@dataclass(frozen=True, slots=True)
class Candidate:
    """A staged object beside what is stored. The last seven are set only where something differs (`record_id` always)."""

    seq: int
    external_id: str
    deleted: bool
    issue: dict[str, Any] | None
    observed_at: float
    missing: list[str] | None
    planned_action: str | None
    planned_version: int | None
    record_id: UUID | None
    row_version: int | None
    linked: bool
    differs: bool
    theirs: Values | None
    local: Values | None
    base: Values | None
    record_deleted: bool
    record_observed_at: float | None
    status: str | None


async def read_batch(
    session: AsyncSession,
    scope: Scope,
    entity: EntityType,
    *,
    after: int,
    until: int,
    size: int,
    only: Sequence[str] | None = None,
) -> list[Candidate]:
    """In the order of the queue, from the place behind `after` to `until`; with `only`, of those Stripe ids."""
    sql = select_sql(
        entity,
        by_email=scope.match_by_email and entity is EntityType.CUSTOMERS,
        dry_run=scope.dry_run,
        applied=scope.plan_id is not None,
        some=only is not None,
        overtaken=bool(scope.later),
    )
    connection = await driver(session)
    some = None if only is None else list(only)
    bound = {**scope.bound(entity), "after": after, "until": until, "size": size, "only": some}
    cursor = await connection.execute(sql, bound)
    return [Candidate(*row) for row in await cursor.fetchall()]


@dataclass(slots=True)
class Item:
    """A line of the plan."""

    seq: int
    external_id: str
    action: Action
    reason: ReasonCode | None = None
    record_id: UUID | None = None
    record_version: int | None = None
    changed: tuple[str, ...] = ()
    detail: dict[str, Any] | None = None


@dataclass(slots=True)
class Update:
    """A record to write over: whole values when `values` is set, else only its base, status and deletion."""

    record_id: UUID
    version: int
    external_id: str
    status: SyncStatus
    values: Values | None = None
    base: Values | None = None
    delete: bool = False
    restore: bool = False
    observed_at: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "record_id": str(self.record_id),
            "version": self.version,
            "external_id": self.external_id,
            "status": self.status.value,
            "values": self.values,
            "base": self.base,
            "deleted": self.delete,
            "restore": self.restore,
            "observed": self.observed_at,
        }


@dataclass(slots=True)
class Opened:
    """A conflict to open, or to refresh when it is open already."""

    record_id: UUID
    external_id: str
    label: str
    reason: ReasonCode
    fields: tuple[str, ...]
    local: Values
    base: Values | None
    theirs: Values
    theirs_deleted: bool
    record_version: int
    observed_at: float

    def to_json(self) -> dict[str, Any]:
        return {
            "record_id": str(self.record_id),
            "external_id": self.external_id,
            "label": self.label,
            "reason": self.reason.value,
            "fields": list(self.fields),
            "local": self.local,
            "base": self.base,
            "theirs": self.theirs,
            "theirs_deleted": self.theirs_deleted,
            "record_version": self.record_version,
            "observed": self.observed_at,
        }


@dataclass(slots=True)
class Plan:
    """A batch's outcome. `after` and `upto` are the planner's watermark before and after it.

    `creates` maps a Stripe id to its place in the queue and the id that the new record gets. `marked` are records that become
    conflicts, `standing` are conflicts already, at these versions, and `settled` those whose conflict with an object, here by its Stripe id,
    is over.
    """

    after: int
    upto: int
    items: list[Item] = field(default_factory=list)
    creates: dict[str, tuple[int, UUID]] = field(default_factory=dict)
    updates: list[Update] = field(default_factory=list)
    touches: list[Update] = field(default_factory=list)
    conflicts: list[Opened] = field(default_factory=list)
    settled: dict[str, UUID] = field(default_factory=dict)
    marked: set[UUID] = field(default_factory=set)
    standing: dict[UUID, int] = field(default_factory=dict)

    @property
    def writes(self) -> bool:
        """Whether it changes a record's values."""
        return bool(self.creates or self.updates)


class BatchMoved(Exception):  # noqa: N818 - it is what happened, and planning again is all it takes
    """A record or the watermark changed between reading and writing; nothing was written."""


def _parts(scope: Scope, plan: Plan) -> frozenset[str]:
    if scope.dry_run:
        return frozenset()
    named = {
        "creates": plan.creates,
        "updates": plan.updates,
        "touches": plan.touches,
        "standing": plan.standing,
        "conflicts": plan.conflicts,
        "settled": plan.settled,
    }
    return frozenset(name for name, rows in named.items() if rows)


async def write_plan(
    session: AsyncSession,
    scope: Scope,
    entity: EntityType,
    plan: Plan,
    behind: Callable[[], Awaitable[bool]] | None = None,
) -> None:
    """All of the batch or nothing. Raises LeaseLost, BatchMoved, or psycopg's DataError and IntegrityError for values that do not fit.

    `behind` tells whether the batch before was committed, as soon as that is known: all but the watermark may be written until then.
    """
    parts = _parts(scope, plan)
    bound = _bound(scope, entity, plan, parts)
    wanted = [*(len(rows) if name in parts else 0 for name, rows in _written(plan)), len(plan.items)]
    if behind is None:
        await _counted(session, scope, write_sql(entity, parts, moves=True), bound, [*wanted, 1])
        return
    await _counted(session, scope, write_sql(entity, parts, moves=False), bound, wanted)
    if not await behind():
        raise BatchMoved("the batch before it was not written")
    await _counted(session, scope, MOVE, bound, [1])


async def _counted(session: AsyncSession, scope: Scope, sql: str, bound: dict[str, Any], wanted: list[int]) -> None:
    connection = await driver(session)
    row = await (await connection.execute(sql, bound)).fetchone()
    held, *found = row if row is not None else (0,)
    if not held:
        raise LeaseLost(f"the lease of run {scope.session_id} was taken by another worker")
    if found != wanted:
        raise BatchMoved(f"wrote {found} of {wanted}")


def _written(plan: Plan) -> Sequence[tuple[str, Collection[object]]]:
    return (
        ("creates", plan.creates),
        ("updates", plan.updates),
        ("touches", plan.touches),
        ("standing", plan.standing),
    )


def _bound(scope: Scope, entity: EntityType, plan: Plan, parts: frozenset[str]) -> dict[str, Any]:
    items = plan.items
    bound = scope.bound(entity)
    bound |= {
        "singular": entity.singular,
        "after": plan.after,
        "upto": plan.upto,
        "seqs": numbers([item.seq for item in items]),
        "ids": texts([item.external_id for item in items]),
        "actions": texts([item.action.value for item in items]),
        "reasons": texts([None if item.reason is None else item.reason.value for item in items]),
        "records": numbers([item.record_id for item in items]),
        "versions": numbers([item.record_version for item in items]),
        "changed": texts([",".join(item.changed) for item in items]),
        "details": texts([None if item.detail is None else json.dumps(item.detail) for item in items]),
        "last_error": next((_error_text(item) for item in reversed(items) if item.action is Action.ERROR), None),
    }
    bound |= {f"n_{action.value}": sum(item.action is action for item in items) for action in Action}
    rows: dict[str, Any] = {
        "creates": lambda: texts(list(plan.creates)),
        "updates": lambda: Jsonb([update.to_json() for update in plan.updates]),
        "touches": lambda: Jsonb([update.to_json() for update in plan.touches]),
        "conflicts": lambda: Jsonb([conflict.to_json() for conflict in plan.conflicts]),
        "standing": lambda: list(plan.standing),
        "settled": lambda: list(plan.settled.values()),
    }
    if "creates" in parts:
        bound |= {"first": items[0].seq, "new_ids": _by_place(plan)}
    if "settled" in parts:
        bound["agreed"] = list(plan.settled)
    if "standing" in parts:
        bound["standing_at"] = list(plan.standing.values())
    if "updates" in parts:
        bound["places"] = Jsonb({item.external_id: item.seq for item in items})
    return bound | {name: rows[name]() for name in parts}


def _by_place(plan: Plan) -> str:
    """New ids in an array that the statement reads by place in the queue: a join would cost a comparison for every pair."""
    first = plan.items[0].seq
    placed: list[UUID | None] = [None] * (plan.upto - first + 1)
    for seq, record_id in plan.creates.values():
        placed[seq - first] = record_id
    return numbers(placed)


def _error_text(item: Item) -> str:
    detail = item.detail or {}
    return f"{item.external_id}: {detail.get('message') or (item.reason.label if item.reason else '')}"
