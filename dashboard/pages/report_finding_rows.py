"""What was found about a plan, as rows for the screen: checks, orphans, strategies, fields, reasons."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from dashboard.formatting import plural
from dashboard.pages.report_rows import rows_href
from sync_core.domain.vocabulary import Action, EntityType, ReasonCode
from sync_core.services.findings import Orphans
from sync_core.services.guardrails import FieldBar, Guardrail, Reason
from sync_core.services.plan_effects import LOOKED_AT as JUDGED
from sync_core.services.plan_effects import Effect, Effects
from sync_core.store.orphans import ITEMS
from sync_core.store.reports import LOOKED_AT


@dataclass(frozen=True, slots=True)
class RailRow:
    level: str
    name: str
    message: str
    href: str


@dataclass(frozen=True, slots=True)
class BarRow:
    """How it differs: ours was empty and is filled in, has another value, or is emptied. Widths are percentages of the field that differs
    most. `becomes` says what becomes of the rows.
    """

    key: str
    entity: str
    entity_label: str
    field: str
    label: str
    money: bool
    count: str
    filled: str
    replaced: str
    emptied: str
    widths: list[str]
    becomes: str
    updates: str
    conflicts: str
    skips: str


@dataclass(frozen=True, slots=True)
class EffectRow:
    label: str
    updates: str
    conflicts: str
    skips: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class ReasonRow:
    key: str
    entity: str
    action: str
    label: str
    count: str
    sample: str
    repair: str
    href: str


@dataclass(frozen=True, slots=True)
class LinkRow:
    label: str
    href: str


@dataclass(frozen=True, slots=True)
class OrphanRow:
    key: str
    objects: str
    what: str
    requests: str
    href: str


BARS_SHOWN = 40
REASONS_SHOWN = 30


def rail(session_id: str, one: Guardrail) -> RailRow:
    words = {"entity": one.entity, "action": one.action, "reason": one.reason, "field": one.field}
    address = rows_href(session_id, **words) if one.entity is not None and one.action is not None else ""
    address = rows_href(session_id, shared="email") if one.shared else address
    address = rows_href(session_id, told="stripe") if one.told else address
    return RailRow(one.level.value, one.name, one.message, address)


def orphan(session_id: str, one: Orphans) -> OrphanRow:
    parent = one.parent.singular if one.parent is not None else one.label.lower()
    return OrphanRow(
        key=f"{one.entity}.{one.field}",
        objects=f"{one.objects:,}",
        what=f"{one.entity.label} without {'a price of their items' if one.field == ITEMS else f'their {parent}'}",
        requests=plural(one.requests, "request"),
        href=rows_href(session_id, entity=one.entity, action=Action.ERROR, reason=ReasonCode.MISSING_PARENT),
    )


def bars(found: tuple[FieldBar, ...]) -> list[BarRow]:
    """Those that differ most, in their order."""
    most = max((bar.count for bar in found), default=1)
    least = sorted((bar.count for bar in found), reverse=True)[:BARS_SHOWN][-1:]
    shown = [bar for bar in found if bar.count >= least[0]][:BARS_SHOWN]

    def width(count: int) -> str:
        return f"{100 * count / most:.1f}%"

    return [
        BarRow(
            key=f"{bar.entity}.{bar.name}",
            entity=bar.entity.value,
            entity_label=bar.entity.label,
            field=bar.name,
            label=bar.label,
            money=bar.money,
            count=f"{bar.count:,}",
            filled=f"{bar.filled:,}",
            replaced=f"{bar.replaced:,}",
            emptied=f"{bar.emptied:,}",
            widths=[width(count) for count in (bar.filled, bar.replaced, bar.emptied)],
            becomes=_becomes(bar),
            updates=f"{bar.updates:,}",
            conflicts=f"{bar.conflicts:,}",
            skips=f"{bar.skips:,}",
        )
        for bar in shown
    ]


def bars_about(found: tuple[FieldBar, ...], *, is_whole: bool) -> str:
    said = "" if is_whole else f"Of the first {LOOKED_AT:,} rows of each kind. "
    said += f"The {BARS_SHOWN} that differ most, of {len(found):,}. " if len(found) > BARS_SHOWN else ""
    return said + "Choose a field to see its commonest changes."


def field_links(session_id: str, bar: BarRow) -> list[LinkRow]:
    """Where the rows are in which it differs, by what becomes of them."""
    counts = {Action.UPDATE: bar.updates, Action.CONFLICT: bar.conflicts, Action.SKIP: bar.skips}
    words = {Action.UPDATE: "updated", Action.CONFLICT: "to review", Action.SKIP: "left"}
    return [
        LinkRow(f"{count} {words[action]}", rows_href(session_id, entity=bar.entity, action=action, field=bar.field))
        for action, count in counts.items()
        if count != "0"
    ]


def among(session_id: str, found: tuple[Reason, ...]) -> list[LinkRow]:
    """What the matrix counts among others: what Stripe has deleted, and what lacks a parent. Errors are by field; here they are one."""
    counts: Counter[tuple[EntityType, Action, ReasonCode]] = Counter()
    for one in found:
        if one.code in _AMONG:
            counts[one.entity, one.action, one.code] += one.count
    return [
        LinkRow(
            f"{entity.label}: {count:,} {_AMONG[code]}, counted under {action.label.lower()}",
            rows_href(session_id, entity=entity, action=action, reason=code),
        )
        for (entity, action, code), count in sorted(counts.items(), key=lambda one: list(EntityType).index(one[0][0]))
    ]


_AMONG = {ReasonCode.DELETED_IN_STRIPE: "deleted in Stripe", ReasonCode.MISSING_PARENT: "without a parent"}


def _becomes(bar: FieldBar) -> str:
    named = [(bar.updates, "updated"), (bar.conflicts, "to review"), (bar.skips, "left")]
    return ", ".join(f"{count:,} {word}" for count, word in named if count)


def effects(found: Effects) -> list[EffectRow]:
    """None where nothing differs: there is nothing to choose between."""
    told = [one for one in found.rows if one.updates or one.conflicts or one.skips]
    return [_effect(one, sign="" if found.is_exact else "~") for one in told]


def _effect(one: Effect, *, sign: str) -> EffectRow:
    return EffectRow(
        label=one.strategy.label,
        updates=f"{sign}{one.updates:,}",
        conflicts=f"{sign}{one.conflicts:,}",
        skips=f"{sign}{one.skips:,}",
        chosen=one.is_chosen,
    )


def effects_about(found: Effects) -> str:
    said = "Of the records that exist here and differ; what is new is created under all of them."
    if not found.is_exact:
        said += f" Counted on {JUDGED:,} of each kind, and scaled up."
    if found.moved:
        verb = "has" if found.moved == 1 else "have"
        said += (
            f" {plural(found.moved, 'record')} that {verb} changed here since the plan was made {verb} no part in it."
        )
    return said


def reason(session_id: str, one: Reason) -> ReasonRow:
    return ReasonRow(
        key=f"{one.entity}/{one.action}/{one.code}/{one.field}",
        entity=one.entity.label,
        action=one.action.value,
        label=one.code.label,
        count=f"{one.count:,}" if one.is_whole else f"{one.count:,}+",
        sample=", ".join(one.sample[:3]),
        repair=one.repair,
        href=rows_href(session_id, entity=one.entity, action=one.action, reason=one.code),
    )


def reasons_about(count: int) -> str:
    return f"The {REASONS_SHOWN} commonest of {count:,}." if count > REASONS_SHOWN else ""
