"""Conflicts and their records, locked and read together: what a decision is made from, and what it may change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import Values
from sync_core.domain.vocabulary import EntityType, SyncStatus
from sync_core.store.conflicts import StoredConflict
from sync_core.store.conflicts import columns as conflict_columns
from sync_core.store.database import driver
from sync_core.store.records import RecordState
from sync_core.store.values_sql import TABLES, parents_expression, values_expression


@dataclass(frozen=True, slots=True)
class Held:
    """A conflict and its record, both locked. `account` and `livemode` are those of the conflict's Stripe account; `parents` are our ids of
    what the record refers to.

    `claimed` says that another record is linked to the Stripe object; `newer` that a later conflict of the record is open.
    """

    conflict: StoredConflict
    record: RecordState
    account: str | None
    livemode: bool | None
    source_session_id: UUID | None
    claimed: bool
    newer: bool
    parents: dict[str, str | None]


@dataclass(frozen=True, slots=True)
class State:
    """All that a decision may change of a record, before or after it.

    `parents` are those of which no Stripe id tells: our own id of one, or None where there is none. What is not named stays as it is.
    """

    values: Values
    base: Values | None
    status: SyncStatus
    deleted: bool
    external_id: str | None
    account: str | None
    livemode: bool | None
    parents: dict[str, str | None] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self)} | {"status": self.status.value}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> State:
        """Decisions of long ago name no parents."""
        known = {one.name: data[one.name] for one in fields(cls) if one.name in data}
        return cls(**known | {"status": SyncStatus(data["status"])})

    @classmethod
    def of(cls, held: Held) -> State:
        record = held.record
        return cls(
            record.local,
            record.base,
            record.status,
            record.deleted,
            record.external_id,
            record.account,
            record.livemode,
            {name: ours for name, ours in held.parents.items() if record.local.get(name) is None},
        )


@cache
def _held_sql(entity: EntityType, *, skip_locked: bool) -> str:
    return f"""
SELECT {conflict_columns()}, t.row_version, t.external_id AS r_external_id, t.payment_account AS r_account, t.payment_livemode AS r_livemode,
  {values_expression(entity, "t")} AS r_local, t.payment_base AS r_base, t.payment_sync_status AS r_status,
  t.deleted_at IS NOT NULL AS r_deleted, s.source_session_id, k.account_id AS account, k.livemode,
  c.reason_code = 'email_match' AND EXISTS (SELECT FROM {TABLES[entity]} o WHERE o.workspace_id = c.workspace_id
    AND o.payment_provider = 'stripe' AND o.payment_account = k.account_id AND o.payment_livemode = k.livemode
    AND o.external_id = c.external_id AND o.id <> c.record_id) AS claimed,
  c.status <> 'open' AND EXISTS (SELECT FROM payment_sync_conflicts n WHERE n.workspace_id = c.workspace_id AND n.status = 'open'
    AND n.entity_type = c.entity_type AND n.record_id = c.record_id AND n.external_id = c.external_id) AS newer,
  {parents_expression(entity, "t")} AS r_parents
FROM payment_sync_conflicts c
JOIN {TABLES[entity]} t ON t.workspace_id = c.workspace_id AND t.id = c.record_id
JOIN payment_sync_sessions s ON s.workspace_id = c.workspace_id AND s.id = c.session_id
LEFT JOIN payment_connections k ON k.workspace_id = s.workspace_id AND k.id = s.connection_id
WHERE c.workspace_id = %(workspace)s AND c.entity_type = '{entity.value}' AND c.id = ANY(ARRAY(SELECT unnest(%(ids)s::uuid[])))
ORDER BY t.id FOR UPDATE OF t, c{" SKIP LOCKED" if skip_locked else ""}"""


async def hold(
    session: AsyncSession,
    workspace_id: UUID,
    entity: EntityType,
    conflict_ids: Sequence[UUID],
    *,
    skip_locked: bool = False,
) -> list[Held]:
    """Lock conflicts and their records and read both. With `skip_locked`, what somebody else holds is left out instead of waited for:
    a run writes records in another order, and neither may wait for the other in a circle. The ids' number is kept from the planner, which
    would rather walk a whole index than look up a thousand.
    """
    connection = await driver(session)
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            _held_sql(entity, skip_locked=skip_locked), {"workspace": workspace_id, "ids": list(conflict_ids)}
        )
        rows = await cursor.fetchall()
    return [_held(row) for row in rows]


def _held(row: dict[str, Any]) -> Held:
    conflict = StoredConflict(**{one.name: row[one.name] for one in fields(StoredConflict)})
    record = RecordState(
        conflict.record_id,
        row["row_version"],
        row["r_external_id"],
        row["r_account"],
        row["r_livemode"],
        row["r_local"],
        row["r_base"],
        SyncStatus(row["r_status"]),
        row["r_deleted"],
    )
    return Held(
        conflict,
        record,
        row["account"],
        row["livemode"],
        row["source_session_id"],
        row["claimed"],
        row["newer"],
        row["r_parents"],
    )
