"""What was decided, many at a time or one: the list of it, and one batch as it was foreseen and as it came out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sync_core.domain.conflict_rules import Rule
from sync_core.errors import Refusal
from sync_core.services.actor import Actor, Permission
from sync_core.services.conflict_bulk_views import BulkPreview, BulkResult, NotCovered
from sync_core.services.conflict_facets import FORBIDDEN
from sync_core.services.conflicts_bulk import NO_PREVIEW, bulk_left_out, reading
from sync_core.store import conflict_journal as journal
from sync_core.store import conflict_previews as previews
from sync_core.store.conflict_journal import PastBatch
from sync_core.store.database import Database

PAGE_SIZE = 40


@dataclass(frozen=True, slots=True)
class BatchView:
    """A batch, by its permanent address. `result` is None while nobody has applied it; `undone` of its decisions were taken back."""

    preview: BulkPreview
    made_by: str
    made_at: datetime
    applied_at: datetime | None
    expired: bool
    undone: int
    result: BulkResult | None


async def batches(
    database: Database, actor: Actor, *, before: datetime | None = None, limit: int = PAGE_SIZE
) -> tuple[list[PastBatch], datetime | None] | Refusal:
    """Latest first, and where the next page begins, if there is one."""
    if not actor.can(Permission.VIEW):
        return FORBIDDEN
    async with database.workspace(actor.workspace_id) as session:
        found = await journal.past_batches(session, actor.workspace_id, before=before, size=limit + 1)
    shown = found[:limit]
    return shown, shown[-1].created_at if len(found) > limit else None


async def batch(database: Database, actor: Actor, batch_id: UUID) -> BatchView | Refusal:
    if not actor.can(Permission.VIEW):
        return FORBIDDEN
    async with database.workspace(actor.workspace_id) as session:
        stored = await previews.read(session, actor.workspace_id, batch_id)
        if stored is None:
            return NO_PREVIEW
        missing = tuple(NotCovered(why, rows) for why, rows in stored.summary.get("not_covered", {}).items())
        rule = Rule.from_json(stored.rule)
        begun = int(stored.summary.get("begun", 0))
        shown = await reading(session, actor, batch_id, rule, missing, stored.hash, begun)
        resolved, left, waiting = await previews.tally(session, actor.workspace_id, batch_id)
    result = None
    if stored.applied_at is not None:
        result = BulkResult(batch_id, resolved, left, await bulk_left_out(database, actor, batch_id), waiting)
    return BatchView(
        shown,
        stored.created_by,
        stored.created_at,
        stored.applied_at,
        stored.expired,
        int(stored.summary.get("undone", 0)),
        result,
    )
