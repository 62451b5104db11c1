"""From where on the checks of a plan warn: a workspace's own, kept with its settings."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from sync_core.domain.limits import SETTING, Limits, of
from sync_core.errors import Refusal
from sync_core.services.actor import Actor, Permission
from sync_core.store import sessions as store
from sync_core.store.audit import record
from sync_core.store.database import Database

__all__ = ["Limits", "of", "read", "save"]

_MOST: Final = 1_000_000_000
_PERCENT: Final = ("share_updated", "canceled")
_FORBIDDEN = Refusal("forbidden", "Your role may not change the limits of checks. Ask an admin.", status=403)


async def read(database: Database, actor: Actor) -> Limits:
    async with database.workspace(actor.workspace_id) as session:
        return of((await store.defaults(session, actor.workspace_id)).settings)


async def save(database: Database, actor: Actor, limits: Limits) -> Limits | Refusal:
    if not actor.can(Permission.MANAGE_WORKSPACE):
        return _FORBIDDEN
    wrong = _wrong(limits)
    if wrong is not None:
        return wrong
    async with database.workspace(actor.workspace_id) as session:
        before = of((await store.defaults(session, actor.workspace_id)).settings)
        await store.keep_setting(session, actor.workspace_id, SETTING, asdict(limits))
        details = {"before": asdict(before), "after": asdict(limits)}
        await record(session, actor.workspace_id, actor.label, "guardrails.changed", details=details)
    return limits


def _wrong(limits: Limits) -> Refusal | None:
    for name in _PERCENT:
        if not 0 <= getattr(limits, name) <= 100:
            return Refusal("limit_out_of_range", "Give a percentage from 0 to 100.", field=name)
    for name in ("money", "duplicates"):
        if not 1 <= getattr(limits, name) <= _MOST:
            return Refusal("limit_out_of_range", "Give a whole number from 1.", field=name)
    return None
