"""Headers that every answer carries. A part that knows better (the API's documents) sends its own and keeps it."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.auth.cookies import is_https
from dashboard.auth.origins import allowed_origins

_INLINE = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)


class SecurityHeaders:
    """`bundle` is the folder of the built front end, whose inline scripts are allowed by their hashes."""

    def __init__(self, app: ASGIApp, bundle: Path) -> None:
        self._app = app
        self._bundle = bundle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _headers(self._bundle).items():
                    headers.setdefault(name, value)
                if "text/html" in headers.get("content-type", ""):
                    # Pages name their bundle's files; an old page would ask for files that are gone.
                    headers.setdefault("cache-control", "no-cache")
            await send(message)

        await self._app(scope, receive, with_headers)


@lru_cache(maxsize=4)
def _headers(bundle: Path) -> dict[str, str]:
    headers = {
        "content-security-policy": _policy(bundle),
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        # `no-referrer` would make browsers send `Origin: null` with our own forms.
        "referrer-policy": "same-origin",
        "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=()",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }
    if is_https():
        headers["strict-transport-security"] = "max-age=31536000; includeSubDomains"
    return headers


def _policy(bundle: Path) -> str:
    # A policy can't name an IPv6 address; there 'self' alone has to do, which today's browsers take for the socket too.
    sockets = " ".join(origin.replace("http", "ws", 1) for origin in allowed_origins() if "[" not in origin)
    scripts = " ".join(f"'sha256-{one}'" for one in sorted(inline_hashes(bundle)))
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src 'self' {scripts}".rstrip(),
            # Emotion writes the few computed styles (a progress bar's width) into the page.
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data:",
            f"connect-src 'self' {sockets}",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


def inline_hashes(bundle: Path) -> set[str]:
    """SHA-256 of every inline script in the built pages: React Router boots from them."""
    return {
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        for page in bundle.rglob("*.html")
        for script in _INLINE.findall(page.read_text())
    }
