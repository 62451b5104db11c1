"""From staged objects beside what is stored to a batch's plan, by the pure rules of `domain.merge`."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any
from uuid import UUID

from sync_core.domain.fields import Values
from sync_core.domain.mapping import describe
from sync_core.domain.merge import Decision, Stored, Strategies, decide
from sync_core.domain.vocabulary import Action, EntityType, ReasonCode, Strategy, SyncStatus
from sync_core.engine.context import Run
from sync_core.store.planning import Candidate, Item, Opened, Plan, Update


def guarded(strategies: Strategies) -> Strategies:
    """At least flag: what moved since a plan was made is never overwritten without a person."""

    def careful(one: Strategy) -> Strategy:
        return Strategy.FLAG if one is Strategy.OVERWRITE else one

    return replace(
        strategies,
        default=careful(strategies.default),
        by_entity={entity: careful(one) for entity, one in strategies.by_entity.items()},
        by_field={key: careful(one) for key, one in strategies.by_field.items()},
    )


def new_record_id() -> UUID:
    """UUIDv7 (RFC 9562): ordered by time, so that a bulk insert fills an index from its right end."""
    random = int.from_bytes(os.urandom(10), "big")
    milliseconds = time.time_ns() // 1_000_000
    return UUID(
        int=(milliseconds << 80)
        | (7 << 76)
        | ((random >> 68) & 0xFFF) << 64
        | (2 << 62)
        | (random & 0x3FFFFFFFFFFFFFFF)
    )


class Decider:
    """`unfit` are objects that the database refused, with its reason."""

    def __init__(self, run: Run, entity: EntityType) -> None:
        self._run = run
        self._entity = entity
        self._guarded = guarded(run.row.config.strategies)
        self.unfit: dict[str, str] = {}

    def plan(self, candidates: list[Candidate], after: int, claimed: set[UUID]) -> Plan:
        """What becomes of a batch that comes after that place. `claimed` are the records linked by email, to which its own are added."""
        plan = Plan(after=after, upto=after)
        for candidate in candidates:
            item = self._settle(candidate, plan, claimed)
            if item is None:
                break
            plan.items.append(item)
            plan.upto = candidate.seq
        return plan

    def _settle(self, found: Candidate, plan: Plan, claimed: set[UUID]) -> Item | None:
        """None when it is for the next batch: it links a record that this one marks as a conflict with another object."""
        error = self._error(found)
        if error is not None:
            return error
        if not found.differs:
            return Item(found.seq, found.external_id, Action.UNCHANGED, None, found.record_id, found.row_version)
        if found.record_id in claimed and not found.linked:
            found = replace(found, record_id=None)
        decision = self._decide(found)
        if found.record_id is None:
            new_id = None
            if decision.action is Action.CREATE:
                new_id = new_record_id()
                plan.creates[found.external_id] = (found.seq, new_id)
            # A dry run's plan names no record: there will be none until it is applied.
            named = None if self._run.row.config.dry_run else new_id
            return Item(found.seq, found.external_id, decision.action, decision.reason, named)
        if decision.link:
            if found.record_id in plan.marked:
                return None
            claimed.add(found.record_id)
        _carry_out(self._entity, found, decision, plan)
        return Item(
            found.seq,
            found.external_id,
            decision.action,
            decision.reason,
            found.record_id,
            found.row_version,
            decision.changed,
            _detail(found, decision, drifted=self._drifted(found)),
        )

    def _error(self, found: Candidate) -> Item | None:
        if found.issue is not None:
            return _unmapped(found, found.issue)
        if found.external_id in self.unfit:
            detail = {"field": None, "message": self.unfit[found.external_id]}
            return Item(found.seq, found.external_id, Action.ERROR, ReasonCode.WRITE_FAILED, detail=detail)
        if found.missing and not found.deleted:
            detail = {
                "field": found.missing[0],
                "message": f"its {' and '.join(found.missing)} could not be found or linked",
            }
            return Item(
                found.seq, found.external_id, Action.ERROR, ReasonCode.MISSING_PARENT, found.record_id, detail=detail
            )
        return None

    def _drifted(self, found: Candidate) -> bool:
        """Whether the record is no longer what the applied dry run saw."""
        return (
            found.planned_action is not None
            and found.record_id is not None
            and (found.planned_version != found.row_version)
        )

    def _decide(self, found: Candidate) -> Decision:
        stored = None
        if found.record_id is not None:
            assert found.row_version is not None
            assert found.local is not None
            stored = Stored(
                record_id=found.record_id,
                row_version=found.row_version,
                local=found.local,
                base=found.base,
                deleted=found.record_deleted,
                linked=found.linked,
                observed_at=found.record_observed_at,
                kept=found.status == SyncStatus.LOCAL_EDIT,
            )
        strategies = self._guarded if self._drifted(found) else self._run.row.config.strategies
        return decide(
            self._entity,
            strategies,
            stored,
            found.theirs or {},
            deleted=found.deleted,
            observed_at=found.observed_at,
        )


_STILL_HERE = "It is stored here, and Stripe knows it no longer."
_NOWHERE = "Stripe knows it no longer, and nothing of it is stored here: nothing is left to do."


def _unmapped(found: Candidate, issue: dict[str, Any]) -> Item:
    """What is gone is no error, unless a record of ours is one of it; one that is deleted here stands in nobody's way."""
    reason = ReasonCode(issue["reason"])
    if reason is not ReasonCode.GONE:
        action = Action.ERROR if reason.is_error else Action.SKIP
        return Item(found.seq, found.external_id, action, reason, detail=issue)
    if not found.linked or found.record_deleted:
        return Item(found.seq, found.external_id, Action.SKIP, reason, detail={"message": _NOWHERE})
    return Item(
        found.seq,
        found.external_id,
        Action.ERROR,
        reason,
        found.record_id,
        found.row_version,
        detail={"message": _STILL_HERE},
    )


def _carry_out(entity: EntityType, found: Candidate, decision: Decision, plan: Plan) -> None:
    """Turn a decision about a stored record into what is to be written."""
    assert found.record_id is not None
    assert found.row_version is not None
    if decision.action is Action.CONFLICT:
        _open_conflict(entity, found, decision, plan)
        return
    if decision.action is Action.UPDATE and decision.write is not None:
        status = (
            SyncStatus.LOCAL_EDIT
            if decision.base is not None and decision.write != decision.base
            else SyncStatus.SYNCED
        )
        plan.updates.append(
            Update(
                found.record_id,
                found.row_version,
                found.external_id,
                status,
                values=decision.write,
                base=decision.base,
                restore=decision.restore,
                observed_at=found.observed_at,
            )
        )
        if found.status == SyncStatus.CONFLICT:
            plan.settled[found.external_id] = found.record_id
        return
    wanted = _status_after(found, decision)
    if decision.adopt_base or decision.delete or (wanted is not found.status and wanted.value != found.status):
        plan.touches.append(
            Update(
                found.record_id,
                found.row_version,
                found.external_id,
                wanted,
                base=decision.base if decision.adopt_base else None,
                delete=decision.delete,
                observed_at=found.observed_at if decision.adopt_base or decision.delete else None,
            )
        )
    if found.status == SyncStatus.CONFLICT and wanted is not SyncStatus.CONFLICT:
        plan.settled[found.external_id] = found.record_id


def _status_after(found: Candidate, decision: Decision) -> SyncStatus:
    assert found.status is not None
    if decision.reason is ReasonCode.STALE or not found.linked:
        return SyncStatus(found.status)
    if decision.action is Action.UNCHANGED or decision.delete:
        return SyncStatus.SYNCED
    if decision.reason is ReasonCode.LOCAL_EDIT_KEPT:
        return SyncStatus.LOCAL_EDIT
    return SyncStatus(found.status)


def _open_conflict(entity: EntityType, found: Candidate, decision: Decision, plan: Plan) -> None:
    assert found.record_id is not None
    assert found.row_version is not None
    assert found.local is not None
    assert decision.reason is not None
    marked = found.status == SyncStatus.CONFLICT
    if marked:
        plan.standing[found.record_id] = found.row_version
    # Two objects may have the email of one record: it is marked once.
    elif found.record_id not in plan.marked:
        plan.marked.add(found.record_id)
        plan.touches.append(Update(found.record_id, found.row_version, found.external_id, SyncStatus.CONFLICT))
    plan.conflicts.append(
        Opened(
            record_id=found.record_id,
            external_id=found.external_id,
            label=describe(entity, found.local) or found.external_id,
            reason=decision.reason,
            fields=decision.conflicts,
            local=found.local,
            base=found.base,
            theirs=found.theirs or {},
            theirs_deleted=found.deleted,
            record_version=found.row_version + (0 if marked else 1),
            observed_at=found.observed_at,
        )
    )


def _detail(found: Candidate, decision: Decision, *, drifted: bool) -> dict[str, Any] | None:
    """What the report shows of it: [ours, Stripe's] per changed field."""
    local, theirs = found.local or {}, found.theirs or {}
    detail: dict[str, Any] = {}
    if decision.changed:
        detail["changes"] = {name: [_value(local, name), _value(theirs, name)] for name in decision.changed}
    if decision.conflicts:
        detail["conflicts"] = list(decision.conflicts)
    if drifted:
        detail["drifted"] = True
    return detail or None


def _value(values: Values, name: str) -> Any:
    return values.get(name)
