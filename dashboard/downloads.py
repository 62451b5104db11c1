"""Files to take away, for whoever is signed in in the browser. They are streamed: a plan may be a hundred megabytes."""

from __future__ import annotations

from uuid import UUID

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from dashboard.auth import cookies
from sync_core.domain.fields import NAMES
from sync_core.domain.vocabulary import Action, EntityType, ReasonCode
from sync_core.errors import Refusal
from sync_core.services import accounts
from sync_core.services.report_export import Format, Only, export
from sync_core.store.database import get_database

_NOTHING = PlainTextResponse("There is no such file.", status_code=404)


async def plan(request: Request) -> Response:
    token = cookies.token_in(request.headers.get("cookie", ""))
    found = None if token is None else await accounts.who(get_database(), token)
    if found is None:
        return PlainTextResponse("Sign in to download this.", status_code=401)
    words = request.query_params
    try:
        session_id, wanted = UUID(request.path_params["session_id"]), Format(request.path_params["format"])
        only = Only(
            EntityType(words["entity"]) if words.get("entity") else None,
            Action(words["action"]) if words.get("action") else None,
            ReasonCode(words["reason"]) if words.get("reason") else None,
            _field(words.get("field")),
        )
    except ValueError:
        return _NOTHING
    made = await export(get_database(), found.actor, session_id, wanted, only=only)
    if isinstance(made, Refusal):
        return PlainTextResponse(made.message, status_code=made.status)
    return StreamingResponse(
        made.chunks,
        media_type=made.content_type,
        headers={"content-disposition": f'attachment; filename="{made.filename}"', "cache-control": "no-store"},
    )


def _field(name: str | None) -> str | None:
    if name and not any(name in names for names in NAMES.values()):
        raise ValueError(name)
    return name or None


ROUTES = [Route("/downloads/{session_id}.{format}", plan)]
