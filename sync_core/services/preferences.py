"""What a person has set for themselves, wherever they sign in."""

from __future__ import annotations

from sync_core.services.actor import Actor
from sync_core.store import accounts as store
from sync_core.store.database import Database


async def set_single_keys(database: Database, actor: Actor, *, on: bool) -> None:
    """Whether single keys do something (WCAG 2.1.4): on, until the person switches them off. Read with who is signed in."""
    if actor.user_id is None:
        return
    async with database.system() as session:
        await store.set_single_keys(session, actor.user_id, on=on)
