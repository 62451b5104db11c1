"""How two runs differ in one object, and in all, as people and programs are told it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sync_core.domain.diff import diff
from sync_core.domain.fields import NAMES, JsonValue, Values
from sync_core.domain.vocabulary import Action, EntityType, ReasonCode, SessionStatus
from sync_core.services.report import Change, change, described
from sync_core.services.session_views import SessionView
from sync_core.store.plan_differences import DifferingRow, Key, Kind

OURS: Final = "ours"
STRIPES: Final = "stripe"


@dataclass(frozen=True, slots=True)
class Side:
    """What one of the two runs made of an object. `reason` and `message` are empty where there is nothing to say."""

    action: Action
    reason: ReasonCode | None
    message: str

    def to_json(self) -> dict[str, Any]:
        reason = None if self.reason is None else self.reason.value
        return {"action": self.action.value, "reason_code": reason, "message": self.message or None}


@dataclass(frozen=True, slots=True)
class SideChange:
    """One value of ours, or of Stripe's, that is not the same in both, as it is and in words: `change.ours` are the earlier run's,
    `change.theirs` the later one's.
    """

    side: str
    earlier: JsonValue
    later: JsonValue
    change: Change


@dataclass(frozen=True, slots=True)
class Difference:
    """One object. A side is None where its run has no such row; `why` says in words what lies between the two."""

    entity: EntityType
    external_id: str
    label: str
    record_id: UUID | None
    earlier: Side | None
    later: Side | None
    why: str
    changes: tuple[SideChange, ...]

    @property
    def key(self) -> Key:
        return Key(self.external_id, self.entity.value)

    def to_json(self) -> dict[str, Any]:
        return {
            "entity_type": self.entity.value,
            "external_id": self.external_id,
            "label": self.label,
            "record_id": None if self.record_id is None else str(self.record_id),
            "earlier": None if self.earlier is None else self.earlier.to_json(),
            "later": None if self.later is None else self.later.to_json(),
            "why": self.why,
            "changes": [
                {
                    "side": one.side,
                    "field": one.change.field,
                    "label": one.change.label,
                    "earlier": one.earlier,
                    "later": one.later,
                }
                for one in self.changes
            ],
        }


@dataclass(frozen=True, slots=True)
class Differences:
    """Of `looked` objects in either run, of about `rows` in all, so many differ in each way. `goes_on` is where the next call continues;
    None when all were looked at. `listed` are the first ones that were asked for.
    """

    rows: int
    looked: int
    counts: Mapping[Kind, int]
    goes_on: str | None
    is_of_plan: bool
    listed: tuple[Difference, ...] = ()

    @property
    def differing(self) -> int:
        return sum(self.counts.values())

    @property
    def is_whole(self) -> bool:
        return self.goes_on is None

    @property
    def sentence(self) -> str:
        if not self.is_whole:
            return f"So far {self.differing:,} of {self.looked:,} rows. About {self.rows:,} are compared in all."
        if not self.looked:
            return "Neither of them has rows."
        verb = "came out otherwise than planned" if self.is_of_plan else "are not the same in both"
        if not self.differing:
            return f"All {self.looked:,} rows {'came out exactly as planned' if self.is_of_plan else 'are the same'}."
        return f"{self.differing:,} of {self.looked:,} rows {verb}."

    def then(self, more: Differences) -> Differences:
        """Together with what a call that went on has found."""
        return Differences(
            rows=more.rows,
            looked=self.looked + more.looked,
            counts=Counter(self.counts) + Counter(more.counts),
            goes_on=more.goes_on,
            is_of_plan=more.is_of_plan,
            listed=self.listed + more.listed,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "object": "sync_differences",
            "summary": self.sentence,
            "compared": self.looked,
            "differing": self.differing,
            "kinds": [
                {
                    "entity_type": kind.entity.value,
                    "earlier": kind.earlier and kind.earlier.value,
                    "later": kind.later and kind.later.value,
                    "count": number,
                }
                for kind, number in self.counts.items()
            ],
            "complete": self.is_whole,
            "count_cursor": self.goes_on,
        }


def difference(row: DifferingRow, views: tuple[SessionView, SessionView], zone: str) -> Difference:
    entity = EntityType(row.entity_type)
    changes = _changes(entity, row, zone)
    return Difference(
        entity=entity,
        external_id=row.external_id,
        label=described(entity, row.later_theirs) or described(entity, row.earlier_theirs) or row.external_id,
        record_id=row.record_id,
        earlier=_side(row.earlier, row.earlier_reason, row.earlier_detail),
        later=_side(row.later, row.later_reason, row.later_detail),
        why=_why(row, views, {one.side for one in changes}),
        changes=changes,
    )


def _side(action: str | None, reason: str | None, detail: Mapping[str, Any] | None) -> Side | None:
    if action is None:
        return None
    return Side(
        Action(action), None if reason is None else ReasonCode(reason), str((detail or {}).get("message") or "")
    )


def _changes(entity: EntityType, row: DifferingRow, zone: str) -> tuple[SideChange, ...]:
    """What ours was, and what Stripe's, in the one run and in the other; where both are known."""
    pairs = (
        (
            OURS,
            _ours(entity, row.earlier_version, row.earlier_detail, row.earlier_theirs),
            _ours(entity, row.later_version, row.later_detail, row.later_theirs),
        ),
        (STRIPES, _known(entity, row.earlier_theirs), _known(entity, row.later_theirs)),
    )
    return tuple(
        SideChange(side, one.a, one.b, change(one, earlier, later, zone))
        for side, earlier, later in pairs
        if earlier is not None and later is not None
        for one in diff(entity, earlier, later)
        if not one.field.volatile
    )


def _ours(
    entity: EntityType, version: int | None, detail: Mapping[str, Any] | None, theirs: Values | None
) -> Values | None:
    """Ours as a run found it: Stripe's values, save where it noted a difference. None when there was no record, or no values."""
    known = _known(entity, theirs)
    if version is None or known is None:
        return None
    noted: Mapping[str, list[JsonValue]] = (detail or {}).get("changes") or {}
    return {**known, **{name: pair[0] for name, pair in noted.items()}}


def _known(entity: EntityType, theirs: Values | None) -> Values | None:
    return theirs if theirs and all(name in theirs for name in NAMES[entity]) else None


def _why(row: DifferingRow, views: tuple[SessionView, SessionView], changed: set[str]) -> str:
    one, other = views
    if row.later is None:
        return _not_done(one, other)
    if row.earlier is None:
        return "Not in the plan." if other.source_session_id == one.id else "Not in the earlier one."
    if row.later == Action.ERROR:
        return "It could not be done." if other.source_session_id == one.id else "It has become an error."
    if row.earlier == Action.ERROR:
        return "It was an error, and is none any longer."
    if (row.later_detail or {}).get("drifted"):
        return "Changed here since the plan was made, and planned anew with at least “flag”."
    if row.later == Action.UNCHANGED:
        return "It was so already: nothing was left to do."
    return _moved(row, views, changed)


def _not_done(one: SessionView, other: SessionView) -> str:
    if other.source_session_id != one.id:
        return "Not in the later one."
    if other.status in (SessionStatus.COMPLETED, SessionStatus.PARTIAL):
        return "Not done."
    return "Not done yet." if other.status.is_open else "Not done: it was stopped before."


def _moved(row: DifferingRow, views: tuple[SessionView, SessionView], changed: set[str]) -> str:
    where = {OURS: "here", STRIPES: "in Stripe"}
    sides = [word for side, word in where.items() if side in changed]
    if sides:
        return f"Changed {' and '.join(sides)} between the two."
    if row.earlier_version is None and row.later_version is not None:
        return "Created here between the two."
    if row.earlier_version is not None and row.later_version is None:
        return "Gone here between the two."
    strategies = [view.config.strategies for view in views]
    return "The two have different strategies." if strategies[0] != strategies[1] else "Decided otherwise."
