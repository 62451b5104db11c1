"""Parents that come inside their children: taken out, and kept where no list brings them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import orjson
import pytest

from sync_core.domain.embedded import take_out
from sync_core.domain.vocabulary import EntityType, Phase
from sync_core.engine import embedded
from sync_core.engine.embedded import Embedded
from sync_core.store.run_state import ConnectionRow, RunRow
from sync_core.stripe_source import Page
from tests import support

C, P = EntityType.CUSTOMERS, EntityType.PRODUCTS
CUSTOMER = {"id": "cus_1", "object": "customer", "created": 150}
GONE = {"id": "cus_1", "object": "customer", "deleted": True}
PRODUCT = {"id": "prod_1", "object": "product", "created": 150}

TAKEN = {
    "subscription": (EntityType.SUBSCRIPTIONS, {"customer": CUSTOMER}, [(C, "cus_1", CUSTOMER)], {"customer": "cus_1"}),
    "invoice-of-a-deleted-one": (EntityType.INVOICES, {"customer": GONE}, [(C, "cus_1", GONE)], {"customer": "cus_1"}),
    "price": (EntityType.PRICES, {"product": PRODUCT}, [(P, "prod_1", PRODUCT)], {"product": "prod_1"}),
    "not-expanded": (EntityType.INVOICES, {"customer": "cus_1"}, [], {"customer": "cus_1"}),
    "none": (EntityType.INVOICES, {"customer": None}, [], {"customer": None}),
    "absent": (EntityType.INVOICES, {}, [], {}),
    "without-an-id": (EntityType.INVOICES, {"customer": {}}, [], {"customer": {}}),
    "no-parents": (C, {"customer": CUSTOMER}, [], {"customer": CUSTOMER}),
}


@pytest.mark.parametrize(("entity", "raw", "taken", "left"), TAKEN.values(), ids=TAKEN)
def test_take_out(entity: EntityType, raw: dict[str, Any], taken: list[Any], left: dict[str, Any]) -> None:
    given = dict(raw)
    assert list(take_out(entity, given)) == taken
    assert given == left


def row(*entities: EntityType, start: int | None = 100) -> RunRow:
    connection = ConnectionRow(uuid4(), "acct_1", None, False, True, b"", "", None)
    return RunRow(support.config(*entities), Phase.FETCH, None, start, 200, None, {}, connection)


def page(*parents: dict[str, Any], at: float = 1.0) -> Page:
    return Page([{"customer": parent} for parent in parents], False, at, 7, "req_1", False)


KEPT = {
    "listed": ((C,), CUSTOMER, False),
    "deleted": ((C,), GONE, True),
    "before-the-range": ((C,), CUSTOMER | {"created": 99}, True),
    "behind-the-range": ((C,), CUSTOMER | {"created": 200}, True),
    "first-second-of-the-range": ((C,), CUSTOMER | {"created": 100}, False),
    "of-a-type-not-synced": ((EntityType.INVOICES,), CUSTOMER, True),
    "without-a-time": ((C,), {"id": "cus_1"}, True),
}


@pytest.mark.parametrize(("entities", "parent", "kept"), KEPT.values(), ids=KEPT)
def test_what_no_list_brings_is_kept(entities: tuple[EntityType, ...], parent: dict[str, Any], *, kept: bool) -> None:
    pool = Embedded(row(*entities))
    pool.keep(EntityType.INVOICES, page(parent))
    found = pool.take(C, "cus_1")
    assert (found.object if found else None) == (parent if kept else None)
    assert pool.take(C, "cus_1") is None


def test_the_newest_view_is_given() -> None:
    pool = Embedded(row(C))
    pool.keep(EntityType.INVOICES, page(CUSTOMER | {"created": 1}, at=2.0))
    pool.keep(EntityType.INVOICES, page(GONE, at=3.0))
    pool.keep(EntityType.INVOICES, page(CUSTOMER | {"created": 2}, at=1.0))
    found = pool.take(C, "cus_1")
    assert found is not None
    assert (found.object, found.requested_at, found.server_date, found.request_id) == (GONE, 3.0, 7, "req_1")


def test_the_oldest_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    stubs = [GONE | {"id": f"cus_{n}"} for n in range(9)]
    monkeypatch.setattr(embedded, "_MOST_BYTES", 5 * len(orjson.dumps(stubs[0])))
    pool = Embedded(row(C))
    pool.keep(EntityType.INVOICES, page(*stubs))
    assert [pool.take(C, f"cus_{n}") is not None for n in range(9)] == [False] * 4 + [True] * 5


ASKED = {
    "all-from-the-beginning": ((C, P), None, {C}),
    "all-since-a-day": ((C, P), 100, {C, P}),
    "children-alone": ((EntityType.PRICES,), None, {C, P}),
}


@pytest.mark.parametrize(("entities", "start", "wanted"), ASKED.values(), ids=ASKED)
def test_which_types_are_asked_for(
    entities: tuple[EntityType, ...], start: int | None, wanted: set[EntityType]
) -> None:
    pool = Embedded(row(*entities, start=start))
    assert pool.of == wanted
    pool.refuse()
    assert not pool.of
