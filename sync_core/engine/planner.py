"""Plan and apply: batch by batch, what is staged against what is stored, by the pure rules of `domain.merge`."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import Values
from sync_core.domain.mapping import describe
from sync_core.domain.merge import Decision, Stored, Strategies, decide
from sync_core.domain.vocabulary import Action, EntityType, ReasonCode, Strategy, SyncStatus
from sync_core.engine.context import Run, log
from sync_core.engine.failpoints import hit
from sync_core.engine.tasks import together
from sync_core.errors import TransientError
from sync_core.store.patience import TOO_LARGE, heed_cancel
from sync_core.store.planning import BatchMoved, Candidate, Item, Opened, Plan, Update, read_batch, write_plan
from sync_core.store.related import claimed_records
from sync_core.store.run_state import read_entities

BATCH = 1_000
_MOST_MOVES = 30
_END = 2**62
_NOWHERE = (-1, -1, -1)

_RUN_TABLES = ("payment_sync_staged_objects", "payment_sync_plan_items")
_UNFIT = (psycopg.DataError, psycopg.IntegrityError, TOO_LARGE)


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


class Planner:
    """Plans one entity type from its watermark on, all of it or `only` some. In a real run each batch is applied as it is planned."""

    def __init__(
        self,
        run: Run,
        entity: EntityType,
        planned_seq: int,
        planned: int = 0,
        *,
        only: Sequence[str] | None = None,
    ) -> None:
        self._run = run
        self._entity = entity
        self._seq = planned_seq
        self._planned = planned
        self._size = BATCH
        self._look_at = planned + 1
        self._moves = 0
        self._unfit: dict[str, str] = {}
        self._claimed: set[UUID] | None = None
        self._guarded = guarded(run.row.config.strategies)
        self._only = only
        self._last_read: list[Candidate] = []
        self._read_ahead: tuple[tuple[int, int, int], list[Candidate]] = (_NOWHERE, [])

    @property
    def planned_seq(self) -> int:
        return self._seq

    async def work(self, more: asyncio.Event, complete: asyncio.Event, landed_seq: Callable[[], int]) -> None:
        """Plan while objects land, until `complete` says that no more will; then to the end. `more` wakes it."""
        while not complete.is_set():
            more.clear()
            # Places are gone without an object in them when one came twice: a full count is no promise of a batch.
            left = landed_seq() - self._seq
            if left >= BATCH and await self.batch(ahead=left >= 2 * BATCH):
                continue
            # What was read ahead grows old while there is nothing to do.
            self._read_ahead = _NOWHERE, []
            waiting = [asyncio.create_task(more.wait()), asyncio.create_task(complete.wait())]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
        await self.drain()

    async def drain(self, until: int = _END) -> None:
        """To the end of the queue, or to this place in it."""
        while self._seq < until and await self.batch(until, ahead=True):
            pass

    async def batch(self, until: int = _END, *, ahead: bool = False) -> int:
        """Plan the next batch in one transaction; the number of objects it held, 0 when there is none up to `until`.

        `ahead` reads the one after it meanwhile. What this one writes does not bear on that: a record is written on condition of the
        version that was read, and whom a batch has linked is known to the next one.
        """
        if self._claimed is None:
            self._claimed = await self._run.write(
                lambda session: claimed_records(session, self._run.scope, self._entity)
            )
        self._last_read = await self._next(until)
        if not self._last_read:
            return 0
        try:
            done, upto = await self._write(until, ahead=ahead)
        except BatchMoved as moved:
            self._yield(moved)
            entities = await self._run.write(
                lambda session: read_entities(session, self._run.held.workspace_id, self._run.held.session_id)
            )
            self._seq, self._planned = entities[self._entity].planned_seq, entities[self._entity].planned
            self._claimed = None
            return 1
        except (*_UNFIT, DBAPIError) as unfit:
            self._put_aside(unfit)
            return 1
        hit("plan.after_commit")
        self._moves = 0
        self._seq, self._size = upto, min(BATCH, self._size * 2)
        self._planned += done
        if self._planned >= self._look_at:
            await self._refresh_statistics()
            self._look_at = self._planned * 8
        self._run.tally.planned += done
        return done

    async def _refresh_statistics(self) -> None:
        tables = [self._entity.value, *_RUN_TABLES]
        try:
            await self._run.database.refresh_statistics(tables, self._planned)
        except DBAPIError as failed:
            heed_cancel()
            # They make the run quick, not right.
            log.warning("statistics.not_refreshed", error=str(failed.orig))

    async def _next(self, until: int) -> list[Candidate]:
        place, found = self._read_ahead
        self._read_ahead = _NOWHERE, []
        return found if place == (self._seq, until, self._size) else await self._read(self._seq, until)

    async def _read(self, after: int, until: int) -> list[Candidate]:
        def read(session: AsyncSession) -> Awaitable[list[Candidate]]:
            return read_batch(
                session, self._run.scope, self._entity, after=after, until=until, size=self._size, only=self._only
            )

        return await self._run.write(read, by_key=True)

    async def _write(self, until: int, *, ahead: bool) -> tuple[int, int]:
        candidates, claimed = self._last_read, set(self._claimed or ())
        plan = self._plan(candidates, claimed)

        async def write() -> None:
            await self._run.write(lambda session: self._write_plan(session, plan), by_key=True)
            self._claimed = claimed

        async def look() -> None:
            place = (plan.upto, until, self._size)
            self._read_ahead = place, await self._read(plan.upto, until)

        await together(write(), *([look()] if ahead and len(candidates) == self._size == BATCH else []))
        return len(plan.items), plan.upto

    async def _write_plan(self, session: AsyncSession, plan: Plan) -> None:
        hit("plan.before_write")
        await write_plan(session, self._run.scope, self._entity, plan)
        hit("plan.before_commit")

    def _yield(self, moved: BatchMoved) -> None:
        """Whoever writes the same records is met less often with a smaller batch; one that moves for ever is no reason to go on."""
        self._moves += 1
        if self._moves > _MOST_MOVES:
            raise TransientError(f"records were changed as fast as they were planned: {moved}") from moved
        self._size = max(1, self._size // 2)

    def _put_aside(self, unfit: Exception) -> None:
        """A batch that the database refuses is halved until the one that does not fit stands alone; it becomes an error."""
        cause = unfit.orig if isinstance(unfit, DBAPIError) else unfit
        if not isinstance(cause, _UNFIT):
            raise unfit
        if self._size > 1:
            self._size //= 2
            return
        candidate = self._last_read[0]
        if candidate.external_id in self._unfit:
            raise unfit
        self._unfit[candidate.external_id] = str(cause).splitlines()[0]

    def _plan(self, candidates: list[Candidate], claimed: set[UUID]) -> Plan:
        plan = Plan(after=self._seq, upto=self._seq)
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
            reason = ReasonCode(found.issue["reason"])
            action = Action.ERROR if reason.is_error else Action.SKIP
            return Item(found.seq, found.external_id, action, reason, detail=found.issue)
        if found.external_id in self._unfit:
            detail = {"field": None, "message": self._unfit[found.external_id]}
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
    # Two objects may have the email of one record: it is marked once.
    if not marked and found.record_id not in plan.marked:
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
