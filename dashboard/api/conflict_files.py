"""Conflicts as downloads for a person who is signed in: the list's own filters, streamed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from dashboard.auth.cookies import token_in
from dashboard.pages.conflict_filters import EXPORTS, query_of
from sync_core.errors import Refusal
from sync_core.services import accounts, conflict_rules, conflicts_files
from sync_core.services.actor import Actor
from sync_core.services.conflicts import ConflictQuery
from sync_core.store.database import Database, get_database

Export = Callable[[Database, Actor, ConflictQuery], AsyncIterator[str]]


def conflict_file_routes(database: Callable[[], Database] = get_database) -> list[Route]:
    def route(ending: str, media: str, export: Export) -> Route:
        async def download(request: Request) -> Response:
            token = token_in(request.headers.get("cookie", ""))
            found = None if token is None else await accounts.who(database(), token)
            if found is None:
                return PlainTextResponse("Sign in first.", 401)
            lines = export(database(), found.actor, query_of(request.query_params))
            named = {"Content-Disposition": f'attachment; filename="conflicts.{ending}"', "Cache-Control": "no-store"}
            return StreamingResponse(lines, media_type=media, headers=named)

        return Route(f"{EXPORTS}.{ending}", download, methods=["GET"])

    async def rules(request: Request) -> Response:
        token = token_in(request.headers.get("cookie", ""))
        found = None if token is None else await accounts.who(database(), token)
        if found is None:
            return PlainTextResponse("Sign in first.", 401)
        kept = await conflict_rules.exported(database(), found.actor)
        if isinstance(kept, Refusal):
            return PlainTextResponse(kept.message, kept.status)
        named = {"Content-Disposition": 'attachment; filename="conflict-rules.json"', "Cache-Control": "no-store"}
        return JSONResponse(kept, headers=named)

    return [
        Route(f"{EXPORTS}/rules.json", rules, methods=["GET"]),
        route("csv", "text/csv; charset=utf-8", conflicts_files.export_csv),
        route("ndjson", "application/x-ndjson", conflicts_files.export_json),
    ]
