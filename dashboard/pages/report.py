"""The report of a run: what a dry run would do, row by row, and the button that does exactly that."""

from __future__ import annotations

import reflex as rx

from dashboard import components as ui
from dashboard.navigation import add_page
from dashboard.pages import run_charts as charts
from dashboard.pages import run_parts as parts
from dashboard.pages.report_apply import apply_dialog, drift
from dashboard.pages.report_findings import checks, effects, field_dialog, fields, orphans, reasons
from dashboard.pages.report_limits_view import limits_dialog
from dashboard.pages.report_lines import lines
from dashboard.pages.report_rows import FRESHNESS, FRESHNESS_ABOUT, AppliedRow, CellRow, MatrixLine
from dashboard.pages.report_state import ReportState
from sync_core.domain.vocabulary import Action, Role
from sync_core.services.plan_approval import ApprovalState
from sync_core.services.report import Freshness

SHARE = "Of ours updated"


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
        limits_dialog(),
        current="/syncs",
        lead=ReportState.about,
        takes=(Role.OPERATOR, "apply a plan"),
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
                may_apply(),
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
        rx.cond(ReportState.is_empty, nothing(), found()),
        gap="lg",
    )


def nothing() -> rx.Component:
    return ui.empty_state(
        "No objects",
        "Stripe has none of these entity types in this range. Choose another range, or further types.",
        "New sync from this one",
        ReportState.again_href,
        icon_name="search-x",
    )


def found() -> rx.Component:
    return rx.fragment(
        matrix(),
        rx.cond(ReportState.has_query, lines(), rx.fragment()),
        drift(),
        rx.cond(
            ReportState.looked_at == ReportState.session_id,
            ui.stack(checks(), orphans(), effects(), fields(), reasons(), gap="lg"),
            ui.card_skeleton(5),
        ),
    )


def head() -> rx.Component:
    return ui.card(
        rx.el.p(ReportState.sentence, class_name="sentence"),
        rx.cond(ReportState.is_dry & ~ReportState.is_empty, fate(), rx.fragment()),
        rx.cond(
            ReportState.source_href != "",
            ui.row(
                rx.el.span("Applied ", ui.link(ReportState.source, ReportState.source_href), "."),
                ui.link("What came out otherwise than planned", ReportState.source_compare),
            ),
            rx.fragment(),
        ),
        rx.cond(ReportState.is_dry & ReportState.can_apply, approval(), rx.fragment()),
        rx.el.div(
            parts.figure("Objects read", ReportState.objects),
            parts.figure("Requests to Stripe", ReportState.requests, note=ReportState.reads),
            parts.figure("Time", ReportState.took),
            rx.cond(
                ReportState.proof != "",
                parts.figure("Proof", rx.cond(ReportState.is_proven, ReportState.proof, missing_ids())),
                rx.fragment(),
            ),
            rx.cond(
                ReportState.as_of != "",
                parts.figure("Stripe's state of", ui.moment(ReportState.as_of, ReportState.as_of_utc)),
                rx.fragment(),
            ),
            parts.figure(
                "Made", ui.moment(ReportState.made, ReportState.made_utc), note=rx.fragment("by ", ReportState.by)
            ),
            rx.cond(
                ReportState.until != "",
                parts.figure("Valid until", ui.moment(ReportState.until, ReportState.until_utc)),
                rx.fragment(),
            ),
            rx.cond(
                ReportState.to_apply != "",
                parts.figure("Time to apply", ReportState.to_apply, note="by what plans took here, or as a rule"),
                rx.fragment(),
            ),
            rx.cond(
                ReportState.space != "",
                parts.figure(
                    "Database grows by", rx.fragment("about ", ReportState.space), note=ReportState.space_about
                ),
                rx.fragment(),
            ),
            rx.cond(
                ReportState.plan_hash != "",
                parts.figure(
                    "Plan",
                    ui.id_chip(ReportState.plan_hash, label="Copy the plan's hash", shown=ReportState.plan_hash[:10]),
                ),
                rx.fragment(),
            ),
            class_name="figures wide",
        ),
    )


def missing_ids() -> rx.Component:
    return rx.el.span(ReportState.proof, ": ", ui.link(ReportState.missing_ids, ReportState.run_href))


def fate() -> rx.Component:
    """What has become of the plan, and where it has drifted what to do about that."""
    return rx.fragment(
        standing(),
        rx.cond((ReportState.drift_count > 0) & ReportState.can_apply, drifted(), rx.fragment()),
    )


def drifted() -> rx.Component:
    return ui.row(
        rx.cond(
            may_apply() & (ReportState.drift_part == ""),
            ui.button(
                rx.fragment("Apply ", ReportState.drift_same, ", plan the others anew"),
                small=True,
                on_click=ReportState.ask_apply,
            ),
            rx.fragment(),
        ),
        ui.button_link("Plan all anew", ReportState.again_href, small=True),
        rx.el.a("Show what changed", href="#drift", class_name="link"),
    )


def standing() -> rx.Component:
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
        rx.cond(
            (ReportState.freshness == Freshness.SUPERSEDED.value) & (ReportState.later_href != ""),
            rx.fragment(
                ui.link(ReportState.later, ReportState.later_href),
                ui.link("Compare the two", ReportState.later_compare),
            ),
            rx.fragment(),
        ),
        rx.cond(
            ReportState.freshness == Freshness.EXPIRED.value,
            ui.link("Make a new dry run", ReportState.again_href),
            rx.fragment(),
        ),
        rx.foreach(ReportState.applied, applied),
    )


def may_apply() -> rx.Var[bool]:
    return ReportState.can_apply & ((ReportState.approval != ApprovalState.NEEDED.value) | needs_nobody())


def needs_nobody() -> rx.Var[bool]:
    """Whether the checks were looked at, none warns, and that is enough here."""
    looked = ReportState.looked_at == ReportState.session_id
    return ReportState.clean_counts & looked & (ReportState.warnings.length() == 0)


def approval() -> rx.Component:
    """Whose word the plan waits for, or whose it has."""
    waits = ui.row(
        ui.pill("Needs approval", "warn", "user-check"),
        rx.el.span("Somebody else than ", ReportState.by, " has to approve it before it is applied."),
        rx.cond(
            ReportState.may_approve,
            ui.button("Approve this plan", small=True, icon_name="check", on_click=ReportState.approve),
            rx.fragment(),
        ),
    )
    return rx.match(
        ReportState.approval,
        (
            ApprovalState.NEEDED.value,
            rx.cond(
                needs_nobody(),
                ui.row(ui.pill("Needs no approval", "success", "check"), rx.el.span("No check warns of it.")),
                waits,
            ),
        ),
        (
            ApprovalState.APPROVED.value,
            ui.row(
                ui.pill("Approved", "success", "user-check"),
                rx.el.span("by ", ReportState.approved_by, ", "),
                ui.moment(ReportState.approved_at, ReportState.approved_utc),
            ),
        ),
        rx.fragment(),
    )


def fresh() -> rx.Component:
    return ui.row(
        rx.cond(
            ReportState.drift_count > 0,
            rx.fragment(
                ui.pill(
                    rx.fragment("Drifted, ", ReportState.drift_rows),
                    "warn",
                    "clock-alert",
                ),
                rx.cond(ReportState.drift_part == "", rx.el.span(ReportState.drift), rx.fragment()),
            ),
            rx.fragment(
                ui.pill(*FRESHNESS[Freshness.FRESH]),
                rx.cond(
                    ReportState.is_idle,
                    "It changes nothing.",
                    FRESHNESS_ABOUT[Freshness.FRESH],
                ),
            ),
        ),
        rx.cond(
            ReportState.drift_part != "",
            rx.el.span("Compared with what is stored so far: ", ReportState.drift_part, " rows", class_name="muted"),
            rx.fragment(),
        ),
    )


def applied(one: rx.Var[AppliedRow]) -> rx.Component:
    return rx.el.span(
        ui.link("Applied: " + one.label, one.href),
        " ",
        ui.session_status_pill(one.status),
        " ",
        ui.link("Compare with the plan", one.compare, aria_label="Compare with the plan: " + one.label),
        class_name="row",
        key=one.href,
    )


def matrix() -> rx.Component:
    heads = [ui.Column("Entity type"), *(ui.Column(action.label, number=True) for action in Action)]
    heads += [ui.Column("Total", number=True), ui.Column(SHARE, number=True)]
    return ui.card(
        rx.cond(
            ReportState.mix.length() > 0,
            rx.el.div(charts.mix(ReportState.mix), class_name="mix-card"),
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
                        rx.foreach(ReportState.totals, lambda one: ui.number_cell(one.count, one.label)),
                        ui.number_cell(ReportState.total, "Total"),
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
        rx.cond(
            ReportState.among.length() > 0,
            rx.el.ul(
                rx.foreach(ReportState.among, lambda one: rx.el.li(ui.link(one.label, one.href), key=one.href)),
                class_name="among small",
                aria_label="Among them",
            ),
            rx.fragment(),
        ),
        title="What happens to each object",
        about="Each number leads to its rows.",
        flush=True,
        class_name="reflow counted",
    )


def matrix_line(one: rx.Var[MatrixLine]) -> rx.Component:
    return rx.el.tr(
        rx.el.th(ui.row(ui.entity_icon(one.entity), one.label), scope="row"),
        rx.foreach(one.cells, lambda cell: matrix_cell(cell, one.label)),
        ui.number_cell(one.total, "Total"),
        ui.number_cell(one.share, SHARE),
        key=one.entity,
    )


def matrix_cell(cell: rx.Var[CellRow], label: rx.Var[str]) -> rx.Component:
    return ui.number_cell(
        rx.cond(
            cell.href != "",
            ui.anchor(
                cell.count,
                rx.el.span(" " + label + ", " + cell.label, class_name="sr-only"),
                href=cell.href,
                aria_current=rx.cond(cell.current, "true", "false"),
            ),
            rx.el.span("0", class_name="muted"),
        ),
        cell.label,
        key=cell.action,
    )


def register(app: rx.App) -> None:
    add_page(app, view, route="/syncs/[sync_id]/report", title="Report", on_load=[ReportState.load, ReportState.look])
