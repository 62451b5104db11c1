"""Checks of a plan that make a person look twice: many updates, money, cancellations, deletions, orphans, duplicates, the wrong mode, clocks
apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.vocabulary import Action, EntityType, ReasonCode
from sync_core.services.plan_limits import Limits
from sync_core.services.report import MatrixRow, counts_of, plan_of
from sync_core.services.session_views import SessionView
from sync_core.store import connections, plan_told, plan_twins
from sync_core.store import reports as store


@dataclass(frozen=True, slots=True)
class Reason:
    """Why rows got their action. `repair` says what to do about errors; `is_whole` is False when there may be more."""

    entity: EntityType
    action: Action
    code: ReasonCode
    field: str
    count: int
    sample: tuple[str, ...]
    message: str
    repair: str
    is_whole: bool


@dataclass(frozen=True, slots=True)
class FieldBar:
    """How often a field differs, and how: `filled` ours was empty, `emptied` Stripe's is, the rest are other values."""

    entity: EntityType
    name: str
    label: str
    money: bool
    updates: int
    conflicts: int
    skips: int
    filled: int
    emptied: int

    @property
    def count(self) -> int:
        return self.updates + self.conflicts + self.skips

    @property
    def replaced(self) -> int:
        return self.count - self.filled - self.emptied


class Level(StrEnum):
    OK = "ok"
    NOTE = "note"
    WARN = "warn"


@dataclass(frozen=True, slots=True)
class Guardrail:
    """One check of the plan, and where its rows are: what `report.LineQuery` asks for."""

    name: str
    level: Level
    message: str
    entity: EntityType | None = None
    action: Action | None = None
    field: str | None = None
    reason: ReasonCode | None = None
    shared: bool = False
    told: bool = False


async def guardrails(
    session: AsyncSession,
    view: SessionView,
    bars: Sequence[FieldBar],
    reasons: Sequence[Reason],
    limits: Limits,
) -> tuple[Guardrail, ...]:
    """Every check, the passed ones too: a person should see that they were made."""
    return (
        *_shares(view, limits),
        *money(bars, limits),
        *await _canceled(session, view, limits),
        *_deleted(reasons),
        *orphaned(reasons),
        *await _twice(session, view, limits),
        *await _mode(session, view),
        *await _told(session, view),
        *clocks(view.stats.get("clock_skew")),
    )


def _shares(view: SessionView, limits: Limits) -> list[Guardrail]:
    """Updates of many of the records that exist are worth a second look."""
    rails = []
    for one in view.entities:
        row = MatrixRow(one.progress.entity_type, one.requested, counts_of(one.progress), one.progress.processed)
        share, updates = row.share, row.counts[Action.UPDATE]
        if share is None or not updates:
            continue
        level = Level.WARN if 100 * share > limits.share_updated else Level.OK
        message = f"{updates:,} of {row.existing:,} {row.entity.value} that are here already change ({share:.0%})."
        rails.append(Guardrail("Share updated", level, message, row.entity, Action.UPDATE))
    return rails or [Guardrail("Share updated", Level.OK, "No record that is here already is written over.")]


def money(bars: Sequence[FieldBar], limits: Limits) -> list[Guardrail]:
    rails = []
    for bar in bars:
        if not bar.money or not (bar.updates or bar.conflicts) or _is_told(bar, bars):
            continue
        action = Action.UPDATE if bar.updates else Action.CONFLICT
        written = f"{bar.updates:,} written" if bar.updates else f"{bar.conflicts:,} to review"
        message = f"{bar.label} of {bar.entity.value} changes: {written}."
        level = Level.WARN if bar.updates >= limits.money else Level.NOTE
        rails.append(Guardrail("Money", level, message, bar.entity, action, bar.name))
    return rails or [Guardrail("Money", Level.OK, "No amount and no currency changes.")]


# One amount in two fields: in whole minor units, and exactly. The exact one changes below a minor unit too.
_TWINS = {"unit_amount_in_pennies": "unit_amount_decimal", "unit_amount_decimal": "unit_amount_in_pennies"}


def _is_told(bar: FieldBar, bars: Sequence[FieldBar]) -> bool:
    """Whether the bar's twin warns of the same changes: the one with more of them, or else the amount in minor units."""
    twin = next((one for one in bars if one.entity is bar.entity and one.name == _TWINS.get(bar.name)), None)
    if twin is None:
        return False
    mine, others = (bar.updates, bar.conflicts), (twin.updates, twin.conflicts)
    return others > mine or (others == mine and bar.name == "unit_amount_decimal")


_ENDED = ("canceled", "expired")
# More than there are pairs of a subscription's states.
_ALL_PAIRS = 1_000


async def _canceled(session: AsyncSession, view: SessionView, limits: Limits) -> list[Guardrail]:
    entity = EntityType.SUBSCRIPTIONS
    counts = next((counts_of(one.progress) for one in view.entities if one.progress.entity_type is entity), None)
    updates = 0 if counts is None else counts[Action.UPDATE]
    plan, only = plan_of(view), [Action.UPDATE]
    found = await store.transitions(session, plan, entity, "status", actions=only, limit=_ALL_PAIRS) if updates else []
    canceled = sum(one.count for one in found if one.theirs in _ENDED and one.ours not in _ENDED)
    if not canceled:
        return [Guardrail("Cancellations", Level.OK, "No subscription ends by this plan.")]
    share = canceled / max(1, sum((counts or {}).values()))
    level = Level.WARN if 100 * share > limits.canceled else Level.NOTE
    plural = "s end" if canceled != 1 else " ends"
    at_least = "At least " if updates > store.LOOKED_AT else ""
    message = f"{at_least}{canceled:,} subscription{plural} ({share:.0%} of those read)."
    return [Guardrail("Cancellations", level, message, entity, Action.UPDATE, "status")]


def _deleted(found: Iterable[Reason]) -> list[Guardrail]:
    gone = [one for one in found if one.code is ReasonCode.DELETED_IN_STRIPE and one.action is Action.UPDATE]
    return [
        Guardrail(
            "Deletions",
            Level.WARN,
            f"{one.count:,} {one.entity.value} deleted in Stripe are marked as deleted here."
            if one.count != 1
            else f"1 {one.entity.singular} deleted in Stripe is marked as deleted here.",
            one.entity,
            Action.UPDATE,
            reason=one.code,
        )
        for one in gone
    ] or [Guardrail("Deletions", Level.OK, "Nothing is marked as deleted.")]


def orphaned(found: Iterable[Reason]) -> list[Guardrail]:
    """They only stay out: what is in the plan is not the worse for it."""
    counts: Counter[EntityType] = Counter()
    for one in found:
        if one.code is ReasonCode.MISSING_PARENT:
            counts[one.entity] += one.count
    return [
        Guardrail(
            "Orphans",
            Level.NOTE,
            f"1 {entity.singular} names a parent that is not here, and stays out."
            if count == 1
            else f"{count:,} {entity.value} name a parent that is not here, and stay out.",
            entity,
            Action.ERROR,
            reason=ReasonCode.MISSING_PARENT,
        )
        for entity in EntityType
        if (count := counts[entity])
    ] or [Guardrail("Orphans", Level.OK, "Every object's parents are here or come along.")]


async def _twice(session: AsyncSession, view: SessionView, limits: Limits) -> list[Guardrail]:
    present = any(one.progress.entity_type is EntityType.CUSTOMERS for one in view.entities)
    found = await plan_twins.emails_twice(session, plan_of(view)) if present else []
    if not found:
        return [Guardrail("Duplicates", Level.OK, "No two customers have the same email.")]
    most = found[0]
    emails = "email is" if len(found) == 1 else "emails are"
    message = f"{len(found):,} {emails} shared by several customers; {most.email} by {most.count:,}."
    level = Level.WARN if len(found) >= limits.duplicates else Level.NOTE
    return [Guardrail("Duplicates", level, message, EntityType.CUSTOMERS, shared=True)]


async def _mode(session: AsyncSession, view: SessionView) -> list[Guardrail]:
    """A test account's objects among live records, or the other way round."""
    active: Any = await connections.active(session, view.workspace_id)
    if active is None or active.id != view.connection_id:
        return []
    if not await store.has_records_of_mode(session, view.workspace_id, livemode=not active.livemode):
        word = "live" if active.livemode else "test"
        return [Guardrail("Mode", Level.OK, f"Every record here that came from Stripe is of its {word} side.")]
    ours, theirs = ("test", "live") if active.livemode else ("live", "test")
    message = f"This workspace holds {ours} records, and this plan brings in {theirs} ones."
    return [Guardrail("Mode", Level.WARN, message)]


async def _told(session: AsyncSession, view: SessionView) -> list[Guardrail]:
    """What Stripe has sent since it was read. Where no webhook events come nothing is known, and nothing said."""
    active: Any = await connections.active(session, view.workspace_id)
    since = view.read_at
    if not view.has_plan or since is None or active is None or active.webhook_ciphertext is None:
        return []
    count = await plan_told.count(session, plan_of(view), since)
    if not count:
        return [Guardrail("Changes in Stripe", Level.OK, "No webhook event tells of a change in Stripe since.")]
    told = "an object in this plan has" if count == 1 else f"{count:,} objects in this plan have"
    message = f"By Stripe's webhook events {told} changed there since. A new dry run takes that in; this plan does not."
    return [Guardrail("Changes in Stripe", Level.NOTE, message, told=True)]


# Answers are seconds on their way; what people read off two clocks differs by that much anyway.
_CLOCKS_APART = 120


def clocks(skew: float | None) -> list[Guardrail]:
    """Stripe's clock and the database's, as they stood when the range was frozen; `skew` is None of runs that did not note it."""
    if skew is None:
        return []
    if abs(skew) <= _CLOCKS_APART:
        return [Guardrail("Clocks", Level.OK, "Stripe's clock and this database's agree.")]
    apart, side = round(abs(skew) / 60), "ahead of" if skew > 0 else "behind"
    message = (
        f"Stripe's clock is {apart:,} minutes {side} this database's. No object is lost by it: what belongs to a sync is decided by"
        " Stripe's clock alone. Yet times from here and from Stripe do not compare: set the clock of the database's machine."
    )
    return [Guardrail("Clocks", Level.WARN, message)]
