"""What screens and REST see of conflicts: frozen values, made from stored rows in `conflict_building`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sync_core.domain.fields import Field, JsonValue
from sync_core.domain.newer import Change
from sync_core.domain.resolution import Taken
from sync_core.domain.vocabulary import Choice, ConflictStatus, Doubt, EntityType, Facet, ReasonCode, Severity, Snooze
from sync_core.errors import Refusal
from sync_core.store.conflict_records import Records
from sync_core.store.conflicts import Comment, RecordNote


@dataclass(frozen=True, slots=True)
class Chip:
    """A field that needs a person. `change` is how Stripe's value stands to ours: added, removed or changed."""

    name: str
    label: str
    change: str
    money: bool


@dataclass(frozen=True, slots=True)
class ConflictRow:
    """A line of the list. `answered` of `questions` have a pending choice."""

    id: UUID
    entity: EntityType
    record_id: UUID
    external_id: str
    label: str
    reason: ReasonCode
    status: ConflictStatus
    chips: tuple[Chip, ...]
    revision: int
    questions: int
    answered: int
    session_id: UUID
    severity: Severity
    assignee: str | None
    snoozed_until: datetime | None
    snoozed_for: Snooze | None
    reopened_at: datetime | None
    resolved_by: str | None
    resolved_at: datetime | None
    created_at: datetime

    def to_json(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "object": "conflict",
            "entity_type": self.entity.value,
            "record_id": str(self.record_id),
            "external_id": self.external_id,
            "label": self.label,
            "reason": self.reason.value,
            "status": self.status.value,
            "fields": [chip.name for chip in self.chips],
            "revision": self.revision,
            "session_id": str(self.session_id),
            "severity": self.severity.value,
            "assignee": self.assignee,
            "snoozed_until": _seconds(self.snoozed_until),
            "snoozed_for": self.snoozed_for.value if self.snoozed_for else None,
            "reopened_at": _seconds(self.reopened_at),
            "resolved_by": self.resolved_by,
            "resolved_at": _seconds(self.resolved_at),
            "created_at": _seconds(self.created_at),
        }


@dataclass(frozen=True, slots=True)
class ConflictPage:
    """`viewers` are others who have a row open; `reviewed` are the rows that whoever asks has looked through."""

    rows: tuple[ConflictRow, ...]
    next_cursor: str | None
    previous_cursor: str | None
    viewers: Mapping[UUID, tuple[str, ...]] = field(default_factory=dict)
    reviewed: frozenset[UUID] = frozenset()


@dataclass(frozen=True, slots=True)
class FacetValue:
    value: str
    label: str
    count: int


@dataclass(frozen=True, slots=True)
class Facets:
    """Each facet is counted under all the others' filters. `matching` conflicts fit the whole query, `total` have its status.

    `aging` of those that match are older than a week; `records` is what they stand for, where they are open and it is known.
    """

    values: Mapping[Facet, tuple[FacetValue, ...]]
    matching: int
    total: int
    aging: int
    chosen: int = 0
    records: Records | None = None

    def to_json(self) -> dict[str, Any]:
        facets = {
            facet.value: [{"value": one.value, "count": one.count} for one in values]
            for facet, values in self.values.items()
        }
        return {
            "facets": facets,
            "matching": self.matching,
            "total": self.total,
            "older_than_a_week": self.aging,
            "records": self.records.count if self.records else None,
            "more_records": self.records is not None and self.records.more,
        }


@dataclass(frozen=True, slots=True)
class NestedView:
    """One place inside a field's JSON that differs. With `key` it can be chosen by itself."""

    label: str
    key: str | None
    local: JsonValue
    base: JsonValue
    theirs: JsonValue
    take: Choice | None
    value: JsonValue


@dataclass(frozen=True, slots=True)
class FieldView:
    """A field that differs. `settled` says that `result` is what it will become, `left` that syncs leave it alone.

    `here` and `there` are the last known changes of ours and of Stripe's, or why they are not known; None where nobody asked.
    """

    name: str
    label: str
    field: Field
    needed: bool
    local: JsonValue
    base: JsonValue
    theirs: JsonValue
    result: JsonValue
    settled: bool
    take: Choice | None
    taken_by: str
    custom: bool
    nested: tuple[NestedView, ...]
    left: bool = False
    here: Change | Doubt | None = None
    there: Change | Doubt | None = None
    newer: Choice | Doubt | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "needed": self.needed,
            "local": self.local,
            "base": self.base,
            "stripe": self.theirs,
            "result": self.result if self.settled else None,
            "settled": self.settled,
            "take": self.take.value if self.take else None,
            "local_changed": _change(self.here, "by"),
            "stripe_changed": _change(self.there, "event_id"),
            "newer": self.newer.value if isinstance(self.newer, Choice) else None,
        }


def _change(known: Change | Doubt | None, by: str) -> dict[str, Any] | None:
    return {"at": int(known.at), by: known.by} if isinstance(known, Change) else None


@dataclass(frozen=True, slots=True)
class RecordQuestion:
    """What is asked of the record as a whole, in words: what following Stripe means and what staying means."""

    question: str
    stripe: str
    local: str
    take: Choice | None


@dataclass(frozen=True, slots=True)
class DecisionView:
    id: UUID
    batch_id: UUID
    actor: str
    choices: dict[str, Taken]
    created_at: datetime
    undone_at: datetime | None
    undone_by: str | None
    undoable: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "batch_id": str(self.batch_id),
            "actor": self.actor,
            "choices": {name: taken.to_json() for name, taken in self.choices.items()},
            "created_at": _seconds(self.created_at),
            "undone_at": _seconds(self.undone_at),
            "undoable": self.undoable,
        }


@dataclass(frozen=True, slots=True)
class ConflictView:
    """One conflict, three ways. `problem` says what is still to be chosen; `equal` are the labels of fields that agree.

    `why` says what made it a conflict; `dependents` counts the records that refer to its record; `newer_id` is the conflict that the
    record has by now, where this one is settled; `reviewed` says that whoever asks has looked it through.
    """

    row: ConflictRow
    fields: tuple[FieldView, ...]
    equal: tuple[str, ...]
    record: RecordQuestion | None
    base_known: bool
    currency: str | None
    note: RecordNote | None
    observed_at: datetime
    problem: str
    why: str = ""
    decisions: tuple[DecisionView, ...] = ()
    comments: tuple[Comment, ...] = ()
    dependents: Mapping[EntityType, int] = field(default_factory=dict)
    newer_id: UUID | None = None
    previous_id: UUID | None = None
    next_id: UUID | None = None
    reviewed: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            **self.row.to_json(),
            "why": self.why,
            "request_id": self.note.request_id if self.note else None,
            "base_run": self.note.synced_run if self.note else None,
            "dependents": {entity.value: count for entity, count in self.dependents.items()},
            "newer_id": str(self.newer_id) if self.newer_id else None,
            "base_known": self.base_known,
            "record_question": None if self.record is None else self.record.question,
            "record_take": self.record.take.value if self.record and self.record.take else None,
            "differing": [one.to_json() for one in self.fields],
            "problem": self.problem or None,
            "decisions": [one.to_json() for one in self.decisions],
        }


@dataclass(frozen=True, slots=True)
class ConflictRefusal(Refusal):
    """With the conflict as it is now: what somebody else decided, or what the record has become."""

    view: ConflictView | None = None


@dataclass(frozen=True, slots=True)
class Resolved:
    view: ConflictView
    decision_id: UUID
    batch_id: UUID

    def to_json(self) -> dict[str, Any]:
        return {**self.view.to_json(), "decision_id": str(self.decision_id), "batch_id": str(self.batch_id)}


@dataclass(frozen=True, slots=True)
class LastDecision:
    """The actor's last decisions that can be taken back together. `label` names one of the records."""

    batch_id: UUID
    rows: int
    standing: int
    label: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A conflict that a batch did not touch, and why."""

    conflict_id: UUID
    label: str
    reason: str


@dataclass(frozen=True, slots=True)
class Undone:
    """What came of taking decisions back. `refused` names the first of those that could not be."""

    done: int
    refused_count: int
    refused: tuple[LeftOut, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        listed = [{"conflict_id": str(one.conflict_id), "reason": one.reason} for one in self.refused]
        return {"undone": self.done, "refused_count": self.refused_count, "refused": listed}


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
