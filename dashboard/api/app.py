"""The REST API, put together: an application of its own, mounted at /api/v1 beside the dashboard."""

from __future__ import annotations

import re
from collections.abc import Callable

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from prometheus_client import CollectorRegistry, Gauge
from starlette.routing import Mount

from dashboard.api import (
    conflict_routes,
    connection_routes,
    errors,
    health_routes,
    ignored_routes,
    rule_routes,
    schedule_routes,
    sync_routes,
    webhook_routes,
)
from dashboard.api.docs import docs_page
from dashboard.api.middleware import BodyLimit, Meter
from sync_core.settings import Settings, get_settings
from sync_core.store.database import Database, get_database

PREFIX = "/api/v1"
_ABOUT = (
    "Syncs a Stripe account into the workspace's own tables. Send the key in `X-API-Key` and the workspace's id in"
    ' `X-Workspace-ID`. Every error is `{"error": {"code", "message", "details"}}`; `details.field` names what it is about.'
)


def create_api(
    database: Callable[[], Database] = get_database, settings: Callable[[], Settings] = get_settings
) -> FastAPI:
    """Nothing is opened here: the server forks after it has made this."""
    api = FastAPI(
        title="Cyphera Sync",
        version="1",
        description=_ABOUT,
        servers=[{"url": PREFIX}],
        root_path_in_servers=False,
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        telemetry={"tracing": False},
    )
    api.state.database = database
    api.state.settings = settings
    api.state.registry = CollectorRegistry()
    api.state.runs = Gauge(
        "cyphera_open_runs", "Runs that are not at their end", ["state"], registry=api.state.registry
    )
    errors.install(api)
    for module in (
        connection_routes,
        sync_routes,
        rule_routes,
        schedule_routes,
        ignored_routes,
        conflict_routes,
        webhook_routes,
        health_routes,
    ):
        api.include_router(module.router)
    api.add_api_route("/docs", lambda: HTMLResponse(docs_page(api.openapi())), include_in_schema=False)
    api.add_middleware(BodyLimit)
    api.add_middleware(Meter, registry=api.state.registry)
    return api


def api_mount(
    database: Callable[[], Database] = get_database, settings: Callable[[], Settings] = get_settings
) -> Mount:
    mount = Mount(PREFIX, app=create_api(database, settings), name="api")
    # Starlette's pattern ends at an encoded line break, and would hand such an address to the dashboard.
    mount.path_regex = re.compile(mount.path_regex.pattern, re.DOTALL)
    return mount
