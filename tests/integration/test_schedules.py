"""Syncs that repeat: added, paused, deleted, started by the tick exactly once, and what they say when they can't start."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import psycopg
import pytest
from sqlalchemy import text

from sync_core.domain.vocabulary import Role, SessionStatus
from sync_core.engine.drive import drive
from sync_core.errors import Refusal
from sync_core.jobs.housekeeping import start_scheduled
from sync_core.sandbox.launch import SandboxProcess
from sync_core.services import api_keys, connections, members, plan_approval, plan_limits, schedules, sessions
from sync_core.services.actor import Actor
from sync_core.services.api_keys import KeyLevel
from sync_core.services.connection_views import ConnectionView
from sync_core.services.plan_limits import Limits
from sync_core.services.schedules import RhythmRequest, ScheduleRequest, ScheduleView
from sync_core.services.session_views import Listing, SessionView
from sync_core.services.start_request import StartRequest
from sync_core.store import schedules as schedule_store
from sync_core.store.database import Database
from tests.conftest import make_workspace, plain_url
from tests.services import KEY, actor_of, audit_actions, settings_for, small_sandbox
from tests.support import holds, rows, taken, waiting_for_a_lock

CUSTOMERS = StartRequest(entity_types=("customers",))
DRY = StartRequest(entity_types=("customers",), dry_run=True)
SIX_HOURS = RhythmRequest(every_hours=6)
NIGHTLY = RhythmRequest(at="03:00")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with small_sandbox() as running:
        yield running


@pytest.fixture
async def connected(database: Database, workspace_id: UUID, sandbox: SandboxProcess, tmp_path: Path) -> None:
    settings = settings_for(sandbox, tmp_path)
    view = await connections.connect(database, actor_of(workspace_id), KEY, settings=settings)
    assert isinstance(view, ConnectionView)


async def added(database: Database, workspace_id: UUID, name: str = "Nightly", **more: Any) -> ScheduleView:
    values: dict[str, Any] = {"rhythm": SIX_HOURS, "start": CUSTOMERS} | more
    made = await schedules.add(database, actor_of(workspace_id), ScheduleRequest(name, **values))
    assert isinstance(made, ScheduleView), made
    return made


async def shown(database: Database, workspace_id: UUID) -> ScheduleView:
    (found,) = await schedules.list_schedules(database, actor_of(workspace_id, Role.VIEWER))
    return found


async def runs(database: Database, workspace_id: UUID) -> tuple[SessionView, ...]:
    page = await sessions.list_sessions(database, actor_of(workspace_id))
    assert isinstance(page, Listing)
    return page.items


async def make_due(database: Database, workspace_id: UUID, ago: timedelta = timedelta(minutes=1)) -> None:
    """As if so much time had passed since each was due."""
    async with database.workspace(workspace_id) as session:
        await session.execute(
            text("UPDATE payment_sync_schedules SET next_at = date_trunc('minute', now()) - :ago WHERE enabled"),
            {"ago": ago},
        )


async def test_a_schedule_says_what_it_does_and_when(database: Database, workspace_id: UUID) -> None:
    asked = ScheduleRequest(
        "  Every   night ",
        NIGHTLY,
        StartRequest(entity_types=("customers", "products", "prices"), conflict_strategy="flag"),
        days=30,
    )
    made = await schedules.add(database, actor_of(workspace_id), asked)

    assert isinstance(made, ScheduleView)
    assert made == await shown(database, workspace_id)
    assert (made.name, made.rhythm, made.enabled) == ("Every night", "Daily at 03:00", True)
    assert made.what == "Customers, products and prices of the last 30 days, flag what differs"
    assert made.next_times == await schedules.upcoming(database, actor_of(workspace_id), NIGHTLY)
    assert [(one.hour, one.minute) for one in made.next_times] == [(3, 0)] * 5
    assert timedelta() < made.next_times[0] - datetime.now(UTC) <= timedelta(days=1)
    assert (made.last_run, made.last_note, made.clock_note) == (None, "", "")
    assert (await audit_actions(database, workspace_id))[-1] == "schedule.added"


@pytest.mark.parametrize(
    ("start", "days", "what"),
    [
        pytest.param(CUSTOMERS, None, "Customers, skip what differs", id="one type"),
        pytest.param(DRY, 1, "Dry run of customers of the last 1 day, skip what differs", id="a dry run of a day"),
        pytest.param(
            StartRequest(("customers", "products", "prices", "subscriptions", "invoices"), start=1_735_689_600),
            None,
            "All entity types from 1 Jan 2025, 00:00, skip what differs",
            id="all from a day on",
        ),
        pytest.param(
            StartRequest(("customers", "prices"), strategies={"fields": {"customers.name": "flag"}}),
            None,
            "Customers and prices, skip what differs, 1 exception",
            id="an exception",
        ),
    ],
)
async def test_what_it_does_in_words(
    database: Database, workspace_id: UUID, start: StartRequest, days: int | None, what: str
) -> None:
    assert (await added(database, workspace_id, start=start, days=days)).what == what


async def test_paused_resumed_and_deleted(database: Database, workspace_id: UUID) -> None:
    made, actor = await added(database, workspace_id), actor_of(workspace_id)
    await make_due(database, workspace_id)
    paused = await schedules.set_enabled(database, actor, made.id, enabled=False)
    assert isinstance(paused, ScheduleView)
    assert (paused.enabled, paused.next_times) == (False, ())
    await start_scheduled(database)
    assert await runs(database, workspace_id) == ()

    again = await schedules.set_enabled(database, actor, made.id, enabled=True)
    assert isinstance(again, ScheduleView)
    assert again.next_times[0] > datetime.now(UTC) + timedelta(hours=5)
    assert again == await schedules.set_enabled(database, actor, made.id, enabled=True)
    assert await schedules.delete(database, actor, made.id) is None
    assert await schedules.list_schedules(database, actor) == ()
    actions = [one for one in await audit_actions(database, workspace_id) if one.startswith("schedule.")]
    assert actions == ["schedule.added", "schedule.paused", "schedule.resumed", "schedule.deleted"]


BAD: list[Any] = [
    pytest.param({"name": " "}, "schedule_name_empty", id="no name"),
    pytest.param({"name": "x" * 81}, "schedule_name_long", id="too long a name"),
    pytest.param({"name": "nIGHTLY"}, "schedule_name_taken", id="a name taken in other letters"),
    pytest.param({"rhythm": RhythmRequest()}, "rhythm_unclear", id="no rhythm"),
    pytest.param({"rhythm": RhythmRequest(every_hours=6, at="03:00")}, "rhythm_unclear", id="both rhythms"),
    pytest.param({"rhythm": RhythmRequest(every_hours=6, weekday=1)}, "rhythm_unclear", id="a day without a time"),
    pytest.param({"rhythm": RhythmRequest(every_hours=0)}, "every_hours_out_of_range", id="no hours"),
    pytest.param({"rhythm": RhythmRequest(every_hours=169)}, "every_hours_out_of_range", id="more than a week"),
    pytest.param({"rhythm": RhythmRequest(at="24:00")}, "time_invalid", id="no time of day"),
    pytest.param({"rhythm": RhythmRequest(at="3:00")}, "time_invalid", id="one digit"),
    pytest.param({"rhythm": RhythmRequest(at="03:00", weekday=7)}, "weekday_unknown", id="an eighth day"),
    pytest.param({"start": StartRequest()}, "entity_types_empty", id="what could not be started"),
    pytest.param(
        {"start": StartRequest(("customers",), end=1_700_000_000)}, "date_range_has_end", id="a range that ends"
    ),
    pytest.param({"days": 0}, "days_out_of_range", id="no days"),
]


@pytest.mark.parametrize(("given", "code"), BAD)
async def test_what_makes_no_sense_is_refused(
    database: Database, workspace_id: UUID, given: dict[str, Any], code: str
) -> None:
    await added(database, workspace_id)
    asked: dict[str, Any] = {"name": "Another", "rhythm": NIGHTLY, "start": CUSTOMERS} | given
    refused = await schedules.add(database, actor_of(workspace_id), ScheduleRequest(**asked))
    assert isinstance(refused, Refusal)
    assert refused.code == code
    assert (await shown(database, workspace_id)).name == "Nightly"
    if code != "schedule_name_taken":
        made = await shown(database, workspace_id)
        changed = await schedules.change(
            database, actor_of(workspace_id), made.id, ScheduleRequest(**asked), revision=1
        )
        assert changed == refused
        assert await shown(database, workspace_id) == made
    if "rhythm" in given:
        assert await schedules.upcoming(database, actor_of(workspace_id), given["rhythm"]) == refused


async def test_one_is_changed_and_keeps_its_time_in_the_same_rhythm(database: Database, workspace_id: UUID) -> None:
    made, ben = await added(database, workspace_id), actor_of(workspace_id, label="ben@example.com")
    await make_due(database, workspace_id, -timedelta(hours=2))
    before = await shown(database, workspace_id)
    flagged = replace(CUSTOMERS, conflict_strategy="flag")
    renamed = await schedules.change(
        database, ben, made.id, ScheduleRequest("Six hours", SIX_HOURS, flagged, days=7), revision=made.revision
    )
    assert isinstance(renamed, ScheduleView)
    assert (renamed.name, renamed.next_times) == ("Six hours", before.next_times)
    assert renamed.what == "Customers of the last 7 days, flag what differs"
    assert (renamed.revision, renamed.created_by, renamed.changed_by) == (2, before.created_by, "ben@example.com")

    moved = await schedules.change(
        database, ben, made.id, ScheduleRequest("Six hours", NIGHTLY, flagged, days=7), revision=2
    )
    assert isinstance(moved, ScheduleView)
    assert moved.next_times == await schedules.upcoming(database, ben, NIGHTLY)
    await schedules.set_enabled(database, ben, made.id, enabled=False)
    paused = await schedules.change(
        database, ben, made.id, ScheduleRequest("Six hours", SIX_HOURS, flagged), revision=moved.revision
    )
    assert isinstance(paused, ScheduleView)
    assert (paused.enabled, paused.next_times, paused.rhythm) == (False, (), "Every 6 hours")
    (logged,) = (await rows(database, workspace_id, "SELECT details FROM audit_log WHERE action = 'schedule.changed'"))[
        1:2
    ]
    assert logged["details"]["changes"] == {"rhythm": {"from": "Every 6 hours", "to": "Daily at 03:00"}}


async def test_of_two_who_change_one_the_later_hears_of_the_other(database: Database, workspace_id: UUID) -> None:
    made, taken_name = await added(database, workspace_id), await added(database, workspace_id, "Taken")
    ana, ben = (actor_of(workspace_id, label=f"{name}@example.com") for name in ("ana", "ben"))
    asked = ScheduleRequest("Ben's", NIGHTLY, CUSTOMERS)
    both = await asyncio.gather(
        *(
            schedules.change(database, one, made.id, replace(asked, name=name), revision=made.revision)
            for one, name in ((ana, "Ana's"), (ben, "Ben's"))
        )
    )
    (refused,) = (one for one in both if isinstance(one, Refusal))
    (saved,) = (one for one in both if isinstance(one, ScheduleView))
    assert (refused.code, refused.status) == ("schedule_changed", 409)
    assert refused.message.startswith(f"{saved.changed_by} has changed this schedule")
    found = {one.id: one for one in await schedules.list_schedules(database, ana)}
    assert found[made.id] == saved
    same = await schedules.change(database, ana, made.id, replace(asked, name="taken"), revision=saved.revision)
    assert isinstance(same, Refusal)
    assert (same.code, same.field) == ("schedule_name_taken", "name")
    assert found[taken_name.id].revision == 1


@pytest.mark.usefixtures("connected")
async def test_what_was_changed_after_a_tick_has_read_it_starts_as_it_is_now(
    database: Database, workspace_id: UUID
) -> None:
    made = await added(database, workspace_id, start=replace(DRY, conflict_strategy="overwrite"))
    await make_due(database, workspace_id)
    async with database.system() as session:
        (due,) = await schedule_store.due(session)
    wanted = ScheduleRequest("Nightly", SIX_HOURS, replace(DRY, conflict_strategy="flag"))
    await schedules.change(database, actor_of(workspace_id), made.id, wanted, revision=made.revision)
    async with database.workspace(workspace_id) as session:
        assert not await schedule_store.claim(session, due, due.now + timedelta(hours=6))
    await start_scheduled(database)
    (started,) = await runs(database, workspace_id)
    assert started.config.strategies.default.value == "flag"


async def test_other_workspaces_and_viewers_cannot_touch_them(database: Database, workspace_id: UUID) -> None:
    made = await added(database, workspace_id)
    stranger = actor_of(await make_workspace(database, "Other"))
    viewer = actor_of(workspace_id, Role.VIEWER)

    answers = [
        await schedules.set_enabled(database, stranger, made.id, enabled=False),
        await schedules.delete(database, stranger, made.id),
        await schedules.set_enabled(database, viewer, made.id, enabled=False),
        await schedules.delete(database, viewer, made.id),
        *[
            await schedules.change(database, one, made.id, ScheduleRequest("Mine", NIGHTLY, CUSTOMERS), revision=1)
            for one in (stranger, viewer)
        ],
        await schedules.add(database, viewer, ScheduleRequest("Mine", NIGHTLY, CUSTOMERS)),
    ]
    assert [one.status for one in answers if isinstance(one, Refusal)] == [404, 404, 403, 403, 404, 403, 403]
    assert await schedules.list_schedules(database, stranger) == ()
    assert await shown(database, workspace_id) == made


async def test_a_workspace_keeps_a_number_of_them(database: Database, workspace_id: UUID) -> None:
    for number in range(schedules.MOST_SCHEDULES):
        await added(database, workspace_id, f"Number {number}")
    refused = await schedules.add(database, actor_of(workspace_id), ScheduleRequest("More", NIGHTLY, CUSTOMERS))
    assert isinstance(refused, Refusal)
    assert refused.code == "schedules_full"


@pytest.mark.usefixtures("connected")
async def test_of_many_ticks_at_once_one_starts_it(database: Database, workspace_id: UUID) -> None:
    made = await added(database, workspace_id, start=DRY, days=7)
    await make_due(database, workspace_id, timedelta(days=3))
    servers = [Database(database.url, pool_size=2) for _ in range(4)]
    try:
        # All have read that it is due before any of them can claim it.
        async with database.workspace(workspace_id) as holding:
            await holding.execute(text("SELECT FROM payment_sync_schedules FOR UPDATE"))
            ticks = asyncio.gather(*(start_scheduled(server) for server in servers))
            async with await psycopg.AsyncConnection.connect(plain_url(database.url), autocommit=True) as looks:
                assert await holds(lambda: waiting_for_a_lock(looks, len(servers)))
        await ticks
        (started,) = await runs(database, workspace_id)
        assert (started.created_by, started.config.dry_run) == ("schedule Nightly", True)
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        assert started.config.start in {int((today - timedelta(days=7 + late)).timestamp()) for late in (0, 1)}
        assert started.config.end is None

        found = await shown(database, workspace_id)
        assert found.last_run is not None
        assert (found.last_run.id, found.last_run.number, found.last_run.status) == (
            started.id,
            1,
            SessionStatus.PENDING,
        )
        assert found.last_note == ""
        # Three days were missed: none of them is made up for, and the next one is in the rhythm of those.
        assert timedelta(hours=5) < found.next_times[0] - datetime.now(UTC) <= timedelta(hours=6)
        assert (found.next_times[1] - found.next_times[0], found.id) == (timedelta(hours=6), made.id)
        sql = "SELECT actor, action, target FROM audit_log WHERE action LIKE 'sync.%'"
        logged = await rows(database, workspace_id, sql)
        assert [tuple(one.values()) for one in logged] == [
            ("schedule Nightly", "sync.dry_run_started", str(started.id))
        ]
    finally:
        for server in servers:
            await server.dispose()


@pytest.mark.usefixtures("connected")
async def test_a_server_that_dies_between_claim_and_queue_leaves_it_due(database: Database, workspace_id: UUID) -> None:
    """What the run is queued with is refused by the database, after the claim: nothing of it stays, and the next tick starts it."""
    await added(database, workspace_id)
    await make_due(database, workspace_id)
    with psycopg.connect(plain_url(database.url), autocommit=True) as owner:
        owner.execute("ALTER TABLE payment_sync_sessions ADD CONSTRAINT nothing CHECK (created_by = '') NOT VALID")
        with pytest.raises(Exception, match="nothing"):
            await start_scheduled(database)
        owner.execute("ALTER TABLE payment_sync_sessions DROP CONSTRAINT nothing")
    assert await runs(database, workspace_id) == ()
    assert (await shown(database, workspace_id)).next_times[0] < datetime.now(UTC)

    await start_scheduled(database)
    await start_scheduled(database)
    assert len(await runs(database, workspace_id)) == 1


async def test_without_a_connection_it_says_so_and_waits(database: Database, workspace_id: UUID) -> None:
    await added(database, workspace_id)
    await make_due(database, workspace_id)
    await start_scheduled(database)
    found = await shown(database, workspace_id)
    assert (found.last_note, found.last_run) == ("Not connected", None)
    assert found.next_times[0] > datetime.now(UTC)
    assert await runs(database, workspace_id) == ()


@pytest.mark.usefixtures("connected")
async def test_one_sync_a_workspace(database: Database, workspace_id: UUID) -> None:
    await added(database, workspace_id)
    running = await sessions.start(database, actor_of(workspace_id), CUSTOMERS)
    assert isinstance(running, SessionView)
    await make_due(database, workspace_id)
    await start_scheduled(database)
    assert (await shown(database, workspace_id)).last_note == "A sync was running"
    assert [one.id for one in await runs(database, workspace_id)] == [running.id]

    await sessions.cancel(database, actor_of(workspace_id), running.id)
    await make_due(database, workspace_id)
    await start_scheduled(database)
    found = await shown(database, workspace_id)
    assert found.last_note == ""
    assert found.last_run is not None
    assert found.last_run.id != running.id
    await sessions.cancel(database, actor_of(workspace_id), found.last_run.id)
    ended = await shown(database, workspace_id)
    assert ended.last_run is not None
    assert (ended.last_run.status, ended.last_run.at >= found.last_run.at) == (SessionStatus.CANCELLED, True)


@pytest.mark.usefixtures("connected")
async def test_where_plans_are_approved_only_dry_runs_start(database: Database, workspace_id: UUID) -> None:
    await added(database, workspace_id, "Writes")
    await plan_limits.save(database, actor_of(workspace_id), Limits(approval=True))
    refused = await schedules.add(database, actor_of(workspace_id), ScheduleRequest("More", NIGHTLY, CUSTOMERS))
    assert isinstance(refused, Refusal)
    assert refused.code == "approval_required"

    await make_due(database, workspace_id)
    await start_scheduled(database)
    assert (await shown(database, workspace_id)).last_note == "Needs an approved plan"
    assert await runs(database, workspace_id) == ()
    await added(database, workspace_id, "Plans", start=DRY)
    await make_due(database, workspace_id)
    await start_scheduled(database)
    (started,) = await runs(database, workspace_id)
    assert (started.created_by, started.config.dry_run) == ("schedule Plans", True)


@pytest.mark.usefixtures("connected")
@pytest.mark.parametrize(
    ("by_key", "changed_by_another"),
    [(False, False), (True, False), (False, True)],
    ids=["set up by a person", "set up by their key", "changed by another since"],
)
async def test_the_plan_of_a_schedule_is_that_of_who_set_it_up(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess, *, by_key: bool, changed_by_another: bool
) -> None:
    maker = replace(actor_of(workspace_id), user_id=uuid4())
    assert isinstance(await api_keys.create(database, maker, level=KeyLevel.WRITE, name="ci"), str)
    asked = ScheduleRequest("Plans", SIX_HOURS, StartRequest(("products",), dry_run=True))
    made = await schedules.add(database, actor_of(workspace_id, label="ci") if by_key else maker, asked)
    assert isinstance(made, ScheduleView)
    if changed_by_another:
        ben = actor_of(workspace_id, label="ben@example.com")
        assert isinstance(await schedules.change(database, ben, made.id, asked, revision=1), ScheduleView)
    await make_due(database, workspace_id)
    await start_scheduled(database)
    (started,) = await runs(database, workspace_id)
    async with taken(database, started.id, sandbox.url) as run:
        await drive(run, lease_seconds=20.0)
    plan = await sessions.get(database, maker, started.id)
    assert isinstance(plan, SessionView)
    assert plan.plan_hash is not None

    own = await plan_approval.approve(database, maker, plan.id, plan.plan_hash)
    assert isinstance(own, Refusal)
    assert own.code == "own_plan"
    other = replace(actor_of(workspace_id, label="ben@example.com"), user_id=uuid4())
    if changed_by_another:
        own = await plan_approval.approve(database, other, plan.id, plan.plan_hash)
        assert isinstance(own, Refusal)
        assert own.code == "own_plan"
        other = replace(actor_of(workspace_id, label="cleo@example.com"), user_id=uuid4())
    assert isinstance(await plan_approval.approve(database, other, plan.id, plan.plan_hash), SessionView)


@pytest.mark.usefixtures("connected")
async def test_it_goes_by_the_settings_of_the_day(database: Database, workspace_id: UUID) -> None:
    await added(database, workspace_id, start=replace(CUSTOMERS, start=1_735_689_600))
    async with database.workspace(workspace_id) as session:
        await session.execute(text("UPDATE workspaces SET match_by_email = false"))
    await make_due(database, workspace_id)
    await start_scheduled(database)
    (started,) = await runs(database, workspace_id)
    assert (started.config.match_by_email, started.config.start) == (False, 1_735_689_600)


@pytest.mark.usefixtures("connected")
async def test_one_that_nobody_can_read_keeps_no_other_from_starting(database: Database, workspace_id: UUID) -> None:
    broken = await added(database, workspace_id, "A first")
    await added(database, workspace_id, "The next")
    async with database.workspace(workspace_id) as session:
        await session.execute(
            text("""UPDATE payment_sync_schedules SET config = '{"entity_types": ["shoes"]}' WHERE id = :id"""),
            {"id": broken.id},
        )
    await make_due(database, workspace_id)
    await start_scheduled(database)
    assert [one.created_by for one in await runs(database, workspace_id)] == ["schedule The next"]


async def test_what_goes_by_the_clock_follows_the_workspaces_zone(database: Database, workspace_id: UUID) -> None:
    await added(database, workspace_id, "Clock", rhythm=NIGHTLY)
    every = await added(database, workspace_id, "Hours")
    assert await members.set_time_zone(database, actor_of(workspace_id), "Asia/Kolkata") is None
    there = Actor(workspace_id, Role.OWNER, "ana@example.com", time_zone="Asia/Kolkata")
    clock, hours = await schedules.list_schedules(database, there)
    assert [f"{one.astimezone(ZoneInfo('Asia/Kolkata')):%H:%M}" for one in clock.next_times] == ["03:00"] * 5
    assert hours.next_times == every.next_times


async def test_two_who_add_the_last_one_at_once_make_no_one_too_many(database: Database, workspace_id: UUID) -> None:
    """Both have come as far as they get before either has written."""
    for number in range(schedules.MOST_SCHEDULES - 1):
        await added(database, workspace_id, f"Number {number}")
    asked = [ScheduleRequest(name, SIX_HOURS, CUSTOMERS) for name in ("Ana's", "Ben's")]
    async with await psycopg.AsyncConnection.connect(plain_url(database.url)) as holding:
        await holding.execute("LOCK TABLE payment_sync_schedules IN SHARE MODE")
        adding = asyncio.gather(*(schedules.add(database, actor_of(workspace_id), one) for one in asked))
        async with await psycopg.AsyncConnection.connect(plain_url(database.url), autocommit=True) as looks:
            assert await holds(lambda: waiting_for_a_lock(looks, 2))
        await holding.rollback()
    answers = await adding
    assert [one.code for one in answers if isinstance(one, Refusal)] == ["schedules_full"]
    assert len(await schedules.list_schedules(database, actor_of(workspace_id))) == schedules.MOST_SCHEDULES
