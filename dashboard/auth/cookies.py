"""The session's cookie: out of reach of scripts, and bound to this host where the connection is encrypted."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie

from starlette.responses import Response

from sync_core.services.accounts import SESSION_LASTS
from sync_core.settings import get_settings

_MOST_TOKEN_CHARACTERS = 128


def is_https() -> bool:
    return get_settings().origin.startswith("https://")


def cookie_name() -> str:
    """Browsers take a `__Host-` cookie from this very host over TLS only, so a sibling domain can't plant one."""
    return "__Host-sid" if is_https() else "sid"


def token_in(header: str) -> str | None:
    """The session's token in a Cookie header. None for no such cookie, and for anything malformed."""
    try:
        morsel = SimpleCookie(header).get(cookie_name())
    except CookieError:
        return None
    if morsel is None or not 0 < len(morsel.value) <= _MOST_TOKEN_CHARACTERS:
        return None
    return morsel.value


def give(response: Response, token: str) -> None:
    response.set_cookie(
        cookie_name(),
        token,
        max_age=int(SESSION_LASTS.total_seconds()),
        path="/",
        secure=is_https(),
        httponly=True,
        samesite="lax",
    )


def take_back(response: Response) -> None:
    response.delete_cookie(cookie_name(), path="/", secure=is_https(), httponly=True, samesite="lax")
