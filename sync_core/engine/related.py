"""Parents that no list brought: inline prices, deleted customers, whatever lies outside the range. They came inside their children, or are
fetched one by one, by id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from sync_core.domain.fields import ORDER, PARENTS
from sync_core.domain.vocabulary import EntityType
from sync_core.engine.context import Run
from sync_core.engine.embedded import Embedded
from sync_core.engine.failpoints import hit
from sync_core.engine.landing import Lander
from sync_core.engine.staging import stage_gone, stage_retrieved
from sync_core.store.landing import Landing, StagedRow
from sync_core.store.related import missing_parents
from sync_core.stripe_source import PermissionMissing, RequestRefused, Retrieved

_AT_ONCE = 500
_PLACES = 2_000
_IN_FLIGHT = 16


class Related:
    """Fetches missing parents. Ids that Stripe does not know stay missing: their children become errors that name them.

    `gone` are the ids that were asked for and that Stripe does not know; what it refuses to show is not among them.
    """

    def __init__(self, run: Run, lander: Lander, embedded: Embedded | None = None) -> None:
        self._run = run
        self._embedded = embedded or Embedded(run.row)
        self._lander = lander
        self.gone: dict[EntityType, set[str]] = {entity: set() for entity in ORDER}
        self._absent: dict[EntityType, set[str]] = {entity: set() for entity in ORDER}
        self._doors = asyncio.Semaphore(_IN_FLIGHT)

    async def complete(self, child: EntityType, places: tuple[int, int]) -> None:
        """Give what landed of `child` between these places of its queue its parents, and these theirs."""
        first, last = places
        for after in range(first, last, _PLACES):
            for parent in PARENTS[child]:
                found = await self._fetch_missing(child, parent, (after, min(after + _PLACES, last)))
                if found:
                    await self.work({parent: found})

    async def work(self, of: Mapping[EntityType, set[str]]) -> None:
        """Give these children their parents, and these theirs: from the youngest up, so that a fetched subscription's own are found too."""
        children = {entity: set(of.get(entity, ())) for entity in ORDER}
        for child in reversed(ORDER):
            for parent in PARENTS[child] if children[child] else ():
                children[parent] |= await self._fetch_missing(child, parent, sorted(children[child]))

    async def _fetch_missing(
        self, child: EntityType, parent: EntityType, of: Sequence[str] | tuple[int, int]
    ) -> set[str]:
        fetched: set[str] = set()
        while True:
            absent = sorted(self._absent[parent] | self.gone[parent])
            ids = await self._run.write(
                lambda session, absent=absent: missing_parents(  # type: ignore[misc]  # a default binds the loop's value
                    session, self._run.scope, child, parent, limit=_AT_ONCE, known_absent=absent, of=of
                ),
                by_key=True,
            )
            if not ids:
                return fetched
            found = await self.fetch(parent, ids)
            self._absent[parent].update(set(ids) - found)
            fetched |= found
            if len(ids) < _AT_ONCE:
                return fetched

    async def fetch(self, entity: EntityType, ids: Sequence[str], *, again: bool = False) -> set[str]:
        """Land these objects, as far as Stripe gives them; the ids of those it gave. Of one that landed before, and is asked for
        `again`, it lands too that Stripe knows it no longer.
        """
        given: set[str] = set()
        for start in range(0, len(ids), _AT_ONCE):
            given |= await self._fetch(entity, ids[start : start + _AT_ONCE], again=again)
        return given

    async def _fetch(self, entity: EntityType, ids: Sequence[str], *, again: bool) -> set[str]:
        kept = {external_id: self._embedded.take(entity, external_id) for external_id in ids}
        rows = await asyncio.gather(*(self._one(entity, one, found, again=again) for one, found in kept.items()))
        found = [row for row in rows if row is not None]
        hit("related.before_landing")
        asked = sum(one is None for one in kept.values())
        await self._lander.submit(Landing(rows=found, requests={entity: asked}))
        return {row.external_id for row in found}

    async def _one(
        self, entity: EntityType, external_id: str, found: Retrieved | None, *, again: bool
    ) -> StagedRow | None:
        async with self._doors:
            if found is None:
                try:
                    found = await self._run.source.retrieve(entity, external_id)
                except (PermissionMissing, RequestRefused):
                    return None
            if found.object is None:
                self.gone[entity].add(external_id)
                return stage_gone(entity, external_id, found) if again else None
            return await stage_retrieved(self._run.source, entity, external_id, found, related=True)
