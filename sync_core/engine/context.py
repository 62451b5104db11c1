"""What every phase of a run is handed: the run, its lease, its source and its store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.steps import Steps
from sync_core.domain.vocabulary import EntityType
from sync_core.store.database import Database, DbRole
from sync_core.store.patience import patiently
from sync_core.store.planning import Scope
from sync_core.store.run_state import RunRow
from sync_core.store.runs import Held, role_of
from sync_core.stripe_source import Governor, StripeSource

log = structlog.get_logger()
T = TypeVar("T")


@dataclass(slots=True)
class Tally:
    """What the run did since it was last taken up; the heartbeat carries it to the screen."""

    landed: int = 0
    planned: int = 0

    @property
    def moved(self) -> bool:
        return self.landed > 0 or self.planned > 0


@dataclass(slots=True)
class Run:
    database: Database
    held: Held
    row: RunRow
    source: StripeSource
    governor: Governor
    tally: Tally = field(default_factory=Tally)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    steps: Steps = field(init=False)
    _waits: dict[object, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.steps = Steps(self.row.stats, time.time)

    @property
    def trouble(self) -> str:
        """What a write waits for, in words; empty while none does."""
        return next(iter(self._waits.values()), "")

    @property
    def role(self) -> DbRole:
        return role_of(self.row.config)

    @property
    def scope(self) -> Scope:
        """With the run's own staged objects."""
        return Scope(
            workspace_id=self.held.workspace_id,
            session_id=self.held.session_id,
            staged_id=self.held.session_id,
            fence=self.held.fence,
            account=self.row.connection.account_id,
            livemode=self.row.connection.livemode,
            dry_run=self.row.config.dry_run,
            match_by_email=self.row.config.match_by_email,
            plan_id=self.row.source_session_id,
            later=self.row.later,
        )

    @property
    def plan_scope(self) -> Scope:
        """With those of the dry run whose plan is applied. They are only read: what this run fetches, or plans again, is its own."""
        scope = self.scope
        return replace(scope, staged_id=scope.plan_id or scope.session_id)

    @property
    def is_applied_plan(self) -> bool:
        return self.row.source_session_id is not None

    @property
    def plans_all(self) -> bool:
        """Whether everything that this run reads is in its plan."""
        return self.row.config.limit is None and not self.is_applied_plan

    def requested(self, entity: EntityType) -> bool:
        return entity in self.row.config.entity_types

    @asynccontextmanager
    async def session(self, *, by_key: bool = False, prepares: Sequence[str] = ()) -> AsyncIterator[AsyncSession]:
        """One transaction under the run's role."""
        async with self.database.workspace(
            self.held.workspace_id, role=self.role, by_key=by_key, leased=True, prepares=prepares
        ) as session:
            yield session

    async def write(
        self,
        work: Callable[[AsyncSession], Awaitable[T]],
        *,
        by_key: bool = False,
        prepares: Sequence[str] = (),
        longest_delay: float = 5.0,
    ) -> T:
        """Do `work` in one transaction, again while the database is away. It must bear being done twice."""

        async def attempt() -> T:
            async with self.session(by_key=by_key, prepares=prepares) as session:
                return await work(session)

        def note(reason: str) -> None:
            self._waits[attempt] = f"The database did not take a write ({reason}); it is tried again"

        try:
            return await patiently(attempt, longest_delay=longest_delay, on_away=note)
        finally:
            self._waits.pop(attempt, None)
