"""What the sandbox generates: whole objects, consistent with each other, the same for the same seed."""

from __future__ import annotations

import gc
import json
import os
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sync_core.sandbox.account import ENTITIES, Account
from sync_core.sandbox.account_object import account_object
from sync_core.sandbox.blueprint import DEFAULT_UNTIL, Blueprint, Json, Sizes
from sync_core.sandbox.collection import Window
from sync_core.sandbox.demo import demo_overlap
from sync_core.sandbox.ids import LONG, SHORT, IdCoder, stamp
from sync_core.sandbox.present import View
from sync_core.sandbox.shapes import NEWEST
from sync_core.sandbox.templates import ascii_json
from sync_core.sandbox.timeline import Timeline

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("SHARED_DIR", str(ROOT.parent / "shared")))
FIXTURES = SHARED / "stripe" / "fixtures3.json"
needs_shared = pytest.mark.skipif(not FIXTURES.exists(), reason="SHARED_DIR with recorded Stripe data is absent")

SMALL = Blueprint()
PREFIXES = {"customers": "cus_", "products": "prod_", "prices": "price_", "subscriptions": "sub_", "invoices": "in_"}
ACCOUNT = Account.generated(SMALL)


def all_of(entity: str) -> list[Json]:
    return list(ACCOUNT.truth_objects(entity))


def lacking(body: Any, canonical: Any, path: str = "") -> set[str]:
    """Paths that the canonical object has and ours has not; where ours is null or empty there is nothing to compare."""
    if isinstance(canonical, dict) and isinstance(body, dict):
        missing = {f"{path}.{name}" for name in canonical.keys() - body.keys()}
        return missing.union(
            *(lacking(body[name], canonical[name], f"{path}.{name}") for name in canonical if name in body)
        )
    if isinstance(canonical, list) and isinstance(body, list) and canonical and body:
        return lacking(body[0], canonical[0], f"{path}[0]")
    return set()


@needs_shared
@pytest.mark.parametrize("entity", ENTITIES)
def test_every_object_has_all_canonical_fields(entity: str) -> None:
    canonical = json.loads(FIXTURES.read_text())["resources"][entity[:-1]]

    assert set().union(*(lacking(body, canonical) for body in all_of(entity))) == set()


@needs_shared
def test_account_has_all_canonical_fields() -> None:
    canonical = json.loads(FIXTURES.read_text())["resources"]["account"]

    assert canonical.keys() <= account_object(ACCOUNT).keys()


@needs_shared
@pytest.mark.parametrize("entity", ENTITIES)
def test_created_through_control_has_all_canonical_fields(entity: str) -> None:
    canonical = json.loads(FIXTURES.read_text())["resources"][entity[:-1]]
    body = Account.generated(SMALL).create(entity, {}, now=DEFAULT_UNTIL)

    assert lacking(body, canonical) == set()


@pytest.mark.parametrize("entity", ENTITIES)
def test_same_seed_same_objects(entity: str) -> None:
    again = Account.generated(Blueprint())
    other = Account.generated(Blueprint(seed="another"))

    assert list(again.truth_objects(entity)) == all_of(entity)
    chosen = ("plan-", "quarterly_")
    assert {object_id for object_id in other.truth(entity) if not object_id.startswith(chosen)}.isdisjoint(
        again.truth(entity)
    )


@pytest.mark.parametrize("entity", ENTITIES)
def test_sizes_are_exact_and_ids_unique(entity: str) -> None:
    ids = list(ACCOUNT.truth(entity))

    assert len(ids) == getattr(SMALL.sizes, entity)
    assert len(set(ids)) == len(ids)
    assert all((ACCOUNT.retrieve(entity, object_id) or {})["id"] == object_id for object_id in ids)


@pytest.mark.parametrize("entity", ENTITIES)
def test_created_lies_in_the_two_years(entity: str) -> None:
    assert all(SMALL.start <= body["created"] < SMALL.until for body in all_of(entity))


@pytest.mark.parametrize(
    ("entity", "field", "parent"),
    [
        ("prices", "product", "products"),
        ("products", "default_price", "prices"),
        ("subscriptions", "customer", "customers"),
        ("subscriptions", "latest_invoice", "invoices"),
        ("invoices", "customer", "customers"),
    ],
)
def test_every_reference_is_retrievable(entity: str, field: str, parent: str) -> None:
    references = {body[field] for body in all_of(entity) if body[field]}

    assert [reference for reference in references if ACCOUNT.retrieve(parent, reference) is None] == []


def test_some_references_lead_to_deleted_parents() -> None:
    def deleted(entity: str, object_id: str) -> bool:
        return bool((ACCOUNT.retrieve(entity, object_id) or {}).get("deleted"))

    assert any(deleted("customers", body["customer"]) for body in all_of("subscriptions"))
    assert any(deleted("products", body["product"]) for body in all_of("prices"))
    lines = [line for body in all_of("invoices") for line in body["lines"]["data"]]
    assert any(deleted("prices", line["pricing"]["price_details"]["price"]) for line in lines)


def test_subscriptions_of_deleted_customers_are_canceled() -> None:
    for body in all_of("subscriptions"):
        if (ACCOUNT.retrieve("customers", body["customer"]) or {}).get("deleted"):
            assert body["status"] == "canceled"


def test_items_carry_the_price_as_it_is_retrieved() -> None:
    for body in all_of("subscriptions"):
        for item in body["items"]["data"]:
            price = ACCOUNT.retrieve("prices", item["price"]["id"]) or {}
            assert {name: price[name] for name in item["price"]} == item["price"]
            assert item["price"]["type"] == "recurring"
            assert item["price"]["currency"] == body["currency"]


def test_latest_invoice_bills_its_subscription() -> None:
    for body in all_of("subscriptions"):
        if body["latest_invoice"]:
            invoice = ACCOUNT.retrieve("invoices", body["latest_invoice"]) or {}
            assert invoice["parent"]["subscription_details"]["subscription"] == body["id"]
            assert invoice["customer"] == body["customer"]


def test_lines_bill_items_of_their_subscription_at_their_price() -> None:
    items = {item["id"]: item for body in all_of("subscriptions") for item in body["items"]["data"]}
    lines = [line for body in all_of("invoices") for line in body["lines"]["data"] if line["subscription"]]

    assert len(lines) > 300
    for line in lines:
        item = items[line["parent"]["subscription_item_details"]["subscription_item"]]
        assert item["subscription"] == line["subscription"]
        assert item["price"]["id"] == line["pricing"]["price_details"]["price"]


def test_invoice_amounts_add_up() -> None:
    for body in all_of("invoices"):
        tax = sum(tax["amount"] for tax in body["total_taxes"])
        assert sum(line["amount"] for line in body["lines"]["data"]) + tax == body["total"]
        assert body["amount_paid"] + body["amount_remaining"] == body["amount_due"] == body["total"]


AWKWARD: dict[str, tuple[str, Callable[[Json], bool]]] = {
    "customers without an email": ("customers", lambda body: body["email"] is None),
    "names beyond ASCII": ("customers", lambda body: not body["name"].isascii()),
    "metadata at its limits": ("customers", lambda body: len(body["metadata"]) == 50),
    "a NUL character": ("customers", lambda body: "\x00" in (body["description"] or "")),
    "ids chosen by the owner: products": ("products", lambda body: not body["id"].startswith("prod_")),
    "ids chosen by the owner: prices": ("prices", lambda body: not body["id"].startswith("price_")),
    "archived products": ("products", lambda body: not body["active"]),
    "archived prices": ("prices", lambda body: not body["active"]),
    "no decimals": ("prices", lambda body: body["currency"] == "jpy"),
    "three decimals": ("prices", lambda body: body["currency"] == "kwd"),
    "graduated tiers": ("prices", lambda body: body["tiers_mode"] == "graduated" and len(body["tiers"]) > 1),
    "volume tiers": ("prices", lambda body: body["tiers_mode"] == "volume" and len(body["tiers"]) > 1),
    "metered": ("prices", lambda body: (body["recurring"] or {}).get("usage_type") == "metered"),
    "below a cent": ("prices", lambda body: body["unit_amount_decimal"] == "0.35" and body["unit_amount"] is None),
    "pay what you want": ("prices", lambda body: body["custom_unit_amount"] is not None),
    "packages": ("prices", lambda body: body["transform_quantity"] is not None),
    "several currencies": ("prices", lambda body: len(body["currency_options"] or {}) > 2),
    "one-time prices": ("prices", lambda body: body["type"] == "one_time" and body["recurring"] is None),
    "several items": ("subscriptions", lambda body: len(body["items"]["data"]) == 2),
    "more than ten items": ("subscriptions", lambda body: len(body["items"]["data"]) > 10),
    "more than ten lines": ("invoices", lambda body: len(body["lines"]["data"]) > 10),
    "invoices without a subscription": ("invoices", lambda body: body["parent"] is None),
    "drafts without a number": ("invoices", lambda body: body["status"] == "draft" and body["number"] is None),
    "taxes": ("invoices", lambda body: len(body["total_taxes"]) > 0),
}


@pytest.mark.parametrize("name", AWKWARD)
def test_the_default_account_has(name: str) -> None:
    entity, is_it = AWKWARD[name]

    assert any(is_it(body) for body in all_of(entity))


def test_every_subscription_status_occurs() -> None:
    found = Counter(body["status"] for body in ACCOUNT.truth_objects("subscriptions"))

    assert found.keys() == {
        *("active", "canceled", "trialing", "past_due", "unpaid", "incomplete", "incomplete_expired", "paused"),
    }


def test_running_trials_end_later_than_the_account_does() -> None:
    trials = [body for body in all_of("subscriptions") if body["status"] == "trialing"]

    assert trials
    assert all(body["trial_start"] < SMALL.until < body["trial_end"] for body in trials)


def test_emails_stay_at_example_domains() -> None:
    emails = [body["email"] for body in all_of("customers") if body["email"]]

    assert all(email.split("@")[1].split(".")[-2] == "example" for email in emails)
    assert Counter(Counter(emails).values())[2] >= 1


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param(Sizes(0, 0, 0, 0, 0), id="nothing"),
        pytest.param(Sizes(1, 1, 1, 1, 1), id="one-of-each"),
        pytest.param(Sizes(5, 0, 0, 7, 3), id="no-catalog"),
        pytest.param(Sizes(0, 3, 4, 6, 6), id="no-customers"),
        pytest.param(Sizes(9, 2, 2, 0, 9), id="no-subscriptions"),
        pytest.param(Sizes(3, 40, 4, 50, 7), id="more-subscriptions-than-invoices"),
    ],
)
def test_any_sizes_make_an_account(sizes: Sizes) -> None:
    account = Account.generated(Blueprint(sizes=sizes))

    for entity in ENTITIES:
        bodies = list(account.truth_objects(entity))
        assert len(bodies) == getattr(sizes, entity)
        assert [body["created"] for body in bodies] == sorted((body["created"] for body in bodies), reverse=True)


@pytest.mark.parametrize("count", [1, 24, 260, 5_000])
def test_created_never_goes_back(count: int) -> None:
    timeline = Timeline(count, 1_000, 1_000_000, "seed")
    seconds = [timeline.created(index) for index in range(count)]

    assert all(earlier <= later for earlier, later in pairwise(seconds))
    assert seconds[0] >= 1_000
    assert seconds[-1] < 1_000_000
    for second in {seconds[0], seconds[count // 2], seconds[-1], 0, 2_000_000}:
        assert timeline.first_at_or_after(second) == sum(1 for other in seconds if other < second)


def test_seconds_are_shared_often_and_now_and_then_by_more_than_a_page() -> None:
    timeline = Timeline(10_000, 1_600_000_000, 1_700_000_000, "seed")
    sizes = Counter(Counter(timeline.created(index) for index in range(10_000)).values())

    assert all(sizes[size] > 20 for size in (2, 3, 4, 5))
    assert max(sizes) > 100


@pytest.mark.parametrize(("prefix", "length"), [("cus", 14), ("price", 24)])
def test_ids_lead_back_to_their_index(prefix: str, length: int) -> None:
    coder = IdCoder(prefix, "seed", _minutes_apart, length=length)
    indexes = [0, 1, 2, 99, 12_345, 999_999, 40_000_000]
    ids = [coder.encode(index) for index in indexes]

    assert [coder.decode(object_id, 50_000_000) for object_id in ids] == indexes
    assert {len(object_id) for object_id in ids} == {len(prefix) + 1 + length}
    assert coder.decode(coder.encode(5), 5) is None


@pytest.mark.parametrize(
    "text", ["", "cus_", "cus_nobody", "prod_00000000000000", "cus_" + "ü" * 14, "cus_" + "0" * 15]
)
def test_foreign_ids_have_no_index(text: str) -> None:
    assert IdCoder("cus", "seed", _minutes_apart).decode(text, 10**12) is None


def test_an_id_of_another_time_has_no_index() -> None:
    coder = IdCoder("cus", "seed", _minutes_apart)
    other = IdCoder("cus", "seed", lambda index: _minutes_apart(index) + 60)

    assert coder.decode(other.encode(7), 100) is None


def _minutes_apart(index: int) -> int:
    return DEFAULT_UNTIL - 60 * index


@needs_shared
@pytest.mark.parametrize(("length", "least"), [(SHORT, 14), (LONG, 40)], ids=["short", "long"])
def test_recorded_ids_begin_with_their_time(length: int, least: int) -> None:
    """Those of the recorded objects whose times nobody changed. By chance one in 238,328 would, or fewer."""
    begun = {
        object_id
        for object_id, created in _recorded_times()
        if len(letters := object_id.rpartition("_")[2]) == length
        # The object is made up to a second after its id.
        and any(letters.startswith(stamp(created - late, length)) for late in (0, 1, -1))
    }

    assert len(begun) >= least, sorted(begun)


def _recorded_times() -> set[tuple[str, int]]:
    found: set[tuple[str, int]] = set()
    waiting = [json.loads(file.read_text()) for file in (SHARED / "stripe").rglob("*.json")]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if isinstance(value.get("id"), str) and isinstance(value.get("created"), int):
                found.add((value["id"], value["created"]))
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return found


@pytest.mark.parametrize("entity", ENTITIES)
def test_generated_ids_begin_with_their_time(entity: str) -> None:
    bodies = [body for body in all_of(entity) if body["id"].startswith(PREFIXES[entity])]
    begins = [body["id"].removeprefix(PREFIXES[entity]) for body in bodies]

    assert len(bodies) > 10
    assert all(begin.startswith(stamp(body["created"], len(begin))) for begin, body in zip(begins, bodies, strict=True))


@pytest.mark.parametrize("text", ["Zoë", "渋谷", "😀 smile", "50 % <<id>>", 'quote " and \\', "nul \x00"])
def test_ascii_json_reads_back(text: str) -> None:
    assert ascii_json(text).isascii()
    assert json.loads(ascii_json(text)) == text


@pytest.mark.parametrize(
    ("entity", "expand"),
    [
        pytest.param("products", ("default_price",), id="a-price-inside"),
        pytest.param("prices", ("tiers", "currency_options", "product"), id="all-of-a-price"),
        pytest.param("subscriptions", ("customer", "latest_invoice"), id="of-a-subscription"),
        pytest.param("invoices", ("customer",), id="of-an-invoice"),
    ],
)
def test_put_together_from_texts_is_what_is_shown(entity: str, expand: tuple[str, ...]) -> None:
    account = Account.generated(SMALL)
    customer = next(account.truth("customers"))
    account.update("customers", customer, {"name": "Changed"}, now=SMALL.until)
    entries = list(account.collections[entity].walk(Window()))
    view = View(account, True, NEWEST, tuple((name,) for name in expand))

    texts = view.texts(entity, entries)

    bodies = [account.collections[entity].full(entry, live=True) for entry in entries]
    assert [json.loads(text) for text in texts] == [view.show(entity, body) for body in bodies]


def test_memory_does_not_grow_with_what_was_served() -> None:
    account = Account.generated(Blueprint(sizes=Sizes(1_000_000, 0, 0, 0, 0)))
    collection = account.collections["customers"]

    def serve(start: int, stop: int) -> int:
        for index in range(start, stop, 50):
            collection.text(index, live=False)
            collection.key(collection.id_of(index))
        gc.collect()
        return len(gc.get_objects())

    first = serve(0, 100_000)
    assert serve(100_000, 1_000_000) - first < 100


def test_demo_overlap_names_objects_of_the_default_account() -> None:
    records = demo_overlap()

    assert Counter(record.entity for record in records) == {"customers": 36, "products": 12}
    for record in records:
        body = ACCOUNT.retrieve(record.entity, record.external_id) or {}
        assert (body["name"], body.get("email")) == (record.name, record.email)


@needs_shared
def test_a_folder_of_recordings_is_served_as_it_is() -> None:
    account = Account.from_folder(SHARED / "stripe" / "objects")
    counts = {entity: len(list(account.truth(entity))) for entity in ENTITIES}
    recorded = json.loads((SHARED / "stripe/objects/dj-stripe/customer_cus_6lsBvm5rJ0zyHc.json").read_text())

    assert all(count >= 5 for count in counts.values())
    assert account.retrieve("customers", "cus_6lsBvm5rJ0zyHc") == recorded


def test_windows_together_hold_every_object_once() -> None:
    for entity in ENTITIES:
        cuts = [0, *range(SMALL.start, SMALL.until, 11 * 86_400), SMALL.until]
        pieces = [list(ACCOUNT.truth(entity, Window(low, high))) for low, high in pairwise(cuts)]
        assert [object_id for piece in reversed(pieces) for object_id in piece] == list(ACCOUNT.truth(entity))
