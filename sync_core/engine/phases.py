"""The five phases and how they overlap.

Entity types without parents are planned and applied while they are still being fetched. The others wait until every parent is there:
listed, or fetched by id because no list brought it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import ORDER, PARENTS
from sync_core.domain.vocabulary import EntityType, EventType, Phase, WindowStatus
from sync_core.engine.context import Run
from sync_core.engine.failpoints import hit
from sync_core.engine.fetch import EntityFetch
from sync_core.engine.landing import Lander
from sync_core.engine.planner import Planner
from sync_core.engine.preflight import preflight
from sync_core.engine.related import Related
from sync_core.engine.tasks import together
from sync_core.engine.verify import reconcile, seams
from sync_core.store import run_state
from sync_core.store.canary import first_changes
from sync_core.store.landing import WindowRow, read_windows
from sync_core.store.related import failed_items, plan_again
from sync_core.store.run_state import EntityRow


class Phases:
    def __init__(self, run: Run) -> None:
        self._run = run
        self.lander = Lander(run)
        self._fetches: dict[EntityType, EntityFetch] = {}
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
        await self._enter(Phase.FETCH, (entity for entity in ORDER if run.requested(entity)))
        await together(self._fetch(entities, windows), self._plan(planners))
        await self._verify(planners)

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
        """The last place in each queue; of an applied plan, in the dry run's."""
        source = self._run.row.source_session_id
        if source is not None:
            workspace_id = self._run.held.workspace_id
            entities = await self._run.write(lambda session: run_state.read_entities(session, workspace_id, source))
        return {entity: max(row.landed_seq, row.planned_seq) for entity, row in entities.items()}

    async def _enter(self, phase: Phase, entities: Iterable[EntityType]) -> None:
        held, chosen = self._run.held, list(entities)

        async def enter(session: AsyncSession) -> None:
            for entity in chosen:
                await run_state.set_entity_phase(session, held, entity, phase)
            # Last: whoever cancels waits for this row, and counters may be held by a batch.
            await run_state.set_phase(session, held, phase)

        await self._run.write(enter)

    async def _fetch(self, entities: dict[EntityType, EntityRow], windows: list[WindowRow]) -> None:
        run = self._run
        if not run.is_applied_plan:
            unread = [window for window in windows if window.status is WindowStatus.OPEN]
            for entity in run.row.config.entity_types:
                mine = [window for window in unread if window.entity is entity]
                self._fetches[entity] = EntityFetch(run, self.lander, entity, mine)
            await together(*(fetch.work() for fetch in self._fetches.values()))
            related = Related(run, self.lander)
            await self._retry_failed(entities, related)
            await related.work()
        self._complete.set()

    async def _retry_failed(self, entities: dict[EntityType, EntityRow], related: Related) -> None:
        """A resumed run tries again what had failed: fetched anew when it could not be mapped, planned anew otherwise."""
        run = self._run
        for entity in ORDER:
            if not entities[entity].failed:
                continue
            failed = await run.write(lambda session, entity=entity: failed_items(session, run.scope, entity))  # type: ignore[misc]
            unmapped = [external_id for external_id, is_unmapped in failed if is_unmapped]
            if unmapped:
                await related.fetch(entity, unmapped)
            await self._plan_again(entity, [external_id for external_id, is_unmapped in failed if not is_unmapped])

    async def _plan_again(self, entity: EntityType, ids: list[str]) -> None:
        run, before = self._run, self.lander.reserve(entity, len(ids))
        await run.write(lambda session: plan_again(session, run.scope, entity, ids, before=before))

    async def _plan(self, planners: dict[EntityType, Planner]) -> None:
        first = [entity for entity in ORDER if not PARENTS[entity]]
        await together(
            *(
                planners[entity].work(
                    self.lander.landed[entity],
                    self._complete,
                    lambda entity=entity: self.lander.landed_seq(entity),  # type: ignore[misc]
                )
                for entity in first
            )
        )
        phase = Phase.PLAN if self._run.row.config.dry_run else Phase.APPLY
        await self._enter(phase, (entity for entity in ORDER if self._run.requested(entity) and entity not in first))
        for entity in ORDER:
            if entity not in first:
                await planners[entity].drain()

    async def _verify(self, planners: dict[EntityType, Planner]) -> None:
        hit("verify.before")
        run, held = self._run, self._run.held
        await run.write(lambda session: run_state.set_phase(session, held, Phase.VERIFY))
        for entity, planner in planners.items():
            if run.requested(entity) or planner.planned_seq:
                await self._verify_entity(entity, planner)

    async def _verify_entity(self, entity: EntityType, planner: Planner) -> None:
        run, held = self._run, self._run.held

        async def check(session: AsyncSession) -> list[str]:
            await run_state.recount(session, held, entity)
            windows = await read_windows(session, held.workspace_id, held.session_id)
            report = await reconcile(session, run, entity, boundaries=seams(windows, entity))
            await run_state.set_verified(session, held, entity, report)
            return list(report["missing_ids"])

        missing = await run.write(check)
        if missing and not run.is_applied_plan:
            await self._plan_again(entity, missing)
            await planner.drain()
            missing = await run.write(check)

        hit("verify.checked")

        async def complete(session: AsyncSession) -> None:
            await run_state.set_entity_phase(session, held, entity, Phase.DONE)
            await run_state.note_event(
                session,
                held,
                entity,
                EventType.SYNC_COMPLETED,
                message="verified" if not missing else f"{len(missing)} missing",
                details={"missing": missing},
            )

        await run.write(complete)
