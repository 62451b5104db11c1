"""One run, as it goes on: phases, entity types, rate and quota; cancel and resume; errors and events."""

from __future__ import annotations

import reflex as rx

from dashboard import components as ui
from dashboard.navigation import add_page
from dashboard.pages import run_charts as charts
from dashboard.pages import run_parts as parts
from dashboard.pages import sync_events, sync_problems
from dashboard.pages.sync_outcome import outcome
from dashboard.pages.sync_problems import ProblemsState
from dashboard.pages.sync_rows import COUNTED, FORETOLD, EntityRow, LaneRow
from dashboard.pages.sync_state import SyncState
from dashboard.pages.sync_stepper import stepper
from sync_core.domain.going_on import Way
from sync_core.domain.vocabulary import Role, SessionStatus


def view() -> rx.Component:
    return ui.page_shell(
        SyncState.title,
        rx.cond(
            SyncState.problem != "",
            parts.missing(SyncState.problem),
            rx.cond(SyncState.loaded, body(), ui.card_skeleton(6)),
        ),
        rx.el.span(SyncState.tab, class_name="sr-only", aria_hidden="true", custom_attrs={"data-page-title": ""}),
        rx.el.div(SyncState.said, role="status", aria_live="polite", class_name="sr-only"),
        cancel_dialog(),
        current="/syncs",
        lead=SyncState.about,
        takes=(Role.OPERATOR, "start or stop a sync"),
        back=("Syncs", "/syncs"),
        actions=[actions()],
    )


def actions() -> rx.Component:
    return rx.fragment(
        rx.cond(
            SyncState.can_cancel,
            ui.button("Cancel", variant="danger", icon_name="circle-stop", on_click=SyncState.ask_cancel),
            rx.fragment(),
        ),
        rx.cond(
            SyncState.can_resume,
            ui.button(Way.RESUME.label, variant="primary", icon_name="play", on_click=SyncState.resume),
            rx.fragment(),
        ),
        sync_problems.verify_button(),
        rx.cond(
            (SyncState.again_href != "") & ~is_open(),
            ui.button_link("Run again", SyncState.again_href, icon_name="rotate-cw"),
            rx.fragment(),
        ),
        rx.cond(
            SyncState.report_href != "",
            ui.button_link("Report", SyncState.report_href, icon_name="file-text"),
            rx.fragment(),
        ),
    )


def body() -> rx.Component:
    return ui.stack(
        outcome(),
        headline(),
        pace_card(),
        rx.cond(
            SyncState.lines.length() > 0,
            ui.card(
                rx.foreach(
                    SyncState.lines,
                    lambda one, at: entity(one, SyncState.paths[at], SyncState.retried[at], SyncState.read[at]),
                ),
                flush=True,
                title="Entity types",
            ),
            rx.fragment(),
        ),
        rx.cond(SyncState.problems.length() > 0, sync_problems.view(), rx.fragment()),
        sync_events.view(),
        gap="lg",
    )


def headline() -> rx.Component:
    return ui.card(
        ui.spread(
            ui.row(
                ui.session_status_pill(SyncState.status),
                rx.cond(
                    is_held(),
                    rx.el.span("This page stands still; the sync goes on.", class_name="muted"),
                    pulse(),
                ),
                rx.cond(is_open(), hold_button(), rx.fragment()),
            ),
            rx.el.span(
                rx.el.strong(SyncState.percent_text),
                rx.cond((SyncState.percent_text != "") & (SyncState.eta != ""), " · ", ""),
                rx.el.span(SyncState.eta, class_name="muted"),
            ),
        ),
        ui.progress_bar(SyncState.percent, label="Progress of the sync", text=SyncState.percent_text),
        stepper(),
        rx.el.div(
            parts.figure("Objects a second", SyncState.rate),
            parts.figure("Time", SyncState.elapsed),
            parts.figure("Requests to Stripe", SyncState.requests, note=SyncState.throttled),
            rx.cond(SyncState.quota != "", quota(), rx.fragment()),
            parts.figure(
                "Started", ui.moment(SyncState.started, SyncState.started_utc), note=rx.fragment("by ", SyncState.by)
            ),
            class_name="figures",
        ),
        rx.cond(
            SyncState.source_href != "",
            rx.el.p(
                "Applies ",
                ui.link(SyncState.source, SyncState.source_href),
                ". ",
                ui.link("Compare it with its plan", SyncState.compare_href),
                ".",
                class_name="muted",
            ),
            rx.fragment(),
        ),
    )


def pulse() -> rx.Component:
    """What it waits for, or that nobody is heard of, is a state of its own."""
    return rx.el.span(
        rx.cond(
            is_open() & (SyncState.pulse_tone == "warn"),
            ui.pill(SyncState.pulse, "warn", "clock", style={"whiteSpace": "normal"}),
            rx.el.span(SyncState.pulse, class_name="muted"),
        ),
        custom_attrs={"data-pulse": SyncState.pulse_tone},
    )


def is_open() -> rx.Var[bool]:
    return (SyncState.status == SessionStatus.PENDING.value) | (SyncState.status == SessionStatus.RUNNING.value)


def is_held() -> rx.Var[bool]:
    return SyncState.held & is_open()


def hold_button() -> rx.Component:
    return ui.button(
        rx.cond(SyncState.held, "Go on showing", "Pause updates"),
        variant="ghost",
        small=True,
        on_click=SyncState.hold,
    )


def quota() -> rx.Component:
    return rx.el.div(
        rx.el.span("Share of our limit", class_name="muted small"),
        rx.el.strong(SyncState.quota),
        ui.progress_bar(SyncState.quota_percent, label="Requests a second, of our limit", text=SyncState.quota),
        rx.cond(SyncState.allowed != "", rx.el.span(SyncState.allowed, class_name="muted xsmall"), rx.fragment()),
        rx.cond(SyncState.full != "", rx.el.span(SyncState.full, class_name="muted xsmall"), rx.fragment()),
        class_name="figure",
    )


def pace_card() -> rx.Component:
    return rx.cond(
        SyncState.pace.cells > 0,
        ui.card(
            charts.pace(SyncState.pace),
            rx.el.details(
                rx.el.summary("As a table", on_click=SyncState.show_pace_table),
                charts.pace_table(SyncState.pace_rows),
                class_name="disclosure",
            ),
            title="Pace",
            about="Over the seconds in which a worker was at it.",
        ),
        rx.fragment(),
    )


def entity(one: rx.Var[EntityRow], path: rx.Var[str], retried: rx.Var[str], read: rx.Var[int]) -> rx.Component:
    """`path` draws the coverage bar, `read` says it. They and `retried` are nothing before they are known of an entity type that came along."""
    return rx.el.div(
        ui.spread(
            ui.row(
                ui.entity_icon(one.entity),
                rx.el.h3(one.label),
                rx.match(
                    one.tone,
                    ("success", ui.pill(one.phase, "success", "check")),
                    ("info", ui.pill(one.phase, "info", "loader-circle", spins=True)),
                    ui.pill(one.phase, "neutral", "clock"),
                ),
                rx.match(
                    one.proof,
                    ("ok", ui.pill(one.verified, "success", "shield-check")),
                    ("bad", ui.pill(one.verified, "danger", "shield-alert")),
                    rx.fragment(),
                ),
            ),
            rx.el.span(
                one.done,
                rx.cond(one.pace != "", rx.el.span(" · ", one.pace, class_name="muted"), rx.fragment()),
                class_name="tabular",
            ),
        ),
        rx.cond(
            path,
            parts.coverage_bar(
                path, f"{one.label}: {read} % of the date range has been read; the oldest is on the left"
            ),
            ui.progress_bar(one.percent, label=one.label),
        ),
        rx.el.div(
            *[
                parts.figure(rx.cond(SyncState.is_dry, FORETOLD.get(label, label), label), one.counts[place])
                for place, label in enumerate(COUNTED)
            ],
            class_name="figures",
        ),
        rx.cond(retried, ui.row(ui.icon("rotate-cw", 12), retried, class_name="muted small"), rx.fragment()),
        rx.cond(one.proven != "", rx.el.p(one.proven, class_name="muted small"), rx.fragment()),
        rx.cond(
            (one.windows != "") | (SyncState.lane_entity == one.entity),
            rx.el.div(
                ui.button(
                    rx.cond(SyncState.lane_entity == one.entity, "Hide windows", one.windows),
                    variant="ghost",
                    small=True,
                    icon_name="rows-3",
                    on_click=SyncState.show_lanes(one.entity),
                    aria_expanded=rx.cond(SyncState.lane_entity == one.entity, "true", "false"),
                ),
                rx.cond(SyncState.lane_entity == one.entity, lanes(), rx.fragment()),
            ),
            rx.fragment(),
        ),
        class_name="run-entity",
        key=one.entity,
    )


def lanes() -> rx.Component:
    return rx.el.div(
        rx.cond(
            (SyncState.lanes_by != "") & (SyncState.lanes.length() > 0),
            rx.el.p(SyncState.lanes_by, class_name="muted small"),
            rx.fragment(),
        ),
        rx.foreach(SyncState.lanes, lane),
        rx.cond(
            SyncState.lanes.length() == 0,
            rx.el.p("No window is open any more.", class_name="muted small"),
            rx.fragment(),
        ),
        class_name="lanes",
    )


def lane(one: rx.Var[LaneRow]) -> rx.Component:
    return rx.el.div(
        rx.el.div(
            rx.el.span(rx.el.span(style={"width": one.read}), style={"marginLeft": one.left, "width": one.width}),
            class_name="lane",
            aria_hidden="true",
        ),
        rx.el.span(
            one.span,
            ": ",
            one.about,
            rx.cond(
                one.request != "",
                rx.fragment(", last request ", ui.id_chip(one.request, label="Copy request id")),
                rx.fragment(),
            ),
            class_name="muted xsmall",
        ),
        key=one.span,
    )


def cancel_dialog() -> rx.Component:
    return ui.dialog(
        SyncState.asking,
        rx.el.p(SyncState.kept, role="status"),
        title="Cancel this sync?",
        on_close=SyncState.keep_going,
        close_label="Keep going",
        actions=[ui.button("Cancel the sync", variant="danger", on_click=SyncState.cancel)],
    )


def register(app: rx.App) -> None:
    add_page(
        app,
        view,
        route="/syncs/[sync_id]",
        title="Sync",
        on_load=[SyncState.load, ProblemsState.close, SyncState.watch],
    )
