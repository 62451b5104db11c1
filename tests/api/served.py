"""The API alone, for a server process: what a fuzzer talks to over a socket."""

from __future__ import annotations

from starlette.applications import Starlette

from dashboard.api.app import api_mount


def create() -> Starlette:
    return Starlette(routes=[api_mount()])
