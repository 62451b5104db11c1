"""Every recorded Stripe object of our five kinds, wherever it sits in its file, maps or gives a reason code."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_core.domain.fields import NAMES
from sync_core.domain.mapping import Mapped, Unmappable, map_object
from sync_core.domain.vocabulary import EntityType, ReasonCode
from sync_core.engine.staging import stage
from tests.unit import _stripe_objects as make

SHARED = Path(os.environ.get("SHARED_DIR", Path(__file__).parents[2].parent / "shared")) / "stripe"
KINDS = {
    "customer": EntityType.CUSTOMERS,
    "product": EntityType.PRODUCTS,
    "price": EntityType.PRICES,
    "plan": EntityType.PRICES,
    "subscription": EntityType.SUBSCRIPTIONS,
    "invoice": EntityType.INVOICES,
}

# What can't be mapped, and why that is right. Everything else must map.
REFUSED: dict[str, tuple[ReasonCode, str]] = {
    f"fixtures3.json:{place}.plan": (ReasonCode.CURRENCY_UNKNOWN, "currency")
    for place in ("subscription.items.data.0", "subscription_item", "subscription_schedule.phases.0.items.0")
}


def _walk(node: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        if isinstance(node.get("object"), str):
            yield path, node
        for key, inner in node.items():
            yield from _walk(inner, f"{path}.{key}" if path else key)
        yield from _before(node, path)
    elif isinstance(node, list):
        for position, inner in enumerate(node):
            yield from _walk(inner, f"{path}.{position}" if path else str(position))


def _before(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The object of an event as it was before."""
    previous = node.get("previous_attributes")
    if previous and str(node["object"].get("object")) in KINDS:
        yield f"{path}.previous", {**node["object"], **previous}


def _recorded() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted((SHARED / "objects").rglob("*.json")):
        name = file.relative_to(SHARED / "objects").as_posix()
        for path, found in _walk(json.loads(file.read_text()), ""):
            yield f"{name}:{path or 'whole'}", found
    canonical = SHARED / "fixtures3.json"
    if canonical.exists():
        for path, found in _walk(json.loads(canonical.read_text())["resources"], ""):
            yield f"fixtures3.json:{path}", found


EVERYTHING = dict(_recorded())
RECORDED = {name: raw for name, raw in EVERYTHING.items() if raw["object"] in KINDS}
OTHERS = {raw["object"]: raw for raw in EVERYTHING.values() if raw["object"] not in KINDS}
PARTS = {name: raw for name, raw in EVERYTHING.items() if raw["object"] in ("line_item", "subscription_item")}

pytestmark = pytest.mark.skipif(not RECORDED, reason="the recorded objects are not there: set SHARED_DIR")


@pytest.mark.parametrize("name", RECORDED, ids=list(RECORDED))
def test_maps_or_gives_its_reason(name: str) -> None:
    raw = RECORDED[name]
    entity = KINDS[raw["object"]]
    outcome = map_object(entity, raw)
    if name in REFUSED:
        assert isinstance(outcome, Unmappable)
        assert (outcome.reason, outcome.field) == REFUSED[name]
        return
    assert isinstance(outcome, Mapped), outcome
    assert outcome.external_id == raw["id"]
    if outcome.deleted:
        assert outcome.values == {}
        return
    assert tuple(outcome.values) == NAMES[entity]
    assert json.loads(outcome.packed) == outcome.values


def test_all_kinds_and_every_source_are_among_them() -> None:
    assert {raw["object"] for raw in RECORDED.values()} == set(KINDS)
    assert {name.split("/")[0].split(":")[0] for name in RECORDED} == {
        "dj-stripe",
        "drf-stripe",
        "sync-engine",
        "fixtures3.json",
    }


def test_nothing_is_refused_that_is_not_recorded() -> None:
    assert set(REFUSED) <= set(RECORDED)


def test_the_table_names_every_object_that_the_files_write() -> None:
    """Counted in their text, so that an object in a place where nobody looked would be missed here."""
    written = Counter(
        kind
        for file in sorted(SHARED.rglob("*.json"))
        for kind in re.findall(r'"object":\s*"(\w+)"', file.read_text())
        if kind in KINDS
    )
    named = Counter(raw["object"] for name, raw in RECORDED.items() if not name.endswith(".previous"))
    assert named == written


@pytest.mark.parametrize("kind", OTHERS, ids=list(OTHERS))
def test_an_object_of_another_kind_is_refused_by_its_kind(kind: str) -> None:
    for entity in EntityType:
        outcome = map_object(entity, OTHERS[kind])
        assert isinstance(outcome, Unmappable)
        assert (outcome.reason, outcome.field) == (ReasonCode.UNSUPPORTED_SHAPE, "object")
        assert kind in outcome.message


@pytest.mark.parametrize("name", PARTS, ids=list(PARTS))
def test_an_item_or_a_line_maps_inside_its_parent(name: str) -> None:
    """Those that a nested list brings, page after page, are no different from those that came with the object."""
    part = PARTS[name]
    if part["object"] == "line_item":
        entity, raw = EntityType.INVOICES, make.invoice(lines={"data": [part], "has_more": False})
    else:
        entity, raw = EntityType.SUBSCRIPTIONS, make.subscription(items={"data": [part], "has_more": False})
    inner: Any = make.values_of(entity, raw)["lines" if entity is EntityType.INVOICES else "items"]
    assert [one["id"] for one in inner] == [part["id"]]
    assert inner[0]["quantity"] == part.get("quantity")
    assert entity is EntityType.SUBSCRIPTIONS or inner[0]["amount"] == part["amount"]


_DEEP: Any = json.loads('{"a":' * 400 + "1" + "}" * 400)
_ODD: list[Any] = [
    *(None, "", 0, -1, True, 2**31, 2**63, -(2**63) - 1, 10**30, 1.5, 1e300, [], {}, [None], [[]], [{}], {"id": None}, {"id": 5}),
    *({"data": None}, {"data": [None]}, {"data": [{}]}, {"object": "list", "data": [], "has_more": True}, "x" * 3000, "a\0b", "\ud800"),
    *("1e5", "1e-400", "1e999999999", "NaN", "Infinity", "0x10", "1_000", "1" * 400, "xxx", {"a\0": 1}, {"\ud800": 1}, _DEEP),
]  # fmt: skip


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a tree, as its container and key."""
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in keys:
        yield node, key
        yield from _places(node[key])


@settings(max_examples=300)
@given(data=st.data())
def test_with_any_part_of_it_missing_or_of_another_kind_it_still_maps_or_gives_its_reason(data: st.DataObject) -> None:
    """What is staged of it fits its columns whatever it was."""
    raw = orjson.loads(orjson.dumps(RECORDED[data.draw(st.sampled_from(sorted(RECORDED)))]))
    entity = KINDS[raw["object"]]
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(list(_places(raw))))
        if isinstance(container, dict) and data.draw(st.booleans()):
            del container[key]
        else:
            container[key] = deepcopy(data.draw(st.sampled_from(_ODD)))
    row = stage(entity, raw, observed_at=1.0, request_id="req_1")
    assert "\0" not in row.external_id
    assert len(row.external_id) <= 500
    assert row.created is None or 0 <= row.created < 2**63
    if row.issue is not None:
        assert row.issue["reason"] in set(ReasonCode)
    elif not row.deleted:
        assert tuple(orjson.loads(row.values or b"")) == NAMES[entity]
