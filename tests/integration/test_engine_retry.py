"""An ended run taken up again for a part of it: errors retried one by one, by group or all; what is not stored repaired; what was lost found."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from sync_core.domain.vocabulary import EntityType, ReasonCode, SessionStatus, Strategy, TaskKind
from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint, Sizes
from sync_core.sandbox.server import SandboxServer
from sync_core.store import runs
from sync_core.store.database import Database
from sync_core.store.runs import Task
from tests import child, support, truth
from tests.child import Child
from tests.retrying import REPAIR, RETRY_ALL, again, break_customers, failed, forbid, requests, workspace_of
from tests.support import Ended, sync

CUSTOMERS = EntityType.CUSTOMERS


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    async with SandboxServer(Account.generated(Blueprint("retry", Sizes(60, 6, 12, 20, 20)))) as running:
        yield running


async def test_one_error_is_retried_and_nothing_else_is_asked_for(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    ids = sorted(server.world.account().truth("customers"))[:3]
    break_customers(server, *ids)
    ended = await sync(database, workspace_id, server.url, support.config(CUSTOMERS))
    break_customers(server)

    one = await again(database, server, ended, Task(TaskKind.RETRY, CUSTOMERS, ids=(ids[1],)))

    assert requests(server) == {"GET /v1/customers/:id": 1}
    assert one.status is SessionStatus.PARTIAL
    assert set(await failed(database, ended)) == {ids[0], ids[2]}
    assert (one.counters["customers"]["created"], one.counters["customers"]["failed"]) == (58, 2)

    rest = await again(database, server, ended, RETRY_ALL)

    assert requests(server) == {"GET /v1/customers/:id": 2}
    assert rest.status is SessionStatus.COMPLETED
    assert rest.counters["customers"]["verified"]["found"] == rest.counters["customers"]["created"] == 60
    assert rest.counters["customers"]["verified"]["compared"] > 0, "the proof of the run itself stays"
    await truth.assert_equal_to(database, workspace_id, server.world.account(), entities=[CUSTOMERS])


async def test_requests_made_again_are_counted_by_the_run_not_by_the_worker(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    odd = min(server.world.account().truth("customers"))
    malformed = {"kind": "malformed_object", "match": "GET /v1/customers", "ids": [odd]}
    server.world.faults.replace(
        [{"kind": "rate_endpoint", "match": "GET /v1/customers", "nth": 2, "count": 1}, malformed]
    )
    ended = await sync(database, workspace_id, server.url, support.config(CUSTOMERS), hurried=True)
    noted = await support.rows(database, workspace_id, "SELECT stats FROM payment_sync_sessions")
    server.world.faults.replace([{"kind": "error500", "match": "GET /v1/customers/:id", "nth": 1, "count": 1}])

    await again(database, server, ended, RETRY_ALL)

    before = noted[0]["stats"]
    after = (await support.rows(database, workspace_id, "SELECT stats FROM payment_sync_sessions"))[0]["stats"]
    causes = [
        sum((Counter(one["causes"]) for one in stats["retries"].values()), Counter()) for stats in (before, after)
    ]
    assert causes == [{"rate": 1}, {"rate": 1, "server": 1}]
    assert before["throttled"] == after["throttled"] == {"endpoint-rate": 1}
    assert after["requests"] == before["requests"] + 2


async def test_a_group_is_retried_and_the_other_is_left_alone(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    ids = sorted(server.world.account().truth("customers"))
    odd, unfit = ids[:2], ids[2:5]
    break_customers(server, *odd)
    await forbid(database, *unfit)
    ended = await sync(database, workspace_id, server.url, support.config(CUSTOMERS))
    assert await failed(database, ended) == {
        **dict.fromkeys(odd, "unsupported_shape"),
        **dict.fromkeys(unfit, "write_failed"),
    }
    await forbid(database)

    done = await again(database, server, ended, Task(TaskKind.RETRY, CUSTOMERS, ReasonCode.WRITE_FAILED))

    assert requests(server) == {"GET /v1/customers/:id": 3}, (
        "who acted on an error did so in Stripe: it is fetched anew"
    )
    assert await failed(database, ended) == dict.fromkeys(odd, "unsupported_shape")
    assert done.status is SessionStatus.PARTIAL


async def test_what_was_corrected_in_stripe_is_what_a_retry_stores(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    unfit = min(server.world.account().truth("customers"))
    await forbid(database, unfit)
    ended = await sync(database, workspace_id, server.url, support.config(CUSTOMERS))
    await forbid(database)
    server.world.account().update("customers", unfit, {"name": "Corrected"}, now=server.world.now())

    assert (await again(database, server, ended, RETRY_ALL)).status is SessionStatus.COMPLETED

    await truth.assert_equal_to(database, workspace_id, server.world.account(), entities=[CUSTOMERS])


@pytest.mark.parametrize("stored", [False, True], ids=["nothing here", "a record here"])
async def test_what_stripe_knows_no_longer_is_no_error_for_ever(
    *, database: Database, workspace_id: UUID, server: SandboxServer, stored: bool
) -> None:
    """Unless a record of ours is one of it: that stays as it is, and a person decides."""
    gone, back = sorted(server.world.account().truth("customers"))[:2]
    if stored:
        await sync(database, workspace_id, server.url, support.config(CUSTOMERS))
    break_customers(server, gone, back)
    ended = await sync(database, workspace_id, server.url, support.config(CUSTOMERS))
    break_customers(server)
    server.world.account().collections["customers"].stubs[gone] = None  # type: ignore[assignment]  # nothing is left of it

    done = await again(database, server, ended, RETRY_ALL)
    assert requests(server) == {"GET /v1/customers/:id": 2}
    if stored:
        assert (done.status, await failed(database, ended)) == (SessionStatus.PARTIAL, {gone: "gone"})
        async with database.workspace(workspace_id) as session:
            await session.execute(text("UPDATE customers SET deleted_at = now() WHERE external_id = :id"), {"id": gone})
        done = await again(database, server, ended, RETRY_ALL)

    assert (done.status, await failed(database, ended)) == (SessionStatus.COMPLETED, {})
    assert done.counters["customers"]["verified"]["verified"] is True
    noted = await support.rows(
        database,
        workspace_id,
        "SELECT p.action, p.record_id, e.event_type FROM payment_sync_plan_items p JOIN payment_sync_events e"
        " ON e.session_id = p.session_id AND e.external_id = p.external_id AND e.event_message = p.reason_code"
        " WHERE p.external_id = :id AND p.reason_code = 'gone' AND e.event_type = 'sync_skipped'",
        id=gone,
    )
    assert noted == [{"action": "skip", "record_id": None, "event_type": "sync_skipped"}]


@pytest.fixture
async def orphaned(database: Database, workspace_id: UUID, server: SandboxServer) -> tuple[Ended, str, str]:
    """A run in which a customer failed, and so what refers to it; the customer and one subscription of it."""
    child = next(iter(server.world.account().truth_objects("subscriptions")))
    break_customers(server, child["customer"])
    ended = await sync(database, workspace_id, server.url, support.config())
    assert (await failed(database, ended))[child["id"]] == "missing_parent"
    break_customers(server)
    return ended, child["customer"], child["id"]


async def test_an_orphan_is_retried_with_the_parent_that_it_waits_for(
    database: Database, workspace_id: UUID, server: SandboxServer, orphaned: tuple[Ended, str, str]
) -> None:
    ended, _parent, child = orphaned

    done = await again(database, server, ended, Task(TaskKind.RETRY, EntityType.SUBSCRIPTIONS, ids=(child,)))

    assert requests(server) == {"GET /v1/customers/:id": 1}
    assert done.status is SessionStatus.COMPLETED, "its siblings only waited for the same parent"
    await truth.assert_equal_to(database, workspace_id, server.world.account())


async def test_an_orphan_that_is_gone_with_its_parent_is_no_error(
    database: Database, server: SandboxServer, orphaned: tuple[Ended, str, str]
) -> None:
    """Its sibling is there, and is told from it by asking for both."""
    ended, parent, child = orphaned
    collections = server.world.account().collections
    for entity, one in (("customers", parent), ("subscriptions", child)):
        collections[entity].stubs[one] = None  # type: ignore[assignment]  # nothing is left of it
    before = await failed(database, ended)

    await again(database, server, ended, RETRY_ALL)

    left = await failed(database, ended)
    assert before.keys() - left.keys() == {parent, child}
    assert set(left.values()) == {"missing_parent"}
    billed = [
        one for one in server.world.account().truth_objects("invoices") if one["id"] in left and child in str(one)
    ]
    assert billed, "an invoice goes on waiting for the subscription, too"
    for _ in range(2):
        assert requests(server)["GET /v1/customers/:id"] == 1
        assert sum(requests(server).values()) == 1 + len(left) + 1, "the two that are gone, and who waits for them"
        await again(database, server, ended, RETRY_ALL)
    assert await failed(database, ended) == left


async def test_a_parents_retry_makes_up_for_its_children(
    database: Database, workspace_id: UUID, server: SandboxServer, orphaned: tuple[Ended, str, str]
) -> None:
    ended, parent, _child = orphaned

    done = await again(database, server, ended, Task(TaskKind.RETRY, CUSTOMERS, ids=(parent,)))

    assert requests(server) == {"GET /v1/customers/:id": 1}
    assert done.status is SessionStatus.COMPLETED
    await truth.assert_equal_to(database, workspace_id, server.world.account())


async def test_errors_of_an_applied_plan_are_retried_as_often_as_it_takes(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    ids = sorted(server.world.account().truth("customers"))[:3]
    dry = await sync(database, workspace_id, server.url, support.config(dry_run=True))
    await forbid(database, *ids)
    applied = await sync(database, workspace_id, server.url, support.config(), source_session_id=dry.session_id)
    assert applied.status is SessionStatus.PARTIAL
    assert set(ids) <= set(await failed(database, applied))

    still = await again(database, server, applied, RETRY_ALL)
    assert set(ids) <= set(await failed(database, still))
    await forbid(database, ids[0])
    more = await again(database, server, applied, RETRY_ALL)
    assert ids[0] in await failed(database, more)
    assert ids[1] not in await failed(database, more)
    await forbid(database)
    done = await again(database, server, applied, None)

    assert requests(server) == {"GET /v1/customers/:id": 1}
    assert done.status is SessionStatus.COMPLETED
    await truth.assert_equal_to(database, workspace_id, server.world.account())


async def test_a_dry_runs_errors_are_retried_and_its_plan_grows_no_younger(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    odd = min(server.world.account().truth("customers"))
    break_customers(server, odd)
    dry = await sync(database, workspace_id, server.url, support.config(CUSTOMERS, dry_run=True))
    ended_at = await support.rows(database, workspace_id, "SELECT completed_at FROM payment_sync_sessions")
    break_customers(server)

    done = await again(database, server, dry, RETRY_ALL)

    assert done.status is SessionStatus.COMPLETED
    assert done.counters["customers"]["created"] == 60
    assert await support.rows(database, workspace_id, "SELECT completed_at FROM payment_sync_sessions") == ended_at
    assert await support.stored_ids(database, workspace_id, CUSTOMERS) == set()


async def test_the_summary_names_id_field_request_and_repair_of_each_group(
    database: Database, workspace_id: UUID, orphaned: tuple[Ended, str, str]
) -> None:
    _ended, parent, _child = orphaned
    found = await support.rows(database, workspace_id, "SELECT error_summary FROM payment_sync_sessions")
    groups: list[dict[str, Any]] = found[0]["error_summary"]["groups"]

    counts = [group["count"] for group in groups]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) == found[0]["error_summary"]["count"]
    assert {group["reason_code"] for group in groups} == {"unsupported_shape", "missing_parent"}
    assert all(group["repair"] and group["reason"] for group in groups)
    examples = {one["external_id"]: one for group in groups for one in group["examples"]}
    assert examples[parent]["request_id"].startswith("req_")
    assert all(one["field"] and one["message"] and one["request_id"] for one in examples.values())


async def test_a_repair_fetches_just_what_is_not_stored_any_more(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    ended = await sync(database, workspace_id, server.url, support.config())
    assert ended.status is SessionStatus.COMPLETED
    gone = sorted(server.world.account().truth("invoices"))[:7]
    async with database.workspace(workspace_id) as session:
        await session.execute(text("DELETE FROM invoices WHERE external_id = ANY(:ids)"), {"ids": gone})

    repaired = await again(database, server, ended, REPAIR)

    by_id = {name: count for name, count in requests(server).items() if name.endswith(":id")}
    assert by_id == {"GET /v1/invoices/:id": 7}
    assert repaired.status is SessionStatus.COMPLETED
    assert repaired.counters["invoices"]["verified"]["verified"] is True
    await truth.assert_equal_to(database, workspace_id, server.world.account())


async def test_a_newer_view_that_was_never_planned_is_missing(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    """It took the place of one that was: that has an action, and its record is there."""
    ended = await sync(database, workspace_id, server.url, support.config(CUSTOMERS))
    passed_by = min(server.world.account().truth("customers"))
    async with database.workspace(workspace_id) as session:
        await session.execute(
            text("UPDATE payment_sync_staged_objects SET seq = seq + 1 WHERE external_id = :id"), {"id": passed_by}
        )
        await session.execute(text("UPDATE payment_sync_entity_runs SET planned_seq = 1000, landed_seq = 1000"))

    repaired = await again(database, server, ended, REPAIR)

    assert requests(server)["GET /v1/customers/:id"] == 1
    assert repaired.status is SessionStatus.COMPLETED
    assert await unplanned_ids(database, repaired) == []


async def unplanned_ids(database: Database, ended: Ended) -> list[str]:
    found = await support.rows(
        database,
        await workspace_of(database, ended.session_id),
        "SELECT s.external_id FROM payment_sync_staged_objects s JOIN payment_sync_plan_items p"
        " USING (session_id, entity_type, external_id) WHERE s.session_id = :s AND p.seq <> s.seq",
        s=ended.session_id,
    )
    return [row["external_id"] for row in found]


async def test_a_repair_brings_nothing_back_that_stripe_knows_no_longer(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    await sync(database, workspace_id, server.url, support.config(CUSTOMERS))
    ended = await sync(database, workspace_id, server.url, support.config(CUSTOMERS))
    assert ended.counters["customers"]["unchanged"] == 60, "nothing was staged"
    gone, lost = sorted(server.world.account().truth("customers"))[:2]
    server.world.account().collections["customers"].stubs[gone] = None  # type: ignore[assignment]  # nothing is left of it
    async with database.workspace(workspace_id) as session:
        await session.execute(text("DELETE FROM customers WHERE external_id IN (:a, :b)"), {"a": gone, "b": lost})

    repaired = await again(database, server, ended, REPAIR)

    assert repaired.status is SessionStatus.COMPLETED
    assert (repaired.counters["customers"]["created"], repaired.counters["customers"]["skipped"]) == (1, 1)
    assert gone not in await support.stored_ids(database, workspace_id, CUSTOMERS)


async def test_what_cannot_be_repaired_is_named_until_it_can(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    gone = min(server.world.account().truth("customers"))
    async with database.engine.begin() as connection:
        await connection.execute(text("CREATE TABLE doomed (id text)"))
        await connection.execute(text("GRANT SELECT ON doomed TO PUBLIC"))
        await connection.execute(
            text(
                "CREATE FUNCTION doom() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                " DELETE FROM customers WHERE external_id IN (SELECT id FROM doomed); RETURN NULL; END $$"
            )
        )
        await connection.execute(
            text("CREATE TRIGGER doom AFTER INSERT ON customers FOR EACH STATEMENT EXECUTE FUNCTION doom()")
        )
        await connection.execute(text("INSERT INTO doomed VALUES (:id)"), {"id": gone})

    ended = await sync(database, workspace_id, server.url, support.config(CUSTOMERS))

    verified = ended.counters["customers"]["verified"]
    assert ended.status is SessionStatus.PARTIAL
    assert (verified["expected"], verified["found"], verified["missing_ids"]) == (60, 59, [gone])
    assert verified["verified"] is False

    async with database.engine.begin() as connection:
        await connection.execute(text("DELETE FROM doomed"))
    repaired = await again(database, server, ended, REPAIR)
    assert repaired.status is SessionStatus.COMPLETED
    await truth.assert_equal_to(database, workspace_id, server.world.account(), entities=[CUSTOMERS])


async def lose(database: Database, *ids: str) -> None:
    """Have staged objects with these ids fall through, the first time that each comes."""
    async with database.engine.begin() as connection:
        await connection.execute(
            text("CREATE TABLE lost AS SELECT unnest(CAST(:ids AS text[])) AS id"), {"ids": [*ids]}
        )
        await connection.execute(text("GRANT SELECT, DELETE ON lost TO PUBLIC"))
        await connection.execute(
            text(
                "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                " DELETE FROM lost WHERE id = NEW.external_id; IF FOUND THEN RETURN NULL; END IF; RETURN NEW; END $$"
            )
        )
        await connection.execute(
            text(
                "CREATE TRIGGER lose BEFORE INSERT ON payment_sync_staged_objects FOR EACH ROW EXECUTE FUNCTION lose()"
            )
        )


@pytest.mark.parametrize("end", ["newest", "oldest"])
@pytest.mark.parametrize("strategy", [Strategy.SKIP, Strategy.FLAG])
async def test_objects_that_were_lost_at_an_end_are_found_by_asking_stripe(
    *, database: Database, workspace_id: UUID, server: SandboxServer, end: str, strategy: Strategy
) -> None:
    """Three pages' worth is lost. The place that is asked at is known to be unsure then, and the pages beside it are read on."""
    ids = list(server.world.account().truth("customers"))
    lost = ids[:15] if end == "newest" else ids[-15:]
    await lose(database, *lost)

    # One window: where two meet their second is read twice, and what was lost would come again by itself.
    wanted = support.config(CUSTOMERS, batch_size=5, strategy=strategy, concurrent_batches=1)
    ended = await sync(database, workspace_id, server.url, wanted)

    verified = ended.counters["customers"]["verified"]
    assert ended.status is SessionStatus.COMPLETED
    assert (verified["late_count"], verified["late"]) == (15, sorted(lost))
    assert (verified["expected"], verified["found"]) == (60, 60)
    await truth.assert_equal_to(database, workspace_id, server.world.account(), entities=[CUSTOMERS])


async def test_a_late_child_brings_its_late_parent(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    child = next(iter(server.world.account().truth_objects("subscriptions")))
    newest = {entity: next(iter(server.world.account().truth(entity))) for entity in ("customers", "subscriptions")}
    assert newest["subscriptions"] == child["id"]
    await lose(database, child["id"], child["customer"])
    # Without invoices: one of the subscription's own would have it fetched as its parent.
    listed = [one for one in EntityType if one is not EntityType.INVOICES]

    ended = await sync(database, workspace_id, server.url, support.config(*listed))

    assert ended.status is SessionStatus.COMPLETED
    assert ended.counters["subscriptions"]["verified"]["late"] == [child["id"]]
    await truth.assert_equal_to(database, workspace_id, server.world.account(), entities=listed)


async def test_a_stretch_that_no_window_read_is_named_and_a_resume_reads_it(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    """Not that it happens: this is what tells a window whose row was lost from one that was read."""
    ended = await sync(database, workspace_id, server.url, support.config(CUSTOMERS))
    async with database.workspace(workspace_id) as session:
        await session.execute(text("DELETE FROM payment_sync_windows WHERE gte > 0"))
        await session.execute(text("UPDATE payment_sync_windows SET gte = 1500000000"))

    found = await again(database, server, ended, REPAIR)

    assert found.status is SessionStatus.PARTIAL
    assert found.counters["customers"]["verified"]["unread"] == [[0, 1_500_000_000]]
    whole = await again(database, server, ended, None)
    assert whole.status is SessionStatus.COMPLETED
    assert whole.counters["customers"]["verified"]["unread"] == []
    await truth.assert_equal_to(database, workspace_id, server.world.account(), entities=[CUSTOMERS])


async def test_a_repair_fetches_what_was_only_known_again_too(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    """An unchanged object is not staged: nothing but its id is left of it when its record goes."""
    await sync(database, workspace_id, server.url, support.config(CUSTOMERS))
    second = await sync(database, workspace_id, server.url, support.config(CUSTOMERS))
    assert second.counters["customers"]["unchanged"] == 60
    gone = sorted(server.world.account().truth("customers"))[:4]
    async with database.workspace(workspace_id) as session:
        await session.execute(text("DELETE FROM customers WHERE external_id = ANY(:ids)"), {"ids": gone})

    repaired = await again(database, server, second, REPAIR)

    assert requests(server)["GET /v1/customers/:id"] == 4
    assert repaired.status is SessionStatus.COMPLETED
    assert (repaired.counters["customers"]["created"], repaired.counters["customers"]["unchanged"]) == (4, 56)
    await truth.assert_equal_to(database, workspace_id, server.world.account(), entities=[CUSTOMERS])


@pytest.mark.parametrize("failpoint", ["retry.fetched", "land.after_commit", "plan.before_commit", "plan.after_commit"])
async def test_a_retry_that_is_killed_goes_on(
    database: Database, workspace_id: UUID, server: SandboxServer, failpoint: str
) -> None:
    sick = next(iter(server.world.account().truth_objects("subscriptions")))["customer"]
    break_customers(server, sick, *list(server.world.account().truth("customers"))[:4])
    session_id = await child.enqueue(database, workspace_id, support.config())
    async with Child(database, server.url, session_id) as first:
        assert await first.ended() == 0
    before = Ended(session_id, None, {})
    assert "missing_parent" in (await failed(database, before)).values()
    break_customers(server)
    async with database.workspace(workspace_id) as session:
        assert await runs.requeue(session, workspace_id, session_id, task=RETRY_ALL) == session_id

    async with Child(database, server.url, session_id, failpoint=failpoint) as killed:
        assert await killed.ended() == -9
    await child.free(database, session_id)
    server.world.statistics.reset()
    async with Child(database, server.url, session_id) as heir:
        assert await heir.ended() == 0

    assert await failed(database, before) == {}
    assert not [name for name in requests(server) if not name.endswith(":id")], "the task is still a retry"
    counters = await support.counters(database, workspace_id, session_id)
    assert all(row["created"] == row["fetched"] for row in counters.values())
    await truth.assert_equal_to(database, workspace_id, server.world.account())
