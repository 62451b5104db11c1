"""What changed here between a dry run and its applying: shown row by row, planned anew, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from sqlalchemy import text

from sync_core.domain.vocabulary import Action, EntityType, SessionStatus, Strategy
from sync_core.errors import Refusal
from sync_core.sandbox.launch import SandboxProcess
from sync_core.services import drift
from sync_core.services.drift import Drift, DriftPage, DriftRow
from sync_core.store import drift as store
from sync_core.store.database import Database
from tests.services import actor_of, small_sandbox
from tests.support import config, rows, sync

CUSTOMERS, PRODUCTS, PRICES = EntityType.CUSTOMERS, EntityType.PRODUCTS, EntityType.PRICES
WANTED = (CUSTOMERS, PRODUCTS, PRICES)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with small_sandbox() as running:
        yield running


@pytest.fixture(autouse=True)
def no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """One call compares all that there is, however slow the machine."""
    monkeypatch.setattr(drift, "BUDGET_SECONDS", 60.0)


async def execute(database: Database, workspace_id: UUID, sql: str, **bound: object) -> None:
    async with database.workspace(workspace_id) as session:
        await session.execute(text(sql), bound)


async def ids_of(database: Database, workspace_id: UUID, entity: EntityType = CUSTOMERS) -> list[str]:
    sql = f"SELECT external_id FROM {entity.value} WHERE deleted_at IS NULL ORDER BY 1"
    return [row["external_id"] for row in await rows(database, workspace_id, sql)]


async def look_changed(database: Database, workspace_id: UUID, ids: list[str]) -> None:
    """As if Stripe had changed the names since the last sync."""
    await execute(
        database,
        workspace_id,
        "UPDATE customers SET name = 'Before', payment_base = jsonb_set(payment_base, '{name}', '\"Before\"')"
        " WHERE external_id = ANY(:ids)",
        ids=ids,
    )


async def plan(database: Database, workspace_id: UUID, sandbox: SandboxProcess, strategy: Strategy) -> UUID:
    wanted = config(*WANTED, strategy=strategy, dry_run=True)
    return (await sync(database, workspace_id, sandbox.url, wanted)).session_id


async def counted(database: Database, workspace_id: UUID, session_id: UUID) -> Drift:
    found = await drift.count(database, actor_of(workspace_id), session_id)
    assert isinstance(found, Drift)
    return found


async def listed(database: Database, workspace_id: UUID, session_id: UUID) -> list[DriftRow]:
    """Page by page, so that paging is tried as well."""
    found, cursor = list[DriftRow](), None
    while True:
        page = await drift.page(database, actor_of(workspace_id), session_id, cursor=cursor, limit=2)
        assert isinstance(page, DriftPage)
        found += page.rows
        if page.cursor is None:
            return found
        cursor = page.cursor


async def test_every_row_that_changed_since_is_listed_with_what_changed(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    await sync(database, workspace_id, sandbox.url, config(*WANTED))
    ids = await ids_of(database, workspace_id)
    await look_changed(database, workspace_id, ids[:4])
    session_id = await plan(database, workspace_id, sandbox, Strategy.OVERWRITE)
    before = await counted(database, workspace_id, session_id)

    update, unchanged, deleted = ids[0], ids[10], ids[11]
    await execute(database, workspace_id, "UPDATE customers SET name = 'Mine' WHERE external_id = :id", id=update)
    await execute(database, workspace_id, "UPDATE customers SET phone = '+1' WHERE external_id = :id", id=unchanged)
    await execute(database, workspace_id, "UPDATE customers SET deleted_at = now() WHERE external_id = :id", id=deleted)
    after = await counted(database, workspace_id, session_id)
    found = {row.external_id: row for row in await listed(database, workspace_id, session_id)}

    assert (before.drifted, before.done) == (0, 0)
    assert before.sentence == f"{before.looked:,} of {before.looked:,} rows still exactly as planned."
    assert (after.drifted, after.looked, after.by_entity) == (3, before.looked, {CUSTOMERS: 3})
    assert after.sentence.endswith("; 3 drifted.")
    assert after.is_whole
    assert set(found) == {update, unchanged, deleted}
    assert found[update].action is Action.UPDATE
    assert [(one.field, one.ours, one.theirs) for one in found[update].changes] == [("name", "Before", "Mine")]
    assert [(one.field, one.theirs) for one in found[unchanged].changes] == [("phone", "+1")]
    assert found[deleted].why == "Deleted here since."


async def test_what_was_planned_to_be_created_and_came_otherwise_has_drifted(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    session_id = await plan(database, workspace_id, sandbox, Strategy.OVERWRITE)
    await sync(database, workspace_id, sandbox.url, config(CUSTOMERS))
    ids = await ids_of(database, workspace_id)
    await execute(database, workspace_id, "UPDATE customers SET name = 'Mine' WHERE external_id = :id", id=ids[0])
    found = await counted(database, workspace_id, session_id)

    (row,) = await listed(database, workspace_id, session_id)
    assert (row.external_id, row.action, row.changes) == (ids[0], Action.CREATE, ())
    assert row.why.startswith("Created here since")
    # The others are by now what the plan would have made of them.
    customers = await rows(database, workspace_id, "SELECT count(*) AS n FROM customers")
    assert (found.drifted, found.done) == (1, customers[0]["n"] - 1)


async def test_a_canary_is_done_and_the_rest_follows_as_planned(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    await sync(database, workspace_id, sandbox.url, config(*WANTED))
    ids = await ids_of(database, workspace_id)
    await look_changed(database, workspace_id, ids[:8])
    session_id = await plan(database, workspace_id, sandbox, Strategy.OVERWRITE)
    await sync(
        database,
        workspace_id,
        sandbox.url,
        config(*WANTED, strategy=Strategy.OVERWRITE, limit=3),
        source_session_id=session_id,
    )
    before = await rows(database, workspace_id, "SELECT count(*) AS n FROM customers WHERE name = 'Before'")
    found = await counted(database, workspace_id, session_id)
    assert before[0]["n"] == 5
    assert (found.drifted, found.done) == (0, 3)

    rest = await sync(
        database,
        workspace_id,
        sandbox.url,
        config(*WANTED, strategy=Strategy.OVERWRITE),
        source_session_id=session_id,
    )
    left = await rows(database, workspace_id, "SELECT count(*) AS n FROM customers WHERE name = 'Before'")
    assert left[0]["n"] == 0
    assert rest.counters["customers"]["updated"] == 5
    assert rest.counters["customers"]["conflicts"] == 0


async def test_what_a_canary_asks_about_or_keeps_of_ours_has_not_drifted(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    """A conflict is opened, and an update may keep a field of ours: neither makes the record what Stripe has."""
    await sync(database, workspace_id, sandbox.url, config(*WANTED))
    ids = await ids_of(database, workspace_id)
    await look_changed(database, workspace_id, ids[:6])
    await execute(
        database, workspace_id, "UPDATE customers SET name = 'Ours' WHERE external_id = ANY(:ids)", ids=ids[:3]
    )
    await execute(
        database, workspace_id, "UPDATE customers SET phone = '+1' WHERE external_id = ANY(:ids)", ids=ids[3:6]
    )
    session_id = await plan(database, workspace_id, sandbox, Strategy.FLAG)
    await sync(database, workspace_id, sandbox.url, config(*WANTED, limit=6), source_session_id=session_id)
    after = await counted(database, workspace_id, session_id)
    await execute(
        database,
        workspace_id,
        "UPDATE customers SET description = 'Mine' WHERE external_id = ANY(:ids)",
        ids=[ids[0], ids[3]],
    )
    edited = await counted(database, workspace_id, session_id)

    assert (after.drifted, after.done) == (0, 6)
    assert (edited.drifted, edited.done) == (2, 4)
    assert {row.external_id for row in await listed(database, workspace_id, session_id)} == {ids[0], ids[3]}


async def test_a_canary_brings_the_parents_that_it_needs(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    planned = await sync(database, workspace_id, sandbox.url, config(dry_run=True))
    canary = await sync(database, workspace_id, sandbox.url, config(limit=2), source_session_id=planned.session_id)

    counts = {entity: (row["created"], row["failed"]) for entity, row in canary.counters.items()}
    assert counts["invoices"] == (2, 0)
    assert all(failed == 0 for _, failed in counts.values())
    assert all(2 <= created <= 12 for created, _ in counts.values())
    assert canary.status is SessionStatus.COMPLETED
    rest = await sync(database, workspace_id, sandbox.url, config(), source_session_id=planned.session_id)
    assert {entity: row["created"] + counts[entity][0] for entity, row in rest.counters.items()} == {
        entity: row["created"] for entity, row in planned.counters.items()
    }


async def test_only_what_drifted_is_planned_anew_and_not_overwritten(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    await sync(database, workspace_id, sandbox.url, config(*WANTED))
    ids = await ids_of(database, workspace_id)
    await look_changed(database, workspace_id, ids[:4])
    session_id = await plan(database, workspace_id, sandbox, Strategy.OVERWRITE)
    await execute(database, workspace_id, "UPDATE customers SET name = 'Mine' WHERE external_id = :id", id=ids[0])
    ended = await sync(
        database, workspace_id, sandbox.url, config(*WANTED, strategy=Strategy.OVERWRITE), source_session_id=session_id
    )

    names = await rows(
        database,
        workspace_id,
        "SELECT external_id, name, payment_sync_status FROM customers WHERE external_id = ANY(:ids)",
        ids=ids[:4],
    )
    by_id = {row["external_id"]: row for row in names}
    assert (by_id[ids[0]]["name"], by_id[ids[0]]["payment_sync_status"]) == ("Mine", "conflict")
    assert all(by_id[one]["name"] not in ("Before", "Mine") for one in ids[1:4])
    assert (ended.counters["customers"]["updated"], ended.counters["customers"]["conflicts"]) == (3, 1)


async def test_a_large_plan_is_compared_to_its_end_a_call_after_the_other(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a million rows, at which the time is up after each step: all are counted, and all that drifted are listed."""
    await sync(database, workspace_id, sandbox.url, config(*WANTED))
    ids = await ids_of(database, workspace_id)
    session_id = await plan(database, workspace_id, sandbox, Strategy.OVERWRITE)
    await execute(database, workspace_id, "UPDATE customers SET name = 'Mine' WHERE external_id = ANY(:ids)", ids=ids)
    at_once = await counted(database, workspace_id, session_id)
    monkeypatch.setattr(store, "STEP", 7)
    monkeypatch.setattr(drift, "BUDGET_SECONDS", 0.0)

    first = so_far = await counted(database, workspace_id, session_id)
    calls = 1
    while so_far.goes_on is not None:
        more = await drift.count(database, actor_of(workspace_id), session_id, start=so_far.goes_on, listed=3)
        assert isinstance(more, Drift)
        so_far, calls = so_far.then(more), calls + 1
    listed_ids = [row.external_id for row in await listed(database, workspace_id, session_id)]

    assert first.sentence.startswith("So far ")
    assert first.sentence.endswith(f" {at_once.rows:,} are compared in all.")
    assert first.looked <= 7
    assert calls > at_once.rows / 7
    assert (so_far.sentence, so_far.by_entity) == (at_once.sentence, {CUSTOMERS: len(ids)})
    assert sorted(listed_ids) == ids


@pytest.mark.parametrize(
    "cursor", ["nonsense", "customers-", "secrets-update-1", "customers-error-1", "customers-update-one"]
)
async def test_a_cursor_of_its_own_is_refused(database: Database, workspace_id: UUID, cursor: str) -> None:
    refused = await drift.page(database, actor_of(workspace_id), workspace_id, cursor=cursor)
    assert isinstance(refused, Refusal)
    assert refused.code == "cursor_invalid"


async def test_a_sync_has_no_plan_that_could_drift(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    ended = await sync(database, workspace_id, sandbox.url, config(CUSTOMERS))
    refused = await drift.count(database, actor_of(workspace_id), ended.session_id)
    assert isinstance(refused, Refusal)
    assert refused.code == "not_a_dry_run"
