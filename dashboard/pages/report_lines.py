"""Rows of the plan in the report: those of one cell of the matrix, a page at a time or a telling few."""

from __future__ import annotations

import reflex as rx

from dashboard import components as ui
from dashboard.pages import run_parts as parts
from dashboard.pages.report_rows import ChangeRow, LineRow, SampleTab
from dashboard.pages.report_state import ReportState


def lines() -> rx.Component:
    return ui.card(
        rx.cond(
            ReportState.sample_tabs.length() > 0,
            rx.el.div(
                ui.tab_links(rx.foreach(ReportState.sample_tabs, sample_tab), label="Which rows"),
                style={"padding": "0 var(--s5)"},
            ),
            rx.fragment(),
        ),
        rx.cond(
            ReportState.lines.length() > 0,
            ui.data_table(
                [
                    ui.Column("Object"),
                    ui.Column(rx.cond(ReportState.is_told, "Planned", "Why")),
                    ui.Column(
                        rx.cond(
                            ReportState.is_told,
                            "What changed: as it was read, then since",
                            "What differs: ours, then Stripe's",
                        )
                    ),
                ],
                rx.foreach(ReportState.lines, line),
                caption="Rows of the plan",
            ),
            rx.el.p("No rows.", class_name="muted", style={"padding": "var(--s5)"}),
        ),
        rx.el.div(
            ui.pagination(ReportState.first_url, ReportState.previous_url, ReportState.next_url),
            style={"padding": "0 var(--s5) var(--s4)"},
        ),
        title=rx.fragment(
            ReportState.query_entity,
            " ",
            rx.cond(ReportState.query_action != "", ui.action_pill(ReportState.query_action), rx.fragment()),
        ),
        about=ReportState.query_about,
        flush=True,
        actions=[
            rx.cond(
                ReportState.csv_href != "",
                ui.button_link("CSV", ReportState.csv_href, icon_name="download", small=True, reload_document=True),
                rx.fragment(),
            ),
            ui.button_link("Close", parts.report_href(ReportState.session_id), icon_name="x", small=True),
        ],
        id="rows",
        class_name="plan-rows reflow",
    )


def sample_tab(one: rx.Var[SampleTab]) -> rx.Component:
    return ui.tab_link(one.label, one.href, current=one.current, key=one.label)


def line(one: rx.Var[LineRow]) -> rx.Component:
    return rx.el.tr(
        rx.el.th(
            rx.cond(one.href != "", ui.link(one.label, one.href), rx.el.span(one.label)),
            rx.el.div(ui.id_chip(one.external_id)),
            scope="row",
        ),
        rx.el.td(
            rx.el.div(one.reason, class_name="small"),
            rx.cond(one.drifted, ui.pill("Changed since the dry run", "warn", "clock-alert"), rx.fragment()),
        ),
        rx.el.td(
            rx.cond(
                one.message != "",
                rx.el.div(
                    rx.cond(one.field != "", rx.el.strong(one.field + ": "), rx.fragment()),
                    one.message,
                    rx.cond(
                        ReportState.is_told,
                        rx.fragment(
                            " at ", ui.moment(ReportState.told_at[one.key][0], ReportState.told_at[one.key][1])
                        ),
                        rx.fragment(),
                    ),
                    rx.cond(
                        one.request_id != "",
                        rx.el.div(rx.el.code(one.request_id), class_name="muted small"),
                        rx.fragment(),
                    ),
                ),
                rx.fragment(),
            ),
            rx.el.ul(rx.foreach(one.changes, change), class_name="changes"),
            rx.cond(one.more != "", rx.el.span(one.more, class_name="muted small"), rx.fragment()),
        ),
        key=one.key,
    )


def change(one: rx.Var[ChangeRow]) -> rx.Component:
    return rx.el.li(
        rx.el.span(one.label, class_name="muted"),
        rx.el.del_(one.ours),
        rx.el.span("becomes", class_name="sr-only"),
        rx.el.ins(one.theirs),
        key=one.label,
    )
