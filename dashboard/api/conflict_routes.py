"""/sync/stripe/conflicts"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response
from pydantic import Field

from dashboard.api.access import CallingActor, OpenDatabase
from dashboard.api.answers import noes
from dashboard.api.conflict_models import (
    BulkPreview,
    BulkPreviewBody,
    BulkResolveBody,
    BulkResult,
    CommentBody,
    Conflict,
    ConflictFilter,
    ConflictList,
    FacetCounts,
    HandlingBody,
    ImportBody,
    ResolveBody,
    Resolved,
    Undone,
)
from dashboard.api.errors import granted
from sync_core.domain.conflict_rules import Rule
from sync_core.domain.resolution import Taken
from sync_core.domain.vocabulary import ConflictSort
from sync_core.errors import Refusal
from sync_core.services import (
    conflict_facets,
    conflict_handling,
    conflict_undo,
    conflicts,
    conflicts_bulk,
    conflicts_files,
)
from sync_core.services.conflict_views import ConflictRefusal, ConflictView
from sync_core.services.conflicts import ConflictQuery

router = APIRouter(prefix="/sync/stripe/conflicts", tags=["conflicts"])


class ConflictsQuery(ConflictFilter):
    cursor: str | None = Field(default=None, max_length=1_600, description="`next_cursor` of the page before.")
    limit: int = Field(default=25, ge=1, le=conflicts.LARGEST_PAGE)
    sort: ConflictSort = ConflictSort.NEWEST


@router.get("", response_model=ConflictList, responses=noes(), summary="Conflicts, the newest first")
async def list_conflicts(
    actor: CallingActor, database: OpenDatabase, query: Annotated[ConflictsQuery, Query()]
) -> dict[str, Any]:
    asked = granted(query.asked(query.sort))
    page = granted(await conflicts.list_conflicts(database, actor, asked, query.cursor, query.limit))
    return {
        "object": "list",
        "data": [row.to_json() for row in page.rows],
        "has_more": page.next_cursor is not None,
        "next_cursor": page.next_cursor,
    }


@router.get("/facets", response_model=FacetCounts, responses=noes(), summary="What can be filtered by, counted")
async def count_facets(
    actor: CallingActor, database: OpenDatabase, query: Annotated[ConflictFilter, Query()]
) -> dict[str, Any]:
    """Each facet is counted under the filters of all the others."""
    return granted(await conflict_facets.facets(database, actor, granted(query.asked()))).to_json()


@router.get("/{conflict_id}", response_model=Conflict, responses=noes(), summary="A conflict, three ways")
async def get_conflict(
    conflict_id: UUID, actor: CallingActor, database: OpenDatabase, response: Response
) -> dict[str, Any]:
    """Its `ETag` is its revision: send it as `If-Match` with your decision."""
    view = granted(await conflicts.get(database, actor, conflict_id))
    response.headers["ETag"] = f'"{view.row.revision}"'
    return view.to_json()


@router.post(
    "/{conflict_id}/resolve", response_model=Resolved, responses=noes(403, 409, 412), summary="Settle a conflict"
)
async def resolve_conflict(
    conflict_id: UUID,
    body: ResolveBody,
    actor: CallingActor,
    database: OpenDatabase,
    if_match: Annotated[str | None, Header(max_length=100)] = None,
) -> dict[str, Any]:
    """By one side for everything (`take`), field by field (`choices`), or by what was chosen on the screen (neither).

    When somebody was faster the answer is 409, or 412 with `If-Match`; `details.conflict` is the conflict as it is now, with their decision.
    """
    chosen = None
    if body.choices is not None:
        chosen = {key: Taken(one.take, one.value) for key, one in body.choices.items()}
    seen = _revision(if_match)
    resolved = await conflicts.resolve(
        database,
        actor,
        conflict_id,
        choices=chosen,
        take_all=body.take,
        expected_revision=body.revision if seen is None else seen,
    )
    if seen is not None and isinstance(resolved, ConflictRefusal):
        resolved = replace(resolved, status=412)
    return granted(resolved).to_json()


def _revision(if_match: str | None) -> int | None:
    """The revision in the header; None without one, or with `*`, which any revision fits. No tag of ours fits none."""
    if if_match is None or if_match.strip() == "*":
        return None
    text = if_match.strip().removeprefix("W/").strip('"')
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else -1


@router.patch(
    "/{conflict_id}/handling", response_model=Conflict, responses=noes(403, 409), summary="Assign or snooze a conflict"
)
async def handle_conflict(
    conflict_id: UUID, body: HandlingBody, actor: CallingActor, database: OpenDatabase
) -> dict[str, Any]:
    """Neither decides anything: the revision stays."""
    only, given = ConflictQuery(ids=(conflict_id,)), body.model_fields_set
    view: ConflictView | Refusal = granted(await conflicts.get(database, actor, conflict_id))
    if "assignee" in given:
        assigned = await conflict_handling.assign(database, actor, only, body.assignee)
        view = granted(await conflict_handling.shown_after(database, actor, conflict_id, assigned))
    if given & {"snoozed_until", "snoozed_for"}:
        until = None if body.snoozed_until is None else datetime.fromtimestamp(body.snoozed_until, UTC)
        snoozed = await conflict_handling.snooze(database, actor, only, body.snoozed_for or until)
        view = granted(await conflict_handling.shown_after(database, actor, conflict_id, snoozed))
    return granted(view).to_json()


@router.post("/{conflict_id}/comments", response_model=Conflict, responses=noes(403), summary="Say something about it")
async def comment_on(
    conflict_id: UUID, body: CommentBody, actor: CallingActor, database: OpenDatabase
) -> dict[str, Any]:
    """`@` and the address of a member calls them to it."""
    return granted(await conflict_handling.add_comment(database, actor, conflict_id, body.body)).to_json()


@router.post("/bulk-preview", response_model=BulkPreview, responses=noes(403), summary="What a rule would do to many")
async def preview_bulk(body: BulkPreviewBody, actor: CallingActor, database: OpenDatabase) -> dict[str, Any]:
    """Nothing is decided yet: the answer's `id` and `hash` are for bulk-resolve."""
    rule = Rule(body.take, body.fields, body.record)
    asked = granted(body.filter.asked())
    query = asked if body.conflict_ids is None else replace(asked, ids=tuple(body.conflict_ids))
    return granted(await conflicts_bulk.bulk_preview(database, actor, query, rule)).to_json()


@router.post(
    "/import-preview", response_model=BulkPreview, responses=noes(403), summary="What decisions in a file would do"
)
async def preview_import(body: ImportBody, actor: CallingActor, database: OpenDatabase) -> dict[str, Any]:
    """Decided by bulk-resolve, like any preview."""
    return granted(await conflicts_files.import_preview(database, actor, body.decisions)).to_json()


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
    return granted(await conflict_undo.undo(database, actor, decision_id)).to_json()


@router.post("/batches/{batch_id}/undo", response_model=Undone, responses=noes(403, 409), summary="Take a batch back")
async def undo_batch(batch_id: UUID, actor: CallingActor, database: OpenDatabase) -> dict[str, Any]:
    """Decisions whose record was changed since stand, and are listed."""
    return granted(await conflict_undo.undo_batch(database, actor, batch_id)).to_json()
