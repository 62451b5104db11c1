"""Pages are served where they were asked for.

The bundle keeps a page in a folder of its name, and the static server sends a browser there by an absolute address: behind a proxy
that ends TLS it would be one without TLS.
"""

from __future__ import annotations

from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send


class PageFolders:
    def __init__(self, app: ASGIApp, bundle: Path) -> None:
        self._app = app
        self._bundle = bundle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._is_page(scope["path"]):
            scope = {**scope, "path": f"{scope['path']}/"}
        await self._app(scope, receive, send)

    def _is_page(self, path: str) -> bool:
        if path.endswith("/") or ".." in path or "\0" in path:
            return False
        return self._bundle.joinpath(path.lstrip("/"), "index.html").is_file()
