"""The five phases and how they overlap.

Entity types without parents are planned and applied while they are still being fetched; each of the others too, once those above it are
listed, as far as the parents that no list brought are there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import ORDER, PARENTS
from sync_core.domain.vocabulary import EntityType, Phase, Step, TaskKind, WindowStatus
from sync_core.engine.context import Run, log
from sync_core.engine.embedded import Embedded
from sync_core.engine.fetch import EntityFetch
from sync_core.engine.landing import Lander
from sync_core.engine.planner import BATCH, Planner
from sync_core.engine.preflight import preflight
from sync_core.engine.proof import unread
from sync_core.engine.related import Related
from sync_core.engine.retry import Retry
from sync_core.engine.tasks import together
from sync_core.engine.verify import Verify
from sync_core.store import run_state
from sync_core.store.canary import first_changes
from sync_core.store.landing import Landing, WindowRow, new_window, read_windows
from sync_core.store.plan_facts import keep_hash
from sync_core.store.related import plan_ends
from sync_core.store.run_state import EntityRow
from sync_core.store.runs import Task

_LOOK_AGAIN_SECONDS = 0.25


class Phases:
    def __init__(self, run: Run) -> None:
        self._run = run
        self.lander = Lander(run)
        self._fetches: dict[EntityType, EntityFetch] = {}
        self._listed = {entity: asyncio.Event() for entity in ORDER}
        self._ripe = {entity: asyncio.Event() for entity in ORDER}
        # For each entity type, how far its queue and those above it go that are closed in themselves: everything in them has its parents in
        # them, or they are not to be had.
        self._closed = {entity: dict.fromkeys(ORDER, 0) for entity in ORDER}
        self._grown = {entity: asyncio.Event() for entity in ORDER}
        self._complete = asyncio.Event()
        self._looking = asyncio.Lock()
        self._planning = {entity: asyncio.Lock() for entity in ORDER}

    def estimates(self) -> dict[str, int]:
        """Objects expected, by entity type, while they are fetched."""
        landed = self.lander.landed_seq
        return {entity.value: landed(entity) + fetch.expected_more for entity, fetch in self._fetches.items()}

    async def work(self) -> None:
        run, held = self._run, self._run.held
        run.steps.begin(Step.PREFLIGHT)
        await run.write(lambda session: run_state.begin(session, held))
        entities, windows = await run.write(self._read)
        ends = await self._plan_ends()
        self.lander.resume({one: max(row.landed_seq, row.planned_seq, ends[one]) for one, row in entities.items()})
        if not run.is_applied_plan and run.row.ceiling is None:
            windows = await preflight(run)
        some = await self._canary()
        planners = {
            entity: Planner(
                run,
                entity,
                row.planned_seq,
                row.planned,
                plan_upto=ends[entity],
                only=None if some is None else some[entity],
            )
            for entity, row in entities.items()
        }
        run.steps.end(Step.PREFLIGHT)
        await self._enter(Phase.FETCH, ORDER)
        verify = Verify(run, self.lander, planners)
        await together(self._fetch(entities, windows, verify), self._plan(planners))
        run.steps.end(Step.DIFF, Step.WRITE, Step.RECONCILE)
        await verify.work()
        run.steps.end(*Step)
        if run.row.config.dry_run:
            await run.write(lambda session: keep_hash(session, held))

    async def _canary(self) -> dict[EntityType, list[str]] | None:
        """What a run of the first few is about; None for one of everything."""
        run, limit = self._run, self._run.row.config.limit
        if limit is None or not run.is_applied_plan:
            return None
        return await run.write(lambda session: first_changes(session, run.plan_scope, limit))

    async def _read(self, session: AsyncSession) -> tuple[dict[EntityType, EntityRow], list[WindowRow]]:
        held = self._run.held
        entities = await run_state.read_entities(session, held.workspace_id, held.session_id)
        return entities, await read_windows(session, held.workspace_id, held.session_id)

    async def _plan_ends(self) -> dict[EntityType, int]:
        """The last place of the applied plan in each queue, 0 where none is applied."""
        run = self._run
        if not run.is_applied_plan:
            return dict.fromkeys(ORDER, 0)
        return await run.write(lambda session: plan_ends(session, run.scope))

    async def _enter(self, phase: Phase, entities: Iterable[EntityType], *, whole: bool = True) -> None:
        """For these entity types, and for the `whole` run."""
        held, chosen = self._run.held, [entity for entity in entities if self._run.requested(entity)]

        async def enter(session: AsyncSession) -> None:
            for entity in chosen:
                await run_state.set_entity_phase(session, held, entity, phase)
            # Last: whoever cancels waits for this row, and counters may be held by a batch.
            if whole:
                await run_state.set_phase(session, held, phase, steps=self._run.steps.to_json())

        await self._run.write(enter)

    async def _fetch(self, entities: dict[EntityType, EntityRow], windows: list[WindowRow], verify: Verify) -> None:
        run, task = self._run, self._run.row.task
        embedded = Embedded(run.row)
        related = Related(run, self.lander, embedded)
        failed = any(row.failed for row in entities.values()) and not _is_repair(task)
        lists = not run.is_applied_plan and task is None
        if lists:
            await self._list(windows, embedded, *([] if failed else [self._ripen(related)]))
        if failed:
            run.steps.begin(Step.RECONCILE)
            await Retry(run, self.lander, related).work()
            if lists:
                await self._ripen(related)
        run.steps.end(Step.RECONCILE)
        if lists:
            # While the rest is planned: what is late comes behind all that is closed.
            await verify.ask_again()
            run.steps.pause(Step.VERIFY)
        for event in (*self._listed.values(), *self._ripe.values(), *self._grown.values(), self._complete):
            event.set()

    async def _list(self, windows: list[WindowRow], embedded: Embedded, *beside: Coroutine[Any, Any, None]) -> None:
        run = self._run
        run.steps.begin(Step.WINDOWS)
        run.steps.begin(Step.FETCH)
        for entity in run.row.config.entity_types:
            mine = [window for window in windows if window.entity is entity]
            open_ones = [window for window in mine if window.status is WindowStatus.OPEN]
            open_ones += await self._reopen(entity, mine)
            self._fetches[entity] = EntityFetch(run, self.lander, entity, open_ones, embedded)

        async def read(entity: EntityType) -> None:
            if entity in self._fetches:
                await self._fetches[entity].work()
            self._listed[entity].set()
            if all(listed.is_set() for listed in self._listed.values()):
                run.steps.end_as_seen(Step.WINDOWS)
                run.steps.end(Step.FETCH)

        await together(*(read(entity) for entity in ORDER), *beside)

    async def _ripen(self, related: Related) -> None:
        await together(*(self._ripen_one(entity, related) for entity in ORDER))

    async def _ripen_one(self, entity: EntityType, related: Related) -> None:
        """Once everything above it is ripe, what has landed of it is given its parents while the rest is read."""
        for parent in PARENTS[entity]:
            await self._ripe[parent].wait()
        looked, listed = 0, False
        while not listed:
            listed = await _within(self._listed[entity], _LOOK_AGAIN_SECONDS)
            upto = self.lander.durable_seq(entity)
            if listed or upto - looked >= BATCH:
                await self._close(entity, (looked, upto), related)
                looked = upto
        self._ripe[entity].set()
        self._grown[entity].set()

    async def _close(self, entity: EntityType, places: tuple[int, int], related: Related) -> None:
        # One at a time: what another has just fetched may still wait for its own parents.
        async with self._looking:
            if PARENTS[entity] and places[0] < places[1]:
                self._run.steps.begin(Step.RECONCILE)
            await related.complete(entity, places)
            self._closed[entity] = {one: self.lander.landed_seq(one) for one in _lineage(entity)} | {entity: places[1]}
        self._grown[entity].set()

    async def _reopen(self, entity: EntityType, windows: list[WindowRow]) -> list[WindowRow]:
        """New windows for what no window covers. There is none, unless rows of windows were lost; then nothing else would read it."""
        row = self._run.row
        gaps = unread(windows, row.range_start or 0, row.ceiling or 0)
        opened = [new_window(entity, gap.gte, gap.lt) for gap in gaps]
        if opened:
            log.warning("windows.reopened", entity=entity.value, gaps=[(gap.gte, gap.lt) for gap in gaps])
            await self.lander.submit(Landing(opened=opened))
        return opened

    async def _plan(self, planners: dict[EntityType, Planner]) -> None:
        await together(*((self._follow if PARENTS[entity] else self._keep_up)(entity, planners) for entity in ORDER))
        await self._complete.wait()
        for entity in ORDER:
            await planners[entity].drain()

    async def _keep_up(self, entity: EntityType, planners: dict[EntityType, Planner]) -> None:
        async with self._planning[entity]:
            await planners[entity].work(
                self.lander.landed[entity], self._listed[entity], lambda: self.lander.landed_seq(entity)
            )

    async def _follow(self, entity: EntityType, planners: dict[EntityType, Planner]) -> None:
        """Plan as far as the queue is closed, each time after those above it."""
        ripe = False
        while not ripe:
            await self._grown[entity].wait()
            self._grown[entity].clear()
            ripe, closed = self._ripe[entity].is_set(), self._closed[entity]
            if ripe:
                phase = Phase.PLAN if self._run.row.config.dry_run else Phase.APPLY
                await self._enter(phase, [entity], whole=entity is ORDER[-1])
            for one in _lineage(entity):
                async with self._planning[one]:
                    await planners[one].drain(closed[one])


def _lineage(entity: EntityType) -> list[EntityType]:
    """All above it, and itself, parents first."""
    above = {one for parent in PARENTS[entity] for one in _lineage(parent)}
    return [one for one in ORDER if one in above or one is entity]


async def _within(event: asyncio.Event, seconds: float) -> bool:
    """Whether it is set by then."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


def _is_repair(task: Task | None) -> bool:
    return task is not None and task.kind is TaskKind.REPAIR
