"""Stripe is asked again: at both ends of what was read, where two readings met, and at places taken by lot. What it lists must have landed.

The fetch proves itself only as far as its own bookkeeping goes; this does not look at it except to know where to ask. It costs one
request for each place, and at most one in a hundred of the reading's. An object that had not landed is late: it lands now, and the pages
around it are read on until one holds nothing new.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sync_core.domain.mapping import known_as
from sync_core.domain.vocabulary import EntityType, WindowStatus
from sync_core.domain.windows import Window, uncovered
from sync_core.engine.context import Run
from sync_core.engine.failpoints import hit
from sync_core.engine.landing import Lander
from sync_core.engine.staging import stage_page
from sync_core.engine.tasks import together
from sync_core.errors import FatalRunError
from sync_core.store.landing import Landing, WindowRow
from sync_core.store.related import unstaged
from sync_core.stripe_source import CursorGone, Page

_LOTS = 2
_PAGES_A_LOT = 100
_PATIENCE = 5


@dataclass(slots=True)
class Asked:
    """`compared` ids were listed again by so many `requests`; those in `late` had not landed before."""

    requests: int = 0
    compared: int = 0
    late: set[str] = field(default_factory=set)

    def to_json(self) -> dict[str, Any]:
        return {
            "asked": self.requests,
            "compared": self.compared,
            "late": sorted(self.late)[:100],
            "late_count": len(self.late),
        }


def seams(windows: Sequence[WindowRow]) -> list[int]:
    """The seconds at which one reading ended and another began: both have read them."""
    return sorted({window.lt - 1 for window in windows if window.parent_id is not None})


def unread(windows: Sequence[WindowRow], start: int, ceiling: int) -> tuple[Window, ...]:
    """Parts of the range that no window has read, nor is there to read. Of one that was split only what is newer than it came to counts."""
    if start >= ceiling:
        return ()
    spans = [(_bottom(window), window.lt) for window in windows]
    return uncovered(Window(start, ceiling), [Window(gte, lt) for gte, lt in spans if gte < lt])


def _bottom(window: WindowRow) -> int:
    if window.status is not WindowStatus.SPLIT:
        return window.gte
    return window.lt if window.oldest_seen is None else window.oldest_seen + 1


def places(windows: Sequence[WindowRow], ceiling: int, lot: random.Random) -> list[int]:
    """The seconds to ask at, newest first. What fits on one page is asked once, from the top."""
    pages = sum(window.pages for window in windows)
    seen = [window.oldest_seen for window in windows if window.oldest_seen is not None]
    if pages <= 1 or not seen:
        return [ceiling - 1]
    left = _LOTS + pages // _PAGES_A_LOT
    met = seams(windows)
    chosen = {ceiling - 1, min(seen), *(met if len(met) <= left else lot.sample(met, left))}
    read = [window for window in windows if window.oldest_seen is not None and window.pages]
    for window in lot.choices(read, weights=[one.pages for one in read], k=max(0, left - len(met))):
        assert window.oldest_seen is not None
        chosen.add(lot.randint(min(window.oldest_seen, window.lt - 1), window.lt - 1))
    return sorted(chosen, reverse=True)


class Proof:
    """Asks for one entity type."""

    def __init__(self, run: Run, lander: Lander, entity: EntityType, start: int, ceiling: int) -> None:
        self._run = run
        self._lander = lander
        self._entity = entity
        self._start = start
        self._ceiling = ceiling
        self._asked = Asked()

    async def work(self, windows: Sequence[WindowRow]) -> Asked:
        if windows:
            lot = random.Random(f"{self._run.held.session_id}/{self._entity}")  # noqa: S311 - replayable, and no secret
            chosen = places(windows, self._ceiling, lot)
            await together(*(self._ask(second) for second in chosen))
        return self._asked

    async def _ask(self, second: int) -> None:
        """The whole of a second and what else its pages hold; further, both ways, while they hold what is late."""
        first = page = await self._page(second + 1)
        late = began_late = await self._compare(page)
        while page.has_more and (late or _created(page.objects[-1]) == second):
            page = await self._page(second + 1, starting_after=_ids(page)[-1])
            late = await self._compare(page)
        page, late = first, began_late
        while late:
            page = await self._page(self._ceiling, ending_before=_ids(page)[0])
            late = await self._compare(page)

    async def _page(self, lt: int, *, ending_before: str | None = None, starting_after: str | None = None) -> Page:
        """One page. One whose cursor's object is gone is asked by time; what lies between is found by its ids."""
        for _ in range(_PATIENCE):
            self._asked.requests += 1
            try:
                page = await self._run.source.list_page(
                    self._entity,
                    limit=self._run.row.config.batch_size,
                    gte=self._start,
                    lt=lt,
                    ending_before=ending_before,
                    starting_after=starting_after,
                )
            except CursorGone:
                ending_before = starting_after = None
                continue
            if _ids(page) or not page.has_more:
                return page
        raise FatalRunError(
            f"Stripe does not list the {self._entity.value} created before {lt} to their end", code="unreadable_window"
        )

    async def _compare(self, page: Page) -> bool:
        """Whether anything on the page was late; it has landed then."""
        run, named = self._run, {known_as(raw["id"]): raw for raw in page.objects if _has_id(raw)}
        self._asked.compared += len(named)
        unknown = set(await run.write(lambda session: unstaged(session, run.scope, self._entity, list(named))))
        objects = [raw for name, raw in named.items() if name in unknown]
        rows = await stage_page(run.source, self._entity, replace(page, objects=objects))
        hit("proof.before_landing")
        await self._lander.submit(Landing(rows=rows, requests={self._entity: 1}))
        self._asked.late |= unknown
        return bool(unknown)


def _ids(page: Page) -> list[str]:
    return [raw["id"] for raw in page.objects if _has_id(raw)]


def _has_id(raw: dict[str, Any]) -> bool:
    found = raw.get("id")
    return isinstance(found, str) and bool(found)


def _created(raw: dict[str, Any]) -> Any:
    return raw.get("created")
