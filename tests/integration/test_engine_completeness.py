"""However an account's objects lie in time, and whatever comes and goes while they are read: each is stored, once, and nothing else is."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest

from sync_core.domain.vocabulary import EntityType, SessionStatus, Strategy, TaskKind
from sync_core.engine.drive import drive
from sync_core.sandbox.account import Account
from sync_core.sandbox.server import SandboxServer
from sync_core.sandbox.world import Script
from sync_core.store import runs
from sync_core.store.database import Database
from sync_core.store.runs import Task
from tests import support, truth
from tests.conftest import make_workspace

CUSTOMERS = EntityType.CUSTOMERS
LIST = "GET /v1/customers"
DAY, HOUR, YEAR = 86_400, 3_600, 31_557_600
THEN = 1_600_000_000


@pytest.fixture(scope="module")
async def shared(request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    """One database for all cases; each has a workspace of its own."""
    from tests.conftest import database_named, on_server

    server_url, template = request.getfixturevalue("server_url"), request.getfixturevalue("template")
    on_server(server_url, f"CREATE DATABASE completeness TEMPLATE {template} STRATEGY FILE_COPY")
    database = Database(database_named(server_url, "completeness"))
    yield database
    await database.dispose()
    on_server(server_url, "DROP DATABASE completeness WITH (FORCE)")


@dataclass(frozen=True, slots=True)
class After:
    """Right after the so-manieth page (the probe not counted), these are deleted, and one is created in each of these seconds."""

    pages: int
    delete: tuple[int, ...] = ()
    create: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """`seconds` after THEN at which objects were created; customer n is the n-th. `start` and `end` count from THEN too.

    `found`: what is created on the way is found as well.
    """

    seconds: list[int]
    page: int = 10
    hands: int = 4
    start: int | None = None
    end: int | None = None
    changes: tuple[After, ...] = ()
    faults: tuple[dict[str, Any], ...] = field(default=())
    found: bool = False


def spread(count: int, over: int, since: int = 0) -> list[int]:
    return [since + over * n // max(1, count) for n in range(count)]


def growing(count: int, over: int) -> list[int]:
    """Ever denser towards the newest."""
    return sorted(over - int(over / 1.15**n) for n in range(count))


def empty_pages(*nths: int) -> tuple[dict[str, Any], ...]:
    return tuple({"kind": "empty_page", "match": LIST, "nth": nth, "count": 1} for nth in nths)


CASES: dict[str, Case] = {
    "no object at all": Case([]),
    "one object": Case([5]),
    "two objects, years apart": Case([0, 4 * YEAR], page=1),
    "all in one second, half a page": Case([7] * 5),
    "all in one second, exactly a page": Case([7] * 10),
    "all in one second, a page and one": Case([7] * 11),
    "all in one second, many pages": Case([7] * 130),
    "all in one second, read by one hand": Case([7] * 45, hands=1),
    "two crowded seconds side by side": Case([7] * 55 + [8] * 55),
    "two crowded seconds years apart": Case([0] * 55 + [3 * YEAR] * 55),
    "one in a second": Case(spread(150, 150)),
    "one in a day": Case(spread(150, 150 * DAY)),
    "one in a month, over six years": Case(spread(72, 6 * YEAR), page=3),
    "99 % in one hour, the newest": Case([*spread(2, 2 * YEAR), *spread(198, HOUR, 2 * YEAR)]),
    "99 % in one hour, the oldest": Case([*spread(198, HOUR), *spread(2, 2 * YEAR, YEAR)]),
    "99 % in one hour, in between": Case([0, *spread(198, HOUR, YEAR), 2 * YEAR]),
    "ever denser towards the newest": Case(growing(140, 2 * YEAR)),
    "ever denser towards the oldest": Case(sorted(2 * YEAR - one for one in growing(140, 2 * YEAR))),
    "three clusters, empty years between": Case(
        [*spread(50, HOUR), *spread(50, HOUR, YEAR), *spread(50, HOUR, 3 * YEAR)]
    ),
    "a crowded second at the newest end": Case([*spread(60, DAY), *[DAY] * 40]),
    "a crowded second at the oldest end": Case([*[0] * 40, *spread(60, DAY, 1)]),
    "pages that end where seconds end": Case([second for second in range(14) for _ in range(10)]),
    "pages that end among equals": Case([second for second in range(20) for _ in range(7)]),
    "a page of exactly 100": Case(spread(100, DAY), page=100),
    "99, a page but one": Case(spread(99, DAY), page=100),
    "101, a page and one": Case(spread(101, DAY), page=100),
    "two pages of exactly 100": Case(spread(200, DAY), page=100),
    "a thousand, pages of 100, twenty hands": Case(spread(1_000, YEAR), page=100, hands=20),
    "pages of one": Case(spread(25, HOUR), page=1),
    "pages of one, all in one second": Case([3] * 12, page=1),
    "one hand": Case(spread(120, YEAR), hands=1),
    "more hands than pages": Case(spread(30, YEAR), hands=20),
    "a range with nothing in it": Case([*spread(20, HOUR), *spread(20, HOUR, YEAR)], start=HOUR, end=YEAR),
    "a range that begins and ends on objects": Case(spread(100, 100), start=20, end=60),
    "a range of one crowded second": Case([5] * 20 + [6] * 35 + [7] * 20, start=6, end=7),
    "a range that begins before Stripe did": Case(spread(60, YEAR), start=-THEN, end=YEAR),
    "objects dated long before Stripe": Case([1 - THEN, 1 - THEN, *spread(60, YEAR)]),
    "the cursor's object goes": Case(spread(80, DAY), hands=1, changes=(After(1, delete=(70,)),)),
    "the cursor's object goes, again and again": Case(
        spread(80, DAY), hands=1, changes=tuple(After(n, delete=(80 - 10 * n,)) for n in (1, 2, 3, 4))
    ),
    "the cursor's object goes, of a crowded second": Case(
        [4] * 60, hands=1, changes=(After(1, delete=(50,)), After(3, delete=(35, 36, 37, 38, 39, 40)))
    ),
    "a whole page goes after it was read": Case(
        spread(80, DAY), hands=1, changes=(After(1, delete=tuple(range(70, 80))),)
    ),
    "what was not read yet goes": Case(spread(80, DAY), changes=(After(1, delete=tuple(range(20))),)),
    "all that is left goes": Case(spread(80, DAY), changes=(After(2, delete=tuple(range(60))),)),
    "the oldest goes": Case(spread(80, DAY), changes=(After(2, delete=(0,)),)),
    "one comes where nobody has read": Case(spread(80, DAY), hands=1, changes=(After(1, create=(3, 3)),), found=True),
    "one comes at the end that was read": Case(
        spread(80, DAY), hands=1, changes=(After(2, create=(DAY - 1, DAY)),), found=True
    ),
    "some come and some go": Case(
        spread(120, DAY),
        changes=(After(1, delete=(110, 60), create=(2,)), After(3, delete=(50, 51)), After(5, create=(7,))),
        found=True,
    ),
    "an empty page that promises more, at once": Case(spread(40, DAY), faults=empty_pages(2)),
    "an empty page that promises more, in the middle": Case(spread(80, DAY), faults=empty_pages(5)),
    "empty pages that promise more, of one second": Case([3] * 40, hands=1, faults=empty_pages(2, 4, 6)),
    "throttled and cut off on the way": Case(
        spread(80, DAY),
        faults=tuple(
            {"kind": kind, "match": LIST, "nth": nth, "count": 1}
            for nth, kind in ((3, "rate_endpoint"), (5, "reset"), (7, "truncate"), (9, "error500"))
        ),
    ),
}


def account_of(seconds: Iterable[int]) -> Account:
    account = Account("completeness", {}, verbatim=True)
    for number, second in enumerate(seconds):
        account.create("customers", {"id": f"cus_{number:04d}"}, now=THEN + second)
    return account


def scripts_of(changes: Iterable[After]) -> list[Script]:
    found = []
    for change in changes:
        steps: list[dict[str, Any]] = [
            {"op": "delete", "type": "customers", "id": f"cus_{number:04d}"} for number in change.delete
        ]
        steps += [
            {"op": "create", "type": "customers", "fields": {"id": f"new_{change.pages}_{n}", "created": THEN + second}}
            for n, second in enumerate(change.create)
        ]
        found.append(Script(LIST, change.pages + 1, steps))
    return found


@pytest.mark.parametrize("name", CASES)
async def test_each_object_is_stored_once_and_nothing_else_is(shared: Database, name: str) -> None:
    case = CASES[name]
    account = account_of(case.seconds)
    first = 0 if case.start is None else THEN + case.start
    last = 1 << 40 if case.end is None else THEN + case.end
    before = {one["id"] for one in account.truth_objects("customers") if first <= one["created"] < last}
    workspace_id = await make_workspace(shared)
    async with SandboxServer(account) as server:
        server.world.set_scripts(scripts_of(case.changes))
        server.world.faults.replace(list(case.faults))
        wanted = support.config(
            CUSTOMERS,
            batch_size=case.page,
            concurrent_batches=case.hands,
            start=None if case.start is None else max(0, first),
            end=None if case.end is None else last,
        )
        ended = await support.sync(shared, workspace_id, server.url, wanted, hurried=True)
        assert server.world.script_errors == []
        assert all(script.done for script in server.world.scripts)

    rows = await support.rows(shared, workspace_id, "SELECT external_id FROM customers")
    ours = [row["external_id"] for row in rows]
    after, came = set(account.truth("customers")), {one for one in account.truth("customers") if one.startswith("new_")}
    verified = ended.counters["customers"]["verified"]
    assert ended.status is SessionStatus.COMPLETED
    assert len(set(ours)) == len(ours) == ended.counters["customers"]["created"]
    assert (before & after) - set(ours) == set(), "lost"
    assert set(ours) - before == (came if case.found else set()), "made up, or not found"
    assert (verified["verified"], verified["found"], verified["unread"]) == (True, len(ours), [])
    assert set(verified.get("late", [])) <= came, "the reading itself left none out"


@pytest.mark.parametrize("name", ["all in one second, many pages", "99 % in one hour, in between", "one in a day"])
async def test_the_windows_cover_the_range_and_none_inherits_a_cursor(shared: Database, name: str) -> None:
    case = CASES[name]
    workspace_id = await make_workspace(shared)
    async with SandboxServer(account_of(case.seconds)) as server:
        wanted = support.config(CUSTOMERS, batch_size=case.page, concurrent_batches=8)
        ended = await support.sync(shared, workspace_id, server.url, wanted)
    windows = await support.rows(
        shared,
        workspace_id,
        "SELECT id, gte, lt, status, parent_id, pages, cursor, created_at FROM payment_sync_windows WHERE session_id = :s",
        s=ended.session_id,
    )

    by_id = {window["id"]: window for window in windows}
    assert {window["status"] for window in windows} <= {"done", "split"}
    assert all(window["pages"] > 0 for window in windows), "each was begun anew"
    for window in windows:
        if window["parent_id"] is not None:
            parent = by_id[window["parent_id"]]
            assert parent["gte"] <= window["gte"] < window["lt"] <= parent["lt"]
    if len(set(case.seconds)) == 1:
        assert len(windows) == 1, "equal seconds are never cut"
    else:
        assert len(windows) > 1


APART = 600.0
CLOCKS = {
    f"ours {ours:+.0f} s, Stripe's {stripes:+.0f} s": (ours, stripes)
    for ours in (-APART, 0.0, APART)
    for stripes in (-APART, 0.0, APART)
}


def set_ours(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """The worker's clock. PostgreSQL's and the sandbox's are as they were."""
    monkeypatch.setattr("time.time", lambda: time.time_ns() / 1e9 + seconds)


@pytest.mark.parametrize("name", CLOCKS)
async def test_clocks_apart_lose_and_double_nothing(
    shared: Database, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three syncs, the second by a worker whose clock is behind the first's by as much again: what changed meanwhile is taken."""
    ours, stripes = CLOCKS[name]
    account = account_of(spread(40, DAY))
    workspace_id = await make_workspace(shared)
    wanted = support.config(CUSTOMERS, strategy=Strategy.OVERWRITE)
    async with SandboxServer(account) as server:
        server.world.skew_seconds = stripes
        now = server.world.now()
        for number, age in enumerate((3, 1)):
            account.create("customers", {"id": f"recent_{number}"}, now=now - age)
        account.create("customers", {"id": "later"}, now=now + 120)
        set_ours(monkeypatch, ours)
        first = await support.sync(shared, workspace_id, server.url, wanted)
        assert first.counters["customers"]["created"] == 42
        noted = await support.rows(
            shared, workspace_id, "SELECT stats FROM payment_sync_sessions WHERE id = :s", s=first.session_id
        )
        assert noted[0]["stats"]["clock_skew"] == pytest.approx(stripes, abs=60), "whatever the worker's clock says"

        account.update("customers", "cus_0003", {"name": "Changed"}, now=now)
        account.update("customers", "recent_1", {"email": "changed@example.com"}, now=now)
        set_ours(monkeypatch, ours - APART)
        second = await support.sync(shared, workspace_id, server.url, wanted)
        assert (second.counters["customers"]["updated"], second.counters["customers"]["created"]) == (2, 0)

        server.world.skew_seconds = stripes + 180
        third = await support.sync(shared, workspace_id, server.url, wanted)
        assert (third.counters["customers"]["created"], third.counters["customers"]["updated"]) == (1, 0)
        assert {one.status for one in (first, second, third)} == {SessionStatus.COMPLETED}
    found = (await truth.stored(shared, workspace_id))[CUSTOMERS]
    assert (
        truth.differences(
            {entity: found if entity is CUSTOMERS else {} for entity in EntityType},
            truth.truth_of(account, entities=[CUSTOMERS]),
        )
        == []
    )


async def test_an_error_is_made_up_for_by_a_worker_whose_clock_is_behind(
    shared: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = account_of(spread(12, DAY))
    workspace_id = await make_workspace(shared)
    async with SandboxServer(account) as server:
        server.world.faults.replace([{"kind": "malformed_object", "match": LIST, "ids": ["cus_0003"]}])
        set_ours(monkeypatch, APART)
        ended = await support.sync(shared, workspace_id, server.url, support.config(CUSTOMERS))
        assert ended.status is SessionStatus.PARTIAL
        set_ours(monkeypatch, -APART)
        assert await retried(shared, workspace_id, ended.session_id, server.url) is SessionStatus.COMPLETED


async def retried(database: Database, workspace_id: UUID, session_id: UUID, url: str) -> SessionStatus | None:
    async with database.workspace(workspace_id) as session:
        assert await runs.requeue(session, workspace_id, session_id, task=Task(TaskKind.RETRY)) == session_id
    async with support.taken(database, session_id, url) as run:
        return await drive(run, lease_seconds=20.0)
