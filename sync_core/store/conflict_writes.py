"""Conflicts settled and reopened, a set at a time: one SELECT that locks, one write. A single decision is a set of one.

The write states everything that a record is to be; the rows are locked by the read before it, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import FIELDS, Field, Kind, Values
from sync_core.domain.resolution import Dispute
from sync_core.domain.vocabulary import EntityType, SyncStatus
from sync_core.store.conflict_holding import Held, State
from sync_core.store.database import driver
from sync_core.store.values_sql import (
    TABLES,
    assignments,
    columns,
    customer_of,
    own_parent,
    parent_id,
    quoted,
)


@dataclass(frozen=True, slots=True)
class Settlement:
    """What becomes of one conflict. `separate` are the values of a record to be made for Stripe's object."""

    held: Held
    choices: dict[str, Any]
    after: State
    separate: Values | None = None

    @property
    def account(self) -> tuple[str, bool]:
        record = self.held.record
        if record.account is not None:
            return record.account, bool(record.livemode)
        return self.held.account or "", bool(self.held.livemode)

    def to_json(self) -> dict[str, Any]:
        conflict, record = self.held.conflict, self.held.record
        return {
            "conflict_id": str(conflict.id),
            "revision": conflict.revision,
            "record_id": str(record.record_id),
            "version": record.row_version,
            "object_id": conflict.external_id,
            "sessions": [
                str(conflict.session_id),
                *([str(self.held.source_session_id)] if self.held.source_session_id else []),
            ],
            "observed": conflict.observed_at.timestamp(),
            "choices": self.choices,
            "before": State.of(self.held).to_json(),
            "after": self.after.to_json(),
            "separate": self.separate,
            **self.after.to_json(),
        }


def _record_sets(entity: EntityType) -> str:
    """Every column of a record from a row `v`; a parent of our own, which no Stripe id names, is kept, unless `parents` says what it is to be."""
    refs = {quoted(one): one for one in FIELDS[entity] if one.kind is Kind.REF}
    return ", ".join(
        f"{name} = CASE WHEN v.values->>'{refs[name].name}' IS NULL THEN {_own_parent(refs[name])} ELSE {expression} END"
        if name in refs
        else f"{name} = {expression}"
        for name, expression in assignments(entity, "v")
    )


def _own_parent(one: Field) -> str:
    """One that is gone meanwhile is not gone back to."""
    assert one.parent is not None
    ours = f"v.parents->>'{one.name}'"
    found = f"(SELECT p.id FROM {TABLES[one.parent]} p WHERE p.workspace_id = %(workspace)s AND p.id = ({ours})::uuid)"
    return f"CASE WHEN v.parents ? '{one.name}' AND {ours} IS NULL THEN NULL ELSE coalesce({found}, {own_parent(one, 't')}) END"


_LINK = (
    "external_id = v.external_id, payment_account = v.account, payment_livemode = v.livemode,"
    " payment_provider = CASE WHEN v.external_id IS NOT NULL THEN 'stripe' WHEN t.external_id IS NULL THEN t.payment_provider END,"
    " deleted_at = CASE WHEN v.deleted THEN coalesce(t.deleted_at, now()) END"
)
_STATE = "values jsonb, base jsonb, status text, deleted boolean, external_id text, account text, livemode boolean, parents jsonb"
_RAW = (
    "(SELECT g.{0} FROM payment_sync_staged_objects g WHERE g.workspace_id = %(workspace)s AND g.session_id = ANY(v.sessions)"
    " AND g.entity_type = %(entity)s AND g.external_id = v.object_id ORDER BY g.observed_at DESC LIMIT 1)"
)


def _items(entity: EntityType) -> str:
    """The lines of a subscription, rewritten with it."""
    if entity is not EntityType.SUBSCRIPTIONS:
        return ""
    lines = "CASE WHEN jsonb_typeof(v.values->'items') = 'array' THEN v.values->'items' ELSE '[]'::jsonb END"
    price = next(one for one in FIELDS[entity] if one.name == "price")
    return f""", items AS (
  INSERT INTO subscription_items (workspace_id, subscription_id, position, external_id, price_id, quantity)
  SELECT %(workspace)s, v.record_id, line.position - 1, line.values->>'id', {parent_id(price, "line")}, (line.values->>'quantity')::bigint
  FROM changed v
  CROSS JOIN LATERAL jsonb_array_elements({lines}) WITH ORDINALITY AS line(values, position)
  ON CONFLICT (workspace_id, subscription_id, position) DO UPDATE SET external_id = excluded.external_id,
    price_id = excluded.price_id, quantity = excluded.quantity
), items_gone AS (
  DELETE FROM subscription_items i USING changed v
  WHERE i.workspace_id = %(workspace)s AND i.subscription_id = v.record_id AND i.position >= jsonb_array_length({lines}))"""


@cache
def _separate_sql(entity: EntityType) -> str:
    """New records for Stripe's objects that are kept apart from ours. Only customers are matched by email."""
    given = ", ".join(expression for _, expression in assignments(entity, "n"))
    return f""", separate AS (
  INSERT INTO {TABLES[entity]} (workspace_id, external_id, payment_provider, payment_account, payment_livemode, payment_sync_status,
    payment_synced_at, payment_observed_at, payment_base, payment_raw, provider_created_at, {columns(entity)})
  SELECT %(workspace)s, n.external_id, 'stripe', %(account)s, %(livemode)s, 'synced', now(), to_timestamp(n.observed), n.values, n.raw,
    to_timestamp(n.created), {given}
  FROM (SELECT v.object_id AS external_id, v.separate AS values, v.observed, false AS deleted, {_RAW.format("raw")} AS raw,
    {_RAW.format("provider_created")} AS created FROM v WHERE v.separate IS NOT NULL) n
  RETURNING id, external_id, row_version)"""


def _placed(entity: EntityType, columns: str) -> str:
    """The rows with the places of their records and conflicts, each looked up by its key: `at` and `conflict_at`.

    Updated is what stands at those places: `hold` has locked it, so it can't have moved. To a planner without statistics of workspaces any
    index that has an id somewhere looks as good as the key: of 100,000 open conflicts it walked all, for each of 1,000 rows, in 27 s. The
    rows' only condition holds for all of them; it makes them few to the planner, so that they come first.
    """
    return f"""v AS MATERIALIZED (
  SELECT v.*, (SELECT t.ctid FROM {TABLES[entity]} t WHERE t.workspace_id = %(workspace)s AND t.id = v.record_id) AS at,
    (SELECT c.ctid FROM payment_sync_conflicts c WHERE c.workspace_id = %(workspace)s AND c.id = v.conflict_id) AS conflict_at
  FROM jsonb_to_recordset(%(rows)s) AS v({columns}, {_STATE}) WHERE jsonb_typeof(v.values) = 'object'
)"""


_SETTLED = (
    "conflict_id uuid, revision bigint, record_id uuid, version bigint, object_id text, sessions uuid[], observed float8, choices jsonb,"
    " before jsonb, after jsonb, separate jsonb"
)


# Stripe's object is the record's own, and has left a base: kept apart, a customer of the same email is neither.
_OWN = "v.base IS NOT NULL AND v.external_id = v.object_id"


def _status_after(entity: EntityType) -> str:
    """Several of Stripe's customers may have the email of one record: it is a conflict until each is settled. Asked once the record is
    locked, so that two people who settle one each see the other's.
    """
    if entity is not EntityType.CUSTOMERS:
        return "v.status"
    return (
        "CASE WHEN EXISTS (SELECT FROM payment_sync_conflicts o WHERE o.workspace_id = %(workspace)s AND o.entity_type = %(entity)s"
        f" AND o.record_id = v.record_id AND o.status = 'open' AND o.id <> v.conflict_id) THEN '{SyncStatus.CONFLICT.value}'"
        " ELSE v.status END"
    )


@cache
def _settle_sql(entity: EntityType, *, separate: bool) -> str:
    created = (
        " || coalesce((SELECT jsonb_build_object('created', n.id) FROM separate n WHERE n.external_id = v.object_id), '{}'::jsonb)"
        if separate
        else ""
    )
    return f"""
WITH {_placed(entity, _SETTLED)}, changed AS (
  UPDATE {TABLES[entity]} t SET {_record_sets(entity)}, {_LINK}, payment_base = v.base, payment_sync_status = {_status_after(entity)},
    payment_synced_at = CASE WHEN {_OWN} THEN now() ELSE t.payment_synced_at END,
    payment_observed_at = CASE WHEN {_OWN} THEN greatest(t.payment_observed_at, to_timestamp(v.observed))
      ELSE t.payment_observed_at END,
    payment_raw = CASE WHEN {_OWN} THEN coalesce({_RAW.format("raw")}, t.payment_raw) ELSE t.payment_raw END,
    payment_sync_version = t.payment_sync_version + 1
  FROM v WHERE t.workspace_id = %(workspace)s AND t.ctid = v.at AND t.row_version = v.version
  RETURNING t.row_version AS written, v.*){_separate_sql(entity) if separate else ""}{_items(entity)}
, settled AS (
  UPDATE payment_sync_conflicts c SET status = 'resolved', choices = v.choices, revision = c.revision + 1,
    resolved_by = %(actor)s, resolved_at = now(), reopened_at = NULL, snoozed_until = NULL, snoozed_for = NULL
  FROM changed v
  WHERE c.workspace_id = %(workspace)s AND c.ctid = v.conflict_at AND c.revision = v.revision AND c.status = 'open' RETURNING c.id
), journal AS (
  INSERT INTO payment_sync_conflict_decisions (workspace_id, batch_id, conflict_id, entity_type, record_id, actor, choices, before,
    after, record_version_after, alone)
  SELECT %(workspace)s, %(batch)s, v.conflict_id, %(entity)s, v.record_id, %(actor)s, v.choices, v.before, v.after{created}, v.written, %(alone)s
  FROM changed v RETURNING id
)
SELECT (SELECT count(*) FROM changed), (SELECT count(*) FROM settled), (SELECT count(*) FROM journal)"""


async def settle(
    session: AsyncSession,
    workspace_id: UUID,
    entity: EntityType,
    settlements: Sequence[Settlement],
    *,
    actor: str,
    batch_id: UUID,
    alone: bool = False,
) -> None:
    """Write settlements of held conflicts, one statement per Stripe account; `alone` are no part of a batch. Raises psycopg's DataError or IntegrityError for values
    that do not fit; then nothing of the transaction may be kept.
    """
    connection = await driver(session)
    in_order = sorted(settlements, key=lambda one: one.account)
    for (account, livemode), group in groupby(in_order, key=lambda one: one.account):
        rows = list(group)
        cursor = await connection.execute(
            _settle_sql(entity, separate=any(one.separate is not None for one in rows)),
            {
                "workspace": workspace_id,
                "entity": entity.value,
                "account": account,
                "livemode": livemode,
                "actor": actor,
                "batch": batch_id,
                "alone": alone,
                "rows": Jsonb([one.to_json() for one in rows]),
            },
        )
        assert await cursor.fetchone() == (len(rows),) * 3, "the rows are locked"


async def refresh(session: AsyncSession, workspace_id: UUID, conflict_id: UUID, dispute: Dispute, version: int) -> None:
    """The conflict as its record stands now. Choices made so far stay, marked as made before the change."""
    connection = await driver(session)
    await connection.execute(
        f"UPDATE payment_sync_conflicts SET customer_id = {customer_of(dispute.entity, 'record_id')}, local = %(local)s, base = %(base)s, fields = %(fields)s, reason_code = %(reason)s,"
        " record_version = %(version)s, revision = revision + 1, reopened_at = CASE WHEN pending THEN now() ELSE reopened_at END,"
        " snoozed_for = CASE WHEN snoozed_for <> 'change' THEN snoozed_for END WHERE workspace_id = %(workspace)s AND id = %(id)s AND status = 'open'",
        {
            "workspace": workspace_id,
            "id": conflict_id,
            "local": Jsonb(dispute.local),
            "base": None if dispute.base is None else Jsonb(dispute.base),
            "fields": list(dispute.fields),
            "reason": dispute.reason.value,
            "version": version,
        },
    )


@dataclass(frozen=True, slots=True)
class Reopening:
    """A decision to take back: the record becomes `before` again, and what was made for Stripe's object goes.

    `shown` is the conflict anew, where the record was changed since: what was is then not all that can be asked about.
    """

    held: Held
    decision_id: UUID
    before: State
    created_id: UUID | None
    shown: Dispute | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "conflict_id": str(self.held.conflict.id),
            "record_id": str(self.held.record.record_id),
            "version": self.held.record.row_version,
            "shown": None if self.shown is None else self._shown(self.shown),
            **self.before.to_json(),
        }

    def _shown(self, dispute: Dispute) -> dict[str, Any]:
        return {
            "local": dispute.local,
            "base": dispute.base,
            "fields": list(dispute.fields),
            "reason": dispute.reason.value,
        }


@cache
def _reopen_sql(entity: EntityType) -> str:
    return f"""
WITH {_placed(entity, "conflict_id uuid, record_id uuid, version bigint, shown jsonb")}, changed AS (
  UPDATE {TABLES[entity]} t SET {_record_sets(entity)}, {_LINK}, payment_base = v.base, payment_sync_status = v.status,
    payment_sync_version = t.payment_sync_version + 1
  FROM v WHERE t.workspace_id = %(workspace)s AND t.ctid = v.at AND t.row_version = v.version
  RETURNING t.row_version AS written, v.*){_items(entity)}
, gone AS (
  DELETE FROM {TABLES[entity]} t WHERE t.workspace_id = %(workspace)s AND t.id = ANY(%(created)s)
), reopened AS (
  UPDATE payment_sync_conflicts c SET status = 'open', revision = c.revision + 1, record_version = v.written, resolved_by = NULL,
    resolved_at = NULL, local = coalesce(v.shown->'local', c.local),
    base = CASE WHEN v.shown IS NULL THEN c.base ELSE nullif(v.shown->'base', 'null') END,
    fields = CASE WHEN v.shown IS NULL THEN c.fields ELSE ARRAY(SELECT jsonb_array_elements_text(v.shown->'fields')) END,
    reason_code = coalesce(v.shown->>'reason', c.reason_code), reopened_at = CASE WHEN v.shown IS NOT NULL THEN now() END
  FROM changed v
  WHERE c.workspace_id = %(workspace)s AND c.ctid = v.conflict_at AND c.status = 'resolved' RETURNING c.id
), undone AS (
  UPDATE payment_sync_conflict_decisions d SET undone_at = now(), undone_by = %(actor)s
  WHERE d.workspace_id = %(workspace)s AND d.id = ANY(%(decisions)s) AND d.undone_at IS NULL RETURNING d.id
)
SELECT (SELECT count(*) FROM changed), (SELECT count(*) FROM reopened), (SELECT count(*) FROM undone)"""


async def reopen(
    session: AsyncSession, workspace_id: UUID, entity: EntityType, reopenings: Sequence[Reopening], *, actor: str
) -> None:
    """Take back decisions about held conflicts. Raises psycopg's IntegrityError where a record made by one is in use."""
    connection = await driver(session)

    def account(one: Reopening) -> tuple[str, bool]:
        record = one.held.record
        return record.account or one.held.account or "", bool(record.livemode)

    for (name, livemode), group in groupby(sorted(reopenings, key=account), key=account):
        rows = list(group)
        cursor = await connection.execute(
            _reopen_sql(entity),
            {
                "workspace": workspace_id,
                "account": name,
                "livemode": livemode,
                "actor": actor,
                "decisions": [one.decision_id for one in rows],
                "created": [one.created_id for one in rows if one.created_id],
                "rows": Jsonb([one.to_json() for one in rows]),
            },
        )
        assert await cursor.fetchone() == (len(rows),) * 3, "the rows are locked"
