"""What a run did, or a dry run would do: the matrix, its rows, and whether the plan can still be applied."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.diff import FieldDiff, diff
from sync_core.domain.fields import FIELDS, NAMES, JsonValue, Values
from sync_core.domain.mapping import describe
from sync_core.domain.progress import EntityProgress
from sync_core.domain.vocabulary import Action, EntityType, ReasonCode, SessionStatus
from sync_core.errors import Refusal
from sync_core.services import plan_limits, sessions
from sync_core.services.actor import Actor, Permission
from sync_core.services.plan_approval import Approval, approval_of
from sync_core.services.plan_costs import Space, apply_seconds, space
from sync_core.services.reads import Reads
from sync_core.services.record_views import value_text
from sync_core.services.session_views import SessionReport, SessionView, Verification
from sync_core.settings import get_settings
from sync_core.store import plan_facts, plan_told, plan_twins
from sync_core.store import reports as store
from sync_core.store import sessions as session_store
from sync_core.store.database import Database
from sync_core.store.plan_facts import Later
from sync_core.store.plan_samples import SampleKind, samples
from sync_core.store.plan_told import ToldRow
from sync_core.store.reports import AppliedRun, PlanRef, PlanRow
from sync_core.store.row_sizes import row_sizes

MOST_ROWS: Final = 100
FORBIDDEN: Final = Refusal("forbidden", "Your role may not look at reports.", status=403)


_NOTHING: Final = "Found nothing: Stripe has no such objects in this range. There is nothing to apply."


class Freshness(StrEnum):
    """What has become of a dry run's plan."""

    UNFINISHED = "unfinished"
    FRESH = "fresh"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    APPLIED = "applied"


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """Counts by action; `share` is the part of those that exist here already which would change, None when none exist."""

    entity: EntityType
    requested: bool
    counts: Mapping[Action, int]
    total: int

    @property
    def existing(self) -> int:
        return self.total - self.counts[Action.CREATE] - self.counts[Action.ERROR]

    @property
    def share(self) -> float | None:
        return self.counts[Action.UPDATE] / self.existing if self.existing > 0 else None


@dataclass(frozen=True, slots=True)
class ReportView:
    """`valid_until` is epoch seconds, None for a run that is no dry run or did not end. `seconds` is how long it took.

    `later` is the run that makes the plan old news, `apply_seconds` how long applying it may take, `space` what that adds.
    """

    session: SessionView
    matrix: tuple[MatrixRow, ...]
    totals: Mapping[Action, int]
    sentence: str
    freshness: Freshness
    valid_until: int | None
    applied: tuple[AppliedRun, ...]
    later: Later | None
    approval: Approval
    apply_seconds: tuple[float, float] | None
    space: Space | None
    reads: Reads
    seconds: int | None
    verified: bool | None
    verification: Verification | None

    @property
    def requests(self) -> int:
        return self.reads.run

    @property
    def total(self) -> int:
        return sum(self.totals.values())

    @property
    def has_changes(self) -> bool:
        return any(self.totals[action] for action in (Action.CREATE, Action.UPDATE, Action.CONFLICT))

    @property
    def can_apply(self) -> bool:
        """A plan that is old news can be: what has changed since is planned anew."""
        return self.freshness in (Freshness.FRESH, Freshness.SUPERSEDED)

    @property
    def exit_code(self) -> int:
        """As Terraform's: 0 nothing to change, 2 changes, 1 errors, or no end yet."""
        ended = self.session.status in (SessionStatus.COMPLETED, SessionStatus.PARTIAL)
        if self.totals[Action.ERROR] or not ended:
            return 1
        return 2 if self.has_changes else 0


@dataclass(frozen=True, slots=True)
class Change:
    """One value that differs, in words; empty for none."""

    field: str
    label: str
    ours: str
    theirs: str


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the plan. `message` says what is wrong with it, or what an event of Stripe's tells of it, at `told_at` in epoch seconds;
    then `changes` are Stripe's values as they were read, and since.
    """

    entity: EntityType
    seq: int
    external_id: str
    label: str
    action: Action
    reason: ReasonCode | None
    record_id: UUID | None
    changes: tuple[Change, ...]
    field: str
    message: str
    request_id: str
    drifted: bool
    told_at: int | None = None


@dataclass(frozen=True, slots=True)
class Lines:
    """A page of rows. `before` and `after` are the places to ask for the pages beside it, None at an end."""

    items: tuple[Line, ...]
    before: int | None
    after: int | None


@dataclass(frozen=True, slots=True)
class LineQuery:
    """What rows to show. `after` and `before` are places from another page; at most one of them is given.

    With a `sample` they are a few that tell the most, and there are no pages. `shared` are customers that have an email in common, `told`
    what Stripe's events say has changed since, whatever becomes of them; nothing else has no action.
    """

    entity: EntityType
    action: Action | None
    reason: ReasonCode | None = None
    field: str | None = None
    after: int | None = None
    before: int | None = None
    limit: int = 25
    sample: SampleKind | None = None
    shared: bool = False
    told: bool = False

    @classmethod
    def parse(cls, values: Mapping[str, str]) -> LineQuery | None:
        """From a URL's words; None when they name no such rows."""
        try:
            after, before = _place(values.get("after")), _place(values.get("before"))
            if values.get("shared") == "email":
                return cls(EntityType.CUSTOMERS, None, after=after, before=before, shared=True)
            if values.get("told") == "stripe":
                return cls(EntityType.CUSTOMERS, None, after=after, before=before, told=True)
            entity, action = EntityType(values.get("entity", "")), Action(values.get("action", ""))
            reason = ReasonCode(values["reason"]) if values.get("reason") else None
            sample = SampleKind(values["sample"]) if values.get("sample") else None
        except ValueError:
            return None
        field = values.get("field") or None
        if field is not None and field not in NAMES[entity]:
            return None
        return cls(entity, action, reason, field, after, before, sample=sample)


def _place(value: str | None) -> int | None:
    if not value:
        return None
    place = int(value)
    if not 0 <= place < 2**62:
        raise ValueError(value)
    return place


async def summary(database: Database, actor: Actor, session_id: UUID) -> ReportView | Refusal:
    """The head of the report: from counters alone, so it is there at once whatever the size of the plan."""
    if not actor.can(Permission.VIEW):
        return FORBIDDEN
    view = await sessions.get(database, actor, session_id)
    if isinstance(view, Refusal):
        return view
    async with database.workspace(actor.workspace_id) as session:
        applied = await store.applied(session, plan_of(view))
        made = await session_store.reads_of_account(session, actor.workspace_id, session_id)
        later = await plan_facts.superseded_by(session, actor.workspace_id, session_id) if view.has_plan else None
        rates = await plan_facts.apply_rates(session, actor.workspace_id) if view.has_plan else []
        sizes = await row_sizes(session) if view.has_plan else {}
        limits = plan_limits.of((await session_store.defaults(session, actor.workspace_id)).settings)
    reads = Reads(view.requests, made, get_settings().monthly_reads)
    return _report(view, applied, reads, later, approval_of(view, limits), rates, sizes)


async def lines(database: Database, actor: Actor, session_id: UUID, query: LineQuery) -> Lines | Refusal:
    """Rows in the order of landing."""
    if not actor.can(Permission.VIEW):
        return FORBIDDEN
    view = await sessions.get(database, actor, session_id)
    if isinstance(view, Refusal):
        return view
    async with database.workspace(actor.workspace_id) as session:
        if query.sample is None or query.action is None:
            return await _page(session, view, query, actor.time_zone)
        found = await samples(session, plan_of(view), query.entity, query.action, query.sample)
    return Lines(tuple(line(query.entity, row, actor.time_zone) for row in found), before=None, after=None)


async def _page(session: AsyncSession, view: SessionView, query: LineQuery, zone: str) -> Lines:
    limit, backward = max(1, min(query.limit, MOST_ROWS)), query.before is not None
    found = await _lines(session, view, query, limit + 1, zone)
    more, shown = len(found) > limit, found[:limit]
    if backward:
        shown.reverse()
    has_before = more if backward else query.after is not None
    has_after = backward or more
    return Lines(
        tuple(shown),
        before=shown[0].seq if shown and has_before else None,
        after=shown[-1].seq if shown and has_after else None,
    )


async def _lines(session: AsyncSession, view: SessionView, query: LineQuery, limit: int, zone: str) -> list[Line]:
    plan, backward = plan_of(view), query.before is not None
    place = (query.before if backward else query.after) or 0
    if query.told:
        told = await plan_told.rows(
            session, plan, view.read_at or view.created_at, after=place, limit=limit, backward=backward
        )
        return [_told_line(one, zone) for one in told]
    if query.action is None:
        found = await plan_twins.rows(session, plan, after=place, limit=limit, backward=backward)
    else:
        found = await store.rows(
            session,
            plan,
            query.entity,
            query.action,
            after=place,
            limit=limit,
            reason=query.reason,
            field=query.field,
            backward=backward,
        )
    return [line(query.entity, row, zone, shared=query.shared) for row in found]


def plan_of(view: SessionView) -> PlanRef:
    return PlanRef(view.workspace_id, view.id, view.source_session_id or view.id)


def line(entity: EntityType, row: PlanRow, zone: str, *, shared: bool = False) -> Line:
    """Of customers that have an email in common, that is what there is to say."""
    detail = row.detail or {}
    reason = None if row.reason_code is None else ReasonCode(row.reason_code)
    is_issue = "message" in detail
    return Line(
        entity=entity,
        seq=row.seq,
        external_id=row.external_id,
        label=described(entity, row.theirs),
        action=Action(row.action),
        reason=reason,
        record_id=row.record_id,
        changes=changes(entity, detail.get("changes") or {}, row.theirs, zone),
        field=str(detail.get("field") or "") if is_issue else "",
        message=str((row.theirs or {}).get("email") or "") if shared else str(detail.get("message") or ""),
        request_id=str(detail.get("request_id") or (row.request_id if is_issue else "") or ""),
        drifted=bool(detail.get("drifted")),
    )


def _told_line(one: ToldRow, zone: str) -> Line:
    read = one.row.theirs
    since = {} if read is None else {name: [read.get(name), value] for name, value in one.changes.items()}
    return replace(
        line(one.entity, one.row, zone),
        changes=changes(one.entity, since, one.row.theirs, zone),
        field="",
        message=one.event_type,
        told_at=int(one.at.timestamp()),
    )


def described(entity: EntityType, values: Values | None) -> str:
    if not values or any(name not in values for name in NAMES[entity]):
        return ""
    return describe(entity, values)


def changes(
    entity: EntityType, pairs: Mapping[str, list[JsonValue]], theirs: Values | None, zone: str
) -> tuple[Change, ...]:
    """Every value that differs, nested ones one by one, in the order of the fields."""
    ours_side: Values = {name: pair[0] for name, pair in pairs.items()}
    theirs_side: Values = {name: pair[1] for name, pair in pairs.items()}
    currency = (theirs or {}).get("currency")
    return tuple(
        change(one, {"currency": currency, **ours_side}, {"currency": currency, **theirs_side}, zone)
        for one in diff(entity, ours_side, theirs_side)
    )


def change(one: FieldDiff, ours: Values, theirs: Values, zone: str) -> Change:
    if one.path:
        return Change(one.field.name, one.label, _plain(one.a), _plain(one.b))
    return Change(
        one.field.name, one.label, value_text(one.field, one.a, ours, zone), value_text(one.field, one.b, theirs, zone)
    )


def _plain(value: JsonValue) -> str:
    return "" if value is None else "Yes" if value is True else "No" if value is False else str(value)


def field_label(entity: EntityType, name: str) -> str:
    return next((one.label for one in FIELDS[entity] if one.name == name), name)


def counts_of(progress: EntityProgress) -> dict[Action, int]:
    return {
        Action.CREATE: progress.created,
        Action.UPDATE: progress.updated,
        Action.UNCHANGED: progress.unchanged,
        Action.SKIP: progress.skipped,
        Action.CONFLICT: progress.conflicts,
        Action.ERROR: progress.failed,
    }


def _report(
    view: SessionView,
    applied: list[AppliedRun],
    reads: Reads,
    later: Later | None,
    approval: Approval,
    rates: Sequence[float],
    sizes: Mapping[str, float],
) -> ReportView:
    matrix = tuple(
        MatrixRow(one.progress.entity_type, one.requested, counts_of(one.progress), one.progress.processed)
        for one in view.entities
    )
    whole = SessionReport(view, ())
    valid_until = None
    if view.has_plan and view.completed_at is not None:
        valid_until = view.completed_at + sessions.PLAN_HOURS * 3600
    return ReportView(
        session=view,
        matrix=matrix,
        totals={action: sum(row.counts[action] for row in matrix) for action in Action},
        sentence=whole.sentence if valid_until is None or any(row.total for row in matrix) else _NOTHING,
        freshness=_freshness(applied, valid_until, later),
        valid_until=valid_until,
        applied=tuple(applied),
        later=later,
        approval=approval,
        apply_seconds=apply_seconds(sum(row.total for row in matrix), rates) if view.has_plan else None,
        space=space({row.entity: row.counts for row in matrix}, sizes) if view.has_plan else None,
        reads=reads,
        seconds=None if view.started_at is None or view.completed_at is None else view.completed_at - view.started_at,
        verified=whole.verified,
        verification=whole.verification,
    )


def _freshness(applied: list[AppliedRun], valid_until: int | None, later: Later | None) -> Freshness:
    done = (SessionStatus.FAILED, SessionStatus.CANCELLED)
    if any(run.limit is None and SessionStatus(run.status) not in done for run in applied):
        return Freshness.APPLIED
    if valid_until is None:
        return Freshness.UNFINISHED
    if time.time() >= valid_until:
        return Freshness.EXPIRED
    return Freshness.FRESH if later is None else Freshness.SUPERSEDED


def json_view(report: ReportView) -> dict[str, Any]:
    """The summary for programs."""
    view = report.session
    return {
        "object": "sync_report",
        "session": view.to_json(),
        "summary": report.sentence,
        "status": report.freshness.value,
        "valid_until": report.valid_until,
        "plan_hash": view.plan_hash or None,
        "superseded_by": None if report.later is None else str(report.later.id),
        "approval": report.approval.to_json(),
        "apply_seconds": None if report.apply_seconds is None else [round(one, 1) for one in report.apply_seconds],
        "space": None if report.space is None else report.space.to_json(),
        "exit_code": report.exit_code,
        "verified": report.verified,
        "verification": None if report.verification is None else report.verification.to_json(),
        "requests": report.requests,
        "reads": report.reads.to_json(),
        "seconds": report.seconds,
        "totals": {action.value: count for action, count in report.totals.items()},
        "matrix": {
            row.entity.value: {action.value: count for action, count in row.counts.items()} for row in report.matrix
        },
    }
