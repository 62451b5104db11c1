"""One record with everything that it hangs together with: parents, children, items and what has happened to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import Any
from uuid import UUID

from psycopg.rows import class_row, dict_row
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import FIELDS, Kind, column
from sync_core.domain.vocabulary import EntityType
from sync_core.store.database import driver
from sync_core.store.record_lists import PRICE_SHOWN, ListedRecord, listed, shown
from sync_core.store.records import RecordState, read_states
from sync_core.store.values_sql import TABLES

CHILDREN_SHOWN = 10
HISTORY_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Times:
    """When things happened to a record, and what of it is not among its values.

    `at_stripe` says that its account has been connected, and is not the sandbox's. `open_conflict` is the latest of those that wait.
    """

    created_at: datetime
    updated_at: datetime
    listed_at: datetime
    provider_created_at: datetime | None
    payment_synced_at: datetime | None
    deleted_at: datetime | None
    at_stripe: bool
    open_conflict: UUID | None
    raw: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Parent:
    """`field` is the reference's name in the field table."""

    field: str
    entity: EntityType
    record: ListedRecord


@dataclass(frozen=True, slots=True)
class Children:
    """The newest of the records that refer to this one; `more` says that there are others."""

    entity: EntityType
    rows: tuple[ListedRecord, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class Item:
    """A line of a subscription. `data` describes its price as lists do; null values where that is not stored."""

    external_id: str
    quantity: int | None
    price_id: UUID | None
    product: str | None
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Happened:
    """`kind` is `audit`, `event`, `conflict` or `decision`; `what` its own word, `session_id` the run it belongs to."""

    occurred_at: datetime
    kind: str
    what: str
    who: str
    message: str | None
    details: dict[str, Any] | None
    session_id: UUID | None
    conflict_id: UUID | None


@dataclass(frozen=True, slots=True)
class RecordDetail:
    entity: EntityType
    state: RecordState
    times: Times
    parents: tuple[Parent, ...]
    children: tuple[Children, ...]
    items: tuple[Item, ...]
    history: tuple[Happened, ...]


_CHILDREN: Mapping[EntityType, tuple[tuple[EntityType, str], ...]] = MappingProxyType(
    {
        EntityType.CUSTOMERS: (
            (EntityType.SUBSCRIPTIONS, "customer_id"),
            (EntityType.INVOICES, "customer_id"),
        ),
        EntityType.PRODUCTS: ((EntityType.PRICES, "product_id"),),
        EntityType.PRICES: (),
        EntityType.SUBSCRIPTIONS: ((EntityType.INVOICES, "subscription_id"),),
        EntityType.INVOICES: (),
    }
)


_REFER: Mapping[EntityType, tuple[tuple[EntityType, str], ...]] = MappingProxyType(
    {**_CHILDREN, EntityType.PRICES: ((EntityType.SUBSCRIPTIONS, "price_id"),)}
)
DEPENDENTS_END = 1_000
"""Counting what refers to a record stops here."""


async def dependents(
    session: AsyncSession, workspace_id: UUID, entity: EntityType, record_id: UUID
) -> dict[EntityType, int]:
    """How many records refer to this one, by entity type; at most one more than `DEPENDENTS_END` each."""
    connection = await driver(session)
    found: dict[EntityType, int] = {}
    for child, key in _REFER[entity]:
        counted = await connection.execute(
            f"SELECT count(*) FROM (SELECT FROM {TABLES[child]} t WHERE t.workspace_id = %(workspace)s AND t.{key} = %(id)s"
            f" AND t.deleted_at IS NULL LIMIT {DEPENDENTS_END + 1}) counted",
            {"workspace": workspace_id, "id": record_id},
        )
        row = await counted.fetchone()
        if row is not None and row[0]:
            found[child] = row[0]
    return found


async def read_detail(
    session: AsyncSession, workspace_id: UUID, entity: EntityType, record_id: UUID
) -> RecordDetail | None:
    states = await read_states(session, workspace_id, entity, [record_id])
    state = states.get(record_id)
    if state is None:
        return None
    return RecordDetail(
        entity,
        state,
        await _times(session, workspace_id, entity, record_id),
        await _parents(session, workspace_id, entity, record_id),
        await _children(session, workspace_id, entity, record_id),
        await _items(session, workspace_id, entity, record_id),
        await _history(session, workspace_id, entity, state),
    )


async def _times(session: AsyncSession, workspace_id: UUID, entity: EntityType, record_id: UUID) -> Times:
    connection = await driver(session)
    sql = (
        "SELECT t.created_at, t.updated_at, t.listed_at, t.provider_created_at, t.payment_synced_at, t.deleted_at, t.payment_raw AS raw,"
        " EXISTS (SELECT FROM payment_connections c WHERE c.workspace_id = t.workspace_id AND c.account_id = t.payment_account"
        " AND NOT c.is_sandbox) AS at_stripe, (SELECT c.id FROM payment_sync_conflicts c WHERE c.workspace_id = t.workspace_id"
        f" AND c.entity_type = '{entity.value}' AND c.record_id = t.id AND c.status = 'open' ORDER BY c.created_at DESC LIMIT 1)"
        f" AS open_conflict FROM {TABLES[entity]} t WHERE t.workspace_id = %(workspace)s AND t.id = %(id)s"
    )
    async with connection.cursor(row_factory=class_row(Times)) as cursor:
        await cursor.execute(sql, {"workspace": workspace_id, "id": record_id})
        row = await cursor.fetchone()
    assert row is not None
    return row


async def _parents(
    session: AsyncSession, workspace_id: UUID, entity: EntityType, record_id: UUID
) -> tuple[Parent, ...]:
    found = []
    for field in FIELDS[entity]:
        if field.kind is Kind.REF and field.parent is not None:
            condition = (
                f"t.id = (SELECT own.{column(field)} FROM {TABLES[entity]} own"
                " WHERE own.workspace_id = %(workspace)s AND own.id = %(id)s)"
            )
            rows = await _related(session, workspace_id, field.parent, record_id, condition)
            found += [Parent(field.name, field.parent, row) for row in rows]
    return tuple(found)


async def _children(
    session: AsyncSession, workspace_id: UUID, entity: EntityType, record_id: UUID
) -> tuple[Children, ...]:
    found = []
    for child, key in _CHILDREN[entity]:
        rows = await _related(session, workspace_id, child, record_id, f"t.{key} = %(id)s AND t.deleted_at IS NULL")
        found.append(Children(child, tuple(rows[:CHILDREN_SHOWN]), len(rows) > CHILDREN_SHOWN))
    return tuple(found)


async def read_listed(
    session: AsyncSession, workspace_id: UUID, entity: EntityType, record_id: UUID
) -> ListedRecord | None:
    """A record as lists show it, whether it is deleted here or not."""
    rows = await _related(session, workspace_id, entity, record_id, "t.id = %(id)s")
    return rows[0] if rows else None


async def _related(
    session: AsyncSession, workspace_id: UUID, entity: EntityType, record_id: UUID, condition: str
) -> list[ListedRecord]:
    connection = await driver(session)
    sql = (
        f"{shown(entity, 't.listed_at')} WHERE t.workspace_id = %(workspace)s AND {condition}"
        f" ORDER BY t.listed_at DESC, t.id DESC LIMIT {CHILDREN_SHOWN + 1}"
    )
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(sql, {"workspace": workspace_id, "id": record_id})
        return [listed(row) for row in await cursor.fetchall()]


async def _items(session: AsyncSession, workspace_id: UUID, entity: EntityType, record_id: UUID) -> tuple[Item, ...]:
    if entity is not EntityType.SUBSCRIPTIONS:
        return ()
    sql = (
        f"SELECT i.external_id, i.quantity, i.price_id, p.name AS product, {PRICE_SHOWN.format('r')} FROM subscription_items i"
        " LEFT JOIN prices r ON r.workspace_id = i.workspace_id AND r.id = i.price_id"
        " LEFT JOIN products p ON p.workspace_id = r.workspace_id AND p.id = r.product_id"
        " WHERE i.workspace_id = %(workspace)s AND i.subscription_id = %(id)s ORDER BY i.position"
    )
    connection = await driver(session)
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(sql, {"workspace": workspace_id, "id": record_id})
        rows = await cursor.fetchall()
    own = ("external_id", "quantity", "price_id", "product")
    return tuple(Item(**{name: row.pop(name) for name in own}, data=row) for row in rows)


@cache
def _history_sql() -> str:
    """Newest first, from four tables, each asked by an index of its own."""
    arms = (
        (
            "SELECT occurred_at, 'audit', action, actor, NULL, details, NULL::uuid, NULL::uuid FROM audit_log"
            " WHERE workspace_id = %(workspace)s AND target = %(target)s"
        ),
        (
            "SELECT occurred_at, 'event', event_type, '', event_message, event_details, session_id, NULL::uuid FROM payment_sync_events"
            " WHERE workspace_id = %(workspace)s AND external_id = %(external_id)s AND entity_type IN (%(entity)s, %(singular)s)"
        ),
        (
            "SELECT created_at, 'conflict', reason_code, '', NULL, jsonb_build_object('fields', fields), session_id, id"
            " FROM payment_sync_conflicts WHERE workspace_id = %(workspace)s AND entity_type = %(entity)s AND record_id = %(id)s"
        ),
        (
            "SELECT d.created_at, 'decision', CASE WHEN d.undone_at IS NULL THEN 'resolved' ELSE 'undone' END,"
            " coalesce(d.undone_by, d.actor), NULL, d.choices, c.session_id, c.id FROM payment_sync_conflicts c"
            " JOIN payment_sync_conflict_decisions d ON d.workspace_id = c.workspace_id AND d.conflict_id = c.id"
            " WHERE c.workspace_id = %(workspace)s AND c.entity_type = %(entity)s AND c.record_id = %(id)s"
        ),
    )
    names = "(occurred_at, kind, what, who, message, details, session_id, conflict_id)"
    limited = " UNION ALL ".join(f"({arm} ORDER BY 1 DESC LIMIT {HISTORY_SHOWN})" for arm in arms)
    return f"SELECT * FROM ({limited}) happened {names} ORDER BY occurred_at DESC LIMIT {HISTORY_SHOWN}"


async def _history(
    session: AsyncSession, workspace_id: UUID, entity: EntityType, state: RecordState
) -> tuple[Happened, ...]:
    connection = await driver(session)
    bound = {
        "workspace": workspace_id,
        "target": target(entity, state.record_id),
        "external_id": state.external_id,
        "entity": entity.value,
        "singular": entity.singular,
        "id": state.record_id,
    }
    async with connection.cursor(row_factory=class_row(Happened)) as cursor:
        await cursor.execute(_history_sql(), bound)
        return tuple(await cursor.fetchall())


def target(entity: EntityType, record_id: UUID) -> str:
    """How the audit log names a record."""
    return f"{entity.value}/{record_id}"
