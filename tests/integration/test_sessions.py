"""Syncs from the outside: started, refused, looked at, cancelled, resumed, and a dry run's plan applied once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from sync_core.domain.vocabulary import EntityType, EventType, Role, SessionStatus
from sync_core.engine.drive import drive
from sync_core.errors import Refusal
from sync_core.sandbox.launch import SandboxProcess
from sync_core.services import connections, sessions
from sync_core.services.connection_views import ConnectionView
from sync_core.services.session_views import EventListing, Listing, SessionReport, SessionView
from sync_core.services.start_request import StartRequest
from sync_core.store.database import Database
from sync_core.store.sessions import RunFilter
from tests.conftest import make_workspace
from tests.services import KEY, actor_of, audit_actions, settings_for, small_sandbox
from tests.support import stored_ids, taken

CUSTOMERS = StartRequest(entity_types=("customers",))
DRY = StartRequest(entity_types=("customers", "products"), dry_run=True)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with small_sandbox() as running:
        yield running


@pytest.fixture
async def connected(database: Database, workspace_id: UUID, sandbox: SandboxProcess, tmp_path: Path) -> ConnectionView:
    settings = settings_for(sandbox, tmp_path)
    view = await connections.connect(database, actor_of(workspace_id), KEY, settings=settings)
    assert isinstance(view, ConnectionView)
    return view


async def started(database: Database, workspace_id: UUID, request: StartRequest = CUSTOMERS) -> SessionView:
    view = await sessions.start(database, actor_of(workspace_id), request)
    assert isinstance(view, SessionView), view
    return view


async def driven(database: Database, workspace_id: UUID, session_id: UUID, sandbox: SandboxProcess) -> SessionView:
    async with taken(database, session_id, sandbox.url) as run:
        await drive(run, lease_seconds=20.0)
    view = await sessions.get(database, actor_of(workspace_id), session_id)
    assert isinstance(view, SessionView)
    return view


async def ended(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess, request: StartRequest = CUSTOMERS
) -> SessionView:
    view = await started(database, workspace_id, request)
    return await driven(database, workspace_id, view.id, sandbox)


async def age(database: Database, workspace_id: UUID, session_id: UUID, hours: int) -> None:
    async with database.workspace(workspace_id) as session:
        await session.execute(
            text(
                "UPDATE payment_sync_sessions SET completed_at = completed_at - make_interval(hours => :hours) WHERE id = :id"
            ),
            {"hours": hours, "id": session_id},
        )


async def test_a_sync_starts_waiting_and_says_what_it_will_do(
    database: Database, workspace_id: UUID, connected: ConnectionView
) -> None:
    view = await started(database, workspace_id)

    shown = view.to_json()
    assert (shown["object"], shown["status"], shown["workspace_id"]) == ("sync_session", "pending", str(workspace_id))
    assert shown["config"] | {"strategies": None} == {
        "workspace_id": str(workspace_id),
        "entity_types": ["customers"],
        "batch_size": 100,
        "concurrent_batches": 3,
        "conflict_strategy": "skip",
        "strategies": None,
        "dry_run": False,
    }
    assert list(shown["progress"]) == ["customers"]
    assert shown["progress"]["customers"] | {"requested": True} == shown["progress"]["customers"]
    assert {"total_estimated", "processed", "successful", "failed", "skipped", "last_cursor", "is_complete"} <= set(
        shown["progress"]["customers"]
    )
    assert "started_at" not in shown
    assert isinstance(shown["created_at"], int)
    assert view.connection_id == connected.id
    assert (await audit_actions(database, workspace_id))[-1] == "sync.started"


async def test_what_ended_is_counted(
    database: Database, workspace_id: UUID, connected: ConnectionView, sandbox: SandboxProcess
) -> None:
    request = StartRequest(entity_types=("customers",), start=1_400_000_000, end=connected.created_at)
    view = await ended(database, workspace_id, sandbox, request)

    truth = len(sandbox.truth("customers"))
    customers = view.to_json()["progress"]["customers"]
    assert view.status is SessionStatus.COMPLETED
    assert (customers["processed"], customers["successful"], customers["created"]) == (truth, truth, truth)
    assert (customers["is_complete"], customers["failed"], customers["skipped"]) == (True, 0, 0)
    assert view.to_json()["config"]["date_range"]["start"] == "2014-05-13T16:53:20Z"
    assert view.started_at is not None
    assert view.completed_at is not None
    assert view.created_at <= view.started_at <= view.completed_at <= view.updated_at

    report = await sessions.report(database, actor_of(workspace_id), view.id)
    assert isinstance(report, SessionReport)
    assert report.verified is True
    assert report.totals == {
        "created": truth,
        "updated": 0,
        "unchanged": 0,
        "skipped": 0,
        "conflicts": 0,
        "failed": 0,
    }
    assert report.sentence.startswith(f"Created {truth}, changed 0, left 0")


async def test_without_a_connection_nothing_starts(database: Database, workspace_id: UUID) -> None:
    refused = await sessions.start(database, actor_of(workspace_id), CUSTOMERS)

    assert isinstance(refused, Refusal)
    assert (refused.code, refused.status) == ("not_connected", 409)


@pytest.mark.usefixtures("connected")
async def test_bad_input_starts_nothing(database: Database, workspace_id: UUID) -> None:
    refused = await sessions.start(database, actor_of(workspace_id), StartRequest(entity_types=("refunds",)))
    listed = await sessions.list_sessions(database, actor_of(workspace_id))

    assert isinstance(refused, Refusal)
    assert refused.field == "entity_types"
    assert isinstance(listed, Listing)
    assert listed.items == ()


@pytest.mark.usefixtures("connected")
async def test_one_sync_at_a_time(database: Database, workspace_id: UUID) -> None:
    first = await started(database, workspace_id)
    second = await sessions.start(database, actor_of(workspace_id), CUSTOMERS)
    cancelled = await sessions.cancel(database, actor_of(workspace_id), first.id)
    third = await sessions.start(database, actor_of(workspace_id), CUSTOMERS)

    assert isinstance(second, Refusal)
    assert (second.code, second.status) == ("sync_running", 409)
    assert isinstance(cancelled, SessionView)
    assert cancelled.status is SessionStatus.CANCELLED
    assert isinstance(third, SessionView)


@pytest.mark.usefixtures("connected")
async def test_a_cancelled_sync_goes_on_where_it_stopped(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    actor = actor_of(workspace_id)
    view = await started(database, workspace_id)
    await sessions.cancel(database, actor, view.id)
    twice = await sessions.cancel(database, actor, view.id)
    resumed = await sessions.resume(database, actor, view.id)
    done = await driven(database, workspace_id, view.id, sandbox)
    more = await sessions.resume(database, actor, view.id)

    assert isinstance(twice, Refusal)
    assert (twice.code, twice.status) == ("session_not_open", 409)
    assert isinstance(resumed, SessionView)
    assert resumed.status is SessionStatus.PENDING
    assert done.status is SessionStatus.COMPLETED
    assert isinstance(more, Refusal)
    assert more.code == "session_completed"
    assert len(await stored_ids(database, workspace_id, EntityType.CUSTOMERS)) == len(sandbox.truth("customers"))


@pytest.mark.usefixtures("connected")
async def test_a_plan_is_applied_once(database: Database, workspace_id: UUID, sandbox: SandboxProcess) -> None:
    actor = actor_of(workspace_id)
    plan = await ended(database, workspace_id, sandbox, DRY)
    assert plan.has_plan
    assert await stored_ids(database, workspace_id, EntityType.CUSTOMERS) == set()

    canary = await sessions.apply(database, actor, plan.id, limit=5)
    assert isinstance(canary, SessionView)
    await driven(database, workspace_id, canary.id, sandbox)
    assert len(await stored_ids(database, workspace_id, EntityType.CUSTOMERS)) == 5

    applied = await sessions.apply(database, actor, plan.id)
    assert isinstance(applied, SessionView)
    assert applied.source_session_id == plan.id
    done = await driven(database, workspace_id, applied.id, sandbox)
    assert done.status is SessionStatus.COMPLETED
    assert await stored_ids(database, workspace_id, EntityType.CUSTOMERS) == set(sandbox.truth("customers"))

    again = await sessions.apply(database, actor, plan.id)
    assert isinstance(again, Refusal)
    assert (again.code, again.status) == ("plan_applied", 409)


@pytest.mark.usefixtures("connected")
async def test_what_is_no_plan_is_not_applied(database: Database, workspace_id: UUID, sandbox: SandboxProcess) -> None:
    actor = actor_of(workspace_id)
    real = await ended(database, workspace_id, sandbox)
    old = await ended(database, workspace_id, sandbox, DRY)
    await age(database, workspace_id, old.id, hours=25)
    waiting = await started(database, workspace_id, DRY)
    answers = {
        name: await sessions.apply(database, actor, session_id)
        for name, session_id in {"real": real.id, "old": old.id, "waiting": waiting.id, "unknown": uuid4()}.items()
    }

    assert {name: one.code for name, one in answers.items() if isinstance(one, Refusal)} == {
        "real": "not_a_dry_run",
        "old": "plan_expired",
        "waiting": "dry_run_unfinished",
        "unknown": "session_not_found",
    }


async def test_a_plan_of_another_account_is_not_applied(
    database: Database, workspace_id: UUID, connected: ConnectionView, sandbox: SandboxProcess, tmp_path: Path
) -> None:
    actor = actor_of(workspace_id)
    plan = await ended(database, workspace_id, sandbox, DRY)
    assert await connections.disconnect(database, actor, connected.confirmation) is None
    await connections.connect(database, actor, "sk_test_acct2_0123456789", settings=settings_for(sandbox, tmp_path))

    refused = await sessions.apply(database, actor, plan.id)

    assert isinstance(refused, Refusal)
    assert refused.code == "not_connected"


@pytest.mark.usefixtures("connected")
async def test_lists_go_back_page_by_page(database: Database, workspace_id: UUID) -> None:
    actor = actor_of(workspace_id)
    made: list[UUID] = []
    for request in (CUSTOMERS, DRY, CUSTOMERS, CUSTOMERS, DRY):
        view = await started(database, workspace_id, request)
        await sessions.cancel(database, actor, view.id)
        made.append(view.id)

    seen: list[UUID] = []
    cursor: str | None = None
    for _ in range(3):
        page = await sessions.list_sessions(database, actor, cursor=cursor, limit=2)
        assert isinstance(page, Listing)
        seen += [one.id for one in page.items]
        cursor = page.cursor
    dry = await sessions.list_sessions(database, actor, only=RunFilter(dry_run=True, status=SessionStatus.CANCELLED))
    running = await sessions.list_sessions(database, actor, only=RunFilter(status=SessionStatus.RUNNING))
    wrong = await sessions.list_sessions(database, actor, cursor="zz-top")

    assert seen == made[::-1]
    assert cursor is None
    assert isinstance(dry, Listing)
    assert [one.id for one in dry.items] == [made[4], made[1]]
    assert isinstance(running, Listing)
    assert running.items == ()
    assert isinstance(wrong, Refusal)
    assert wrong.field == "cursor"


@pytest.mark.usefixtures("connected")
async def test_events_go_back_page_by_page(database: Database, workspace_id: UUID, sandbox: SandboxProcess) -> None:
    actor = actor_of(workspace_id)
    view = await ended(database, workspace_id, sandbox, StartRequest(entity_types=("customers", "products")))
    whole = await sessions.events(database, actor, view.id)
    assert isinstance(whole, EventListing)

    first = await sessions.events(database, actor, view.id, limit=1)
    assert isinstance(first, EventListing)
    second = await sessions.events(database, actor, view.id, limit=1, cursor=first.cursor)
    assert isinstance(second, EventListing)
    narrow = await sessions.events(
        database, actor, view.id, event_type=EventType.SYNC_COMPLETED, entity_type=EntityType.PRODUCTS
    )

    assert isinstance(narrow, EventListing)
    assert [*first.items, *second.items] == list(whole.items[:2])
    assert [(one.event_type, one.entity_type) for one in narrow.items] == [(EventType.SYNC_COMPLETED, "product")]


@pytest.mark.usefixtures("connected")
async def test_another_workspaces_sync_does_not_exist(database: Database, workspace_id: UUID) -> None:
    view = await started(database, workspace_id)
    stranger = actor_of(await make_workspace(database, "Other"))

    answers = [
        await sessions.get(database, stranger, view.id),
        await sessions.cancel(database, stranger, view.id),
        await sessions.resume(database, stranger, view.id),
        await sessions.apply(database, stranger, view.id),
        await sessions.events(database, stranger, view.id),
        await sessions.report(database, stranger, view.id),
    ]

    assert [one.status for one in answers if isinstance(one, Refusal)] == [404] * 6
    unharmed = await sessions.get(database, actor_of(workspace_id), view.id)
    assert isinstance(unharmed, SessionView)
    assert not unharmed.cancel_requested


@pytest.mark.usefixtures("connected")
async def test_viewers_look_but_do_not_touch(database: Database, workspace_id: UUID) -> None:
    view = await started(database, workspace_id)
    viewer = actor_of(workspace_id, Role.VIEWER)

    answers = [
        await sessions.start(database, viewer, CUSTOMERS),
        await sessions.cancel(database, viewer, view.id),
        await sessions.resume(database, viewer, view.id),
        await sessions.apply(database, viewer, view.id),
    ]

    assert [one.status for one in answers if isinstance(one, Refusal)] == [403] * 4
    assert isinstance(await sessions.get(database, viewer, view.id), SessionView)


@pytest.mark.usefixtures("connected")
async def test_the_last_configuration_is_remembered(database: Database, workspace_id: UUID) -> None:
    actor = actor_of(workspace_id)
    before = await sessions.last_config(database, actor)
    request = StartRequest(entity_types=("prices",), conflict_strategy="flag", batch_size=50, concurrent_batches=7)
    await started(database, workspace_id, request)
    after = await sessions.last_config(database, actor)

    assert before.is_default
    assert (after.is_default, after.config.batch_size, after.config.concurrent_batches) == (False, 50, 7)
    assert after.config.entity_types == (EntityType.PRICES,)
