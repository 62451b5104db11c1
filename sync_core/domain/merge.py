"""What becomes of an object that Stripe sent, given what is stored: the strategy table, field by field.

L is what is stored now, S what Stripe says now, B what both agreed on at the last sync. One record gets one decision:

* a field that needs a person makes the record a conflict, and nothing is written;
* otherwise a field that takes Stripe's value makes it an update, in which kept fields stay ours;
* otherwise the record is skipped, because of a local edit or because of the strategy.

Whether to link, to restore or to delete is asked of the record as a whole, so the entity type's strategy answers it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self
from uuid import UUID

from sync_core.domain.fields import COMPARED, FIELDS, NAMES, JsonValue, Values, same
from sync_core.domain.vocabulary import Action, EntityType, ReasonCode, Strategy


@dataclass(frozen=True, slots=True)
class Strategies:
    """The narrowest that is set wins: the field's, the entity type's, the run's.

    `ignored` fields are left alone whatever is set: ours stays, and is not asked about; `ignored_here` are those of single records.
    """

    default: Strategy = Strategy.SKIP
    by_entity: Mapping[EntityType, Strategy] = field(default_factory=dict)
    by_field: Mapping[tuple[EntityType, str], Strategy] = field(default_factory=dict)
    ignored: frozenset[tuple[EntityType, str]] = frozenset()
    ignored_here: Mapping[UUID, frozenset[str]] = field(default_factory=dict)

    def of(self, entity: EntityType, name: str | None = None) -> Strategy:
        """The strategy of a field, or of the record as a whole when none is named."""
        if name is not None:
            if (entity, name) in self.ignored:
                return Strategy.SKIP
            narrow = self.by_field.get((entity, name))
            if narrow is not None:
                return narrow
        return self.by_entity.get(entity, self.default)

    def about(self, entity: EntityType, record_id: UUID) -> Self:
        """As they are for one record."""
        here = self.ignored_here.get(record_id)
        return self if here is None else replace(self, ignored=self.ignored | {(entity, name) for name in here})

    def to_json(self) -> dict[str, Any]:
        return {
            "default": self.default.value,
            "entities": {entity.value: strategy.value for entity, strategy in self.by_entity.items()},
            "fields": {f"{entity.value}.{name}": one.value for (entity, name), one in self.by_field.items()},
            "ignored": sorted(f"{entity.value}.{name}" for entity, name in self.ignored),
            "ignored_here": {str(record): sorted(names) for record, names in self.ignored_here.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Raises ValueError, naming what is unknown."""
        return cls(
            Strategy(data.get("default", Strategy.SKIP)),
            {EntityType(entity): Strategy(one) for entity, one in data.get("entities", {}).items()},
            {field_key(path): Strategy(one) for path, one in data.get("fields", {}).items()},
            frozenset(field_key(path) for path in data.get("ignored", ())),
            {UUID(record): frozenset(names) for record, names in data.get("ignored_here", {}).items()},
        )


def field_key(path: str) -> tuple[EntityType, str]:
    """`customers.phone`, taken apart. Raises ValueError for what is no field."""
    word, _, name = path.partition(".")
    entity = EntityType(word)
    if name not in NAMES[entity]:
        raise ValueError(f"{path!r} is not a field")
    return entity, name


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as the plan finds it. `base` is None before the first sync; `linked` is False for a match by email only.

    `observed_at` is when the last request to Stripe began whose answer is stored, or was found to be, in epoch seconds. `kept` says that ours is known to
    differ and stays: of a record that is deleted on one side only, a person has said so.
    """

    record_id: UUID
    row_version: int
    local: Values
    base: Values | None
    deleted: bool
    linked: bool
    observed_at: float | None
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """`write` and `base`, where set, are what the record's values and its base are to be, every field of them.

    `changed` are the fields in which ours and Stripe's differ, `conflicts` those among them that need a person.
    With `adopt_base` nothing but the base is to be written.
    """

    action: Action
    reason: ReasonCode | None = None
    write: Values | None = None
    changed: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    adopt_base: bool = False
    restore: bool = False
    link: bool = False
    delete: bool = False
    base: Values | None = None


_UNCHANGED = Decision(Action.UNCHANGED)
_STALE = Decision(Action.UNCHANGED, ReasonCode.STALE)


def decide(
    entity: EntityType,
    strategies: Strategies,
    stored: Stored | None,
    theirs: Values,
    *,
    deleted: bool,
    observed_at: float,
) -> Decision:
    """`deleted` says that Stripe has deleted the object; `theirs` may then be empty. `observed_at`: see `Stored`."""
    if stored is None:
        return _create(entity, theirs, deleted=deleted)
    strategies = strategies.about(entity, stored.record_id)
    if stored.observed_at is not None and stored.observed_at > observed_at:
        return _STALE
    if deleted:
        return _delete(entity, strategies, stored)
    if stored.deleted or not stored.linked:
        return _settle(entity, strategies, stored, theirs)
    return _compare(entity, strategies, stored, theirs)


def _compare(entity: EntityType, strategies: Strategies, stored: Stored, theirs: Values) -> Decision:
    if same(entity, stored.local, theirs):
        if stored.base is not None and same(entity, stored.base, theirs):
            return _UNCHANGED
        return Decision(Action.UNCHANGED, adopt_base=True, base=theirs)
    return _merge(entity, strategies, stored, theirs)


def _create(entity: EntityType, theirs: Values, *, deleted: bool) -> Decision:
    if not deleted:
        return Decision(Action.CREATE, write=theirs, base=theirs)
    blank: Values = {one.name: {} if one.name == "metadata" else None for one in FIELDS[entity]}
    return Decision(Action.CREATE, ReasonCode.DELETED_IN_STRIPE, write={**blank, **theirs}, delete=True)


def _delete(entity: EntityType, strategies: Strategies, stored: Stored) -> Decision:
    if not stored.linked:
        # Nobody has said that this record is that customer: its end is not ours.
        return Decision(Action.SKIP, ReasonCode.EMAIL_MATCH)
    if stored.deleted:
        return _UNCHANGED
    strategy = strategies.of(entity)
    if strategy is Strategy.SKIP:
        return Decision(Action.SKIP, ReasonCode.DELETED_IN_STRIPE)
    if stored.kept and stored.base is None and strategy is Strategy.FLAG:
        return Decision(Action.SKIP, ReasonCode.DELETED_IN_STRIPE)
    untouched = stored.base is not None and same(entity, stored.local, stored.base)
    if strategy is Strategy.OVERWRITE or untouched:
        return Decision(Action.UPDATE, ReasonCode.DELETED_IN_STRIPE, delete=True)
    return Decision(Action.CONFLICT, ReasonCode.DELETED_IN_STRIPE)


def _settle(entity: EntityType, strategies: Strategies, stored: Stored, theirs: Values) -> Decision:
    """A record that is not linked, or deleted here: the record's strategy says whether, the fields' say how."""
    reason = ReasonCode.DELETED_HERE if stored.linked else ReasonCode.EMAIL_MATCH
    strategy = strategies.of(entity)
    sorted_out = _Sorted.of(entity, strategies, stored, theirs)
    stays = stored.linked and stored.kept and stored.base is not None and same(entity, stored.base, theirs)
    if strategy is Strategy.SKIP or (strategy is Strategy.FLAG and stays):
        return Decision(Action.SKIP, reason, changed=sorted_out.changed)
    if strategy is Strategy.FLAG or sorted_out.conflicts:
        return Decision(Action.CONFLICT, reason, changed=sorted_out.changed, conflicts=sorted_out.conflicts)
    return Decision(
        Action.UPDATE,
        reason,
        write=sorted_out.write(entity, strategies, stored, theirs),
        changed=sorted_out.changed,
        restore=stored.deleted,
        link=not stored.linked,
        base=sorted_out.base(stored, theirs),
    )


def _merge(entity: EntityType, strategies: Strategies, stored: Stored, theirs: Values) -> Decision:
    sorted_out = _Sorted.of(entity, strategies, stored, theirs)
    changed = sorted_out.changed
    if sorted_out.conflicts:
        reason = ReasonCode.NO_BASE if stored.base is None else ReasonCode.BOTH_CHANGED
        return Decision(Action.CONFLICT, reason, changed=changed, conflicts=sorted_out.conflicts)
    if sorted_out.taken:
        write = sorted_out.write(entity, strategies, stored, theirs)
        return Decision(Action.UPDATE, write=write, changed=changed, base=sorted_out.base(stored, theirs))
    reason = ReasonCode.LOCAL_EDIT_KEPT if sorted_out.kept else ReasonCode.STRATEGY_SKIP
    base = sorted_out.agreed(entity, stored, theirs)
    return Decision(Action.SKIP, reason, changed=changed, adopt_base=base is not None, base=base)


_UNKNOWN = object()


@dataclass(frozen=True, slots=True)
class _Sorted:
    """The fields that differ, by what is to become of each."""

    taken: tuple[str, ...]
    kept: tuple[str, ...]
    skipped: tuple[str, ...]
    conflicts: tuple[str, ...]
    changed: tuple[str, ...]

    @classmethod
    def of(cls, entity: EntityType, strategies: Strategies, stored: Stored, theirs: Values) -> Self:
        changed = tuple(name for name in COMPARED[entity] if stored.local[name] != theirs[name])
        base: Mapping[str, object] = stored.base if stored.linked and stored.base is not None else {}
        fates: dict[str, list[str]] = {"take": [], "keep": [], "skip": [], "conflict": []}
        for name in changed:
            strategy = strategies.of(entity, name)
            fates[_fate(strategy, base.get(name, _UNKNOWN), stored.local[name], theirs[name])].append(name)
        return cls(tuple(fates["take"]), tuple(fates["keep"]), tuple(fates["skip"]), tuple(fates["conflict"]), changed)

    def write(self, entity: EntityType, strategies: Strategies, stored: Stored, theirs: Values) -> Values:
        """Stripe's values, except where ours are kept."""
        ours = {*self.kept, *self.skipped}
        return {
            name: stored.local[name]
            if name in ours or (name not in COMPARED[entity] and strategies.of(entity, name) is Strategy.SKIP)
            else theirs[name]
            for name in NAMES[entity]
        }

    def base(self, stored: Stored, theirs: Values) -> Values:
        """A skipped field keeps its base: a change that was passed over must not look like our edit later.

        Without one it gets Stripe's value, so that ours, which may be an edit, is the one that is kept.
        """
        if stored.base is None or not self.skipped:
            return theirs
        return {**theirs, **{name: stored.base.get(name, theirs[name]) for name in self.skipped}}

    def agreed(self, entity: EntityType, stored: Stored, theirs: Values) -> Values | None:
        """The base with all that both sides agree on by now, or None when that says nothing new."""
        if stored.base is None:
            return None
        differing = set(self.changed)
        agreed = {name: theirs[name] for name in NAMES[entity] if name not in differing}
        fresh = any(stored.base.get(name, _UNKNOWN) != agreed[name] for name in COMPARED[entity] if name in agreed)
        return {**stored.base, **agreed} if fresh else None


def _fate(strategy: Strategy, base: object, ours: JsonValue, theirs: JsonValue) -> str:
    if strategy is Strategy.SKIP:
        return "skip"
    if strategy is Strategy.OVERWRITE or base == ours:
        return "take"
    return "keep" if base == theirs else "conflict"
