"""Conflicts as people look at them: pages, counts, and one with its record as it stands.

Lists and counts are answered from `ix_payment_sync_conflicts_review` alone, whatever is filtered by.
"""

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
from sync_core.domain.vocabulary import ConflictStatus, EntityType, ReasonCode
from sync_core.store.database import driver
from sync_core.store.record_details import target
from sync_core.store.values_sql import TABLES


@dataclass(frozen=True, slots=True)
class ConflictQuery:
    """Which conflicts. `search` finds a part of a label or Stripe id; `snoozed` are those put off until later."""

    entity: EntityType | None = None
    field: str | None = None
    reason: ReasonCode | None = None
    search: str = ""
    status: ConflictStatus = ConflictStatus.OPEN
    session_id: UUID | None = None
    assignee: str | None = None
    snoozed: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "entity": self.entity.value if self.entity else None,
            "field": self.field,
            "reason": self.reason.value if self.reason else None,
            "search": self.search,
            "status": self.status.value,
            "session_id": str(self.session_id) if self.session_id else None,
            "assignee": self.assignee,
            "snoozed": self.snoozed,
        }


@dataclass(frozen=True, slots=True)
class Position:
    """A row's place in the list. `backward` takes the rows before it."""

    created_at: datetime
    id: UUID
    backward: bool = False


@dataclass(frozen=True, slots=True)
class StoredConflict:
    """A conflict as it was found by a run; values are whole sets. `base` is None where none is known."""

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
    resolved_by: str | None
    resolved_at: datetime | None
    created_at: datetime

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
        )


COLUMNS = (
    "id, session_id, entity_type, record_id, external_id, label, reason_code, fields, local, base, theirs, theirs_deleted, record_version,"
    " observed_at, status, choices, revision, assignee, snoozed_until, resolved_by, resolved_at, created_at"
)


def conditions(query: ConflictQuery) -> str:
    """Of the conflicts as `c`; what they name is bound by `bound`."""
    parts = ["c.workspace_id = %(workspace)s", "c.status = %(status)s"]
    if query.entity is not None:
        parts.append("c.entity_type = %(entity)s")
    if query.field is not None:
        parts.append("%(field)s = ANY(c.fields)")
    if query.reason is not None:
        parts.append("c.reason_code = %(reason)s")
    if query.session_id is not None:
        parts.append("c.session_id = %(session)s")
    if query.assignee is not None:
        parts.append("c.assignee = %(assignee)s")
    if query.search:
        parts.append("strpos(c.search_key, %(search)s) > 0")
    if query.status is ConflictStatus.OPEN:
        now = "c.snoozed_until > now()"
        parts.append(now if query.snoozed else f"({now}) IS NOT TRUE")
    return " AND ".join(parts)


def bound(workspace_id: UUID, query: ConflictQuery) -> dict[str, Any]:
    return {
        "workspace": workspace_id,
        "status": query.status.value,
        "entity": query.entity.value if query.entity else None,
        "field": query.field,
        "reason": query.reason.value if query.reason else None,
        "session": query.session_id,
        "assignee": query.assignee,
        "search": query.search.lower(),
    }


async def page(
    session: AsyncSession, workspace_id: UUID, query: ConflictQuery, at: Position | None, size: int
) -> list[StoredConflict]:
    """Newest first, whichever way `at` looks."""
    backward = at is not None and at.backward
    way, beyond = ("ASC", ">") if backward else ("DESC", "<")
    after = f" AND (c.created_at, c.id) {beyond} (%(created_at)s, %(id)s)" if at else ""
    sql = (
        f"WITH page AS (SELECT c.id FROM payment_sync_conflicts c WHERE {conditions(query)}{after}"
        f" ORDER BY c.created_at {way}, c.id {way} LIMIT %(size)s)"
        f" SELECT {COLUMNS} FROM payment_sync_conflicts WHERE workspace_id = %(workspace)s AND id IN (SELECT id FROM page)"
        " ORDER BY created_at DESC, id DESC"
    )
    place = {"created_at": at.created_at, "id": at.id} if at else {}
    connection = await driver(session)
    async with connection.cursor(row_factory=class_row(StoredConflict)) as cursor:
        await cursor.execute(sql, {**bound(workspace_id, query), **place, "size": size})
        return await cursor.fetchall()


@dataclass(frozen=True, slots=True)
class Cell:
    """So many conflicts that are alike in all that can be filtered by."""

    entity_type: str
    reason_code: str
    session_id: UUID
    fields: list[str]
    assignee: str | None
    count: int


async def cells(session: AsyncSession, workspace_id: UUID, query: ConflictQuery) -> list[Cell]:
    """All that match, grouped by what is counted: few rows, from which every facet is summed up."""
    sql = (
        "SELECT c.entity_type, c.reason_code, c.session_id, c.fields, c.assignee, count(*) AS count"
        f" FROM payment_sync_conflicts c WHERE {conditions(query)} GROUP BY 1, 2, 3, 4, 5"
    )
    connection = await driver(session)
    async with connection.cursor(row_factory=class_row(Cell)) as cursor:
        await cursor.execute(sql, bound(workspace_id, query))
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
            f"SELECT {COLUMNS} FROM payment_sync_conflicts WHERE workspace_id = %(workspace)s AND id = %(id)s",
            {"workspace": workspace_id, "id": conflict_id},
        )
        return await cursor.fetchone()


async def neighbours(
    session: AsyncSession, workspace_id: UUID, query: ConflictQuery, at: Position
) -> tuple[UUID | None, UUID | None]:
    """The ids before and after a row of the list, newest first."""
    before = await page(session, workspace_id, query, Position(at.created_at, at.id, backward=True), 1)
    after = await page(session, workspace_id, query, at, 1)
    return (before[-1].id if before else None), (after[0].id if after else None)


@dataclass(frozen=True, slots=True)
class RecordNote:
    """What is shown of the record beside its values. Times of its last sync and last write."""

    synced_at: datetime | None
    updated_at: datetime
    last_actor: str | None
    last_action: str | None
    last_at: datetime | None


async def record_note(
    session: AsyncSession, workspace_id: UUID, entity: EntityType, record_id: UUID
) -> RecordNote | None:
    connection = await driver(session)
    async with connection.cursor(row_factory=class_row(RecordNote)) as cursor:
        await cursor.execute(
            "SELECT t.payment_synced_at AS synced_at, t.updated_at, a.actor AS last_actor, a.action AS last_action,"
            f" a.occurred_at AS last_at FROM {TABLES[entity]} t LEFT JOIN LATERAL (SELECT actor, action, occurred_at FROM audit_log"
            " WHERE workspace_id = t.workspace_id AND target = %(target)s ORDER BY occurred_at DESC LIMIT 1) a ON true"
            " WHERE t.workspace_id = %(workspace)s AND t.id = %(id)s",
            {"workspace": workspace_id, "id": record_id, "target": target(entity, record_id)},
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


async def save_handling(
    session: AsyncSession,
    workspace_id: UUID,
    conflict_id: UUID,
    *,
    assignee: str | None,
    snoozed_until: datetime | None,
) -> bool:
    """Who looks after an open conflict, and until when it is put off. Neither changes what is decided: the revision stays."""
    connection = await driver(session)
    done = await connection.execute(
        "UPDATE payment_sync_conflicts SET assignee = %(assignee)s, snoozed_until = %(until)s"
        " WHERE workspace_id = %(workspace)s AND id = %(id)s AND status = 'open'",
        {"workspace": workspace_id, "id": conflict_id, "assignee": assignee, "until": snoozed_until},
    )
    return done.rowcount == 1


@dataclass(frozen=True, slots=True)
class Comment:
    id: UUID
    author: str
    body: str
    created_at: datetime


async def add_comment(session: AsyncSession, workspace_id: UUID, conflict_id: UUID, author: str, body: str) -> None:
    connection = await driver(session)
    await connection.execute(
        "INSERT INTO payment_sync_conflict_comments (workspace_id, conflict_id, author, body)"
        " VALUES (%(workspace)s, %(id)s, %(author)s, %(body)s)",
        {"workspace": workspace_id, "id": conflict_id, "author": author, "body": body},
    )


async def comments(session: AsyncSession, workspace_id: UUID, conflict_id: UUID, limit: int = 100) -> list[Comment]:
    connection = await driver(session)
    async with connection.cursor(row_factory=class_row(Comment)) as cursor:
        await cursor.execute(
            "SELECT id, author, body, created_at FROM payment_sync_conflict_comments WHERE workspace_id = %(workspace)s"
            " AND conflict_id = %(id)s ORDER BY created_at LIMIT %(limit)s",
            {"workspace": workspace_id, "id": conflict_id, "limit": limit},
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
