"""What a record becomes by a person's choices: each reason, each choice, each thing that can be wrong with one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_core.domain.conflict_rules import Rule, chosen, covers
from sync_core.domain.custom_values import checked, parse
from sync_core.domain.fields import FIELDS, JsonValue, Values, same
from sync_core.domain.merge import Stored, Strategies, decide
from sync_core.domain.resolution import (
    RECORD,
    Dispute,
    Outcome,
    Problem,
    Taken,
    misfit,
    refreshed,
    settle,
)
from sync_core.domain.vocabulary import Action, Choice, EntityType, Ignoring, ReasonCode, Strategy, SyncStatus
from tests.unit._resolution import BASE, LOCAL, THEIRS, UUID_1, customer

IGNORED = Taken(Choice.LOCAL, ignored=True)
LOCAL_, STRIPE, BASE_ = Taken(Choice.LOCAL), Taken(Choice.STRIPE), Taken(Choice.BASE)

BOTH = Dispute(EntityType.CUSTOMERS, ReasonCode.BOTH_CHANGED, ("name",), LOCAL, BASE, THEIRS)
NO_BASE = replace(BOTH, reason=ReasonCode.NO_BASE, base=None, fields=("name", "phone", "description"))
EMAIL = replace(NO_BASE, reason=ReasonCode.EMAIL_MATCH)
LINKED_SINCE = replace(EMAIL, local=BASE, base=BASE)
HERE = replace(BOTH, reason=ReasonCode.DELETED_HERE, fields=())
PASSED_OVER = replace(BOTH, skipped=frozenset({"description"}))
IGNORES = replace(BOTH, ignored=frozenset({"description"}))
GONE = replace(BOTH, reason=ReasonCode.DELETED_IN_STRIPE, fields=(), theirs={}, theirs_deleted=True)


def custom(value: JsonValue) -> Taken:
    return Taken(Choice.CUSTOM, value)


SETTLED: dict[str, tuple[Dispute, dict[str, Taken], Values, Values | None, SyncStatus]] = {
    "ours, and what only Stripe changed": (
        BOTH,
        {"name": LOCAL_},
        {**LOCAL, "description": "theirs"},
        THEIRS,
        SyncStatus.LOCAL_EDIT,
    ),
    "Stripe's, and what only we changed": (
        BOTH,
        {"name": STRIPE},
        {**THEIRS, "phone": "ours"},
        THEIRS,
        SyncStatus.LOCAL_EDIT,
    ),
    "Stripe's throughout": (BOTH, chosen(BOTH, Rule(Choice.STRIPE)), THEIRS, THEIRS, SyncStatus.SYNCED),
    "ours throughout": (BOTH, chosen(BOTH, Rule(Choice.LOCAL)), LOCAL, THEIRS, SyncStatus.LOCAL_EDIT),
    "ignored": (
        replace(BOTH, local=customer(name="ours"), theirs=customer(name="theirs")),
        {"name": IGNORED},
        customer(name="ours"),
        BASE,
        SyncStatus.LOCAL_EDIT,
    ),
    "ignored, never synced": (
        replace(NO_BASE, fields=("name",), local=customer(name="ours"), theirs=customer(name="theirs")),
        {"name": IGNORED},
        customer(name="ours"),
        None,
        SyncStatus.LOCAL_EDIT,
    ),
    "one ignored beside one that is decided": (
        BOTH,
        chosen(BOTH, Rule(Choice.STRIPE, {"name": Ignoring.RECORD})),
        {**THEIRS, "name": "ours"},
        {**THEIRS, "name": "base"},
        SyncStatus.LOCAL_EDIT,
    ),
    "one that the strategy left to us": (
        PASSED_OVER,
        {"name": STRIPE},
        {**THEIRS, "phone": "ours", "description": "base"},
        {**THEIRS, "description": "base"},
        SyncStatus.LOCAL_EDIT,
    ),
    "one that the strategy left to us, chosen for": (
        PASSED_OVER,
        {"name": STRIPE, "description": STRIPE},
        {**THEIRS, "phone": "ours"},
        THEIRS,
        SyncStatus.LOCAL_EDIT,
    ),
    "Stripe's throughout but for what is ignored": (
        IGNORES,
        chosen(IGNORES, Rule(Choice.STRIPE)),
        {**THEIRS, "description": "base"},
        {**THEIRS, "description": "base"},
        SyncStatus.SYNCED,
    ),
    "Stripe's throughout, and what is ignored by name": (
        IGNORES,
        chosen(IGNORES, Rule(Choice.STRIPE, {"description": Choice.STRIPE})),
        THEIRS,
        THEIRS,
        SyncStatus.SYNCED,
    ),
    "the last sync's": (
        BOTH,
        chosen(BOTH, Rule(Choice.BASE)),
        BASE,
        THEIRS,
        SyncStatus.LOCAL_EDIT,
    ),
    "a value of one's own": (
        BOTH,
        {**chosen(BOTH, Rule(Choice.STRIPE)), "name": custom("Third")},
        {**THEIRS, "name": "Third"},
        THEIRS,
        SyncStatus.LOCAL_EDIT,
    ),
    "linked": (
        EMAIL,
        {**chosen(EMAIL, Rule(Choice.LOCAL)), RECORD: STRIPE},
        LOCAL,
        THEIRS,
        SyncStatus.LOCAL_EDIT,
    ),
    "kept apart": (EMAIL, {RECORD: LOCAL_}, LOCAL, None, SyncStatus.PENDING),
    "kept apart, linked to another meanwhile": (LINKED_SINCE, {RECORD: LOCAL_}, BASE, BASE, SyncStatus.SYNCED),
    "kept apart, linked to another and edited": (
        replace(LINKED_SINCE, local=LOCAL),
        {RECORD: LOCAL_},
        LOCAL,
        BASE,
        SyncStatus.LOCAL_EDIT,
    ),
    "restored": (HERE, {RECORD: STRIPE, "name": STRIPE}, {**THEIRS, "phone": "ours"}, THEIRS, SyncStatus.LOCAL_EDIT),
    "kept deleted": (HERE, {RECORD: LOCAL_}, LOCAL, THEIRS, SyncStatus.LOCAL_EDIT),
    "deleted as in Stripe": (GONE, {RECORD: STRIPE}, LOCAL, BASE, SyncStatus.SYNCED),
    "kept, though deleted in Stripe": (GONE, {RECORD: LOCAL_}, LOCAL, None, SyncStatus.LOCAL_EDIT),
}


@pytest.mark.parametrize("case", SETTLED, ids=SETTLED)
def test_a_settled_conflict_says_values_base_and_status(case: str) -> None:
    dispute, choices, values, base, status = SETTLED[case]
    outcome = settle(dispute, choices, deleted=dispute is HERE)
    assert isinstance(outcome, Outcome)
    assert (outcome.values, outcome.base, outcome.status) == (values, base, status)
    assert outcome.link == (case == "linked")
    assert outcome.deleted == (case in ("kept deleted", "deleted as in Stripe"))
    assert outcome.separate == (THEIRS if case.startswith("kept apart") else None)


REFUSED: dict[str, tuple[Dispute, dict[str, Taken], str]] = {
    "nothing chosen": (BOTH, {}, "name"),
    "a field of no record": (BOTH, {"nonsense": LOCAL_}, "nonsense"),
    "the record, where nobody asks": (BOTH, {RECORD: LOCAL_, "name": LOCAL_}, RECORD),
    "no answer about the record": (HERE, {"name": LOCAL_}, RECORD),
    "the record back to the last sync": (HERE, {RECORD: BASE_}, RECORD),
    "no last sync to go back to": (NO_BASE, chosen(NO_BASE, Rule(Choice.BASE)), "name"),
    "a number for a text": (BOTH, {"name": custom(5)}, "name"),
    "a NUL in a text": (BOTH, {"name": custom("a\x00b")}, "name"),
    "half a character in a text": (BOTH, {"name": custom("\ud83d")}, "name"),
    "half a character in a key": (BOTH, {"name": LOCAL_, "metadata.\ud83d": STRIPE}, "metadata.\ud83d"),
    "a part and its whole": (BOTH, {"name": LOCAL_, "metadata": LOCAL_, "metadata.plan": STRIPE}, "metadata.plan"),
    "metadata that are numbers": (BOTH, {"name": LOCAL_, "metadata": custom({"a": 1})}, "metadata"),
    "a key of a field that is no object": (BOTH, {"name.first": LOCAL_}, "name.first"),
}


@pytest.mark.parametrize("case", REFUSED, ids=REFUSED)
def test_choices_that_do_not_settle_are_refused_beside_their_key(case: str) -> None:
    dispute, choices, key = REFUSED[case]
    problem = settle(dispute, choices, deleted=False)
    assert isinstance(problem, Problem)
    assert problem.key == key
    assert problem.message.endswith(".")


KEYED = replace(
    BOTH,
    fields=("metadata",),
    local=customer(metadata={"plan": "ours", "only": "ours", "same": "x", "gone": "x"}),
    base=customer(metadata={"plan": "base", "same": "x", "gone": "x"}),
    theirs=customer(metadata={"plan": "theirs", "added": "theirs", "same": "x"}),
)


def test_metadata_are_merged_key_by_key_around_one_choice() -> None:
    outcome = settle(KEYED, {"metadata.plan": STRIPE}, deleted=False)
    assert isinstance(outcome, Outcome)
    assert outcome.values["metadata"] == {"plan": "theirs", "only": "ours", "same": "x", "added": "theirs"}


def test_a_key_that_both_changed_must_be_chosen() -> None:
    problem = settle(KEYED, {"metadata.added": LOCAL_}, deleted=False)
    assert isinstance(problem, Problem)
    assert problem.key == "metadata.plan"


def test_without_a_last_sync_each_differing_key_must_be_chosen() -> None:
    unknown = replace(KEYED, reason=ReasonCode.NO_BASE, base=None)
    every = {f"metadata.{key}": STRIPE for key in ("plan", "only", "added", "gone")}
    outcome = settle(unknown, every, deleted=False)
    assert isinstance(outcome, Outcome)
    assert outcome.values["metadata"] == unknown.theirs["metadata"]
    assert isinstance(settle(unknown, {**every} | {"metadata.only": LOCAL_}, deleted=False), Outcome)
    del every["metadata.only"]
    assert isinstance(settle(unknown, every, deleted=False), Problem)


def test_a_refreshed_dispute_asks_about_what_both_changed_by_now() -> None:
    moved = refreshed(BOTH, {**LOCAL, "description": "ours too"}, BASE, deleted=False)
    assert moved.fields == ("name", "description")
    agreed = refreshed(BOTH, THEIRS, BASE, deleted=False)
    assert (agreed.fields, agreed.questions) == ((), ())
    assert refreshed(BOTH, LOCAL, BASE, deleted=True).reason is ReasonCode.DELETED_HERE
    assert refreshed(HERE, LOCAL, BASE, deleted=False).reason is ReasonCode.BOTH_CHANGED


COVERED: dict[str, tuple[Rule, Dispute, bool]] = {
    "one side for all": (Rule(Choice.STRIPE), BOTH, True),
    "the field in dispute": (Rule(fields={"name": Choice.LOCAL}), BOTH, True),
    "another field": (Rule(fields={"email": Choice.LOCAL}), BOTH, False),
    "one of several fields": (Rule(fields={"name": Choice.LOCAL}), NO_BASE, False),
    "the last sync, known": (Rule(Choice.BASE), BOTH, True),
    "the last sync, unknown": (Rule(Choice.BASE), NO_BASE, False),
    "the record's fate unsaid": (Rule(fields={"name": Choice.LOCAL}), HERE, False),
    "the record's fate said": (Rule(record=Choice.LOCAL), HERE, True),
    "the record's fate, back in time": (Rule(Choice.BASE), HERE, False),
    "linked, its fields unsaid": (Rule(record=Choice.STRIPE), EMAIL, False),
    "linked, its fields said": (Rule(Choice.LOCAL, record=Choice.STRIPE), EMAIL, True),
    "deleted as in Stripe": (Rule(Choice.STRIPE), GONE, True),
}


@pytest.mark.parametrize("case", COVERED, ids=COVERED)
def test_a_rule_covers_exactly_what_it_settles(case: str) -> None:
    rule, dispute, covered = COVERED[case]
    assert (covers(rule, dispute.reason, dispute.fields) == "") is covered
    settled = settle(dispute, chosen(dispute, rule), deleted=dispute is HERE)
    assert isinstance(settled, Outcome) is covered


@pytest.mark.parametrize(
    "case", [name for name, one in SETTLED.items() if one[0].reason is not ReasonCode.EMAIL_MATCH], ids=str
)
def test_what_a_person_settled_is_no_conflict_at_the_next_sync(case: str) -> None:
    """The record as settled, and Stripe as it was: nothing is asked again and nothing of ours overwritten."""
    dispute, choices, *_ = SETTLED[case]
    outcome = settle(dispute, choices, deleted=dispute is HERE)
    assert isinstance(outcome, Outcome)
    stored = Stored(
        UUID_1,
        2,
        outcome.values,
        outcome.base,
        outcome.deleted,
        linked=True,
        observed_at=1.0,
        kept=outcome.status is SyncStatus.LOCAL_EDIT,
    )
    decision = decide(
        EntityType.CUSTOMERS,
        Strategies(
            Strategy.FLAG,
            ignored=frozenset(
                (EntityType.CUSTOMERS, name)
                for name in (
                    *(one for one, taken in choices.items() if taken.ignored),
                    *dispute.ignored,
                    *dispute.skipped,
                )
            ),
        ),
        stored,
        dispute.theirs,
        deleted=dispute.theirs_deleted,
        observed_at=2.0,
    )
    assert decision.action in (Action.UNCHANGED, Action.SKIP)
    assert decision.write is None


@pytest.mark.parametrize("how", Ignoring, ids=str)
def test_where_a_field_is_ignored_nothing_is_written_not_even_what_would_merge(how: Ignoring) -> None:
    made = chosen(BOTH, Rule(fields={"name": how}))
    assert made == {"name": IGNORED}
    assert settle(BOTH, made, deleted=False) == Outcome(LOCAL, BASE, SyncStatus.LOCAL_EDIT, deleted=False)
    assert covers(Rule(fields={"name": how}), ReasonCode.BOTH_CHANGED, ("name", "phone")) != ""


texts = st.sampled_from(["a", "b", "c", ""])
records: st.SearchStrategy[Values] = st.builds(
    lambda name, phone, description, plan: customer(
        name=name, phone=phone, description=description, metadata={"plan": plan} if plan else {}
    ),
    texts,
    texts,
    texts,
    texts,
)
takes = st.sampled_from([Choice.LOCAL, Choice.STRIPE, Choice.BASE])


@given(records, records, records, takes)
def test_taking_one_side_gives_that_side(local: Values, base: Values, theirs: Values, take: Choice) -> None:
    dispute = refreshed(replace(BOTH, theirs=theirs), local, base, deleted=False)
    outcome = settle(dispute, chosen(dispute, Rule(take)), deleted=False)
    assert isinstance(outcome, Outcome)
    side = {Choice.LOCAL: local, Choice.STRIPE: theirs, Choice.BASE: base}[take]
    assert all(outcome.values[name] == side[name] for name in dispute.differing)
    assert all(outcome.values[name] == local[name] for name in local if name not in dispute.differing)
    assert (outcome.status is SyncStatus.SYNCED) == same(EntityType.CUSTOMERS, outcome.values, theirs)


@given(records, records, records, takes, st.sets(st.sampled_from(["name", "phone", "description", "metadata"])))
def test_what_syncs_leave_alone_stays_ours_whatever_is_decided_beside_it(
    local: Values, base: Values, theirs: Values, take: Choice, left: set[str]
) -> None:
    asked = replace(BOTH, theirs=theirs, fields=(), skipped=frozenset(left))
    dispute = refreshed(asked, local, base, deleted=False)
    outcome = settle(dispute, {name: Taken(take) for name in dispute.fields}, deleted=False)
    assert isinstance(outcome, Outcome)
    assert left.isdisjoint(dispute.fields)
    assert all(outcome.values[name] == local[name] for name in left)
    stored = Stored(UUID_1, 2, outcome.values, outcome.base, deleted=False, linked=True, observed_at=1.0)
    skips = {(EntityType.CUSTOMERS, name): Strategy.SKIP for name in left}
    flagged = Strategies(Strategy.FLAG, by_field=skips)
    again = decide(EntityType.CUSTOMERS, flagged, stored, theirs, deleted=False, observed_at=2.0)
    assert (again.action is not Action.CONFLICT, again.write) == (True, None)


def test_a_key_of_a_field_that_is_left_alone_takes_no_other_with_it() -> None:
    dispute = replace(KEYED, fields=(), ignored=frozenset({"metadata"}))
    outcome = settle(dispute, {"metadata.plan": STRIPE}, deleted=False)
    assert isinstance(outcome, Outcome)
    assert outcome.values["metadata"] == {**cast("dict[str, JsonValue]", KEYED.local["metadata"]), "plan": "theirs"}


def test_choices_survive_their_json() -> None:
    for taken in (LOCAL_, Taken(Choice.CUSTOM, {"a": "b"}, "Ann"), Taken(Choice.CUSTOM, None)):
        assert Taken.from_json(taken.to_json()) == taken
    rule = Rule(Choice.STRIPE, {"name": Choice.LOCAL}, Choice.LOCAL)
    assert Rule.from_json(rule.to_json()) == rule
    with pytest.raises(ValueError, match="sideways"):
        Taken.from_json({"take": "sideways"})


FIELD = {(entity, one.name): one for entity, fields in FIELDS.items() for one in fields}
TYPED: list[tuple[EntityType, str, str, Any]] = [
    (EntityType.CUSTOMERS, "email", " a@b.example ", "a@b.example"),
    (EntityType.CUSTOMERS, "phone", "", None),
    (EntityType.CUSTOMERS, "metadata", "", {}),
    (EntityType.CUSTOMERS, "metadata", '{"plan": "gold"}', {"plan": "gold"}),
    (EntityType.PRODUCTS, "active", "Yes", True),
    (EntityType.PRICES, "unit_amount_in_pennies", "$1,234.50", 123450),
    (EntityType.PRICES, "unit_amount_decimal", "12.50", "12.5"),
    (EntityType.PRICES, "currency", "eur", "EUR"),
    (EntityType.SUBSCRIPTIONS, "quantity", "1,000", 1000),
    (EntityType.SUBSCRIPTIONS, "trial_end", "2026-01-31", 1769817600),
    (EntityType.SUBSCRIPTIONS, "status", "active", "active"),
]


@pytest.mark.parametrize(("entity", "name", "typed", "value"), TYPED)
def test_a_typed_value_is_read_by_its_kind(entity: EntityType, name: str, typed: str, value: Any) -> None:
    assert parse(FIELD[entity, name], typed, "USD") == value
    assert checked(entity, FIELD[entity, name], value) == ""


MISTYPED = [
    (EntityType.PRODUCTS, "active", "maybe"),
    (EntityType.PRICES, "unit_amount_in_pennies", "1.234"),
    (EntityType.PRICES, "unit_amount_decimal", "many"),
    (EntityType.SUBSCRIPTIONS, "quantity", "1.5"),
    (EntityType.SUBSCRIPTIONS, "trial_end", "tomorrow"),
    (EntityType.CUSTOMERS, "metadata", "{plan}"),
]


@pytest.mark.parametrize(("entity", "name", "typed"), MISTYPED)
def test_a_mistyped_value_is_refused_with_a_sentence(entity: EntityType, name: str, typed: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse(FIELD[entity, name], typed, "USD")


MISFITS: list[tuple[EntityType, str, JsonValue]] = [
    (EntityType.PRODUCTS, "name", None),
    (EntityType.PRODUCTS, "active", None),
    (EntityType.PRODUCTS, "active", "yes"),
    (EntityType.CUSTOMERS, "metadata", None),
    (EntityType.CUSTOMERS, "name", "x" * 40_001),
    (EntityType.PRICES, "currency", "XXQ"),
    (EntityType.PRICES, "currency", "usd"),
    (EntityType.PRICES, "unit_amount_in_pennies", 2**63),
    (EntityType.PRICES, "unit_amount_in_pennies", True),
    (EntityType.PRICES, "unit_amount_decimal", "12.50"),
    (EntityType.PRICES, "tiers", "all"),
    (EntityType.PRICES, "tiers", [float("nan")]),
    (EntityType.PRICES, "tiers", [{"\x00": 1}]),
    (EntityType.PRICES, "product", "prod_1"),
    (EntityType.SUBSCRIPTIONS, "status", "asleep"),
    (EntityType.INVOICES, "invoice_pdf", "https://example.com"),
]


@pytest.mark.parametrize(("entity", "name", "value"), MISFITS)
def test_a_value_that_does_not_fit_its_field_is_named(entity: EntityType, name: str, value: JsonValue) -> None:
    assert checked(entity, FIELD[entity, name], value)


def test_what_is_written_about_a_nul_holds_none() -> None:
    assert checked(EntityType.CUSTOMERS, FIELD[EntityType.CUSTOMERS, "metadata"], {"a": "\\u0000"}) == ""


def test_one_choice_is_checked_whatever_else_is_open() -> None:
    assert misfit(NO_BASE, "name", LOCAL_) is None
    assert misfit(NO_BASE, "name", BASE_) is not None
    assert misfit(KEYED, "metadata.plan", custom("silver")) is None
    assert misfit(KEYED, "metadata.plan", custom(None)) is None
    assert misfit(KEYED, "metadata.plan", custom(7)) is not None
