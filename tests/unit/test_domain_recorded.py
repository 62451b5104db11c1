"""Every recorded Stripe object of our five kinds, wherever it sits in its file, maps or gives a reason code."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sync_core.domain.fields import NAMES
from sync_core.domain.mapping import Mapped, Unmappable, map_object
from sync_core.domain.vocabulary import EntityType, ReasonCode

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
        if str(node.get("object")) in KINDS:
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


RECORDED = dict(_recorded())

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
