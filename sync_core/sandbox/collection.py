"""The objects of one type in Stripe's order, whether generated, added, changed or deleted since."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from typing import Any

from sync_core.sandbox.blueprint import Json, Source

# A generated object is known by its index, a stored one by its id.
Entry = int | str
# Order of the list, oldest first: created, then a number that never changes.
Key = tuple[int, int]
FOREVER = 1 << 62


@dataclass(frozen=True, slots=True)
class Window:
    """``created`` from ``ge`` to before ``lt``, epoch seconds."""

    ge: int = 0
    lt: int = FOREVER

    def holds(self, second: int) -> bool:
        return self.ge <= second < self.lt


class Collection:
    """Memory grows with what was stored here, never with what is generated."""

    def __init__(self, source: Source | None) -> None:
        self.source = source
        self.stored: dict[str, Json] = {}
        self.stubs: dict[str, Json] = {}
        self.unlisted: set[str] = set()
        self._changed: set[int] = set()
        self._removed: set[int] = set()
        self._added: list[tuple[int, int, str]] = []
        self._keys: dict[str, Key] = {}
        self._size = source.size if source else 0
        self._sequence = self._size

    # -- what is there

    def __len__(self) -> int:
        return self._size - len(self._removed) + len(self._added)

    def key(self, object_id: str) -> Key | None:
        """Where a listed object stands; ``None`` for unknown, hidden and deleted ones."""
        if object_id in self._keys:
            return self._keys[object_id]
        index = self.source.index(object_id) if self.source else None
        if self.source is None or index is None or index in self._removed:
            return None
        return self.source.created(index), index

    def id_of(self, entry: Entry) -> str:
        if isinstance(entry, str):
            return entry
        return self._generated().id(entry)

    def full(self, entry: Entry, *, live: bool) -> Json:
        object_id = self.id_of(entry)
        if object_id in self.stored:
            return self.stored[object_id]
        if isinstance(entry, str):
            raise KeyError(object_id)
        return self._generated().full(entry, live=live)

    def _generated(self) -> Source:
        if self.source is None:
            raise TypeError("Nothing is generated here")
        return self.source

    def text(self, entry: Entry, *, live: bool) -> str | None:
        """The ready-made JSON of a generated object that nobody changed."""
        if isinstance(entry, str) or self.source is None or entry in self._changed:
            return None
        return self.source.render(entry, live=live)

    def text_of(self, object_id: str, *, live: bool) -> str | None:
        """The same by id; hidden objects and stubs have none."""
        index = self.source.index(object_id) if self.source and object_id not in self.stubs else None
        return None if index is None else self.text(index, live=live)

    def on_request(self, entry: Entry, name: str) -> Json | None:
        """What is not in the ready-made JSON of a price."""
        return None if isinstance(entry, str) else self._generated().on_request(entry, name)

    def status(self, entry: Entry) -> str:
        if isinstance(entry, str) or self.source is None or entry in self._changed:
            return str(self.stored[self.id_of(entry)].get("status"))
        return self.source.status(entry)

    def retrieve(self, object_id: str, *, live: bool) -> Json | None:
        """The object in full, hidden ones and the stubs of deleted ones too."""
        if object_id in self.stubs:
            return self.stubs[object_id]
        if object_id in self.stored:
            return self.stored[object_id]
        if self.source is None:
            return None
        index = self.source.index(object_id)
        if index is None:
            return self.source.hidden_by_id(object_id, live=live)
        return self.source.full(index, live=live)

    def hidden(self, *, live: bool) -> Iterator[Json]:
        if self.source:
            yield from self.source.hidden_objects(live=live)
        yield from (self.stored[object_id] for object_id in self.unlisted)

    # -- in order

    def walk(
        self,
        window: Window,
        *,
        below: Key | None = None,
        above: Key | None = None,
        ascending: bool = False,
        keep: Callable[[Entry], bool] | None = None,
    ) -> Iterator[Entry]:
        """Newest first unless ``ascending``; only what stands below and above the given keys, both exclusive."""
        entries = self._merged(self._base(window, below, above), self._extra(window, below, above), ascending=ascending)
        return entries if keep is None else filter(keep, entries)

    def take(self, count: int, window: Window, **options: Any) -> list[Entry]:
        return list(islice(self.walk(window, **options), count))

    def _base(self, window: Window, below: Key | None, above: Key | None) -> range:
        if self.source is None or not self._size:
            return range(0)
        at = self.source.timeline.first_at_or_after
        low, high = at(window.ge), at(window.lt)
        if below is not None:
            high = min(high, below[1] if below[1] < self._size else at(below[0] + 1))
        if above is not None:
            low = max(low, above[1] + 1 if above[1] < self._size else at(above[0] + 1))
        return range(low, high)

    def _extra(self, window: Window, below: Key | None, above: Key | None) -> list[tuple[int, int, str]]:
        low = bisect_left(self._added, (window.ge, -1, ""))
        high = bisect_left(self._added, (window.lt, -1, ""))
        if below is not None:
            high = min(high, bisect_left(self._added, (*below, "")))
        if above is not None:
            low = max(low, bisect_right(self._added, (*above, "\uffff")))
        return self._added[low:high]

    def _merged(self, base: range, extra: list[tuple[int, int, str]], *, ascending: bool) -> Iterator[Entry]:
        order = base if ascending else reversed(base)
        alive: Iterator[int] = (i for i in order if i not in self._removed) if self._removed else iter(order)
        if not extra or self.source is None:
            yield from alive
            yield from (object_id for _, _, object_id in (extra if ascending else reversed(extra)))
            return
        created = self.source.created
        mine: Iterator[tuple[int, int, Entry]] = ((created(i), i, i) for i in alive)
        theirs: Iterator[tuple[int, int, Entry]] = iter(extra if ascending else reversed(extra))
        for _, _, entry in merge(mine, theirs, key=lambda item: item[:2], reverse=not ascending):
            yield entry

    # -- changes

    def add(self, body: Json, *, listed: bool = True) -> None:
        object_id = str(body["id"])
        self.stored[object_id] = body
        if not listed:
            self.unlisted.add(object_id)
            return
        key = int(body["created"]), self._sequence
        self._sequence += 1
        self._keys[object_id] = key
        insort(self._added, (*key, object_id))

    def replace(self, object_id: str, body: Json) -> None:
        """The object's new state; its place in the list stays."""
        self.stored[object_id] = body
        if self.source and (index := self.source.index(object_id)) is not None:
            self._changed.add(index)

    def remove(self, object_id: str, stub: Json) -> None:
        self.stubs[object_id] = stub
        self.stored.pop(object_id, None)
        if (key := self._keys.pop(object_id, None)) is not None:
            del self._added[bisect_left(self._added, (*key, object_id))]
        elif self.source and (index := self.source.index(object_id)) is not None:
            self._removed.add(index)
        self.unlisted.discard(object_id)
