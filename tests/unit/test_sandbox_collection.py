"""The order of lists under changes, against the plainest model there is: a sorted list."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint, Json, Sizes
from sync_core.sandbox.collection import Window

PLAN = Blueprint(seed="model", sizes=Sizes(40, 0, 0, 0, 0))
NOW = PLAN.until


@dataclass
class Model:
    """Oldest first: (created, place among all ever made, id)."""

    rows: list[tuple[int, int, str]] = field(default_factory=list)

    def newest_first(self, window: Window) -> list[str]:
        return [row[2] for row in sorted(self.rows, reverse=True) if window.holds(row[0])]


def start() -> tuple[Account, Model]:
    account = Account.generated(PLAN)
    bodies = list(account.truth_objects("customers"))[::-1]
    return account, Model([(body["created"], place, body["id"]) for place, body in enumerate(bodies)])


steps = st.lists(
    st.one_of(
        st.tuples(st.just("create"), st.integers(0, 45)),
        st.tuples(st.just("delete"), st.integers(0, 60)),
        st.tuples(st.just("update"), st.integers(0, 60)),
    ),
    max_size=25,
)


def apply(account: Account, model: Model, step: tuple[str, int], number: int) -> None:
    op, place = step
    if op == "create":
        created = model.rows[place][0] if place < len(model.rows) else NOW + place
        body = account.create("customers", {"created": created}, now=NOW)
        model.rows.append((created, 1_000 + number, body["id"]))
    elif model.rows:
        row = model.rows[place % len(model.rows)]
        if op == "delete":
            account.delete("customers", row[2], now=NOW)
            model.rows.remove(row)
        else:
            account.update("customers", row[2], {"name": f"changed {number}"}, now=NOW)


def pages(account: Account, window: Window, size: int, *, ascending: bool) -> list[str]:
    collection = account.collections["customers"]
    found: list[str] = []
    while True:
        cursor = collection.key(found[-1]) if found else None
        edge = {"above" if ascending else "below": cursor}
        page = collection.take(size, window, ascending=ascending, **edge)
        if not page:
            return found
        assert len(found) <= len(collection), "an object was listed twice"
        found += [collection.id_of(entry) for entry in page]


@given(steps, st.integers(1, 9), st.integers(0, 39), st.integers(1, 90), st.booleans())
def test_pages_agree_with_a_sorted_list(
    changes: list[tuple[str, int]], size: int, low: int, days: int, ascending: bool
) -> None:
    account, model = start()
    for number, step in enumerate(changes):
        apply(account, model, step, number)
    window = Window(PLAN.start + low * 18 * 86_400, PLAN.start + (low * 18 + days) * 86_400)

    for seen in (window, Window()):
        expected = model.newest_first(seen)
        assert pages(account, seen, size, ascending=ascending) == (expected[::-1] if ascending else expected)
    assert list(account.truth("customers")) == model.newest_first(Window())
    assert len(account.collections["customers"]) == len(model.rows)


def scripted(**bodies: list[Json]) -> Account:
    return Account.from_objects(bodies)


def customer(object_id: str, created: int, **fields: object) -> Json:
    return {"id": object_id, "object": "customer", "created": created, "email": None, **fields}


def test_scripted_ties_list_the_later_first() -> None:
    account = scripted(customers=[customer("a", 5), customer("b", 5), customer("c", 4)])

    assert list(account.truth("customers")) == ["b", "a", "c"]


def test_scripted_stubs_and_clocked_objects_answer_by_id_only() -> None:
    stub = {"id": "gone", "object": "customer", "deleted": True}
    account = scripted(customers=[customer("a", 5), stub, customer("timed", 6, test_clock="clock_1")])

    assert list(account.truth("customers")) == ["a"]
    assert account.retrieve("customers", "gone") == stub
    assert (account.retrieve("customers", "timed") or {})["test_clock"] == "clock_1"


def test_unlisted_objects_answer_by_id_only() -> None:
    inline = {"id": "price_inline", "object": "price", "created": 9}
    account = Account.from_objects({"prices": [inline]}, unlisted=["price_inline"])

    assert list(account.truth("prices")) == []
    assert account.retrieve("prices", "price_inline") == inline


def test_changes_are_told_as_events() -> None:
    account, _ = start()
    made = account.create("customers", {"name": "New"}, now=NOW)
    account.update("customers", made["id"], {"name": "Newer", "created": 3}, now=NOW + 1)
    account.delete("customers", made["id"], now=NOW + 2)
    events = [account.events.full(entry, live=False) for entry in account.events.walk(Window())]

    assert [event["type"] for event in events] == ["customer.deleted", "customer.updated", "customer.created"]
    assert events[1]["data"]["previous_attributes"] == {"name": "New"}
    assert events[1]["data"]["object"]["created"] == NOW
    assert account.retrieve("customers", made["id"]) == {"id": made["id"], "object": "customer", "deleted": True}


def test_deleting_a_subscription_cancels_it() -> None:
    account = Account.generated(Blueprint())
    first = next(body["id"] for body in account.truth_objects("subscriptions") if body["status"] == "active")
    account.delete("subscriptions", first, now=NOW)

    assert first in set(account.truth("subscriptions"))
    assert (account.retrieve("subscriptions", first) or {})["status"] == "canceled"


@pytest.mark.parametrize(
    "mutation",
    [
        pytest.param({"op": "delete", "type": "customers", "id": "cus_nobody"}, id="unknown-id"),
        pytest.param({"op": "create", "type": "wallets"}, id="unknown-type"),
        pytest.param({"op": "sell", "type": "customers", "id": "x"}, id="unknown-op"),
    ],
)
def test_impossible_mutations_are_refused(mutation: Json) -> None:
    account, _ = start()
    with pytest.raises(ValueError, match=r"No such customer|Unknown"):
        account.mutate(mutation, now=NOW)
