"""What may be asked of a sync, as a table, and what is said beside the field when it may not."""

from __future__ import annotations

from typing import Any

import pytest

from sync_core.domain.vocabulary import EntityType, Strategy
from sync_core.errors import Refusal
from sync_core.services.start_request import StartRequest, checked, missing_parents
from sync_core.store.runs import RunConfig

NOW = 1_750_000_000
DAY = 86_400


def asked(**change: Any) -> StartRequest:
    return StartRequest(**{"entity_types": ("customers",)} | change)


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        pytest.param({"entity_types": ()}, "entity_types_empty", "entity_types", id="no entity type"),
        pytest.param({"entity_types": ("refunds",)}, "entity_type_unknown", "entity_types", id="unknown entity type"),
        pytest.param({"entity_types": ("Customers",)}, "entity_type_unknown", "entity_types", id="wrong case"),
        pytest.param({"batch_size": 0}, "batch_size_out_of_range", "batch_size", id="batch 0"),
        pytest.param({"batch_size": 101}, "batch_size_out_of_range", "batch_size", id="batch 101"),
        pytest.param({"batch_size": -5}, "batch_size_out_of_range", "batch_size", id="batch negative"),
        pytest.param(
            {"concurrent_batches": 0}, "concurrent_batches_out_of_range", "concurrent_batches", id="concurrency 0"
        ),
        pytest.param(
            {"concurrent_batches": 21}, "concurrent_batches_out_of_range", "concurrent_batches", id="concurrency 21"
        ),
        pytest.param({"conflict_strategy": "merge"}, "strategy_unknown", "conflict_strategy", id="unknown strategy"),
        pytest.param(
            {"strategies": {"entities": {"customers": "merge"}}}, "strategy_unknown", "strategies", id="of an entity"
        ),
        pytest.param({"strategies": {"entities": {"x": "skip"}}}, "strategy_unknown", "strategies", id="of no entity"),
        pytest.param(
            {"strategies": {"fields": {"customers.shoe": "skip"}}}, "strategy_unknown", "strategies", id="of no field"
        ),
        pytest.param({"strategies": {"fields": ["skip"]}}, "strategy_unknown", "strategies", id="not an object"),
        pytest.param({"start": NOW, "end": NOW}, "date_range_empty", "date_range", id="empty range"),
        pytest.param({"start": NOW, "end": NOW - 1}, "date_range_reversed", "date_range", id="reversed range"),
        pytest.param({"start": NOW + 1}, "date_range_future", "date_range", id="starts in the future"),
        pytest.param({"end": NOW + DAY}, "date_range_future", "date_range", id="ends in the future"),
        pytest.param({"start": -1}, "date_range_invalid", "date_range", id="before 1970"),
        pytest.param({"start": 10**15}, "date_range_invalid", "date_range", id="beyond all calendars"),
    ],
)
def test_refused(change: dict[str, Any], code: str, field: str) -> None:
    refused = checked(asked(**change), now=NOW)

    assert isinstance(refused, Refusal)
    assert (refused.code, refused.field, refused.status) == (code, field, 422)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"batch_size": 1, "concurrent_batches": 1}, id="least"),
        pytest.param({"batch_size": 100, "concurrent_batches": 20}, id="most"),
        pytest.param({"start": NOW - DAY, "end": NOW}, id="up to now"),
        pytest.param({"start": NOW - DAY}, id="open end"),
        pytest.param({"end": NOW - DAY}, id="open start"),
        pytest.param({"end": NOW + 60}, id="a clock a minute ahead"),
    ],
)
def test_accepted(change: dict[str, Any]) -> None:
    config = checked(asked(**change), now=NOW)

    assert isinstance(config, RunConfig)
    assert all(getattr(config, name) == value for name, value in change.items())


def test_entity_types_come_in_order_of_dependency_and_once() -> None:
    config = checked(asked(entity_types=("invoices", "customers", "invoices", "prices")), now=NOW)

    assert isinstance(config, RunConfig)
    assert config.entity_types == (EntityType.CUSTOMERS, EntityType.PRICES, EntityType.INVOICES)


def test_the_narrowest_strategy_is_kept() -> None:
    narrow = {"entities": {"prices": "overwrite"}, "fields": {"customers.name": "flag"}}
    config = checked(asked(conflict_strategy="skip", strategies=narrow), now=NOW)

    assert isinstance(config, RunConfig)
    assert config.strategies.of(EntityType.PRICES) is Strategy.OVERWRITE
    assert config.strategies.of(EntityType.CUSTOMERS, "name") is Strategy.FLAG
    assert config.strategies.of(EntityType.CUSTOMERS, "email") is Strategy.SKIP


@pytest.mark.parametrize(
    ("chosen", "missing"),
    [
        pytest.param([EntityType.CUSTOMERS], {}, id="needs nothing"),
        pytest.param([EntityType.PRICES], {EntityType.PRICES: (EntityType.PRODUCTS,)}, id="prices alone"),
        pytest.param(
            [EntityType.CUSTOMERS, EntityType.SUBSCRIPTIONS],
            {EntityType.SUBSCRIPTIONS: (EntityType.PRICES,)},
            id="subscriptions without prices",
        ),
        pytest.param(list(EntityType), {}, id="all"),
    ],
)
def test_parents_left_out_are_named(
    chosen: list[EntityType], missing: dict[EntityType, tuple[EntityType, ...]]
) -> None:
    assert missing_parents(chosen) == missing
