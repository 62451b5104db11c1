"""Reading an entity type's range: windows serially inside, several at once, cut anew by time wherever there is much left.

A cursor belongs to its window and to no other. When a dense window is cut, it closes where it stands and *new* windows cover what is
left, from the second of the oldest object seen on: that second is asked again, because a page may end among equals.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import replace
from uuid import UUID

from sync_core.domain.vocabulary import EntityType, Step, WindowStatus
from sync_core.domain.windows import Window, estimate_remaining, restart_from, split
from sync_core.engine.context import Run
from sync_core.engine.embedded import Embedded
from sync_core.engine.failpoints import hit
from sync_core.engine.landing import Lander
from sync_core.engine.staging import stage_page
from sync_core.engine.tasks import ended
from sync_core.errors import FatalRunError
from sync_core.store.landing import Landing, StagedRow, WindowRow, new_window
from sync_core.stripe_source import CursorGone, Page, PermissionMissing

_WORTH_A_WINDOW_PAGES = 6
# Their pages bring requests of their own, for long lists of items and lines, so that one window is slow and one more costs little.
_WORTH_A_NESTED_WINDOW_PAGES = 2
_NESTED = (EntityType.SUBSCRIPTIONS, EntityType.INVOICES)
_STUCK_AFTER = 5
# 2011, Stripe's first year: where cuts are put when the account's own first second is not known. Older objects are read all the same.
_FIRST_YEAR = 1_293_840_000


class EntityFetch:
    """Reads all open windows of one entity type to their end."""

    def __init__(
        self, run: Run, lander: Lander, entity: EntityType, windows: Iterable[WindowRow], embedded: Embedded
    ) -> None:
        self._run = run
        self._lander = lander
        self._embedded = embedded
        self._entity = entity
        self._waiting = deque(sorted(windows, key=lambda window: -window.gte))
        self._active: set[asyncio.Task[None]] = set()
        self._limit = run.row.config.concurrent_batches
        self._page_size = run.row.config.batch_size
        self._restarts: Counter[tuple[int, int]] = Counter()
        self._left: dict[UUID, float] = {}
        self._worth = _WORTH_A_NESTED_WINDOW_PAGES if entity in _NESTED else _WORTH_A_WINDOW_PAGES
        self._floor = run.row.connection.account_created or _FIRST_YEAR

    @property
    def expected_more(self) -> int:
        """Objects thought to be left, from the density of what was read. It steers the screen and proves nothing."""
        return int(sum(self._left.values()))

    async def work(self) -> None:
        try:
            while self._waiting or self._active:
                while self._waiting and len(self._active) < self._limit:
                    self._active.add(asyncio.create_task(self._read(self._waiting.popleft())))
                done, self._active = await asyncio.wait(self._active, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            await ended(self._active)

    async def _read(self, window: WindowRow) -> None:
        # What another worker read of the window says nothing of the stretch that this one reads.
        newest, earlier = None, window.objects
        while window.status is WindowStatus.OPEN:
            page = await self._page(window)
            hit("fetch.page_read")
            if page is None or (page.has_more and _last_id(page) in (None, window.cursor)):
                await self._start_over(window)
                return
            rows = await stage_page(self._run.source, self._entity, page, self._run.turn)
            newest = newest if newest is not None else _newest(rows)
            window = await self._advance(window, page, rows, newest, earlier)

    async def _page(self, window: WindowRow) -> Page | None:
        """None when the object that the cursor names is gone."""
        embed = self._embedded.of
        try:
            page = await self._run.source.list_page(
                self._entity,
                limit=self._page_size,
                gte=window.gte,
                lt=window.lt,
                starting_after=window.cursor,
                embed=embed,
            )
        except CursorGone:
            return None
        except PermissionMissing:
            if not embed:
                raise
            # The key may read these objects perhaps, and not what they name.
            self._embedded.refuse()
            return await self._page(window)
        self._embedded.keep(self._entity, page)
        return page

    async def _advance(
        self, window: WindowRow, page: Page, rows: list[StagedRow], newest: int | None, earlier: int
    ) -> WindowRow:
        seen = [row.created for row in rows if row.created is not None]
        if window.oldest_seen is not None:
            seen.append(window.oldest_seen)
        after = replace(
            window,
            cursor=_last_id(page) or window.cursor,
            oldest_seen=min(seen, default=None),
            pages=window.pages + 1,
            objects=window.objects + len(rows),
            status=WindowStatus.OPEN if page.has_more else WindowStatus.DONE,
        )
        opened = self._cut(after, newest, earlier)
        if opened:
            self._run.steps.begin(Step.WINDOWS)
            after = replace(after, status=WindowStatus.SPLIT)
        await self._lander.submit(Landing(rows=rows, windows=[after], opened=opened, requests={self._entity: 1}))
        self._waiting.extend(opened)
        if after.status is not WindowStatus.OPEN:
            self._left.pop(window.id, None)
        return after

    def _cut(self, window: WindowRow, newest: int | None, earlier: int) -> list[WindowRow]:
        """New windows for what is left, when there is enough of it and hands are free."""
        oldest = window.oldest_seen
        if window.status is not WindowStatus.OPEN or oldest is None or newest is None:
            return []
        bounds = Window(window.gte, window.lt)
        inhabited = Window(min(max(window.gte, self._floor), window.lt - 1), window.lt)
        left = estimate_remaining(inhabited, window.objects - earlier, newest, oldest)
        self._left[window.id] = left
        free = self._limit - len(self._active) - len(self._waiting)
        parts = min(max(free, 0) + 1, int(left / self._page_size // self._worth))
        if parts < 2 or restart_from(bounds, oldest).seconds < 2 or oldest >= newest:
            return []
        cuts = split(bounds, oldest, parts, lambda second: float(max(0, second - self._floor)))
        # Each reaches one second into its newer neighbour: the seconds where two readings meet are asked twice, at no request more.
        opened = [new_window(self._entity, part.gte, min(part.lt + 1, cuts[0].lt), window.id) for part in cuts]
        self._left |= {part.id: left / len(opened) for part in opened}
        return opened

    async def _start_over(self, window: WindowRow) -> None:
        """The cursor's object is gone, or Stripe lost its place: what is left is asked again by time, from the top."""
        self._restarts[window.gte, window.lt] += 1
        if self._restarts[window.gte, window.lt] > _STUCK_AFTER:
            raise FatalRunError(
                f"Stripe does not list the {self._entity.value} created in [{window.gte}, {window.lt}) to their end",
                code="unreadable_window",
            )
        oldest = window.lt - 1 if window.oldest_seen is None else window.oldest_seen
        left = restart_from(Window(window.gte, window.lt), oldest)
        parts = [left]
        if left.lt == window.lt and left.seconds > 1:
            # No second was finished: the crowded one is read alone.
            parts = [Window(left.lt - 1, left.lt), Window(left.gte, left.lt - 1)]
        opened = [new_window(self._entity, part.gte, part.lt, window.id) for part in parts]
        closed = replace(window, status=WindowStatus.SPLIT)
        await self._lander.submit(Landing(windows=[closed], opened=opened, requests={self._entity: 1}))
        self._waiting.extend(opened)


def _last_id(page: Page) -> str | None:
    """The last object that can serve as a cursor: one without an id can't."""
    return next((found for raw in reversed(page.objects) if isinstance(found := raw.get("id"), str) and found), None)


def _newest(rows: list[StagedRow]) -> int | None:
    return max((row.created for row in rows if row.created is not None), default=None)
