"""Answers from both sides: what a rule makes of one conflict where neither side simply wins."""

from __future__ import annotations

import pytest

from sync_core.domain.conflict_rules import Rule, chosen, moves_money, severity
from sync_core.domain.fields import JsonValue
from sync_core.domain.resolution import Dispute, Taken
from sync_core.domain.vocabulary import Blend, Choice, EntityType, ReasonCode, Severity
from tests.unit._resolution import customer


def dispute(base: dict[str, JsonValue], ours: dict[str, JsonValue], theirs: dict[str, JsonValue]) -> Dispute:
    fields = tuple(name for name in ours if ours[name] != theirs[name])
    return Dispute(
        EntityType.CUSTOMERS,
        ReasonCode.BOTH_CHANGED,
        fields,
        customer(**ours),
        customer(**base),
        customer(**theirs),
    )


# base, ours, Stripe's, joined
KEYS: dict[str, tuple[dict[str, JsonValue], dict[str, JsonValue], dict[str, JsonValue], dict[str, JsonValue]]] = {
    "each added one": ({}, {"a": "1"}, {"b": "2"}, {"a": "1", "b": "2"}),
    "both changed one": ({"a": "0"}, {"a": "1"}, {"a": "2"}, {"a": "2"}),
    "we alone changed one": ({"a": "0"}, {"a": "1", "b": "1"}, {"a": "0"}, {"a": "1", "b": "1"}),
    "Stripe alone changed one": ({"a": "0"}, {"a": "0", "b": "1"}, {"a": "2"}, {"a": "2", "b": "1"}),
    "we took one away": ({"a": "0", "b": "0"}, {"b": "1"}, {"a": "0", "b": "2"}, {"b": "2"}),
    "Stripe took one away": ({"a": "0", "b": "0"}, {"a": "0", "b": "1"}, {"b": "2"}, {"b": "2"}),
    "we changed what Stripe took away": ({"a": "0"}, {"a": "1"}, {"b": "2"}, {"a": "1", "b": "2"}),
}


@pytest.mark.parametrize("case", KEYS)
def test_keys_of_both_sides(case: str) -> None:
    base, ours, theirs, joined = KEYS[case]
    found = dispute({"metadata": base}, {"metadata": ours}, {"metadata": theirs})
    assert chosen(found, Rule(Blend.KEYS)) == {"metadata": Taken(Choice.CUSTOM, joined)}


FILLED: dict[str, tuple[JsonValue, JsonValue, Choice | None]] = {
    "nothing here": (None, "theirs", Choice.STRIPE),
    "nothing in Stripe": ("ours", None, Choice.LOCAL),
    "both have one": ("ours", "theirs", None),
}


@pytest.mark.parametrize("case", FILLED)
def test_whichever_side_has_a_value(case: str) -> None:
    ours, theirs, take = FILLED[case]
    found = dispute({"phone": "base"}, {"phone": ours}, {"phone": theirs})
    assert chosen(found, Rule(Blend.FILLED)) == ({} if take is None else {"phone": Taken(take)})


def test_a_field_that_is_no_object_has_no_keys_to_join() -> None:
    assert chosen(dispute({"phone": "0"}, {"phone": "1"}, {"phone": "2"}), Rule(Blend.KEYS)) == {}


def test_what_is_about_money() -> None:
    assert severity(EntityType.INVOICES, ["amount_due"]) is Severity.HIGH
    assert severity(EntityType.PRICES, ["currency"]) is Severity.HIGH
    assert severity(EntityType.SUBSCRIPTIONS, ["metadata"]) is Severity.HIGH
    assert severity(EntityType.CUSTOMERS, ["name"]) is Severity.NORMAL
    assert moves_money({"total": 1, "number": "a"}, {"total": 2, "number": "b"}) == ("total",)
