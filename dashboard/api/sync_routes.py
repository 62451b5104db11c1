"""/sync/stripe: syncs"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from dashboard.api.access import CallingActor, OpenDatabase, OurSettings
from dashboard.api.answers import noes
from dashboard.api.dates import start_request
from dashboard.api.errors import granted
from dashboard.api.models import (
    ApplyBody,
    Estimate,
    RetryBody,
    StartBody,
    SyncErrorList,
    SyncEventList,
    SyncSession,
    SyncSessionList,
)
from dashboard.api.report_models import PlanDrift, SyncDifferences, SyncReport
from sync_core.domain.vocabulary import Action, EntityType, EventType, ReasonCode, SessionStatus
from sync_core.errors import Refusal
from sync_core.services import (
    differences,
    differences_export,
    drift,
    plan_apply,
    problems,
    report,
    report_export,
    sessions,
)
from sync_core.services import estimate as estimates
from sync_core.services.report_export import Export, Format, Only
from sync_core.store.plan_differences import Kind
from sync_core.store.sessions import RunFilter

router = APIRouter(prefix="/sync/stripe", tags=["sync"])
_LATEST = 253_402_300_799


class Paging(BaseModel):
    cursor: str | None = Field(default=None, max_length=100, description="`next_cursor` of the page before.")
    limit: int = Field(default=25, ge=1, le=sessions.MOST_ROWS)


class SessionQuery(Paging):
    status: SessionStatus | None = None
    dry_run: bool | None = None
    entity_type: EntityType | None = None
    created_by: str | None = Field(default=None, max_length=320, description="Who started it, as `created_by` says.")
    since: int | None = Field(default=None, ge=0, le=_LATEST, description="Started from then on, in epoch seconds.")
    until: int | None = Field(default=None, ge=0, le=_LATEST, description="Started before then, in epoch seconds.")


class DriftQuery(BaseModel):
    cursor: str | None = Field(default=None, max_length=100, description="`next_cursor` of the page before.")
    limit: int = Field(default=25, ge=1, le=drift.MOST_ROWS)
    count_cursor: str | None = Field(
        default=None, max_length=100, description="Of the answer before: counts what comes behind, to be added up."
    )


class DifferencesOf(BaseModel):
    """The last three narrow the rows, and go together; `none` where there is no such row."""

    other: UUID | None = Field(
        default=None, description="The sync to compare with; without it the plan that was applied."
    )
    entity_type: EntityType | None = None
    earlier: Action | Literal["none"] | None = None
    later: Action | Literal["none"] | None = None

    def kind(self) -> Kind | Refusal | None:
        return differences.kind_of(self.entity_type, self.earlier, self.later)


class DifferencesQuery(DifferencesOf):
    cursor: str | None = Field(default=None, max_length=300, description="`next_cursor` of the page before.")
    limit: int = Field(default=25, ge=1, le=differences.MOST_ROWS)
    count_cursor: str | None = Field(
        default=None, max_length=300, description="Of the answer before: counts what comes behind, to be added up."
    )


class DifferencesExportQuery(DifferencesOf):
    format: Literal[Format.CSV, Format.NDJSON] = Format.NDJSON


class ExportQuery(BaseModel):
    """All but the format narrow the rows of CSV and NDJSON."""

    format: Format = Format.NDJSON
    entity_type: EntityType | None = None
    action: Action | None = None
    reason_code: ReasonCode | None = None
    field: str | None = Field(default=None, max_length=100, description="Rows in which this field differs.")


class EventQuery(Paging):
    event_type: EventType | None = None
    entity_type: EntityType | None = None


class ErrorQuery(Paging):
    entity_type: EntityType | None = None
    reason_code: ReasonCode | None = None


@router.post(
    "/initial",
    status_code=201,
    response_model=SyncSession,
    response_model_exclude_unset=True,
    responses=noes(403, 409),
    summary="Start a sync or a dry run",
)
async def start_initial_sync(body: StartBody, actor: CallingActor, database: OpenDatabase) -> dict[str, Any]:
    """Where the workspace wants plans approved by a second person, only dry runs are started (409 `approval_required`)."""
    return granted(await sessions.start(database, actor, granted(start_request(body)))).to_json()


@router.post("/estimate", response_model=Estimate, responses=noes(403, 409, 502), summary="What a sync would cost")
async def estimate(
    body: StartBody, actor: CallingActor, database: OpenDatabase, settings: OurSettings
) -> dict[str, Any]:
    """Reads a few pages of each entity type."""
    asked = granted(start_request(body))
    return granted(await estimates.estimate(database, actor, asked, settings=settings)).to_json()


@router.get(
    "/sessions",
    response_model=SyncSessionList,
    response_model_exclude_unset=True,
    responses=noes(),
    summary="Syncs, the newest first",
)
async def list_sessions(
    actor: CallingActor, database: OpenDatabase, query: Annotated[SessionQuery, Query()]
) -> dict[str, Any]:
    only = RunFilter(**query.model_dump(exclude={"cursor", "limit"}))
    page = granted(await sessions.list_sessions(database, actor, cursor=query.cursor, limit=query.limit, only=only))
    return _listed([one.to_json() for one in page.items], page.cursor)


@router.get(
    "/sessions/{session_id}",
    response_model=SyncSession,
    response_model_exclude_unset=True,
    responses=noes(),
    summary="A sync and its progress",
)
async def get_session(session_id: UUID, actor: CallingActor, database: OpenDatabase) -> dict[str, Any]:
    return granted(await sessions.get(database, actor, session_id)).to_json()


@router.put(
    "/sessions/{session_id}/cancel",
    response_model=SyncSession,
    response_model_exclude_unset=True,
    responses=noes(403, 409),
    summary="Stop a sync",
)
async def cancel_session(session_id: UUID, actor: CallingActor, database: OpenDatabase) -> dict[str, Any]:
    """What was written stays; the sync can be resumed."""
    return granted(await sessions.cancel(database, actor, session_id)).to_json()


@router.post(
    "/sessions/{session_id}/resume",
    response_model=SyncSession,
    response_model_exclude_unset=True,
    responses=noes(403, 409),
    summary="Go on with a sync that failed, was cancelled or left errors",
)
async def resume_session(session_id: UUID, actor: CallingActor, database: OpenDatabase) -> dict[str, Any]:
    return granted(await sessions.resume(database, actor, session_id)).to_json()


@router.post(
    "/sessions/{session_id}/apply",
    status_code=201,
    response_model=SyncSession,
    response_model_exclude_unset=True,
    responses=noes(403, 409),
    summary="Apply a dry run's plan",
)
async def apply_session(
    session_id: UUID, actor: CallingActor, database: OpenDatabase, body: ApplyBody | None = None
) -> dict[str, Any]:
    """Nothing is fetched again. A record that changed since the dry run is planned anew, not overwritten.

    Where the workspace wants plans approved by a second person, one that is not is refused (409 `plan_not_approved`; the report's
    `approval` says how it stands). A person approves it in its report, signed in: an API key can't.
    """
    asked = body or ApplyBody()
    return granted(
        await plan_apply.apply(database, actor, session_id, limit=asked.limit, confirmed=asked.confirm)
    ).to_json()


@router.get(
    "/sessions/{session_id}/drift",
    response_model=PlanDrift,
    responses=noes(403, 409),
    summary="What changed here since a dry run",
)
async def get_drift(
    session_id: UUID, actor: CallingActor, database: OpenDatabase, query: Annotated[DriftQuery, Query()]
) -> dict[str, Any]:
    """Counted for the whole plan, listed a page at a time. Applied, these rows are planned anew; all others are as planned.

    Of a large plan an answer counts what a second suffices for, and may list fewer rows than asked for: ask on by its cursors.
    """
    counted = granted(await drift.count(database, actor, session_id, start=query.count_cursor))
    page = granted(await drift.page(database, actor, session_id, cursor=query.cursor, limit=query.limit))
    return {**counted.to_json(), **_listed([one.to_json() for one in page.rows], page.cursor), "object": "plan_drift"}


@router.get(
    "/sessions/{session_id}/differences",
    response_model=SyncDifferences,
    responses=noes(403),
    summary="What came out otherwise than planned, or than in another sync",
)
async def get_differences(
    session_id: UUID, actor: CallingActor, database: OpenDatabase, query: Annotated[DifferencesQuery, Query()]
) -> dict[str, Any]:
    """Row by row: counted for all of both, listed a page at a time, the earlier sync first whichever is named first.

    Of large syncs an answer counts what a second suffices for, and may list fewer rows than asked for: ask on by its cursors.
    """
    other, only = await _other(session_id, actor, database, query), granted(query.kind())
    counted = granted(await differences.count(database, actor, session_id, other, start=query.count_cursor))
    page = granted(
        await differences.page(database, actor, session_id, other, cursor=query.cursor, limit=query.limit, only=only)
    )
    listed = _listed([one.to_json() for one in page.rows], page.cursor)
    return {**counted.to_json(), **listed, "object": "sync_differences"}


@router.get(
    "/sessions/{session_id}/differences/export",
    response_class=StreamingResponse,
    responses={
        **noes(403),
        200: {
            "description": "Every row that differs.",
            "content": {report_export.TYPES[one].partition(";")[0]: {} for one in differences_export.FORMATS},
        },
    },
    summary="Differences as a file",
)
async def export_differences(
    session_id: UUID, actor: CallingActor, database: OpenDatabase, query: Annotated[DifferencesExportQuery, Query()]
) -> StreamingResponse:
    other, only = await _other(session_id, actor, database, query), granted(query.kind())
    return _file(granted(await differences_export.export(database, actor, session_id, other, query.format, only=only)))


async def _other(session_id: UUID, actor: CallingActor, database: OpenDatabase, query: DifferencesOf) -> UUID:
    return query.other or granted(await differences.plan_of(database, actor, session_id))


@router.get(
    "/sessions/{session_id}/errors",
    response_model=SyncErrorList,
    responses=noes(403),
    summary="What failed, one by one, with what to do about it",
)
async def list_errors(
    session_id: UUID, actor: CallingActor, database: OpenDatabase, query: Annotated[ErrorQuery, Query()]
) -> dict[str, Any]:
    found = await problems.page(
        database,
        actor,
        session_id,
        entity=query.entity_type,
        reason=query.reason_code,
        cursor=query.cursor,
        limit=query.limit,
    )
    page = granted(found)
    return _listed([one.to_json() for one in page.items], page.cursor)


@router.post(
    "/sessions/{session_id}/retry",
    response_model=SyncSession,
    response_model_exclude_unset=True,
    responses=noes(403, 409),
    summary="Try errors of an ended sync again: one, a group, or all",
)
async def retry_session(
    session_id: UUID, actor: CallingActor, database: OpenDatabase, body: RetryBody | None = None
) -> dict[str, Any]:
    """Fetches anew what failed and the parents that it waits for, and nothing else."""
    asked = body or RetryBody()
    choice = problems.Choice(asked.entity_type, asked.reason_code, tuple(asked.external_ids))
    return granted(await problems.retry(database, actor, session_id, choice)).to_json()


@router.post(
    "/sessions/{session_id}/repair",
    response_model=SyncSession,
    response_model_exclude_unset=True,
    responses=noes(403, 409),
    summary="Verify an ended sync again, and fetch what is missing",
)
async def repair_session(session_id: UUID, actor: CallingActor, database: OpenDatabase) -> dict[str, Any]:
    """Compares what it read with what is stored now, asks Stripe where readings met, and fetches just the ids that are missing."""
    return granted(await problems.repair(database, actor, session_id)).to_json()


@router.get(
    "/sessions/{session_id}/events",
    response_model=SyncEventList,
    responses=noes(),
    summary="What happened, the newest first",
)
async def list_events(
    session_id: UUID, actor: CallingActor, database: OpenDatabase, query: Annotated[EventQuery, Query()]
) -> dict[str, Any]:
    page = granted(await sessions.events(database, actor, session_id, **query.model_dump()))
    return _listed([one.to_json() for one in page.items], page.cursor)


@router.get(
    "/sessions/{session_id}/report",
    response_model=SyncReport,
    response_model_exclude_unset=True,
    responses=noes(),
    summary="What a sync did, or a dry run would do",
)
async def get_report(session_id: UUID, actor: CallingActor, database: OpenDatabase) -> dict[str, Any]:
    reasons = granted(await sessions.report(database, actor, session_id)).to_json()["reasons"]
    return report.json_view(granted(await report.summary(database, actor, session_id))) | {"reasons": reasons}


@router.get(
    "/sessions/{session_id}/export",
    response_class=StreamingResponse,
    responses={
        **noes(403),
        200: {
            "description": "Every row as CSV or NDJSON, or the head as JSON or Markdown.",
            "content": {one.partition(";")[0]: {} for one in report_export.TYPES.values()},
        },
    },
    summary="The report as a file",
)
async def export_report(
    session_id: UUID, actor: CallingActor, database: OpenDatabase, query: Annotated[ExportQuery, Query()]
) -> StreamingResponse:
    only = Only(query.entity_type, query.action, query.reason_code, query.field)
    return _file(granted(await report_export.export(database, actor, session_id, query.format, only=only)))


def _file(made: Export) -> StreamingResponse:
    named = {"Content-Disposition": f'attachment; filename="{made.filename}"'}
    return StreamingResponse(made.chunks, media_type=made.content_type, headers=named)


def _listed(data: list[dict[str, Any]], cursor: str | None) -> dict[str, Any]:
    return {"object": "list", "data": data, "has_more": cursor is not None, "next_cursor": cursor}
