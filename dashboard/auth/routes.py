"""Signing in and out, and the first owner's set-up, on routes of their own beside the pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from dashboard.auth import cookies
from dashboard.auth.doors import closed_page, setup_page, sign_in_page
from dashboard.auth.origins import from_elsewhere, local_path
from sync_core.errors import Refusal
from sync_core.services import accounts
from sync_core.store.database import get_database

Handler = Callable[[Request], Awaitable[Response]]
_MOST_BODY_BYTES = 16 * 1024
_NO_STORE = {"cache-control": "no-store"}


def own_site(handler: Handler) -> Handler:
    """Refuses what another site posts, and bodies no form of ours makes."""

    async def checked(request: Request) -> Response:
        if from_elsewhere(dict(request.scope["headers"])):
            return PlainTextResponse("This form was sent from another site.", status_code=403)
        length = request.headers.get("content-length", "")
        if not length.isdigit() or int(length) > _MOST_BODY_BYTES:
            return PlainTextResponse("The form is too large.", status_code=413)
        return await handler(request)

    return checked


async def show_sign_in(request: Request) -> Response:
    after = local_path(request.query_params.get("next", "/"))
    token = cookies.token_in(request.headers.get("cookie", ""))
    if token is not None and await accounts.who(get_database(), token) is not None:
        return RedirectResponse(after, status_code=303)
    return _page(sign_in_page(after=after))


@own_site
async def sign_in(request: Request) -> Response:
    form = await request.form()
    email, after = _text(form, "email"), local_path(_text(form, "next") or "/")
    answer = await accounts.sign_in(
        get_database(),
        email=email,
        password=_text(form, "password"),
        address=request.client.host if request.client else "unknown",
        user_agent=request.headers.get("user-agent", ""),
    )
    if isinstance(answer, Refusal):
        return _page(sign_in_page(after=after, email=email[:254], refusal=answer), answer.status)
    return await _let_in(request, answer, after)


@own_site
async def sign_out(request: Request) -> Response:
    token = cookies.token_in(request.headers.get("cookie", ""))
    if token is not None:
        await accounts.sign_out(get_database(), token)
    response = RedirectResponse("/auth/sign-in", status_code=303)
    cookies.take_back(response)
    return response


async def show_setup(request: Request) -> Response:
    """Only looks: link scanners open links, and must not use them up."""
    token = request.query_params.get("token", "")
    if not await accounts.setup_is_open(get_database(), token):
        return _page(closed_page(accounts.LINK_USED), accounts.LINK_USED.status)
    return _page(setup_page(token=token))


@own_site
async def set_up(request: Request) -> Response:
    form = await request.form()
    token, email, name = _text(form, "token"), _text(form, "email"), _text(form, "name")
    answer = await accounts.set_up(
        get_database(),
        token=token,
        email=email,
        password=_text(form, "password"),
        name=name,
        user_agent=request.headers.get("user-agent", ""),
    )
    if isinstance(answer, Refusal):
        closed = answer.field == "token"
        page = (
            closed_page(answer)
            if closed
            else setup_page(token=token, name=name[:254], email=email[:254], refusal=answer)
        )
        return _page(page, answer.status)
    return await _let_in(request, answer, "/")


async def _let_in(request: Request, token: str, after: str) -> Response:
    """A session that the browser had before ends: the new one never continues it."""
    old = cookies.token_in(request.headers.get("cookie", ""))
    if old is not None:
        await accounts.sign_out(get_database(), old)
    response = RedirectResponse(after, status_code=303)
    cookies.give(response, token)
    return response


def _page(html: str, status: int = 200) -> Response:
    return HTMLResponse(html, status_code=status, headers=_NO_STORE)


def _text(form: FormData, name: str) -> str:
    value = form.get(name)
    return value if isinstance(value, str) else ""


ROUTES = [
    Route("/auth/sign-in", show_sign_in, methods=["GET"]),
    Route("/auth/sign-in", sign_in, methods=["POST"]),
    Route("/auth/sign-out", sign_out, methods=["POST"]),
    Route("/auth/setup", show_setup, methods=["GET"]),
    Route("/auth/setup", set_up, methods=["POST"]),
]
