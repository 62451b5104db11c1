"""The report of a run: what a dry run would do, row by row, and the button that does exactly that."""

from __future__ import annotations

import reflex as rx

from dashboard import components as ui
from dashboard.navigation import add_page
from dashboard.pages import run_charts as charts
from dashboard.pages import run_parts as parts
from dashboard.pages.report_findings import checks, effects, field_dialog, fields, reasons
from dashboard.pages.report_rows import FRESHNESS, AppliedRow, CellRow, ChangeRow, DriftLine, LineRow, MatrixLine
from dashboard.pages.report_state import FRESHNESS_ABOUT, ReportState
from sync_core.domain.vocabulary import Action
from sync_core.services.report import Freshness


def view() -> rx.Component:
    return ui.page_shell(
        ReportState.title,
        rx.cond(
            ReportState.problem != "",
            parts.missing(ReportState.problem),
            rx.cond(ReportState.loaded, body(), ui.card_skeleton(6)),
        ),
        apply_dialog(),
        field_dialog(),
        current="/syncs",
        lead=ReportState.about,
        back=("Syncs", "/syncs"),
        actions=[actions()],
    )


def actions() -> rx.Component:
    return rx.cond(
        ReportState.loaded & (ReportState.problem == ""),
        rx.fragment(
            downloads(),
            ui.button_link("Progress", ReportState.run_href, icon_name="activity"),
            rx.cond(
                ReportState.may_run,
                ui.button_link("Run again", ReportState.again_href, icon_name="rotate-cw"),
                rx.fragment(),
            ),
            rx.cond(
                ReportState.can_apply,
                ui.button("Apply this plan", variant="primary", icon_name="check", on_click=ReportState.ask_apply),
                rx.fragment(),
            ),
        ),
        rx.fragment(),
    )


def downloads() -> rx.Component:
    kinds = (
        ("csv", "CSV, a line a field"),
        ("ndjson", "NDJSON, the whole plan"),
        ("json", "JSON summary"),
        ("md", "Markdown"),
    )
    return rx.el.details(
        rx.el.summary(ui.icon("download"), "Export", class_name="button"),
        rx.el.div(
            *[
                ui.anchor(label, href="/downloads/" + ReportState.session_id + "." + word, reload_document=True)
                for word, label in kinds
            ],
            class_name="menu-list below",
        ),
        class_name="menu",
    )


def body() -> rx.Component:
    return ui.stack(
        head(),
        drift(),
        matrix(),
        rx.cond(ReportState.has_query, lines(), rx.fragment()),
        rx.cond(
            ReportState.looked_at == ReportState.session_id,
            ui.stack(checks(), effects(), fields(), reasons(), gap="lg"),
            ui.card_skeleton(5),
        ),
        gap="lg",
    )


def head() -> rx.Component:
    return ui.card(
        rx.el.p(ReportState.sentence, class_name="sentence"),
        rx.cond(ReportState.is_dry, fate(), rx.fragment()),
        rx.el.div(
            parts.figure("Objects read", ReportState.objects),
            parts.figure(
                "Requests to Stripe", ReportState.requests, note=rx.cond(ReportState.is_dry, "0 more to apply", "")
            ),
            parts.figure("Time", ReportState.took),
            parts.figure(
                "Made", ui.moment(ReportState.made, ReportState.made_utc), note=rx.fragment("by ", ReportState.by)
            ),
            rx.cond(
                ReportState.until != "",
                parts.figure("Valid until", ui.moment(ReportState.until, ReportState.until_utc)),
                rx.fragment(),
            ),
            class_name="figures",
        ),
    )


def fate() -> rx.Component:
    return ui.row(
        rx.match(
            ReportState.freshness,
            (Freshness.FRESH.value, fresh()),
            *[
                (one.value, ui.row(ui.pill(*look), FRESHNESS_ABOUT[one]))
                for one, look in FRESHNESS.items()
                if one is not Freshness.FRESH
            ],
            rx.fragment(),
        ),
        rx.foreach(ReportState.applied, applied),
    )


def fresh() -> rx.Component:
    return rx.cond(
        ReportState.drift_count > 0,
        ui.row(
            ui.pill(rx.fragment("Drifted, ", ReportState.drift_count, " rows"), "warn", "clock-alert"),
            rx.el.a("See what changed", href="#drift", class_name="link"),
        ),
        ui.row(ui.pill(*FRESHNESS[Freshness.FRESH]), FRESHNESS_ABOUT[Freshness.FRESH]),
    )


def applied(one: rx.Var[AppliedRow]) -> rx.Component:
    return rx.el.span(
        ui.link("Applied: " + one.label, one.href),
        " ",
        ui.session_status_pill(one.status),
        class_name="row",
        key=one.href,
    )


def matrix() -> rx.Component:
    heads = [ui.Column("Entity type"), *(ui.Column(action.label, number=True) for action in Action)]
    heads += [ui.Column("Total", number=True), ui.Column("Of ours updated", number=True)]
    return ui.card(
        rx.cond(
            ReportState.mix.length() > 0,
            rx.el.div(charts.mix(ReportState.mix), style={"padding": "0 var(--s5) var(--s4)"}),
            rx.fragment(),
        ),
        rx.el.div(
            rx.el.table(
                rx.el.caption("Objects by entity type and action", class_name="sr-only"),
                rx.el.thead(rx.el.tr(*[ui.column_head(column) for column in heads])),
                rx.el.tbody(rx.foreach(ReportState.matrix, matrix_line)),
                rx.el.tfoot(
                    rx.el.tr(
                        rx.el.th("All", scope="row"),
                        rx.foreach(ReportState.totals, lambda count: rx.el.td(count, class_name="number")),
                        rx.el.td(ReportState.total, class_name="number"),
                        rx.el.td(),
                    )
                ),
                class_name="table matrix",
            ),
            tab_index=0,
            role="region",
            aria_label="Objects by entity type and action",
            class_name="table-scroll",
        ),
        title="What happens to each object",
        about="Each number leads to its rows.",
        flush=True,
    )


def matrix_line(one: rx.Var[MatrixLine]) -> rx.Component:
    return rx.el.tr(
        rx.el.th(ui.row(ui.entity_icon(one.entity), one.label), scope="row"),
        rx.foreach(one.cells, lambda cell: matrix_cell(cell, one.label)),
        rx.el.td(one.total, class_name="number"),
        rx.el.td(one.share, class_name="number muted"),
        key=one.entity,
    )


def matrix_cell(cell: rx.Var[CellRow], label: rx.Var[str]) -> rx.Component:
    return rx.el.td(
        rx.cond(
            cell.href != "",
            ui.anchor(
                cell.count,
                rx.el.span(" " + label + " to " + cell.action, class_name="sr-only"),
                href=cell.href,
                aria_current=rx.cond(cell.current, "true", "false"),
            ),
            rx.el.span("0", class_name="muted"),
        ),
        class_name="number",
        key=cell.action,
    )


def lines() -> rx.Component:
    return ui.card(
        rx.cond(
            ReportState.lines.length() > 0,
            ui.data_table(
                [ui.Column("Object"), ui.Column("Why"), ui.Column("What differs: ours, then Stripe's")],
                rx.foreach(ReportState.lines, line),
                caption="Rows of the plan",
            ),
            rx.el.p("No rows.", class_name="muted", style={"padding": "var(--s5)"}),
        ),
        rx.el.div(
            ui.pagination(ReportState.first_url, ReportState.previous_url, ReportState.next_url),
            style={"padding": "0 var(--s5) var(--s4)"},
        ),
        title=rx.fragment(ReportState.query_entity, " ", ui.action_pill(ReportState.query_action)),
        about=ReportState.query_about,
        flush=True,
        actions=[
            ui.button_link("CSV", ReportState.csv_href, icon_name="download", small=True, reload_document=True),
            ui.button_link("Close", parts.report_href(ReportState.session_id), icon_name="x", small=True),
        ],
        id="rows",
    )


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


def drift() -> rx.Component:
    """Before the plan is applied: what has changed here since, row by row."""
    return rx.cond(
        ReportState.drift_count > 0,
        ui.card(
            drift_table(),
            rx.el.div(
                rx.cond(
                    ReportState.drift_turned,
                    ui.button("First", small=True, icon_name="chevrons-left", on_click=ReportState.page_drift("")),
                    rx.fragment(),
                ),
                rx.cond(
                    ReportState.drift_cursor != "",
                    ui.button(
                        "Next",
                        small=True,
                        icon_name="chevron-right",
                        on_click=ReportState.page_drift(ReportState.drift_cursor),
                    ),
                    rx.fragment(),
                ),
                class_name="pager",
                style={"padding": "0 var(--s5) var(--s4)"},
            ),
            title="Changed here since the plan was made",
            about=rx.fragment(
                ReportState.drift,
                " Applied, the drifted ones are planned anew with at least “flag”: nothing of yours is overwritten.",
            ),
            flush=True,
            id="drift",
            actions=[ui.button_link("Plan all anew", ReportState.again_href, icon_name="rotate-cw", small=True)],
        ),
        rx.fragment(),
    )


def drift_table() -> rx.Component:
    return ui.data_table(
        [ui.Column("Record"), ui.Column("Planned"), ui.Column("What changed: when planned, then now")],
        rx.foreach(ReportState.drifted, drift_line),
        caption="Records that changed since the plan was made",
    )


def drift_line(one: rx.Var[DriftLine]) -> rx.Component:
    return rx.el.tr(
        rx.el.th(
            ui.row(
                ui.entity_icon(one.entity, 14),
                rx.cond(one.href != "", ui.link(one.label, one.href), rx.el.span(one.label)),
            ),
            rx.el.div(ui.id_chip(one.external_id)),
            scope="row",
        ),
        rx.el.td(ui.action_pill(one.action)),
        rx.el.td(
            rx.el.div(one.why, class_name="small"), rx.el.ul(rx.foreach(one.changes, change), class_name="changes")
        ),
        key=one.key,
    )


def drift_check() -> rx.Component:
    """In the dialog: the sentence, and where the rows are."""
    return rx.cond(
        ReportState.checking,
        rx.el.p("Comparing the plan with what is stored now…", class_name="muted", role="status"),
        rx.cond(
            ReportState.drift_count > 0,
            ui.callout(
                ReportState.drift,
                rx.el.p(
                    "Those are planned anew, with at least “flag”. ",
                    rx.el.a("See what changed", href="#drift", class_name="link", on_click=ReportState.close_apply),
                ),
                kind="warn",
                title="Some records have drifted",
            ),
            rx.el.p(ReportState.drift, class_name="muted", role="status"),
        ),
    )


def apply_dialog() -> rx.Component:
    return ui.dialog(
        ReportState.applying,
        rx.el.p(ReportState.sentence, class_name="strong"),
        drift_check(),
        rx.el.form(
            ui.radio_cards(
                "How much of it?",
                "scope",
                [
                    ui.Option("all", "The whole plan", "Nothing is fetched again."),
                    ui.Option(
                        "first",
                        "The first few",
                        "A canary of real changes, with the parents that they need: look at them, then apply the rest.",
                    ),
                ],
                value="all",
            ),
            ui.field(
                "How many of each entity type",
                "limit",
                hint="Only for the first few.",
                error=ReportState.limit_error,
                default_value="10",
                input_mode="numeric",
                auto_complete="off",
            ),
            id="apply-form",
            on_submit=ReportState.apply,
            class_name="stack",
        ),
        title="Apply this plan?",
        on_close=ReportState.close_apply,
        actions=[ui.button("Apply", variant="primary", icon_name="check", type="submit", form="apply-form")],
    )


def register(app: rx.App) -> None:
    add_page(app, view, route="/syncs/[sync_id]/report", title="Report", on_load=[ReportState.load, ReportState.look])
