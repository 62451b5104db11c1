"""How many records conflicts stand for. Each has one, but customers found by email: several of Stripe's may be the same of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.vocabulary import EntityType, ReasonCode
from sync_core.store.conflict_query import Cell, ConflictQuery, bound, within
from sync_core.store.database import driver

_LOOKED_AT = 10_000
"""Of so many customers' conflicts the records are told apart; what is beyond is “more”."""


@dataclass(frozen=True, slots=True)
class Records:
    """With `more`, there are at least so many."""

    count: int
    more: bool = False


async def records(session: AsyncSession, workspace_id: UUID, query: ConflictQuery, matching: Sequence[Cell]) -> Records:
    """Of the open conflicts in the cells that match. Asks only where some of them can share a record."""
    every = sum(cell.count for cell in matching)
    if every < 2 or not any(cell.reason_code == ReasonCode.EMAIL_MATCH for cell in matching):
        return Records(every)
    customers = [cell for cell in matching if cell.entity_type == EntityType.CUSTOMERS]
    several = sum(cell.count for cell in customers)
    # A customer's conflict is its own, as the index has it.
    those = within(query, customers).replace("c.customer_id", "c.record_id")
    connection = await driver(session)
    found = await connection.execute(
        "SELECT count(DISTINCT record_id) FROM (SELECT c.record_id FROM payment_sync_conflicts c WHERE c.status = 'open'"
        f" AND c.entity_type = 'customers' AND {those} LIMIT {_LOOKED_AT}) looked_at",
        bound(workspace_id, query),
    )
    row = await found.fetchone()
    assert row is not None
    return Records(every - several + row[0], more=several > _LOOKED_AT)
