"""A report as rows for the screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from dashboard.formatting import plural
from dashboard.pages import run_parts as parts
from sync_core.domain.vocabulary import Action, EntityType
from sync_core.services.drift import DriftRow
from sync_core.services.record_views import href
from sync_core.services.report import Freshness, Line, LineQuery, ReportView, field_label
from sync_core.store.plan_facts import Later
from sync_core.store.plan_samples import NUMBERS, SampleKind


@dataclass(frozen=True, slots=True)
class CellRow:
    """`href` leads to the rows behind a count; empty for none."""

    action: str
    label: str
    count: str
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class TotalRow:
    label: str
    count: str


@dataclass(frozen=True, slots=True)
class MatrixLine:
    entity: str
    label: str
    cells: list[CellRow]
    total: str
    share: str


@dataclass(frozen=True, slots=True)
class ChangeRow:
    label: str
    ours: str
    theirs: str


@dataclass(frozen=True, slots=True)
class LineRow:
    key: str
    external_id: str
    label: str
    href: str
    reason: str
    message: str
    field: str
    request_id: str
    changes: list[ChangeRow]
    more: str
    drifted: bool


@dataclass(frozen=True, slots=True)
class AppliedRow:
    href: str
    label: str
    status: str
    compare: str


@dataclass(frozen=True, slots=True)
class SampleTab:
    label: str
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class DriftLine:
    key: str
    entity: str
    external_id: str
    label: str
    href: str
    action: str
    why: str
    changes: list[ChangeRow]


_CHANGES_SHOWN = 6


def rows_href(session_id: str, **words: object) -> str:
    kept = {name: str(word) for name, word in words.items() if word not in (None, "")}
    return f"{parts.report_href(session_id)}?{urlencode(kept)}"


def csv_href(session_id: str, query: LineQuery) -> str:
    """The rows that are shown, as a file; a sample is of them all. Empty of those that are of several actions."""
    if query.shared or query.told:
        return ""
    words = {"entity": query.entity, "action": query.action, "reason": query.reason, "field": query.field}
    return f"/downloads/{session_id}.csv?{urlencode({name: word for name, word in words.items() if word})}"


def query_href(session_id: str, query: LineQuery, *, after: int | None = None, before: int | None = None) -> str:
    if query.shared:
        return rows_href(session_id, shared="email", after=after, before=before)
    if query.told:
        return rows_href(session_id, told="stripe", after=after, before=before)
    return rows_href(
        session_id,
        entity=query.entity,
        action=query.action,
        reason=query.reason,
        field=query.field,
        after=after,
        before=before,
    )


def sample_tabs(session_id: str, query: LineQuery) -> list[SampleTab]:
    """All rows, or a few of them; amounts only where there are any."""
    if query.shared or query.told:
        return []
    kinds = [one for one in SampleKind if one is not SampleKind.BIGGEST or NUMBERS[query.entity]]
    base = {"entity": query.entity, "action": query.action}
    return [
        SampleTab("All rows", rows_href(session_id, **base), query.sample is None),
        *[SampleTab(one.label, rows_href(session_id, **base, sample=one), query.sample is one) for one in kinds],
    ]


def sample_about(query: LineQuery) -> str:
    return {
        None: "",
        SampleKind.SPREAD: "Twenty, the same ones each time; every reason is among them",
        SampleKind.BIGGEST: "The twenty whose amounts are largest, or lie furthest apart",
        SampleKind.OLDEST: "The twenty that Stripe created first",
        SampleKind.NEWEST: "The twenty that Stripe created last",
        SampleKind.LONGEST: "The twenty with the most fields that differ, or the most in them",
    }[query.sample]


def matrix(report: ReportView, query: LineQuery | None) -> list[MatrixLine]:
    session_id = str(report.session.id)
    return [
        MatrixLine(
            entity=row.entity.value,
            label=row.entity.label if row.requested else f"{row.entity.label} (came along)",
            cells=[_cell(session_id, row.entity, action, row.counts, query) for action in Action],
            total=f"{row.total:,}",
            share="" if row.share is None else f"{row.share:.0%}",
        )
        for row in report.matrix
    ]


def _cell(
    session_id: str, entity: EntityType, action: Action, counts: Mapping[Action, int], query: LineQuery | None
) -> CellRow:
    count = counts[action]
    return CellRow(
        action=action.value,
        label=action.label,
        count=f"{count:,}",
        href=rows_href(session_id, entity=entity, action=action) if count else "",
        current=query is not None and (query.entity, query.action) == (entity, action),
    )


def totals(report: ReportView) -> list[TotalRow]:
    return [TotalRow(action.label, f"{report.totals[action]:,}") for action in Action]


def line(one: Line, *, of_any: bool = False) -> LineRow:
    """`of_any`: beside rows of other actions, so that its own is said."""
    why = [one.action.label] if of_any else []
    why += [] if one.reason is None else [one.reason.label]
    shown = one.changes[:_CHANGES_SHOWN]
    rest = len(one.changes) - len(shown)
    return LineRow(
        key=f"{one.seq}",
        external_id=one.external_id,
        label=one.label or one.external_id,
        href="" if one.record_id is None else href(one.entity, one.record_id),
        reason=": ".join(why),
        message=parts.clipped(one.message, 150),
        field=field_label(one.entity, one.field) if one.field else "",
        request_id=one.request_id,
        changes=[ChangeRow(change.label, _short(change.ours), _short(change.theirs)) for change in shown],
        more=f"and {plural(rest, 'more field')}" if rest else "",
        drifted=one.drifted,
    )


def drift_line(one: DriftRow) -> DriftLine:
    return DriftLine(
        key=f"{one.entity}-{one.seq}",
        entity=one.entity.value,
        external_id=one.external_id,
        label=one.label,
        href="" if one.record_id is None else href(one.entity, one.record_id),
        action=one.action.value,
        why=one.why,
        changes=[
            ChangeRow(change.label, _short(change.ours), _short(change.theirs))
            for change in one.changes[:_CHANGES_SHOWN]
        ],
    )


def _short(text: str) -> str:
    if not text:
        return "nothing"
    return text if len(text) <= 120 else f"{text[:119]}…"


def applied(report: ReportView) -> list[AppliedRow]:
    return [
        AppliedRow(
            parts.run_href(one.id),
            f"{'the whole plan' if one.limit is None else f'its first {one.limit:,}'}, by #{one.number}",
            one.status,
            parts.compare_href(report.session.id, one.id),
        )
        for one in report.applied
    ]


def later_href(one: Later) -> str:
    return parts.report_href(one.id) if one.dry_run else parts.run_href(one.id)


def later_about(one: Later) -> str:
    return f"The newer plan #{one.number}" if one.dry_run else f"The sync that wrote since, #{one.number}"


FRESHNESS = {
    Freshness.FRESH: ("Fresh", "success", "circle-check"),
    Freshness.SUPERSEDED: ("Superseded", "warn", "history"),
    Freshness.EXPIRED: ("Expired", "warn", "clock-alert"),
    Freshness.APPLIED: ("Applied", "info", "check-check"),
    Freshness.UNFINISHED: ("Not finished", "neutral", "circle-dashed"),
}

FRESHNESS_ABOUT = {
    Freshness.FRESH: "It can be applied exactly as it is.",
    Freshness.SUPERSEDED: "It is no longer the newest word. Applied all the same, what has changed since is planned anew.",
    Freshness.EXPIRED: "Plans expire after 24 hours: Stripe has moved on.",
    Freshness.APPLIED: "It has been applied.",
    Freshness.UNFINISHED: "The dry run did not come to its end: there is no whole plan.",
}


def shown(text: str) -> str:
    if not text:
        return "nothing"
    return text if len(text) <= 80 else f"{text[:79]}…"
