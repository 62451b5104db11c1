"""Before the first page: may the key read what is asked, and which stretch of time belongs to this run?"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.vocabulary import EntityType, Step
from sync_core.engine.context import Run
from sync_core.engine.failpoints import hit
from sync_core.errors import FatalRunError
from sync_core.store.landing import Landing, WindowRow, land, new_window
from sync_core.store.run_state import set_range
from sync_core.stripe_source import Probe

# Stripe went live in 2011; nothing there is older, except what was created with a date of its own.
_BEGINNING: Final = 0


async def preflight(run: Run) -> list[WindowRow]:
    """Probe each entity type, freeze the range by Stripe's own clock, and open one window for each."""
    probes = await asyncio.gather(*(run.source.probe(entity) for entity in run.row.config.entity_types))
    _demand_permissions(probes)
    config = run.row.config
    now = min(probe.server_date for probe in probes if probe.server_date is not None)
    ceiling = now if config.end is None else min(config.end, now)
    # An answer that was long on its way says too much of it.
    skew = min((probe.skew for probe in probes if probe.skew is not None), key=abs)
    start = _BEGINNING if config.start is None else config.start
    # Of a type that has nothing yet, too: its first object may have come while the probe was on its way, below the ceiling.
    windows = [new_window(probe.entity, start, ceiling) for probe in probes if start < ceiling]
    run.steps.begin(Step.WINDOWS)
    hit("preflight.before_range")
    held = run.held

    async def freeze(session: AsyncSession) -> None:
        await land(session, held.workspace_id, held.session_id, held.fence, Landing(opened=windows))
        # Last: whoever cancels waits for the run's row.
        await set_range(session, held, start, ceiling, skew=skew)

    await run.write(freeze)
    run.row = replace(run.row, range_start=start, ceiling=ceiling)
    return windows


def _demand_permissions(probes: list[Probe]) -> None:
    refused = [probe for probe in probes if not probe.ok]
    if not refused:
        return
    named = ", ".join(f"{_label(probe.entity)} ({probe.missing_permission or probe.message})" for probe in refused)
    raise FatalRunError(
        f"The key may not read {named}. Grant it these permissions in Stripe's dashboard, or leave these entity types out.",
        code="permission_missing",
    )


def _label(entity: EntityType) -> str:
    return entity.label.lower()
