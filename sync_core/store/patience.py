"""Waiting for a database that is away: a cut connection, a restart, a full disk. A statement that is wrong is not waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import psycopg
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from sync_core.errors import TransientError

log = structlog.get_logger()
T = TypeVar("T")

PATIENCE_SECONDS = 60.0
_FIRST_DELAY = 0.2
# psycopg sorts it with what passes, but it is the row that is too large, for an index.
TOO_LARGE = psycopg.errors.ProgramLimitExceeded
_GONE = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, ConnectionError)


async def patiently(
    attempt: Callable[[], Awaitable[T]],
    *,
    longest_delay: float = 5.0,
    on_away: Callable[[str], None] | None = None,
) -> T:
    """Do it, again while the database is away; it must bear being done twice. Raises TransientError after a minute of that.

    `on_away` hears the reason each time.
    """
    since: float | None = None
    delay = _FIRST_DELAY
    while True:
        try:
            return await attempt()
        except (*_GONE, DBAPIError) as gone:
            heed_cancel()
            if not is_away(gone):
                raise
            since = time.monotonic() if since is None else since
            waited, reason = time.monotonic() - since, reason_of(gone)
            if waited >= PATIENCE_SECONDS:
                raise TransientError(f"the database did not answer for {waited:.0f} s: {reason}") from gone
            log.warning("database.away", error=reason, waited=round(waited, 1))
        if on_away is not None:
            on_away(reason)
        await asyncio.sleep(min(delay, longest_delay))
        delay *= 2


def heed_cancel() -> None:
    """Go on being cancelled. A statement that is cut short may end in a rollback that fails, whose error hides the cancelling."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def is_away(error: BaseException) -> bool:
    """Connection cut, server restarting, disk full: it may work later. A statement that is wrong will not."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or (error.orig is not None and is_away(error.orig))
    return isinstance(error, _GONE) and not isinstance(error, TOO_LARGE)


def reason_of(error: BaseException) -> str:
    """What the database said, in one line and without the statement."""
    said = str(error.orig if isinstance(error, DBAPIError) and error.orig is not None else error)
    return said.splitlines()[0] if said else type(error).__name__
