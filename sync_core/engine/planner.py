"""Plan and apply: batch by batch, what is staged against what is stored, by the pure rules of `domain.merge`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.vocabulary import EntityType, Step
from sync_core.engine.context import Run, log
from sync_core.engine.deciding import Decider
from sync_core.engine.failpoints import hit
from sync_core.engine.tasks import either, ended, together
from sync_core.errors import TransientError
from sync_core.store.patience import TOO_LARGE, heed_cancel
from sync_core.store.planning import BatchMoved, Candidate, Plan, read_batch, write_plan
from sync_core.store.related import claimed_records
from sync_core.store.run_state import read_entities

BATCH = 1_000
_MOST_MOVES = 30
_END = 2**62
_NOWHERE = (-1, -1, -1)

_RUN_TABLES = ("payment_sync_staged_objects", "payment_sync_plan_items")
_UNFIT = (psycopg.DataError, psycopg.IntegrityError, TOO_LARGE)


@dataclass(slots=True)
class _Writing:
    """A batch on its way into the database."""

    plan: Plan
    candidates: list[Candidate]
    task: asyncio.Task[None]

    def meets(self, others: Sequence[Candidate]) -> bool:
        """Whether one of the others is, or has the record of, one of its own. Beside it they could hold the row that it needs, and
        wait for it with that.
        """
        ids = {one.external_id for one in self.candidates}
        records = {one.record_id for one in self.candidates if one.record_id is not None}
        return any(one.external_id in ids or one.record_id in records for one in others)

    async def is_committed(self) -> bool:
        """Known when it has ended."""
        await asyncio.wait([self.task])
        return not self.task.cancelled() and self.task.exception() is None


class Planner:
    """Plans one entity type from its watermark on. In a real run each batch is applied as it is planned.

    Up to `plan_upto` the queue is that of the plan which is applied, all of it or `only` some; what comes after it is the run's own.
    """

    def __init__(
        self,
        run: Run,
        entity: EntityType,
        planned_seq: int,
        planned: int = 0,
        *,
        plan_upto: int = 0,
        only: Sequence[str] | None = None,
    ) -> None:
        self._run = run
        self._entity = entity
        # The watermark, and the place up to which batches were begun.
        self._seq = self._head = planned_seq
        self._planned = planned
        self._size = BATCH
        self._look_at = planned + 1
        self._moves = 0
        self._claimed: set[UUID] | None = None
        self._decider = Decider(run, entity)
        self._plan_upto = plan_upto
        self._only = only
        self._writing: _Writing | None = None
        self._read_ahead: tuple[tuple[int, int, int], list[Candidate]] = (_NOWHERE, [])

    @property
    def planned_seq(self) -> int:
        return self._seq

    async def work(self, more: asyncio.Event, complete: asyncio.Event, landed_seq: Callable[[], int]) -> None:
        """Plan while objects land, until `complete` says that no more will; then to the end. `more` wakes it."""
        while not complete.is_set():
            more.clear()
            # Places are gone without an object in them when one came twice: a full count is no promise of a batch.
            left = landed_seq() - self._seq
            if left >= BATCH and await self.batch(ahead=left >= 2 * BATCH):
                continue
            # What was read ahead grows old while there is nothing to do.
            self._read_ahead = _NOWHERE, []
            await either(more, complete)
        await self.drain()

    async def drain(self, until: int = _END) -> None:
        """To the end of the queue, or to this place in it. Two batches are written side by side; the second commits after the first."""
        try:
            whole = False
            while not whole:
                while self._head < until and await self._step(until, ahead=True):
                    pass
                whole = await self._see_all_in()
        finally:
            await self._drop()

    async def batch(self, until: int = _END, *, ahead: bool = False) -> int:
        """Plan the next batch in one transaction; the number of objects it held, 0 when there is none up to `until`.

        `ahead` reads the one after it meanwhile. What this one writes does not bear on that: a record is written on condition of the
        version that was read, and whom a batch has linked is known to the next one.
        """
        try:
            count = await self._step(until, ahead=ahead)
            await self._see_all_in()
        finally:
            await self._drop()
        return count

    async def _step(self, until: int, *, ahead: bool) -> int:
        """Begin to write the next batch, and see the one before it in; the number of objects that the next one holds. One that can't be
        written beside the one before is read anew when that is in.
        """
        if self._claimed is None:
            self._claimed = await self._run.write(
                lambda session: claimed_records(session, self._run.scope, self._entity)
            )
        candidates = await self._next(until)
        if not candidates:
            return 0
        if self._writing is not None and self._writing.meets(candidates):
            await self._see_in(self._writing)
            return len(candidates)
        before, begun = self._writing, self._begin(candidates, self._writing)
        self._writing = begun
        is_full = len(candidates) == self._size == BATCH
        await together(self._see_in(before), *([self._look(until)] if ahead and is_full else []))
        return len(begun.plan.items)

    def _begin(self, candidates: list[Candidate], before: _Writing | None) -> _Writing:
        assert self._claimed is not None
        self._run.steps.begin(Step.DIFF)
        plan = self._decider.plan(candidates, self._head, self._claimed)
        scope = self._run.plan_scope if candidates[0].seq <= self._plan_upto else self._run.scope
        self._head = plan.upto

        async def write(session: AsyncSession) -> None:
            hit("plan.before_write")
            if plan.writes and not scope.dry_run:
                self._run.steps.begin(Step.WRITE)
            await write_plan(session, scope, self._entity, plan, behind=None if before is None else before.is_committed)
            hit("plan.before_commit")

        return _Writing(plan, candidates, asyncio.create_task(self._run.write(write, by_key=True)))

    async def _see_all_in(self) -> bool:
        """Wait for what is on its way; whether it is in."""
        last = self._writing
        await self._see_in(last)
        return last is None or self._seq >= last.plan.upto

    async def _see_in(self, writing: _Writing | None) -> None:
        """Wait for a batch. If it does not go in, neither does the one behind it, and both are planned anew."""
        if writing is None:
            return
        try:
            await writing.task
        except BatchMoved as moved:
            await self._start_over()
            self._yield(moved)
            return
        except (*_UNFIT, DBAPIError) as unfit:
            await self._start_over()
            self._put_aside(writing.candidates, unfit)
            return
        if self._writing is writing:
            self._writing = None
        hit("plan.after_commit")
        self._moves = 0
        self._seq, self._size = writing.plan.upto, min(BATCH, self._size * 2)
        self._planned += len(writing.plan.items)
        if self._planned >= self._look_at:
            await self._refresh_statistics()
            self._look_at = self._planned * 8
        self._run.tally.planned += len(writing.plan.items)

    async def _start_over(self) -> None:
        """From the watermark, as the database has it."""
        if self._writing is not None:
            await self._writing.is_committed()
            self._writing = None
        entities = await self._run.write(
            lambda session: read_entities(session, self._run.held.workspace_id, self._run.held.session_id)
        )
        self._seq = self._head = entities[self._entity].planned_seq
        self._planned = entities[self._entity].planned
        self._claimed = None

    async def _drop(self) -> None:
        """Nothing is left on its way when an error or a cancel ends the planning."""
        if self._writing is not None:
            await ended([self._writing.task])
            self._writing = None

    async def _refresh_statistics(self) -> None:
        tables = [self._entity.value, *_RUN_TABLES]
        try:
            await self._run.database.refresh_statistics(tables, self._planned)
        except DBAPIError as failed:
            heed_cancel()
            # They make the run quick, not right.
            log.warning("statistics.not_refreshed", error=str(failed.orig))

    async def _next(self, until: int) -> list[Candidate]:
        place, found = self._read_ahead
        self._read_ahead = _NOWHERE, []
        return found if place == (self._head, until, self._size) else await self._read(self._head, until)

    async def _look(self, until: int) -> None:
        after = self._head
        self._read_ahead = (after, until, self._size), await self._read(after, until)

    async def _read(self, after: int, until: int) -> list[Candidate]:
        run, entity, end, size = self._run, self._entity, self._plan_upto, self._size

        async def read(session: AsyncSession) -> list[Candidate]:
            found = []
            if after < end:
                upto = min(until, end)
                found = await read_batch(
                    session, run.plan_scope, entity, after=after, until=upto, size=size, only=self._only
                )
            return found or await read_batch(session, run.scope, entity, after=max(after, end), until=until, size=size)

        return await self._run.write(read, by_key=True)

    def _yield(self, moved: BatchMoved) -> None:
        """Whoever writes the same records is met less often with a smaller batch; one that moves for ever is no reason to go on."""
        self._moves += 1
        if self._moves > _MOST_MOVES:
            raise TransientError(f"records were changed as fast as they were planned: {moved}") from moved
        self._size = max(1, self._size // 2)

    def _put_aside(self, candidates: list[Candidate], unfit: Exception) -> None:
        """A batch that the database refuses is halved until the one that does not fit stands alone; it becomes an error."""
        cause = unfit.orig if isinstance(unfit, DBAPIError) else unfit
        if not isinstance(cause, _UNFIT):
            raise unfit
        if len(candidates) > 1:
            self._size = max(1, min(self._size, len(candidates)) // 2)
            return
        if candidates[0].external_id in self._decider.unfit:
            raise unfit
        self._decider.unfit[candidates[0].external_id] = str(cause).splitlines()[0]
