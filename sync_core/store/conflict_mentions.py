"""Whom comments call to a conflict: kept with the comment, listed for whom it is, done with once they have been there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.store.database import driver

_MENTIONS = "payment_sync_conflict_mentions"
COUNTED = 99
UNSEEN = (
    f"(SELECT count(*) FROM (SELECT FROM {_MENTIONS} m WHERE m.workspace_id = %(workspace)s AND m.user_id = %(user)s::uuid"
    f" AND m.seen_at IS NULL LIMIT {COUNTED + 1}) unseen)"
)
"""Part of a statement: how many mentions the person bound as `user` has not followed; it stops counting at a hundred."""


@dataclass(frozen=True, slots=True)
class Position:
    at: datetime
    comment_id: UUID


@dataclass(frozen=True, slots=True)
class Mention:
    """`label` and `entity_type` are the conflict's."""

    comment_id: UUID
    conflict_id: UUID
    entity_type: str
    label: str
    author: str
    body: str
    created_at: datetime
    is_seen: bool


async def add(
    session: AsyncSession, workspace_id: UUID, conflict_id: UUID, comment_id: UUID, user_ids: Sequence[UUID]
) -> None:
    connection = await driver(session)
    await connection.execute(
        f"INSERT INTO {_MENTIONS} (workspace_id, user_id, comment_id, conflict_id)"
        " SELECT %(workspace)s, u.id, %(comment)s, %(conflict)s FROM unnest(%(users)s::uuid[]) u(id)",
        {"workspace": workspace_id, "users": list(user_ids), "comment": comment_id, "conflict": conflict_id},
    )


async def page(
    session: AsyncSession, workspace_id: UUID, user_id: UUID, after: Position | None, size: int
) -> list[Mention]:
    """The newest first."""
    beyond = " AND (m.created_at, m.comment_id) < (%(at)s, %(id)s)" if after else ""
    connection = await driver(session)
    async with connection.cursor(row_factory=class_row(Mention)) as cursor:
        await cursor.execute(
            f"WITH page AS (SELECT m.* FROM {_MENTIONS} m WHERE m.workspace_id = %(workspace)s AND m.user_id = %(user)s{beyond}"
            " ORDER BY m.created_at DESC, m.comment_id DESC LIMIT %(size)s)"
            " SELECT page.comment_id, page.conflict_id, c.entity_type, coalesce(nullif(c.label, ''), c.external_id) AS label, t.author, t.body,"
            " page.created_at, page.seen_at IS NOT NULL AS is_seen FROM page"
            " JOIN payment_sync_conflict_comments t ON t.workspace_id = %(workspace)s AND t.id = page.comment_id"
            " JOIN payment_sync_conflicts c ON c.workspace_id = %(workspace)s AND c.id = page.conflict_id"
            " ORDER BY page.created_at DESC, page.comment_id DESC",
            {
                "workspace": workspace_id,
                "user": user_id,
                "size": size,
                **({"at": after.at, "id": after.comment_id} if after else {}),
            },
        )
        return await cursor.fetchall()


async def see(session: AsyncSession, workspace_id: UUID, user_id: UUID, conflict_id: UUID | None) -> int:
    """What calls this person to one conflict, or to any, is done with. How many it were."""
    only = "" if conflict_id is None else " AND conflict_id = %(conflict)s"
    connection = await driver(session)
    done = await connection.execute(
        f"UPDATE {_MENTIONS} SET seen_at = now() WHERE workspace_id = %(workspace)s AND user_id = %(user)s AND seen_at IS NULL{only}",
        {"workspace": workspace_id, "user": user_id, "conflict": conflict_id},
    )
    return done.rowcount
