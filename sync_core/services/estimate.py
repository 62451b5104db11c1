"""What a sync would cost, before it starts: records, requests and minutes, from a few pages taken here and there.

Stripe has no counts. A page of a hundred objects that ends below a point in time tells how dense the list is there, and one that is
not full tells how many there are below it; between the points the density is thought to change evenly.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil
from typing import Any, Final

from sync_core.domain.mapping import nested_gap
from sync_core.domain.vocabulary import EntityType
from sync_core.errors import Refusal
from sync_core.jobs.starting import NOT_CONNECTED
from sync_core.services.actor import Actor, Permission
from sync_core.services.connections import open_source
from sync_core.services.read_cap import Speed, speed_of
from sync_core.services.reads import Reads
from sync_core.services.start_request import StartRequest, checked, missing_parents
from sync_core.settings import Settings, get_settings
from sync_core.store import connections
from sync_core.store import sessions as store
from sync_core.store.connections import StoredConnection
from sync_core.store.database import Database
from sync_core.store.runs import RunConfig
from sync_core.stripe_source import Page, StripeError, StripeSource

_PROBES: Final = 4
_YEARS_BACK_SECONDS: Final = 4 * 365 * 86_400
_PAGE_NOISE: Final = 0.1
_OBJECTS_PER_SECOND: Final = 4_000
_LEAST_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Sample:
    """A page that ends right below `at` (epoch seconds): `count` objects, the oldest created at `oldest`.

    `is_all` says that there are no more below it.
    """

    at: int
    count: int
    oldest: int
    is_all: bool

    @property
    def density(self) -> float:
        return self.count / max(1, self.at - self.oldest)


@dataclass(frozen=True, slots=True)
class Guess:
    """A number of objects, and the range in which it lies; the three are equal when it was counted."""

    records: int
    low: int
    high: int

    @property
    def exact(self) -> bool:
        return self.low == self.high


def guess(samples: Sequence[Sample], begin: int) -> Guess:
    """Objects in [begin, the latest sample's `at`). Samples in any order."""
    ordered = sorted(samples, key=lambda one: one.at)
    floor = max((one for one in ordered if one.is_all), key=lambda one: one.at, default=None)
    if floor is ordered[-1]:
        return Guess(floor.count, floor.count, floor.count)
    low = middle = high = float(floor.count) if floor is not None else 0.0
    points = [(one.at, one.density) for one in ordered if floor is None or one.at >= floor.at]
    if floor is None:
        # Nobody has looked below the first of them. Most accounts began slowly, some with an import.
        at, density = points[0]
        low, middle, high = (density * (at - begin) * share for share in (0.4, 0.8, 1.5))
    for (since, sparse), (until, dense) in pairwise(points):
        span = until - since
        low += min(sparse, dense) * span
        middle += (sparse + dense) / 2 * span
        high += max(sparse, dense) * span
    seen = max(one.count for one in ordered)
    return Guess(max(seen, round(middle)), max(seen, int(low * (1 - _PAGE_NOISE))), ceil(high * (1 + _PAGE_NOISE)))


@dataclass(frozen=True, slots=True)
class EntityEstimate:
    entity_type: EntityType
    guess: Guess
    requests: int
    missing_parents: tuple[EntityType, ...]


@dataclass(frozen=True, slots=True)
class Estimate:
    """`seconds_low` to `seconds_high` is how long the run is thought to take, `requests_low` to `requests_high` what it asks of Stripe;
    `warning` is set when it costs much of the month's reads.
    """

    entities: tuple[EntityEstimate, ...]
    requests: int
    requests_low: int
    requests_high: int
    seconds_low: float
    seconds_high: float
    reads: Reads
    warning: str | None

    @property
    def records(self) -> int:
        return sum(one.guess.records for one in self.entities)

    def to_json(self) -> dict[str, Any]:
        return {
            "object": "sync_estimate",
            "entities": {
                one.entity_type.value: {
                    "records": one.guess.records,
                    "low": one.guess.low,
                    "high": one.guess.high,
                    "exact": one.guess.exact,
                    "requests": one.requests,
                    "missing_parents": [parent.value for parent in one.missing_parents],
                }
                for one in self.entities
            },
            "records": self.records,
            "requests": self.requests,
            "requests_between": {"low": self.requests_low, "high": self.requests_high},
            "seconds": {"low": round(self.seconds_low), "high": round(self.seconds_high)},
            "reads": self.reads.to_json(),
            "warning": self.warning,
        }


async def estimate(
    database: Database, actor: Actor, request: StartRequest, *, settings: Settings | None = None
) -> Estimate | Refusal:
    """Takes a handful of reads for each entity type, through the account's own rate limits."""
    if not actor.can(Permission.RUN_SYNC):
        return Refusal("forbidden", "Your role may look at syncs, but not prepare them.", status=403)
    settings = settings or get_settings()
    config = checked(request, now=int(time.time()))
    if isinstance(config, Refusal):
        return config
    async with database.workspace(actor.workspace_id) as session:
        connection = await connections.active(session, actor.workspace_id)
        defaults = await store.defaults(session, actor.workspace_id)
    if connection is None:
        return NOT_CONNECTED
    try:
        sampled = await _sampled(database, actor, connection, config, settings)
    except StripeError as failed:
        return Refusal("stripe_unavailable", f"Stripe did not answer the questions: {failed.message}", status=502)
    async with database.workspace(actor.workspace_id) as session:
        reads = await store.reads_this_month(session, connection.account_id)
        speed = await speed_of(session, connection, settings)
    share = defaults.settings.get("read_warning_share", settings.read_warning_share)
    return _estimate(config, sampled, speed, Reads(0, reads, settings.monthly_reads), warn_share=float(share))


@dataclass(frozen=True, slots=True)
class _Sampled:
    """`cut` is the share of objects that cost a read more: their nested lists are longer than what comes with them."""

    guesses: dict[EntityType, Guess]
    cut: dict[EntityType, float]
    latency: float

    def reads(self, entity: EntityType, records: int, config: RunConfig) -> tuple[int, int]:
        """Of the list, and of objects by themselves: different endpoints, each with a limit of its own."""
        return _requests(records, config), ceil(records * self.cut[entity])


async def _sampled(
    database: Database, actor: Actor, connection: StoredConnection, config: RunConfig, settings: Settings
) -> _Sampled:
    async with open_source(database, actor.workspace_id, connection, settings=settings) as source:
        sampler = _Sampler(source, config, connection.account_created)
        found = await asyncio.gather(*(sampler.of(entity) for entity in config.entity_types))
    return _Sampled(dict(zip(config.entity_types, found, strict=True)), sampler.cut(), sampler.latency)


class _Sampler:
    def __init__(self, source: StripeSource, config: RunConfig, account_created: int | None) -> None:
        self._source = source
        self._config = config
        self._account_created = account_created
        self.latency = 60.0
        self._seen: Counter[EntityType] = Counter()
        self._cut: Counter[EntityType] = Counter()

    def cut(self) -> dict[EntityType, float]:
        return {entity: self._cut[entity] / max(1, self._seen[entity]) for entity in EntityType}

    async def of(self, entity: EntityType) -> Guess:
        start, end = self._config.start, self._config.end
        first = await self._page(entity, end)
        if not first.has_more:
            return Guess(len(first.objects), len(first.objects), len(first.objects))
        until = first.server_date if end is None else min(end, first.server_date)
        newest = _sample(first, max(until, first.objects[0]["created"] + 1))
        begin = start if start is not None else self._account_created or newest.oldest - _YEARS_BACK_SECONDS
        begin = min(begin, newest.oldest)
        step = (newest.oldest - begin) / (_PROBES + 1)
        points = {begin + round(step * (one + 1)) for one in range(_PROBES)} - {begin}
        pages = await asyncio.gather(*(self._page(entity, point) for point in points))
        older = [_sample(page, point) for page, point in zip(pages, points, strict=True)]
        return guess([newest, *older], begin)

    async def _page(self, entity: EntityType, lt: int | None) -> Page:
        began = time.monotonic()
        page = await self._source.list_page(entity, gte=self._config.start, lt=lt)
        # The quickest answer waited least for the rate limit, which is reckoned by itself.
        self.latency = min(self.latency, time.monotonic() - began)
        self._seen[entity] += len(page.objects)
        self._cut[entity] += sum(nested_gap(entity, raw) is not None for raw in page.objects)
        return page


def _sample(page: Page, at: int) -> Sample:
    oldest = page.objects[-1]["created"] if page.objects else at
    return Sample(at, len(page.objects), oldest, not page.has_more)


def _estimate(
    config: RunConfig,
    sampled: _Sampled,
    speed: Speed,
    before: Reads,
    *,
    warn_share: float,
) -> Estimate:
    parents = missing_parents(config.entity_types)
    entities = tuple(
        EntityEstimate(entity, one, sum(sampled.reads(entity, one.records, config)), parents.get(entity, ()))
        for entity, one in sampled.guesses.items()
    )
    requests = sum(one.requests for one in entities)
    lowest = {entity: one.low for entity, one in sampled.guesses.items()}
    highest = {entity: one.high for entity, one in sampled.guesses.items()}
    fewest, most = (
        sum(sum(sampled.reads(entity, count, config)) for entity, count in counts.items())
        for counts in (lowest, highest)
    )
    low = _seconds(lowest, config, sampled, speed)
    high = _seconds(highest, config, sampled, speed)
    reads = replace(before, run=requests)
    return Estimate(entities, requests, fewest, most, low, high * 1.3 + 1, reads, reads.warning(warn_share))


def _requests(records: int, config: RunConfig) -> int:
    """Full pages, and for each window that is read beside the others one that is not."""
    pages = ceil(records / config.batch_size)
    return 1 + pages + (config.concurrent_batches if pages > 1 else 0)


def _seconds(
    records: Mapping[EntityType, int],
    config: RunConfig,
    sampled: _Sampled,
    speed: Speed,
) -> float:
    """Whichever is slowest: the account's limit, one endpoint's, the way there and back, or our own work."""
    requests = [reads for entity, count in records.items() for reads in sampled.reads(entity, count, config)]
    account = sum(requests) / speed.per_second
    endpoint = max(requests) / speed.each_list
    travel = max(requests) * sampled.latency / config.concurrent_batches
    work = sum(records.values()) / _OBJECTS_PER_SECOND
    return max(_LEAST_SECONDS, account, endpoint, travel, work)
