"""A sync that came to its end: how it compares with the plan that it applied, and what is still to be set up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sync_core.domain.vocabulary import Action, SessionStatus
from sync_core.errors import Refusal
from sync_core.services import connections, differences, schedules, sessions
from sync_core.services.actor import Actor, Permission
from sync_core.services.difference_views import Differences
from sync_core.services.history import totals
from sync_core.services.session_views import SessionView
from sync_core.store.database import Database

_PATIENCE: Final = 0.15
_CAME_TO_ITS_END = (SessionStatus.COMPLETED, SessionStatus.PARTIAL)


@dataclass(frozen=True, slots=True)
class Outcome:
    """`beside_plan` is how many more of each action there are than the whole plan had (of its first few that is not asked), None where none
    was applied; `otherwise` how many of how many rows are not as planned, None where that takes longer to count than people wait for. What is
    lacking is said to who may set it up.
    """

    beside_plan: Mapping[Action, int] | None
    otherwise: tuple[int, int] | None
    lacks_webhook: bool
    lacks_schedule: bool


async def read(database: Database, actor: Actor, session_id: UUID) -> Outcome | None:
    """None of a dry run, and of what did not come to its end."""
    view = await sessions.get(database, actor, session_id)
    if isinstance(view, Refusal) or view.config.dry_run or view.status not in _CAME_TO_ITS_END:
        return None
    beside, otherwise = await _beside(database, actor, view)
    connection = await connections.current(database, actor) if actor.can(Permission.MANAGE_CONNECTION) else None
    return Outcome(
        beside,
        otherwise,
        lacks_webhook=connection is not None and not connection.has_webhook_secret,
        lacks_schedule=actor.can(Permission.RUN_SYNC) and not await schedules.list_schedules(database, actor),
    )


async def _beside(
    database: Database, actor: Actor, view: SessionView
) -> tuple[Mapping[Action, int] | None, tuple[int, int] | None]:
    if view.source_session_id is None:
        return None, None
    plan = await sessions.get(database, actor, view.source_session_id)
    if isinstance(plan, Refusal):
        return None, None
    found = await differences.count(database, actor, plan.id, view.id, seconds=_PATIENCE)
    counted = isinstance(found, Differences) and found.is_whole and found.looked > 0
    otherwise = (found.differing, found.looked) if isinstance(found, Differences) and counted else None
    if view.config.limit is not None:
        return ({} if otherwise else None), otherwise
    planned, done = totals(plan), totals(view)
    return {action: done[action] - planned[action] for action in Action}, otherwise
