"""What many decisions at once would do, and what they did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sync_core.domain.conflict_rules import Rule, Take
from sync_core.domain.fields import JsonValue
from sync_core.domain.vocabulary import Choice, EntityType, Ignoring, Transition
from sync_core.services.conflict_views import LeftOut


@dataclass(frozen=True, slots=True)
class FieldEffect:
    """`rows` in which the field differs, and by `transitions` how; in `writes` of them ours changes, in the others it is so already. `sides`
    are what a rule that takes the newer comes to.
    """

    entity: EntityType
    name: str
    label: str
    take: Take | None
    rows: int
    transitions: Mapping[Transition, int]
    money: bool
    writes: int
    sides: Mapping[Choice, int] = field(default_factory=dict)

    @property
    def written(self) -> bool:
        return self.writes > 0

    @property
    def ignored(self) -> bool:
        return isinstance(self.take, Ignoring)


@dataclass(frozen=True, slots=True)
class SampleChange:
    name: str
    label: str
    before: JsonValue
    after: JsonValue


@dataclass(frozen=True, slots=True)
class SampleTime:
    """When each side of a field changed last, and by whom or by which event: which is why `take` is taken. In epoch seconds."""

    name: str
    label: str
    take: Choice
    here: float
    by: str
    there: float
    event: str


@dataclass(frozen=True, slots=True)
class Sample:
    """A row before and after. `record` says what becomes of the record itself, where that is asked; `largest` that few amounts differ more;
    `times` are of a rule that asks for them.
    """

    conflict_id: UUID
    entity: EntityType
    label: str
    currency: str | None
    changes: tuple[SampleChange, ...]
    record: str
    largest: bool
    times: tuple[SampleTime, ...] = ()


@dataclass(frozen=True, slots=True)
class NotCovered:
    """Conflicts that match the query, but that the rule does not settle."""

    reason: str
    rows: int


@dataclass(frozen=True, slots=True)
class BulkPreview:
    """What a rule would do. `bulk_resolve` takes `id` and `hash`, and does exactly this. In place of what somebody has chosen, and not
    applied yet, in `begun` of the rows. `changed` of them are no longer what was previewed, and would be left out.
    """

    id: UUID
    hash: str
    rows: int
    entities: dict[EntityType, int]
    fields: tuple[FieldEffect, ...]
    samples: tuple[Sample, ...]
    not_covered: tuple[NotCovered, ...]
    rule: Rule
    begun: int = 0
    changed: int = 0

    @property
    def by_rule(self) -> bool:
        """Whether one answer is for all, and not each row's own."""
        return self.rule != Rule()

    @property
    def money(self) -> bool:
        return any(one.money and (one.written or one.ignored) for one in self.fields)

    def to_json(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "object": "conflict_preview",
            "hash": self.hash,
            "rows": self.rows,
            "rule": self.rule.to_json(),
            "entities": {entity.value: count for entity, count in self.entities.items()},
            "fields": [
                {
                    "entity_type": one.entity.value,
                    "name": one.name,
                    "rows": one.rows,
                    "written": one.written,
                    "writes": one.writes,
                    "sides": {side.value: count for side, count in one.sides.items()},
                    "transitions": {word.value: count for word, count in one.transitions.items()},
                }
                for one in self.fields
            ],
            "samples": [
                {
                    "conflict_id": str(one.conflict_id),
                    "label": one.label,
                    "changes": {change.name: [change.before, change.after] for change in one.changes},
                    "changed_at": {
                        time.name: {"local": int(time.here), "stripe": int(time.there), "event_id": time.event}
                        for time in one.times
                    },
                }
                for one in self.samples
            ],
            "not_covered": [{"reason": one.reason, "rows": one.rows} for one in self.not_covered],
            "money": self.money,
            "begun": self.begun,
            "changed": self.changed,
        }


@dataclass(frozen=True, slots=True)
class BulkResult:
    """`left_out` are the first of those that had changed or could not be written; `bulk_left_out` reads on. `waiting` were not come to:
    somebody stopped it.
    """

    batch_id: UUID
    resolved: int
    left_out_count: int
    left_out: tuple[LeftOut, ...]
    waiting: int = 0

    def to_json(self) -> dict[str, Any]:
        listed = [{"conflict_id": str(one.conflict_id), "reason": one.reason} for one in self.left_out]
        return {
            "batch_id": str(self.batch_id),
            "resolved": self.resolved,
            "left_out_count": self.left_out_count,
            "left_out": listed,
            "waiting": self.waiting,
        }
