"""The five phases and how they overlap.

Entity types without parents are planned and applied while they are still being fetched. Each of the others as soon as it and those above
it are listed, and the parents that no list brought are fetched by id; those below it may still be read then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import ORDER, PARENTS
from sync_core.domain.vocabulary import EntityType, Phase, TaskKind, WindowStatus
from sync_core.engine.context import Run, log
from sync_core.engine.embedded import Embedded
from sync_core.engine.fetch import EntityFetch
from sync_core.engine.landing import Lander
from sync_core.engine.planner import Planner
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
from sync_core.store.related import last_places
from sync_core.store.run_state import EntityRow
from sync_core.store.runs import Task

_LOOK_AGAIN_SECONDS = 1.0


class Phases:
    def __init__(self, run: Run) -> None:
        self._run = run
        self.lander = Lander(run)
        self._fetches: dict[EntityType, EntityFetch] = {}
        self._listed = {entity: asyncio.Event() for entity in ORDER}
        self._ripe = {entity: asyncio.Event() for entity in ORDER}
        # How far each queue goes that is complete in itself: everything in it has its parents in it, or they are not to be had.
        self._closed = dict.fromkeys(ORDER, 0)
        self._complete = asyncio.Event()

    def estimates(self) -> dict[str, int]:
        """Objects expected, by entity type, while they are fetched."""
        landed = self.lander.landed_seq
        return {entity.value: landed(entity) + fetch.expected_more for entity, fetch in self._fetches.items()}

    async def work(self) -> None:
        run, held = self._run, self._run.held
        await run.write(lambda session: run_state.begin(session, held))
        entities, windows = await run.write(self._read)
        self.lander.resume(await self._landed(entities))
        if not run.is_applied_plan and run.row.ceiling is None:
            windows = await preflight(run)
        some = await self._canary()
        planners = {
            entity: Planner(run, entity, row.planned_seq, row.planned, only=None if some is None else some[entity])
            for entity, row in entities.items()
        }
        await self._enter(Phase.FETCH, ORDER)
        await together(self._fetch(entities, windows), self._plan(planners))
        await Verify(run, self.lander, planners).work()
        if run.row.config.dry_run:
            await run.write(lambda session: keep_hash(session, held))

    async def _canary(self) -> dict[EntityType, list[str]] | None:
        """What a run of the first few is about; None for one of everything."""
        run, limit = self._run, self._run.row.config.limit
        if limit is None or not run.is_applied_plan:
            return None
        return await run.write(lambda session: first_changes(session, run.scope, limit))

    async def _read(self, session: AsyncSession) -> tuple[dict[EntityType, EntityRow], list[WindowRow]]:
        held = self._run.held
        entities = await run_state.read_entities(session, held.workspace_id, held.session_id)
        return entities, await read_windows(session, held.workspace_id, held.session_id)

    async def _landed(self, entities: dict[EntityType, EntityRow]) -> dict[EntityType, int]:
        """The last place in each queue; an applied plan shares the dry run's."""
        scope = self._run.scope
        taken = dict.fromkeys(ORDER, 0)
        if self._run.is_applied_plan:
            taken = await self._run.write(lambda session: last_places(session, scope))
        return {entity: max(row.landed_seq, row.planned_seq, taken[entity]) for entity, row in entities.items()}

    async def _enter(self, phase: Phase, entities: Iterable[EntityType], *, whole: bool = True) -> None:
        """For these entity types, and for the `whole` run."""
        held, chosen = self._run.held, [entity for entity in entities if self._run.requested(entity)]

        async def enter(session: AsyncSession) -> None:
            for entity in chosen:
                await run_state.set_entity_phase(session, held, entity, phase)
            # Last: whoever cancels waits for this row, and counters may be held by a batch.
            if whole:
                await run_state.set_phase(session, held, phase)

        await self._run.write(enter)

    async def _fetch(self, entities: dict[EntityType, EntityRow], windows: list[WindowRow]) -> None:
        run, task = self._run, self._run.row.task
        embedded = Embedded(run.row)
        related = Related(run, self.lander, embedded)
        failed = any(row.failed for row in entities.values()) and not _is_repair(task)
        lists = not run.is_applied_plan and task is None
        if lists:
            await self._list(windows, embedded, *([] if failed else [self._ripen(related)]))
        if failed:
            await Retry(run, self.lander, related).work()
            if lists:
                await self._ripen(related)
        for event in (*self._listed.values(), *self._ripe.values(), self._complete):
            event.set()

    async def _list(self, windows: list[WindowRow], embedded: Embedded, *beside: Coroutine[Any, Any, None]) -> None:
        run = self._run
        for entity in run.row.config.entity_types:
            mine = [window for window in windows if window.entity is entity]
            open_ones = [window for window in mine if window.status is WindowStatus.OPEN]
            open_ones += await self._reopen(entity, mine)
            self._fetches[entity] = EntityFetch(run, self.lander, entity, open_ones, embedded)

        async def read(entity: EntityType) -> None:
            if entity in self._fetches:
                await self._fetches[entity].work()
            self._listed[entity].set()

        await together(*(read(entity) for entity in ORDER), *beside)

    async def _ripen(self, related: Related) -> None:
        """In their order, so that whoever is ripe has everything above it ripe too. What has landed of it is looked at while the rest is read."""
        for entity in ORDER:
            looked, listed = 0, False
            while not listed:
                listed = await _within(self._listed[entity], _LOOK_AGAIN_SECONDS)
                upto = self.lander.durable_seq(entity)
                await related.complete(entity, (looked, upto))
                looked = upto
            self._closed = {one: self.lander.landed_seq(one) for one in ORDER}
            self._ripe[entity].set()

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
        first = [entity for entity in ORDER if not PARENTS[entity]]
        await together(
            *(
                planners[entity].work(
                    self.lander.landed[entity],
                    self._listed[entity],
                    lambda entity=entity: self.lander.landed_seq(entity),  # type: ignore[misc]
                )
                for entity in first
            )
        )
        phase = Phase.PLAN if self._run.row.config.dry_run else Phase.APPLY
        for entity in ORDER[len(first) :]:
            await self._ripe[entity].wait()
            await self._enter(phase, [entity], whole=entity is ORDER[-1])
            # What was fetched by id may still wait for its own parents, unless it stands before these places.
            closed = self._closed
            for one in ORDER[: ORDER.index(entity) + 1]:
                await planners[one].drain(closed[one])
        await self._complete.wait()
        for entity in ORDER:
            await planners[entity].drain()


async def _within(event: asyncio.Event, seconds: float) -> bool:
    """Whether it is set by then."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


def _is_repair(task: Task | None) -> bool:
    return task is not None and task.kind is TaskKind.REPAIR
