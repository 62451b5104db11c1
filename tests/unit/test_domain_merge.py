"""The strategy table of the product, cell by cell, then mixtures of strategies within one record."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_core.domain.fields import NAMES, Values
from sync_core.domain.merge import Decision, Stored, Strategies, decide
from sync_core.domain.vocabulary import Action, EntityType, ReasonCode, Strategy

CUSTOMERS = EntityType.CUSTOMERS
SKIP, OVERWRITE, FLAG = Strategy
EARLIER, NOW, LATER = 100.0, 200.0, 300.0


def values(**over: str | None) -> Values:
    fixed: Values = {"email": "ada@x", "name": "Ada", "phone": None, "description": None, "metadata": {}}
    return fixed | over


def stored(
    local: Values,
    base: Values | None,
    *,
    deleted: bool = False,
    linked: bool = True,
    observed_at: float | None = EARLIER,
) -> Stored:
    return Stored(UUID(int=1), 1, local, base, deleted, linked, observed_at)


OURS, THEIRS, BASE = values(name="Ours"), values(name="Theirs"), values(name="Base")

SITUATIONS: dict[str, tuple[Stored | None, Values, bool]] = {
    "no stored record": (None, THEIRS, False),
    "equal": (stored(BASE, BASE), BASE, False),
    "only Stripe changed": (stored(BASE, BASE), THEIRS, False),
    "only we changed": (stored(OURS, BASE), BASE, False),
    "both changed": (stored(OURS, BASE), THEIRS, False),
    "both changed alike": (stored(THEIRS, BASE), THEIRS, False),
    "base unknown, differs": (stored(OURS, None), THEIRS, False),
    "base unknown, equal": (stored(THEIRS, None), THEIRS, False),
    "email only, differs": (stored(OURS, None, linked=False, observed_at=None), THEIRS, False),
    "email only, equal": (stored(THEIRS, None, linked=False, observed_at=None), THEIRS, False),
    "deleted here": (stored(BASE, BASE, deleted=True), BASE, False),
    "deleted here, changed in Stripe": (stored(BASE, BASE, deleted=True), THEIRS, False),
    "deleted in Stripe, untouched here": (stored(BASE, BASE), {}, True),
    "deleted in Stripe, edited here": (stored(OURS, BASE), {}, True),
    "deleted in Stripe, base unknown": (stored(OURS, None), {}, True),
    "deleted on both sides": (stored(BASE, BASE, deleted=True), {}, True),
    "deleted in Stripe, email only": (stored(OURS, None, linked=False), {}, True),
    "a newer state is stored": (stored(OURS, BASE, observed_at=LATER), THEIRS, False),
    "a newer state is stored, then deleted": (stored(OURS, BASE, observed_at=LATER), {}, True),
}

CREATED = Decision(Action.CREATE, write=THEIRS, base=THEIRS)
UNCHANGED = Decision(Action.UNCHANGED)
ADOPTED = Decision(Action.UNCHANGED, adopt_base=True, base=THEIRS)
STALE = Decision(Action.UNCHANGED, ReasonCode.STALE)
SKIPPED = Decision(Action.SKIP, ReasonCode.STRATEGY_SKIP, changed=("name",))
TAKEN = Decision(Action.UPDATE, write=THEIRS, base=THEIRS, changed=("name",))
REVERTED = replace(TAKEN, write=BASE, base=BASE)
KEPT = replace(SKIPPED, reason=ReasonCode.LOCAL_EDIT_KEPT)
CONFLICT = Decision(Action.CONFLICT, ReasonCode.BOTH_CHANGED, changed=("name",), conflicts=("name",))
UNSURE = replace(CONFLICT, reason=ReasonCode.NO_BASE)
LINKED = replace(TAKEN, reason=ReasonCode.EMAIL_MATCH, link=True)
DUPLICATE = replace(CONFLICT, reason=ReasonCode.EMAIL_MATCH)
EMAIL_SKIPPED = replace(SKIPPED, reason=ReasonCode.EMAIL_MATCH)
RESTORED = replace(TAKEN, reason=ReasonCode.DELETED_HERE, restore=True)
STAYS_DELETED = replace(SKIPPED, reason=ReasonCode.DELETED_HERE)
DELETED = Decision(Action.UPDATE, ReasonCode.DELETED_IN_STRIPE, delete=True)
DELETION_SKIPPED = Decision(Action.SKIP, ReasonCode.DELETED_IN_STRIPE)
DELETION_CONFLICT = Decision(Action.CONFLICT, ReasonCode.DELETED_IN_STRIPE)
NOT_OURS_TO_DELETE = Decision(Action.SKIP, ReasonCode.EMAIL_MATCH)

TABLE: dict[str, tuple[Decision, Decision, Decision]] = {
    "no stored record": (CREATED, CREATED, CREATED),
    "equal": (UNCHANGED, UNCHANGED, UNCHANGED),
    "only Stripe changed": (SKIPPED, TAKEN, TAKEN),
    "only we changed": (SKIPPED, REVERTED, KEPT),
    "both changed": (SKIPPED, TAKEN, CONFLICT),
    "both changed alike": (ADOPTED, ADOPTED, ADOPTED),
    "base unknown, differs": (SKIPPED, TAKEN, UNSURE),
    "base unknown, equal": (ADOPTED, ADOPTED, ADOPTED),
    "email only, differs": (EMAIL_SKIPPED, LINKED, DUPLICATE),
    "email only, equal": (
        replace(EMAIL_SKIPPED, changed=()),
        replace(LINKED, changed=()),
        replace(DUPLICATE, changed=(), conflicts=()),
    ),
    "deleted here": (
        replace(STAYS_DELETED, changed=()),
        replace(RESTORED, changed=(), write=BASE, base=BASE),
        Decision(Action.CONFLICT, ReasonCode.DELETED_HERE),
    ),
    # Stripe's change alone needs nobody; whether to restore does.
    "deleted here, changed in Stripe": (
        STAYS_DELETED,
        RESTORED,
        Decision(Action.CONFLICT, ReasonCode.DELETED_HERE, changed=("name",)),
    ),
    "deleted in Stripe, untouched here": (DELETION_SKIPPED, DELETED, DELETED),
    "deleted in Stripe, edited here": (DELETION_SKIPPED, DELETED, DELETION_CONFLICT),
    "deleted in Stripe, base unknown": (DELETION_SKIPPED, DELETED, DELETION_CONFLICT),
    "deleted on both sides": (UNCHANGED, UNCHANGED, UNCHANGED),
    "deleted in Stripe, email only": (NOT_OURS_TO_DELETE, NOT_OURS_TO_DELETE, NOT_OURS_TO_DELETE),
    "a newer state is stored": (STALE, STALE, STALE),
    "a newer state is stored, then deleted": (STALE, STALE, STALE),
}
CELLS = {
    f"{situation}, {strategy}": (situation, strategy, decision)
    for situation, row in TABLE.items()
    for strategy, decision in zip(Strategy, row, strict=True)
}


@pytest.mark.parametrize(("situation", "strategy", "expected"), CELLS.values(), ids=CELLS.keys())
def test_the_table_holds(situation: str, strategy: Strategy, expected: Decision) -> None:
    record, theirs, deleted = SITUATIONS[situation]
    assert decide(CUSTOMERS, Strategies(strategy), record, theirs, deleted=deleted, observed_at=NOW) == expected


def test_every_situation_is_in_the_table() -> None:
    assert set(TABLE) == set(SITUATIONS)


def test_a_tombstone_of_an_unknown_record_is_created_blank_and_deleted() -> None:
    decision = decide(CUSTOMERS, Strategies(), None, {}, deleted=True, observed_at=NOW)
    assert (decision.action, decision.reason, decision.delete) == (Action.CREATE, ReasonCode.DELETED_IN_STRIPE, True)
    assert decision.write == dict.fromkeys(NAMES[CUSTOMERS]) | {"metadata": {}}


def test_a_view_of_the_same_instant_is_not_stale() -> None:
    record = stored(BASE, BASE, observed_at=NOW)
    assert decide(CUSTOMERS, Strategies(FLAG), record, THEIRS, deleted=False, observed_at=NOW) == TAKEN


def fields(default: Strategy, **of: Strategy) -> Strategies:
    return Strategies(default, by_field={(CUSTOMERS, name): strategy for name, strategy in of.items()})


_EDITED = stored(values(name="Ours", phone="1"), values(name="Base", phone="1"))
_BOTH = values(name="Theirs", phone="2")

MIXTURES: dict[str, tuple[Strategies, Stored, Values, Decision]] = {
    "a conflict holds back the other field's update": (
        fields(FLAG),
        _EDITED,
        _BOTH,
        Decision(Action.CONFLICT, ReasonCode.BOTH_CHANGED, changed=("name", "phone"), conflicts=("name",)),
    ),
    "overwrite settles the field that would conflict": (
        fields(FLAG, name=OVERWRITE),
        _EDITED,
        _BOTH,
        Decision(Action.UPDATE, write=_BOTH, base=_BOTH, changed=("name", "phone")),
    ),
    "skip keeps the field that would conflict, and its base": (
        fields(FLAG, name=SKIP),
        _EDITED,
        _BOTH,
        Decision(
            Action.UPDATE,
            write=values(name="Ours", phone="2"),
            base=values(name="Base", phone="2"),
            changed=("name", "phone"),
        ),
    ),
    "an ignored field is left alone, whatever its own strategy says": (
        replace(fields(FLAG, name=OVERWRITE), ignored=frozenset({(CUSTOMERS, "name")})),
        _EDITED,
        _BOTH,
        Decision(
            Action.UPDATE,
            write=values(name="Ours", phone="2"),
            base=values(name="Base", phone="2"),
            changed=("name", "phone"),
        ),
    ),
    "nor is one that is ignored in this record alone": (
        replace(fields(FLAG), ignored_here={UUID(int=1): frozenset({"name"}), UUID(int=2): frozenset({"phone"})}),
        _EDITED,
        _BOTH,
        Decision(
            Action.UPDATE,
            write=values(name="Ours", phone="2"),
            base=values(name="Base", phone="2"),
            changed=("name", "phone"),
        ),
    ),
    "a local edit is kept while another field takes Stripe's": (
        fields(FLAG),
        _EDITED,
        values(name="Base", phone="2"),
        Decision(
            Action.UPDATE,
            write=values(name="Ours", phone="2"),
            base=values(name="Base", phone="2"),
            changed=("name", "phone"),
        ),
    ),
    "one field is taken in a run that skips": (
        fields(SKIP, phone=OVERWRITE),
        _EDITED,
        _BOTH,
        Decision(
            Action.UPDATE,
            write=values(name="Ours", phone="2"),
            base=values(name="Base", phone="2"),
            changed=("name", "phone"),
        ),
    ),
    "one field is flagged in a run that overwrites": (
        fields(OVERWRITE, name=FLAG),
        _EDITED,
        _BOTH,
        Decision(Action.CONFLICT, ReasonCode.BOTH_CHANGED, changed=("name", "phone"), conflicts=("name",)),
    ),
    "a kept edit outweighs a skipped field as the reason": (
        fields(FLAG, phone=SKIP),
        _EDITED,
        values(name="Base", phone="2"),
        Decision(Action.SKIP, ReasonCode.LOCAL_EDIT_KEPT, changed=("name", "phone")),
    ),
    "a field that both changed alike joins the base of a skipped record": (
        fields(FLAG),
        stored(values(name="Ours", phone="2"), values(name="Base", phone="1")),
        values(name="Base", phone="2"),
        Decision(
            Action.SKIP,
            ReasonCode.LOCAL_EDIT_KEPT,
            changed=("name",),
            adopt_base=True,
            base=values(name="Base", phone="2"),
        ),
    ),
    "a skipped field without base is kept later too": (
        fields(OVERWRITE, name=SKIP),
        stored(values(name="Ours", phone="1"), None),
        _BOTH,
        Decision(Action.UPDATE, write=values(name="Ours", phone="2"), base=_BOTH, changed=("name", "phone")),
    ),
    "a flagged field stops a link": (
        fields(OVERWRITE, name=FLAG),
        stored(OURS, None, linked=False),
        THEIRS,
        DUPLICATE,
    ),
    "a link keeps the field that is skipped": (
        fields(OVERWRITE, name=SKIP),
        stored(OURS, None, linked=False),
        THEIRS,
        Decision(Action.UPDATE, ReasonCode.EMAIL_MATCH, write=OURS, base=THEIRS, changed=("name",), link=True),
    ),
    "a field's strategy does not link": (
        fields(SKIP, name=OVERWRITE),
        stored(OURS, None, linked=False),
        THEIRS,
        EMAIL_SKIPPED,
    ),
    "a restored record keeps its edit of a flagged field": (
        fields(OVERWRITE, name=FLAG),
        stored(OURS, BASE, deleted=True),
        values(name="Base", phone="2"),
        Decision(
            Action.UPDATE,
            ReasonCode.DELETED_HERE,
            write=values(name="Ours", phone="2"),
            base=values(name="Base", phone="2"),
            changed=("name", "phone"),
            restore=True,
        ),
    ),
    "the base of a record that is not linked says nothing": (
        fields(OVERWRITE, name=FLAG),
        stored(OURS, OURS, linked=False),
        THEIRS,
        DUPLICATE,
    ),
}


@pytest.mark.parametrize(("strategies", "record", "theirs", "expected"), MIXTURES.values(), ids=MIXTURES.keys())
def test_strategies_mix_within_a_record(
    strategies: Strategies, record: Stored, theirs: Values, expected: Decision
) -> None:
    assert decide(CUSTOMERS, strategies, record, theirs, deleted=False, observed_at=NOW) == expected


def test_a_base_of_an_older_version_without_the_field_is_unknown_there() -> None:
    base = {name: value for name, value in BASE.items() if name != "phone"}
    record = stored(values(name="Base", phone="1"), base)
    decision = decide(
        CUSTOMERS, Strategies(FLAG), record, values(name="Base", phone="2"), deleted=False, observed_at=NOW
    )
    assert decision.conflicts == ("phone",)


def test_a_newly_signed_link_is_no_change() -> None:
    invoices = EntityType.INVOICES
    bill: Values = dict.fromkeys(NAMES[invoices]) | {"hosted_invoice_url": "https://pay/1", "metadata": {}}
    signed = bill | {"hosted_invoice_url": "https://pay/2"}
    record = stored(bill, bill)
    assert decide(invoices, Strategies(FLAG), record, signed, deleted=False, observed_at=NOW) == UNCHANGED
    paid = signed | {"status": "paid"}
    decision = decide(invoices, Strategies(FLAG), record, paid, deleted=False, observed_at=NOW)
    assert (decision.write, decision.changed) == (paid, ("status",))


def test_the_narrowest_strategy_wins() -> None:
    strategies = Strategies(SKIP, {CUSTOMERS: FLAG}, {(CUSTOMERS, "email"): OVERWRITE})
    assert strategies.of(CUSTOMERS, "email") is OVERWRITE
    assert strategies.of(CUSTOMERS, "name") is FLAG
    assert strategies.of(CUSTOMERS) is FLAG
    assert strategies.of(EntityType.PRODUCTS, "name") is SKIP


def test_strategies_survive_json() -> None:
    strategies = Strategies(
        SKIP,
        {CUSTOMERS: FLAG},
        {(CUSTOMERS, "email"): OVERWRITE},
        frozenset({(CUSTOMERS, "phone")}),
        {UUID(int=1): frozenset({"name"})},
    )
    stored_as = {
        "default": "skip",
        "entities": {"customers": "flag"},
        "fields": {"customers.email": "overwrite"},
        "ignored": ["customers.phone"],
        "ignored_here": {str(UUID(int=1)): ["name"]},
    }
    assert strategies.to_json() == stored_as
    assert Strategies.from_json(stored_as) == strategies
    assert Strategies.from_json({}) == Strategies(SKIP)


WRONG = {
    "strategy": {"default": "merge"},
    "entity": {"entities": {"coupons": "skip"}},
    "entity of a field": {"fields": {"coupons.name": "skip"}},
    "field": {"fields": {"customers.balance": "skip"}},
    "no field": {"fields": {"customers": "skip"}},
    "ignored field": {"ignored": ["customers.balance"]},
}


@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG.keys())
def test_unknown_words_are_refused(data: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="is not a"):
        Strategies.from_json(data)


_WORD = st.sampled_from(["a", "b", "c", None])
_VALUES = st.fixed_dictionaries(dict.fromkeys(NAMES[CUSTOMERS], _WORD))
_STRATEGIES = st.builds(
    lambda default, of: fields(default, **of),
    st.sampled_from(Strategy),
    st.dictionaries(st.sampled_from(NAMES[CUSTOMERS]), st.sampled_from(Strategy)),
)
_STORED = st.builds(
    lambda local, base, deleted, linked: stored(local, base, deleted=deleted, linked=linked),
    _VALUES,
    st.none() | _VALUES,
    st.booleans(),
    st.sampled_from([True, True, True, False]),
)


@settings(max_examples=500)
@given(strategies=_STRATEGIES, record=_STORED, theirs=_VALUES)
def test_a_local_edit_is_overwritten_only_on_demand(strategies: Strategies, record: Stored, theirs: Values) -> None:
    decision = decide(CUSTOMERS, strategies, record, theirs, deleted=False, observed_at=NOW)
    if decision.write is None or record.base is None or not record.linked:
        return
    for name in NAMES[CUSTOMERS]:
        edited_here_only = record.local[name] != record.base[name] and record.base[name] == theirs[name]
        if edited_here_only and strategies.of(CUSTOMERS, name) is not OVERWRITE:
            assert decision.write[name] == record.local[name]


@settings(max_examples=500)
@given(strategies=_STRATEGIES, record=_STORED | st.none(), theirs=_VALUES)
def test_a_decision_applied_decides_nothing_more(strategies: Strategies, record: Stored | None, theirs: Values) -> None:
    first = decide(CUSTOMERS, strategies, record, theirs, deleted=False, observed_at=NOW)
    if first.action in (Action.CONFLICT, Action.SKIP) and not first.adopt_base:
        return
    before = record or stored(theirs, None)
    after = replace(
        before,
        local=first.write or before.local,
        base=first.base if first.base is not None else before.base,
        deleted=before.deleted and not first.restore,
        linked=before.linked or first.link,
        observed_at=NOW,
    )
    again = decide(CUSTOMERS, strategies, after, theirs, deleted=False, observed_at=NOW)
    assert again.write is None
    assert not again.adopt_base
    assert again.action is Action.UNCHANGED or again.reason in (ReasonCode.LOCAL_EDIT_KEPT, ReasonCode.STRATEGY_SKIP)


@settings(max_examples=300)
@given(strategies=_STRATEGIES, record=_STORED | st.none(), theirs=_VALUES, deleted=st.booleans())
def test_what_is_written_is_whole(
    strategies: Strategies, record: Stored | None, theirs: Values, *, deleted: bool
) -> None:
    said = {} if deleted else theirs
    decision = decide(CUSTOMERS, strategies, record, said, deleted=deleted, observed_at=NOW)
    for whole in (decision.write, decision.base):
        assert whole is None or set(whole) == set(NAMES[CUSTOMERS])
    assert set(decision.conflicts) <= set(decision.changed)
    assert (decision.write is not None) <= (decision.action in (Action.CREATE, Action.UPDATE))


@settings(max_examples=300)
@given(strategies=_STRATEGIES, record=_STORED, theirs=_VALUES)
def test_skipped_changes_never_turn_into_silent_overwrites(
    strategies: Strategies, record: Stored, theirs: Values
) -> None:
    """A field that was skipped without a known base is still ours under a later run that flags."""
    first = decide(CUSTOMERS, strategies, record, theirs, deleted=False, observed_at=NOW)
    if first.write is None or record.base is not None:
        return
    after = replace(record, local=first.write, base=first.base, deleted=False, linked=True)
    second = decide(CUSTOMERS, Strategies(FLAG), after, theirs, deleted=False, observed_at=NOW)
    assert second.write is None


@settings(max_examples=1_000)
@given(base=_VALUES, ours=_VALUES, theirs=_VALUES)
def test_the_algebra_of_three_ways(base: Values, ours: Values, theirs: Values) -> None:
    """Flagging, as git merges: what agrees is unchanged, who alone changed wins, and who is asked does not depend on the side."""

    def merged(left: Values, right: Values) -> Decision:
        return decide(CUSTOMERS, Strategies(FLAG), stored(left, base), right, deleted=False, observed_at=NOW)

    assert merged(ours, ours).action is Action.UNCHANGED
    assert merged(ours, base).write is None
    taken = merged(base, theirs)
    assert taken.write == theirs if base != theirs else taken.action is Action.UNCHANGED
    there, back = merged(ours, theirs), merged(theirs, ours)
    assert set(there.conflicts) == set(back.conflicts)
    assert set(there.conflicts) == {
        name for name in NAMES[CUSTOMERS] if ours[name] != theirs[name] and base[name] not in (ours[name], theirs[name])
    }
    assert there.conflicts or there.write in (None, {**theirs, **_kept(base, ours, theirs)})


def _kept(base: Values, ours: Values, theirs: Values) -> Values:
    return {name: ours[name] for name in NAMES[CUSTOMERS] if base[name] == theirs[name]}
