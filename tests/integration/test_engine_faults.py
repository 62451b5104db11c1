"""What goes wrong is listed, the rest goes on, and a resumed run makes up for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from sync_core.domain.vocabulary import EntityType, SessionStatus
from sync_core.engine.drive import drive
from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint, Sizes
from sync_core.sandbox.server import SandboxServer
from sync_core.store import runs
from sync_core.store.database import Database
from tests import support, truth
from tests.support import sync

THEN = 1_700_000_000


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    async with SandboxServer(Account.generated(Blueprint("faults", Sizes(60, 6, 12, 20, 20)))) as running:
        yield running


async def resume(database: Database, workspace_id: UUID, session_id: UUID, url: str, **more: Any) -> support.Ended:
    async with database.workspace(workspace_id) as session:
        assert await runs.requeue(session, workspace_id, session_id) == session_id
    async with support.taken(database, session_id, url, **more) as run:
        status = await drive(run, lease_seconds=20.0)
    return support.Ended(session_id, status, await support.counters(database, workspace_id, session_id))


async def errors(database: Database, workspace_id: UUID, session_id: UUID) -> list[dict[str, Any]]:
    return await support.rows(
        database,
        workspace_id,
        "SELECT entity_type, external_id, reason_code, detail FROM payment_sync_plan_items"
        " WHERE session_id = :s AND action = 'error' ORDER BY entity_type, external_id",
        s=session_id,
    )


async def summary(database: Database, workspace_id: UUID, session_id: UUID) -> dict[str, Any]:
    found = await support.rows(
        database, workspace_id, "SELECT error_summary FROM payment_sync_sessions WHERE id = :s", s=session_id
    )
    return dict(found[0]["error_summary"] or {})


async def test_malformed_objects_are_listed_and_the_rest_goes_on_until_a_resume_completes_it(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    ids = sorted(server.world.account().truth("customers"))[:3]
    server.world.faults.replace([{"kind": "malformed_object", "match": "GET /v1/customers*", "ids": ids}])

    ended = await sync(database, workspace_id, server.url, support.config(EntityType.CUSTOMERS))

    assert ended.status is SessionStatus.PARTIAL
    found = await errors(database, workspace_id, ended.session_id)
    assert [row["external_id"] for row in found] == ids
    assert {row["reason_code"] for row in found} == {"unsupported_shape"}
    assert all(row["detail"]["field"] for row in found)
    assert ended.counters["customers"]["created"] == 57
    said = await summary(database, workspace_id, ended.session_id)
    assert [(group["count"], group["reason_code"]) for group in said["groups"]] == [(3, "unsupported_shape")]

    still = await resume(database, workspace_id, ended.session_id, server.url)
    assert still.status is SessionStatus.PARTIAL
    assert still.counters["customers"]["failed"] == 3

    server.world.faults.replace([])
    server.world.statistics.reset()
    whole = await resume(database, workspace_id, ended.session_id, server.url)
    assert whole.status is SessionStatus.COMPLETED
    assert whole.counters["customers"]["failed"] == 0
    assert server.world.statistics.requests["GET /v1/customers/:id"] == 3
    assert await summary(database, workspace_id, ended.session_id) == {}
    await truth.assert_equal_to(database, workspace_id, server.world.account(), entities=[EntityType.CUSTOMERS])


async def test_a_failed_parent_fails_its_children_and_both_are_made_up_for(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    child = next(iter(server.world.account().truth_objects("subscriptions")))
    parent = child["customer"]
    server.world.faults.replace([{"kind": "malformed_object", "match": "GET /v1/customers*", "ids": [parent]}])

    ended = await sync(database, workspace_id, server.url, support.config())

    found = await errors(database, workspace_id, ended.session_id)
    assert ended.status is SessionStatus.PARTIAL
    assert (child["id"], "missing_parent") in {(row["external_id"], row["reason_code"]) for row in found}
    server.world.faults.replace([])
    assert (await resume(database, workspace_id, ended.session_id, server.url)).status is SessionStatus.COMPLETED
    await truth.assert_equal_to(database, workspace_id, server.world.account())


async def test_failures_of_every_kind_are_retried_as_often_as_it_takes(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    """Three objects can't be written, another can't be mapped: each resume tries all, whichever is mended first."""
    ids = sorted(server.world.account().truth("customers"))
    unfit, odd = ids[:3], ids[3]
    await forbid(database, *unfit)
    server.world.faults.replace([{"kind": "malformed_object", "match": "GET /v1/customers*", "ids": [odd]}])
    ended = await sync(database, workspace_id, server.url, support.config(EntityType.CUSTOMERS))
    reasons = {row["external_id"]: row["reason_code"] for row in await errors(database, workspace_id, ended.session_id)}
    assert reasons == {**dict.fromkeys(unfit, "write_failed"), odd: "unsupported_shape"}
    assert ended.counters["customers"]["created"] == 56

    assert (await resume(database, workspace_id, ended.session_id, server.url)).counters["customers"]["failed"] == 4
    server.world.faults.replace([])
    assert (await resume(database, workspace_id, ended.session_id, server.url)).counters["customers"]["failed"] == 3
    await forbid(database)
    assert (await resume(database, workspace_id, ended.session_id, server.url)).status is SessionStatus.COMPLETED
    await truth.assert_equal_to(database, workspace_id, server.world.account(), entities=[EntityType.CUSTOMERS])


async def forbid(database: Database, *ids: str) -> None:
    """Have the database refuse these records, and no others."""
    async with database.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE customers DROP CONSTRAINT IF EXISTS refused"))
        for_all = ", ".join(f"'{one}'" for one in ("", *ids))
        check = f"CHECK (coalesce(external_id NOT IN ({for_all}), true)) NOT VALID"
        await connection.execute(text(f"ALTER TABLE customers ADD CONSTRAINT refused {check}"))


async def test_a_run_whose_error_stripe_will_not_answer_for_still_ends(database: Database, workspace_id: UUID) -> None:
    """It is gone, and no record here is one of it."""
    account = Account("odd", {}, verbatim=True)
    account.create("customers", {"id": "cus_1"}, now=THEN)
    account.create("customers", {"id": "cus_2"}, now=THEN + 1)
    account.collections["customers"].stored["cus_1"]["object"] = "charge"
    async with SandboxServer(account) as server:
        ended = await sync(database, workspace_id, server.url, support.config(EntityType.CUSTOMERS))
        assert ended.status is SessionStatus.PARTIAL
        account.collections["customers"].remove("cus_1", {"id": "cus_1"})
        del account.collections["customers"].stubs["cus_1"]
        again = await resume(database, workspace_id, ended.session_id, server.url)
    assert again.status is SessionStatus.COMPLETED
    assert (again.counters["customers"]["failed"], again.counters["customers"]["skipped"]) == (0, 1)


@pytest.mark.parametrize(
    ("key", "code", "words"),
    [
        ("rk_test_no_invoices_1234567890", "permission_missing", "rak_invoice_read"),
        ("sk_test_revoked_12345678", "run_failed", "does not accept the key"),
    ],
)
async def test_a_key_that_may_not_read_fails_the_run_with_the_reason(
    *, database: Database, workspace_id: UUID, server: SandboxServer, key: str, code: str, words: str
) -> None:
    session_id = await support.enqueue(database, workspace_id, support.config())
    async with support.taken(database, session_id, server.url, key=key) as run:
        assert await drive(run, lease_seconds=20.0) is SessionStatus.FAILED

    said = await summary(database, workspace_id, session_id)
    assert words in said["message"]
    assert said["code"] == code
    assert all(not rows for rows in (await truth.stored(database, workspace_id)).values())

    assert (await resume(database, workspace_id, session_id, server.url)).status is SessionStatus.COMPLETED
    await truth.assert_equal_to(database, workspace_id, server.world.account())


STORM: list[dict[str, Any]] = [
    {"kind": "rate_global", "probability": 0.15, "seed": 1},
    {"kind": "rate_endpoint", "probability": 0.18, "seed": 2},
    {"kind": "error500", "probability": 0.1, "seed": 3},
]


async def test_throttled_and_failing_for_a_whole_run(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    server.world.faults.replace(STORM)

    ended = await sync(database, workspace_id, server.url, support.config(batch_size=20), hurried=True)

    assert ended.status is SessionStatus.COMPLETED
    assert {rule["fired"] > 0 for rule in server.world.faults.report()} == {True}
    await truth.assert_equal_to(database, workspace_id, server.world.account())


async def test_cut_connections_lose_and_double_nothing(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    """What is committed is followed by the end of all the run's connections to PostgreSQL."""
    session_id = await support.enqueue(database, workspace_id, support.config(batch_size=5))
    server.world.latency.fixed_ms = 40
    cutter = support.Cutter(database)
    async with support.taken(database, session_id, server.url) as run, support.every(0.08, cutter):
        assert await drive(run, lease_seconds=20.0) is SessionStatus.COMPLETED

    assert cutter.cuts >= 3
    await truth.assert_equal_to(database, workspace_id, server.world.account())
    counted = await support.counters(database, workspace_id, session_id)
    assert all(row["created"] == row["fetched"] for row in counted.values())
