"""The demo workspace: every situation of the strategy table waits in it, and no other workspace ever gets it."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from sync_core.domain.mapping import Mapped, map_object
from sync_core.domain.merge import Stored, Strategies, decide
from sync_core.domain.vocabulary import Action, EntityType, ReasonCode, Strategy, SyncStatus
from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint
from sync_core.sandbox.collection import Window
from sync_core.services.demo import seed_demo
from sync_core.settings import Settings
from sync_core.store.database import Database
from sync_core.store.records import RecordState, read_states

DEMO = Settings(demo=True, _env_file=None)
SEEDED = (EntityType.CUSTOMERS, EntityType.PRODUCTS)


async def stored(database: Database, workspace_id: UUID, entity: EntityType) -> list[RecordState]:
    async with database.workspace(workspace_id) as session:
        ids = list((await session.execute(text(f"SELECT id FROM {entity.value}"))).scalars())
        return list((await read_states(session, workspace_id, entity, ids)).values())


def in_stripe(entity: EntityType) -> dict[str, Mapped]:
    bodies = Account.generated(Blueprint()).truth_objects(entity.value, Window())
    mapped = [map_object(entity, body) for body in bodies]
    return {one.external_id: one for one in mapped if isinstance(one, Mapped)}


def reasons_under_flag(entity: EntityType, records: list[RecordState]) -> Counter[tuple[Action, ReasonCode | None]]:
    """What the first sync decides about the seeded records, by the rules themselves."""
    theirs = in_stripe(entity)
    by_email: dict[str, list[RecordState]] = {}
    for record in records:
        if record.external_id is None and isinstance(record.local.get("email"), str):
            by_email.setdefault(str(record.local["email"]).casefold(), []).append(record)
    linked = {record.external_id: record for record in records if record.external_id}
    found: Counter[tuple[Action, ReasonCode | None]] = Counter()
    for external_id, mapped in theirs.items():
        same_email = by_email.get(str(mapped.values.get("email")).casefold(), [])
        found_record: RecordState | None = linked.get(external_id) or (same_email[0] if len(same_email) == 1 else None)
        if found_record is not None:
            decision = decide(
                entity,
                Strategies(default=Strategy.FLAG),
                Stored(
                    record_id=found_record.record_id,
                    row_version=found_record.row_version,
                    local=found_record.local,
                    base=found_record.base,
                    deleted=found_record.deleted,
                    linked=found_record.external_id is not None,
                    observed_at=None,
                ),
                mapped.values,
                deleted=mapped.deleted,
                observed_at=2e9,
            )
            found[decision.action, decision.reason] += 1
    return found


async def test_the_first_sync_under_flag_meets_every_situation(database: Database, workspace_id: UUID) -> None:
    written = await seed_demo(database, workspace_id, settings=DEMO)
    customers, products = [await stored(database, workspace_id, entity) for entity in SEEDED]
    assert written == len(customers) + len(products)
    assert reasons_under_flag(EntityType.CUSTOMERS, customers) == {
        (Action.CONFLICT, ReasonCode.EMAIL_MATCH): 7,
        (Action.CONFLICT, ReasonCode.BOTH_CHANGED): 7,
        (Action.CONFLICT, ReasonCode.NO_BASE): 3,
        (Action.CONFLICT, ReasonCode.DELETED_HERE): 2,
        (Action.SKIP, ReasonCode.LOCAL_EDIT_KEPT): 5,
        (Action.UPDATE, None): 5 + 3,
        (Action.UNCHANGED, None): 4,
    }
    assert reasons_under_flag(EntityType.PRODUCTS, products) == {
        (Action.CONFLICT, ReasonCode.BOTH_CHANGED): 3,
        (Action.CONFLICT, ReasonCode.NO_BASE): 1,
        (Action.CONFLICT, ReasonCode.DELETED_HERE): 1,
        (Action.SKIP, ReasonCode.LOCAL_EDIT_KEPT): 2,
        (Action.UPDATE, None): 2,
        (Action.UNCHANGED, None): 3,
    }


async def test_statuses_tell_what_differs_from_the_last_sync(database: Database, workspace_id: UUID) -> None:
    await seed_demo(database, workspace_id, settings=DEMO)
    for record in await stored(database, workspace_id, EntityType.CUSTOMERS):
        match record.status:
            case SyncStatus.PENDING:
                assert record.base is None
            case SyncStatus.SYNCED:
                assert record.base == record.local
            case SyncStatus.LOCAL_EDIT:
                assert record.base is not None
                assert record.base != record.local
            case SyncStatus.CONFLICT:
                pytest.fail("nothing is in conflict before the first sync")


async def test_seeding_twice_and_twice_at_once_writes_once(database: Database, workspace_id: UUID) -> None:
    both = await asyncio.gather(*(seed_demo(database, workspace_id, settings=DEMO) for _ in range(2)))
    assert min(both) == 0
    assert max(both) > 40
    assert await seed_demo(database, workspace_id, settings=DEMO) == 0


USED: dict[str, str] = {
    "a customer": "INSERT INTO customers (workspace_id, email) VALUES (:workspace, 'one@example.com')",
    "a connection": "INSERT INTO payment_connections (workspace_id, account_id, livemode, key_kind, key_last4, key_fingerprint,"
    " key_ciphertext) VALUES (:workspace, 'acct_1', false, 'sk', '1234', 'f', 'c')",
}


@pytest.mark.parametrize("statement", USED.values(), ids=USED.keys())
async def test_a_workspace_in_use_is_left_alone(database: Database, workspace_id: UUID, statement: str) -> None:
    async with database.workspace(workspace_id) as session:
        await session.execute(text(statement), {"workspace": workspace_id})
    assert await seed_demo(database, workspace_id, settings=DEMO) == 0


async def test_without_demo_nothing_is_written(database: Database, workspace_id: UUID) -> None:
    settings: dict[str, Any] = {"demo": False, "_env_file": None}
    assert await seed_demo(database, workspace_id, settings=Settings(**settings)) == 0
    assert await stored(database, workspace_id, EntityType.CUSTOMERS) == []
