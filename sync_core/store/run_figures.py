"""What a run's worker tells the screen, once a second: figures, estimates, samples of its pace. Apart from its counters, which batches hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.store.database import driver
from sync_core.store.runs import Held

_FIGURES = """
WITH held AS (
  SELECT 1 FROM payment_sync_leases WHERE session_id = %(session)s AND fence = %(fence)s
), noted AS (
  UPDATE payment_sync_sessions SET stats = stats || %(stats)s::jsonb
  WHERE workspace_id = %(workspace)s AND id = %(session)s AND EXISTS (SELECT FROM held)
), thinned AS (
  DELETE FROM payment_sync_pace_samples WHERE workspace_id = %(workspace)s AND session_id = %(session)s
  AND slot %% %(step)s <> 0 AND EXISTS (SELECT FROM held)
), sampled AS (
  INSERT INTO payment_sync_pace_samples (workspace_id, session_id, slot, fetched, processed, requests, throttled)
  SELECT workspace_id, session_id, %(slot)s, sum(fetched), sum(created + updated + unchanged + skipped + conflicts + failed),
    greatest(sum(requests), (%(stats)s::jsonb->>'requests')::bigint), %(throttled)s
  FROM payment_sync_entity_runs WHERE workspace_id = %(workspace)s AND session_id = %(session)s
    AND %(slot)s::int IS NOT NULL AND EXISTS (SELECT FROM held)
  GROUP BY workspace_id, session_id ON CONFLICT DO NOTHING
), free AS (
  SELECT entity_type FROM payment_sync_entity_runs WHERE workspace_id = %(workspace)s AND session_id = %(session)s
  FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE payment_sync_entity_runs r SET estimated = greatest(e.value::bigint, r.fetched)
FROM jsonb_each_text(%(estimates)s::jsonb) e JOIN free ON free.entity_type = e.key
WHERE r.workspace_id = %(workspace)s AND r.session_id = %(session)s AND r.entity_type = e.key AND EXISTS (SELECT FROM held)
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """A place among the samples of the pace, and how far they stand apart there. `slot` is None for none now."""

    slot: int | None = None
    step: int = 1
    throttled: int = 0


@dataclass(frozen=True, slots=True)
class Figures:
    """What the screen is told. `estimates` are objects expected by entity type; what was fetched already is the least it can be."""

    stats: dict[str, Any]
    estimates: dict[str, int]
    sample: Sample


async def note_figures(session: AsyncSession, held: Held, figures: Figures) -> None:
    """Counters that a batch is just writing are passed over: the next second will do."""
    connection = await driver(session)
    await connection.execute(
        _FIGURES,
        {
            "session": held.session_id,
            "workspace": held.workspace_id,
            "fence": held.fence,
            "stats": Jsonb(figures.stats),
            "estimates": Jsonb(figures.estimates),
            "slot": figures.sample.slot,
            "step": figures.sample.step,
            "throttled": figures.sample.throttled,
        },
    )


async def last_sample(session: AsyncSession, held: Held) -> tuple[int, int]:
    """The last place taken among the samples of the pace, -1 for none, and the 429s counted until then."""
    connection = await driver(session)
    cursor = await connection.execute(
        "SELECT coalesce(max(slot), -1), coalesce(max(throttled), 0) FROM payment_sync_pace_samples"
        " WHERE workspace_id = %(workspace)s AND session_id = %(session)s",
        {"workspace": held.workspace_id, "session": held.session_id},
    )
    row = await cursor.fetchone()
    return (int(row[0]), int(row[1])) if row else (-1, 0)
