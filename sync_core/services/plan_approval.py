"""A second person's word for a plan, where a workspace asks for it before anything is applied."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.errors import Refusal
from sync_core.services import sessions
from sync_core.services.actor import Actor, Permission
from sync_core.services.plan_limits import Limits
from sync_core.services.session_views import SessionView
from sync_core.store import plan_approval as store
from sync_core.store.audit import latest, record
from sync_core.store.database import Database

_FORBIDDEN: Final = Refusal("forbidden", "Your role may look at plans, but not approve them.", status=403)
_NO_PERSON: Final = Refusal(
    "approver_no_person", "A plan is approved by a person who is signed in, not by a key.", status=403
)
_OWN: Final = Refusal("own_plan", "You made this plan. Somebody else has to approve it.", status=403)
_CHANGED: Final = Refusal(
    "plan_changed", "This plan is not the one that you looked at. Look at it again.", field="plan_hash", status=409
)


class ApprovalState(StrEnum):
    OFF = "not_needed"
    NEEDED = "needed"
    APPROVED = "approved"


@dataclass(frozen=True, slots=True)
class Approval:
    """`by` and `at` (epoch seconds) are set once it was given. With `clean_counts` a plan without warnings needs none."""

    state: ApprovalState
    by: str
    at: int | None
    clean_counts: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "status": self.state.value,
            "by": self.by or None,
            "at": self.at,
            "automatic_without_warnings": self.clean_counts,
        }


def approval_of(view: SessionView, limits: Limits) -> Approval:
    """An approval holds for the plan as it was: one that was retried since, and came out otherwise, needs another."""
    if view.plan_hash and view.approved_hash == view.plan_hash:
        return Approval(ApprovalState.APPROVED, view.approved_by, view.approved_at, limits.approve_clean)
    needed = limits.approval and view.config.dry_run
    return Approval(ApprovalState.NEEDED if needed else ApprovalState.OFF, "", None, limits.approve_clean)


async def approve(database: Database, actor: Actor, session_id: UUID, plan_hash: str) -> SessionView | Refusal:
    """`plan_hash` is of the plan that the approver has looked at."""
    if not actor.can(Permission.RUN_SYNC):
        return _FORBIDDEN
    if actor.user_id is None:
        return _NO_PERSON
    view = await sessions.get(database, actor, session_id)
    if isinstance(view, Refusal):
        return view
    refusal = _not_approvable(view)
    if refusal is not None:
        return refusal
    async with database.workspace(actor.workspace_id) as session:
        if await _is_theirs(session, actor, actor.user_id, view):
            return _OWN
        if not await store.approve(session, actor.workspace_id, session_id, plan_hash, actor.label):
            return _CHANGED
        details = {"plan_hash": plan_hash}
        await record(session, actor.workspace_id, actor.label, "plan.approved", target=str(session_id), details=details)
    return await sessions.get(database, actor, session_id)


async def _is_theirs(session: AsyncSession, actor: Actor, user_id: UUID, view: SessionView) -> bool:
    """A plan of a key of theirs, or of a schedule that they, or a key of theirs, have set up or changed last."""
    begun = await latest(session, actor.workspace_id, "sync.dry_run_started", target=str(view.id), limit=1)
    by_schedule = [one.details.get(name) for one in begun for name in ("scheduled_by", "changed_by")]
    makers = [view.created_by, *(str(one) for one in by_schedule if one)]
    for maker in makers:
        if maker.casefold() == actor.label.casefold():
            return True
        if await store.has_key_named(session, actor.workspace_id, user_id, maker):
            return True
    return False


def _not_approvable(view: SessionView) -> Refusal | None:
    if not view.config.dry_run:
        return Refusal("not_a_dry_run", "Only a dry run has a plan to approve.", status=409)
    if not view.has_plan or view.completed_at is None:
        return Refusal("dry_run_unfinished", "This dry run did not finish: it has no whole plan.", status=409)
    if time.time() - view.completed_at > sessions.PLAN_HOURS * 3600:
        return Refusal("plan_expired", "This plan has expired. Make a new dry run.", status=409)
    return None
