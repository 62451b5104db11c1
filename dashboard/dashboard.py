"""The dashboard, put together in this one place: pages, API, sign-in, headers, and the timer that starts syncs.

Nothing is opened at import. The server imports this before it forks; pools and the timer are made in the lifespan.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import reflex as rx
from starlette.applications import Starlette
from starlette.types import ASGIApp

from dashboard.api.app import api_mount
from dashboard.api.conflict_files import conflict_file_routes
from dashboard.api.forms import form_routes
from dashboard.auth.gate import Gate
from dashboard.auth.headers import SecurityHeaders
from dashboard.auth.routes import ROUTES
from dashboard.downloads import ROUTES as DOWNLOADS
from dashboard.folders import PageFolders
from dashboard.frontend import BUNDLE
from dashboard.navigation import register_pages
from dashboard.returning import Returning, send_in_parts


@asynccontextmanager
async def working() -> AsyncIterator[None]:
    """The server's life: the timer runs once, and the pool is closed behind it."""
    from dashboard.lifetime import follow_parent, keep_what_is_loaded
    from sync_core import logs
    from sync_core.jobs import scheduler
    from sync_core.settings import get_settings
    from sync_core.store.database import get_database

    logs.configure(get_settings())
    keep_what_is_loaded()
    async with follow_parent(), scheduler.running():
        yield
    await get_database().dispose()


def in_folders(inner: ASGIApp) -> ASGIApp:
    return PageFolders(inner, BUNDLE)


def with_headers(inner: ASGIApp) -> ASGIApp:
    return SecurityHeaders(inner, BUNDLE)


app = rx.App(
    html_lang="en",
    stylesheets=["/app.css", "/runs.css"],
    head_components=[
        rx.el.link(rel="icon", href="/favicon.svg", type="image/svg+xml"),
        rx.el.script(src="/ui.js", defer=True),
    ],
    toaster=None,
    app_wraps={},
    api_transformer=[
        in_folders,
        Starlette(routes=[*ROUTES, *form_routes(), *conflict_file_routes(), *DOWNLOADS, api_mount()]),
        Gate,
        with_headers,
    ],
)
register_pages(app)
app.add_middleware(Returning())
send_in_parts(app)
app.register_lifespan_task(working)
