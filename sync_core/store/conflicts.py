"""Conflicts as people look at them: pages of them, and one with its record as it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.resolution import Dispute
from sync_core.domain.vocabulary import ConflictSort, ConflictStatus, EntityType, ReasonCode, Snooze, Strategy
from sync_core.store.conflict_counts import cells
from sync_core.store.conflict_query import Cell, ConflictQuery, bound, conditions, fitting
from sync_core.store.conflict_reviews import ticked
from sync_core.store.conflict_viewers import OTHERS
from sync_core.store.database import driver
from sync_core.store.ignored_fields import IGNORED_NOW
from sync_core.store.record_details import target
from sync_core.store.values_sql import TABLES


@dataclass(frozen=True, slots=True)
class Position:
    """A row's place in a list, by what the list is sorted by. `backward` takes the rows before it."""

    key: datetime | str
    id: UUID
    backward: bool = False


@dataclass(frozen=True, slots=True)
class StoredConflict:
    """A conflict as it was found by a run; values are whole sets. `base` is None where none is known.

    `ignored` fields are so by the run or by now, `skipped` ones by the run's strategies: see `Dispute`.
    """

    id: UUID
    session_id: UUID
    entity_type: str
    record_id: UUID
    external_id: str
    label: str
    reason_code: str
    fields: list[str]
    local: dict[str, Any]
    base: dict[str, Any] | None
    theirs: dict[str, Any]
    theirs_deleted: bool
    record_version: int
    observed_at: datetime
    status: str
    choices: dict[str, Any]
    revision: int
    assignee: str | None
    snoozed_until: datetime | None
    snoozed_for: str | None
    reopened_at: datetime | None
    reopens: UUID | None
    search_key: str
    resolved_by: str | None
    resolved_at: datetime | None
    created_at: datetime
    ignored: list[str]
    skipped: list[str]

    def place(self, sort: ConflictSort, *, backward: bool = False) -> Position:
        """Its own place in a list that is sorted so."""
        return Position(getattr(self, _ORDERS[sort][0]), self.id, backward)

    @property
    def dispute(self) -> Dispute:
        return Dispute(
            EntityType(self.entity_type),
            ReasonCode(self.reason_code),
            tuple(self.fields),
            self.local,
            self.base,
            self.theirs,
            self.theirs_deleted,
            frozenset(self.ignored),
            frozenset(self.skipped),
        )


@dataclass(frozen=True, slots=True)
class ListedConflict(StoredConflict):
    """With whoever else has it open, and whether the person who asks has looked it through. What syncs leave alone is not asked for: nothing
    is decided by a row of the list.
    """

    viewers: list[str]
    reviewed: bool


_COLUMNS = (
    "id, session_id, entity_type, record_id, external_id, label, reason_code, fields, local, base, theirs, theirs_deleted, record_version,"
    " observed_at, status, choices, revision, assignee, snoozed_until, snoozed_for, reopened_at, reopens, search_key, resolved_by,"
    " resolved_at, created_at"
)
# As `Strategies.of` has it, by the configuration of the run that found the conflict.
_HOW = "s.config->'strategies'"
_PATH = "c.entity_type || '.' || n.name"
_OF_RUN = (
    "ARRAY(SELECT n.name FROM payment_sync_sessions s CROSS JOIN LATERAL jsonb_object_keys(c.local) n(name)"
    " WHERE s.workspace_id = c.workspace_id AND s.id = c.session_id AND {0})"
)
_SKIPPED = _OF_RUN.format(
    f"coalesce({_HOW}->'fields'->>({_PATH}), {_HOW}->'entities'->>c.entity_type, {_HOW}->>'default') = '{Strategy.SKIP.value}'"
)
_IGNORED_THEN = _OF_RUN.format(f"({_HOW}->'ignored' ? ({_PATH}) OR {_HOW}->'ignored_here'->c.record_id::text ? n.name)")


def columns() -> str:
    """Of a conflict as `c`, with what syncs leave alone of its record."""
    return f"{', '.join(f'c.{name}' for name in _COLUMNS.split(', '))}, {_IGNORED_THEN} || {IGNORED_NOW} AS ignored, {_SKIPPED} AS skipped"


_ORDERS: Mapping[ConflictSort, tuple[str, bool]] = {
    ConflictSort.NEWEST: ("created_at", True),
    ConflictSort.OLDEST: ("created_at", False),
    ConflictSort.NAME: ("search_key", False),
}


async def cells_for(session: AsyncSession, workspace_id: UUID, query: ConflictQuery) -> Sequence[Cell]:
    """What a page of the query is found by; empty where it is found without."""
    return await cells(session, workspace_id, query.wide) if query.by_cells else ()


async def page(
    session: AsyncSession,
    workspace_id: UUID,
    query: ConflictQuery,
    at: Position | None,
    size: int,
    among: Sequence[Cell],
    viewer: UUID | None = None,
) -> list[ListedConflict]:
    """In the query's own order, whichever way `at` looks. `among` comes from `cells_for`; `viewer` is who looks at the page, if a person does."""
    key, falls = _ORDERS[query.sort]
    backward = at is not None and at.backward
    way, beyond = ("DESC", "<") if falls is not backward else ("ASC", ">")
    after = f" AND (c.{key}, c.id) {beyond} (%(key)s, %(id)s)" if at else ""
    shown = "DESC" if falls else "ASC"
    viewers = OTHERS.format("shown.id") if viewer else "ARRAY[]::text[]"
    sql = (
        f"WITH page AS (SELECT c.id FROM payment_sync_conflicts c WHERE {fitting(query, among)}{after}"
        f" ORDER BY c.{key} {way}, c.id {way} LIMIT %(size)s)"
        # One by one, whatever the planner thinks of the workspace's size: it has no statistics of workspaces.
        f" SELECT {_COLUMNS}, '{{}}'::text[] AS ignored, '{{}}'::text[] AS skipped, {viewers} AS viewers, {ticked('shown')} AS reviewed FROM (SELECT c.* FROM page CROSS JOIN LATERAL (SELECT * FROM payment_sync_conflicts o"
        " WHERE o.workspace_id = %(workspace)s AND o.id = page.id OFFSET 0) c) shown"
        f" ORDER BY {key} {shown}, id {shown}"
    )
    place = {"key": at.key, "id": at.id} if at else {}
    connection = await driver(session)
    async with connection.cursor(row_factory=class_row(ListedConflict)) as cursor:
        await cursor.execute(sql, {**bound(workspace_id, query), **place, "size": size, "viewer": viewer})
        return await cursor.fetchall()


async def session_starts(
    session: AsyncSession, workspace_id: UUID, session_ids: Sequence[UUID]
) -> dict[UUID, datetime]:
    connection = await driver(session)
    found = await connection.execute(
        "SELECT id, created_at FROM payment_sync_sessions WHERE workspace_id = %(workspace)s AND id = ANY(%(ids)s)",
        {"workspace": workspace_id, "ids": list(session_ids)},
    )
    return dict(await found.fetchall())


async def one(session: AsyncSession, workspace_id: UUID, conflict_id: UUID) -> StoredConflict | None:
    connection = await driver(session)
    async with connection.cursor(row_factory=class_row(StoredConflict)) as cursor:
        await cursor.execute(
            f"SELECT {columns()} FROM payment_sync_conflicts c WHERE c.workspace_id = %(workspace)s AND c.id = %(id)s",
            {"workspace": workspace_id, "id": conflict_id},
        )
        return await cursor.fetchone()


async def neighbours(
    session: AsyncSession, workspace_id: UUID, query: ConflictQuery, one: StoredConflict
) -> tuple[UUID | None, UUID | None]:
    """The ids before and after a row of the list."""
    among = await cells_for(session, workspace_id, query)
    before = await page(session, workspace_id, query, one.place(query.sort, backward=True), 1, among)
    after = await page(session, workspace_id, query, one.place(query.sort), 1, among)
    return (before[-1].id if before else None), (after[0].id if after else None)


async def open_beside(session: AsyncSession, workspace_id: UUID, settled: StoredConflict) -> UUID | None:
    """The open conflict of the same record, where this one is settled."""
    if settled.status == ConflictStatus.OPEN:
        return None
    connection = await driver(session)
    found = await connection.execute(
        "SELECT id FROM payment_sync_conflicts WHERE workspace_id = %(workspace)s AND entity_type = %(entity)s"
        " AND record_id = %(record)s AND external_id = %(object)s AND status = 'open'",
        {
            "workspace": workspace_id,
            "entity": settled.entity_type,
            "record": settled.record_id,
            "object": settled.external_id,
        },
    )
    row = await found.fetchone()
    return None if row is None else row[0]


@dataclass(frozen=True, slots=True)
class RecordNote:
    """What is shown of the record beside its values: the times of its last sync, with the run that it was, and of its last write. Of a
    settled conflict's both are those before the decision, which is itself a write and an agreement; so of its last sync nothing is known.
    `request_id` is Stripe's, of the answer that Stripe's side was read from, as long as the run that read it is kept.
    """

    synced_at: datetime | None
    synced_run: int | None
    synced_run_id: UUID | None
    updated_at: datetime
    last_actor: str | None
    last_action: str | None
    last_at: datetime | None
    request_id: str | None


# An applied plan's objects are its dry run's, or its own where they were fetched anew. The view has to be the conflict's, or show the same.
_REQUEST = (
    "(SELECT s.request_id FROM payment_sync_staged_objects s WHERE s.workspace_id = %(workspace)s AND s.session_id ="
    " ANY(ARRAY(SELECT unnest(ARRAY[r.id, r.source_session_id]) FROM payment_sync_sessions r WHERE r.workspace_id = %(workspace)s AND r.id = %(run)s))"
    " AND s.entity_type = %(entity)s AND s.external_id = %(object)s AND (abs(extract(epoch FROM s.observed_at - %(observed)s)) < 0.001"
    ' OR s."values" = %(theirs)s) ORDER BY s.observed_at LIMIT 1)'
)


# One run at a time writes records, and none for so long; what a person's decision agreed on while none was under way is of no run.
_RUN_OF_THEN = (
    "SELECT r.id, r.number FROM payment_sync_sessions r WHERE r.workspace_id = t.workspace_id AND NOT r.dry_run"
    " AND r.created_at <= y.at AND r.created_at > y.at - interval '7 days' AND r.started_at <= y.at"
    " AND coalesce(r.completed_at, 'infinity') >= y.at ORDER BY r.created_at DESC LIMIT 1"
)


async def record_note(session: AsyncSession, workspace_id: UUID, conflict: StoredConflict) -> RecordNote | None:
    entity = EntityType(conflict.entity_type)
    connection = await driver(session)
    async with connection.cursor(row_factory=class_row(RecordNote)) as cursor:
        await cursor.execute(
            f"SELECT y.at AS synced_at, s.number AS synced_run, s.id AS synced_run_id, t.updated_at, a.actor AS last_actor, a.action AS last_action,"
            f" a.occurred_at AS last_at, {_REQUEST} AS request_id FROM {TABLES[entity]} t LEFT JOIN LATERAL (SELECT actor, action, occurred_at FROM audit_log"
            " WHERE workspace_id = t.workspace_id AND target = %(target)s AND (%(settled)s::timestamptz IS NULL OR occurred_at < %(settled)s)"
            " ORDER BY occurred_at DESC LIMIT 1) a ON true"
            " CROSS JOIN LATERAL (SELECT CASE WHEN %(settled)s::timestamptz IS NULL THEN t.payment_synced_at END AS at) y"
            f" LEFT JOIN LATERAL ({_RUN_OF_THEN}) s ON true WHERE t.workspace_id = %(workspace)s AND t.id = %(id)s",
            {
                "workspace": workspace_id,
                "id": conflict.record_id,
                "target": target(entity, conflict.record_id),
                "run": conflict.session_id,
                "entity": entity.value,
                "object": conflict.external_id,
                "observed": conflict.observed_at,
                "theirs": Jsonb(conflict.theirs),
                "settled": conflict.resolved_at,
            },
        )
        return await cursor.fetchone()


async def save_choices(
    session: AsyncSession, workspace_id: UUID, conflict_id: UUID, revision: int, choices: Mapping[str, Any]
) -> bool:
    """Keep pending choices; False when the conflict is no longer open at that revision."""
    connection = await driver(session)
    done = await connection.execute(
        "UPDATE payment_sync_conflicts SET choices = %(choices)s, revision = revision + 1"
        " WHERE workspace_id = %(workspace)s AND id = %(id)s AND revision = %(revision)s AND status = 'open'",
        {"workspace": workspace_id, "id": conflict_id, "revision": revision, "choices": Jsonb(dict(choices))},
    )
    return done.rowcount == 1


@dataclass(frozen=True, slots=True)
class Handling:
    """Who looks after conflicts, and until when they are put off: a date, or what has to happen."""

    assignee: str | None = None
    snoozed_until: datetime | None = None
    snoozed_for: Snooze | None = None


async def save_handling(
    session: AsyncSession, workspace_id: UUID, query: ConflictQuery, assignee: Handling | None, snooze: Handling | None
) -> tuple[int, list[UUID]]:
    """Of all open conflicts that match; what is None stays. Neither changes what is decided: the revision stays.

    How many it were, and those that somebody else is writing, unless it is one alone, which is waited for: a run writes conflicts in the order
    of its queue, and whoever waits for one while they hold others may wait in a circle.
    """
    sets = ["assignee = %(to)s"] if assignee is not None else []
    sets += ["snoozed_until = %(until)s, snoozed_for = %(for)s"] if snooze is not None else []
    waits = "" if query.ids is not None and len(query.ids) == 1 else " SKIP LOCKED"
    connection = await driver(session)
    done = await connection.execute(
        f"WITH wanted AS MATERIALIZED (SELECT c.id FROM payment_sync_conflicts c WHERE c.status = 'open' AND {conditions(query)}),"
        " held AS MATERIALIZED (SELECT c.id FROM payment_sync_conflicts c WHERE c.workspace_id = %(workspace)s AND c.status = 'open'"
        f" AND c.id = ANY(ARRAY(SELECT id FROM wanted)) FOR NO KEY UPDATE{waits}),"
        f" done AS (UPDATE payment_sync_conflicts c SET {', '.join(sets)} WHERE c.workspace_id = %(workspace)s"
        " AND c.id = ANY(ARRAY(SELECT id FROM held)) RETURNING c.id)"
        " SELECT (SELECT count(*) FROM done), ARRAY(SELECT id FROM wanted EXCEPT SELECT id FROM done)",
        {
            **bound(workspace_id, query),
            "to": assignee.assignee if assignee else None,
            "until": snooze.snoozed_until if snooze else None,
            "for": snooze.snoozed_for.value if snooze and snooze.snoozed_for else None,
        },
    )
    row = await done.fetchone()
    assert row is not None
    return row[0], row[1]


@dataclass(frozen=True, slots=True)
class Comment:
    id: UUID
    author: str
    body: str
    created_at: datetime


async def add_comment(session: AsyncSession, workspace_id: UUID, conflict_id: UUID, author: str, body: str) -> UUID:
    connection = await driver(session)
    made = await connection.execute(
        "INSERT INTO payment_sync_conflict_comments (workspace_id, conflict_id, author, body)"
        " VALUES (%(workspace)s, %(id)s, %(author)s, %(body)s) RETURNING id",
        {"workspace": workspace_id, "id": conflict_id, "author": author, "body": body},
    )
    row = await made.fetchone()
    assert row is not None
    comment_id: UUID = row[0]
    return comment_id


async def comments(
    session: AsyncSession, workspace_id: UUID, conflict_ids: Sequence[UUID], limit: int = 100
) -> list[Comment]:
    connection = await driver(session)
    async with connection.cursor(row_factory=class_row(Comment)) as cursor:
        await cursor.execute(
            "SELECT id, author, body, created_at FROM payment_sync_conflict_comments WHERE workspace_id = %(workspace)s"
            " AND conflict_id = ANY(%(ids)s) ORDER BY created_at LIMIT %(limit)s",
            {"workspace": workspace_id, "ids": list(conflict_ids), "limit": limit},
        )
        return await cursor.fetchall()


async def ids_by_key(
    session: AsyncSession, workspace_id: UUID, ids: Sequence[UUID]
) -> dict[UUID, tuple[EntityType, int, ConflictStatus]]:
    """Entity type, revision and status of conflicts, for decisions that come from a file."""
    connection = await driver(session)
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            "SELECT id, entity_type, revision, status FROM payment_sync_conflicts WHERE workspace_id = %(workspace)s AND id = ANY(%(ids)s)",
            {"workspace": workspace_id, "ids": list(ids)},
        )
        rows = await cursor.fetchall()
    return {row["id"]: (EntityType(row["entity_type"]), row["revision"], ConflictStatus(row["status"])) for row in rows}
