"""The page of a run as a client hears it: little, at most once a second, soon; and the same after a reload, in another tab, elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from statistics import median
from typing import Any
from uuid import UUID

import orjson
import pytest
from sqlalchemy import text

from dashboard.pages.sync_state import SyncState
from sync_core.domain.vocabulary import EntityType, Role, Step
from sync_core.services.progress_view import Watch
from sync_core.store import database as database_module
from sync_core.store import runs
from sync_core.store.database import Database
from tests.events._browser import Browser, browser
from tests.fairclock import fair_clock
from tests.services import actor_of
from tests.support import config, enqueue, every, holds

MOST_BYTES = 4_096
NAMES = ("status", "percent", "lines", "read", "steps", "at_once", "requests", "throttled", "pulse_tone", "said")
_NOW = {Step.WINDOWS, Step.FETCH, Step.DIFF, Step.WRITE, Step.RECONCILE}
_STATS = {
    "requests": 900,
    "caps": {"global": 20.0},
    "steps": {one.value: [1.7e9, 123456.78, 1.7e9 if one in _NOW else None, None] for one in Step},
    "throttled": {"global-rate": 41, "endpoint-rate": 7, "endpoint-concurrency": 2},
    "retries": {
        one.value: {"causes": {"rate": 41, "server": 12, "network": 7, "body": 1}, "until": 4e9} for one in EntityType
    },
}

_END = "UPDATE payment_sync_sessions SET status = 'cancelled', completed_at = now() WHERE id = :id"
_GO_ON = "UPDATE payment_sync_sessions SET status = 'running', completed_at = NULL WHERE id = :id"


@pytest.fixture(autouse=True)
def ours(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "_database", database)


@pytest.fixture
async def running(database: Database, workspace_id: UUID) -> UUID:
    """A large run in the middle of everything, as untidy as one gets: many windows, holes in the coverage, errors, 429s."""
    session_id = await enqueue(database, workspace_id, config())
    async with database.system() as session:
        assert await runs.take(session, session_id, "test", 600.0)
    for sql in (
        (
            "UPDATE payment_sync_sessions SET status = 'running', phase = 'fetch', started_at = now() - interval '900 s',"
            " range_start = 0, ceiling = 6000000, stats = CAST(:stats AS jsonb) WHERE id = :id"
        ),
        (
            "UPDATE payment_sync_entity_runs SET phase = 'fetch', estimated = 1234567, fetched = 456789, created = 300000,"
            " updated = 50000, unchanged = 40000, skipped = 30000, conflicts = 2000, failed = 1000, requests = 4567,"
            " last_page_at = now(), last_error = 'cus_1: too long' WHERE session_id = :id"
        ),
        (
            "INSERT INTO payment_sync_windows (workspace_id, session_id, entity_type, gte, lt, status, oldest_seen, pages, objects)"
            " SELECT :w, :id, e, g * 100000, (g + 1) * 100000, CASE WHEN g % 3 = 0 THEN 'done' ELSE 'open' END,"
            " g * 100000 + g * 1000, 12, 1200 FROM unnest(CAST(:entities AS text[])) e, generate_series(0, 59) g"
        ),
        (
            "INSERT INTO payment_sync_plan_items (workspace_id, session_id, entity_type, external_id, seq, action, reason_code, detail)"
            " SELECT :w, :id, 'customers', 'cus_' || g, g, 'error', 'value_invalid',"
            ' \'{"field": "email", "message": "longer than the column allows"}\' FROM generate_series(1, 1000) g'
        ),
        (
            "INSERT INTO payment_sync_events (workspace_id, session_id, entity_type, external_id, event_type, event_message)"
            " SELECT :w, :id, 'customer', 'cus_' || g, 'sync_failed', 'value_invalid' FROM generate_series(1, 100) g"
        ),
        (
            "INSERT INTO payment_sync_pace_samples (workspace_id, session_id, slot, fetched, processed, requests, throttled)"
            " SELECT :w, :id, g * 4, g * 2500, g * (2000 + 37 * (g % 11)), g * (25 + g % 3), g / 9 FROM generate_series(0, 225) g"
        ),
    ):
        await execute(database, workspace_id, sql, session_id)
    return session_id


_NEWS = (
    "INSERT INTO payment_sync_events (workspace_id, session_id, entity_type, external_id, event_type, event_message, occurred_at)"
    " SELECT :w, :id, 'customer', 'cus_new_' || g, 'sync_failed', 'value_invalid', clock_timestamp() FROM generate_series(1, :count) g"
)


async def execute(database: Database, workspace_id: UUID, sql: str, session_id: UUID, **more: Any) -> None:
    known = {"w": workspace_id, "id": session_id, "stats": orjson.dumps(_STATS).decode()}
    known |= {"entities": [one.value for one in EntityType], **more}
    async with database.workspace(workspace_id) as session:
        await session.execute(text(sql), {name: known[name] for name in known if f":{name}" in sql})


@asynccontextmanager
async def watching(
    database: Database, workspace_id: UUID, session_id: UUID, role: Role = Role.OWNER
) -> AsyncIterator[Browser]:
    """A browser that has opened the run's page and follows it, until the block ends."""
    async with browser(database, workspace_id, f"/syncs/{session_id}", role) as client:
        # A browser's first event, whatever it is, opens the page, which is loaded once and follows the run to its end.
        watch = asyncio.create_task(client.send(SyncState, "keep_going"))
        assert await holds(lambda: _loaded(client))
        client.messages.clear()
        try:
            yield client
        finally:
            # A watch ends with its run. It is the server's own task: to leave off waiting for it would not end it.
            await execute(database, workspace_id, _END, session_id)
            async with asyncio.timeout(60):
                await watch
            await execute(database, workspace_id, _GO_ON, session_id)


async def _loaded(client: Browser) -> bool:
    return bool(client.of(SyncState, "loaded"))


async def test_messages_are_small_and_at_most_one_a_second(
    database: Database, workspace_id: UUID, running: UUID
) -> None:
    async def progress() -> None:
        """Everything moves, in every entity type."""
        await execute(
            database,
            workspace_id,
            "UPDATE payment_sync_entity_runs SET fetched = fetched + 789, created = created + 345, updated = updated + 123,"
            " unchanged = unchanged + 99, skipped = skipped + 77, conflicts = conflicts + 5, failed = failed + 3,"
            " requests = requests + 9, last_page_at = now() WHERE session_id = :id",
            running,
        )
        await execute(
            database,
            workspace_id,
            "UPDATE payment_sync_windows SET oldest_seen = oldest_seen - 700 WHERE session_id = :id AND status = 'open'",
            running,
        )
        await execute(database, workspace_id, _NEWS, running, count=3)

    async with fair_clock(database) as clock, watching(database, workspace_id, running) as client, every(0.2, progress):
        lag = clock.lag
        assert await holds(lambda: _count(client, 3))
        await client.send(SyncState, "show_lanes", entity="invoices")
        assert await holds(lambda: _count(client, 9))
        assert client.of(SyncState, "more_fresh") is True
        lag = clock.lag - lag

    ticks = client.messages
    # The end is told in three: how it ended, what stands beside that, and the events.
    told = [one for one in ticks if one.names & {"elapsed", "status", "pace", "events"}]
    apart = [later.at - earlier.at for earlier, later in pairwise(told)]
    assert max(one.size for one in ticks) <= MOST_BYTES, [
        (one.size, sorted(one.names)) for one in ticks if one.size > MOST_BYTES
    ]
    assert min(apart) >= 0.95, apart
    assert median(apart) <= 1.5 + lag / len(apart), apart
    # Beside the ticks, once they have begun: the answer to the click, and Reflex's word that it is done.
    beside = [one for one in ticks if one.at > told[0].at and one not in told]
    assert len(beside) <= 2, beside


async def _count(client: Browser, least: int) -> bool:
    """Each second's message says how long the run has been going on."""
    return sum("elapsed" in one.names for one in client.messages) >= least


async def test_what_is_committed_is_on_the_screen_within_a_second_and_a_half(
    database: Database, workspace_id: UUID, running: UUID
) -> None:
    """Committed at the worst moment, just after a message: it is in one of the next two, the first of which was looked for before.

    A machine that is slow to look is given twice the time that a look takes here.
    """
    waited, looks = [], []
    async with watching(database, workspace_id, running) as client:
        assert await holds(lambda: _count(client, 1))
        watch = Watch(database, actor_of(workspace_id), running)
        for number in range(1, 11):
            sql = "UPDATE payment_sync_entity_runs SET created = :number WHERE session_id = :id"
            await execute(database, workspace_id, sql, running, number=number)
            began = time.monotonic()

            async def shown(number: int = number) -> bool:
                lines = client.of(SyncState, "lines")
                return bool(lines) and {line["counts"][0] for line in lines} == {str(number)}

            assert await holds(shown)
            waited.append(time.monotonic() - began)
            since = [one for one in client.messages if one.at >= began and "elapsed" in one.names]
            assert len(since) <= 2, since
            began = time.monotonic()
            await watch.look()
            looks.append(time.monotonic() - began)
    assert median(waited) <= max(1.5, 1.0 + 2 * max(looks)), (waited, looks)


async def test_a_reload_a_second_tab_and_a_server_that_was_started_again_show_the_same(
    database: Database, workspace_id: UUID, running: UUID
) -> None:
    """Each of these browsers has a server of its own with an empty memory: all that is shown is read from the database.

    Of three looks, the last is more than a second after the first: a pace is known by then.
    """
    seen = []
    for role in (Role.OWNER, Role.VIEWER):
        async with watching(database, workspace_id, running, role) as client:
            assert await holds(lambda client=client: _count(client, 3))  # type: ignore[misc]
            seen.append({name: client.of(SyncState, name) for name in NAMES})
    one, other = seen
    assert one == other
    assert one["status"] == "running"
    assert len(set(one["read"])) == 1
    assert 0 < one["read"][0] < 100
    assert {name for name, state, _ in one["steps"] if state == "now"} == {step.value for step in _NOW}
    assert one["at_once"].endswith("Reconcile parents are under way together.")
    assert [line["entity"] for line in one["lines"]] == [entity.value for entity in EntityType]


async def test_the_watch_ends_with_the_run_and_shows_how(database: Database, workspace_id: UUID, running: UUID) -> None:
    async with watching(database, workspace_id, running) as client:
        await execute(database, workspace_id, _END, running)

        async def ended() -> bool:
            return bool(client.of(SyncState, "status") == "cancelled")

        assert await holds(ended)
        assert client.of(SyncState, "said") == "Cancelled"
        assert client.of(SyncState, "tab") == "Cancelled · Initial sync · #1"
        assert client.of(SyncState, "can_resume") is True
        assert client.of(SyncState, "again_href") == f"/syncs/new?like={running}"


async def test_a_page_that_is_held_stands_still_until_the_run_ends(
    database: Database, workspace_id: UUID, running: UUID
) -> None:
    async with watching(database, workspace_id, running) as still:
        await still.send(SyncState, "hold")
        still.messages.clear()
        async with watching(database, workspace_id, running, Role.VIEWER) as moving:
            assert await holds(lambda: _count(moving, 3), within=10)
            assert [one for one in still.messages if "elapsed" in one.names] == []

        async def ended() -> bool:
            return bool(still.of(SyncState, "status") == "cancelled")

        assert await holds(ended, within=10)


async def test_events_that_come_stand_above_those_that_were_read(
    database: Database, workspace_id: UUID, running: UUID
) -> None:
    async with watching(database, workspace_id, running) as client:
        assert await holds(lambda: _count(client, 1))
        before = client.of(SyncState, "events")
        await execute(database, workspace_id, _NEWS, running, count=2)

        async def shown() -> bool:
            return len(client.of(SyncState, "fresh") or ()) == 2

        assert await holds(shown)
        assert {row["external_id"] for row in client.of(SyncState, "fresh")} == {"cus_new_1", "cus_new_2"}
        assert client.of(SyncState, "more_fresh") is False
        assert client.of(SyncState, "events") == before
        await client.send(SyncState, "newest_events")
        assert {row["external_id"] for row in client.of(SyncState, "events")[:2]} == {"cus_new_1", "cus_new_2"}
        assert client.of(SyncState, "fresh") == []


async def test_the_pace_is_drawn_and_its_table_comes_when_it_is_opened(
    database: Database, workspace_id: UUID, running: UUID
) -> None:
    async with watching(database, workspace_id, running) as client:
        pace = client.of(SyncState, "pace")
        assert pace["cells"] == 900
        assert pace["objects"].startswith("M0 40H0V")
        assert client.of(SyncState, "pace_rows") in (None, [])
        await client.send(SyncState, "show_pace_table")
        rows = client.of(SyncState, "pace_rows")
        assert 50 <= len(rows) <= 60
        assert rows[0]["span"].endswith("to 900 s")
