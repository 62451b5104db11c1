"""What a person should know about a plan before applying it: fields that differ, reasons, warnings, and what another strategy would do.

Read row by row, of the first rows of each entity type and action (`store.reports.LOOKED_AT`); `is_whole` says whether that was all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import FIELDS, JsonValue, Kind
from sync_core.domain.vocabulary import Action, EntityType, ReasonCode
from sync_core.errors import Refusal
from sync_core.services import plan_limits, sessions
from sync_core.services.actor import Actor, Permission
from sync_core.services.guardrails import FieldBar, Guardrail, Reason, guardrails
from sync_core.services.plan_effects import Effects, effects
from sync_core.services.record_views import value_text
from sync_core.services.report import FORBIDDEN, counts_of, field_label, plan_of
from sync_core.services.session_views import SessionView
from sync_core.store import reports as store
from sync_core.store import sessions as store_sessions
from sync_core.store.database import Database
from sync_core.store.orphans import ITEMS, OrphanCount, orphans
from sync_core.store.reports import DIFFERING, FieldCount, PlanRef, ReasonCount


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
    effects: Effects
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

    def shown(value: JsonValue, currency: str | None) -> str:
        return value_text(field, value, {"currency": currency}, actor.time_zone)

    return tuple(
        TransitionView(shown(one.ours, one.ours_currency), shown(one.theirs, one.theirs_currency), one.count)
        for one in found
    )


async def _look(session: AsyncSession, view: SessionView) -> Findings:
    plan, counts = plan_of(view), _counts(view)
    present = [one.progress.entity_type for one in view.entities]
    explained = [action for action in Action if action is not Action.UNCHANGED]
    found = _reasons(await store.reasons(session, plan, present, explained), counts)
    bars = _bars(await store.fields(session, plan, _having(view, *DIFFERING)))
    stands = await _stands(session, view, plan)
    limits = plan_limits.of((await store_sessions.defaults(session, view.workspace_id)).settings)
    return Findings(
        reasons=found,
        fields=bars,
        guardrails=await guardrails(session, view, bars, found, limits),
        effects=await effects(session, plan, view.config.strategies, counts) if stands else Effects(),
        orphans=_orphans(await orphans(session, plan, _having(view, Action.ERROR))),
        is_whole=all(counts[entity][action] <= store.LOOKED_AT for entity in present for action in DIFFERING),
    )


def _orphans(found: Iterable[OrphanCount]) -> tuple[Orphans, ...]:
    parents = {(entity, one.name): one.parent for entity in EntityType for one in FIELDS[entity]}
    parents[EntityType.SUBSCRIPTIONS, ITEMS] = EntityType.PRICES
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


# Amounts that are no whole minor units, or inside something else.
_AMOUNTS = ("unit_amount_decimal", "tiers", "custom_unit_amount", "currency_options")


def _bar(entity: EntityType, name: str, group: Sequence[FieldCount]) -> FieldBar:
    by_action: Counter[str] = Counter()
    for one in group:
        by_action[one.action] += one.count
    kinds = {one.name: one.kind for one in FIELDS[entity]}
    return FieldBar(
        entity=entity,
        name=name,
        label=field_label(entity, name),
        money=kinds.get(name) in (Kind.MONEY, Kind.CURRENCY) or name in _AMOUNTS,
        updates=by_action[Action.UPDATE],
        conflicts=by_action[Action.CONFLICT],
        skips=by_action[Action.SKIP],
        filled=sum(one.filled for one in group),
        emptied=sum(one.emptied for one in group),
    )


async def _stands(session: AsyncSession, view: SessionView, plan: PlanRef) -> bool:
    """Whether strategies can be told apart: once a plan is carried out, what is stored is what came of one of them. What it was about is
    forgotten some time later.
    """
    if not view.config.dry_run or not await store.is_kept(session, plan):
        return False
    return await store_sessions.applied_by(session, view.workspace_id, view.id) is None
