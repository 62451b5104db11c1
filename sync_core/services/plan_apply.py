"""A dry run's plan carried out, where its checks let it."""

from __future__ import annotations

from uuid import UUID

from sync_core.errors import Refusal
from sync_core.services import findings, plan_limits, sessions
from sync_core.services.actor import Actor, Permission
from sync_core.services.guardrails import Guardrail, Level
from sync_core.services.session_views import SessionView
from sync_core.store.database import Database


async def apply(
    database: Database, actor: Actor, session_id: UUID, *, limit: int | None = None, confirmed: bool = False
) -> SessionView | Refusal:
    """All of it, or its first `limit` changes. `confirmed` says that a person has looked at the warnings."""
    limits = await plan_limits.read(database, actor)
    asks = limits.confirm and not confirmed
    if not actor.can(Permission.RUN_SYNC) or not (asks or (limits.approval and limits.approve_clean)):
        return await sessions.apply(database, actor, session_id, limit=limit)
    # Before the checks: of a plan that changes meanwhile they say nothing.
    view = await sessions.get(database, actor, session_id)
    if isinstance(view, Refusal):
        return view
    warned = await warnings(database, actor, session_id)
    if isinstance(warned, Refusal):
        return warned
    if warned and asks:
        return _unconfirmed(warned)
    return await sessions.apply(database, actor, session_id, limit=limit, clean_hash="" if warned else view.plan_hash)


async def warnings(database: Database, actor: Actor, session_id: UUID) -> tuple[Guardrail, ...] | Refusal:
    found = await findings.look(database, actor, session_id)
    if isinstance(found, Refusal):
        return found
    return tuple(one for one in found.guardrails if one.level is Level.WARN)


def _unconfirmed(warned: tuple[Guardrail, ...]) -> Refusal:
    message = (
        f"{len(warned)} check{' warns' if len(warned) == 1 else 's warn'}, and this workspace asks for a look at them"
        f" first: {' '.join(one.message for one in warned[:3])}"
    )
    return Refusal("checks_unconfirmed", message, field="confirm", status=409)
