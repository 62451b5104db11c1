"""The gate before everything: pages and the websocket are for people who are signed in; the rest passes by name."""

from __future__ import annotations

from urllib.parse import quote

from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from dashboard.auth.cookies import token_in
from dashboard.auth.origins import from_elsewhere
from sync_core.services import accounts
from sync_core.store.database import get_database

# The API asks for its keys itself. The bundle holds nothing secret: it is the same for everyone.
_OPEN = ("/api/v1/", "/auth/", "/assets/", "/fonts/")
_OPEN_FILES = frozenset({"/app.css", "/theme.js", "/ui.js", "/keynav.js", "/favicon.svg", "/favicon.ico", "/ping"})
_CLOSED_SOCKET = 4401


class Gate:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or _passes(scope):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if scope["type"] == "websocket":
            if from_elsewhere(headers) or not await _signed_in(headers):
                await send({"type": "websocket.close", "code": _CLOSED_SOCKET})
                return
        elif not await _signed_in(headers):
            await _turned_away(scope)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _passes(scope: Scope) -> bool:
    path: str = scope["path"]
    if scope["type"] == "websocket" or ".." in path:
        return False
    return path.startswith(_OPEN) or path in _OPEN_FILES


async def _signed_in(headers: dict[bytes, bytes]) -> bool:
    token = token_in(headers.get(b"cookie", b"").decode("latin-1"))
    return token is not None and await accounts.who(get_database(), token) is not None


def _turned_away(scope: Scope) -> Response:
    if scope["method"] not in ("GET", "HEAD"):
        return PlainTextResponse("Sign in first.", status_code=401)
    query = scope["query_string"].decode("latin-1")
    wanted = scope["path"] + (f"?{query}" if query else "")
    where = "/auth/sign-in" if wanted == "/" else f"/auth/sign-in?next={quote(wanted, safe='')}"
    return RedirectResponse(where, status_code=303)
