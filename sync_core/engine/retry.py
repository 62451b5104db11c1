"""What ended as an error is tried again: all of it when a run is resumed, what was asked for when an ended run is taken up for that.

Objects are fetched anew by id, since whoever acted on the error did so in Stripe; of an orphan the parents that it waits for, and itself
only where Stripe knows one of those no longer. What Stripe knows no longer is no error any more, unless it is stored here. All of it bears
being done twice: an object whose newer view is queued already is neither asked for nor queued again.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from sync_core.domain.fields import ORDER, PARENTS
from sync_core.domain.vocabulary import EntityType, ReasonCode
from sync_core.engine.context import Run
from sync_core.engine.failpoints import hit
from sync_core.engine.landing import Lander
from sync_core.engine.related import Related
from sync_core.store.related import Failed, failed_items, failed_parents, naming, plan_again, take_over

# A request each; what is left over has its turn with the next retry.
_MOST_ORPHANS = 1_000

Chosen = dict[EntityType, dict[str, Failed]]


class Retry:
    def __init__(self, run: Run, lander: Lander, related: Related) -> None:
        self._run = run
        self._lander = lander
        self._related = related

    async def work(self) -> None:
        """Queues everything chosen for the planners, its parents first."""
        chosen = await self._choose()
        for entity in ORDER:
            await self._related.fetch(entity, _to_fetch(chosen[entity].values()), again=True)
        hit("retry.fetched")
        await self._related.work({entity: set(found) for entity, found in chosen.items()})
        await self._ask_for_orphans(chosen)
        await self._add_children(chosen)
        for entity in ORDER:
            await self.plan_again(entity, list(chosen[entity]), failed_only=True)

    async def _ask_for_orphans(self, chosen: Chosen) -> None:
        """What names a parent that Stripe knows no longer may be gone with it, or name another one by now."""
        run, asked = self._run, dict[EntityType, set[str]]()
        for child in ORDER:
            orphans = [one.external_id for one in chosen[child].values() if one.reason is ReasonCode.MISSING_PARENT]
            found: set[str] = set()
            for parent in PARENTS[child] if orphans else ():
                gone = sorted(self._related.gone[parent])
                if gone:
                    look = partial(
                        naming,
                        scope=run.scope,
                        child=child,
                        parent=parent,
                        of=orphans,
                        parents=gone,
                        limit=_MOST_ORPHANS,
                    )
                    found |= set(await run.write(look))
            asked[child] = found
            await self._related.fetch(child, sorted(found), again=True)
        await self._related.work(asked)

    async def take_over(self, entity: EntityType, ids: Iterable[str]) -> None:
        """What a plan is applied for is tried again in the run's own queue, and fetched anew into it."""
        run, taken = self._run, sorted(ids)
        if run.is_applied_plan and taken:
            await run.write(lambda session: take_over(session, run.scope, entity, taken))

    async def plan_again(self, entity: EntityType, ids: list[str], *, failed_only: bool = False) -> None:
        if not ids:
            return
        run, before = self._run, self._lander.reserve(entity, len(ids))
        await run.write(
            lambda session: plan_again(session, run.scope, entity, ids, before=before, failed_only=failed_only)
        )

    async def _choose(self) -> Chosen:
        """What the task names, and the failed parents that its orphans wait for."""
        task = self._run.row.task
        chosen: Chosen = {entity: {} for entity in ORDER}
        for entity in ORDER:
            if task is None:
                chosen[entity] = await self._failed(entity)
            elif task.entity in (None, entity):
                chosen[entity] = await self._failed(entity, reason=task.reason, ids=task.ids or None)
        for child in reversed(ORDER):
            await self.take_over(child, chosen[child])
            orphans = [one.external_id for one in chosen[child].values() if one.reason is ReasonCode.MISSING_PARENT]
            for parent in PARENTS[child] if orphans else ():
                chosen[parent] |= await self._failed_parents(child, parent, orphans)
        return chosen

    async def _add_children(self, chosen: Chosen) -> None:
        """Orphans of any type below what was chosen: their parent may be there now, and planning them again asks Stripe nothing."""
        for entity in ORDER:
            if any(chosen[parent] for parent in PARENTS[entity]):
                chosen[entity] |= await self._failed(entity, reason=ReasonCode.MISSING_PARENT)
                await self.take_over(entity, chosen[entity])

    async def _failed(
        self, entity: EntityType, *, reason: ReasonCode | None = None, ids: Iterable[str] | None = None
    ) -> dict[str, Failed]:
        run, wanted = self._run, None if ids is None else list(ids)
        found = await run.write(lambda session: failed_items(session, run.scope, entity, reason=reason, ids=wanted))
        return {one.external_id: one for one in found}

    async def _failed_parents(self, child: EntityType, parent: EntityType, orphans: list[str]) -> dict[str, Failed]:
        run = self._run
        ids = await run.write(lambda session: failed_parents(session, run.scope, child, parent, of=orphans))
        return await self._failed(parent, ids=ids) if ids else {}


def _to_fetch(failed: Iterable[Failed]) -> list[str]:
    askable = (one for one in failed if not one.is_queued and not one.is_nameless)
    return [one.external_id for one in askable if one.reason is not ReasonCode.MISSING_PARENT]
