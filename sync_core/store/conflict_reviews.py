"""What each person has looked through. A tick is of the values that were there: when either side changes, it counts no longer."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.store.database import driver

_REVIEWS = "payment_sync_conflict_reviews"
SIDES = "hashtextextended({0}.local::text || {0}.theirs::text || {0}.theirs_deleted::text, 0)"
_TICKED = (
    f"EXISTS (SELECT FROM {_REVIEWS} r WHERE r.workspace_id = %(workspace)s AND r.conflict_id = {{0}}.id"
    f" AND r.user_id = %(viewer)s::uuid AND r.sides = {SIDES})"
)


def ticked(conflict: str) -> str:
    """Part of a statement: whether the person bound as `viewer` has looked through the conflict of this alias, as it stands."""
    return _TICKED.format(conflict)


async def tick(session: AsyncSession, workspace_id: UUID, conflict_id: UUID, user_id: UUID) -> bool:
    """False where there is no such conflict. No foreign key to it: its check would hold the row for a moment, like a viewer's."""
    connection = await driver(session)
    done = await connection.execute(
        f"INSERT INTO {_REVIEWS} (workspace_id, conflict_id, user_id, sides) SELECT c.workspace_id, c.id, %(user)s, {SIDES.format('c')}"
        " FROM payment_sync_conflicts c WHERE c.workspace_id = %(workspace)s AND c.id = %(conflict)s"
        " ON CONFLICT (workspace_id, conflict_id, user_id) DO UPDATE SET sides = excluded.sides, reviewed_at = now()",
        {"workspace": workspace_id, "conflict": conflict_id, "user": user_id},
    )
    return done.rowcount == 1


async def untick(session: AsyncSession, workspace_id: UUID, conflict_id: UUID, user_id: UUID) -> None:
    connection = await driver(session)
    await connection.execute(
        f"DELETE FROM {_REVIEWS} WHERE workspace_id = %(workspace)s AND conflict_id = %(conflict)s AND user_id = %(user)s",
        {"workspace": workspace_id, "conflict": conflict_id, "user": user_id},
    )


async def tidy(session: AsyncSession, workspace_id: UUID) -> None:
    """Forget the ticks of what can no longer come back: each is looked at whenever its owner lists conflicts."""
    connection = await driver(session)
    await connection.execute(
        f"DELETE FROM {_REVIEWS} r USING payment_sync_conflicts c WHERE r.workspace_id = %(workspace)s AND c.workspace_id = r.workspace_id"
        " AND c.id = r.conflict_id AND c.status = 'resolved' AND c.resolved_at < now() - interval '30 days'",
        {"workspace": workspace_id},
    )


async def is_ticked(session: AsyncSession, workspace_id: UUID, conflict_id: UUID, user_id: UUID | None) -> bool:
    connection = await driver(session)
    found = await connection.execute(
        f"SELECT {ticked('c')} FROM payment_sync_conflicts c WHERE c.workspace_id = %(workspace)s AND c.id = %(conflict)s",
        {"workspace": workspace_id, "conflict": conflict_id, "viewer": user_id},
    )
    row = await found.fetchone()
    return row is not None and row[0]
