"""Before a plan is applied: what has changed here since, row by row, and how much of it to apply."""

from __future__ import annotations

import reflex as rx

from dashboard import components as ui
from dashboard.pages import run_parts as parts
from dashboard.pages.report_lines import change
from dashboard.pages.report_rows import DriftLine
from dashboard.pages.report_state import ReportState


def drift() -> rx.Component:
    """Before the plan is applied: what has changed here since, row by row."""
    return rx.cond(
        ReportState.drift_count > 0,
        ui.card(
            drift_table(),
            parts.turning(ReportState.drift_turned, ReportState.drift_cursor, ReportState.page_drift),
            title="Changed here since the plan was made",
            about=rx.fragment(
                ReportState.drift,
                " Applied, the drifted ones are planned anew with at least “flag”: nothing of yours is overwritten.",
            ),
            flush=True,
            id="drift",
            class_name="plan-rows reflow",
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
        ReportState.checking & (ReportState.drift_part == ""),
        rx.el.p("Comparing the plan with what is stored now…", class_name="muted", role="status"),
        rx.cond(
            ReportState.drift_count > 0,
            ui.callout(
                ReportState.drift,
                rx.el.p(
                    "Those are planned anew, with at least “flag”. ",
                    rx.el.a("See what changed", href="#drift", class_name="link", on_click=ReportState.close_apply),
                    " or ",
                    ui.link("plan all anew", ReportState.again_href),
                    ".",
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
        rx.cond(
            ReportState.warnings.length() > 0,
            ui.callout(
                "Look at them before you go on.",
                rx.el.ul(rx.foreach(ReportState.warnings, lambda one: rx.el.li(one, key=one))),
                kind="warn",
                title="Checks that warn",
            ),
            rx.fragment(),
        ),
        _apply_form(),
        title="Apply this plan?",
        on_close=ReportState.close_apply,
        actions=[ui.button("Apply", variant="primary", icon_name="check", type="submit", form="apply-form")],
    )


def _apply_form() -> rx.Component:
    return rx.el.form(
        ui.radio_cards(
            "How much of it?",
            "scope",
            [
                ui.Option(
                    "all",
                    "The whole plan",
                    rx.cond(
                        (ReportState.drift_count > 0) & (ReportState.drift_part == ""),
                        rx.fragment(
                            ReportState.drift_same,
                            " exactly as planned, the ",
                            ReportState.drift_rows,
                            " that drifted planned anew. Nothing is fetched again.",
                        ),
                        "Nothing is fetched again.",
                    ),
                ),
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
        rx.cond(
            ReportState.must_confirm & (ReportState.warnings.length() > 0),
            ui.checkbox("confirm", "I have looked at what the checks warn of.", required=True),
            rx.fragment(),
        ),
        id="apply-form",
        on_submit=ReportState.apply,
        class_name="stack",
    )
