"""One answer to many conflicts: which choices it makes for each, which it leaves open, and which concern money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self

from sync_core.domain.fields import FIELDS, JsonValue, Kind, Values
from sync_core.domain.resolution import ASKED_OF_RECORD, RECORD, Dispute, Taken
from sync_core.domain.vocabulary import Blend, Choice, EntityType, Ignoring, ReasonCode, Severity, Transition

Take = Choice | Blend | Ignoring

_STATES = ("status", "provider_status", "unit_amount_decimal", "tiers", "custom_unit_amount", "currency_options")
_CONTENTS = ("price", "quantity", "items", "lines")
SENSITIVE = frozenset(
    one.name
    for fields in FIELDS.values()
    for one in fields
    if one.kind in (Kind.MONEY, Kind.CURRENCY) or one.name in _STATES or one.name in _CONTENTS
)
"""Fields that say what somebody pays, or whether they do."""

_ONE_SIDED = frozenset({Transition.FILLED, Transition.EMPTIED})


def severity(entity: EntityType, fields: Sequence[str]) -> Severity:
    high = entity is EntityType.SUBSCRIPTIONS or not SENSITIVE.isdisjoint(fields)
    return Severity.HIGH if high else Severity.NORMAL


def moves_money(before: Values, after: Values) -> tuple[str, ...]:
    """The sensitive fields whose value a decision would change."""
    return tuple(name for name in after if name in SENSITIVE and before.get(name) != after[name])


@dataclass(frozen=True, slots=True)
class Rule:
    """`take` for every field that differs and is not ignored, unless `fields` names the field's own. Without `money` it writes no
    sensitive field.
    """

    take: Take | None = None
    fields: Mapping[str, Take] = field(default_factory=dict)
    record: Choice | None = None
    money: bool = True

    def to_json(self) -> dict[str, Any]:
        return {
            "take": self.take.value if self.take else None,
            "fields": {name: one.value for name, one in sorted(self.fields.items())},
            "record": self.record.value if self.record else None,
            "money": self.money,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Raises ValueError for an unknown word."""
        record = data.get("record")
        return cls(
            take_of(data.get("take")),
            {str(name): one for name, word in (data.get("fields") or {}).items() if (one := take_of(word)) is not None},
            None if record is None else Choice(str(record)),
            data.get("money", True) is True,
        )

    def ignoring(self, how: Ignoring) -> tuple[str, ...]:
        """The fields that it has ignored from then on."""
        return tuple(name for name, take in sorted(self.fields.items()) if take is how)

    def of(self, name: str) -> Take | None:
        return self.fields.get(name, self.take)

    @property
    def asks_times(self) -> bool:
        """Whether it takes whichever side changed last: what it comes to is then each conflict's own."""
        return Blend.NEWER in (self.take, *self.fields.values())

    @property
    def answer(self) -> Choice | None:
        """What it says about the record itself."""
        return self.record or (self.take if isinstance(self.take, Choice) else None)


def take_of(word: object) -> Take | None:
    """Raises ValueError for an unknown word."""
    if word is None:
        return None
    text = str(word)
    return next((kind(text) for kind in (Blend, Ignoring) if text in {one.value for one in kind}), None) or Choice(text)


NOTHING_KNOWN: Mapping[str, Choice] = MappingProxyType({})


def chosen(dispute: Dispute, rule: Rule, newer: Mapping[str, Choice] = NOTHING_KNOWN) -> dict[str, Taken]:
    """The choices that a rule makes for one conflict; what it says nothing about is left out. `newer` are the sides that are known to have
    changed last.
    """
    made: dict[str, Taken] = {}
    if dispute.asks_record and rule.answer is not None:
        made[RECORD] = Taken(rule.answer)
    for name in dispute.differing:
        # An answer for all fields is none for one that nobody is to be asked about.
        take = rule.fields.get(name) if name in dispute.ignored and dispute.leaves(name) else rule.of(name)
        if take is Blend.NEWER:
            # Where nobody needs to choose, one side alone has changed: that is the newer, and merges by itself.
            take = newer.get(name)
        taken = Taken(take) if isinstance(take, Choice) else _blended(dispute, name, take)
        if taken is not None:
            made[name] = taken
    return made


def _blended(dispute: Dispute, name: str, take: Blend | Ignoring | None) -> Taken | None:
    ours, theirs = dispute.local.get(name), dispute.theirs.get(name)
    match take:
        case Ignoring():
            return Taken(Choice.LOCAL, ignored=True)
        case Blend.FILLED if ours in (None, "", {}, []):
            return Taken(Choice.STRIPE)
        case Blend.FILLED if theirs in (None, "", {}, []):
            return Taken(Choice.LOCAL)
        case Blend.KEYS if name == "metadata":
            return Taken(Choice.CUSTOM, _both((dispute.base or {}).get(name), ours, theirs))
        case _:
            return None


def _both(base: JsonValue, ours: JsonValue, theirs: JsonValue) -> JsonValue:
    """Every key of either side. What one side alone changed or took away counts; where both changed a key, Stripe's stands."""
    before, mine, other = (side if isinstance(side, dict) else {} for side in (base, ours, theirs))
    joined: dict[str, JsonValue] = {}
    for key in mine | other:
        was, here, there = before.get(key), mine.get(key), other.get(key)
        value = here if was == there or (there is None and was != here) else there
        if value is not None:
            joined[key] = value
    return joined


def covers(rule: Rule, reason: ReasonCode, fields: Sequence[str], transitions: Sequence[str] = ()) -> str:
    """Why a rule leaves conflicts of this kind open, as a sentence; empty when it settles them."""
    if reason in ASKED_OF_RECORD:
        if rule.answer not in (Choice.LOCAL, Choice.STRIPE):
            return "This rule does not say what becomes of a record that is in question as a whole."
        if rule.answer is Choice.LOCAL or reason is ReasonCode.DELETED_IN_STRIPE:
            return ""
    takes = {name: rule.of(name) for name in fields}
    if None in takes.values():
        return "Other fields would stay open."
    if Choice.BASE in takes.values() and reason in (ReasonCode.NO_BASE, ReasonCode.EMAIL_MATCH):
        return "Without an earlier sync there is no value to go back to."
    if any(take is Blend.KEYS and name != "metadata" for name, take in takes.items()):
        return "Only metadata can be joined key by key."
    if Blend.FILLED in takes.values() and not _ONE_SIDED.issuperset(transitions):
        return "Both sides have a value."
    if not rule.money and not SENSITIVE.isdisjoint(fields):
        return "This rule leaves what is about money to people."
    return ""
