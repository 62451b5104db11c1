"""Settling a conflict: what a record becomes once a person has chosen, and what still has to be chosen.

Choices are keyed by a field (`email`), by one key of a field that is an object (`metadata.plan`), or by RECORD, for the question that
some conflicts ask about the record as a whole: is it that customer, is it to live again, is it to go as well. There Stripe's way is yes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from sync_core.domain.custom_values import checked, described, unwritable
from sync_core.domain.fields import COMPARED, FIELDS, NAMES, Field, JsonValue, Values, same
from sync_core.domain.vocabulary import Choice, EntityType, ReasonCode, SyncStatus

RECORD = "record"

ASKED_OF_RECORD = frozenset({ReasonCode.EMAIL_MATCH, ReasonCode.DELETED_HERE, ReasonCode.DELETED_IN_STRIPE})


@dataclass(frozen=True, slots=True)
class Taken:
    """One choice. `value` belongs to Choice.CUSTOM; `by` is who made it, while it is pending.

    An `ignored` field stays ours without being settled: what both sides last agreed on is kept.
    """

    take: Choice
    value: JsonValue = None
    by: str = ""
    ignored: bool = False

    def to_json(self) -> dict[str, Any]:
        custom = {"value": self.value} if self.take is Choice.CUSTOM else {}
        by = {"by": self.by} if self.by else {}
        return {"take": self.take.value, **custom, **by, **({"ignored": True} if self.ignored else {})}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Raises ValueError for an unknown word."""
        return cls(
            Choice(str(data.get("take"))), data.get("value"), str(data.get("by", "")), data.get("ignored") is True
        )


Choices = Mapping[str, Taken]


@dataclass(frozen=True, slots=True)
class Problem:
    """Why choices do not settle a conflict: the key that it belongs beside, and a sentence."""

    key: str
    message: str


@dataclass(frozen=True, slots=True)
class Dispute:
    """What both sides say. `fields` are those that need a person; `base` is None where none is known.

    `ignored` fields are no business of a sync's, `skipped` ones were left to us by its strategy: they stay ours, and keep their base,
    unless somebody chooses for them.
    """

    entity: EntityType
    reason: ReasonCode
    fields: tuple[str, ...]
    local: Values
    base: Values | None
    theirs: Values
    theirs_deleted: bool = False
    ignored: frozenset[str] = frozenset()
    skipped: frozenset[str] = frozenset()

    def leaves(self, name: str) -> bool:
        """Whether the field stays ours by itself."""
        return name not in self.fields and (name in self.ignored or name in self.skipped)

    @property
    def asks_record(self) -> bool:
        return self.reason in ASKED_OF_RECORD

    @property
    def differing(self) -> tuple[str, ...]:
        if self.theirs_deleted:
            return ()
        return tuple(name for name in COMPARED[self.entity] if self.local.get(name) != self.theirs.get(name))

    @property
    def questions(self) -> tuple[str, ...]:
        """The keys that must be chosen for before it can be settled."""
        fields = tuple(name for name in self.fields if name in self.differing)
        return (RECORD, *fields) if self.asks_record else fields


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is to be written over the record, all of it; `separate` are the values of a new record for Stripe's object."""

    values: Values
    base: Values | None
    status: SyncStatus
    deleted: bool
    link: bool = False
    separate: Values | None = None


def refreshed(dispute: Dispute, local: Values, base: Values | None, *, deleted: bool) -> Dispute:
    """The dispute as it stands after the record was changed: other values, and other fields that need a person."""
    moved = replace(dispute, local=local, base=base)
    known = base if base is not None and dispute.reason is not ReasonCode.EMAIL_MATCH else {}
    reason = dispute.reason
    if reason in (ReasonCode.BOTH_CHANGED, ReasonCode.NO_BASE):
        reason = ReasonCode.DELETED_HERE if deleted else ReasonCode.BOTH_CHANGED if base else ReasonCode.NO_BASE
    elif reason is ReasonCode.DELETED_HERE and not deleted:
        reason = ReasonCode.BOTH_CHANGED if base else ReasonCode.NO_BASE
    needed = tuple(
        name
        for name in moved.differing
        if not dispute.leaves(name) and (name not in known or known[name] not in (local[name], dispute.theirs[name]))
    )
    return replace(moved, reason=reason, fields=needed)


def settle(dispute: Dispute, choices: Choices, *, deleted: bool) -> Outcome | Problem:
    """What the record becomes. `deleted` says whether it is deleted here now.

    Fields that nobody needs to choose for merge by themselves: what only Stripe changed is taken, all else stays ours, as does what a sync
    would have left alone.
    """
    wrong = next((one for key, taken in choices.items() if (one := misfit(dispute, key, taken))), None)
    wrong = wrong or _said_twice(choices)
    if wrong is not None:
        return wrong
    if not dispute.asks_record:
        return _merged(dispute, choices, deleted=deleted)
    answer = choices.get(RECORD)
    if answer is None:
        return Problem(RECORD, "Choose what becomes of the record.")
    if answer.take is Choice.LOCAL:
        return _kept(dispute, deleted=deleted)
    if dispute.reason is ReasonCode.DELETED_IN_STRIPE:
        return Outcome(dispute.local, dispute.base, SyncStatus.SYNCED, deleted=True)
    return _merged(dispute, choices, deleted=False)


def _said_twice(choices: Choices) -> Problem | None:
    """One of the two would be passed over in silence."""
    both = next((key for key in choices if "." in key and key.partition(".")[0] in choices), None)
    return None if both is None else Problem(both, f"“{both}” is part of a field that is answered as a whole.")


def misfit(dispute: Dispute, key: str, taken: Taken) -> Problem | None:
    """What is wrong with one choice, whatever else is still open."""
    if not _is_key(dispute, key):
        return Problem(key, f"“{key}” is not something that this conflict asks.")
    name, _, inner = key.partition(".")
    if key == RECORD:
        fits = taken.take in (Choice.LOCAL, Choice.STRIPE)
        return None if fits else Problem(key, "The record itself can only be kept as it is here or follow Stripe.")
    if inner:
        wrong = described(name, {inner: taken.value}) if taken.take is Choice.CUSTOM and taken.value is not None else ""
        return Problem(key, wrong) if wrong else None
    named = next(one for one in FIELDS[dispute.entity] if one.name == name)
    value = _taken(dispute, named, taken)
    return value if isinstance(value, Problem) else None


def _kept(dispute: Dispute, *, deleted: bool) -> Outcome:
    """The record stays as it is here, and what Stripe says now is known to differ."""
    match dispute.reason:
        case ReasonCode.EMAIL_MATCH:
            status = SyncStatus.PENDING
            if dispute.base is not None:
                # Linked to another customer of Stripe's by now, whose base it is.
                agrees = same(dispute.entity, dispute.local, dispute.base)
                status = SyncStatus.SYNCED if agrees else SyncStatus.LOCAL_EDIT
            return Outcome(dispute.local, dispute.base, status, deleted=deleted, separate=dispute.theirs)
        case ReasonCode.DELETED_IN_STRIPE:
            # Stripe's object is no more: there is nothing left to compare with.
            return Outcome(dispute.local, None, SyncStatus.LOCAL_EDIT, deleted=deleted)
        case _:
            return Outcome(dispute.local, dispute.theirs, SyncStatus.LOCAL_EDIT, deleted=deleted)


def _merged(dispute: Dispute, choices: Choices, *, deleted: bool) -> Outcome | Problem:
    values: Values = {}
    for one in FIELDS[dispute.entity]:
        value = _value(dispute, one, choices)
        if isinstance(value, Problem):
            return value
        values[one.name] = value
    ignored = [name for name, taken in choices.items() if taken.ignored]
    if ignored and len(ignored) == len(choices):
        # Nobody has decided anything: not even what would merge by itself is written.
        return Outcome(dispute.local, dispute.base, SyncStatus.LOCAL_EDIT, deleted=deleted)
    chosen = {key.partition(".")[0] for key in choices}
    left = [name for name in dispute.differing if name not in chosen and dispute.leaves(name)]
    before = dispute.base or {}
    base = {**dispute.theirs, **{name: before.get(name, dispute.theirs.get(name)) for name in (*ignored, *left)}}
    status = SyncStatus.SYNCED if same(dispute.entity, values, base) else SyncStatus.LOCAL_EDIT
    link = dispute.reason is ReasonCode.EMAIL_MATCH
    return Outcome(values, base, status, deleted=deleted, link=link)


def merged_values(dispute: Dispute, choices: Choices) -> dict[str, JsonValue]:
    """The values as far as they are settled by now, for showing; fields still open are left out."""
    values = {one.name: _value(dispute, one, choices) for one in FIELDS[dispute.entity]}
    return {name: value for name, value in values.items() if not isinstance(value, Problem)}


def _value(dispute: Dispute, one: Field, choices: Choices) -> JsonValue | Problem:
    name = one.name
    if name not in dispute.differing:
        return dispute.theirs.get(name) if one.volatile and not dispute.theirs_deleted else dispute.local.get(name)
    taken = choices.get(name)
    if taken is not None:
        return _taken(dispute, one, taken)
    keyed = {key.removeprefix(f"{name}."): made for key, made in choices.items() if key.startswith(f"{name}.")}
    if keyed:
        return _object(dispute, name, keyed)
    if name in dispute.fields:
        return Problem(name, f"Choose a value for {one.label.lower()}.")
    if dispute.leaves(name):
        return dispute.local.get(name)
    known, base = _base_of(dispute, name)
    return dispute.theirs[name] if known and base == dispute.local[name] else dispute.local[name]


def _base_of(dispute: Dispute, name: str) -> tuple[bool, JsonValue]:
    """Whether a value of the last sync is known, and it."""
    known = dispute.base is not None and name in dispute.base
    return known, dispute.base[name] if known and dispute.base is not None else None


def _taken(dispute: Dispute, one: Field, taken: Taken) -> JsonValue | Problem:
    known, base = _base_of(dispute, one.name)
    match taken.take:
        case Choice.LOCAL:
            return dispute.local.get(one.name)
        case Choice.STRIPE:
            return dispute.theirs.get(one.name)
        case Choice.BASE:
            return base if known else Problem(one.name, f"{one.label} has no value of a last sync to go back to.")
        case Choice.CUSTOM:
            wrong = checked(dispute.entity, one, taken.value)
            return Problem(one.name, wrong) if wrong else taken.value


def _object(dispute: Dispute, name: str, keyed: Mapping[str, Taken]) -> JsonValue | Problem:
    """An object merged key by key: by choice, else by what only one side changed."""
    base = _as_object(_base_of(dispute, name)[1])
    ours, theirs = _as_object(dispute.local.get(name)), _as_object(dispute.theirs.get(name))
    merged: dict[str, JsonValue] = {}
    for key in _in_order(ours, theirs, keyed):
        sides = {Choice.LOCAL: ours.get(key), Choice.STRIPE: theirs.get(key), Choice.BASE: base.get(key)}
        taken = keyed.get(key)
        if taken is not None:
            value = taken.value if taken.take is Choice.CUSTOM else sides[taken.take]
        elif dispute.leaves(name):
            value = sides[Choice.LOCAL]
        elif sides[Choice.LOCAL] == sides[Choice.STRIPE] or (base and sides[Choice.BASE] == sides[Choice.LOCAL]):
            value = sides[Choice.STRIPE]
        elif base and sides[Choice.BASE] == sides[Choice.STRIPE]:
            value = sides[Choice.LOCAL]
        else:
            return Problem(f"{name}.{key}", f"Choose a value for the key “{key}”.")
        if value is not None:
            merged[key] = value
    wrong = described(name, merged)
    return Problem(name, wrong) if wrong else merged


def _as_object(side: object) -> dict[str, JsonValue]:
    return side if isinstance(side, dict) else {}


def _in_order(*objects: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(key for one in objects for key in one))


def _is_key(dispute: Dispute, key: str) -> bool:
    if key == RECORD:
        return dispute.asks_record
    if unwritable(key):
        return False
    name, _, inner = key.partition(".")
    if not inner:
        return name in NAMES[dispute.entity]
    sides = (dispute.local.get(name), dispute.theirs.get(name))
    # A side without the field counts as an empty object, but one of the two must be one.
    return any(isinstance(side, dict) for side in sides) and all(
        side is None or isinstance(side, dict) for side in sides
    )
