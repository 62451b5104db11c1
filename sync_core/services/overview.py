"""The first screen: is Stripe connected, when was the last sync, how do the records stand, what is to be done next."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sync_core.domain.vocabulary import EntityType, SessionStatus, SyncStatus
from sync_core.errors import Refusal
from sync_core.services import connections, history
from sync_core.services.actor import Actor, Permission
from sync_core.services.connection_views import ConnectionView
from sync_core.services.history import PastRun
from sync_core.store import overview as store
from sync_core.store.database import Database
from sync_core.store.overview import Count, EntityCounts

RUNS_SHOWN: Final = 12
_FORBIDDEN = Refusal("forbidden", "Your role may not look at this workspace.", status=403)


class StepName(StrEnum):
    CONNECT = "connect"
    DRY_RUN = "dry_run"
    SYNC = "sync"
    REVIEW = "review"


@dataclass(frozen=True, slots=True)
class NextStep:
    """A step on the way to a synced workspace; exactly the first that is not done is `is_next`."""

    name: StepName
    is_done: bool
    is_next: bool


@dataclass(frozen=True, slots=True)
class EntityStanding:
    """Records of one entity type. `in_sync` is what is left when all others are taken off the total."""

    entity: EntityType
    total: Count
    in_sync: Count
    conflicts: Count
    local_edits: Count
    never: Count


@dataclass(frozen=True, slots=True)
class Overview:
    """`running` is the open run, `last` the newest that ended and was no dry run; `runs` are the newest first."""

    connection: ConnectionView | None
    running: PastRun | None
    last: PastRun | None
    standings: tuple[EntityStanding, ...]
    open_conflicts: Count
    steps: tuple[NextStep, ...]
    runs: tuple[PastRun, ...]

    @property
    def is_new(self) -> bool:
        """Nothing was ever synced into this workspace."""
        return self.last is None


async def read(database: Database, actor: Actor) -> Overview | Refusal:
    if not actor.can(Permission.VIEW):
        return _FORBIDDEN
    connection, listed, (counts, conflicts) = await asyncio.gather(
        connections.current(database, actor),
        history.page(database, actor, limit=2 * RUNS_SHOWN),
        _counted(database, actor),
    )
    if isinstance(listed, Refusal):
        return listed
    ended = [run for run in listed.runs if not run.session.status.is_open]
    real = [run for run in ended if not run.session.config.dry_run]
    done = next((run for run in real if run.session.status in _DONE), None)
    return Overview(
        connection=connection,
        running=next((run for run in listed.runs if run.session.status.is_open), None),
        last=done,
        standings=tuple(_standing(one) for one in counts),
        open_conflicts=conflicts,
        steps=_steps(connection, ended, done, conflicts),
        runs=tuple(ended[:RUNS_SHOWN]),
    )


_DONE = (SessionStatus.COMPLETED, SessionStatus.PARTIAL)


async def _counted(database: Database, actor: Actor) -> tuple[list[EntityCounts], Count]:
    async with database.workspace(actor.workspace_id) as session:
        counts = await store.counts(session, actor.workspace_id)
        return counts, await store.open_conflicts(session, actor.workspace_id)


def _standing(one: EntityCounts) -> EntityStanding:
    others = one.by_status.values()
    return EntityStanding(
        entity=one.entity,
        total=one.total,
        in_sync=Count(
            max(0, one.total.value - sum(count.value for count in others)),
            is_exact=one.total.is_exact and all(count.is_exact for count in others),
        ),
        conflicts=one.by_status[SyncStatus.CONFLICT],
        local_edits=one.by_status[SyncStatus.LOCAL_EDIT],
        never=one.by_status[SyncStatus.PENDING],
    )


def _steps(
    connection: ConnectionView | None, ended: Sequence[PastRun], done: PastRun | None, conflicts: Count
) -> tuple[NextStep, ...]:
    previewed = any(run.session.has_plan for run in ended)
    states = [
        (StepName.CONNECT, connection is not None),
        (StepName.DRY_RUN, previewed or done is not None),
        (StepName.SYNC, done is not None),
        (StepName.REVIEW, done is not None and conflicts.value == 0),
    ]
    first = next((name for name, is_done in states if not is_done), None)
    return tuple(NextStep(name, is_done, name is first) for name, is_done in states)
