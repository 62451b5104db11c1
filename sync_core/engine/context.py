"""What every phase of a run is handed: the run, its lease, its source and its store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import psycopg
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.vocabulary import EntityType
from sync_core.errors import TransientError
from sync_core.store.database import Database, DbRole
from sync_core.store.planning import Scope
from sync_core.store.run_state import RunRow
from sync_core.store.runs import Held, role_of
from sync_core.stripe_source import Governor, StripeSource

log = structlog.get_logger()
T = TypeVar("T")

_DATABASE_PATIENCE_SECONDS = 60.0
_GONE = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, ConnectionError)


@dataclass(slots=True)
class Tally:
    """What the run did since it was last taken up; the heartbeat carries it to the screen."""

    requests: int = 0
    landed: int = 0
    planned: int = 0


@dataclass(slots=True)
class Run:
    database: Database
    held: Held
    row: RunRow
    source: StripeSource
    governor: Governor
    tally: Tally = field(default_factory=Tally)

    @property
    def role(self) -> DbRole:
        return role_of(self.row.config)

    @property
    def scope(self) -> Scope:
        return Scope(
            workspace_id=self.held.workspace_id,
            session_id=self.held.session_id,
            staged_id=self.row.source_session_id or self.held.session_id,
            fence=self.held.fence,
            account=self.row.connection.account_id,
            livemode=self.row.connection.livemode,
            dry_run=self.row.config.dry_run,
            match_by_email=self.row.config.match_by_email,
        )

    @property
    def is_applied_plan(self) -> bool:
        return self.row.source_session_id is not None

    def requested(self, entity: EntityType) -> bool:
        return entity in self.row.config.entity_types

    @asynccontextmanager
    async def session(self, *, by_key: bool = False) -> AsyncIterator[AsyncSession]:
        """One transaction under the run's role."""
        workspace_id = self.held.workspace_id
        async with self.database.workspace(workspace_id, role=self.role, by_key=by_key, leased=True) as session:
            yield session

    async def write(self, work: Callable[[AsyncSession], Awaitable[T]], *, by_key: bool = False) -> T:
        """Do `work` in one transaction, again while the database is away. It must bear being done twice."""
        waited, delay = 0.0, 0.2
        while True:
            try:
                async with self.session(by_key=by_key) as session:
                    return await work(session)
            except (*_GONE, DBAPIError) as gone:
                heed_cancel()
                if not _is_away(gone):
                    raise
                if waited >= _DATABASE_PATIENCE_SECONDS:
                    raise TransientError(f"the database did not answer for {waited:.0f} s: {gone}") from gone
                log.warning("database.away", error=str(gone).splitlines()[0], waited=round(waited, 1))
            await asyncio.sleep(delay)
            waited, delay = waited + delay, min(delay * 2, 5.0)


def heed_cancel() -> None:
    """Go on being cancelled. A statement that is cut short may end in a rollback that fails, whose error hides the cancelling."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _is_away(error: BaseException) -> bool:
    """Connection cut, server restarting, disk full: it may work later. A statement that is wrong will not."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or isinstance(error.orig, _GONE)
    return True
