"""`make run`: everything a newcomer needs, in order, and the dashboard at the end. May be repeated at any time.

This process starts the others (PostgreSQL, the sandbox, the server) and ends them when it ends.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from contextlib import ExitStack
from types import FrameType

from pydantic import ValidationError

from dashboard.frontend import ROOT, build_once
from sync_core.bootstrap import Started, first_start, prepare_schema
from sync_core.errors import ConfigError
from sync_core.sandbox.launch import SandboxProcess
from sync_core.settings import Settings, get_settings

_CONFIGURED_BY = ("DATABASE_URL", "STRIPE_SECRET_KEY", "STRIPE_API_BASE", "DEMO", "PUBLIC_URL")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m dashboard.run", description=__doc__)
    parser.add_argument("--build-only", action="store_true", help="build the front end, if need be, and end")
    build_only: bool = parser.parse_args().build_only
    os.chdir(ROOT)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if build_only:
            build_once()
            return 0
        return _run()
    except ValidationError as wrong:
        problems = "; ".join(f"{str(one['loc'][0]).upper()}: {one['msg']}" for one in wrong.errors())
        return _fail(problems)
    except ConfigError as wrong:
        return _fail(str(wrong))
    except KeyboardInterrupt:
        return 0


def _run() -> int:
    settings = _settings()
    _check_port(settings.port)
    with ExitStack() as stack:
        _say("Database")
        url = _database(settings, stack)
        prepare_schema(url)
        if settings.demo:
            _say("Sandbox")
            _sandbox(settings, stack)
        _say("Front end (the first time takes a minute)")
        build_once()
        started = asyncio.run(_first_start(url, settings))
        _announce(started, settings)
        _serve(settings)
    return 0


def _settings() -> Settings:
    """A machine on which nothing is configured gets the demo."""
    get_settings.cache_clear()
    settings = get_settings()
    untouched = settings.database_url is None and settings.stripe_secret_key is None and settings.public_url is None
    if untouched and not settings.demo and not any(os.environ.get(name) for name in _CONFIGURED_BY):
        os.environ["DEMO"] = "1"
        get_settings.cache_clear()
        settings = get_settings()
    return settings


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as taken:
            raise ConfigError(f"Port {port} is in use. Stop what uses it, or set PORT.") from taken


def _database(settings: Settings, stack: ExitStack) -> str:
    """Its address, handed to children by the environment: they don't hold an embedded server open."""
    from sync_core.store import embedded

    url = embedded.database_url(settings)
    stack.callback(embedded.stop, settings)
    os.environ["DATABASE_URL"] = url
    return url


def _sandbox(settings: Settings, stack: ExitStack) -> None:
    try:
        stack.enter_context(SandboxProcess(port=settings.sandbox_port))
    except RuntimeError as failed:
        raise ConfigError(
            f"The sandbox did not start on port {settings.sandbox_port} (set SANDBOX_PORT): {failed}"
        ) from failed


async def _first_start(url: str, settings: Settings) -> Started:
    from sync_core.store.database import Database

    database = Database(url, pool_size=2)
    try:
        return await first_start(database, settings)
    finally:
        await database.dispose()


def _serve(settings: Settings) -> None:
    """One process, one port: pages, websocket and API. Without PUBLIC_URL only this machine reaches it."""
    os.environ |= {
        "REFLEX_ENV_MODE": "prod",
        "__REFLEX_SKIP_COMPILE": "true",
        "__REFLEX_MOUNT_FRONTEND_COMPILED_APP": "true",
    }
    from granian.constants import Interfaces, Loops
    from granian.log import LogLevels
    from granian.server import Server

    server = Server(
        "dashboard.dashboard:app",
        address="0.0.0.0" if settings.public_url else "127.0.0.1",  # noqa: S104 - PUBLIC_URL says that it is meant to be reached
        port=settings.port,
        interface=Interfaces.ASGI,
        factory=True,
        loop=Loops.uvloop,
        log_level=LogLevels.warning,
        workers_kill_timeout=10,
    )
    server.serve()


def _announce(started: Started, settings: Settings) -> None:
    for note in started.notes:
        _say(f"Note: {note}")
    if started.setup_url is not None:
        _say(f"Set up the first owner (the link works once, within a day): {started.setup_url}")
    _say(f"Cyphera Sync: {settings.origin}")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _fail(reason: str) -> int:
    sys.stderr.write(f"cyphera: {' '.join(reason.split())}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
