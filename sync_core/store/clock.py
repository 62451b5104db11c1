"""The one clock that all workers share: PostgreSQL's, carried on between readings by this machine's steady one."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import text

from sync_core.store.database import Database

_NOW = text("SELECT extract(epoch FROM clock_timestamp())::float8")


async def shared_clock(database: Database) -> Callable[[], float]:
    """Epoch seconds, never ahead of PostgreSQL's.

    When a request to Stripe began decides which of two views of an object is the newer. Two workers, or one whose clock was set, would
    each be right by a clock of its own, and a newer view could lose.
    """
    async with database.system() as session:
        read: float = (await session.execute(_NOW)).scalar_one()
    at = time.monotonic()
    return lambda: read + (time.monotonic() - at)
