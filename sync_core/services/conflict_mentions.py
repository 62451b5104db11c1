"""What calls a person to a conflict: their own list of it, done with once they have been there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sync_core.errors import Refusal
from sync_core.services.actor import Actor, Permission
from sync_core.services.conflict_facets import FORBIDDEN
from sync_core.store import conflict_mentions as store
from sync_core.store.conflict_mentions import Mention, Position
from sync_core.store.database import Database

PAGE_SIZE = 30


@dataclass(frozen=True, slots=True)
class MentionPage:
    rows: tuple[Mention, ...]
    next_cursor: str | None


async def mine(database: Database, actor: Actor, cursor: str = "") -> MentionPage | Refusal:
    """The newest first. Programs are called to nothing."""
    if actor.user_id is None or not actor.can(Permission.VIEW):
        return FORBIDDEN
    async with database.workspace(actor.workspace_id) as session:
        found = await store.page(session, actor.workspace_id, actor.user_id, _position(cursor), PAGE_SIZE + 1)
    shown = found[:PAGE_SIZE]
    more = len(found) > PAGE_SIZE
    return MentionPage(tuple(shown), f"{shown[-1].created_at.isoformat()}~{shown[-1].comment_id}" if more else None)


def _position(cursor: str) -> Position | None:
    """The first page for what is no cursor of ours."""
    at, _, comment = cursor.partition("~")
    try:
        found = Position(datetime.fromisoformat(at), UUID(comment))
    except ValueError:
        return None
    return found if found.at.tzinfo else None


async def see(database: Database, actor: Actor, conflict_id: UUID | None = None) -> int:
    """This person has been at the conflict, or has put all of it aside. How many mentions it were."""
    if actor.user_id is None:
        return 0
    async with database.workspace(actor.workspace_id) as session:
        return await store.see(session, actor.workspace_id, actor.user_id, conflict_id)
