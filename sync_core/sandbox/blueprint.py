"""What a generated account is made of: sizes, ids and times, and the base of what makes its objects."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from sync_core.sandbox.ids import LONG, SHORT, IdCoder
from sync_core.sandbox.timeline import Timeline

Json = dict[str, Any]
DAY = 86_400
SPAN_DAYS = 730
TEST_CLOCKS = 6
DEFAULT_SEED = 7
# Fixed, so that a sandbox started again tomorrow holds the same account: 2026-11-01 UTC.
DEFAULT_UNTIL = 1_793_491_200
# The first and the last day of the two years on which objects of a type are made.
_DAYS = {
    "customers": (0, SPAN_DAYS),
    "products": (0, 400),
    "prices": (2, 420),
    "subscriptions": (20, SPAN_DAYS),
    "invoices": (20, SPAN_DAYS),
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many objects of each type a complete sync finds; hidden and deleted ones come on top."""

    customers: int = 260
    products: int = 24
    prices: int = 60
    subscriptions: int = 180
    invoices: int = 420


@dataclass(frozen=True)
class Blueprint:
    """``until`` (epoch seconds) is the end of the account's two years."""

    seed: str = str(DEFAULT_SEED)
    sizes: Sizes = field(default_factory=Sizes)
    until: int = DEFAULT_UNTIL

    @property
    def start(self) -> int:
        return self.until - SPAN_DAYS * DAY

    def short_ids(self, prefix: str, created: Callable[[int], int], *, space: str = "") -> IdCoder:
        return IdCoder(prefix, f"{self.seed}{space}", created, length=SHORT)

    def long_ids(self, prefix: str, created: Callable[[int], int], *, space: str = "") -> IdCoder:
        return IdCoder(prefix, f"{self.seed}{space}", created, length=LONG)

    def timeline(self, entity: str) -> Timeline:
        first, last = _DAYS[entity]
        count: int = getattr(self.sizes, entity)
        return Timeline(count, self.start + first * DAY, self.start + last * DAY, f"{self.seed}/{entity}")

    def salt(self, entity: str) -> int:
        return sum(ord(letter) * 31**place for place, letter in enumerate(f"{entity}{self.seed}"[:12]))


def mix(index: int, salt: int) -> int:
    """32 well mixed bits for ``index``: the only chance there is in an object."""
    x = ((index + salt) * 0x9E3779B1) & 0xFFFFFFFF
    x = ((x ^ (x >> 16)) * 0x85EBCA6B) & 0xFFFFFFFF
    return x ^ (x >> 13)


class Source(ABC):
    """The generated objects of one type. Listed ones have indexes, oldest first; hidden ones answer by id only."""

    def __init__(self, coder: IdCoder, hidden_coder: IdCoder, timeline: Timeline, salt: int) -> None:
        self.coder = coder
        self.hidden_coder = hidden_coder
        self.timeline = timeline
        self.salt = salt
        self.size = timeline.count
        self.created = timeline.created

    def id(self, index: int) -> str:
        return self.coder.encode(index)

    def index(self, object_id: str) -> int | None:
        return self.coder.decode(object_id, self.size)

    @abstractmethod
    def render(self, index: int, *, live: bool) -> str:
        """The object as a list of the newest version shows it, in JSON."""

    def on_request(self, index: int, name: str) -> Json | None:
        """What comes only on request; only prices have such."""
        del index, name
        return None

    def full(self, index: int, *, live: bool) -> Json:
        """The object with everything that expansions and nested lists can add."""
        loaded: Json = orjson.loads(self.render(index, live=live))
        return loaded

    @property
    @abstractmethod
    def hidden_size(self) -> int: ...

    @abstractmethod
    def hidden(self, index: int, *, live: bool) -> Json:
        """An object that lists leave out, or the stub of a deleted one."""

    def hidden_by_id(self, object_id: str, *, live: bool) -> Json | None:
        index = self.hidden_coder.decode(object_id, self.hidden_size)
        return None if index is None else self.hidden(index, live=live)

    def hidden_objects(self, *, live: bool) -> Iterator[Json]:
        return (self.hidden(index, live=live) for index in range(self.hidden_size))

    def status(self, index: int) -> str:
        """What the default list and the ``status`` filter go by; only subscriptions differ."""
        del index
        return "active"
