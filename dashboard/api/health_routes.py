"""For those who watch over the server: is it up, can it work, what does it do?"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy.exc import SQLAlchemyError

from dashboard.api.access import OpenDatabase
from dashboard.api.errors import Refused
from dashboard.api.models import ErrorResponse, Health
from sync_core.errors import Refusal
from sync_core.store.health import open_runs

_PATIENCE_SECONDS = 3.0

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="The server runs")
async def healthz() -> Health:
    return Health(status="ok")


@router.get(
    "/readyz",
    responses={503: {"model": ErrorResponse, "description": "The database does not answer"}},
    summary="The server can work",
)
async def readyz(database: OpenDatabase) -> Health:
    try:
        await asyncio.wait_for(open_runs(database), _PATIENCE_SECONDS)
    except (SQLAlchemyError, OSError, TimeoutError) as away:
        raise Refused(Refusal("database_away", "The database does not answer.", status=503)) from away
    return Health(status="ok")


@router.get("/metrics", response_class=Response, summary="Figures for Prometheus")
async def metrics(request: Request, database: OpenDatabase) -> Response:
    """Also while the database is away: then without the runs."""
    with suppress(SQLAlchemyError, OSError, TimeoutError):
        for state, count in (await asyncio.wait_for(open_runs(database), _PATIENCE_SECONDS)).items():
            request.app.state.runs.labels(state).set(count)
    return Response(generate_latest(request.app.state.registry), media_type=CONTENT_TYPE_LATEST)
