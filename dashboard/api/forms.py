"""Where secrets are typed: plain forms over HTTP, because events are pickled with the page's state and may be logged.

The answer is always a way back to the page, which then shows what came of it.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from dashboard.auth.cookies import token_in
from dashboard.auth.origins import from_elsewhere
from sync_core.errors import Refusal
from sync_core.services import accounts, attempts, connection_webhooks, connections
from sync_core.services.actor import Actor
from sync_core.services.attempts import Typed
from sync_core.settings import Settings, get_settings
from sync_core.store.database import Database, get_database

KEY_FORM = "/forms/connection-key"
DRAFT_FORM = "/forms/connection-draft"
WEBHOOK_FORM = "/forms/webhook-secret"
_MOST_FIELD_BYTES = 4096


def form_routes(
    database: Callable[[], Database] = get_database, settings: Callable[[], Settings] = get_settings
) -> list[Route]:
    async def connection_key(request: Request) -> Response:
        actor = await _actor(request, database())
        if isinstance(actor, Response):
            return actor
        form = await _form(request)
        attempt_id = attempts.begin_key(database(), actor, _text(form, "api_key"), _typed(form), settings=settings())
        return _back(f"attempt={attempt_id}")

    async def connection_draft(request: Request) -> Response:
        actor = await _actor(request, database())
        if isinstance(actor, Response):
            return actor
        form = await _form(request)
        attempt_id = attempts.begin_draft(
            database(),
            actor,
            _text(form, "api_key"),
            _typed(form),
            settings=settings(),
        )
        return _back(f"attempt={attempt_id}")

    async def webhook_secret(request: Request) -> Response:
        actor = await _actor(request, database())
        if isinstance(actor, Response):
            return actor
        secret = _text(await _form(request), "webhook_secret")
        result = await connection_webhooks.set_secret(database(), actor, secret, settings=settings())
        return _back(f"webhook={result.code if isinstance(result, Refusal) else 'saved'}")

    return [
        Route(KEY_FORM, connection_key, methods=["POST"]),
        Route(DRAFT_FORM, connection_draft, methods=["POST"]),
        Route(WEBHOOK_FORM, webhook_secret, methods=["POST"]),
    ]


async def _actor(request: Request, database: Database) -> Actor | Response:
    if from_elsewhere(dict(request.scope["headers"])):
        return PlainTextResponse("This form was sent from another site.", status_code=403)
    token = token_in(request.headers.get("cookie", ""))
    found = None if token is None else await accounts.who(database, token)
    return RedirectResponse("/auth/sign-in", status_code=303) if found is None else found.actor


async def _form(request: Request) -> FormData:
    return await request.form(max_files=0, max_fields=12, max_part_size=_MOST_FIELD_BYTES)


def _text(form: FormData, name: str) -> str:
    value = form.get(name)
    return value[:_MOST_FIELD_BYTES] if isinstance(value, str) else ""


def _typed(form: FormData) -> Typed:
    """What is ticked and entered beside the key."""
    ticked = {one for one in form.getlist("entity_types") if isinstance(one, str)}
    return Typed(
        entity_types=connections.read_by(ticked),
        label=_text(form, "label"),
        mode="live" if _text(form, "mode") == "live" else "test",
    )


def _back(query: str) -> Response:
    return RedirectResponse(f"/connect?{query}", status_code=303)
