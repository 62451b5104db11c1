"""Shapes of all ages, made by hand: two renderings of one object must give the same values."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_core.domain.vocabulary import EntityType
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

_BASIL_ITEM = item(current_period_start=10, current_period_end=20)
_BASIL = without(subscription(items={"data": [_BASIL_ITEM]}), "current_period_start", "current_period_end")
_TAXED = invoice(subscription="sub_1", tax=200)
_LINE = {"id": "il_1", "description": "Tea", "amount": 1000, "quantity": 1}

SAME_OBJECT = {
    "subscription before and after basil": (SUBSCRIPTIONS, subscription(), _BASIL),
    "customer as id and expanded": (SUBSCRIPTIONS, subscription(), subscription(customer=customer())),
    "product of a price as id and expanded": (
        SUBSCRIPTIONS,
        subscription(),
        subscription(items={"data": [item(price=price(product=product()))]}),
    ),
    "items with price and with plan": (
        SUBSCRIPTIONS,
        subscription(),
        subscription(items=[item(price=None, plan=plan())]),
    ),
    "currency said and taken from the price": (SUBSCRIPTIONS, subscription(), without(subscription(), "currency")),
    "price and the plan it was": (PRICES, price(), plan()),
    "plan with and without a name": (PRICES, plan(nickname="Gold"), plan(name="Gold")),
    "unit amount with and without its decimal": (PRICES, price(), without(price(), "unit_amount_decimal")),
    "decimal with zeros": (PRICES, price(), price(unit_amount_decimal="1000.00")),
    "decimal alone": (PRICES, price(), price(unit_amount=None)),
    "tax behaviour unsaid and unspecified": (PRICES, price(), price(tax_behavior="unspecified")),
    "scheme unsaid": (PRICES, price(), without(price(), "billing_scheme")),
    "upper-case currency": (PRICES, price(), price(currency="USD")),
    "invoice's subscription, flat and in parent": (
        INVOICES,
        _TAXED,
        invoice(
            parent={"subscription_details": {"subscription": "sub_1"}}, total_taxes=[{"amount": 150}, {"amount": 50}]
        ),
    ),
    "invoice's subscription in parent, and its old place left empty": (
        INVOICES,
        invoice(subscription="sub_1"),
        invoice(subscription=None, parent={"subscription_details": {"subscription": "sub_1"}}),
    ),
    "tax as one figure and as tax amounts": (
        INVOICES,
        invoice(tax=200),
        invoice(total_tax_amounts=[{"amount": 120}, {"amount": 80}]),
    ),
    "no tax, old and new": (INVOICES, invoice(tax=None), invoice(total_taxes=[])),
    "line's price, old and new": (
        INVOICES,
        invoice(lines={"data": [{**_LINE, "price": price()}]}),
        invoice(lines={"data": [{**_LINE, "pricing": {"price_details": {"price": "price_1", "product": "prod_1"}}}]}),
    ),
    "line's price and plan": (
        INVOICES,
        invoice(lines={"data": [{**_LINE, "price": price()}]}),
        invoice(lines={"data": [{**_LINE, "plan": plan()}]}),
    ),
    "invoice of 2017: date, paid and billing": (
        INVOICES,
        invoice(collection_method="charge_automatically", status_transitions=None),
        without(
            invoice(date=CREATED, paid=True, billing="charge_automatically"),
            "created",
            "status",
            "amount_paid",
            "amount_remaining",
            "status_transitions",
        ),
    ),
    "no metadata and empty metadata": (CUSTOMERS, customer(), customer(metadata=None)),
    "empty and absent text": (CUSTOMERS, customer(), customer(description="")),
}


@pytest.mark.parametrize(("entity", "one", "other"), SAME_OBJECT.values(), ids=SAME_OBJECT.keys())
def test_two_renderings_of_one_object_agree(entity: EntityType, one: Raw, other: Raw) -> None:
    assert values_of(entity, one) == values_of(entity, other)


def test_a_plan_and_quantity_at_the_top_make_one_item() -> None:
    values = values_of(SUBSCRIPTIONS, without(subscription(plan=plan(), quantity=3), "items"))
    assert values["items"] == [{"id": "sub_1", "price": "price_1", "product": "prod_1", "quantity": 3}]
    assert (values["price"], values["product"], values["quantity"]) == ("price_1", "prod_1", 3)


AMOUNTS: dict[str, tuple[Raw, int | None, str | None]] = {
    "whole": (price(), 1000, "1000"),
    "sub-cent": (price(unit_amount=None, unit_amount_decimal="0.050"), None, "0.05"),
    "twelve places": (price(unit_amount=None, unit_amount_decimal="0.000000000001"), None, "0.000000000001"),
    "tiered": (price(billing_scheme="tiered", unit_amount=None, unit_amount_decimal=None), None, None),
    "custom": (price(custom_unit_amount={"minimum": 5}, unit_amount=None, unit_amount_decimal=None), None, None),
    "free": (price(unit_amount=0, unit_amount_decimal="0"), 0, "0"),
    "plan": (plan(amount_decimal="1000"), 1000, "1000"),
    "metered sub-cent plan": (plan(amount=None, amount_decimal="12.50"), None, "12.5"),
    "beyond int32": (price(unit_amount=9_999_999_999, unit_amount_decimal="9999999999"), 9_999_999_999, "9999999999"),
}


@pytest.mark.parametrize(("raw", "minor", "exact"), AMOUNTS.values(), ids=AMOUNTS.keys())
def test_amounts_are_exact(raw: Raw, minor: int | None, exact: str | None) -> None:
    values = values_of(PRICES, raw)
    assert (values["unit_amount_in_pennies"], values["unit_amount_decimal"]) == (minor, exact)


STATUSES = {
    "trialing": "trial",
    "past_due": "overdue",
    "unpaid": "suspended",
    "paused": "suspended",
    "incomplete": "pending",
    "incomplete_expired": "expired",
    "active": "active",
    "canceled": "canceled",
}


@pytest.mark.parametrize(("theirs", "ours"), STATUSES.items())
def test_a_status_is_ours_with_theirs_beside_it(theirs: str, ours: str) -> None:
    values = values_of(SUBSCRIPTIONS, subscription(status=theirs))
    assert (values["status"], values["provider_status"]) == (ours, theirs)


OLD_STATUS = {
    "paid": ({"paid": True}, "paid", (1200, 0)),
    "forgiven": ({"paid": False, "forgiven": True, "closed": True}, "uncollectible", (0, 1200)),
    "closed": ({"paid": False, "closed": True}, "void", (0, 1200)),
    "tried": ({"paid": False, "attempted": True}, "open", (0, 1200)),
    "not issued": ({"paid": False}, "draft", (0, 1200)),
}


@pytest.mark.parametrize(("said", "status", "amounts"), OLD_STATUS.values(), ids=OLD_STATUS.keys())
def test_an_invoice_before_2018_has_its_status_derived(said: Raw, status: str, amounts: tuple[int, int]) -> None:
    values = values_of(INVOICES, without(invoice(**said), "status", "amount_paid", "amount_remaining"))
    assert values["status"] == status
    assert (values["amount_paid"], values["amount_remaining"]) == amounts


def test_a_one_time_price_has_no_interval() -> None:
    values = values_of(PRICES, price(type="one_time", recurring=None))
    assert [values[name] for name in ("type", "interval_type", "term_length", "usage_type")] == [
        "one_off",
        None,
        None,
        None,
    ]


def test_a_price_keeps_tiers_package_and_other_currencies_as_sent() -> None:
    sent = {
        "tiers": [{"up_to": 10, "unit_amount": 5}, {"up_to": None, "unit_amount_decimal": "0.5"}],
        "tiers_mode": "graduated",
        "transform_quantity": {"divide_by": 10, "round": "up"},
        "currency_options": {"eur": {"unit_amount": 900}},
    }
    values = values_of(PRICES, price(billing_scheme="tiered", unit_amount=None, unit_amount_decimal=None, **sent))
    assert {name: values[name] for name in sent} == sent


_AMOUNT = st.decimals(0, 10**12, places=12, allow_nan=False).map(lambda one: f"{one:f}")


@settings(max_examples=500)
@given(one=_AMOUNT, other=_AMOUNT)
def test_one_spelling_an_amount_and_no_two_amounts_a_spelling(one: str, other: str) -> None:
    """Normalising hides zeros at the end, and never a twelfth digit."""
    mine, yours = (
        values_of(PRICES, price(unit_amount=None, unit_amount_decimal=text))["unit_amount_decimal"]
        for text in (one, other)
    )
    assert (mine == yours) == (Decimal(one) == Decimal(other))
    assert Decimal(str(mine)) == Decimal(one)


@pytest.mark.parametrize("unsaid", [None, ""], ids=["none", "empty"])
def test_what_a_column_must_hold_is_said_where_stripe_does_not(unsaid: str | None) -> None:
    """Else a record would differ from the object that it was made of, as if somebody had edited it."""
    bare = values_of(PRODUCTS, product(name=unsaid, active=None))
    assert (bare["name"], bare["active"]) == ("prod_1", True)
    assert values_of(PRICES, price(active=None))["active"] is True


PARTS: dict[str, tuple[Raw, str | None]] = {
    "half a unit": ({"quantity": 0, "quantity_decimal": "0.50"}, "0.5"),
    "no whole number": ({"quantity": None, "quantity_decimal": "1.5"}, "1.5"),
    "the whole number says it": ({"quantity": 3, "quantity_decimal": "3"}, None),
    "older version": ({"quantity": 3}, None),
    "no quantity": ({"quantity": None, "quantity_decimal": None}, None),
}


@pytest.mark.parametrize(("said", "kept"), PARTS.values(), ids=PARTS.keys())
def test_a_part_of_a_unit_is_kept_exactly(said: Raw, kept: str | None) -> None:
    expected = {"quantity": said["quantity"]} | ({"quantity_decimal": kept} if kept else {})
    line: Any = values_of(INVOICES, invoice(lines={"data": [_LINE | said]}))["lines"]
    one: Any = values_of(SUBSCRIPTIONS, subscription(items={"data": [item(**said)]}))["items"]
    for got in (line[0], one[0]):
        assert {name: got[name] for name in got if name.startswith("quantity")} == expected


def test_a_draft_without_number_and_a_manual_invoice_map() -> None:
    values = values_of(
        INVOICES, invoice(status="draft", number=None, status_transitions={"paid_at": None}, parent=None)
    )
    assert (values["number"], values["subscription"], values["paid_at"]) == (None, None, None)
