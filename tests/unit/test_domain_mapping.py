"""What is refused, cleaned, left open and named of an object that Stripe sent."""

from __future__ import annotations

import json
import timeit
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_core.domain.fields import NAMES
from sync_core.domain.mapping import (
    Mapped,
    Unmappable,
    clean,
    describe,
    has_nul,
    map_object,
    nested_gap,
    parents_of,
    unsaid,
    untold_currencies,
)
from sync_core.domain.vocabulary import EntityType, ReasonCode
from tests.unit._stripe_objects import (
    CREATED,
    CUSTOMERS,
    INVOICES,
    PRICES,
    PRODUCTS,
    SUBSCRIPTIONS,
    Raw,
    customer,
    invoice,
    item,
    plan,
    price,
    product,
    subscription,
    values_of,
    without,
)

REFUSED: dict[str, tuple[EntityType, Any, ReasonCode, str | None]] = {
    "no object": (CUSTOMERS, ["cus_1"], ReasonCode.UNSUPPORTED_SHAPE, "object"),
    "null": (CUSTOMERS, None, ReasonCode.UNSUPPORTED_SHAPE, "object"),
    "another kind": (CUSTOMERS, product(), ReasonCode.UNSUPPORTED_SHAPE, "object"),
    "a kind that is no word": (CUSTOMERS, customer(object={}), ReasonCode.UNSUPPORTED_SHAPE, "object"),
    "missing id": (CUSTOMERS, without(customer(), "id"), ReasonCode.UNSUPPORTED_SHAPE, "id"),
    "empty id": (PRODUCTS, product(id=""), ReasonCode.UNSUPPORTED_SHAPE, "id"),
    "id that fits no index": (PRICES, price(id="x" * 501), ReasonCode.VALUE_INVALID, "id"),
    "item without an id": (
        SUBSCRIPTIONS,
        subscription(items={"data": [item(id=None)]}),
        ReasonCode.UNSUPPORTED_SHAPE,
        "items",
    ),
    "numeric id": (PRICES, price(id=7), ReasonCode.UNSUPPORTED_SHAPE, "id"),
    "upcoming invoice": (INVOICES, without(invoice(), "id"), ReasonCode.NOT_FOR_SYNC, "id"),
    "previewed invoice": (INVOICES, invoice(id="upcoming_in_1"), ReasonCode.NOT_FOR_SYNC, "id"),
    "no created": (CUSTOMERS, without(customer(), "created"), ReasonCode.UNSUPPORTED_SHAPE, "created"),
    "created as text": (CUSTOMERS, customer(created="now"), ReasonCode.UNSUPPORTED_SHAPE, "created"),
    "email as number": (CUSTOMERS, customer(email=7), ReasonCode.UNSUPPORTED_SHAPE, "email"),
    "email as false": (CUSTOMERS, customer(email=False), ReasonCode.UNSUPPORTED_SHAPE, "email"),
    "metadata as list": (CUSTOMERS, customer(metadata=[]), ReasonCode.UNSUPPORTED_SHAPE, "metadata"),
    "active as text": (PRODUCTS, product(active="yes"), ReasonCode.UNSUPPORTED_SHAPE, "active"),
    "images as text": (PRODUCTS, product(images="x.png"), ReasonCode.UNSUPPORTED_SHAPE, "image_url"),
    "image as object": (PRODUCTS, product(images=[{}]), ReasonCode.UNSUPPORTED_SHAPE, "image_url"),
    "unknown currency": (PRICES, price(currency="xxx"), ReasonCode.CURRENCY_UNKNOWN, "currency"),
    "no currency": (INVOICES, invoice(currency=None), ReasonCode.CURRENCY_UNKNOWN, "currency"),
    "currency as list": (PRICES, price(currency=["usd"]), ReasonCode.CURRENCY_UNKNOWN, "currency"),
    "unknown type of price": (PRICES, price(type="rent"), ReasonCode.UNSUPPORTED_SHAPE, "type"),
    "type of price as list": (PRICES, price(type=[]), ReasonCode.UNSUPPORTED_SHAPE, "type"),
    "recurring without interval": (PRICES, price(recurring={}), ReasonCode.UNSUPPORTED_SHAPE, "interval_type"),
    "unknown interval": (PRICES, price(recurring={"interval": "eon"}), ReasonCode.UNSUPPORTED_SHAPE, "interval_type"),
    "interval of zero": (
        PRICES,
        price(recurring={"interval": "day", "interval_count": 0}),
        ReasonCode.VALUE_INVALID,
        "term_length",
    ),
    "interval beyond INTEGER": (
        PRICES,
        price(recurring={"interval": "day", "interval_count": 2**31}),
        ReasonCode.VALUE_INVALID,
        "term_length",
    ),
    "quantity beyond BIGINT": (
        SUBSCRIPTIONS,
        subscription(items={"data": [item(quantity=2**63)]}),
        ReasonCode.UNSUPPORTED_SHAPE,
        "items",
    ),
    "amount as text": (PRICES, price(unit_amount="10"), ReasonCode.UNSUPPORTED_SHAPE, "unit_amount_in_pennies"),
    "amount beyond BIGINT": (PRICES, price(unit_amount=2**63), ReasonCode.VALUE_INVALID, "unit_amount_in_pennies"),
    "no amount": (
        PRICES,
        price(unit_amount=None, unit_amount_decimal=None),
        ReasonCode.VALUE_INVALID,
        "unit_amount_in_pennies",
    ),
    "decimal of words": (PRICES, price(unit_amount_decimal="ten"), ReasonCode.VALUE_INVALID, "unit_amount_decimal"),
    "decimal as object": (PRICES, price(unit_amount_decimal={}), ReasonCode.UNSUPPORTED_SHAPE, "unit_amount_decimal"),
    "decimal of too many digits": (
        PRICES,
        price(unit_amount=None, unit_amount_decimal="9" * 5000),
        ReasonCode.VALUE_INVALID,
        "unit_amount_decimal",
    ),
    "decimal bomb": (PRICES, price(unit_amount_decimal="1e999999"), ReasonCode.VALUE_INVALID, "unit_amount_decimal"),
    "product as number": (PRICES, price(product=7), ReasonCode.UNSUPPORTED_SHAPE, "product"),
    "unknown status": (SUBSCRIPTIONS, subscription(status="odd"), ReasonCode.UNSUPPORTED_SHAPE, "status"),
    "no customer": (SUBSCRIPTIONS, subscription(customer=None), ReasonCode.UNSUPPORTED_SHAPE, "customer"),
    "no items": (SUBSCRIPTIONS, subscription(items={"data": []}), ReasonCode.UNSUPPORTED_SHAPE, "items"),
    "items as text": (SUBSCRIPTIONS, subscription(items="si_1"), ReasonCode.UNSUPPORTED_SHAPE, "items"),
    "an item as text": (SUBSCRIPTIONS, subscription(items={"data": ["si_1"]}), ReasonCode.UNSUPPORTED_SHAPE, "items"),
    "quantity as text": (
        SUBSCRIPTIONS,
        subscription(items={"data": [item(quantity="2")]}),
        ReasonCode.UNSUPPORTED_SHAPE,
        "items",
    ),
    "the year 10000": (SUBSCRIPTIONS, subscription(ended_at=253_402_300_800), ReasonCode.VALUE_INVALID, "ended_at"),
    "total as decimal": (INVOICES, invoice(total=12.5), ReasonCode.UNSUPPORTED_SHAPE, "total"),
    "unknown status of invoice": (INVOICES, invoice(status="odd"), ReasonCode.UNSUPPORTED_SHAPE, "status"),
    "taxes of text": (INVOICES, invoice(total_taxes=["x"]), ReasonCode.UNSUPPORTED_SHAPE, None),
    "lines as number": (INVOICES, invoice(lines=7), ReasonCode.UNSUPPORTED_SHAPE, "lines"),
}


@pytest.mark.parametrize(("entity", "raw", "reason", "field"), REFUSED.values(), ids=REFUSED.keys())
def test_what_does_not_fit_is_refused_by_name(
    entity: EntityType, raw: Any, reason: ReasonCode, field: str | None
) -> None:
    refused = map_object(entity, raw)
    assert isinstance(refused, Unmappable), refused
    assert (refused.reason, refused.field) == (reason, field)
    assert refused.message


STUBS = {
    "customer": (CUSTOMERS, {"id": "cus_1", "object": "customer", "deleted": True}),
    "product": (PRODUCTS, {"id": "prod_1", "object": "product", "deleted": True}),
    "plan": (PRICES, {"id": "gold", "object": "plan", "deleted": True}),
    "bare": (PRICES, {"id": "gold", "deleted": True}),
    "draft invoice, as invoice.deleted sends it": (INVOICES, invoice(status="deleted")),
    "one whose time is none": (INVOICES, invoice(status="deleted", created=[], date="now")),
    "one created beyond any time": (CUSTOMERS, {"id": "cus_1", "deleted": True, "created": 2**63}),
}


@pytest.mark.parametrize(("entity", "stub"), STUBS.values(), ids=STUBS.keys())
def test_a_deleted_stub_is_a_tombstone(entity: EntityType, stub: Raw) -> None:
    mapped = map_object(entity, stub)
    assert isinstance(mapped, Mapped)
    assert (mapped.external_id, mapped.deleted, mapped.values) == (stub["id"], True, {})
    assert mapped.created in (None, CREATED)


def test_nul_is_replaced_in_texts_metadata_and_keys() -> None:
    raw = customer(name="A\0da", metadata={"k\0": "v\0", "plain": "kept"})
    assert values_of(CUSTOMERS, raw) == {
        "email": "ada@example.com",
        "name": "A\ufffdda",
        "phone": None,
        "description": None,
        "metadata": {"k\ufffd": "v\ufffd", "plain": "kept"},
    }
    assert has_nul(json.dumps(raw).encode())
    assert "\\u0000" not in json.dumps(clean(raw))


def test_half_a_surrogate_pair_does_not_stop_the_run() -> None:
    assert values_of(CUSTOMERS, customer(name="A\ud800"))["name"] == "A?"
    mapped = map_object(CUSTOMERS, customer(id="cus_\udfff"))
    assert isinstance(mapped, Mapped)
    assert mapped.external_id == "cus_?"


def test_clean_gives_back_the_same_object_when_there_is_no_nul() -> None:
    raw = customer(description="a \\u0000 that is only written so")
    assert clean(customer()) == customer()
    assert clean(raw) == raw
    plain = customer()
    assert clean(plain) is plain


_TOLD = {"unit_amount": None, "tiers": [{"up_to": None, "unit_amount": 5}]}
_UNTOLD = {"unit_amount": None}
GAPS: dict[str, tuple[EntityType, Any, str | None]] = {
    "more items": (SUBSCRIPTIONS, subscription(items={"data": [item()], "has_more": True}), "items"),
    "all items": (SUBSCRIPTIONS, subscription(), None),
    "items that are none": (SUBSCRIPTIONS, subscription(items="si_1"), None),
    "more lines": (INVOICES, invoice(lines={"data": [], "has_more": True}), "lines"),
    "all lines": (INVOICES, invoice(), None),
    "no lists": (CUSTOMERS, customer(), None),
    "tiers in another currency": (
        PRICES,
        price(billing_scheme="tiered", currency_options={"usd": _TOLD, "eur": _UNTOLD}),
        "currency_options",
    ),
    "tiers in every currency": (PRICES, price(billing_scheme="tiered", currency_options={"eur": _TOLD}), None),
    "one amount in every currency": (PRICES, price(currency_options={"eur": {"unit_amount": 900}}), None),
    "options that are none": (PRICES, price(billing_scheme="tiered", currency_options=["eur"]), None),
}


@pytest.mark.parametrize(("entity", "raw", "gap"), GAPS.values(), ids=GAPS.keys())
def test_what_was_left_out_is_named(entity: EntityType, raw: Raw, gap: str | None) -> None:
    assert nested_gap(entity, raw) == gap


def test_the_currencies_to_ask_for_are_those_without_tiers() -> None:
    options = {"usd": _TOLD, "eur": _UNTOLD, "jpy": {"unit_amount": None}}
    assert untold_currencies(price(billing_scheme="tiered", currency_options=options)) == ("eur", "jpy")


def test_what_needs_expanding_is_named_when_it_was_not() -> None:
    assert unsaid(PRICES, price(billing_scheme="tiered")) == ("tiers", "currency_options")
    assert unsaid(PRICES, price(billing_scheme="tiered", tiers=[{}], currency_options=None)) == ()
    assert unsaid(CUSTOMERS, customer()) == ()


def test_parents_are_all_named_once_in_order() -> None:
    more = [item(), item(id="si_2", price=price(id="price_2", product="prod_2")), item(id="si_3")]
    values = values_of(SUBSCRIPTIONS, subscription(items={"data": more}))
    assert parents_of(SUBSCRIPTIONS, values) == (
        (CUSTOMERS, "cus_1"),
        (PRODUCTS, "prod_1"),
        (PRICES, "price_1"),
        (PRODUCTS, "prod_2"),
        (PRICES, "price_2"),
    )
    assert parents_of(INVOICES, values_of(INVOICES, invoice())) == ((CUSTOMERS, "cus_1"),)
    assert parents_of(PRICES, values_of(PRICES, plan(product=None))) == ()
    assert parents_of(PRICES, {}) == ()


LABELS: dict[str, tuple[EntityType, Raw, str]] = {
    "name": (CUSTOMERS, customer(name="Ada"), "Ada"),
    "email": (CUSTOMERS, customer(), "ada@example.com"),
    "nobody": (CUSTOMERS, customer(email=None), ""),
    "product": (PRODUCTS, product(), "Tea"),
    "monthly": (PRICES, price(), "$10.00 / month"),
    "quarterly": (PRICES, plan(interval_count=3), "$10.00 / 3 months"),
    "once": (PRICES, price(type="one_time", currency="jpy"), "¥1,000"),
    "tiered": (PRICES, price(billing_scheme="tiered"), "USD tiered / month"),
    "nickname": (PRICES, price(nickname="Gold"), "Gold"),
    "subscription": (SUBSCRIPTIONS, subscription(status="past_due"), "Past due, 1 item"),
    "invoice": (INVOICES, invoice(number="A-1"), "A-1, $12.00"),
    "draft": (INVOICES, invoice(status="draft", total=None), "Draft invoice"),
}


@pytest.mark.parametrize(("entity", "raw", "label"), LABELS.values(), ids=LABELS.keys())
def test_a_record_is_known_by_a_few_words(entity: EntityType, raw: Raw, label: str) -> None:
    assert describe(entity, values_of(entity, raw)) == label


def test_a_tombstone_has_no_words() -> None:
    assert describe(CUSTOMERS, {}) == ""


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_TEXT = st.text(st.characters(), max_size=8) | st.text(st.characters(categories=["Cs", "Cc", "Lu"]), max_size=8)
_ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    # An answer's JSON has no others (`answers`).
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT
    | st.sampled_from(["9" * 5000, "1e99999", "0x1", "-"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)
_LINE = {"id": "il_1", "description": "Tea", "amount": 1000, "quantity": 1}
_WHOLE: dict[EntityType, Raw] = {
    CUSTOMERS: customer(),
    PRODUCTS: product(),
    PRICES: price(),
    SUBSCRIPTIONS: subscription(plan=plan()),
    INVOICES: invoice(lines={"data": [_LINE]}, parent={}, total_taxes=[]),
}


@settings(max_examples=300)
@given(entity=st.sampled_from(EntityType), data=st.data())
def test_whatever_is_sent_nothing_is_raised(entity: EntityType, data: st.DataObject) -> None:
    whole = _WHOLE[entity]
    key = data.draw(st.sampled_from([*whole, "items", "recurring", "metadata", "deleted", "tax", "status_transitions"]))
    outcome = map_object(entity, {**whole, key: data.draw(_JSON)})
    if isinstance(outcome, Mapped) and not outcome.deleted:
        assert tuple(outcome.values) == NAMES[entity]
        assert json.loads(outcome.packed) == outcome.values
        assert "\\u0000" not in json.dumps(outcome.values)
    elif isinstance(outcome, Unmappable):
        assert outcome.message


def _everywhere(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value in an object, nested ones too."""
    if isinstance(node, dict):
        inner = [_everywhere(value, (*path, key)) for key, value in node.items()]
    elif isinstance(node, list):
        inner = [_everywhere(value, (*path, place)) for place, value in enumerate(node)]
    else:
        inner = []
    return [path, *(way for ways in inner for way in ways)]


def _put(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    if isinstance(node, dict):
        return {key: _put(inner, path[1:], value) if key == path[0] else inner for key, inner in node.items()}
    return [_put(inner, path[1:], value) if place == path[0] else inner for place, inner in enumerate(node)]


@settings(max_examples=1_000)
@given(entity=st.sampled_from(EntityType), data=st.data())
def test_any_json_at_any_depth_is_mapped_or_refused(entity: EntityType, data: st.DataObject) -> None:
    """And what is mapped can be written: text that PostgreSQL takes, the same after a second reading."""
    raw = _WHOLE[entity]
    for path in data.draw(st.lists(st.sampled_from(_everywhere(raw)), min_size=1, max_size=2)):
        if path in _everywhere(raw):
            raw = _put(raw, path, data.draw(_ANY))
    outcome = map_object(entity, raw)
    assert isinstance(outcome, Mapped | Unmappable)
    if isinstance(outcome, Mapped):
        outcome.external_id.encode()
        assert "\0" not in outcome.external_id
        assert b"\\u0000" not in outcome.packed
        assert json.loads(outcome.packed) == outcome.values


@pytest.mark.bench
@pytest.mark.parametrize(("entity", "limit"), [(entity, 6 if entity is CUSTOMERS else 15) for entity in EntityType])
def test_mapping_is_quick(entity: EntityType, limit: float) -> None:
    whole = _WHOLE[entity]
    best = min(timeit.repeat(lambda: map_object(entity, whole), number=2_000, repeat=5)) / 2_000 * 1e6
    assert best <= limit, f"{best:.1f} µs"
