"""Who has a conflict open, by the database's clock. What is not renewed is over, whether its row is still there or not."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.store.database import driver

LEASE_SECONDS = 30
_VIEWERS = "payment_sync_conflict_viewers"
_OVER = f"now() - interval '{LEASE_SECONDS} seconds'"
MOST_NAMED = 5
OTHERS = (
    f"ARRAY(SELECT u.email FROM {_VIEWERS} v JOIN users u ON u.id = v.user_id WHERE v.workspace_id = %(workspace)s AND v.conflict_id = {{0}}"
    f" AND v.user_id IS DISTINCT FROM %(viewer)s::uuid AND v.seen_at >= {_OVER} ORDER BY u.email LIMIT {MOST_NAMED})"
)
"""Part of a statement: the addresses of whoever has a conflict open, but for the person bound as `viewer`."""
# Leases that are over go with the next renewal. Those that somebody renews or clears at this moment are passed over: nobody waits.
_SEEN = (
    f"WITH over AS (DELETE FROM {_VIEWERS} WHERE workspace_id = %(workspace)s AND (conflict_id, user_id) IN (SELECT conflict_id, user_id"
    f" FROM {_VIEWERS} WHERE workspace_id = %(workspace)s AND seen_at < {_OVER} AND (conflict_id, user_id) <> (%(conflict)s, %(user)s)"
    f" FOR UPDATE SKIP LOCKED)), mine AS (INSERT INTO {_VIEWERS} (workspace_id, conflict_id, user_id) SELECT workspace_id, id, %(user)s"
    " FROM payment_sync_conflicts WHERE workspace_id = %(workspace)s AND id = %(conflict)s"
    " ON CONFLICT (workspace_id, conflict_id, user_id) DO UPDATE SET seen_at = now())"
    f" SELECT unnest({OTHERS.format('%(conflict)s')})"
)


async def seen(session: AsyncSession, workspace_id: UUID, conflict_id: UUID, user_id: UUID) -> list[str]:
    """Renew this person's lease; the addresses of the others who have one, a few at the most."""
    connection = await driver(session)
    found = await connection.execute(
        _SEEN, {"workspace": workspace_id, "conflict": conflict_id, "user": user_id, "viewer": user_id}
    )
    return [row[0] for row in await found.fetchall()]


async def left(session: AsyncSession, workspace_id: UUID, conflict_id: UUID, user_id: UUID) -> None:
    connection = await driver(session)
    await connection.execute(
        f"DELETE FROM {_VIEWERS} WHERE workspace_id = %(workspace)s AND conflict_id = %(conflict)s AND user_id = %(user)s",
        {"workspace": workspace_id, "conflict": conflict_id, "user": user_id},
    )


async def others(
    session: AsyncSession, workspace_id: UUID, conflict_ids: Sequence[UUID], viewer: UUID
) -> dict[UUID, tuple[str, ...]]:
    """Who has these conflicts open, those aside that nobody has."""
    connection = await driver(session)
    found = await connection.execute(
        f"SELECT c.id, {OTHERS.format('c.id')} FROM unnest(%(ids)s::uuid[]) c(id)",
        {"workspace": workspace_id, "ids": list(conflict_ids), "viewer": viewer},
    )
    return {row[0]: tuple(row[1]) for row in await found.fetchall() if row[1]}
