"""What has changed here since a dry run looked: counted and shown row by row before its plan is applied.

A drifted record is planned anew when the plan is applied, with at least `flag`: never overwritten without a person.

All rows of a plan are compared, a step after the other. A call ends after `BUDGET_SECONDS` at the latest, however large the plan is, and
says where the next one goes on.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

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
from sync_core.store.drift import PLANNED, Drifted, Place
from sync_core.store.reports import PlanRef

MOST_ROWS: Final = 50
BUDGET_SECONDS: Final = 0.7


@dataclass(frozen=True, slots=True)
class Drift:
    """`same` of `looked` rows are exactly as planned; `done` are so by now that nothing is left to do; `rows` are the whole plan's.

    `goes_on` is where the next call continues; None when all were looked at. `listed` are the first drifted ones that were asked for.
    """

    rows: int
    looked: int
    drifted: int
    done: int
    by_entity: Mapping[EntityType, int]
    goes_on: str | None
    listed: tuple[DriftRow, ...] = ()

    @property
    def same(self) -> int:
        return self.looked - self.drifted - self.done

    @property
    def is_whole(self) -> bool:
        return self.goes_on is None

    @property
    def sentence(self) -> str:
        if not self.rows:
            return "The plan has no rows."
        said = f"{self.same + self.done:,} of {self.looked:,} rows still exactly as planned"
        said += f", {self.done:,} of them done already" if self.done else ""
        said += f"; {self.drifted:,} drifted" if self.drifted else ""
        return f"{said}." if self.is_whole else f"So far {said}. {self.rows:,} are compared in all."

    def then(self, more: Drift) -> Drift:
        """Together with what a call that went on has found."""
        return Drift(
            rows=more.rows,
            looked=self.looked + more.looked,
            drifted=self.drifted + more.drifted,
            done=self.done + more.done,
            by_entity=Counter(self.by_entity) + Counter(more.by_entity),
            goes_on=more.goes_on,
            listed=self.listed + more.listed,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "object": "plan_drift",
            "summary": self.sentence,
            "rows": self.rows,
            "compared": self.looked,
            "as_planned": self.same,
            "done": self.done,
            "drifted": self.drifted,
            "by_entity_type": {entity.value: count for entity, count in self.by_entity.items()},
            "complete": self.is_whole,
            "count_cursor": self.goes_on,
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

    @property
    def place(self) -> Place:
        return Place(self.entity, self.action, self.seq)

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
    """`cursor` asks for more; None at the end. A page that took too long to fill has fewer rows than were asked for, and a cursor."""

    rows: tuple[DriftRow, ...]
    cursor: str | None


async def count(
    database: Database, actor: Actor, session_id: UUID, *, start: str | None = None, listed: int = 0
) -> Drift | Refusal:
    """Of the rows behind `start`, as far as one call gets; with the first `listed` of those that have drifted."""
    walked = await _walk(database, actor, session_id, start, listed, whole=True)
    if isinstance(walked, Refusal):
        return walked
    by_entity = {entity: moved for entity, moved in walked.by_entity.items() if moved}
    place = None if walked.place is None else _cursor(walked.place)
    return Drift(
        walked.size, walked.looked, sum(by_entity.values()), walked.done, by_entity, place, tuple(walked.listed)
    )


async def page(
    database: Database, actor: Actor, session_id: UUID, *, cursor: str | None = None, limit: int = 25
) -> DriftPage | Refusal:
    """By entity type, by what was planned, in the order of landing."""
    limit = max(1, min(limit, MOST_ROWS))
    walked = await _walk(database, actor, session_id, cursor, limit + 1, whole=False)
    if isinstance(walked, Refusal):
        return walked
    shown = walked.listed[:limit]
    if len(walked.listed) > limit:
        return DriftPage(tuple(shown), cursor_behind(shown[-1]))
    return DriftPage(tuple(shown), None if walked.place is None else _cursor(walked.place))


@dataclass(slots=True)
class _Walked:
    """What one call has seen of a plan of `size` rows, and where it stands."""

    size: int
    place: Place | None
    looked: int = 0
    done: int = 0
    by_entity: Counter[EntityType] = field(default_factory=Counter)
    listed: list[DriftRow] = field(default_factory=list)


async def _walk(
    database: Database, actor: Actor, session_id: UUID, start: str | None, most: int, *, whole: bool
) -> _Walked | Refusal:
    """Step by step, until the end or the time is up; unless `whole`, until so many rows are listed."""
    place = _place(start)
    if isinstance(place, Refusal):
        return place
    view = await _plan(database, actor, session_id)
    if isinstance(view, Refusal):
        return view
    counts = [counts_of(one.progress) for one in view.entities]
    walked = _Walked(sum(each[action] for each in counts for action in PLANNED), place)
    ends = time.monotonic() + BUDGET_SECONDS
    async with database.workspace(actor.workspace_id, by_key=True) as session:
        account = await store.account_of(session, plan_of(view))
        if account is None:
            walked.place = None
        while account is not None and walked.place is not None:
            await _step(session, plan_of(view), account, walked, most, actor.time_zone)
            if time.monotonic() >= ends or (not whole and len(walked.listed) >= most):
                break
    return walked


async def _step(
    session: AsyncSession, plan: PlanRef, account: store.Account, walked: _Walked, most: int, zone: str
) -> None:
    place, room = walked.place, most - len(walked.listed)
    assert place is not None
    found = await store.count(session, plan, account, place)
    if found.drifted and room > 0:
        rows = await store.rows(session, plan, account, place, limit=room)
        walked.listed += [_row(place.entity, one, zone) for one in rows]
    walked.looked += found.looked
    walked.done += found.done
    walked.by_entity[place.entity] += found.drifted
    walked.place = replace(place, seq=found.last) if found.looked == store.STEP and found.last else _behind(place)


_KINDS: Final = tuple((entity, action) for entity in ORDER for action in PLANNED)


def _behind(place: Place) -> Place | None:
    """The next entity type and action."""
    rest = _KINDS[_KINDS.index((place.entity, place.action)) + 1 :]
    return Place(*rest[0]) if rest else None


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


def cursor_behind(row: DriftRow) -> str:
    """For the page after the one that ends with this row."""
    return _cursor(row.place)


def _cursor(place: Place) -> str:
    return f"{place.entity.value}-{place.action.value}-{place.seq}"


def _place(cursor: str | None) -> Place | Refusal:
    if not cursor:
        return Place(*_KINDS[0])
    entity, _, rest = cursor.partition("-")
    action, _, seq = rest.partition("-")
    if (entity, action) not in _KINDS or not seq.isascii() or not seq.isdigit():
        return Refusal("cursor_invalid", "This cursor is not one that a list returned.", field="cursor")
    return Place(EntityType(entity), Action(action), min(int(seq), 2**62))
