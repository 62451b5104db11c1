"""Who else looks at a conflict, or at those of a list.

It informs and nothing more: nobody is kept from deciding (`conflicts` guards that by revision).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from sync_core.services.actor import Actor, Permission
from sync_core.store import conflict_viewers as store
from sync_core.store.database import Database


async def look(database: Database, actor: Actor, conflict_id: UUID) -> tuple[str, ...]:
    """Say that this person is there, for as long as a lease lasts; the others who are. Programs look at nothing."""
    if actor.user_id is None or not actor.can(Permission.VIEW):
        return ()
    async with database.workspace(actor.workspace_id) as session:
        return tuple(await store.seen(session, actor.workspace_id, conflict_id, actor.user_id))


async def around(database: Database, actor: Actor, conflict_ids: Sequence[UUID]) -> Mapping[UUID, tuple[str, ...]]:
    """Who else has which of these open; those that nobody has are left out."""
    if actor.user_id is None or not actor.can(Permission.VIEW):
        return {}
    async with database.workspace(actor.workspace_id) as session:
        return await store.others(session, actor.workspace_id, conflict_ids, actor.user_id)


async def leave(database: Database, actor: Actor, conflict_id: UUID) -> None:
    if actor.user_id is None:
        return
    async with database.workspace(actor.workspace_id) as session:
        await store.left(session, actor.workspace_id, conflict_id, actor.user_id)
