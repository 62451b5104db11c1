"""What happened in a workspace, in words: syncs beside what was changed of the connection, schedules, settings, rules and people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sync_core.domain.vocabulary import Role, SessionStatus
from sync_core.errors import Refusal
from sync_core.services.actor import Actor, Permission
from sync_core.services.report import FORBIDDEN
from sync_core.store import timeline as store
from sync_core.store.database import Database
from sync_core.store.timeline import ENDED, Happened

SHOWN: Final = 50
_CURSOR = Refusal("cursor_invalid", "This cursor is not one that a list returned.", field="cursor")
_LATEST: Final = (datetime(9999, 1, 1, tzinfo=UTC), UUID(int=(1 << 128) - 1))


class Kind(StrEnum):
    RUNS = "runs"
    CONNECTION = "connection"
    SCHEDULES = "schedules"
    SETTINGS = "settings"
    RULES = "rules"
    PEOPLE = "people"

    @property
    def label(self) -> str:
        return _LABELS[self]


_LABELS = {
    Kind.RUNS: "Syncs",
    Kind.CONNECTION: "Connection",
    Kind.SCHEDULES: "Schedules",
    Kind.SETTINGS: "Settings",
    Kind.RULES: "Rules of conflicts",
    Kind.PEOPLE: "People and keys",
}


@dataclass(frozen=True, slots=True)
class Told:
    """`session_id` is the run that it is about; `status` how that ended, where this is its end."""

    id: UUID
    at: datetime
    who: str
    kind: Kind
    text: str
    session_id: UUID | None
    status: SessionStatus | None


@dataclass(frozen=True, slots=True)
class Timeline:
    items: tuple[Told, ...]
    cursor: str | None


async def page(
    database: Database, actor: Actor, *, kind: Kind | None = None, cursor: str = "", limit: int = SHOWN
) -> Timeline | Refusal:
    """The newest first. What concerns people and keys is told to who manages the workspace."""
    if not actor.can(Permission.VIEW):
        return FORBIDDEN
    before = _position(cursor)
    if isinstance(before, Refusal):
        return before
    actions = [action for action, (one, _) in _SAID.items() if one in kinds(actor) and kind in (None, one)]
    async with database.workspace(actor.workspace_id) as session:
        rows = await store.page(session, actor.workspace_id, actions, before=before, limit=limit + 1)
    shown = rows[:limit]
    more = f"{shown[-1].at.isoformat()}_{shown[-1].id.hex}" if len(rows) > limit else None
    return Timeline(tuple(_told(one) for one in shown), more)


def kinds(actor: Actor) -> tuple[Kind, ...]:
    """What this person may choose from."""
    return tuple(one for one in Kind if one is not Kind.PEOPLE or actor.can(Permission.MANAGE_WORKSPACE))


def _position(cursor: str) -> tuple[datetime, UUID] | Refusal:
    if not cursor:
        return _LATEST
    at, _, key = cursor.partition("_")
    try:
        moment = datetime.fromisoformat(at)
        return (moment, UUID(hex=key)) if moment.tzinfo is not None else _CURSOR
    except ValueError:
        return _CURSOR


def _told(one: Happened) -> Told:
    kind, words = _SAID[one.action]
    about = UUID(one.target) if one.number is not None else None
    status = SessionStatus(one.status) if one.action == ENDED and one.status is not None else None
    return Told(one.id, one.at, one.actor, kind, words(one), about, status)


Words = Callable[[Happened], str]


def _run(one: Happened) -> str:
    if one.number is None:
        return "a sync that is gone"
    return f"{'dry run' if one.dry_run else 'sync'} #{one.number}"


def _of_run(text: str) -> Words:
    """With the run's name in its place."""

    def words(one: Happened) -> str:
        said = text.format(run=_run(one))
        return said[:1].upper() + said[1:]

    return words


def _plain(text: str) -> Words:
    """With what its details say in their places; what they lack is left open."""
    return lambda one: text.format_map(_Details(one.details, one.target))


class _Details(dict[str, Any]):
    def __init__(self, details: Mapping[str, Any], target: str) -> None:
        super().__init__({**details, "target": target})

    def __missing__(self, key: str) -> str:
        return "…"


def _connected(one: Happened) -> str:
    mode = "live" if one.details.get("livemode") else "test"
    return (
        f"Connected {one.details.get('account_id', 'an account')}, {mode}, by the key …{one.details.get('last4', '')}"
    )


def _schedule_changed(one: Happened) -> str:
    changes: Mapping[str, Mapping[str, Any]] = one.details.get("changes") or {}
    said = [
        "what it syncs" if name == "config" else f"{name} from “{changes[name]['from']}” to “{changes[name]['to']}”"
        for name in ("name", "rhythm", "config")
        if name in changes
    ]
    return f"Schedule “{one.details.get('name', '')}” changed: {', '.join(said) or 'nothing'}"


_LIMITS = {
    "share_updated": "share updated",
    "canceled": "cancellations",
    "money": "amounts changed",
    "duplicates": "shared emails",
    "confirm": "warnings have to be confirmed",
    "approval": "plans need a second person",
    "approve_clean": "a plan without warnings needs nobody",
}


def _limits(one: Happened) -> str:
    before, after = one.details.get("before") or {}, one.details.get("after") or {}
    said = [
        f"{_LIMITS.get(name, name)} from {_said(before.get(name))} to {_said(value)}"
        for name, value in after.items()
        if before.get(name) != value
    ]
    return f"Limits of plans changed: {', '.join(said) or 'nothing'}"


def _said(value: object) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def _role(one: Happened) -> str:
    role = str(one.details.get("role", ""))
    return f"{one.target} is now {Role(role).label.lower() if role in list(Role) else role}"


_SAID: Final[Mapping[str, tuple[Kind, Words]]] = {
    "sync.started": (Kind.RUNS, _of_run("{run} started")),
    "sync.dry_run_started": (Kind.RUNS, _of_run("{run} started")),
    "sync.plan_applied": (Kind.RUNS, _of_run("a plan is applied: {run} started")),
    "plan.approved": (Kind.RUNS, _of_run("the plan of {run} was approved")),
    "sync.cancelled": (Kind.RUNS, _of_run("{run} was asked to stop")),
    "sync.resumed": (Kind.RUNS, _of_run("{run} was resumed")),
    "sync.retried": (Kind.RUNS, _of_run("errors of {run} were retried")),
    "sync.repaired": (Kind.RUNS, _of_run("{run} was verified again")),
    ENDED: (Kind.RUNS, _of_run("{run} ended")),
    "connection.connected": (Kind.CONNECTION, _connected),
    "connection.key_replaced": (Kind.CONNECTION, _plain("The key was replaced: …{last4} is used from now on")),
    "connection.former_key_used": (Kind.CONNECTION, _plain("Stripe refused the new key: read with the one before")),
    "connection.disconnected": (Kind.CONNECTION, _plain("Disconnected {account_id}")),
    "connection.webhook_secret_set": (Kind.CONNECTION, _plain("The webhook's signing secret was set")),
    "connection.webhook_secret_removed": (Kind.CONNECTION, _plain("The webhook's signing secret was removed")),
    "connection.read_cap_changed": (Kind.CONNECTION, _plain("Requests a second changed from {before} to {after}")),
    "connection.draft_saved": (Kind.CONNECTION, _plain("A connection was saved for later")),
    "connection.draft_discarded": (Kind.CONNECTION, _plain("A connection saved for later was discarded")),
    "schedule.added": (Kind.SCHEDULES, _plain("Schedule “{name}” was set: {rhythm}")),
    "schedule.changed": (Kind.SCHEDULES, _schedule_changed),
    "schedule.paused": (Kind.SCHEDULES, _plain("Schedule “{name}” was paused")),
    "schedule.resumed": (Kind.SCHEDULES, _plain("Schedule “{name}” goes on")),
    "schedule.deleted": (Kind.SCHEDULES, _plain("Schedule “{name}” was deleted")),
    "preset.created": (Kind.SETTINGS, _plain("Preset “{name}” was saved")),
    "preset.renamed": (Kind.SETTINGS, _plain("A preset was renamed to “{name}”")),
    "preset.deleted": (Kind.SETTINGS, _plain("Preset “{name}” was deleted")),
    "guardrails.changed": (Kind.SETTINGS, _limits),
    "time_zone_changed": (Kind.SETTINGS, _plain("The time zone is {target} from now on")),
    "conflict_rule.added": (Kind.RULES, _plain("Rule “{target}” was kept, off")),
    "conflict_rule.enabled": (Kind.RULES, _plain("A rule was switched on")),
    "conflict_rule.disabled": (Kind.RULES, _plain("A rule was switched off")),
    "conflict_rule.moved": (Kind.RULES, _plain("The order of the rules was changed")),
    "conflict_rule.removed": (Kind.RULES, _plain("A rule was removed")),
    "conflict_field.ignored": (Kind.RULES, _plain("{target} is ignored from now on")),
    "conflict_field.heeded": (Kind.RULES, _plain("{target} is compared again")),
    "member_role_set": (Kind.PEOPLE, _role),
    "member_removed": (Kind.PEOPLE, _plain("{target} was removed")),
    "api_key_created": (Kind.PEOPLE, _plain("An API key was made, to {level}")),
    "api_key_revoked": (Kind.PEOPLE, _plain("An API key was revoked")),
    "owner_created": (Kind.PEOPLE, _plain("{target} was made an owner")),
}
