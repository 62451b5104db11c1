"""The run's one writer of staged objects: pages of all windows that wait are committed together, two such landings at once, in order."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import ORDER
from sync_core.domain.vocabulary import EntityType, Step
from sync_core.engine.context import Run
from sync_core.engine.failpoints import hit
from sync_core.engine.tasks import together
from sync_core.store.landing import Landing, StagedRow, WindowRow, land, landing_table
from sync_core.store.recognition import recognise

_ROWS_PER_COMMIT = 2_000
# Asking in vain costs a look-up for each object: after an answer with less than this share of known ones, some landings go unasked.
_WORTH_ASKING = 0.1
_UNASKED = 8
_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class _Submitted:
    landing: Landing
    done: asyncio.Future[None]


class Lander:
    """`submit` returns when what it was given is durable. `landed` tells planners that there is more to do."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._seq = dict.fromkeys(EntityType, 0)
        self._durable = dict.fromkeys(EntityType, 0)
        # What a dry run stages is its plan, and a limit counts what is planned: there, everything lands.
        self._recognises = run.plans_all and not run.row.config.dry_run
        self._unasked = dict.fromkeys(EntityType, 0)
        self._queue: list[tuple[int, int, _Submitted]] = []
        self._waiting_rows = 0
        self._submitted = 0
        self._wake = asyncio.Event()
        self._under_way = 0
        self._last: asyncio.Future[None] | None = None
        self.landed = {entity: asyncio.Event() for entity in EntityType}

    def landed_seq(self, entity: EntityType) -> int:
        return self._seq[entity]

    def durable_seq(self, entity: EntityType) -> int:
        """The last place whose object is committed; `landed_seq` counts those on their way too."""
        return self._durable[entity]

    def resume(self, landed_seq: Mapping[EntityType, int]) -> None:
        """Go on numbering after what landed before."""
        self._seq, self._durable = dict(landed_seq), {**self._durable, **landed_seq}

    def reserve(self, entity: EntityType, count: int) -> int:
        """Places for staged objects that are to be planned again; the one before the first of them."""
        before = self._seq[entity]
        self._seq[entity] += count
        return before

    async def submit(self, landing: Landing) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._submitted += 1
        self._waiting_rows += len(landing.rows)
        heapq.heappush(self._queue, (_rank(landing), self._submitted, _Submitted(landing, done)))
        self._wake.set()
        await done

    async def work(self) -> None:
        """Runs until cancelled. An error ends the run; those who wait for it are cancelled with it."""
        await together(*(self._land() for _ in range(_AT_ONCE)))

    async def _land(self) -> None:
        """One landing after another. What has come meanwhile goes at once, without a turn of the loop in between."""
        while True:
            while not self._has_room():
                self._wake.clear()
                await self._wake.wait()
            before, self._last = self._last, asyncio.get_running_loop().create_future()
            mine = self._last
            self._under_way += 1
            await self._commit(self._take(), before)
            self._under_way -= 1
            mine.set_result(None)

    def _has_room(self) -> bool:
        """A landing beside another is a whole one: small ones would be many commits."""
        return bool(self._queue) and (not self._under_way or self._waiting_rows >= _ROWS_PER_COMMIT)

    def _take(self) -> list[_Submitted]:
        taken: list[_Submitted] = []
        rows = 0
        while self._queue and rows < _ROWS_PER_COMMIT:
            *_, one = heapq.heappop(self._queue)
            taken.append(one)
            rows += len(one.landing.rows)
        self._waiting_rows -= rows
        return taken

    async def _commit(self, taken: list[_Submitted], before: asyncio.Future[None] | None) -> None:
        """Goes in when the one `before` is in: until then it is only brought to the database."""
        landing = _merged([one.landing for one in taken])
        for row in landing.rows:
            row.seq = self.reserve(row.entity, 1) + 1
        landing.upto = {row.entity: self._seq[row.entity] for row in landing.rows}
        held = self._run.held

        async def behind() -> None:
            if before is not None:
                await asyncio.shield(before)

        async def write(session: AsyncSession) -> Landing:
            left = await self._leave_known(session, landing, behind)
            await land(session, held.workspace_id, held.session_id, held.fence, left, behind=behind)
            hit("land.before_commit")
            return left

        left = await self._run.write(write, by_key=True, prepares=[landing_table(self._run.role)])
        self._durable |= landing.upto
        hit("land.after_commit")
        self._run.tally.landed += len(landing.rows)
        self._run.tally.planned += sum(left.known.values())
        for entity in {row.entity for row in left.rows}:
            self.landed[entity].set()
        for one in taken:
            if not one.done.done():
                one.done.set_result(None)

    async def _leave_known(
        self, session: AsyncSession, landing: Landing, behind: Callable[[], Awaitable[None]]
    ) -> Landing:
        """The landing without the objects that the workspace has already, just as they came."""
        asked: dict[EntityType, list[StagedRow]] = {}
        for row in landing.rows if self._recognises else ():
            if row.digest is not None and not row.related:
                asked.setdefault(row.entity, []).append(row)
        rows, known = landing.rows, {}
        for entity, some in asked.items():
            if self._unasked[entity]:
                self._unasked[entity] -= 1
                continue
            # What was staged before is left to its plan.
            await behind()
            self._run.steps.begin(Step.DIFF)
            known[entity], new = await recognise(session, self._run.scope, entity, some)
            if len(new) > len(some) * (1 - _WORTH_ASKING):
                self._unasked[entity] = _UNASKED
            gone = {row.external_id for row in some} - new
            rows = [row for row in rows if row.entity is not entity or row.external_id not in gone]
        return replace(landing, rows=rows, known=known)


def _rank(landing: Landing) -> int:
    """Where landings queue up, parents come first: their children can be planned when they are all there."""
    return min((ORDER.index(entity) for entity in {row.entity for row in landing.rows}), default=0)


def _merged(landings: list[Landing]) -> Landing:
    """One landing of many. Of an object that came twice, the newer view stays: a statement may touch a row once only."""
    newest: dict[tuple[EntityType, str], StagedRow] = {}
    windows: dict[object, WindowRow] = {}
    merged = Landing()
    for landing in landings:
        for row in landing.rows:
            known = newest.get((row.entity, row.external_id))
            if known is None or known.observed_at <= row.observed_at:
                newest[row.entity, row.external_id] = row
        windows |= {window.id: window for window in landing.windows}
        merged.opened += landing.opened
        for entity, count in landing.requests.items():
            merged.requests[entity] = merged.requests.get(entity, 0) + count
    merged.rows = list(newest.values())
    merged.windows = list(windows.values())
    return merged
