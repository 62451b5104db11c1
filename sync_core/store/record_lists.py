"""Lists of records, a page at a time: keyset paging over stored keys, searches that are index ranges, counts with an end.

Measured at 1,000,000 customers (PostgreSQL 18, under row-level security): any page of any sort 1 ms, a search 3 ms.
Under row-level security an index serves only comparisons that are leakproof, so nothing here calls a function on a column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.vocabulary import EntityType, SyncStatus, Word
from sync_core.store.database import driver, in_index_order
from sync_core.store.values_sql import TABLES

COUNT_END = 10_000
"""Counting stops here: beyond it a screen says "10,000+"."""

MATCH_END = 1_000
"""A search considers so many matches by email, by name and so on; beyond them a person types more."""

_LAST_CHARACTER = "\U0010ffff"


class Sort(Word):
    NEWEST = "newest", "Newest first"
    OLDEST = "oldest", "Oldest first"
    NAME = "name", "Name"
    EMAIL = "email", "Email"


_KEYS: Mapping[Sort, tuple[str, bool]] = MappingProxyType(
    {
        Sort.NEWEST: ("listed_at", True),
        Sort.OLDEST: ("listed_at", False),
        Sort.NAME: ("name_key", False),
        Sort.EMAIL: ("email_key", False),
    }
)

SORTS: Mapping[EntityType, tuple[Sort, ...]] = MappingProxyType(
    {
        EntityType.CUSTOMERS: (Sort.NEWEST, Sort.OLDEST, Sort.NAME, Sort.EMAIL),
        EntityType.PRODUCTS: (Sort.NEWEST, Sort.OLDEST, Sort.NAME),
        EntityType.PRICES: (Sort.NEWEST, Sort.OLDEST),
        EntityType.SUBSCRIPTIONS: (Sort.NEWEST, Sort.OLDEST),
        EntityType.INVOICES: (Sort.NEWEST, Sort.OLDEST),
    }
)


@dataclass(frozen=True, slots=True)
class Position:
    """A row's place in a sort. `key` is None where the row has no name or email: such rows come last."""

    key: str | datetime | None
    record_id: UUID


@dataclass(frozen=True, slots=True)
class Listing:
    """What to list. `backward` takes the rows before `at` instead of those after it."""

    entity: EntityType
    sort: Sort = Sort.NEWEST
    search: str = ""
    status: SyncStatus | None = None
    deleted: bool = False
    at: Position | None = None
    backward: bool = False
    size: int = 50


@dataclass(frozen=True, slots=True)
class ListedRecord:
    """A row of a list: `data` holds the columns of its entity type, `key` its place in the sort."""

    record_id: UUID
    external_id: str | None
    livemode: bool | None
    status: SyncStatus
    deleted: bool
    listed_at: datetime
    key: str | datetime | None
    data: dict[str, Any]


_CUSTOMER = "coalesce(c.name, c.email, c.external_id) AS customer, c.email AS customer_email, c.id AS customer_id"
PRICE_SHOWN = (
    "{0}.unit_amount_in_pennies AS unit_amount, trim_scale({0}.unit_amount_decimal)::text AS unit_amount_decimal, {0}.currency AS currency,"
    " {0}.interval_type, {0}.term_length, {0}.billing_scheme, {0}.custom_unit_amount IS NOT NULL AS custom"
)
_SHOWN: Mapping[EntityType, str] = MappingProxyType(
    {
        EntityType.CUSTOMERS: "t.email, t.name, t.phone",
        EntityType.PRODUCTS: "t.name, t.description, t.active, (SELECT count(*) FROM prices o WHERE o.workspace_id = t.workspace_id"
        " AND o.product_id = t.id AND o.deleted_at IS NULL) AS prices",
        EntityType.PRICES: f"t.nickname, t.active, p.name AS product, p.id AS product_id, {PRICE_SHOWN.format('t')}",
        EntityType.SUBSCRIPTIONS: f"{_CUSTOMER}, p.name AS product, p.id AS product_id, t.status AS state, t.provider_status, t.quantity,"
        f" t.current_period_end, t.cancel_at_period_end, {PRICE_SHOWN.format('r')}",
        EntityType.INVOICES: f"{_CUSTOMER}, t.number, t.status AS state, t.currency, t.total, t.amount_remaining, t.due_date",
    }
)
# OFFSET 0 keeps a lookup a lookup, whatever the planner thinks of the size of a workspace.
_JOIN = " LEFT JOIN LATERAL (SELECT * FROM {0} o WHERE o.workspace_id = t.workspace_id AND o.id = t.{2} OFFSET 0) {1} ON true"
_JOINS: Mapping[EntityType, str] = MappingProxyType(
    {
        EntityType.CUSTOMERS: "",
        EntityType.PRODUCTS: "",
        EntityType.PRICES: _JOIN.format("products", "p", "product_id"),
        EntityType.SUBSCRIPTIONS: _JOIN.format("customers", "c", "customer_id")
        + _JOIN.format("products", "p", "product_id")
        + _JOIN.format("prices", "r", "price_id"),
        EntityType.INVOICES: _JOIN.format("customers", "c", "customer_id"),
    }
)

_SEARCHED: Mapping[EntityType, tuple[str, ...]] = MappingProxyType(
    {
        EntityType.CUSTOMERS: ("email_key", "name_key"),
        EntityType.PRODUCTS: ("name_key",),
        EntityType.PRICES: (),
        EntityType.SUBSCRIPTIONS: (),
        EntityType.INVOICES: ("number_key",),
    }
)
_BY_PARENT: Mapping[EntityType, tuple[EntityType, str]] = MappingProxyType(
    {
        EntityType.PRICES: (EntityType.PRODUCTS, "product_id"),
        EntityType.SUBSCRIPTIONS: (EntityType.CUSTOMERS, "customer_id"),
        EntityType.INVOICES: (EntityType.CUSTOMERS, "customer_id"),
    }
)


def _own_matches(entity: EntityType) -> str:
    """Ids of the records that start with the text, or have it as their id of either side."""
    one = f"(SELECT id FROM {TABLES[entity]} WHERE workspace_id = %(workspace)s AND {{}} LIMIT {MATCH_END})"
    conditions = [
        # In the index's order, so that a text that many start with ends its scan at the limit.
        *(f"{key} >= %(low)s AND {key} < %(high)s ORDER BY {key}" for key in _SEARCHED[entity]),
        "payment_provider = 'stripe' AND external_id = %(exact)s",
        "id = %(uuid)s",
    ]
    return " UNION ".join(one.format(condition) for condition in conditions)


@cache
def _matches(entity: EntityType) -> str:
    by_parent = _BY_PARENT.get(entity)
    if by_parent is None:
        return f"WITH matched AS ({_own_matches(entity)})"
    parent, column = by_parent
    return (
        f"WITH parents AS ({_own_matches(parent)}), matched AS ({_own_matches(entity)} UNION (SELECT t.id FROM {TABLES[entity]} t"
        f" WHERE t.workspace_id = %(workspace)s AND t.{column} IN (SELECT id FROM parents) LIMIT {MATCH_END}))"
    )


def _conditions(listing: Listing) -> str:
    parts = ["t.workspace_id = %(workspace)s", f"t.deleted_at IS {'NOT ' if listing.deleted else ''}NULL"]
    if listing.status is not None:
        parts.append("t.payment_sync_status = %(status)s")
    if listing.search:
        parts.append("t.id IN (SELECT id FROM matched)")
    return " AND ".join(parts)


def _arms(listing: Listing) -> list[str]:
    """Conditions of the page's parts in order: rows with a key, then those without one (the other way round backward)."""
    key, descending = _KEYS[listing.sort]
    after = "<" if descending != listing.backward else ">"
    beyond, beyond_id = f"(t.{key}, t.id) {after} (%(key)s, %(id)s)", f"t.id {after} %(id)s"
    if key == "listed_at":
        return [beyond if listing.at else "true"]
    with_key, without_key = f"t.{key} IS NOT NULL", f"t.{key} IS NULL"
    if listing.at is None:
        return [with_key, without_key]
    if listing.at.key is None:
        nulls = f"{without_key} AND {beyond_id}"
        return [nulls, with_key] if listing.backward else [nulls]
    return [beyond] if listing.backward else [beyond, without_key]


def _page_sql(listing: Listing) -> str:
    key, descending = _KEYS[listing.sort]
    down = descending != listing.backward
    way = "DESC" if down else "ASC"
    order = f"ORDER BY {{0}}{key} {way}, {{0}}id {way}"
    # The keyless rows of a part are all alike: their order is that of the ids, whichever index serves it.
    parts = " UNION ALL ".join(
        f"(SELECT t.id, t.{key}, {place} AS part FROM {TABLES[listing.entity]} t WHERE {_conditions(listing)} AND {arm}"
        f" {order.format('t.')} LIMIT %(size)s)"
        for place, arm in enumerate(_arms(listing))
    )
    matches = _matches(listing.entity) + ", " if listing.search else "WITH "
    rows = (
        f"page CROSS JOIN LATERAL (SELECT * FROM {TABLES[listing.entity]} o"
        " WHERE o.workspace_id = %(workspace)s AND o.id = page.id OFFSET 0) t"
    )
    return (
        f"{matches}page AS (SELECT * FROM ({parts}) parts ORDER BY part, {key} {way}, id {way} LIMIT %(size)s)"
        f" {shown(listing.entity, f't.{key}', rows)}"
        f" ORDER BY page.part, page.{key} {way}, page.id {way}"
    )


def shown(entity: EntityType, key: str, source: str = "") -> str:
    """SELECT … FROM of the rows that `listed` takes, the record as `t` of `source`; `key` is an expression over it."""
    return (
        "SELECT t.id AS record_id, t.external_id, t.payment_livemode AS livemode, t.payment_sync_status AS status,"
        f" t.deleted_at IS NOT NULL AS deleted, t.listed_at, {key} AS key, {_SHOWN[entity]}"
        f" FROM {source or f'{TABLES[entity]} t'}{_JOINS[entity]}"
    )


def _bound(workspace_id: UUID, listing: Listing) -> dict[str, Any]:
    low = listing.search.lower()
    return {
        "workspace": workspace_id,
        "status": listing.status.value if listing.status else None,
        "key": listing.at.key if listing.at else None,
        "id": listing.at.record_id if listing.at else None,
        "size": listing.size + 1,
        "low": low,
        "high": low + _LAST_CHARACTER,
        "exact": listing.search,
        "uuid": _uuid(listing.search),
    }


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


async def list_page(session: AsyncSession, workspace_id: UUID, listing: Listing) -> tuple[list[ListedRecord], bool]:
    """The rows in the sort's order, and whether there are more in the direction that was asked for."""
    connection = await driver(session)
    await _lead_planner(session, listing)
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_page_sql(listing), _bound(workspace_id, listing))
        rows = await cursor.fetchall()
    more, rows = len(rows) > listing.size, rows[: listing.size]
    if listing.backward:
        rows.reverse()
    return [listed(row) for row in rows], more


async def _lead_planner(session: AsyncSession, listing: Listing) -> None:
    """For the rest of the transaction. The planner has no statistics of workspaces (the first migration says why).

    It takes each for a two-hundredth of the table: a small one it would read and sort whole, where an index has the page ready;
    a large one it would read whole to find a search's few matches in it, where each has a key.
    """
    if listing.search:
        connection = await driver(session)
        await connection.execute(
            "SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)"
        )
    elif listing.status in (None, SyncStatus.SYNCED) or listing.sort in (Sort.NEWEST, Sort.OLDEST):
        await in_index_order(session)


def listed(row: dict[str, Any]) -> ListedRecord:
    """Takes its own columns out of the row: what is left is its data."""
    own = {name: row.pop(name) for name in ("record_id", "external_id", "livemode", "deleted", "listed_at", "key")}
    return ListedRecord(**own, status=SyncStatus(row.pop("status")), data=row)


async def count(session: AsyncSession, workspace_id: UUID, listing: Listing) -> tuple[int, bool]:
    """How many rows there are, up to COUNT_END + 1, and whether the search had more matches than it considers."""
    connection = await driver(session)
    await _lead_planner(session, listing)
    matches, many = "", "false"
    if listing.search:
        matches, many = _matches(listing.entity), f"(SELECT count(*) >= {MATCH_END} FROM matched)"
    sql = (
        f"{matches} SELECT count(*), {many} FROM (SELECT 1 FROM {TABLES[listing.entity]} t"
        f" WHERE {_conditions(listing)} LIMIT {COUNT_END + 1}) counted"
    )
    row = await (await connection.execute(sql, _bound(workspace_id, listing))).fetchone()
    assert row is not None
    return int(row[0]), bool(row[1])


async def counts(session: AsyncSession, workspace_id: UUID, entities: Sequence[EntityType]) -> dict[EntityType, int]:
    """Living records by entity type, each up to COUNT_END + 1."""
    connection = await driver(session)
    arms = " UNION ALL ".join(
        f"SELECT '{entity.value}', count(*) FROM (SELECT 1 FROM {TABLES[entity]} t WHERE t.workspace_id = %(workspace)s"
        f" AND t.deleted_at IS NULL LIMIT {COUNT_END + 1}) counted"
        for entity in entities
    )
    rows = await (await connection.execute(arms, {"workspace": workspace_id})).fetchall()
    return {EntityType(word): int(number) for word, number in rows}
