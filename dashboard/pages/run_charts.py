"""Pictures of a run: its pace over time, and what becomes of the objects of each entity type. Each has its data as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import reflex as rx

from dashboard import components as ui
from dashboard.pages import run_parts as parts
from sync_core.domain.vocabulary import Action
from sync_core.services.pace_history import PaceHistory
from sync_core.services.record_views import When
from sync_core.services.report import MatrixRow

_HEIGHT = 40


@dataclass(frozen=True, slots=True)
class PaceChart:
    """`objects` and `requests` are SVG paths over `cells` seconds, 40 high; the rest is said beside them."""

    cells: float = 0
    objects: str = ""
    requests: str = ""
    peak: str = ""
    peak_requests: str = ""
    span: str = ""
    said: str = ""


@dataclass(frozen=True, slots=True)
class PaceRow:
    key: str
    span: str
    at: str
    utc: str
    objects: str
    requests: str
    throttled: str


def pace_chart(found: PaceHistory) -> PaceChart:
    if not found.stretches:
        return PaceChart()
    objects = [(one.since, one.until, one.objects) for one in found.stretches]
    requests = [(one.since, one.until, one.requests) for one in found.stretches]
    start, end = found.stretches[0].since, found.seconds
    mean = sum((until - since) * pace for since, until, pace in objects) / max(1, end - start)
    return PaceChart(
        cells=round(end - start, 1),
        objects=_steps(objects, start, found.peak),
        requests=_steps(requests, start, found.peak_requests),
        peak=parts.rate(found.peak),
        peak_requests=parts.rate(found.peak_requests),
        span=parts.duration(end),
        said=f"Over {parts.duration(end)}: {parts.rate(mean)} objects on average, {parts.rate(found.peak)} at most",
    )


def _steps(stretches: list[tuple[float, float, float]], start: float, peak: float) -> str:
    """The outline of bars side by side, in whole units: it is sent every few seconds."""
    path, before = [f"M0 {_HEIGHT}"], _HEIGHT
    for since, until, value in stretches:
        height = _HEIGHT - round(_HEIGHT * value / peak) if peak else _HEIGHT
        if height != before:
            path.append(f"H{_exact(since - start)}V{height}")
            before = height
        path.append(f"H{_exact(until - start)}")
    return _joined(path)


def _exact(seconds: float) -> str:
    """To the tenth, of those that are not whole."""
    return f"{seconds:.1f}".removesuffix(".0")


def _joined(path: list[str]) -> str:
    """A step that goes on at the same height is one step."""
    kept: list[str] = []
    for part in path:
        if kept and part[0] == "H" and "V" not in part and "V" not in kept[-1] and kept[-1][0] == "H":
            kept.pop()
        kept.append(part)
    return f"{''.join(kept)}V{_HEIGHT}z"


def pace_rows(found: PaceHistory, zone: str) -> list[PaceRow]:
    """The latest first."""
    rows = []
    for one in reversed(found.stretches):
        at = When.of(int(one.at), zone)
        rows.append(
            PaceRow(
                key=_exact(one.since),
                span=f"{_exact(one.since)} to {_exact(one.until)} s",
                at=at.text,
                utc=at.utc,
                objects=parts.rate(one.objects),
                requests=parts.rate(one.requests),
                throttled=f"{one.throttled:,}" if one.throttled else "",
            )
        )
    return rows


def pace(chart: rx.Var[PaceChart]) -> rx.Component:
    return rx.el.div(
        _plot("Objects a second", chart.objects, chart.peak, chart, "tone-info"),
        _plot("Requests a second", chart.requests, chart.peak_requests, chart, "tone-conflict"),
        class_name="plots",
    )


def _plot(label: str, path: Any, peak: Any, chart: rx.Var[PaceChart], tone: str) -> rx.Component:
    return rx.el.figure(
        rx.el.figcaption(
            rx.el.span(label, class_name="small strong"), rx.el.span("peak ", peak, class_name="muted xsmall tabular")
        ),
        rx.el.svg(
            rx.el.svg.path(d=path),
            view_box="0 0 " + chart.cells.to(str) + f" {_HEIGHT}",
            role="img",
            aria_label=label + ". " + chart.said,
            custom_attrs={"preserveAspectRatio": "none"},
        ),
        rx.el.div(rx.el.span("0 s"), rx.el.span(chart.span), class_name="plot-axis muted xsmall", aria_hidden="true"),
        class_name=f"plot {tone}",
    )


def pace_table(rows: Any) -> rx.Component:
    table = ui.data_table(
        [
            ui.Column("Seconds of work"),
            ui.Column("Until"),
            ui.Column("Objects", number=True),
            ui.Column("Requests", number=True),
            ui.Column("Answers 429", number=True),
        ],
        rx.foreach(rows, _pace_row),
        caption="Pace, the latest first",
        tall=True,
    )
    return rx.el.div(table, class_name="reflow counted")


def _pace_row(one: rx.Var[PaceRow]) -> rx.Component:
    return rx.el.tr(
        rx.el.th(one.span, scope="row", class_name="tabular"),
        rx.el.td(ui.moment(one.at, one.utc)),
        ui.number_cell(one.objects, "Objects"),
        ui.number_cell(one.requests, "Requests"),
        ui.number_cell(one.throttled, "Answers 429"),
        key=one.key,
    )


@dataclass(frozen=True, slots=True)
class MixPart:
    tone: str
    width: str


@dataclass(frozen=True, slots=True)
class MixRow:
    """What becomes of an entity type's objects: `parts` side by side; `said` names them with their counts."""

    entity: str
    label: str
    total: str
    said: str
    parts: list[MixPart] = field(default_factory=list)


_TONES: Mapping[Action, str] = {
    Action.CREATE: "success",
    Action.UPDATE: "info",
    Action.UNCHANGED: "neutral",
    Action.SKIP: "skip",
    Action.CONFLICT: "conflict",
    Action.ERROR: "danger",
}


def mix_rows(matrix: tuple[MatrixRow, ...]) -> list[MixRow]:
    """Each bar is whole: entity types differ by thousands, and small ones are looked at too. What there is, is seen: 1 % at least."""
    return [_mix_row(row) for row in matrix if row.total]


def _mix_row(row: MatrixRow) -> MixRow:
    present = [action for action in Action if row.counts[action]]
    shares = {action: max(1.0, 100 * row.counts[action] / row.total) for action in present}
    whole = sum(shares.values())
    return MixRow(
        entity=row.entity.value,
        label=row.entity.label,
        total=f"{row.total:,}",
        said=", ".join(f"{action.label} {row.counts[action]:,}" for action in present),
        parts=[MixPart(_TONES[action], f"{100 * shares[action] / whole:.2f}%") for action in present],
    )


def mix(rows: Any) -> rx.Component:
    """Its data are the table below it."""
    return rx.el.div(
        rx.el.ul(
            *[rx.el.li(rx.el.span(class_name=f"swatch mix-{_TONES[one]}"), one.label) for one in Action],
            class_name="legend small",
            aria_hidden="true",
        ),
        rx.el.div(rx.foreach(rows, _mix), class_name="mixes"),
    )


def _mix(one: rx.Var[MixRow]) -> rx.Component:
    return rx.fragment(
        rx.el.span(one.label, class_name="small"),
        rx.el.div(
            rx.foreach(one.parts, lambda part: rx.el.span(class_name="mix-" + part.tone, style={"width": part.width})),
            role="img",
            aria_label=one.label + ": " + one.said,
            title=one.said,
            class_name="mix",
        ),
        rx.el.span(one.total, class_name="small tabular muted"),
    )
