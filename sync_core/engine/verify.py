"""The proof at the end: what Stripe listed is staged, what is staged has an action, what has one is stored."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.vocabulary import EntityType
from sync_core.engine.context import Run
from sync_core.store.landing import WindowRow
from sync_core.store.related import unplanned, unstored


def seams(windows: Iterable[WindowRow], entity: EntityType) -> int:
    """How many seconds were read twice: where one reading ended and another began, the only places between which an object could fall."""
    return len({window.lt for window in windows if window.entity is entity and window.parent_id is not None})


async def reconcile(session: AsyncSession, run: Run, entity: EntityType, *, boundaries: int) -> dict[str, Any]:
    """The report of one entity type. `missing` is empty when it is verified; a dry run stores nothing, so its plan is the proof."""
    scope = run.scope
    forgotten, forgotten_ids = (0, []) if run.row.config.limit else await unplanned(session, scope, entity)
    expected, gone, gone_ids = await unstored(session, scope, entity)
    if run.row.config.dry_run:
        gone, gone_ids = 0, []
    missing = forgotten + gone
    return {
        "expected": expected + forgotten,
        "found": expected - gone,
        "missing": missing,
        "missing_ids": (forgotten_ids + gone_ids)[:100],
        "boundaries": boundaries,
        "verified": missing == 0,
    }
