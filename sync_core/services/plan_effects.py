"""What each strategy would make of a plan's records that differ, by the rules of the planner itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.merge import Stored, Strategies, decide
from sync_core.domain.vocabulary import Action, EntityType, Strategy, SyncStatus
from sync_core.store import plan_effects as store
from sync_core.store.plan_effects import Compared
from sync_core.store.reports import DIFFERING, PlanRef

LOOKED_AT = 1_000
"""Rows of each entity type and action that are judged; what there is more of is taken to be like them."""

Counts = Mapping[EntityType, Mapping[Action, int]]


@dataclass(frozen=True, slots=True)
class Effect:
    """What one strategy would do with the rows that differ."""

    strategy: Strategy
    updates: int
    conflicts: int
    skips: int
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Effects:
    """`moved` records have changed since the plan was made: of them it says nothing any more, and they are left out."""

    rows: tuple[Effect, ...] = ()
    is_exact: bool = True
    moved: int = 0


@dataclass(slots=True)
class _Judged:
    """Rows of one planned action, by what each strategy would do with them."""

    moved: int = 0
    by_strategy: dict[Strategy, Counter[Action]] = field(default_factory=lambda: {one: Counter() for one in Strategy})


async def effects(session: AsyncSession, plan: PlanRef, chosen: Strategies, counts: Counts) -> Effects:
    """Of the first rows of each action, each action scaled up by itself where there are more: a plan may update a million and ask about ten."""
    sums: dict[Strategy, Counter[Action]] = {strategy: Counter() for strategy in Strategy}
    moved, exact = 0.0, True
    for entity, planned in counts.items():
        if not any(planned[action] for action in DIFFERING):
            continue
        for action, judged in (await _judged(session, plan, entity, chosen)).items():
            scale = max(1.0, planned[action] / LOOKED_AT)
            exact = exact and scale == 1
            moved += scale * judged.moved
            for strategy, tally in judged.by_strategy.items():
                sums[strategy].update({what: scale * count for what, count in tally.items()})
    pure = not chosen.by_entity and not chosen.by_field
    rows = tuple(
        _effect(strategy, tally, is_chosen=pure and strategy is chosen.default) for strategy, tally in sums.items()
    )
    return Effects(rows, exact, round(moved))


def _effect(strategy: Strategy, tally: Mapping[Action, float], *, is_chosen: bool) -> Effect:
    updates, conflicts = (round(tally.get(action, 0)) for action in (Action.UPDATE, Action.CONFLICT))
    return Effect(strategy, updates, conflicts, round(sum(tally.values())) - updates - conflicts, is_chosen)


async def _judged(
    session: AsyncSession, plan: PlanRef, entity: EntityType, chosen: Strategies
) -> dict[Action, _Judged]:
    found = {action: _Judged() for action in DIFFERING}
    strategies = {one: replace(chosen, default=one, by_entity={}, by_field={}) for one in Strategy}
    async for rows in store.compared(session, plan, entity, cap=LOOKED_AT):
        for row in rows:
            judged = found[Action(row.action)]
            if row.moved:
                judged.moved += 1
                continue
            for strategy, tally in judged.by_strategy.items():
                tally[_decided(entity, strategies[strategy], row)] += 1
    return found


def _decided(entity: EntityType, strategies: Strategies, row: Compared) -> Action:
    stored = Stored(
        record_id=row.record_id,
        row_version=row.row_version,
        local=row.local,
        base=row.base,
        deleted=row.record_deleted,
        linked=row.linked,
        observed_at=row.record_observed_at,
        kept=row.status == SyncStatus.LOCAL_EDIT,
    )
    decision = decide(entity, strategies, stored, row.theirs or {}, deleted=row.deleted, observed_at=row.observed_at)
    return decision.action
