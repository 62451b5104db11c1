"""Reflex's own configuration. Nothing here depends on where the dashboard is served: one build fits every port and host."""

from __future__ import annotations

from typing import Any

import reflex as rx

from dashboard.auth.origins import allowed_origins

_FIXED = "endpoint.hostname = frontend_hostname;"
_SAME_ORIGIN = "endpoint.host = window.location.host;"
_PORT_DROPPED = 'endpoint.port = "";'


def _same_origin(source: str) -> str:
    """Reflex bakes the port into the bundle and drops it under https; the websocket is always where the page came from."""
    if _SAME_ORIGIN in source:
        return source  # a second build finds what the first one left
    if _FIXED not in source or _PORT_DROPPED not in source:
        raise RuntimeError("Reflex's getBackendURL has changed: look at rxconfig.py's SameOrigin.")
    return source.replace(_FIXED, _SAME_ORIGIN).replace(_PORT_DROPPED, "")


class SameOrigin(rx.plugins.Plugin):
    def pre_compile(self, **context: Any) -> None:
        context["add_modify_task"]("utils/state.js", _same_origin)


config = rx.Config(
    app_name="dashboard",
    api_url="http://localhost:3000",
    deploy_url="http://localhost:3000",
    frontend_port=3000,
    backend_port=3000,
    cors_allowed_origins=allowed_origins(),
    state_manager_mode="memory",
    telemetry_enabled=False,
    show_built_with_reflex=False,
    default_color_mode="system",
    plugins=[SameOrigin()],
    disable_plugins=[rx.plugins.SitemapPlugin],
    hydrate_fallback="dashboard.components.boot.boot_skeleton",
)
