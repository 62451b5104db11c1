"""A run as screens and REST show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sync_core.domain.fields import ORDER
from sync_core.domain.progress import EntityProgress
from sync_core.domain.vocabulary import EntityType, EventType, Phase, SessionStatus, SessionType
from sync_core.store.runs import RunConfig
from sync_core.store.sessions import ReasonCount, StoredEntityRun, StoredEvent, StoredSession

_ENDED_WITH_PLAN = (SessionStatus.COMPLETED, SessionStatus.PARTIAL)
_STOPPED = (SessionStatus.CANCELLED, SessionStatus.FAILED)


def stays(written: int, *, dry_run: bool) -> str:
    """What becomes of the records of a run that is stopped before its end."""
    if dry_run:
        return "A dry run writes no records: nothing has to be undone."
    if not written:
        return "No record has been written yet."
    return f"{written:,} records already written stay." if written != 1 else "1 record already written stays."


@dataclass(frozen=True, slots=True)
class EntityView:
    """`verified` is the verify phase's finding; `requested` is False for parents that came along."""

    progress: EntityProgress
    requested: bool
    requests: int
    verified: dict[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        shown = self.progress.to_json()
        if shown["last_error"] is None:
            del shown["last_error"]
        return {**shown, "requested": self.requested, "requests": self.requests, "verified": self.verified}


@dataclass(frozen=True, slots=True)
class SessionView:
    """`number` is the run's in its workspace, and that of its plan. Times are epoch seconds; `queued` is the exact one, by which runs are ordered as lists order them.

    `stats` are the heartbeat's figures: requests, throttled, caps, resume_at, beat_at.
    """

    id: UUID
    workspace_id: UUID
    number: int
    source_number: int | None
    session_type: SessionType
    status: SessionStatus
    phase: Phase
    config: RunConfig
    entities: tuple[EntityView, ...]
    stats: dict[str, Any]
    error_summary: dict[str, Any] | None
    connection_id: UUID | None
    source_session_id: UUID | None
    range_start: int | None
    ceiling: int | None
    cancel_requested: bool
    created_by: str
    started_at: int | None
    completed_at: int | None
    created_at: int
    updated_at: int
    queued: datetime
    plan_hash: str
    approved_hash: str
    approved_by: str
    approved_at: int | None

    @property
    def has_plan(self) -> bool:
        """A dry run that came to its end."""
        return self.config.dry_run and self.status in _ENDED_WITH_PLAN

    @property
    def read_at(self) -> int | None:
        """As of when it is Stripe's state: by Stripe's own clock, unless the range ends earlier than that."""
        return self.ceiling if self.config.end is None else self.started_at

    @property
    def requests(self) -> int:
        """All that were made: for lists' pages, which entities count, for single objects and for the proof."""
        return max(sum(one.requests for one in self.entities), int(self.stats.get("requests") or 0))

    @property
    def outcome(self) -> str | None:
        """What was written before it was stopped, in a sentence; None of a run that is open or came to its end."""
        if self.status not in _STOPPED:
            return None
        written = sum(one.progress.created + one.progress.updated for one in self.entities)
        return stays(written, dry_run=self.config.dry_run)

    def to_json(self) -> dict[str, Any]:
        """The plan's SyncSessionResponse, with what else is known. Times that have not come are left out, as there."""
        times = {"started_at": self.started_at, "completed_at": self.completed_at, "outcome": self.outcome}
        return {
            "id": str(self.id),
            "object": "sync_session",
            "workspace_id": str(self.workspace_id),
            "number": self.number,
            "source_number": self.source_number,
            "status": self.status.value,
            "config": config_json(self.config, self.workspace_id),
            "progress": {one.progress.entity_type.value: one.to_json() for one in self.entities},
            **{name: value for name, value in times.items() if value is not None},
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "session_type": self.session_type.value,
            "phase": self.phase.value,
            "cancel_requested": self.cancel_requested,
            "source_session_id": None if self.source_session_id is None else str(self.source_session_id),
            "error_summary": self.error_summary,
            "created_by": self.created_by,
        }


def config_json(config: RunConfig, workspace_id: UUID) -> dict[str, Any]:
    """The plan's InitialSyncConfig: its range is in RFC 3339, and absent when there is none."""
    shown: dict[str, Any] = {
        "workspace_id": str(workspace_id),
        "entity_types": [entity.value for entity in config.entity_types],
        "batch_size": config.batch_size,
        "concurrent_batches": config.concurrent_batches,
        "conflict_strategy": config.strategies.default.value,
        "strategies": config.strategies.to_json(),
        "dry_run": config.dry_run,
    }
    if config.start is not None or config.end is not None:
        shown["date_range"] = {"start": _rfc3339(config.start), "end": _rfc3339(config.end)}
    if config.limit is not None:
        shown["limit"] = config.limit
    return shown


def session_view(workspace_id: UUID, stored: StoredSession, runs: Sequence[StoredEntityRun]) -> SessionView:
    """Entity types that were neither asked for nor came along are left out."""
    present = [run for run in runs if run.requested or run.progress.fetched or run.progress.processed]
    present.sort(key=lambda run: ORDER.index(run.progress.entity_type))
    changed = max([stored.updated_at, *(run.updated_at for run in runs)])
    return SessionView(
        id=stored.id,
        workspace_id=workspace_id,
        number=stored.number,
        source_number=stored.source_number,
        session_type=stored.session_type,
        status=stored.status,
        phase=stored.phase,
        config=stored.config,
        entities=tuple(EntityView(run.progress, run.requested, run.requests, run.verified) for run in present),
        stats=stored.stats,
        error_summary=stored.error_summary,
        connection_id=stored.connection_id,
        source_session_id=stored.source_session_id,
        range_start=stored.range_start,
        ceiling=stored.ceiling,
        cancel_requested=stored.cancel_requested,
        created_by=stored.created_by,
        started_at=epoch(stored.started_at),
        completed_at=epoch(stored.completed_at),
        created_at=int(stored.created_at.timestamp()),
        updated_at=int(changed.timestamp()),
        queued=stored.created_at,
        plan_hash=stored.plan_hash or "",
        approved_hash=stored.approved_hash or "",
        approved_by=stored.approved_by or "",
        approved_at=epoch(stored.approved_at),
    )


@dataclass(frozen=True, slots=True)
class EventView:
    """`occurred_at` is epoch seconds."""

    id: UUID
    event_type: EventType
    entity_type: str
    entity_id: UUID | None
    external_id: str | None
    message: str
    details: dict[str, Any] | None
    occurred_at: int

    def to_json(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "object": "sync_event",
            "event_type": self.event_type.value,
            "entity_type": self.entity_type,
            "entity_id": None if self.entity_id is None else str(self.entity_id),
            "external_id": self.external_id,
            "message": self.message,
            "details": self.details,
            "occurred_at": self.occurred_at,
        }


def event_view(stored: StoredEvent) -> EventView:
    return EventView(
        id=stored.id,
        event_type=stored.event_type,
        entity_type=stored.entity_type,
        entity_id=stored.entity_id,
        external_id=stored.external_id,
        message=stored.message or "",
        details=stored.details,
        occurred_at=int(stored.occurred_at.timestamp()),
    )


@dataclass(frozen=True, slots=True)
class Verification:
    """What the verify phase found, of all entity types together. `late`: see `engine.proof`; of missing ids the first of each type.

    Of `values` records all values were compared with what was planned of them: `differing` are not as planned.
    """

    is_complete: bool
    expected: int
    found: int
    asked: int
    compared: int
    late: int
    values: int
    differing: int
    missing_ids: dict[EntityType, tuple[str, ...]]
    differing_ids: dict[EntityType, tuple[str, ...]]

    @property
    def sentence(self) -> str:
        if self.is_complete:
            return f"verified: {self.found:,} of {self.expected:,}"
        lost = self.expected - self.found
        if self.differing and not lost:
            return f"{self.differing:,} of {self.values:,} compared not stored as planned"
        return f"{lost:,} of {self.expected:,} missing" if lost else "not all of the date range was read"

    def to_json(self) -> dict[str, Any]:
        return {
            "summary": self.sentence,
            "expected": self.expected,
            "found": self.found,
            "asked": self.asked,
            "compared": self.compared,
            "late": self.late,
            "values_compared": self.values,
            "differing": self.differing,
            "missing_ids": {entity.value: list(ids) for entity, ids in self.missing_ids.items()},
            "differing_ids": {entity.value: list(ids) for entity, ids in self.differing_ids.items()},
        }


@dataclass(frozen=True, slots=True)
class SessionReport:
    """What a run did, or a dry run would do."""

    session: SessionView
    reasons: tuple[ReasonCount, ...]

    @property
    def totals(self) -> dict[str, int]:
        names = ("created", "updated", "unchanged", "skipped", "conflicts", "failed")
        return {name: sum(getattr(one.progress, name) for one in self.session.entities) for name in names}

    @property
    def sentence(self) -> str:
        totals, dry = self.totals, self.session.config.dry_run
        rest = [f"{totals[name]:,} {word}" for name, word in _REST if totals[name]]
        if totals["failed"] and dry:
            rest[-1] = f"{totals['failed']:,} {'has an error' if totals['failed'] == 1 else 'have errors'}"
        return f"{'; '.join([self._said(totals, dry=dry), *rest])}."

    def _said(self, totals: Mapping[str, int], *, dry: bool) -> str:
        """What is written, and of how much there is nothing to write."""
        alike = totals["unchanged"]
        if not totals["created"] and not totals["updated"]:
            nothing = "Would create and change nothing" if dry else "Created and changed nothing"
            return f"{nothing}: {alike:,} {'is' if alike == 1 else 'are'} as in Stripe already" if alike else nothing
        would, change, leave = ("Would create", "change", "leave") if dry else ("Created", "changed", "left")
        return f"{would} {totals['created']:,}, {change} {totals['updated']:,}, {leave} {alike:,} as they are"

    @property
    def verified(self) -> bool | None:
        """Whether every entity type read is complete; None before that was looked at."""
        found = [one.verified for one in self.session.entities if one.requested]
        if not found or any(one is None for one in found):
            return None
        return all((one or {}).get("verified") for one in found)

    @property
    def verification(self) -> Verification | None:
        """None before that was looked at."""
        if self.verified is None:
            return None
        found = [(one.progress.entity_type, one.verified) for one in self.session.entities if one.verified]
        return Verification(
            is_complete=all(data["verified"] for _, data in found),
            expected=sum(data["expected"] for _, data in found),
            found=sum(data["found"] for _, data in found),
            asked=sum(data.get("asked", 0) for _, data in found),
            compared=sum(data.get("compared", 0) for _, data in found),
            late=sum(data.get("late_count", 0) for _, data in found),
            values=sum(data.get("values_compared", 0) for _, data in found),
            differing=sum(data.get("differing", 0) for _, data in found),
            missing_ids={entity: tuple(data["missing_ids"]) for entity, data in found if data["missing_ids"]},
            differing_ids={entity: tuple(data["differing_ids"]) for entity, data in found if data.get("differing_ids")},
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "object": "sync_report",
            "session": self.session.to_json(),
            "summary": self.sentence,
            "verified": self.verified,
            "totals": self.totals,
            "matrix": {one.progress.entity_type.value: _counts(one.progress) for one in self.session.entities},
            "reasons": [_reason(one) for one in self.reasons],
        }


_REST = (("skipped", "skipped"), ("conflicts", "to review"), ("failed", "failed"))


def _counts(progress: EntityProgress) -> dict[str, int]:
    return {
        "create": progress.created,
        "update": progress.updated,
        "unchanged": progress.unchanged,
        "skip": progress.skipped,
        "conflict": progress.conflicts,
        "error": progress.failed,
    }


def _reason(one: ReasonCount) -> dict[str, Any]:
    return {
        "entity_type": one.entity_type.value,
        "action": one.action.value,
        "reason_code": None if one.reason is None else one.reason.value,
        "reason": "" if one.reason is None else one.reason.label,
        "count": one.count,
        "sample": one.sample,
    }


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of runs, the newest first. `cursor` asks for the next one; None at the end."""

    items: tuple[SessionView, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class EventListing:
    """A page of events, the newest first; `cursor` as in `Listing`."""

    items: tuple[EventView, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class LastConfig:
    """What the New sync page starts with: the configuration of the last run, or the defaults."""

    config: RunConfig
    is_default: bool


DEFAULT_CONFIG = RunConfig(entity_types=tuple(EntityType))


def epoch(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())


def _rfc3339(moment: int | None) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")
