"""What has changed here since a dry run looked: counted and shown row by row before its plan is applied.

A drifted record is planned anew when the plan is applied, with at least `flag`: never overwritten without a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sync_core.domain.diff import diff
from sync_core.domain.fields import NAMES, ORDER, JsonValue, Values
from sync_core.domain.vocabulary import Action, EntityType
from sync_core.errors import Refusal
from sync_core.services import sessions
from sync_core.services.actor import Actor, Permission
from sync_core.services.report import FORBIDDEN, Change, change, counts_of, described, plan_of
from sync_core.services.session_views import SessionView
from sync_core.store import drift as store
from sync_core.store.database import Database
from sync_core.store.drift import Drifted

MOST_ROWS: Final = 50


@dataclass(frozen=True, slots=True)
class Drift:
    """`same` of `looked` rows are exactly as planned; `done` are so by now that nothing is left to do. `is_whole`: all were looked at."""

    looked: int
    drifted: int
    done: int
    by_entity: Mapping[EntityType, int]
    is_whole: bool

    @property
    def same(self) -> int:
        return self.looked - self.drifted - self.done

    @property
    def sentence(self) -> str:
        if not self.looked:
            return "The plan has no rows."
        scope = "" if self.is_whole else " looked at"
        said = f"{self.same + self.done:,} of {self.looked:,} rows{scope} still exactly as planned"
        said += f", {self.done:,} of them done already" if self.done else ""
        return f"{said}; {self.drifted:,} drifted." if self.drifted else f"{said}."

    def to_json(self) -> dict[str, Any]:
        return {
            "object": "plan_drift",
            "summary": self.sentence,
            "rows": self.looked,
            "as_planned": self.same,
            "done": self.done,
            "drifted": self.drifted,
            "by_entity_type": {entity.value: count for entity, count in self.by_entity.items()},
            "complete": self.is_whole,
        }


@dataclass(frozen=True, slots=True)
class DriftRow:
    """One record. `changes` are what it was when planned (`ours`) and what it is now (`theirs`); `why` says it in words."""

    entity: EntityType
    seq: int
    external_id: str
    label: str
    action: Action
    record_id: UUID | None
    why: str
    changes: tuple[Change, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "entity_type": self.entity.value,
            "external_id": self.external_id,
            "label": self.label,
            "action": self.action.value,
            "record_id": None if self.record_id is None else str(self.record_id),
            "why": self.why,
            "changes": [
                {"field": one.field, "label": one.label, "planned": one.ours, "now": one.theirs} for one in self.changes
            ],
        }


@dataclass(frozen=True, slots=True)
class DriftPage:
    """`cursor` asks for more; None at the end."""

    rows: tuple[DriftRow, ...]
    cursor: str | None


async def count(database: Database, actor: Actor, session_id: UUID) -> Drift | Refusal:
    view = await _plan(database, actor, session_id)
    if isinstance(view, Refusal):
        return view
    counts = {one.progress.entity_type: counts_of(one.progress) for one in view.entities}
    looked = drifted = done = 0
    by_entity: dict[EntityType, int] = {}
    async with database.workspace(actor.workspace_id, by_key=True) as session:
        account = await store.account_of(session, plan_of(view))
        for entity in (one for one in ORDER if one in counts and account is not None):
            found = await store.count(session, plan_of(view), account, entity) if account is not None else []
            looked += sum(one.looked for one in found)
            done += sum(one.done for one in found)
            moved = sum(one.drifted for one in found)
            by_entity |= {entity: moved} if moved else {}
            drifted += moved
    whole = all(each[action] <= store.LOOKED_AT for each in counts.values() for action in store.PLANNED)
    return Drift(looked, drifted, done, by_entity, whole)


async def page(
    database: Database, actor: Actor, session_id: UUID, *, cursor: str | None = None, limit: int = 25
) -> DriftPage | Refusal:
    """By entity type, in the order of landing."""
    start = _place(cursor)
    if isinstance(start, Refusal):
        return start
    view = await _plan(database, actor, session_id)
    if isinstance(view, Refusal):
        return view
    limit = max(1, min(limit, MOST_ROWS))
    present = {one.progress.entity_type for one in view.entities}
    rows: list[DriftRow] = []
    async with database.workspace(actor.workspace_id, by_key=True) as session:
        account = await store.account_of(session, plan_of(view))
        for entity in ORDER[ORDER.index(start[0]) :]:
            if entity not in present or account is None or len(rows) > limit:
                continue
            after = start[1] if entity is start[0] else 0
            found = await store.rows(session, plan_of(view), account, entity, after=after, limit=limit + 1 - len(rows))
            rows += [_row(entity, one, actor.time_zone) for one in found]
    shown = rows[:limit]
    return DriftPage(tuple(shown), _cursor(shown) if len(rows) > limit else None)


async def _plan(database: Database, actor: Actor, session_id: UUID) -> SessionView | Refusal:
    if not actor.can(Permission.VIEW):
        return FORBIDDEN
    view = await sessions.get(database, actor, session_id)
    if not isinstance(view, Refusal) and not view.config.dry_run:
        return Refusal("not_a_dry_run", "Only a dry run has a plan that can drift.", status=409)
    return view


def _row(entity: EntityType, one: Drifted, zone: str) -> DriftRow:
    planned = values_when_planned(entity, one)
    changes: tuple[Change, ...] = ()
    if planned is not None and one.local is not None:
        differing = [found for found in diff(entity, planned, one.local) if not found.field.volatile]
        changes = tuple(change(found, planned, one.local, zone) for found in differing)
    return DriftRow(
        entity=entity,
        seq=one.seq,
        external_id=one.external_id,
        label=described(entity, one.theirs) or one.external_id,
        action=Action(one.action),
        record_id=one.record_id,
        why=_why(one, changes),
        changes=changes,
    )


def values_when_planned(entity: EntityType, one: Drifted) -> Values | None:
    """Ours at the time: Stripe's values, save where the plan noted a difference. None when there was no record, or no values."""
    if one.record_version is None or not one.theirs or any(name not in one.theirs for name in NAMES[entity]):
        return None
    noted: Mapping[str, list[JsonValue]] = (one.detail or {}).get("changes") or {}
    return {**one.theirs, **{name: pair[0] for name, pair in noted.items()}}


def _why(one: Drifted, changes: Sequence[Change]) -> str:
    if one.row_version is None:
        return "Gone since: it would be created."
    if one.record_version is None:
        return "Created here since, with other values than Stripe's."
    if one.deleted:
        return "Deleted here since."
    return "Changed here since." if changes else "Written since; its values are as before."


def _cursor(shown: Sequence[DriftRow]) -> str:
    return f"{shown[-1].entity.value}-{shown[-1].seq}"


def _place(cursor: str | None) -> tuple[EntityType, int] | Refusal:
    if not cursor:
        return ORDER[0], 0
    word, _, place = cursor.partition("-")
    if word not in {entity.value for entity in EntityType} or not place.isascii() or not place.isdigit():
        return Refusal("cursor_invalid", "This cursor is not one that a list returned.", field="cursor")
    return EntityType(word), min(int(place), 2**62)
