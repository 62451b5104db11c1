"""A run as a watcher sees it: in words and ranges that can be believed, in a few small statements."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson
import pytest
from sqlalchemy import event, text

from dashboard.pages.sync_rows import retried_text
from dashboard.pages.sync_step_rows import at_once, heard, steps
from sync_core.domain.time_left import Look, Part, Range
from sync_core.domain.vocabulary import EntityType, Phase, SessionStatus, Step
from sync_core.errors import Refusal
from sync_core.sandbox.launch import SandboxProcess
from sync_core.services import findings, run_windows
from sync_core.services.pace import Memory, Pace, Retried, retried_by_entity
from sync_core.services.progress_view import EntityLine, ProgressView, Pulse, Watch, view_of
from sync_core.services.run_steps import StepState, steps_in, steps_of
from sync_core.services.run_windows import Lanes, coverage
from sync_core.store import runs
from sync_core.store.database import Database
from sync_core.store.runs import RunConfig
from sync_core.store.watching import Stretch, WatchedRun
from tests.conftest import make_workspace
from tests.services import actor_of, small_sandbox
from tests.support import config, enqueue, holds, sync

CUSTOMERS = EntityType.CUSTOMERS
ASKS_AGAIN = {"customers": {"causes": {"rate": 1}, "until": 4e9}}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with small_sandbox() as running:
        yield running


async def look(database: Database, workspace_id: UUID, session_id: UUID) -> ProgressView:
    return await again(Watch(database, actor_of(workspace_id), session_id))


async def again(watch: Watch) -> ProgressView:
    found = await watch.look()
    assert isinstance(found, ProgressView)
    return found


async def execute(database: Database, workspace_id: UUID, sql: str, **bound: object) -> None:
    async with database.workspace(workspace_id) as session:
        await session.execute(text(sql), bound)


async def running(database: Database, workspace_id: UUID, *, lease: float = 20.0, **more: object) -> UUID:
    """A run in the middle of fetching, as its engine would have left the rows."""
    session_id = await enqueue(database, workspace_id, config(CUSTOMERS, dry_run=bool(more.get("dry_run"))))
    async with database.system() as session:
        assert await runs.take(session, session_id, "test", lease)
    await execute(
        database,
        workspace_id,
        "UPDATE payment_sync_sessions SET status = 'running', phase = 'fetch', started_at = now() - interval '40 s',"
        " range_start = 0, ceiling = 6000, stats = CAST(:stats AS jsonb) WHERE id = :id",
        id=session_id,
        stats=orjson.dumps(more.get("stats", {})).decode(),
    )
    await execute(
        database,
        workspace_id,
        "UPDATE payment_sync_entity_runs SET phase = 'fetch', estimated = 1000, fetched = 400, created = 200, updated = 50,"
        " skipped = 30, requests = 5, last_page_at = now() - make_interval(secs => :age)"
        " WHERE session_id = :id AND entity_type = 'customers'",
        id=session_id,
        age=more.get("page_age", 1.0),
    )
    await execute(
        database,
        workspace_id,
        "INSERT INTO payment_sync_windows (workspace_id, session_id, entity_type, gte, lt, status, oldest_seen, pages, objects)"
        " VALUES (:w, :id, 'customers', 3000, 6000, 'split', 4999, 9, 900), (:w, :id, 'customers', 4000, 5000, 'done', 4000, 1, 10),"
        " (:w, :id, 'customers', 3000, 4000, 'open', 3500, 2, 150), (:w, :id, 'customers', 0, 3000, 'open', NULL, 0, 0)",
        w=workspace_id,
        id=session_id,
    )
    return session_id


async def test_a_finished_sync_is_verified_and_covered(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    ended = await sync(database, workspace_id, sandbox.url, config(CUSTOMERS, EntityType.PRODUCTS))
    found = await look(database, workspace_id, ended.session_id)

    assert (found.status, found.pulse, found.fraction, found.eta) == (SessionStatus.COMPLETED, Pulse.ENDED, 1.0, None)
    assert [step.state for step in found.steps] == ["idle" if step is R else "done" for step in Step]
    customers = found.entities[0]
    assert customers.verified is not None
    assert customers.verified.is_complete
    assert customers.verified.found == customers.processed > 0
    assert set(customers.cells) == {10}


async def test_a_run_under_way_shows_what_is_read_of_the_range(database: Database, workspace_id: UUID) -> None:
    began = time.monotonic()
    session_id = await running(database, workspace_id, page_age=2.0)
    found = await look(database, workspace_id, session_id)
    since = time.monotonic() - began
    lanes = await run_windows.lanes(database, actor_of(workspace_id), session_id, CUSTOMERS)

    (customers,) = found.entities
    assert customers.cells == (0,) * 35 + (10,) * 25
    assert (customers.open_windows, customers.fraction) == (2, 0.28)
    assert {step.state for step in found.steps} == {StepState.NEXT}
    assert found.page_age is not None
    assert 2.0 <= found.page_age <= 2.0 + since
    assert isinstance(lanes, Lanes)
    assert lanes.worker == "test"
    assert lanes.heard is not None
    assert [(lane.left, lane.width, lane.read, lane.pages, lane.at) for lane in lanes.lanes] == [
        (0.5, pytest.approx(1 / 6), 0.5, 2, 3500),
        (0.0, 0.5, 0.0, 0, None),
    ]


async def test_a_lane_names_the_request_that_brought_its_last_page(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    """A window of a real run, as it was before its last page."""
    ended = await sync(database, workspace_id, sandbox.url, config(CUSTOMERS))
    await execute(
        database,
        workspace_id,
        "UPDATE payment_sync_windows SET status = 'open' WHERE session_id = :id AND cursor IS NOT NULL",
        id=ended.session_id,
    )
    lanes = await run_windows.lanes(database, actor_of(workspace_id), ended.session_id, CUSTOMERS)
    assert isinstance(lanes, Lanes)
    assert lanes.lanes
    assert all(lane.request_id.startswith("req_") for lane in lanes.lanes)
    assert all(0 <= lane.left <= lane.left + lane.width <= 1 for lane in lanes.lanes), "all of it is inside the picture"


async def test_each_entity_type_has_a_rate_and_retries_of_its_own(database: Database, workspace_id: UUID) -> None:
    stats = {
        "retries": {
            "customers": {"causes": {"rate": 3, "network": 1}, "until": 4e9},
            "invoices": {"causes": {"server": 2}, "until": 1.0},
        }
    }
    session_id = await running(database, workspace_id, stats=stats)
    watch = Watch(database, actor_of(workspace_id), session_id)
    (before,) = (await again(watch)).entities
    await execute(
        database,
        workspace_id,
        "UPDATE payment_sync_entity_runs SET created = created + 120 WHERE session_id = :id AND entity_type = 'customers'",
        id=session_id,
    )
    seen: list[EntityLine] = []

    async def moved() -> bool:
        seen[:] = (await again(watch)).entities
        return seen[0].rate is not None

    assert await holds(moved)
    (customers,) = seen
    assert (before.rate, before.eta) == (None, None)
    assert customers.rate is not None
    assert 0 < customers.rate <= 120
    assert customers.eta is None  # two looks are no pace to go by
    assert customers.retried.causes == (("rate", 3), ("network", 1))
    assert customers.retried.again_in is not None
    assert customers.retried.again_in > 0


@pytest.mark.parametrize(
    ("stats", "is_open", "entity", "expected"),
    [
        pytest.param({}, True, "invoices", None, id="none"),
        pytest.param(
            {
                "invoices": {"causes": {"rate": 1}, "until": 130.0, "waits_for": "rate"},
                "subscription_items": {"causes": {"rate": 5}, "until": 0},
            },
            True,
            "invoices",
            Retried((("rate", 1),), 30.0, "rate"),
            id="one waits",
        ),
        pytest.param(
            {
                "subscriptions": {"causes": {"server": 1}, "until": 90.0, "waits_for": "server"},
                "subscription_items": {"causes": {"server": 2, "rate": 1}, "until": 80.0},
            },
            True,
            "subscriptions",
            Retried((("server", 3), ("rate", 1)), None),
            id="nested lists belong to their object, all made by now",
        ),
        pytest.param(
            {
                "subscriptions": {"causes": {"server": 1}, "until": 140.0, "waits_for": "server"},
                "subscription_items": {"causes": {"rate": 1}, "until": 120.0, "waits_for": "rate"},
            },
            True,
            "subscriptions",
            Retried((("server", 1), ("rate", 1)), 40.0, "server"),
            id="why the longest waits",
        ),
        pytest.param(
            {"prices": {"causes": {"body": 2}, "until": 130.0}},
            False,
            "prices",
            Retried((("body", 2),), None),
            id="of a run that ended none waits",
        ),
    ],
)
def test_retries_are_told_by_entity_type(
    stats: dict[str, Any], *, is_open: bool, entity: str, expected: Retried | None
) -> None:
    assert retried_by_entity({"retries": stats}, 100.0, is_open=is_open).get(entity) == expected


@pytest.mark.parametrize(
    ("retried", "said"),
    [
        pytest.param(Retried(), "", id="none"),
        pytest.param(Retried((("lock", 1),)), "1 retry: object locked 1", id="one"),
        pytest.param(
            Retried((("rate", 1200), ("network", 1)), 3.2),
            "1,201 retries: rate limit 1,200, network 1; again in 4 s",
            id="waiting",
        ),
    ],
)
def test_retries_are_said_with_their_reasons(retried: Retried, said: str) -> None:
    assert retried_text(retried) == said


@pytest.mark.parametrize(
    ("lease", "page_age", "stats", "cancel", "expected"),
    [
        pytest.param(20, 1, {}, False, Pulse.LIVE, id="at work"),
        pytest.param(20, 30, {}, False, Pulse.SLOW, id="no page for half a minute"),
        pytest.param(20, 30, {"resume_at": 4e9}, False, Pulse.PAUSED, id="waits for Stripe's limit"),
        pytest.param(20, 1, {"retries": ASKS_AGAIN}, False, Pulse.LIVE, id="one request is put off, others go on"),
        pytest.param(20, 5, {"retries": ASKS_AGAIN}, False, Pulse.PAUSED, id="all that is asked is put off"),
        pytest.param(
            20,
            None,
            {"retries": ASKS_AGAIN},
            False,
            Pulse.PAUSED,
            id="nothing has come, and all that is asked is put off",
        ),
        pytest.param(-1, 30, {}, False, Pulse.LOST, id="lease ran out"),
        pytest.param(20, 1, {}, True, Pulse.STOPPING, id="asked to stop"),
    ],
)
async def test_it_says_whether_anybody_is_at_work(
    database: Database,
    workspace_id: UUID,
    *,
    lease: float,
    page_age: float | None,
    stats: dict[str, Any],
    cancel: bool,
    expected: Pulse,
) -> None:
    session_id = await running(database, workspace_id, lease=lease, page_age=page_age, stats=stats)
    if cancel:
        await execute(
            database,
            workspace_id,
            "UPDATE payment_sync_sessions SET cancel_requested_at = now() WHERE id = :id",
            id=session_id,
        )
    assert (await look(database, workspace_id, session_id)).pulse is expected


async def test_a_run_that_nobody_took_up_yet_waits(database: Database, workspace_id: UUID) -> None:
    found = await look(database, workspace_id, await enqueue(database, workspace_id, config(CUSTOMERS)))
    assert (found.pulse, found.fraction, found.eta, found.page_age) == (Pulse.WAITING, None, None, None)


async def test_the_quota_names_its_429s_and_when_it_goes_on(database: Database, workspace_id: UUID) -> None:
    stats = {
        "requests": 70,
        "caps": {"global": 20.0},
        "throttled": {"endpoint-rate": 1, "global-rate": 4},
        "resume_at": 4e9,
    }
    quota = (await look(database, workspace_id, await running(database, workspace_id, stats=stats))).quota

    assert (quota.requests, quota.cap) == (70, 20.0)
    assert quota.throttled == (("global-rate", 4), ("endpoint-rate", 1))
    assert quota.resume_in is not None
    assert quota.resume_in > 0


@pytest.mark.parametrize(
    ("dry_run", "said"),
    [
        pytest.param(True, "writes no records", id="dry run"),
        pytest.param(False, "250 records already written stay", id="sync"),
    ],
)
async def test_cancelling_says_what_is_kept(
    database: Database, workspace_id: UUID, *, dry_run: bool, said: str
) -> None:
    session_id = await running(database, workspace_id, dry_run=dry_run)
    assert said in (await look(database, workspace_id, session_id)).kept_on_cancel


async def test_a_look_costs_four_small_statements_after_its_opening(database: Database, workspace_id: UUID) -> None:
    watch = Watch(database, actor_of(workspace_id), await running(database, workspace_id))
    await again(watch)
    seen: list[str] = []
    engine = database.engine.sync_engine

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        await again(watch)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert len(seen) == 4, seen


async def test_errors_are_grouped_with_what_to_do(database: Database, workspace_id: UUID) -> None:
    session_id = await running(database, workspace_id)
    await execute(
        database,
        workspace_id,
        "UPDATE payment_sync_entity_runs SET failed = 3 WHERE session_id = :id AND entity_type = 'customers'",
        id=session_id,
    )
    await execute(
        database,
        workspace_id,
        "INSERT INTO payment_sync_plan_items (workspace_id, session_id, entity_type, external_id, seq, action, reason_code, detail)"
        " SELECT :w, :id, 'customers', 'cus_' || g, g, 'error', CASE WHEN g < 3 THEN 'value_invalid' ELSE 'fetch_failed' END,"
        ' \'{"field": "email", "message": "too long"}\' FROM generate_series(1, 3) g',
        w=workspace_id,
        id=session_id,
    )
    found = await findings.reasons(database, actor_of(workspace_id), session_id)

    assert isinstance(found, tuple)
    assert [(one.code.value, one.count, one.field) for one in found] == [
        ("value_invalid", 2, "email"),
        ("fetch_failed", 1, "email"),
    ]
    assert all(one.repair for one in found)
    assert found[0].sample == ("cus_1", "cus_2")


async def test_another_workspaces_run_cannot_be_watched(database: Database, workspace_id: UUID) -> None:
    session_id = await running(database, workspace_id)
    stranger = actor_of(await make_workspace(database, "Other"))
    found = await Watch(database, stranger, session_id).look()
    lanes = await run_windows.lanes(database, stranger, session_id, CUSTOMERS)

    assert isinstance(found, Refusal)
    assert isinstance(lanes, Refusal)
    assert (found.status, lanes.status) == (404, 404)


@pytest.mark.parametrize(
    ("stretches", "expected"),
    [
        pytest.param([], (0, 0, 0, 0), id="nothing read"),
        pytest.param([(0, 400)], (10, 10, 10, 10), id="all read"),
        pytest.param([(200, 400)], (0, 0, 10, 10), id="the newest half"),
        pytest.param([(150, 250)], (0, 5, 5, 0), id="across two cells"),
        pytest.param([(0, 99)], (9, 0, 0, 0), id="a second short of a cell"),
        pytest.param([(0, 30), (60, 90)], (6, 0, 0, 0), id="two stretches in one cell"),
        pytest.param([(-500, 100), (300, 900)], (10, 0, 0, 10), id="beyond the range"),
    ],
)
def test_coverage_is_by_tenths_and_never_rounds_up(stretches: list[tuple[int, int]], expected: tuple[int, ...]) -> None:
    assert coverage([Stretch(CUSTOMERS, *one) for one in stretches], 0, 400, cells=4) == expected


class Watched:
    """A pace fed once a second with a count that grows by `step`."""

    def __init__(self) -> None:
        self.pace = Pace()
        self.now = 0.0
        self.done = 0

    def seconds(self, count: int, step: int, *, total: int = 10_000, disturbed: str = "") -> Range | None:
        eta = None
        for _ in range(count):
            self.now += 1
            self.done += step
            self.look(total)
            eta = self.pace.eta(self.now, disturbed=disturbed)
        return eta

    def look(self, total: int) -> None:
        self.pace.note(Look(self.now, {CUSTOMERS: Part(self.done, self.done, total)}), self.now, self.done // 100)


def test_the_time_left_is_hidden_until_it_can_be_believed() -> None:
    watched = Watched()
    assert watched.seconds(5, 100) is None
    eta = watched.seconds(10, 100)
    assert eta is not None
    assert eta[0] <= (10_000 - watched.done) / 100 <= eta[1]


@pytest.mark.parametrize("disturbed", ["", "rate limited"])
def test_undisturbed_the_time_left_moves_by_a_third_at_most(disturbed: str) -> None:
    watched = Watched()
    before = watched.seconds(20, 50)
    assert before is not None
    after = watched.seconds(5, 500, disturbed=disturbed)
    assert after is not None
    assert (after[0] >= (before[0] - 5) * 0.69) is (disturbed == "")
    assert watched.pace.why == disturbed


def test_the_reason_for_a_jump_is_said_for_half_a_minute() -> None:
    watched = Watched()
    watched.seconds(20, 50, total=100_000)
    watched.seconds(5, 500, total=100_000, disturbed="rate limited")
    watched.seconds(24, 500, total=100_000)
    assert watched.pace.why == "rate limited"
    watched.seconds(8, 500, total=100_000)
    assert watched.pace.why == ""


def test_rates_are_of_the_last_ten_seconds() -> None:
    watched = Watched()
    watched.seconds(30, 10)
    watched.seconds(11, 200)
    assert watched.pace.rate() == pytest.approx(200)
    assert watched.pace.request_rate() == pytest.approx(2)


def test_a_run_that_starts_over_forgets_its_pace() -> None:
    watched = Watched()
    watched.seconds(30, 10)
    watched.done = 5
    watched.look(10_000)
    assert watched.pace.rate() is None


def test_an_estimate_that_leaps_is_not_followed_at_once() -> None:
    pace = Pace()
    assert pace.expect(0.0, None) is None
    assert [pace.expect(at, total) for at, total in enumerate((100, 110, 9_000, 120), start=1)] == [100, 100, 110, 110]
    assert pace.expect(40.0, None) == 110


async def test_an_applied_plan_is_counted_from_its_dry_run(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    wanted = config(CUSTOMERS, EntityType.PRODUCTS, dry_run=True)
    plan = await sync(database, workspace_id, sandbox.url, wanted)
    applying = await enqueue(database, workspace_id, config(*wanted.entity_types), source_session_id=plan.session_id)
    await execute(
        database,
        workspace_id,
        "UPDATE payment_sync_sessions SET status = 'running', phase = 'apply', started_at = now() WHERE id = :id",
        id=applying,
    )
    await execute(
        database,
        workspace_id,
        "UPDATE payment_sync_entity_runs SET phase = 'apply', created = 60 WHERE session_id = :id AND entity_type = 'customers'",
        id=applying,
    )
    found = await look(database, workspace_id, applying)
    customers = plan.counters["customers"]["fetched"]
    assert (found.entities[0].total, found.entities[0].fraction) == (customers, 60 / customers)
    assert found.fraction is not None
    assert found.fraction < 0.5


P, W, F, D, T, R, V, E = Step
_ENDED, _OPEN, _PAUSED = [100.0, 4.0, None, 104.0], [101.0, 1.0, 105.0, None], [102.0, 2.5, None, None]
_NOTED = {P: _ENDED, W: _ENDED, F: _OPEN, D: _OPEN, T: _OPEN, V: _PAUSED}


@pytest.mark.parametrize(
    ("status", "lease", "states", "seconds"),
    [
        ("running", 20.0, "done done now now now next waits next", 16.0),
        # Since its last beat nobody has worked on it.
        ("running", -1.0, "done done waits waits waits next waits next", 6.0),
        ("cancelled", None, "done done stopped stopped stopped unreached stopped unreached", 1.0),
        ("completed", None, "done done stopped stopped stopped idle stopped done", 1.0),
    ],
    ids=["under way", "its worker lost", "cancelled", "completed"],
)
def test_steps_that_are_under_way_together_have_their_own_times(
    status: str, lease: float | None, states: str, seconds: float
) -> None:
    run = run_at(120.0, SessionStatus(status), {"steps": _NOTED, "beat_at": 110.0}, lease=lease)
    if status != "running":
        run = replace(run, stats={"steps": _NOTED | {step: [101.0, 1.0, None, None] for step in (F, D, T)}})
    found = steps_of(run)
    assert [step.state.value for step in found] == states.split()
    timed = {step.step: (step.began, step.seconds, step.ended) for step in found}
    assert timed[P] == (100.0, 4.0, 104.0)
    assert timed[F] == (101.0, seconds, None)
    assert timed[V] == (102.0, 2.5, None)
    assert timed[E][2] == (run.completed_at if status == "completed" else None)


@pytest.mark.parametrize(
    ("status", "phase", "started", "states"),
    [
        pytest.param("completed", Phase.DONE, 99.0, "done done done done done done done done", id="completed"),
        pytest.param("partial", Phase.DONE, 99.0, "done done done done done done done done", id="with errors"),
        pytest.param(
            "failed", Phase.FETCH, 99.0, "done unknown unknown unknown unknown unknown unreached unreached", id="failed"
        ),
        pytest.param(
            "cancelled", Phase.VERIFY, 99.0, "done done done done done done stopped unreached", id="verifying"
        ),
        pytest.param("failed", Phase.PREFLIGHT, 99.0, "stopped" + " unreached" * 7, id="in preflight"),
        pytest.param("cancelled", Phase.PREFLIGHT, None, "unreached" + " unreached" * 7, id="never taken up"),
        pytest.param("pending", Phase.PREFLIGHT, None, "next" + " next" * 7, id="waiting"),
    ],
)
def test_a_run_of_before_steps_were_noted_shows_what_is_known(
    status: str, phase: Phase, started: float | None, states: str
) -> None:
    run = replace(run_at(120.0, SessionStatus(status), {}, lease=None), phase=phase, started_at=started)
    found = steps_of(run)
    assert [step.state.value for step in found] == states.split()
    assert {(step.began, step.seconds) for step in found} == {(None, None)}
    said = at_once(view_of(run, [], [], [], Memory()))
    assert ("not noted" in said) is (started is not None), said


def test_a_dry_run_writes_nothing_and_an_applied_plan_reads_no_list() -> None:
    assert steps_in(dry_run=True, applied=False) == (P, W, F, D, R, V, E)
    assert steps_in(dry_run=False, applied=True) == (P, D, T, R, V, E)


def test_steps_under_way_together_are_said_in_one_sentence_and_heard_by_the_quarter() -> None:
    view = replace(
        view_of(run_at(120.0, SessionStatus.RUNNING, {"steps": _NOTED}, lease=9.0), [], [], [], Memory()), fraction=0.6
    )
    assert at_once(view) == "Fetch, Diff and Write are under way together."
    assert heard(view) == "Fetch, Diff, Write: 50 percent"
    assert heard(replace(view, fraction=0.7)) == heard(view)
    assert steps(view, "Europe/Berlin")[:3:2] == [
        ["preflight", "done", "01:01:40 to 01:01:44"],
        ["fetch", "now", "since 01:01:41"],
    ]


def run_at(now: float, status: SessionStatus, stats: dict[str, Any], *, lease: float | None) -> WatchedRun:
    return WatchedRun(
        id=UUID(int=1), workspace_id=UUID(int=2), status=status, phase=Phase.FETCH, config=RunConfig((CUSTOMERS,)), stats=stats,
        error_summary=None, source_session_id=None, range_start=0, ceiling=1, cancel_requested=False, created_by="ana@example.com",
        created_at=0.0, started_at=99.0, completed_at=None if status.is_open else now, now=now, is_leased=True, lease_left=lease,
        attempts=1, fence=1, worker="one", heard=None, livemode=None,
    )  # fmt: skip
