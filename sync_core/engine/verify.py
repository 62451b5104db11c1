"""The end of a run, entity type by entity type: what Stripe lists has landed, what landed has an action, what has one is stored, with the values
that were planned.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import ORDER
from sync_core.domain.vocabulary import EntityType, EventType, Phase, Step, TaskKind
from sync_core.domain.windows import Window
from sync_core.engine.context import Run
from sync_core.engine.failpoints import hit
from sync_core.engine.landing import Lander
from sync_core.engine.planner import Planner
from sync_core.engine.proof import Asked, Proof, seams, unread
from sync_core.engine.related import Related
from sync_core.engine.retry import Retry
from sync_core.engine.tasks import together
from sync_core.store import run_state
from sync_core.store.landing import WindowRow, read_windows
from sync_core.store.related import unplanned
from sync_core.store.written import Found, Written, found, taken_by_lot

_SHOWN = 100
# Walks over all of an entity type: as many as keep PostgreSQL busy, and leave connections for the run's heartbeat.
_LOOKS_AT_ONCE = 4
# What the run has written is compared whole. Of what it found unchanged so many are, of a large entity type a hundredth: by lot, and as quickly
# as so many are planned.
_COMPARED = 1_000
_COMPARED_OF = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """`ids` are the first thousand of `missing`, `differing` of those stored otherwise than planned; `report` is kept beside the entity
    type's counters.
    """

    missing: int
    ids: list[str]
    differing: tuple[str, ...]
    report: dict[str, Any]


class Verify:
    def __init__(self, run: Run, lander: Lander, planners: Mapping[EntityType, Planner]) -> None:
        self._run = run
        self._lander = lander
        self._planners = planners
        self._related = Related(run, lander)
        self._retry = Retry(run, lander, self._related)
        self._asked: dict[EntityType, Asked] | None = None
        self._doors = asyncio.Semaphore(_LOOKS_AT_ONCE)

    async def work(self) -> None:
        hit("verify.before")
        run, held = self._run, self._run.held
        run.steps.begin(Step.VERIFY)
        await run.write(lambda session: run_state.set_phase(session, held, Phase.VERIFY, steps=run.steps.to_json()))
        if self._asked is None:
            await self.ask_again()
            await self._drain()
        windows = await self._windows()
        chosen = [one for one, planner in self._planners.items() if run.requested(one) or planner.planned_seq]
        seen: dict[EntityType, Finding] = {}

        async def look(entity: EntityType) -> None:
            seen[entity] = await self._check(entity, windows)

        await together(*(look(entity) for entity in chosen))
        mended = False
        for entity in chosen:
            # What was mended of one may have changed another.
            first = await self._check(entity, windows) if mended else seen[entity]
            mended |= await self._verify(entity, windows, first)

    async def _windows(self) -> list[WindowRow]:
        held = self._run.held
        return await self._run.write(lambda session: read_windows(session, held.workspace_id, held.session_id))

    async def ask_again(self) -> None:
        """What is late lands, with its parents, behind all that is planned by then; planning it is left to the caller.

        Nothing is asked for an applied plan, which asks Stripe nothing, nor for a retry, whose run was proven before.
        """
        run = self._run
        asked = self._asked = {}
        start, ceiling, task = run.row.range_start, run.row.ceiling, run.row.task
        if start is None or ceiling is None or (task is not None and task.kind is TaskKind.RETRY):
            return
        run.steps.begin(Step.VERIFY)
        windows = await self._windows()

        async def ask(entity: EntityType) -> None:
            mine = [window for window in windows if window.entity is entity]
            asked[entity] = await Proof(run, self._lander, entity, start, ceiling).work(mine)

        await together(*(ask(entity) for entity in run.row.config.entity_types))
        if any(one.late for one in asked.values()):
            await self._related.work({entity: one.late for entity, one in asked.items()})

    async def _drain(self) -> None:
        for entity in ORDER:
            await self._planners[entity].drain()

    async def _verify(self, entity: EntityType, windows: list[WindowRow], first: Finding) -> bool:
        """Mend what the `first` look found, and close the entity type. Whether anything was mended."""
        run, held, last = self._run, self._run.held, first
        if last.differing and self._is_repair:
            await self._mend(entity, list(last.differing))
            last = await self._check(entity, windows)
        left: int | None = None
        while last.missing and last.missing != left:
            left = last.missing
            await self._mend(entity, last.ids)
            last = await self._check(entity, windows)
        hit("verify.checked")

        async def complete(session: AsyncSession) -> None:
            await run_state.set_entity_phase(session, held, entity, Phase.DONE)
            message = "verified" if last.report["verified"] else _lack(last)
            details = {"missing": last.report["missing_ids"]}
            await run_state.note_event(
                session, held, entity, EventType.SYNC_COMPLETED, message=message, details=details
            )

        await run.write(complete)
        return last is not first

    async def _mend(self, entity: EntityType, ids: list[str]) -> None:
        """Fetch them anew and plan them again; what a plan is applied for asks Stripe only when that is to be repaired."""
        await self._retry.take_over(entity, ids)
        if not self._run.is_applied_plan or self._is_repair:
            await self._related.fetch(entity, ids, again=True)
            await self._related.work({entity: set(ids)})
        await self._retry.plan_again(entity, ids)
        await self._drain()

    @property
    def _is_repair(self) -> bool:
        task = self._run.row.task
        return task is not None and task.kind is TaskKind.REPAIR

    def _lot(self, entity: EntityType) -> Sequence[int]:
        """Places in the queue, the same for each look."""
        last = self._lander.landed_seq(entity)
        lot = random.Random(f"{self._run.held.session_id}/{entity}/values")  # noqa: S311 - replayable, and no secret
        return lot.sample(range(1, last + 1), min(last, max(_COMPARED, last // _COMPARED_OF)))

    async def _check(self, entity: EntityType, every: list[WindowRow]) -> Finding:
        run, held, asked = self._run, self._run.held, (self._asked or {}).get(entity)
        windows = [window for window in every if window.entity is entity]

        finding = await self._reconcile(entity, windows)

        async def note(session: AsyncSession) -> None:
            await run_state.recount(session, held, entity, whole=run.plans_all)
            proof = {} if asked is None else asked.to_json()
            await run_state.set_verified(session, held, entity, finding.report | proof)

        await run.write(note)
        return finding

    async def _reconcile(self, entity: EntityType, windows: list[WindowRow]) -> Finding:
        """A dry run stores nothing, so its plan is the proof."""
        scope, config = self._run.scope, self._run.row.config
        forgotten: tuple[int, list[str]] = (0, [])
        stored, lot = Found(), Written()

        async def look_for_forgotten(session: AsyncSession) -> None:
            nonlocal forgotten
            forgotten = await unplanned(session, scope, entity)

        async def look_for_stored(session: AsyncSession) -> None:
            nonlocal stored
            stored = await found(session, scope, entity)

        async def look_by_lot(session: AsyncSession) -> None:
            nonlocal lot
            lot = await taken_by_lot(session, scope, entity, self._lot(entity))

        looks = [look_for_stored]
        looks += [] if config.limit else [look_for_forgotten]
        looks += [] if config.dry_run else [look_by_lot]
        await together(*(self._look(look) for look in looks))
        return _finding(windows, self._unread(entity, windows), forgotten, stored, stored.values.with_lot(lot))

    def _unread(self, entity: EntityType, windows: list[WindowRow]) -> tuple[Window, ...]:
        """What is stored of an entity type that was not asked for, as parents are, came without a window."""
        row = self._run.row
        return unread(windows, row.range_start or 0, row.ceiling or 0) if self._run.requested(entity) else ()

    async def _look(self, look: Callable[[AsyncSession], Awaitable[None]]) -> None:
        async with self._doors:
            await self._run.write(look)


def _finding(
    windows: list[WindowRow],
    gaps: Sequence[Window],
    unplanned_ones: tuple[int, list[str]],
    stored: Found,
    values: Written,
) -> Finding:
    forgotten, forgotten_ids = unplanned_ones
    missing = forgotten + stored.missing
    ids = [*forgotten_ids, *stored.ids]
    report = {
        "expected": stored.expected + forgotten,
        "found": stored.expected - stored.missing,
        "missing": missing,
        "missing_ids": ids[:_SHOWN],
        "boundaries": len(seams(windows)),
        "unread": [[gap.gte, gap.lt] for gap in gaps],
        "values_compared": values.compared,
        "differing": values.differing,
        "differing_ids": list(values.ids[:_SHOWN]),
        "verified": missing == 0 and not gaps and values.differing == 0,
    }
    return Finding(missing, ids, values.ids, report)


def _lack(found: Finding) -> str:
    differing = found.report["differing"]
    said = [f"{found.missing} missing"] if found.missing or not differing else []
    return ", ".join([*said, *([f"{differing} not as planned"] if differing else [])])
