"""The one place that opens sessions. Each is one transaction, under one role, in one workspace.

The login role only migrates. A session's first statement takes one of three roles that own nothing and bypass nothing, for the length of
the transaction (`SET LOCAL`), so a pooled connection can carry nothing into the next one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any, cast
from uuid import UUID

import psycopg
from psycopg.sql import quote
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from sync_core.store.patience import heed_cancel

# Filled in with quoted values: a text with parameters may hold one statement only.
_ENTER = (
    "SELECT set_config('role', %(role)s, true), set_config('app.workspace_id', %(workspace)s, true),"
    " set_config('app.user_id', %(user)s, true)"
)

# A batch touches a thousand known rows of tables that may have been empty when last analysed: whatever the statistics say, each row is
# to be found by its key. (50,000 customers without this: 1,753 µs of PostgreSQL an object; with it: see ARCHITECTURE.md.)
_OFF = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin")
# A worker that was stopped in the middle of a batch must not hold its locks for longer than its lease.
_LIMITS = ("statement_timeout", "idle_in_transaction_session_timeout")
_BY_KEY = ", ".join(
    [f"set_config('{name}', 'off', true)" for name in _OFF] + [f"set_config('{name}', '10s', true)" for name in _LIMITS]
)
_ENTER_BY_KEY = f"{_ENTER}, {_BY_KEY}"
_ENTER_LEASED = f"{_ENTER}, set_config('idle_in_transaction_session_timeout', '10s', true)"

_UNKNOWN = text(
    "SELECT relname FROM pg_class WHERE relname = ANY(:tables) AND relkind = 'r' AND relnamespace = 'public'::regnamespace"
    " AND reltuples * 10 <= :rows"
)


class DbRole(StrEnum):
    APP = "cyphera_app"
    DRY_RUN = "cyphera_dryrun"
    SYSTEM = "cyphera_system"


def sync_url(url: str) -> str:
    """The address with the driver that all of this project uses, for blocking and awaiting callers alike."""
    return make_url(url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


class Database:
    """Holds the pool. Make one per process and event loop; `dispose` it at the end."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.url = sync_url(url)
        self.engine: AsyncEngine = create_async_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=pool_size,
            # What a backend has touched and planned once costs it little again: few of them do most of the work.
            pool_use_lifo=True,
            # A prepared plan made while a table was empty stays bad as it fills (20,000 rows: 14.8 s against 8.8 s).
            connect_args={
                "prepare_threshold": None,
                "application_name": "cyphera-sync",
                "connect_timeout": 10,
                # A server that is gone without a word, as behind a broken network, is noticed within half a minute.
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "tcp_user_timeout": 25_000,
            },
        )
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self._most_connections = 2 * pool_size

    async def dispose(self) -> None:
        await self.engine.dispose()

    @asynccontextmanager
    async def workspace(
        self,
        workspace_id: UUID,
        *,
        role: DbRole = DbRole.APP,
        user_id: UUID | None = None,
        by_key: bool = False,
        leased: bool = False,
        prepares: Sequence[str] = (),
    ) -> AsyncIterator[AsyncSession]:
        """Sees this workspace only. Commits at the end of the block, rolls back on an exception.

        `by_key` plans every statement as lookups by index, for batches of known rows. `leased` (and `by_key` too) ends a
        transaction that is left idle for ten seconds: a worker that was stopped must not keep its run's lease from the next one.
        `prepares` are statements that go with the opening, on the same way to PostgreSQL.
        """
        enter = _ENTER_BY_KEY if by_key else _ENTER_LEASED if leased else _ENTER
        who = {"role": role.value, "workspace": str(workspace_id), "user": "" if user_id is None else str(user_id)}
        async with self._opened(enter, who, prepares) as session:
            yield session

    @asynccontextmanager
    async def _opened(
        self, enter: str, who: dict[str, str], prepares: Sequence[str] = ()
    ) -> AsyncIterator[AsyncSession]:
        """One transaction. A pooled connection that has died meanwhile shows at its beginning, before anything was done, and gives way
        to the next: to ask each one first whether it lives costs a round trip and 230 µs of CPU a transaction.
        """
        for left in reversed(range(self._most_connections + 1)):
            stale = False
            try:
                async with self._sessions.begin() as session:
                    connection = await driver(session)
                    stale = True
                    await _begin(connection, enter, who, prepares)
                    stale = False
                    session.info["role"] = who["role"]
                    yield session
            except (psycopg.OperationalError, psycopg.InterfaceError, DBAPIError):
                heed_cancel()
                if not stale or not left:
                    raise
            else:
                return

    async def refresh_statistics(self, tables: Sequence[str], rows: int) -> None:
        """Have PostgreSQL look again at those of the tables that it takes for a tenth of `rows` or less.

        A first sync fills empty tables faster than autovacuum looks, and a planner that knows of no rows takes any index for good.
        Done by the login role, which owns the tables; where it does not, PostgreSQL warns and goes on.
        """
        async with self.engine.begin() as connection:
            found = await connection.execute(_UNKNOWN, {"tables": list(tables), "rows": rows})
            for name in found.scalars().all():
                await connection.execute(text(f"ANALYZE {name}"))

    @asynccontextmanager
    async def system(self) -> AsyncIterator[AsyncSession]:
        """For what happens before a workspace is known: sign-in, first start, the tick. Sees no record and no staged object."""
        who = {"role": DbRole.SYSTEM.value, "workspace": "", "user": ""}
        async with self._opened(_ENTER, who) as session:
            yield session


async def _begin(
    connection: psycopg.AsyncConnection[Any], enter: str, who: dict[str, str], prepares: Sequence[str]
) -> None:
    """The opening and what it prepares, in one text and so in one round trip."""
    opening = enter % {name: quote(value) for name, value in who.items()}
    await connection.execute("; ".join([opening, *prepares]))


async def driver(session: AsyncSession) -> psycopg.AsyncConnection[Any]:
    """The psycopg connection under a session, in the session's transaction: for COPY and the counted hot statements."""
    raw = await (await session.connection()).get_raw_connection()
    return cast("psycopg.AsyncConnection[Any]", raw.driver_connection)


async def in_index_order(session: AsyncSession) -> None:
    """For the rest of the transaction: what an index has in the order asked for is read in it, up to the limit.

    The planner has no statistics of workspaces and sessions (the first migration says why). It takes each for a few rows, which it would
    read whole and sort: a page of a plan of 100,000 took 106 ms, and takes 1 ms.
    """
    connection = await driver(session)
    await connection.execute("SELECT set_config('enable_sort', 'off', true)")


_database: Database | None = None


def get_database() -> Database:
    """The process's own database, made at first use (the server forks after importing)."""
    global _database  # noqa: PLW0603 - one pool per process is the point
    if _database is None:
        from sync_core.store.embedded import database_url

        _database = Database(database_url())
    return _database
