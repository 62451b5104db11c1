"""What a click asks of the database and sends to the browser. Milliseconds are the bench's; these numbers hold what was won there.

A transaction is the dearer part: opening one costs as much as five small statements in it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest
from reflex.state import OnLoadInternalState
from sqlalchemy import event

from dashboard.pages.conflicts import ConflictsState
from dashboard.pages.records import RecordsState
from sync_core.store import database as database_module
from sync_core.store.database import Database
from tests.conflict_data import make_conflicts
from tests.events._browser import Browser, browser

_statements: list[str] = []


class Noting(psycopg.AsyncCursor[Any]):
    async def execute(self, query: Any, params: Any = None, **more: Any) -> Any:
        _statements.append(query if isinstance(query, str) else query.as_string())
        return await super().execute(query, params, **more)


@pytest.fixture
async def visitor(database: Database, workspace_id: UUID, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Browser]:
    """Somebody whose list of 70 conflicts, and of as many customers, is open."""
    monkeypatch.setattr(database_module, "_database", database)
    await make_conflicts(database, workspace_id, 70)
    await database.dispose()

    @event.listens_for(database.engine.sync_engine, "connect")
    def note(connection: Any, _record: Any) -> None:
        connection.driver_connection.cursor_factory = Noting

    async with browser(database, workspace_id, "/conflicts") as client:
        for path in ("/records/customers", "/conflicts"):
            await go(client, path)
        yield client


async def go(client: Browser, path: str) -> None:
    """As a link does: the page's own loading is all that is asked."""
    client.path = path
    client.messages.clear()
    _statements.clear()
    await client.send(OnLoadInternalState, "on_load_internal")


def opened() -> int:
    return sum("app.workspace_id" in one for one in _statements)


def asked() -> int:
    """Statements that read, those that only open a transaction or guide the planner aside."""
    return sum(one.lstrip().startswith(("SELECT", "WITH")) and "set_config" not in one for one in _statements)


def next_conflicts(client: Browser) -> str:
    return str(client.of(ConflictsState, "next_url"))


def filtered(client: Browser) -> str:
    return str(client.of(ConflictsState, "groups")[0]["options"][0]["href"])


def next_records(client: Browser) -> str:
    return str(client.of(RecordsState, "next_url"))


CLICKS: dict[str, tuple[str, Callable[[Browser], str], int, int]] = {
    "the next page of conflicts": ("/conflicts", next_conflicts, 5, 9),
    "a filter of conflicts": ("/conflicts", filtered, 5, 9),
    "the next page of records": ("/records/customers", next_records, 4, 7),
}


@pytest.mark.parametrize(("path", "where", "transactions", "statements"), CLICKS.values(), ids=CLICKS.keys())
async def test_a_click_asks_little(
    visitor: Browser, path: str, where: Callable[[Browser], str], transactions: int, statements: int
) -> None:
    await go(visitor, path)
    await go(visitor, where(visitor))
    assert visitor.of(ConflictsState, "rows")
    assert (opened(), asked()) == (transactions, statements), _statements


async def test_a_page_turn_sends_its_rows_first_and_no_count_that_is_what_it_was(visitor: Browser) -> None:
    await go(visitor, next_conflicts(visitor))
    sent = [message.names for message in visitor.messages]
    [rows] = [names for names in sent if "rows" in names]
    assert not rows & {"groups", "headline", "matching", "status", "suffix"}
    assert not any("groups" in names or "email" in names for names in sent)
    # Where the browser is, the rows, and that all is there.
    assert len(sent) == 3


def slots(client: Browser) -> dict[str, int]:
    return {row["id"]: row["slot"] for row in client.of(ConflictsState, "rows")}


async def test_another_list_is_written_over_the_rows_and_the_same_one_keeps_them(
    visitor: Browser, database_url: str
) -> None:
    first = slots(visitor)
    assert [*first.values()] == [*range(25)]
    gone, *others = first
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE payment_sync_conflicts SET snoozed_until = now() + interval '1 day' WHERE id = %s", [gone]
        )
    await visitor.send(ConflictsState, "load")
    again = slots(visitor)
    assert again == {**{one: first[one] for one in others}, [*again][-1]: 25}
    await go(visitor, next_conflicts(visitor))
    assert not slots(visitor).keys() & again.keys()
    assert [*slots(visitor).values()] == [*range(25)]


async def test_a_filter_comes_with_its_counts_which_nobody_counts(visitor: Browser) -> None:
    await go(visitor, filtered(visitor))
    grouped = [one for one in _statements if "GROUP BY" in one and "payment_sync_conflicts " in one]
    # Those of deleted customers, and those looked through: looked up by what they are few of.
    assert [one for one in grouped if "gone AS" not in one] == []
    sent = [message.names for message in visitor.messages]
    [rows], [groups] = ([place for place, names in enumerate(sent) if name in names] for name in ("suffix", "groups"))
    assert rows == groups
    # Where the browser is, the list with all its counts, and that all is there.
    assert len(sent) == 3


async def test_a_search_shows_its_rows_before_anything_is_counted(visitor: Browser) -> None:
    await go(visitor, "/conflicts?q=ours+1")
    first_count = next(place for place, one in enumerate(_statements) if "count(*)" in one)
    assert any(one.startswith("WITH page AS") for one in _statements[:first_count])
    sent = [message.names for message in visitor.messages]
    [rows], [groups] = ([place for place, names in enumerate(sent) if name in names] for name in ("suffix", "groups"))
    # Until the counts come, those on the screen are marked as what they are.
    assert rows < groups
    assert all("counted" in sent[place] for place in (rows, groups))
    assert visitor.of(ConflictsState, "counted") is True


async def test_whoever_is_there_is_asked_once_an_event(visitor: Browser) -> None:
    first, *others = [row["id"] for row in visitor.of(ConflictsState, "rows")[:3]]
    # The first one brings whom it can be assigned to.
    await visitor.send(ConflictsState, "pick", row_id=first)
    _statements.clear()
    for number, row_id in enumerate(others, 1):
        await visitor.send(ConflictsState, "pick", row_id=row_id)
        assert (opened(), asked()) == (number, number)
    assert visitor.of(ConflictsState, "picked") == [first, *others]
    assert visitor.of(ConflictsState, "members") == ["owner@example.com"]


async def test_content_comes_before_what_stands_around_it(visitor: Browser, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE workspaces SET name = 'Renamed'")
    await go(visitor, next_conflicts(visitor))
    order = [name for message in visitor.messages for name in ("rows", "workspace") if name in message.names]
    assert order == ["rows", "workspace"]
