"""Which side changed a field last: what is known decides, and what is not known says why it is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sync_core.domain.conflict_rules import Rule, chosen, covers
from sync_core.domain.newer import MARGIN, Change, Traces, fingerprint, newer
from sync_core.domain.resolution import Dispute, Taken
from sync_core.domain.vocabulary import Blend, Choice, Doubt, EntityType, ReasonCode
from tests.unit._resolution import customer

BASE, READ = 1_000_000.0, 2_000_000.0
BETWEEN = 1_500_000.0
OURS, THEIRS = Change(BETWEEN, "ana", True), Change(BETWEEN, "evt_1", True)


def ours(at: float = BETWEEN, *, holds: bool = True, kept: bool = False) -> Change:
    return Change(at, "ana", holds, kept)


def theirs(at: float = BETWEEN, *, holds: bool = True) -> Change:
    return Change(at, "evt_1", holds)


def known(
    ours: Change | None, theirs: Change | None, *, base_at: float | None = BASE, skew: float | None = 0.0
) -> Traces:
    return Traces(ours, theirs, READ, base_at, skew)


JUST = MARGIN + 0.5
CASES: dict[str, tuple[Traces, Choice | Doubt]] = {
    "Stripe's is later": (known(ours(), theirs(BETWEEN + 3_600)), Choice.STRIPE),
    "ours is later": (known(ours(BETWEEN + 3_600), theirs()), Choice.LOCAL),
    "ours is after what the sync read": (known(ours(READ + 3_600), theirs()), Choice.LOCAL),
    "Stripe's is later by just enough": (known(ours(), theirs(BETWEEN + JUST)), Choice.STRIPE),
    "ours is later by just enough, and Stripe's second": (known(ours(BETWEEN + JUST + 1), theirs()), Choice.LOCAL),
    "ours is later, but for Stripe's second": (known(ours(BETWEEN + JUST), theirs()), Doubt.CLOSE),
    "at the same time": (known(ours(), theirs()), Doubt.CLOSE),
    "Stripe's is within the margin": (known(ours(), theirs(BETWEEN + MARGIN)), Doubt.CLOSE),
    "clocks further apart than the times": (known(ours(), theirs(BETWEEN + 600), skew=-600.0), Doubt.CLOSE),
    "times further apart than the clocks": (known(ours(), theirs(BETWEEN + 3_600), skew=-600.0), Choice.STRIPE),
    "clocks ahead count as those behind": (known(ours(BETWEEN + 600), theirs(), skew=600.0), Doubt.CLOSE),
    "nobody noted the clocks": (known(ours(), theirs(BETWEEN + 3_600), skew=None), Doubt.NO_CLOCK),
    "no event": (known(ours(), None), Doubt.NO_EVENT),
    "an event of before the last sync": (known(ours(), theirs(BASE - 3_600)), Doubt.NO_EVENT),
    "an event that the last sync may have missed": (known(ours(), theirs(BASE - 1)), Choice.LOCAL),
    "an event of another value": (known(ours(), theirs(holds=False)), Doubt.OTHER_EVENT),
    "an event since the sync": (known(ours(), theirs(READ + 3_600, holds=False)), Doubt.CHANGED_SINCE),
    "an event since the sync, back to the same": (known(ours(), theirs(READ + 3_600)), Doubt.CHANGED_SINCE),
    "no edit": (known(None, theirs()), Doubt.NO_EDIT),
    "an edit of another value": (known(ours(holds=False), theirs()), Doubt.OTHER_EDIT),
    "an edit of before the last sync": (known(ours(BASE - 1), theirs()), Doubt.OLD_EDIT),
    "nothing at all": (known(None, None), Doubt.NO_EVENT),
    "never synced": (known(ours(100.0), theirs(3_600.0), base_at=None), Choice.STRIPE),
    "kept by a decision, then changed in Stripe": (known(ours(kept=True), theirs(BETWEEN + 3_600)), Choice.STRIPE),
    "changed in Stripe, then kept by a decision": (known(ours(BETWEEN + 3_600, kept=True), theirs()), Doubt.KEPT),
}


@pytest.mark.parametrize("case", CASES)
def test_which_side_is_the_newer(case: str) -> None:
    traces, expected = CASES[case]
    assert newer(traces) == expected


@pytest.mark.parametrize("apart", [0.0, 1.0, 29.0, 31.0, 45.0, 3_600.0])
@pytest.mark.parametrize("skew", [-600.0, -5.0, 0.0, 5.0, 600.0])
@pytest.mark.parametrize("drift", [-29.0, 0.0, 29.0])
def test_no_clock_turns_the_order_round(apart: float, skew: float, drift: float) -> None:
    """Whatever Stripe's clock showed, with what it drifted since that was noted: the side that is taken is the later in truth."""
    for stripe_later, side in ((True, Choice.STRIPE), (False, Choice.LOCAL)):
        here = BETWEEN
        there = here + apart if stripe_later else here - apart
        shown = float(int(there + skew + drift))
        assert newer(replace(known(ours(here), theirs(shown)), skew=skew)) in (side, Doubt.CLOSE)


def disputed(name: str = "theirs") -> Dispute:
    values = {"name": "ours", "phone": "2"}, {"name": "base", "phone": "1"}, {"name": name, "phone": "1"}
    mine, base, other = (customer(**one) for one in values)
    return Dispute(EntityType.CUSTOMERS, ReasonCode.BOTH_CHANGED, ("name",), mine, base, other)


def test_a_rule_takes_the_side_that_is_known_to_be_newer_and_no_other() -> None:
    rule = Rule(Blend.NEWER)
    assert chosen(disputed(), rule, {"name": Choice.STRIPE}) == {"name": Taken(Choice.STRIPE)}
    assert chosen(disputed(), rule, {"name": Choice.LOCAL}) == {"name": Taken(Choice.LOCAL)}
    assert chosen(disputed(), rule) == {}
    assert chosen(disputed(), Rule(Choice.BASE), {"name": Choice.STRIPE}) == {
        "name": Taken(Choice.BASE),
        "phone": Taken(Choice.BASE),
    }


def test_what_a_rule_of_times_leaves_to_others() -> None:
    assert covers(Rule(Blend.NEWER), ReasonCode.BOTH_CHANGED, ["name"]) == ""
    assert "money" in covers(Rule(Blend.NEWER, money=False), ReasonCode.BOTH_CHANGED, ["total"])
    assert "in question" in covers(Rule(Blend.NEWER), ReasonCode.EMAIL_MATCH, ["name"])
    assert [
        rule.asks_times for rule in (Rule(Blend.NEWER), Rule(fields={"name": Blend.NEWER}), Rule(Blend.FILLED))
    ] == [
        True,
        True,
        False,
    ]
    assert Rule.from_json(Rule(Blend.NEWER).to_json()) == Rule(Blend.NEWER)


def test_a_fingerprint_does_not_know_the_order_of_keys() -> None:
    assert fingerprint({"a": "1", "b": "2"}) == fingerprint({"b": "2", "a": "1"}) != fingerprint({"a": "1", "b": "3"})
