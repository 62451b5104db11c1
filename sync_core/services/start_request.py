"""What a person or a program asks of a sync, and whether it can be done: every rule of it in one place, none of it needs the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sync_core.domain.fields import ORDER
from sync_core.domain.merge import Strategies
from sync_core.domain.vocabulary import EntityType, Strategy
from sync_core.errors import Refusal
from sync_core.store.runs import RunConfig

MOST_BATCH: Final = 100
MOST_CONCURRENT: Final = 20
# Two clocks are never quite the same: "until now" must not be refused as the future.
_CLOCK_SLACK_SECONDS: Final = 300
# After the year 9999 no database and no browser can show a time.
_LATEST: Final = 253_402_300_799

# Why an entity type can be synced alone: what it refers to is fetched by id.
NEEDS: Final[Mapping[EntityType, tuple[EntityType, ...]]] = {
    EntityType.CUSTOMERS: (),
    EntityType.PRODUCTS: (),
    EntityType.PRICES: (EntityType.PRODUCTS,),
    EntityType.SUBSCRIPTIONS: (EntityType.CUSTOMERS, EntityType.PRICES),
    EntityType.INVOICES: (EntityType.CUSTOMERS, EntityType.SUBSCRIPTIONS),
}


@dataclass(frozen=True, slots=True)
class StartRequest:
    """As it was asked, not yet checked. `start` and `end` are epoch seconds, end exclusive.

    `strategies` narrows the strategy: {"entities": {entity type: strategy}, "fields": {"customers.name": strategy}}.
    """

    entity_types: Sequence[str] = ()
    batch_size: int = 100
    concurrent_batches: int = 3
    conflict_strategy: str = Strategy.SKIP.value
    strategies: Mapping[str, Any] = field(default_factory=dict)
    dry_run: bool = False
    start: int | None = None
    end: int | None = None


def checked(request: StartRequest, *, now: int) -> RunConfig | Refusal:
    """The configuration that the request stands for, or the first thing wrong with it. `now` is epoch seconds."""
    entities = _entity_types(request.entity_types)
    if isinstance(entities, Refusal):
        return entities
    strategies = _strategies(request)
    if isinstance(strategies, Refusal):
        return strategies
    refusal = _numbers(request) or _date_range(request.start, request.end, now)
    if refusal is not None:
        return refusal
    return RunConfig(
        entity_types=entities,
        batch_size=request.batch_size,
        concurrent_batches=request.concurrent_batches,
        start=request.start,
        end=request.end,
        strategies=strategies,
        dry_run=request.dry_run,
    )


def missing_parents(entity_types: Sequence[EntityType]) -> dict[EntityType, tuple[EntityType, ...]]:
    """For each chosen entity type those it refers to that were not chosen: they are fetched one by one, by id."""
    left_out = {
        entity: tuple(parent for parent in NEEDS[entity] if parent not in entity_types) for entity in entity_types
    }
    return {entity: parents for entity, parents in left_out.items() if parents}


def _entity_types(words: Sequence[str]) -> tuple[EntityType, ...] | Refusal:
    """In order of dependency, each once."""
    if not words:
        return Refusal("entity_types_empty", "Choose at least one entity type.", field="entity_types")
    known = {entity.value for entity in EntityType}
    unknown = [word for word in words if word not in known]
    if unknown:
        named = ", ".join(f"“{word[:40]}”" for word in unknown[:3])
        message = f"{named} is not an entity type. Choose from {', '.join(entity.value for entity in ORDER)}."
        return Refusal("entity_type_unknown", message, field="entity_types")
    return tuple(entity for entity in ORDER if entity.value in words)


def _strategies(request: StartRequest) -> Strategies | Refusal:
    choices = ", ".join(strategy.value for strategy in Strategy)
    if request.conflict_strategy not in {strategy.value for strategy in Strategy}:
        message = f"“{request.conflict_strategy[:40]}” is not a strategy. Choose from {choices}."
        return Refusal("strategy_unknown", message, field="conflict_strategy")
    narrow = {name: request.strategies.get(name) or {} for name in ("entities", "fields")}
    try:
        return Strategies.from_json({"default": request.conflict_strategy, **narrow})
    except (ValueError, TypeError, AttributeError) as wrong:
        message = f"A strategy names an entity type or a field such as customers.name, and one of {choices}: {wrong}."
        return Refusal("strategy_unknown", message, field="strategies")


def _numbers(request: StartRequest) -> Refusal | None:
    if not 1 <= request.batch_size <= MOST_BATCH:
        message = f"The batch size is between 1 and {MOST_BATCH}: Stripe sends no more objects in one page."
        return Refusal("batch_size_out_of_range", message, field="batch_size")
    if not 1 <= request.concurrent_batches <= MOST_CONCURRENT:
        message = f"Between 1 and {MOST_CONCURRENT} batches can be read at once."
        return Refusal("concurrent_batches_out_of_range", message, field="concurrent_batches")
    return None


def _date_range(start: int | None, end: int | None, now: int) -> Refusal | None:
    if any(moment is not None and not 0 <= moment <= _LATEST for moment in (start, end)):
        return _range("date_range_invalid", "The date range lies outside of what can be: use dates from 1970 on.")
    if start is not None and start > now:
        return _range("date_range_future", "The date range begins in the future: there is nothing to sync yet.")
    if end is not None and end > now + _CLOCK_SLACK_SECONDS:
        return _range("date_range_future", "The date range ends in the future. Leave the end out to sync up to now.")
    if start is None or end is None:
        return None
    if start == end:
        return _range("date_range_empty", "The date range is empty: its end must be later than its start.")
    if start > end:
        return _range("date_range_reversed", "The date range is reversed: its end is earlier than its start.")
    return None


def _range(code: str, message: str) -> Refusal:
    return Refusal(code, message, field="date_range")
