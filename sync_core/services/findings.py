"""What a person should know about a plan before applying it: fields that differ, reasons, warnings, and what another strategy would do.

Read row by row, of the first rows of each entity type and action (`store.reports.LOOKED_AT`); `is_whole` says whether that was all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import FIELDS, JsonValue, Kind
from sync_core.domain.merge import Stored, Strategies, decide
from sync_core.domain.vocabulary import Action, EntityType, ReasonCode, Strategy
from sync_core.errors import Refusal
from sync_core.services import plan_limits, sessions
from sync_core.services.actor import Actor, Permission
from sync_core.services.guardrails import FieldBar, Guardrail, Reason, guardrails
from sync_core.services.record_views import value_text
from sync_core.services.report import FORBIDDEN, counts_of, field_label, plan_of
from sync_core.services.session_views import SessionView
from sync_core.store import reports as store
from sync_core.store import sessions as store_sessions
from sync_core.store.database import Database
from sync_core.store.orphans import OrphanCount, orphans
from sync_core.store.reports import Compared, FieldCount, PlanRef, ReasonCount

_EFFECTS_OF = 1_000


@dataclass(frozen=True, slots=True)
class Effect:
    """What one strategy would do with the rows that differ."""

    strategy: Strategy
    updates: int
    conflicts: int
    skips: int
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Orphans:
    """Objects that name a parent nobody has. `requests` is what asking Stripe for those parents again takes."""

    entity: EntityType
    field: str
    label: str
    parent: EntityType | None
    objects: int
    requests: int


@dataclass(frozen=True, slots=True)
class Findings:
    """`effects` are of a plan that has not been carried out; there are none of anything else."""

    reasons: tuple[Reason, ...]
    fields: tuple[FieldBar, ...]
    guardrails: tuple[Guardrail, ...]
    effects: tuple[Effect, ...]
    effects_exact: bool
    is_whole: bool
    orphans: tuple[Orphans, ...]


async def look(database: Database, actor: Actor, session_id: UUID) -> Findings | Refusal:
    if not actor.can(Permission.VIEW):
        return FORBIDDEN
    view = await sessions.get(database, actor, session_id)
    if isinstance(view, Refusal):
        return view
    async with database.workspace(actor.workspace_id) as session:
        return await _look(session, view)


async def reasons(database: Database, actor: Actor, session_id: UUID) -> tuple[Reason, ...] | Refusal:
    """Errors only, grouped, the commonest first: for the screen of a run."""
    if not actor.can(Permission.VIEW):
        return FORBIDDEN
    view = await sessions.get(database, actor, session_id)
    if isinstance(view, Refusal):
        return view
    async with database.workspace(actor.workspace_id) as session:
        found = await store.reasons(session, plan_of(view), _having(view, Action.ERROR), [Action.ERROR])
    return _reasons(found, _counts(view))


@dataclass(frozen=True, slots=True)
class TransitionView:
    """A pair of values, in words."""

    ours: str
    theirs: str
    count: int


async def transitions(
    database: Database, actor: Actor, session_id: UUID, entity: EntityType, name: str
) -> tuple[TransitionView, ...] | Refusal:
    """The twenty commonest changes of a field."""
    field = next((one for one in FIELDS[entity] if one.name == name), None)
    if not actor.can(Permission.VIEW) or field is None:
        return (
            FORBIDDEN if field else Refusal("unknown_field", f"{entity.label} have no field {name!r}.", field="field")
        )
    view = await sessions.get(database, actor, session_id)
    if isinstance(view, Refusal):
        return view
    async with database.workspace(actor.workspace_id) as session:
        found = await store.transitions(session, plan_of(view), entity, name)

    def shown(value: JsonValue) -> str:
        return value_text(field, value, {}, actor.time_zone)

    return tuple(TransitionView(shown(one.ours), shown(one.theirs), one.count) for one in found)


async def _look(session: AsyncSession, view: SessionView) -> Findings:
    plan, counts = plan_of(view), _counts(view)
    present = [one.progress.entity_type for one in view.entities]
    explained = [action for action in Action if action is not Action.UNCHANGED]
    found = _reasons(await store.reasons(session, plan, present, explained), counts)
    bars = _bars(await store.fields(session, plan, _having(view, Action.UPDATE, Action.CONFLICT, Action.SKIP)))
    effects, exact = await _effects(session, view, plan, counts) if await _stands(session, view) else ((), True)
    limits = plan_limits.of((await store_sessions.defaults(session, view.workspace_id)).settings)
    differing = (Action.UPDATE, Action.CONFLICT, Action.SKIP)
    return Findings(
        reasons=found,
        fields=bars,
        guardrails=await guardrails(session, view, bars, found, limits),
        effects=effects,
        effects_exact=exact,
        orphans=_orphans(await orphans(session, plan, _having(view, Action.ERROR))),
        is_whole=all(counts[entity][action] <= store.LOOKED_AT for entity in present for action in differing),
    )


def _orphans(found: Iterable[OrphanCount]) -> tuple[Orphans, ...]:
    parents = {(entity, one.name): one.parent for entity in EntityType for one in FIELDS[entity]}
    return tuple(
        Orphans(
            entity=EntityType(one.entity_type),
            field=one.field,
            label=field_label(EntityType(one.entity_type), one.field),
            parent=parents.get((EntityType(one.entity_type), one.field)),
            objects=one.objects,
            requests=one.parents,
        )
        for one in found
    )


def _counts(view: SessionView) -> dict[EntityType, dict[Action, int]]:
    return {one.progress.entity_type: counts_of(one.progress) for one in view.entities}


def _having(view: SessionView, *actions: Action) -> list[EntityType]:
    counts = _counts(view)
    return [entity for entity in counts if any(counts[entity][action] for action in actions)]


def _reasons(found: Iterable[ReasonCount], counts: Mapping[EntityType, Mapping[Action, int]]) -> tuple[Reason, ...]:
    shown = []
    for one in found:
        entity, action, code = EntityType(one.entity_type), Action(one.action), ReasonCode(one.reason_code)
        shown.append(
            Reason(
                entity=entity,
                action=action,
                code=code,
                field=one.field or "",
                count=one.count,
                sample=tuple(one.sample),
                message=one.message or "",
                repair=code.repair if action is Action.ERROR else "",
                is_whole=counts[entity][action] <= store.LOOKED_AT,
            )
        )
    return tuple(shown)


def _bars(found: Iterable[FieldCount]) -> tuple[FieldBar, ...]:
    grouped: dict[tuple[str, str], list[FieldCount]] = {}
    for one in found:
        grouped.setdefault((one.entity_type, one.field), []).append(one)
    bars = [_bar(EntityType(entity), name, group) for (entity, name), group in grouped.items()]
    order = list(EntityType)
    return tuple(sorted(bars, key=lambda bar: (order.index(bar.entity), -bar.count, bar.name)))


def _bar(entity: EntityType, name: str, group: Sequence[FieldCount]) -> FieldBar:
    by_action: Counter[str] = Counter()
    for one in group:
        by_action[one.action] += one.count
    kinds = {one.name: one.kind for one in FIELDS[entity]}
    return FieldBar(
        entity=entity,
        name=name,
        label=field_label(entity, name),
        money=kinds.get(name) in (Kind.MONEY, Kind.CURRENCY) or name == "unit_amount_decimal",
        updates=by_action[Action.UPDATE],
        conflicts=by_action[Action.CONFLICT],
        skips=by_action[Action.SKIP],
        filled=sum(one.filled for one in group),
        emptied=sum(one.emptied for one in group),
    )


async def _stands(session: AsyncSession, view: SessionView) -> bool:
    """Whether strategies can be told apart: once a plan is carried out, what is stored is what came of one of them."""
    return view.config.dry_run and await store_sessions.applied_by(session, view.workspace_id, view.id) is None


async def _effects(
    session: AsyncSession, view: SessionView, plan: PlanRef, counts: Mapping[EntityType, Mapping[Action, int]]
) -> tuple[tuple[Effect, ...], bool]:
    """Each strategy by the rules of the planner itself, on the first rows of each action, scaled up where there are more."""
    sums: dict[Strategy, Counter[Action]] = {strategy: Counter() for strategy in Strategy}
    exact, chosen = True, view.config.strategies
    differing = (Action.UPDATE, Action.CONFLICT, Action.SKIP)
    for entity in _having(view, *differing):
        whole = sum(counts[entity][action] for action in differing)
        looked = sum(min(_EFFECTS_OF, counts[entity][action]) for action in differing)
        scale = whole / looked
        exact = exact and whole == looked
        found: dict[Strategy, Counter[Action]] = {strategy: Counter() for strategy in Strategy}
        async for rows in store.compared(session, plan, entity, cap=_EFFECTS_OF):
            for strategy, tally in found.items():
                strategies = replace(chosen, default=strategy, by_entity={}, by_field={})
                tally.update(_tally(entity, strategies, rows))
        for strategy, tally in found.items():
            sums[strategy].update({action: round(count * scale) for action, count in tally.items()})
    pure = not chosen.by_entity and not chosen.by_field
    return tuple(
        Effect(
            strategy,
            updates=tally[Action.UPDATE],
            conflicts=tally[Action.CONFLICT],
            skips=tally[Action.SKIP] + tally[Action.UNCHANGED],
            is_chosen=pure and strategy is chosen.default,
        )
        for strategy, tally in sums.items()
    ), exact


def _tally(entity: EntityType, strategies: Strategies, rows: Sequence[Compared]) -> Counter[Action]:
    return Counter(_decided(entity, strategies, row) for row in rows)


def _decided(entity: EntityType, strategies: Strategies, row: Compared) -> Action:
    stored = Stored(
        record_id=row.record_id,
        row_version=row.row_version,
        local=row.local,
        base=row.base,
        deleted=row.record_deleted,
        linked=row.linked,
        observed_at=row.record_observed_at,
    )
    decision = decide(entity, strategies, stored, row.theirs or {}, deleted=row.deleted, observed_at=row.observed_at)
    return decision.action
