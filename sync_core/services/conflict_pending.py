"""What one person has chosen and not applied yet, on all conflicts together: counted, applied through a preview, or discarded."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.conflict_rules import Rule
from sync_core.errors import Refusal
from sync_core.services.actor import Actor, Permission
from sync_core.services.conflict_bulk_views import BulkPreview
from sync_core.services.conflict_facets import FORBIDDEN
from sync_core.services.conflicts_bulk import seal
from sync_core.store import conflict_choices as store
from sync_core.store import conflict_previews as previews
from sync_core.store.audit import record as audit
from sync_core.store.database import Database

MOST = 1_000
_NOTHING = Refusal("nothing_chosen", "You have chosen nothing that waits to be applied.", status=409)


@dataclass(frozen=True, slots=True)
class Pending:
    """Of the first thousand conflicts."""

    choices: int
    conflicts: int


async def pending_in(session: AsyncSession, actor: Actor) -> Pending:
    return Pending(*await store.count(session, actor.workspace_id, actor.label, MOST))


async def preview(database: Database, actor: Actor) -> BulkPreview | Refusal:
    """What applying them all would do; `conflicts_bulk.bulk_resolve` applies it. What still lacks a choice is left out then."""
    if not actor.can(Permission.RESOLVE_CONFLICTS):
        return FORBIDDEN
    async with database.workspace(actor.workspace_id) as session:
        items = await store.items(session, actor.workspace_id, actor.label, MOST)
        if not items:
            return _NOTHING
        preview_id = await previews.create(session, actor.workspace_id, actor.label, {"pending": len(items)})
        await previews.add_items(session, actor.workspace_id, preview_id, items)
        return await seal(session, actor, preview_id, Rule(), ())


async def discard(database: Database, actor: Actor) -> int | Refusal:
    """Take off what this person has chosen. How many conflicts it were; what others have chosen stays."""
    if not actor.can(Permission.RESOLVE_CONFLICTS):
        return FORBIDDEN
    async with database.workspace(actor.workspace_id) as session:
        gone = await store.discard(session, actor.workspace_id, actor.label)
        if gone:
            details = {"conflicts": gone}
            await audit(session, actor.workspace_id, actor.label, "conflict.choices_discarded", details=details)
    return gone
