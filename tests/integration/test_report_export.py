"""A plan taken away as a file, and looked up later: exports, history, comparison."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import orjson
import pytest
from sqlalchemy import text

from sync_core.domain.vocabulary import Action, EntityType, ReasonCode, Role, SessionStatus, Strategy
from sync_core.errors import Refusal
from sync_core.sandbox.launch import SandboxProcess
from sync_core.services import history
from sync_core.services.history import Comparison, Page, RecordHistory
from sync_core.services.report_export import Export, Format, Only, export, formula_safe
from sync_core.store.database import Database
from sync_core.store.sessions import RunFilter
from tests.conftest import make_workspace
from tests.services import actor_of, small_sandbox
from tests.support import config, enqueue, rows, sync

CUSTOMERS, PRODUCTS = EntityType.CUSTOMERS, EntityType.PRODUCTS


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with small_sandbox() as running:
        yield running


async def planned(database: Database, workspace_id: UUID, sandbox: SandboxProcess) -> UUID:
    """A dry run after a sync, with one customer whose name here begins as a formula does."""
    await sync(database, workspace_id, sandbox.url, config(CUSTOMERS, PRODUCTS))
    async with database.workspace(workspace_id) as session:
        await session.execute(
            text(
                "UPDATE customers SET name = '=1+1', payment_base = jsonb_set(payment_base, '{name}', '\"=1+1\"')"
                " WHERE external_id = (SELECT min(external_id) FROM customers WHERE deleted_at IS NULL)"
            )
        )
    wanted = config(CUSTOMERS, PRODUCTS, strategy=Strategy.OVERWRITE, dry_run=True)
    return (await sync(database, workspace_id, sandbox.url, wanted)).session_id


async def content(
    database: Database, workspace_id: UUID, session_id: UUID, wanted: Format, only: Only | None = None
) -> tuple[str, bytes]:
    found = await export(database, actor_of(workspace_id), session_id, wanted, only=only)
    assert isinstance(found, Export)
    return found.filename, b"".join([chunk async for chunk in found.chunks])


async def test_csv_has_each_row_and_no_formula(database: Database, workspace_id: UUID, sandbox: SandboxProcess) -> None:
    session_id = await planned(database, workspace_id, sandbox)
    name, data = await content(database, workspace_id, session_id, Format.CSV)
    items = await rows(
        database, workspace_id, "SELECT external_id FROM payment_sync_plan_items WHERE session_id = :s", s=session_id
    )

    read = list(csv.DictReader(io.StringIO(data.decode())))
    assert name == f"plan-2-{str(session_id)[:8]}.csv"
    assert {row["external_id"] for row in read} == {item["external_id"] for item in items}
    assert [(row["field"], row["ours"]) for row in read if row["action"] == "update"] == [("name", "'=1+1")]


async def test_ndjson_narrowed_to_an_action_has_values_and_changes(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    session_id = await planned(database, workspace_id, sandbox)
    name, data = await content(database, workspace_id, session_id, Format.NDJSON, Only(action=Action.UPDATE))
    _, named = await content(database, workspace_id, session_id, Format.NDJSON, Only(CUSTOMERS, field="name"))
    _, others = await content(database, workspace_id, session_id, Format.NDJSON, Only(CUSTOMERS, field="phone"))
    _, stale = await content(database, workspace_id, session_id, Format.CSV, Only(reason=ReasonCode.STALE))

    documents = [orjson.loads(line) for line in data.splitlines()]
    assert name.endswith("-update.ndjson")
    assert [one["changes"]["name"]["ours"] for one in documents] == ["=1+1"]
    assert documents[0]["values"]["name"] == documents[0]["changes"]["name"]["stripe"]
    assert (named, others) == (data, b"")
    assert len(stale.splitlines()) == 1


async def test_json_and_markdown_say_what_the_screen_says(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    session_id = await planned(database, workspace_id, sandbox)
    document = orjson.loads((await content(database, workspace_id, session_id, Format.JSON))[1])
    words = (await content(database, workspace_id, session_id, Format.MARKDOWN))[1].decode()

    assert document["exit_code"] == 2
    assert document["totals"]["update"] == 1
    assert document["strategies"]["flag"] == {"update": 1, "conflict": 0, "skip": 0}
    assert document["summary"] in words
    assert f"- Hash {document['plan_hash']}" in words
    until = datetime.fromtimestamp(document["valid_until"], UTC)
    assert f"- Status: fresh, valid until {until:%Y-%m-%d %H:%M:%S} UTC" in words
    assert "| Customers | 0 | 1 |" in words
    assert "| Overwrite, as planned | 1 | 0 | 0 |" in words
    assert {(bar["field"], bar["replaced"]) for bar in document["fields"]} == {("name", 1)}
    assert document["orphans"] == []


@pytest.mark.parametrize(
    ("cell", "safe"),
    [
        pytest.param("=SUM(A1)", "'=SUM(A1)", id="formula"),
        pytest.param("+49", "'+49", id="plus"),
        pytest.param("-1", "'-1", id="minus"),
        pytest.param("@cmd", "'@cmd", id="at"),
        pytest.param("\t=1", "'\t=1", id="tab before it"),
        pytest.param("plain = text", "plain = text", id="inside a text"),
        pytest.param("", "", id="empty"),
    ],
)
def test_no_cell_is_taken_for_a_formula(cell: str, safe: str) -> None:
    assert formula_safe(cell) == safe


async def test_history_lists_runs_newest_first_by_pages(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    await planned(database, workspace_id, sandbox)
    actor = actor_of(workspace_id)
    first = await history.page(database, actor, limit=1)
    assert isinstance(first, Page)
    second = await history.page(database, actor, limit=1, cursor=first.cursor)
    dry = await history.page(database, actor, only=RunFilter(dry_run=True, status=SessionStatus.COMPLETED))

    assert isinstance(second, Page)
    assert isinstance(dry, Page)
    assert [run.session.config.dry_run for run in (*first.runs, *second.runs)] == [True, False]
    assert second.cursor is None
    assert [run.session.id for run in dry.runs] == [first.runs[0].session.id]
    assert first.runs[0].processed == second.runs[0].processed > 0


async def test_two_runs_are_compared_the_earlier_one_first(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    later = await planned(database, workspace_id, sandbox)
    actor = actor_of(workspace_id)
    listed = await history.page(database, actor)
    assert isinstance(listed, Page)
    earlier = listed.runs[-1].session.id
    found = await history.compare(database, actor, later, earlier)

    assert isinstance(found, Comparison)
    assert (found.one.session.id, found.other.session.id) == (earlier, later)
    customers = next(one for one in found.entities if one.entity is CUSTOMERS)
    assert customers.difference(Action.UPDATE) == 1
    assert customers.difference(Action.CREATE) < 0
    assert {one.name for one in found.settings if one.differs} == {"Kind", "Strategy"}


async def test_a_record_tells_what_each_run_and_each_person_made_of_it(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    session_id = await planned(database, workspace_id, sandbox)
    changed = await rows(
        database,
        workspace_id,
        "SELECT external_id, record_id FROM payment_sync_plan_items WHERE session_id = :s AND action = 'update'",
        s=session_id,
    )
    external_id, record_id = changed[0]["external_id"], changed[0]["record_id"]
    async with database.workspace(workspace_id) as session:
        conflict = await session.execute(
            text(
                "INSERT INTO payment_sync_conflicts (workspace_id, session_id, entity_type, record_id, external_id, reason_code,"
                " fields, local, theirs, record_version, observed_at, status) VALUES (:w, :s, 'customers', :r, :e, 'both_changed',"
                " '{name}', '{}', '{}', 1, now(), 'resolved') RETURNING id"
            ),
            {"w": workspace_id, "s": session_id, "r": record_id, "e": external_id},
        )
        await session.execute(
            text(
                "INSERT INTO payment_sync_conflict_decisions (workspace_id, batch_id, conflict_id, entity_type, record_id, actor,"
                " choices, before, after, record_version_after) VALUES (:w, :b, :c, 'customers', :r, 'ben@example.com',"
                " '{\"name\": {\"take\": \"stripe\"}}', '{}', '{}', 2)"
            ),
            {"w": workspace_id, "b": uuid4(), "c": conflict.scalar_one(), "r": record_id},
        )
    found = await history.of_record(database, actor_of(workspace_id), f" {external_id} ")

    assert isinstance(found, RecordHistory)
    decided, *planned_events = found.events
    assert (decided.who, decided.decision) == ("ben@example.com", "Name: Take Stripe's")
    assert [event.line.action for event in planned_events if event.line] == [Action.UPDATE, Action.CREATE]
    assert found.label


async def test_a_history_is_called_as_people_call_the_record(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    """A subscription has no name of its own; planned only, it has none at all."""
    whole = config()
    await sync(database, workspace_id, sandbox.url, replace(whole, dry_run=True))
    [one] = await rows(
        database,
        workspace_id,
        "SELECT min(external_id) AS id FROM payment_sync_staged_objects WHERE entity_type = 'subscriptions'",
    )
    planned = await history.of_record(database, actor_of(workspace_id), one["id"])
    await sync(database, workspace_id, sandbox.url, whole)
    stored = await history.of_record(database, actor_of(workspace_id), one["id"])
    [named] = await rows(
        database,
        workspace_id,
        "SELECT coalesce(c.name, c.email) || ', ' || p.name AS label FROM subscriptions s JOIN customers c ON c.id = s.customer_id"
        " JOIN products p ON p.id = s.product_id WHERE s.external_id = :id",
        id=one["id"],
    )
    assert isinstance(planned, RecordHistory)
    assert isinstance(stored, RecordHistory)
    assert (planned.label, stored.label) == ("", named["label"])


@pytest.mark.parametrize("external_id", ["", "   ", "x" * 256, "cus_\0"])
async def test_what_is_no_stripe_id_is_refused(database: Database, workspace_id: UUID, external_id: str) -> None:
    found = await history.of_record(database, actor_of(workspace_id), external_id)
    assert isinstance(found, Refusal)
    assert found.field == "external_id"


async def test_strangers_see_nothing_of_another_workspace(database: Database, workspace_id: UUID) -> None:
    session_id = await enqueue(database, workspace_id, config(CUSTOMERS))
    stranger = actor_of(await make_workspace(database, "Other"), Role.OWNER)

    exported = await export(database, stranger, session_id, Format.CSV)
    compared = await history.compare(database, stranger, session_id, uuid4())
    listed = await history.page(database, stranger)
    assert isinstance(exported, Refusal)
    assert isinstance(compared, Refusal)
    assert (exported.status, compared.status) == (404, 404)
    assert isinstance(listed, Page)
    assert listed.runs == ()
