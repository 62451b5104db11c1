"""Every list, filter, sort, search and count over a large workspace: each statement's own plan walks no large table, and reads little."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import tuple_row
from sqlalchemy import event

from sync_core.domain.conflict_rules import Rule
from sync_core.domain.vocabulary import (
    Action,
    Blend,
    Choice,
    ConflictSort,
    ConflictStatus,
    EntityType,
    EventType,
    Facet,
    ReasonCode,
    SessionStatus,
    SyncStatus,
)
from sync_core.errors import Refusal
from sync_core.services import (
    conflict_facets,
    conflict_undo,
    conflicts,
    conflicts_bulk,
    differences,
    drift,
    findings,
    history,
    overview,
    records,
    report,
    sessions,
    standing,
    timeline,
)
from sync_core.services.actor import Actor
from sync_core.services.conflict_bulk_views import BulkPreview
from sync_core.services.conflicts import ConflictQuery
from sync_core.services.records import RecordQuery
from sync_core.services.report import LineQuery
from sync_core.store.database import Database
from sync_core.store.plan_differences import Kind
from sync_core.store.record_lists import SORTS, Sort
from sync_core.store.sessions import RunFilter
from tests.conftest import database_named, make_workspace, on_server
from tests.large_data import Large, make_large
from tests.services import actor_of

SIZE = 25_000
LARGE = frozenset(
    {
        "customers",
        "invoices",
        "payment_sync_conflicts",
        "payment_sync_plan_items",
        "payment_sync_staged_objects",
        "payment_sync_events",
        "payment_sync_sessions",
        "payment_webhook_inbox",
        "audit_log",
    }
)
A_PAGE, A_COUNT, A_REPORT = 1_000, 2_500, 60_000
"""Blocks of 8 kB that a page of a list, a count over it, and the findings of a report may touch: a whole table is more."""
A_LOOKUP = 12
"""Blocks for each row of a plan that is compared with its record."""


@dataclass(slots=True)
class Seen:
    """What the statements of one call did."""

    walked: list[str] = field(default_factory=list)
    blocks: int = 0


_seen = Seen()


class Explaining(psycopg.AsyncCursor[Any]):
    """Has PostgreSQL explain each statement that reads, in its own transaction, before it is run."""

    async def execute(self, query: Any, params: Any = None, **more: Any) -> Any:
        words = query if isinstance(query, str) else query.as_string()
        if words.lstrip().startswith(("SELECT", "WITH")) and "set_config" not in words:
            plain = psycopg.AsyncCursor(self.connection, row_factory=tuple_row)
            found = await plain.execute(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {words}", params)
            row = await found.fetchone()
            assert row is not None
            plan = row[0][0]["Plan"]
            _seen.blocks += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
            _seen.walked += [_name(node) for node in _nodes(plan) if _walks(node)]
        return await super().execute(query, params, **more)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


def _walks(node: dict[str, Any]) -> bool:
    return node["Node Type"] == "Seq Scan" and node["Relation Name"] in LARGE


def _name(node: dict[str, Any]) -> str:
    return f"{node['Relation Name']} where {node.get('Filter', 'nothing')}"


@pytest.fixture(scope="module")
def large(server_url: str, template: str) -> Iterator[tuple[str, Large]]:
    name = f"large_{uuid4().hex[:8]}"
    on_server(server_url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    url = database_named(server_url, name)
    found = make_large(
        url, asyncio.run(_workspace(url)), customers=SIZE, invoices=SIZE // 4, conflicts=SIZE // 2, plan=SIZE
    )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_APPLIED, {"run": found.sessions[0], "plan": found.session_id})
    yield url, found
    on_server(server_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


# What came of the plan: every hundredth row otherwise.
_APPLIED = """
INSERT INTO payment_sync_plan_items (workspace_id, session_id, entity_type, external_id, seq, action, reason_code, record_id, record_version, detail)
SELECT workspace_id, %(run)s, entity_type, external_id, seq, CASE WHEN seq %% 100 = 0 THEN 'error' ELSE action END, reason_code, record_id,
  record_version, detail
FROM payment_sync_plan_items WHERE session_id = %(plan)s
"""


async def _workspace(url: str) -> UUID:
    database = Database(url, pool_size=1)
    try:
        return await make_workspace(database)
    finally:
        await database.dispose()


@pytest.fixture
async def explained(large: tuple[str, Large]) -> AsyncIterator[tuple[Database, Large]]:
    """A database whose statements are explained."""
    global _seen  # noqa: PLW0603 - what the cursors of this test note
    _seen = Seen()
    database = Database(large[0], pool_size=1)

    @event.listens_for(database.engine.sync_engine, "connect")
    def explain(connection: Any, _record: Any) -> None:
        connection.driver_connection.cursor_factory = Explaining

    yield database, large[1]
    await database.dispose()


Look = Callable[[Database, Actor, Large], Awaitable[Any]]


def conflict_page(query: ConflictQuery, *, then: bool = False) -> Look:
    """A page, and with `then` the one after it and the one before that."""

    async def look(database: Database, actor: Actor, _large: Large) -> Any:
        page = await conflicts.list_conflicts(database, actor, query)
        assert not isinstance(page, Refusal)
        if not then:
            return page
        after = await conflicts.list_conflicts(database, actor, query, page.next_cursor)
        assert not isinstance(after, Refusal)
        return await conflicts.list_conflicts(database, actor, query, after.previous_cursor)

    return look


CONFLICTS: dict[str, ConflictQuery] = {
    "all": ConflictQuery(),
    "oldest first": ConflictQuery(sort=ConflictSort.OLDEST),
    "an entity type": ConflictQuery.of(entity="customers"),
    "another entity type": ConflictQuery.of(entity="invoices"),
    "fields": ConflictQuery.of(field=("phone", "metadata")),
    "not a field": replace(ConflictQuery.of(field="phone"), excluded=frozenset({Facet.FIELD})),
    "a reason": ConflictQuery.of(reason="no_base"),
    "severity": ConflictQuery.of(severity="high"),
    "a transition": ConflictQuery.of(transition="filled"),
    "a mark": ConflictQuery.of(mark="reopened"),
    "deleted customers'": ConflictQuery.of(customer="deleted"),
    "live customers'": ConflictQuery.of(customer="live"),
    "looked through": ConflictQuery.of(reviewed="me"),
    "not looked through": replace(ConflictQuery.of(reviewed="me"), excluded=frozenset({Facet.REVIEWED})),
    "deleted customers', by their fields": ConflictQuery.of(customer="deleted", field="phone", reviewed="not"),
    "an age": ConflictQuery.of(age="older"),
    "an assignee": ConflictQuery.of(assignee="ana@example.com"),
    "a search": ConflictQuery(search="ltd 1234"),
    "a search in vain": ConflictQuery(search="nobody at all"),
    "a search for a value": ConflictQuery(search="stripe 1234"),
    "a search for an email": ConflictQuery(search="81dc9bdb52d04dc20036dbd8313ed055@"),
    "amounts that differ by so much": ConflictQuery(delta=Decimal(10)),
    "amounts of an entity type, searched": replace(ConflictQuery.of(entity="invoices"), search="a", delta=Decimal(10)),
    "settled": ConflictQuery(status=ConflictStatus.RESOLVED),
    "put off": ConflictQuery(snoozed=True),
    "several": replace(ConflictQuery.of(entity="customers", field="name", reason="both_changed"), search="ltd"),
}


def facets(query: ConflictQuery) -> Look:
    return lambda database, actor, _large: conflict_facets.facets(database, actor, query)


async def one_conflict(database: Database, actor: Actor, _large: Large) -> Any:
    page = await conflicts.list_conflicts(database, actor, ConflictQuery())
    assert not isinstance(page, Refusal)
    return await conflicts.get(database, actor, page.rows[7].id, ConflictQuery.of(field="name"))


def record_page(query: RecordQuery, *, then: bool = False) -> Look:
    async def look(database: Database, actor: Actor, _large: Large) -> Any:
        page = await records.list_records(database, actor, query)
        if not then or isinstance(page, Refusal):
            return page
        after = await records.list_records(database, actor, _next(query, page.next_url))
        assert not isinstance(after, Refusal)
        return await records.list_records(database, actor, _next(query, after.previous_url))

    return look


def _next(query: RecordQuery, url: str) -> RecordQuery:
    return RecordQuery.parse(query.entity.value, dict(parse_qsl(urlsplit(url).query)))


RECORDS: dict[str, RecordQuery] = {
    **{
        f"{entity.value} by {sort.value}": RecordQuery(entity, sort=sort)
        for entity in (EntityType.CUSTOMERS, EntityType.INVOICES)
        for sort in SORTS[entity]
    },
    **{f"customers {status.value}": RecordQuery(EntityType.CUSTOMERS, status=status) for status in SyncStatus},
    "customers deleted": RecordQuery(EntityType.CUSTOMERS, deleted=True),
    "invoices pending": RecordQuery(EntityType.INVOICES, status=SyncStatus.PENDING),
}
SEARCHES: dict[str, RecordQuery] = {
    "customers searched": RecordQuery(EntityType.CUSTOMERS, search="a1"),
    "customers searched in vain": RecordQuery(EntityType.CUSTOMERS, search="nobody at all"),
    "a customer by id": RecordQuery(EntityType.CUSTOMERS, search="cus_777"),
    "invoices searched": RecordQuery(EntityType.INVOICES, search="inv-12"),
    "invoices of a customer": RecordQuery(EntityType.INVOICES, search="a1"),
}


async def one_record(database: Database, actor: Actor, _large: Large) -> Any:
    page = await records.list_records(database, actor, RecordQuery())
    assert not isinstance(page, Refusal)
    return await records.read_record(database, actor, EntityType.CUSTOMERS, UUID(page.rows[0].record_id))


def told(kind: timeline.Kind | None = None) -> Look:
    async def look(database: Database, actor: Actor, _large: Large) -> Any:
        page = await timeline.page(database, actor, kind=kind)
        assert not isinstance(page, Refusal)
        return await timeline.page(database, actor, kind=kind, cursor=page.cursor) if page.cursor else page

    return look


def runs(**wanted: Any) -> Look:
    async def look(database: Database, actor: Actor, _large: Large) -> Any:
        only = RunFilter(**wanted)
        page = await history.page(database, actor, only=only)
        assert not isinstance(page, Refusal)
        return await history.page(database, actor, cursor=page.cursor, only=only) if page.cursor else page

    return look


def events(**wanted: Any) -> Look:
    async def look(database: Database, actor: Actor, large: Large) -> Any:
        page = await sessions.events(database, actor, large.session_id, limit=50, **wanted)
        assert not isinstance(page, Refusal)
        return await sessions.events(database, actor, large.session_id, limit=50, cursor=page.cursor, **wanted)

    return look


def lines(**wanted: Any) -> Look:
    query = LineQuery(EntityType.CUSTOMERS, **wanted)
    return lambda database, actor, large: report.lines(database, actor, large.session_id, query)


LISTS: dict[str, Look] = {
    "conflicts: forth and back": conflict_page(ConflictQuery(), then=True),
    "conflicts: one and its neighbours": one_conflict,
    **{f"records: {name}": record_page(query) for name, query in RECORDS.items()},
    **{
        f"records: forth and back by {sort.value}": record_page(RecordQuery(EntityType.CUSTOMERS, sort=sort), then=True)
        for sort in SORTS[EntityType.CUSTOMERS]
    },
    "records: one": one_record,
    "history: all": runs(),
    "history: dry runs": runs(dry_run=True),
    **{f"history: {status.value}": runs(status=status) for status in SessionStatus},
    "history: failed dry runs": runs(status=SessionStatus.FAILED, dry_run=True),
    **{f"history: of {entity.value}": runs(entity_type=entity) for entity in EntityType},
    "history: by one who started many": runs(created_by="ana"),
    "history: by one who started few": runs(created_by="ben"),
    "history: by nobody we know": runs(created_by="eve", entity_type=EntityType.PRICES),
    "history: of some days": runs(since=int(time.time()) - 200 * 86_400, until=int(time.time()) - 100 * 86_400),
    "history: all at once": runs(
        entity_type=EntityType.INVOICES, created_by="ben", since=0, status=SessionStatus.COMPLETED, dry_run=False
    ),
    "timeline": told(),
    "timeline: syncs": told(timeline.Kind.RUNS),
    "timeline: schedules": told(timeline.Kind.SCHEDULES),
    "history: who started them": lambda database, actor, _large: sessions.starters(database, actor),
    "events: all": events(),
    **{f"events: {kind.value}": events(event_type=kind) for kind in EventType},
    **{f"report: {action.value}": lines(action=action) for action in Action},
    "report: later rows": lines(action=Action.UPDATE, after=SIZE // 2),
    "report: earlier rows": lines(action=Action.UPDATE, before=SIZE // 2),
    "report: a reason": lines(action=Action.CONFLICT, reason=ReasonCode.BOTH_CHANGED),
    "report: a field": lines(action=Action.UPDATE, field="phone"),
    "report: its head": lambda database, actor, large: report.summary(database, actor, large.session_id),
    # What cells tell is counted already.
    **{f"facets: {name}": facets(query) for name, query in CONFLICTS.items() if not query.is_scanned},
    "conflicts: the last decision": lambda database, actor, _large: conflict_undo.last_decision(database, actor),
    "what stands around every page": lambda database, actor, _large: standing.read(database, actor),
}
# What many rows match is counted, or sorted, from an index that holds them and little else.
COUNTS: dict[str, Look] = {
    **{f"conflicts: {name}": conflict_page(query) for name, query in CONFLICTS.items()},
    "conflicts: by name": conflict_page(ConflictQuery(sort=ConflictSort.NAME)),
    **{
        f"records: customers {status.value} by name": record_page(
            RecordQuery(EntityType.CUSTOMERS, status=status, sort=Sort.NAME)
        )
        for status in SyncStatus
    },
    **{f"records: {name}": record_page(query) for name, query in SEARCHES.items()},
    "events: of an entity type": events(entity_type=EntityType.INVOICES),
    **{f"facets: {name}": facets(query) for name, query in CONFLICTS.items() if query.is_scanned},
    "history: of a record": lambda database, actor, _large: history.of_record(database, actor, "cus_777"),
    "overview": lambda database, actor, _large: overview.read(database, actor),
}
REPORTS: dict[str, Look] = {
    "findings": lambda database, actor, large: findings.look(database, actor, large.session_id),
    "customers that share an email": lines(action=None, shared=True),
    "what stripe has told since": lines(action=None, told=True),
    "reasons": lambda database, actor, large: findings.reasons(database, actor, large.session_id),
    "transitions of a field": lambda database, actor, large: findings.transitions(
        database, actor, large.session_id, EntityType.CUSTOMERS, "name"
    ),
}
DRIFT: dict[str, Look] = {
    "drift: counted": lambda database, actor, large: drift.count(database, actor, large.session_id),
    "drift: a page": lambda database, actor, large: drift.page(database, actor, large.session_id),
}
DIFFERENCES: dict[str, Look] = {
    "differences: counted": lambda database, actor, large: differences.count(
        database, actor, large.session_id, large.sessions[0]
    ),
    "differences: a page": lambda database, actor, large: differences.page(
        database, actor, large.session_id, large.sessions[0]
    ),
    "differences: of one kind": lambda database, actor, large: differences.page(
        database,
        actor,
        large.session_id,
        large.sessions[0],
        only=Kind(EntityType.CUSTOMERS, Action.SKIP, Action.ERROR),
    ),
}
LOOKS = (
    [(name, look, A_PAGE) for name, look in LISTS.items()]
    + [(name, look, A_COUNT) for name, look in COUNTS.items()]
    + [(name, look, A_REPORT) for name, look in REPORTS.items()]
    + [(name, look, A_LOOKUP * SIZE) for name, look in (DRIFT | DIFFERENCES).items()]
)


@pytest.mark.parametrize(("look", "most"), [one[1:] for one in LOOKS], ids=[one[0] for one in LOOKS])
async def test_no_list_walks_a_large_table(explained: tuple[Database, Large], look: Look, most: int) -> None:
    database, large = explained
    answer = await look(database, replace(actor_of(large.workspace_id), user_id=large.user_id), large)
    assert not isinstance(answer, Refusal)
    assert _seen.walked == []
    assert 0 < _seen.blocks <= most


A_TRACE = 60
"""Blocks for each conflict whose last changes are looked up: its own rows, and those of its record, its edits and Stripe's events."""


async def test_which_side_changed_last_is_looked_up_by_keys(explained: tuple[Database, Large]) -> None:
    """Of a few hundred at a time, in one statement."""
    database, large = explained
    actor, some = actor_of(large.workspace_id), ConflictQuery.of(field="name", assignee="ana@example.com")
    preview = await conflicts_bulk.bulk_preview(database, actor, some, Rule(Blend.NEWER))
    assert isinstance(preview, BulkPreview)
    weighed = preview.rows + sum(one.rows for one in preview.not_covered)
    assert weighed > preview.rows > 100
    assert _seen.walked == []
    assert 0 < _seen.blocks <= A_TRACE * weighed


class Planned(psycopg.AsyncCursor[Any]):
    """Notes by what each statement that writes comes to the rows of its tables."""

    async def execute(self, query: Any, params: Any = None, **more: Any) -> Any:
        words = query if isinstance(query, str) else query.as_string()
        if "UPDATE payment_sync_conflict" in words:
            plain = psycopg.AsyncCursor(self.connection, row_factory=tuple_row)
            found = await plain.execute(f"EXPLAIN (FORMAT JSON) {words}", params)
            row = await found.fetchone()
            assert row is not None
            # No record was made apart, so none is deleted: that part looks for the ids of an empty array.
            seen = [one for one in _nodes(row[0][0]["Plan"]) if "'{}'" not in one.get("Filter", "")]
            _ways.update(_way(one) for one in seen if one.get("Relation Name") in GROWING)
        return await super().execute(query, params, **more)


# Entered once for each row of a batch, unlike the decisions, of which a batch is read at once.
GROWING = {"customers", "payment_sync_conflicts", "payment_sync_conflict_preview_items"}
OF_RECORD = "uq_payment_sync_conflicts_open"
BY_KEY = {"ModifyTable", "Tid Scan", f"{OF_RECORD} by its record", *(f"pk_{name}" for name in GROWING)}
_ways: set[str] = set()


def _way(node: dict[str, Any]) -> str:
    """By which index rows are come to, or how else."""
    named = [one for one in (node, *node.get("Plans", ())) if "Index Name" in one]
    by_record = " by its record" if named and "(record_id = " in named[0].get("Index Cond", "") else ""
    return f"{named[0]['Index Name']}{by_record}" if named else str(node["Node Type"])


async def test_many_conflicts_are_settled_and_reopened_by_their_keys(large: tuple[str, Large]) -> None:
    """Whatever index has an id somewhere in it looks good to the planner; of 100,000 open conflicts it walked all, for each row."""
    database = Database(large[0], pool_size=1)

    @event.listens_for(database.engine.sync_engine, "connect")
    def plan(connection: Any, _record: Any) -> None:
        connection.driver_connection.cursor_factory = Planned

    actor, some = actor_of(large[1].workspace_id), ConflictQuery.of(field="phone", assignee="ana@example.com")
    preview = await conflicts_bulk.bulk_preview(database, actor, some, Rule(Choice.STRIPE))
    assert isinstance(preview, BulkPreview)
    settled = await conflicts_bulk.bulk_resolve(database, actor, preview.id, preview.hash)
    undone = await conflict_undo.undo_batch(database, actor, preview.id)
    await database.dispose()
    assert not isinstance(settled, Refusal)
    assert not isinstance(undone, Refusal)
    assert settled.resolved == undone.done > 200
    assert "Tid Scan" in _ways
    assert _ways <= BY_KEY
