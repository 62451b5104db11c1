"""The list of syncs as a client narrows it: every choice is a word of the address."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import text

from dashboard.pages.history import HistoryState
from dashboard.pages.history_filters import Filters
from sync_core.domain.vocabulary import EntityType
from sync_core.services import history
from sync_core.services.history import Page
from sync_core.store import database as database_module
from sync_core.store.database import Database
from sync_core.store.sessions import RunFilter
from tests.conftest import make_workspace
from tests.events._browser import browser
from tests.services import actor_of

ANA, BEN = "ana@example.com", "ben & co"
# Who, of what, when: the newest first.
MADE = (
    (BEN, "{invoices}", "2026-03-29T22:30:00+00:00"),
    (ANA, "{customers,invoices}", "2026-03-29T12:00:00+00:00"),
    (ANA, "{customers}", "2026-03-28T23:30:00+00:00"),
)


@pytest.fixture(autouse=True)
async def made(database: Database, workspace_id: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three syncs of this workspace, around the night in which Berlin's clocks go forward, and one of another."""
    monkeypatch.setattr(database_module, "_database", database)
    other = await make_workspace(database, "Other")
    for workspace, rows in ((workspace_id, MADE), (other, (("eve", "{customers}", MADE[1][2]),))):
        async with database.workspace(workspace) as session:
            await session.execute(
                text("UPDATE workspaces SET time_zone = 'Europe/Berlin' WHERE id = :w"), {"w": workspace}
            )
            for by, entities, at in rows:
                await session.execute(
                    text(
                        "INSERT INTO payment_sync_sessions (workspace_id, entity_types, config, status, created_by, created_at)"
                        " VALUES (:w, CAST(:entities AS text[]), CAST(:config AS jsonb), 'cancelled', :by, :at)"
                    ),
                    {
                        "w": workspace,
                        "entities": entities,
                        "config": '{"entity_types": ["customers"], "batch_size": 100, "concurrent_batches": 1,'
                        ' "conflict_strategy": "skip", "dry_run": false}',
                        "by": by,
                        "at": datetime.fromisoformat(at),
                    },
                )


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        pytest.param(Filters(), [0, 1, 2], id="all"),
        pytest.param(Filters(entity="customers"), [1, 2], id="an entity type"),
        pytest.param(Filters(entity="prices"), [], id="an entity type of none"),
        pytest.param(Filters(by=BEN), [0], id="who"),
        pytest.param(Filters(by="eve"), [], id="who, of another workspace"),
        # Berlin's day begins at 23:00 UTC before, and ends, an hour shorter, at 22:00.
        pytest.param(Filters(since="2026-03-29", until="2026-03-29"), [1, 2], id="a day of 23 hours"),
        pytest.param(Filters(since="2026-03-30"), [0], id="from a day on"),
        pytest.param(Filters(until="2026-03-28"), [], id="until a day"),
        pytest.param(Filters(entity="customers", by=ANA, since="2026-03-29", kind="real"), [1, 2], id="several"),
    ],
)
async def test_syncs_are_narrowed(
    database: Database, workspace_id: UUID, filters: Filters, expected: list[int]
) -> None:
    only = filters.asked("Europe/Berlin")
    found: list[int] = []
    cursor: str | None = None
    while True:
        page = await history.page(database, actor_of(workspace_id), only=only, cursor=cursor, limit=1)
        assert isinstance(page, Page)
        found += [run.session.created_at for run in page.runs]
        cursor = page.cursor
        if cursor is None:
            break
    assert found == [int(datetime.fromisoformat(MADE[one][2]).timestamp()) for one in expected]


@pytest.mark.parametrize(
    ("words", "href"),
    [
        pytest.param({}, "/syncs", id="nothing"),
        pytest.param(
            {"entity": "invoices", "by": BEN, "since": "2026-03-01", "status": "failed", "kind": "dry"},
            "/syncs?kind=dry&status=failed&entity=invoices&by=ben+%26+co&since=2026-03-01",
            id="what there is",
        ),
        pytest.param(
            {"entity": "wallets", "status": "asleep", "kind": "x", "since": "2026-02-30", "until": "0001-01-01"},
            "/syncs",
            id="what there is not",
        ),
        pytest.param({"by": "a\0b"}, "/syncs?by=ab", id="NUL"),
    ],
)
def test_an_address_says_what_is_shown(words: dict[str, str], href: str) -> None:
    assert Filters.parse(words).href() == href


def test_days_are_those_of_the_time_zone() -> None:
    asked = Filters(since="2026-03-29", until="2026-03-29").asked("Europe/Berlin")
    assert asked == RunFilter(
        since=int(datetime(2026, 3, 28, 23, tzinfo=UTC).timestamp()),
        until=int(datetime(2026, 3, 29, 22, tzinfo=UTC).timestamp()),
    )


async def test_each_choice_leads_to_an_address_that_keeps_the_others(database: Database, workspace_id: UUID) -> None:
    async with browser(database, workspace_id, "/syncs") as client:
        client.at("/syncs", entity=EntityType.CUSTOMERS.value)
        await client.send(HistoryState, "load")
        assert len(client.of(HistoryState, "runs")) == 2
        assert client.of(HistoryState, "starters") == [ANA, BEN]

        await client.send(HistoryState, "narrow", name="by", value=BEN)
        await client.send(HistoryState, "narrow_days", form={"since": "2026-03-29", "until": ""})
        await client.send(HistoryState, "narrow", name="loaded", value="x")
        assert client.redirects == [
            "/syncs?entity=customers&by=ben+%26+co",
            "/syncs?entity=customers&since=2026-03-29",
        ]
