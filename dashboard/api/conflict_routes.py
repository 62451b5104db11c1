"""/sync/stripe/conflicts"""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from dashboard.api.access import CallingActor, OpenDatabase
from dashboard.api.answers import noes
from dashboard.api.conflict_models import (
    BulkPreview,
    BulkPreviewBody,
    BulkResolveBody,
    BulkResult,
    Conflict,
    ConflictFilter,
    ConflictList,
    ResolveBody,
    Resolved,
    Undone,
)
from dashboard.api.errors import granted
from sync_core.domain.resolution import Rule, Taken
from sync_core.services import conflicts, conflicts_bulk

router = APIRouter(prefix="/sync/stripe/conflicts", tags=["conflicts"])


class ConflictsQuery(ConflictFilter):
    cursor: str | None = Field(default=None, max_length=300, description="`next_cursor` of the page before.")
    limit: int = Field(default=25, ge=1, le=conflicts.LARGEST_PAGE)


@router.get("", response_model=ConflictList, responses=noes(), summary="Conflicts, the newest first")
async def list_conflicts(
    actor: CallingActor, database: OpenDatabase, query: Annotated[ConflictsQuery, Query()]
) -> dict[str, Any]:
    page = granted(await conflicts.list_conflicts(database, actor, query.asked(), query.cursor, query.limit))
    return {
        "object": "list",
        "data": [row.to_json() for row in page.rows],
        "has_more": page.next_cursor is not None,
        "next_cursor": page.next_cursor,
    }


@router.get("/{conflict_id}", response_model=Conflict, responses=noes(), summary="A conflict, three ways")
async def get_conflict(conflict_id: UUID, actor: CallingActor, database: OpenDatabase) -> dict[str, Any]:
    return granted(await conflicts.get(database, actor, conflict_id)).to_json()


@router.post("/{conflict_id}/resolve", response_model=Resolved, responses=noes(403, 409), summary="Settle a conflict")
async def resolve_conflict(
    conflict_id: UUID, body: ResolveBody, actor: CallingActor, database: OpenDatabase
) -> dict[str, Any]:
    """By one side for everything (`take`), field by field (`choices`), or by what was chosen on the screen (neither)."""
    chosen = None
    if body.choices is not None:
        chosen = {key: Taken(one.take, one.value) for key, one in body.choices.items()}
    resolved = await conflicts.resolve(
        database, actor, conflict_id, choices=chosen, take_all=body.take, expected_revision=body.revision
    )
    return granted(resolved).to_json()


@router.post("/bulk-preview", response_model=BulkPreview, responses=noes(403), summary="What a rule would do to many")
async def preview_bulk(body: BulkPreviewBody, actor: CallingActor, database: OpenDatabase) -> dict[str, Any]:
    """Nothing is decided yet: the answer's `id` and `hash` are for bulk-resolve."""
    rule = Rule(body.take, body.fields, body.record)
    return granted(await conflicts_bulk.bulk_preview(database, actor, body.filter.asked(), rule)).to_json()


@router.post(
    "/bulk-resolve", response_model=BulkResult, responses=noes(403, 409), summary="Settle what a preview shows"
)
async def resolve_bulk(body: BulkResolveBody, actor: CallingActor, database: OpenDatabase) -> dict[str, Any]:
    """What has changed since the preview is left out, and listed."""
    return granted(await conflicts_bulk.bulk_resolve(database, actor, body.preview_id, body.hash)).to_json()


@router.post(
    "/decisions/{decision_id}/undo", response_model=Conflict, responses=noes(403, 409), summary="Take a decision back"
)
async def undo_decision(decision_id: UUID, actor: CallingActor, database: OpenDatabase) -> dict[str, Any]:
    return granted(await conflicts_bulk.undo(database, actor, decision_id)).to_json()


@router.post("/batches/{batch_id}/undo", response_model=Undone, responses=noes(403, 409), summary="Take a batch back")
async def undo_batch(batch_id: UUID, actor: CallingActor, database: OpenDatabase) -> dict[str, Any]:
    """Decisions whose record was changed since stand, and are listed."""
    return granted(await conflicts_bulk.undo_batch(database, actor, batch_id)).to_json()
