"""What Stripe's events say of our fields."""

from __future__ import annotations

from typing import Any

import pytest

from sync_core.domain.events import Told, told
from sync_core.domain.fields import Values
from tests.unit import _stripe_objects as stripe

AT = 1_760_000_000


def event(now: Any, was: Any = None, **over: Any) -> dict[str, Any]:
    data = {"object": now} | ({} if was is None else {"previous_attributes": was})
    return {
        "id": "evt_1",
        "object": "event",
        "type": "x.updated",
        "created": AT,
        "livemode": False,
        "data": data,
    } | over


ADDRESS = {"line1": "Road 1", "line2": None, "city": "Rome", "country": "IT", "postal_code": "1", "state": None}
SAYS: dict[str, tuple[dict[str, Any], Values]] = {
    "an attribute": (event(stripe.customer(name="New"), {"name": "Old"}), {"name": "New"}),
    "one of several": (
        event(stripe.customer(name="New", phone="1"), {"phone": None, "invoice_prefix": "A"}),
        {"phone": "1"},
    ),
    "a key of metadata changed": (
        event(stripe.customer(metadata={"a": "2", "b": "1"}), {"metadata": {"a": "1"}}),
        {"metadata": {"a": "2", "b": "1"}},
    ),
    "a key of metadata is new": (
        event(stripe.customer(metadata={"a": "2"}), {"metadata": {"a": None}}),
        {"metadata": {"a": "2"}},
    ),
    "a key of metadata is gone": (
        event(stripe.customer(metadata={}), {"metadata": {"a": "1"}}),
        {"metadata": {}},
    ),
    "a hash from which a field of ours is made": (
        event(
            stripe.price(recurring={"interval": "year", "interval_count": 1, "usage_type": "licensed"}),
            {"recurring": {"interval": "month"}},
        ),
        {"interval_type": "year"},
    ),
    "an amount of one attribute, in two fields": (
        event(
            stripe.price(unit_amount=2000, unit_amount_decimal="2000"),
            {"unit_amount": 1000, "unit_amount_decimal": "1000"},
        ),
        {"unit_amount_in_pennies": 2000, "unit_amount_decimal": "2000"},
    ),
}


@pytest.mark.parametrize("case", SAYS)
def test_the_fields_that_an_event_says_changed(case: str) -> None:
    given, changes = SAYS[case]
    found = told(given)
    assert found is not None
    assert (found.at, found.livemode, found.external_id) == (AT, False, given["data"]["object"]["id"])
    assert found.changes == changes


def test_a_list_is_told_whole_and_makes_several_fields() -> None:
    now = stripe.subscription(items={"object": "list", "data": [stripe.item(quantity=5)], "has_more": False})
    was = {"items": {"data": [stripe.item(quantity=2)]}, "quantity": 2}
    found = told(event(now, was, livemode=True))
    assert found is not None
    assert set(found.changes) == {"items", "quantity"}
    assert (found.changes["quantity"], found.livemode) == (5, True)


UNCHANGED: dict[str, dict[str, Any]] = {
    "created": event(stripe.customer()),
    "an attribute that is none of ours": event(stripe.customer(), {"invoice_prefix": "A"}),
    "the same value": event(stripe.customer(name="A"), {"name": "A"}),
    "deleted": event({"id": "cus_1", "object": "customer", "deleted": True}, {"name": "A"}),
    "an object that was not understood before": event(stripe.subscription(), {"status": "odd"}),
    "an object that is not understood": event(stripe.customer(created="today"), {"name": "A"}),
}


@pytest.mark.parametrize("case", UNCHANGED)
def test_an_event_of_which_no_field_is_known_to_have_changed(case: str) -> None:
    given = UNCHANGED[case]
    assert told(given) == Told(given["data"]["object"]["id"], AT, False, {})


NOTHING: dict[str, dict[str, Any]] = {
    "an object of another kind": event({"id": "ch_1", "object": "charge", "amount": 2}, {"amount": 1}),
    "no id": event(stripe.customer(id=7, name="B"), {"name": "A"}),
    "no time": event(stripe.customer(name="B"), {"name": "A"}, created=None),
    "a time that is none": event(stripe.customer(name="B"), {"name": "A"}, created=True),
    "a time out of all ranges": event(stripe.customer(name="B"), {"name": "A"}, created=10**18),
    "no data": event({}, {}, data=None),
    "nothing": {},
}


@pytest.mark.parametrize("case", NOTHING)
def test_what_is_about_nothing_of_ours(case: str) -> None:
    assert told(NOTHING[case]) is None


def test_a_deep_event_is_about_its_object_alone() -> None:
    deep: Any = {}
    for _ in range(100_000):
        deep = {"a": deep}
    assert told(event(stripe.customer(metadata=deep), {"metadata": deep})) == Told("cus_1", AT, False, {})


def test_no_nul_is_kept() -> None:
    assert told(event(stripe.customer(name="a\0b"), {"name": None})) == Told("cus_1", AT, False, {"name": "a\ufffdb"})
