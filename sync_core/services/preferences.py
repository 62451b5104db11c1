"""What a person has set for themselves, wherever they sign in."""

from __future__ import annotations

from sync_core.services.actor import Actor
from sync_core.store import accounts as store
from sync_core.store.database import Database


async def single_keys(database: Database, actor: Actor) -> bool:
    """Whether single keys do something (WCAG 2.1.4): on, until the person switches them off."""
    if actor.user_id is None:
        return True
    async with database.system() as session:
        return await store.single_keys(session, actor.user_id)


async def set_single_keys(database: Database, actor: Actor, *, on: bool) -> None:
    if actor.user_id is None:
        return
    async with database.system() as session:
        await store.set_single_keys(session, actor.user_id, on=on)
