"""Many conflicts at once: previewed by a rule, settled exactly as previewed.

Work goes on a thousand rows a transaction. What changed since the preview is left out and listed, never overwritten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.conflict_rules import SENSITIVE, Rule, chosen, covers, moves_money
from sync_core.domain.fields import ALL_NAMES, FIELDS
from sync_core.domain.resolution import Outcome, Taken, settle
from sync_core.domain.vocabulary import Choice, ConflictStatus, EntityType, Ignoring, ReasonCode
from sync_core.errors import Refusal
from sync_core.services import conflict_ignoring
from sync_core.services.actor import Actor, Permission
from sync_core.services.conflict_building import pending_of
from sync_core.services.conflict_bulk_views import (
    BulkPreview,
    BulkResult,
    FieldEffect,
    NotCovered,
    Sample,
    SampleChange,
)
from sync_core.services.conflict_facets import FORBIDDEN
from sync_core.services.conflict_settling import settlement
from sync_core.services.conflict_timing import OUTDATED, outdated, sides_of, times_of, weigh
from sync_core.services.conflict_views import LeftOut
from sync_core.store import conflict_effects as effects
from sync_core.store import conflict_previews as previews
from sync_core.store import conflict_weighed as weighed
from sync_core.store import conflict_writes as writes
from sync_core.store.audit import record as audit
from sync_core.store.conflict_counts import cells
from sync_core.store.conflict_holding import Held, hold
from sync_core.store.conflict_query import Cell, ConflictQuery
from sync_core.store.conflicts import StoredConflict
from sync_core.store.database import Database

BATCH = 250
"""Settled or reopened in one transaction: few enough to hold nobody else's event up for more than 20 ms."""
_AT_ONCE = 100
SAMPLES, LARGEST = 20, 5
LISTED = 50
Progress = Callable[[int, int], Awaitable[None]]
"""Told after each transaction: rows done, rows in all."""

# What is deleted or restored of these changes what somebody pays.
_PAID_FOR = frozenset({EntityType.PRICES, EntityType.SUBSCRIPTIONS, EntityType.INVOICES})
NO_PREVIEW = Refusal("not_found", "There is no such preview in this workspace. Make a new one.", status=404)


async def bulk_preview(database: Database, actor: Actor, query: ConflictQuery, rule: Rule) -> BulkPreview | Refusal:
    """What `rule` would do to all that match. Nothing is decided by it."""
    if not actor.can(Permission.RESOLVE_CONFLICTS):
        return FORBIDDEN
    wrong = _wrong(query, rule) or conflict_ignoring.refused(actor, rule)
    if wrong is not None:
        return wrong
    query = query.by(actor.user_id)
    async with database.workspace(actor.workspace_id) as session:
        made = await previewed(session, actor, query, rule, await cells(session, actor.workspace_id, query))
        return await conflict_ignoring.crowded(session, actor, rule, made.rows) or made


async def previewed(
    session: AsyncSession, actor: Actor, query: ConflictQuery, rule: Rule, found: Sequence[Cell]
) -> BulkPreview:
    """A sealed preview of a rule over those of a query's conflicts that are in these cells."""
    covered, missing = coverage(found, rule)
    begun = sum(cell.count for cell in found if cell.chosen and not _why_open(cell, rule))
    preview_id = await previews.create(session, actor.workspace_id, actor.label, query.to_json())
    await previews.fill(session, actor.workspace_id, preview_id, query, covered)
    if rule.asks_times:
        unknown, begun = await weigh(session, actor.workspace_id, preview_id, rule)
        missing += unknown
    return await seal(session, actor, preview_id, rule, missing, begun)


def _wrong(query: ConflictQuery, rule: Rule) -> Refusal | None:
    if query.status is not ConflictStatus.OPEN:
        return Refusal("not_open", "Only open conflicts can be settled.", field="status")
    return misstated(rule)


def misstated(rule: Rule) -> Refusal | None:
    """Why a rule makes no sense, whatever it is for."""
    if Choice.CUSTOM in (rule.take, rule.record, *rule.fields.values()):
        return Refusal("rule_invalid", "An own value is set record by record.", field="rule")
    if isinstance(rule.take, Ignoring):
        return Refusal("rule_invalid", "Name the fields that are to be ignored.", field="rule")
    if rule.take is None and rule.record is None and not rule.fields:
        return Refusal("rule_invalid", "Say which side to take.", field="rule")
    unknown = [name for name in rule.fields if name not in ALL_NAMES]
    if unknown:
        return Refusal("rule_invalid", f"There is no field {unknown[0]!r}.", field="rule")
    if rule.record not in (None, Choice.LOCAL, Choice.STRIPE):
        return Refusal("rule_invalid", "A record can be kept as it is here or follow Stripe.", field="rule")
    return None


def coverage(found: Sequence[Cell], rule: Rule) -> tuple[list[previews.Covered], tuple[NotCovered, ...]]:
    """The kinds of conflicts among these that a rule settles, and how many it leaves open for which reason."""
    covered, missing = set[previews.Covered](), dict[str, int]()
    for cell in found:
        why = _why_open(cell, rule)
        if why:
            missing[why] = missing.get(why, 0) + cell.count
        else:
            kind = previews.Covered(
                cell.entity_type, cell.reason_code, tuple(cell.fields), tuple(cell.transitions), cell.customer.value
            )
            covered.add(kind)
    return list(covered), tuple(NotCovered(why, rows) for why, rows in missing.items())


def _why_open(cell: Cell, rule: Rule) -> str:
    return covers(rule, ReasonCode(cell.reason_code), cell.fields, cell.transitions)


async def seal(
    session: AsyncSession,
    actor: Actor,
    preview_id: UUID,
    rule: Rule,
    missing: tuple[NotCovered, ...],
    begun: int = 0,
) -> BulkPreview:
    """Count a filled preview, sample it, and give it its hash. `begun` of its conflicts have choices that the rule replaces."""
    rows = await previews.entities(session, actor.workspace_id, preview_id)
    not_covered = {one.reason: one.rows for one in missing}
    summary = {"rows": sum(rows.values()), "not_covered": not_covered, "begun": begun}
    sealed = await previews.finish(session, actor.workspace_id, preview_id, rule.to_json(), summary)
    return await reading(session, actor, preview_id, rule, missing, sealed, begun)


async def reading(
    session: AsyncSession,
    actor: Actor,
    preview_id: UUID,
    rule: Rule,
    missing: tuple[NotCovered, ...],
    sealed: str,
    begun: int,
) -> BulkPreview:
    """A sealed preview as it is shown."""
    workspace = actor.workspace_id
    rows = await previews.entities(session, workspace, preview_id)
    counts = [
        one
        for entity in rows
        for one in await effects.count_fields(session, workspace, preview_id, entity, rule, rule.fields)
    ]
    sides = await weighed.sides(session, workspace, preview_id) if rule.asks_times else {}
    changed = [await effects.moved_on(session, workspace, preview_id, entity) for entity in rows]
    seqs = await effects.largest(session, workspace, preview_id, LARGEST)
    found = await previews.samples(session, workspace, preview_id, sum(rows.values()), SAMPLES - len(seqs), seqs)
    return BulkPreview(
        id=preview_id,
        hash=sealed,
        rows=sum(rows.values()),
        entities=rows,
        fields=tuple(_effect(one, rule, sides.get((one.entity, one.name), {})) for one in counts),
        samples=tuple(
            _sample(stored, own, rule, largest=seq in seqs)
            for seq, own, stored in sorted(found, key=lambda one: one[0] not in seqs)
        ),
        not_covered=missing,
        rule=rule,
        begun=begun,
        changed=sum(changed),
    )


def _effect(count: effects.FieldCount, rule: Rule, sides: Mapping[Choice, int]) -> FieldEffect:
    named = next(one for one in FIELDS[count.entity] if one.name == count.name)
    return FieldEffect(
        count.entity,
        count.name,
        named.label,
        rule.of(count.name),
        count.rows,
        count.transitions,
        named.name in SENSITIVE,
        count.written,
        sides,
    )


def _sample(stored: StoredConflict, own: Mapping[str, Any] | None, rule: Rule, *, largest: bool) -> Sample:
    dispute = stored.dispute
    outcome = settle(dispute, _choices(stored, own, rule), deleted=dispute.reason is ReasonCode.DELETED_HERE)
    after = outcome.values if isinstance(outcome, Outcome) else dispute.local
    changes = [
        SampleChange(one.name, one.label, dispute.local.get(one.name), after.get(one.name))
        for one in FIELDS[dispute.entity]
        if one.name in dispute.differing and dispute.local.get(one.name) != after.get(one.name)
    ]
    currency = dispute.theirs.get("currency")
    return Sample(
        stored.id,
        dispute.entity,
        stored.label or stored.external_id,
        currency if isinstance(currency, str) else None,
        tuple(changes),
        _fate(dispute.reason, outcome) if isinstance(outcome, Outcome) else outcome.message,
        largest,
        times_of(dispute.entity, own) if rule.asks_times else (),
    )


def _fate(reason: ReasonCode, outcome: Outcome) -> str:
    match reason:
        case ReasonCode.EMAIL_MATCH:
            return (
                "linked to Stripe's customer" if outcome.link else "kept apart, Stripe's customer becomes a new record"
            )
        case ReasonCode.DELETED_HERE:
            return "stays deleted here" if outcome.deleted else "restored"
        case ReasonCode.DELETED_IN_STRIPE:
            return "deleted here too" if outcome.deleted else "kept, though deleted in Stripe"
        case _:
            return ""


def _choices(stored: StoredConflict, own: Mapping[str, Any] | None, rule: Rule) -> dict[str, Taken]:
    if rule.asks_times:
        return chosen(stored.dispute, rule, sides_of(own))
    return pending_of(own) if own is not None else chosen(stored.dispute, rule)


async def bulk_resolve(
    database: Database, actor: Actor, preview_id: UUID, hash_: str, *, progress: Progress | None = None
) -> BulkResult | Refusal:
    """Settle what the preview shows, and nothing that has changed since."""
    if not actor.can(Permission.RESOLVE_CONFLICTS):
        return FORBIDDEN
    async with database.workspace(actor.workspace_id) as session:
        preview = await previews.read(session, actor.workspace_id, preview_id)
        refused = _unusable(preview, hash_)
        if refused is not None:
            return refused
        assert preview is not None
        rule, rows = Rule.from_json(preview.rule), int(preview.summary.get("rows", 0))
        barred = await _begun(session, actor, preview, rule, rows)
        if barred is not None:
            return barred
    await database.refresh_statistics(["payment_sync_conflict_preview_items"], rows)
    await _Work(database, actor, preview_id, rule).run(rows, progress)
    return await _result(database, actor, preview_id)


async def _begun(
    session: AsyncSession, actor: Actor, preview: previews.StoredPreview, rule: Rule, rows: int
) -> Refusal | None:
    """The preview taken for applying, and what its rule has ignored noted with it; or why not."""
    barred = conflict_ignoring.refused(actor, rule)
    if barred is None and preview.applied_at is None:
        barred = await conflict_ignoring.crowded(session, actor, rule, rows)
    if barred is not None:
        return barred
    if not await previews.start(session, actor.workspace_id, preview.id):
        return Refusal("already_applied", "This preview has been applied already.", status=409)
    details = {"rule": preview.rule, "rows": rows}
    target = str(preview.id)
    await audit(session, actor.workspace_id, actor.label, "conflict.bulk_resolved", target=target, details=details)
    await conflict_ignoring.note_previewed(session, actor, rule, preview.id)
    return None


def _unusable(preview: previews.StoredPreview | None, hash_: str) -> Refusal | None:
    if preview is None:
        return NO_PREVIEW
    if preview.hash != hash_:
        return Refusal("hash_differs", "That is not the preview that was made: look at it again.", status=409)
    if preview.expired:
        return Refusal("expired", f"A preview holds for {previews.VALID_HOURS} hours: make a new one.", status=409)
    return None


async def stop(database: Database, actor: Actor, preview_id: UUID) -> Refusal | None:
    """End a batch after the rows in hand. What is settled stays settled; `bulk_resolve` goes on with the rest."""
    if not actor.can(Permission.RESOLVE_CONFLICTS):
        return FORBIDDEN
    async with database.workspace(actor.workspace_id) as session:
        stopped = await previews.stop(session, actor.workspace_id, preview_id)
    return None if stopped else Refusal("not_running", "Nobody is applying it.", status=409)


async def _result(database: Database, actor: Actor, preview_id: UUID) -> BulkResult:
    async with database.workspace(actor.workspace_id) as session:
        resolved, left, waiting = await previews.tally(session, actor.workspace_id, preview_id)
        came = {"resolved": resolved, "left_out": left, "waiting": waiting}
        await previews.note_result(session, actor.workspace_id, preview_id, came)
    listed = await bulk_left_out(database, actor, preview_id)
    return BulkResult(preview_id, resolved, left, listed, waiting)


async def bulk_left_out(
    database: Database, actor: Actor, preview_id: UUID, *, after: int = 0, limit: int = LISTED
) -> tuple[LeftOut, ...]:
    """What an applied preview did not touch, in its order, beyond the item `after`."""
    async with database.workspace(actor.workspace_id) as session:
        found = await previews.left_out(session, actor.workspace_id, preview_id, after=after, size=limit)
    return tuple(LeftOut(conflict_id, label, why) for _, conflict_id, label, why in found)


@dataclass(frozen=True, slots=True)
class _Work:
    """A preview being applied."""

    database: Database
    actor: Actor
    preview_id: UUID
    rule: Rule

    async def run(self, rows: int, progress: Progress | None) -> None:
        """Ends between two transactions when somebody asks for it."""
        after = 0
        while items := await self._next(after):
            await self._settle(items)
            after = items[-1].seq
            if progress is not None:
                await progress(after, rows)
        # What somebody held while it was passed: once more, then it is left out.
        while items := await self._next(0):
            await self._settle(items, last=True)

    async def _next(self, after: int) -> list[previews.Item]:
        async with self.database.workspace(self.actor.workspace_id, by_key=True) as session:
            if not await previews.go_on(session, self.actor.workspace_id, self.preview_id):
                return []
            return await previews.waiting(session, self.actor.workspace_id, self.preview_id, after=after, size=BATCH)

    async def _settle(self, items: Sequence[previews.Item], *, last: bool = False) -> None:
        """All of them in one transaction; where the database refuses a row's values, it is found by halving."""
        try:
            async with self.database.workspace(self.actor.workspace_id, by_key=True) as session:
                outcomes = await self._attempt(session, items)
                if last:
                    outcomes = {item.seq: "Somebody else was writing it." for item in items} | outcomes
                await previews.note_outcomes(session, self.actor.workspace_id, self.preview_id, outcomes)
        except (psycopg.DataError, psycopg.IntegrityError) as unfit:
            if len(items) > 1:
                half = len(items) // 2
                await self._settle(items[:half], last=last)
                await self._settle(items[half:], last=last)
                return
            why = f"The database refuses these values: {unfit.diag.message_primary}"
            async with self.database.workspace(self.actor.workspace_id) as session:
                await previews.note_outcomes(session, self.actor.workspace_id, self.preview_id, {items[0].seq: why})

    async def _attempt(self, session: AsyncSession, items: Sequence[previews.Item]) -> dict[int, str]:
        """The outcome of each item by its seq; what is locked by somebody else has none yet. Several about one record are settled one
        after the other, each from what the one before left.
        """
        entity = EntityType(items[0].entity_type)
        ids = [item.conflict_id for item in items]
        held = {
            one.conflict.id: one for one in await hold(session, self.actor.workspace_id, entity, ids, skip_locked=True)
        }
        stale = await outdated(session, self.actor.workspace_id, self.preview_id, self.rule, items)
        settlements, outcomes = dict[UUID, writes.Settlement](), dict[int, str]()
        later = list[previews.Item]()
        for place, item in enumerate(items):
            if place % _AT_ONCE == _AT_ONCE - 1:
                # Everybody else's turn.
                await asyncio.sleep(0)
            found = held.get(item.conflict_id)
            if found is None:
                continue
            if found.record.record_id in settlements:
                later.append(item)
                continue
            settled = self._planned(found, item, stale)
            if isinstance(settled, Refusal):
                outcomes[item.seq] = settled.message
            else:
                settlements[found.record.record_id] = settled
                outcomes[item.seq] = previews.RESOLVED
        if settlements:
            await writes.settle(
                session,
                self.actor.workspace_id,
                entity,
                list(settlements.values()),
                actor=self.actor.label,
                batch_id=self.preview_id,
            )
            await conflict_ignoring.note_here(session, self.actor, self.rule, entity, list(settlements))
        return outcomes | (await self._attempt(session, later) if later else {})

    def _planned(self, found: Held, item: previews.Item, stale: Collection[int]) -> writes.Settlement | Refusal:
        made = _choices(found.conflict, item.choices, self.rule)
        planned = self._allowed(settlement(found, made, item.revision))
        return OUTDATED if item.seq in stale and not isinstance(planned, Refusal) else planned

    def _allowed(self, planned: writes.Settlement | Refusal) -> writes.Settlement | Refusal:
        """A rule that leaves money to people writes no sensitive field, also none that would have merged by itself."""
        if self.rule.money or isinstance(planned, Refusal):
            return planned
        before = planned.held.record
        gone = planned.after.deleted is not before.deleted and planned.held.conflict.entity_type in _PAID_FOR
        if gone or moves_money(before.local, planned.after.values):
            return Refusal("money", "It would change what somebody pays, which this rule leaves to people.")
        return planned
