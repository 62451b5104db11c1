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
from sync_core.services import accounts, differences, differences_export
from sync_core.services.actor import Actor
from sync_core.services.records import Part, read_record, whole_text
from sync_core.services.report_export import Export, Format, Only, export
from sync_core.store.database import get_database

_SIGN_IN = PlainTextResponse("Sign in to download this.", status_code=401)
_NOTHING = PlainTextResponse("There is no such file.", status_code=404)


async def plan(request: Request) -> Response:
    actor = await _who(request)
    if actor is None:
        return _SIGN_IN
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
    return _answer(await export(get_database(), actor, session_id, wanted, only=only))


async def beside(request: Request) -> Response:
    """How two runs differ."""
    actor = await _who(request)
    if actor is None:
        return _SIGN_IN
    words, path = request.query_params, request.path_params
    only = differences.kind_of(words.get("entity"), words.get("from"), words.get("to"))
    try:
        one, other, wanted = UUID(path["session_id"]), UUID(path["other_id"]), Format(path["format"])
    except ValueError:
        return _NOTHING
    if isinstance(only, Refusal):
        return _NOTHING
    return _answer(await differences_export.export(get_database(), actor, one, other, wanted, only=only))


async def _who(request: Request) -> Actor | None:
    token = cookies.token_in(request.headers.get("cookie", ""))
    found = None if token is None else await accounts.who(get_database(), token)
    return None if found is None else found.actor


def _answer(made: Export | Refusal) -> Response:
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


async def record(request: Request) -> Response:
    """A record with its last sync and history, or the object as Stripe sent it: whole, however long its texts are."""
    actor = await _who(request)
    if actor is None:
        return _SIGN_IN
    try:
        entity, record_id = EntityType(request.path_params["entity"]), UUID(request.path_params["record_id"])
        part = Part(request.path_params["part"])
    except ValueError:
        return _NOTHING
    found = await read_record(get_database(), actor, entity, record_id)
    if isinstance(found, Refusal):
        return PlainTextResponse(found.message, status_code=found.status)
    if part is Part.STRIPE and found.times.raw is None:
        return _NOTHING
    name = f"{found.state.external_id or found.state.record_id}{'-stripe' if part is Part.STRIPE else ''}.json"
    headers = {"content-disposition": f'attachment; filename="{_plain_name(name)}"', "cache-control": "no-store"}
    return Response(whole_text(found, part), media_type="application/json", headers=headers)


def _plain_name(name: str) -> str:
    """An id is Stripe's word: what would end the header's quotes, or is no ASCII, is left out."""
    return "".join(one for one in name if one.isascii() and (one.isalnum() or one in "-_."))


ROUTES = [
    Route("/downloads/records/{entity}/{record_id}/{part}.json", record),
    Route("/downloads/{session_id}.{format}", plan),
    Route("/downloads/{session_id}/beside/{other_id}.{format}", beside),
]
