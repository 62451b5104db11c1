"""Reflex's own configuration. Nothing here depends on where the dashboard is served: one build fits every port and host."""

from __future__ import annotations

from typing import Any

import reflex as rx
from reflex.compiler.utils import get_page_path

from dashboard.auth.origins import allowed_origins

_FIXED = "endpoint.hostname = frontend_hostname;"
_SAME_ORIGIN = "endpoint.host = window.location.host;"
_PORT_DROPPED = 'endpoint.port = "";'
_ROUTER = "createElement(HydratedRouter)"
_ROUTER_AT_ONCE = "createElement(HydratedRouter, { useTransitions: false })"
_EXPORTED = "export default Component;"
_MEMOISED = 'import { memo } from "react";\nexport default memo(Component, () => true);'


def _same_origin(source: str) -> str:
    """Reflex bakes the port into the bundle and drops it under https; the websocket is always where the page came from."""
    if _SAME_ORIGIN in source:
        return source  # a second build finds what the first one left
    if _FIXED not in source or _PORT_DROPPED not in source:
        raise RuntimeError("Reflex's getBackendURL has changed: look at rxconfig.py's SameOrigin.")
    return source.replace(_FIXED, _SAME_ORIGIN).replace(_PORT_DROPPED, "")


_FULL = "socket.current.auth = bootAuth(false);"
_DIFFERENCE = "socket.current.auth = bootAuth(true);\n      returned = true;"
_MESSAGE = 'socket.current.on("event", (update) => {'
_DELTA = "const delta = withoutUnknownSubstates(update.delta);"
_MERGED = "const delta = withDefaults(withoutUnknownSubstates(update.delta));"
_DEFAULTS = """let returned = false;
  const withDefaults = (delta) => {
    if (!returned || delta?.[app.state_name]?.is_hydrated_rx_state_ !== false) return delta;
    returned = false;
    return Object.fromEntries(
      Object.entries(app.initialState).map(([name, values]) => [name, { ...values, ...delta[name] }]),
    );
  };
"""


def _returned(source: str) -> str:
    """A tab that comes back is told what differs from the bundle's defaults, as a new one is, and puts the rest back to them itself. Reflex
    tells it all the variables of all pages, which is 18 kB though nothing is on them.
    """
    if _DEFAULTS in source:
        return source
    if not all(source.count(part) == 1 for part in (_FULL, _MESSAGE, _DELTA)):
        raise RuntimeError("Reflex's way to reconnect has changed: look at rxconfig.py's Returned.")
    merged = source.replace(_FULL, _DIFFERENCE).replace(_DELTA, _MERGED)
    return merged.replace(_MESSAGE, f"{_DEFAULTS}  {_MESSAGE}")


class SameOrigin(rx.plugins.Plugin):
    def pre_compile(self, **context: Any) -> None:
        context["add_modify_task"]("utils/state.js", _same_origin)


class Returned(rx.plugins.Plugin):
    def pre_compile(self, **context: Any) -> None:
        context["add_modify_task"]("utils/state.js", _returned)


def _replaced(source: str, old: str, new: str) -> str:
    if new in source:
        return source  # as above
    if old not in source:
        raise RuntimeError(f"Reflex makes no “{old}” any more: look at rxconfig.py's DrawnOnce.")
    return source.replace(old, new)


class DrawnOnce(rx.plugins.Plugin):
    """A page reads all it shows from state, nothing from its props: another address of the same page is no reason to draw it anew. And the
    server is asked once the address has changed, which is not left to when React finds time (a transition).
    """

    def pre_compile(self, **context: Any) -> None:
        context["add_modify_task"]("app/entry.client.js", lambda source: _replaced(source, _ROUTER, _ROUTER_AT_ONCE))
        for page in context["unevaluated_pages"]:
            context["add_modify_task"](
                get_page_path(page.route), lambda source: _replaced(source, _EXPORTED, _MEMOISED)
            )


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
    plugins=[SameOrigin(), Returned(), DrawnOnce()],
    disable_plugins=[rx.plugins.SitemapPlugin],
    hydrate_fallback="dashboard.components.boot.boot_skeleton",
)
