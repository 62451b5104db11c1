"""What failed, from the outside: listed one by one, retried and repaired by whom it may, and refused with a reason otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from sync_core.domain.going_on import Way
from sync_core.domain.vocabulary import EntityType, ReasonCode, Role, SessionStatus
from sync_core.engine.drive import drive
from sync_core.errors import Refusal
from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint, Sizes
from sync_core.sandbox.server import SandboxServer
from sync_core.services import problems, report, sessions
from sync_core.services.problems import Choice, Problems
from sync_core.services.progress_view import ProgressView, Watch
from sync_core.services.report import ReportView
from sync_core.services.session_views import SessionView
from sync_core.store import runs
from sync_core.store.database import Database
from sync_core.store.upkeep import forget_old_runs
from tests import support
from tests.conftest import make_workspace
from tests.services import actor_of, audit_actions

CUSTOMERS = EntityType.CUSTOMERS
ALL = Choice()


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    async with SandboxServer(Account.generated(Blueprint("problems", Sizes(30, 4, 8, 10, 10)))) as running:
        yield running


@pytest.fixture
async def partial(database: Database, workspace_id: UUID, server: SandboxServer) -> UUID:
    """An ended run: five customers failed, and the subscriptions and invoices that refer to them."""
    named = sorted({one["customer"] for one in server.world.account().truth_objects("subscriptions")})[:2]
    others = [one for one in server.world.account().truth("customers") if one not in named][:3]
    server.world.faults.replace([{"kind": "malformed_object", "match": "GET /v1/customers", "ids": [*named, *others]}])
    ended = await support.sync(database, workspace_id, server.url, support.config())
    assert ended.status is SessionStatus.PARTIAL
    server.world.faults.replace([])
    return ended.session_id


async def driven(database: Database, workspace_id: UUID, session_id: UUID, url: str) -> ReportView:
    async with support.taken(database, session_id, url) as run:
        await drive(run, lease_seconds=20.0)
    found = await report.summary(database, actor_of(workspace_id), session_id)
    assert isinstance(found, ReportView)
    return found


async def test_errors_are_listed_page_by_page_with_all_that_helps(
    database: Database, workspace_id: UUID, partial: UUID
) -> None:
    actor = actor_of(workspace_id)
    seen, cursor, pages = [], None, 0
    while cursor is not None or not pages:
        page = await problems.page(database, actor, partial, cursor=cursor, limit=3)
        assert isinstance(page, Problems)
        assert len(page.items) <= 3
        seen += [one.to_json() for one in page.items]
        cursor, pages = page.cursor, pages + 1

    ids = [(one["entity_type"], one["external_id"]) for one in seen]
    assert len(set(ids)) == len(ids)
    stored = await support.rows(
        database, workspace_id, "SELECT entity_type, external_id FROM payment_sync_plan_items WHERE action = 'error'"
    )
    assert set(ids) == {(row["entity_type"], row["external_id"]) for row in stored}
    assert all(one["field"] and one["message"] and one["repair"] for one in seen)
    assert all(one["request_id"].startswith("req_") for one in seen)

    narrow = await problems.page(database, actor, partial, entity=CUSTOMERS, reason=ReasonCode.UNSUPPORTED_SHAPE)
    none = await problems.page(database, actor, partial, entity=CUSTOMERS, reason=ReasonCode.MISSING_PARENT)
    assert isinstance(narrow, Problems)
    assert len(narrow.items) == 5
    assert isinstance(none, Problems)
    assert none.items == ()


async def test_a_retry_queues_the_run_and_its_end_is_verified(
    database: Database, workspace_id: UUID, server: SandboxServer, partial: UUID
) -> None:
    queued = await problems.retry(database, actor_of(workspace_id), partial, ALL)
    assert isinstance(queued, SessionView)
    assert queued.status is SessionStatus.PENDING

    done = await driven(database, workspace_id, partial, server.url)

    assert done.session.status is SessionStatus.COMPLETED
    assert done.verification is not None
    assert done.verification.sentence == f"verified: {done.total} of {done.total}"
    assert done.verification.compared > 0
    assert (await audit_actions(database, workspace_id))[-1] == "sync.retried"


async def test_a_repair_names_and_fetches_what_is_missing(
    database: Database, workspace_id: UUID, server: SandboxServer, partial: UUID
) -> None:
    actor = actor_of(workspace_id)
    assert isinstance(await problems.retry(database, actor, partial, ALL), SessionView)
    await driven(database, workspace_id, partial, server.url)
    async with database.workspace(workspace_id) as session:
        await session.execute(text("DELETE FROM invoices WHERE id IN (SELECT id FROM invoices LIMIT 2)"))

    assert isinstance(await problems.repair(database, actor, partial), SessionView)
    done = await driven(database, workspace_id, partial, server.url)

    assert done.verified is True
    assert len(await support.stored_ids(database, workspace_id, EntityType.INVOICES)) == 10
    assert (await audit_actions(database, workspace_id))[-1] == "sync.repaired"


Ask = Callable[[Database, UUID, UUID], Awaitable[object]]


def retrying(choice: Choice = ALL, role: Role = Role.OWNER) -> Ask:
    return lambda database, workspace_id, session_id: problems.retry(
        database, actor_of(workspace_id, role), session_id, choice
    )


def repairing(role: Role = Role.OWNER) -> Ask:
    return lambda database, workspace_id, session_id: problems.repair(
        database, actor_of(workspace_id, role), session_id
    )


MANY = tuple(f"cus_{n}" for n in range(1_001))


@pytest.mark.parametrize(
    ("ask", "code", "status"),
    [
        pytest.param(retrying(role=Role.VIEWER), "forbidden", 403, id="a viewer retries"),
        pytest.param(repairing(Role.VIEWER), "forbidden", 403, id="a viewer repairs"),
        pytest.param(retrying(Choice(external_ids=("cus_1",))), "entity_type_missing", 422, id="ids of no type"),
        pytest.param(retrying(Choice(CUSTOMERS, external_ids=MANY)), "too_many_ids", 422, id="too many ids"),
        pytest.param(retrying(Choice(reason=ReasonCode.STALE)), "not_an_error", 422, id="no error"),
        pytest.param(retrying(Choice(CUSTOMERS, external_ids=("cus_1",))), "nothing_to_retry", 409, id="no such id"),
        pytest.param(retrying(Choice(EntityType.PRODUCTS)), "nothing_to_retry", 409, id="a type without errors"),
        pytest.param(
            retrying(Choice(reason=ReasonCode.WRITE_FAILED)), "nothing_to_retry", 409, id="a reason without errors"
        ),
    ],
)
async def test_what_is_refused(
    database: Database, workspace_id: UUID, partial: UUID, ask: Ask, code: str, status: int
) -> None:
    refused = await ask(database, workspace_id, partial)

    assert isinstance(refused, Refusal)
    assert (refused.code, refused.status) == (code, status)
    view = await sessions.get(database, actor_of(workspace_id), partial)
    assert isinstance(view, SessionView)
    assert view.status is SessionStatus.PARTIAL, "nothing has happened"


STATES = {
    "running": ("UPDATE payment_sync_sessions SET status = 'running'", "session_open"),
    "not read to its end": ("UPDATE payment_sync_entity_runs SET phase = 'fetch'", "session_unfinished"),
    "disconnected": ("UPDATE payment_connections SET disconnected_at = now()", "not_connected"),
    "forgotten": ("DELETE FROM payment_sync_staged_objects", "objects_forgotten"),
}


@pytest.mark.parametrize("ask", [retrying(), repairing()], ids=["retry", "repair"])
@pytest.mark.parametrize("state", STATES)
async def test_a_run_that_cannot_be_taken_up_says_why(
    *, database: Database, workspace_id: UUID, partial: UUID, ask: Ask, state: str
) -> None:
    statement, code = STATES[state]
    async with database.workspace(workspace_id) as session:
        await session.execute(text(statement))

    refused = await ask(database, workspace_id, partial)

    assert isinstance(refused, Refusal)
    assert (refused.code, refused.status) == (code, 409)


async def test_one_run_at_a_time(database: Database, workspace_id: UUID, partial: UUID) -> None:
    async with database.workspace(workspace_id) as session:
        held = await support.make_connection(database, workspace_id)
        assert await runs.enqueue(session, workspace_id, support.config(), connection_id=held, created_by="other")

    refused = await problems.retry(database, actor_of(workspace_id), partial, ALL)

    assert isinstance(refused, Refusal)
    assert refused.code == "sync_running"


async def test_a_dry_run_is_retried_but_not_repaired(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    dry = await support.sync(database, workspace_id, server.url, support.config(CUSTOMERS, dry_run=True))

    repair = await problems.repair(database, actor_of(workspace_id), dry.session_id)
    retry = await problems.retry(database, actor_of(workspace_id), dry.session_id, ALL)

    assert [one.code for one in (repair, retry) if isinstance(one, Refusal)] == ["dry_run", "nothing_to_retry"]


async def test_a_retry_that_is_cancelled_can_be_resumed(
    database: Database, workspace_id: UUID, server: SandboxServer, partial: UUID
) -> None:
    actor = actor_of(workspace_id)
    assert isinstance(await problems.retry(database, actor, partial, Choice(CUSTOMERS)), SessionView)
    cancelled = await sessions.cancel(database, actor, partial)
    assert isinstance(cancelled, SessionView)
    assert cancelled.status is SessionStatus.CANCELLED

    assert isinstance(await sessions.resume(database, actor, partial), SessionView)
    done = await driven(database, workspace_id, partial, server.url)

    assert done.session.status is SessionStatus.COMPLETED


async def test_another_workspaces_errors_are_nobodys_business(database: Database, partial: UUID) -> None:
    stranger = actor_of(await make_workspace(database, "Other"))

    answers = [
        await problems.page(database, stranger, partial),
        await problems.retry(database, stranger, partial, ALL),
        await problems.repair(database, stranger, partial),
        await problems.retry(database, stranger, uuid4(), ALL),
    ]

    assert [one.status for one in answers if isinstance(one, Refusal)] == [404] * 4


@pytest.mark.parametrize("cursor", ["nope", "customers-zz", "refunds-1", "customers--1", "customers-" + "f" * 40])
async def test_a_cursor_of_no_list_is_refused(
    database: Database, workspace_id: UUID, partial: UUID, cursor: str
) -> None:
    refused = await problems.page(database, actor_of(workspace_id), partial, cursor=cursor)

    assert isinstance(refused, Refusal)
    assert refused.field == "cursor"


async def test_however_it_ended_what_is_offered_is_taken_and_nothing_else(
    database: Database, workspace_id: UUID, partial: UUID
) -> None:
    """Of a run whose lists were all read, with errors."""
    actor = actor_of(workspace_id)
    taken: dict[Way, Callable[[], Awaitable[SessionView | Refusal]]] = {
        Way.RESUME: lambda: sessions.resume(database, actor, partial),
        Way.RETRY: lambda: problems.retry(database, actor, partial, ALL),
        Way.VERIFY: lambda: problems.repair(database, actor, partial),
    }
    for status in ("partial", "failed", "cancelled"):
        await ended_as(database, workspace_id, status)
        view = await Watch(database, actor, partial).look()
        assert isinstance(view, ProgressView)
        for way, take_up in taken.items():
            found = await take_up()
            # REST also lets a program resume what came to its end with errors: that tries all of them again.
            offered = way in view.ending.ways or (way is Way.RESUME and status == "partial")
            assert isinstance(found, SessionView) is offered, (status, way, found)
            await ended_as(database, workspace_id, status)


async def ended_as(database: Database, workspace_id: UUID, status: str) -> None:
    async with database.workspace(workspace_id) as session:
        await session.execute(text("DELETE FROM payment_sync_leases"))
        await session.execute(
            text("UPDATE payment_sync_sessions SET status = :status, task = NULL, completed_at = now()"),
            {"status": status},
        )


_PLANNED_NOTHING = (
    "DELETE FROM payment_sync_plan_items",
    (
        "UPDATE payment_sync_entity_runs SET planned_seq = 0, created = 0, updated = 0, unchanged = 0, skipped = 0, conflicts = 0,"
        " failed = 0, phase = 'fetch'"
    ),
    "UPDATE payment_sync_sessions SET status = 'cancelled', completed_at = now() - interval '31 days'",
)


async def test_what_was_read_and_forgotten_is_not_taken_for_done(
    database: Database, workspace_id: UUID, server: SandboxServer
) -> None:
    """A run that was cancelled before anything was planned, and resumed when what it had read is no longer kept."""
    ended = await support.sync(database, workspace_id, server.url, support.config(CUSTOMERS))
    async with database.workspace(workspace_id) as session:
        for statement in _PLANNED_NOTHING:
            await session.execute(text(statement))
        assert await forget_old_runs(session, workspace_id) > 0

    refused = await sessions.resume(database, actor_of(workspace_id), ended.session_id)

    assert isinstance(refused, Refusal)
    assert (refused.code, refused.status) == ("objects_forgotten", 409)
