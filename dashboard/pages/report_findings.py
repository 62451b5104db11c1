"""The lower half of the report: checks, the strategies side by side, fields that differ, reasons."""

from __future__ import annotations

import reflex as rx

from dashboard import components as ui
from dashboard.pages.report_finding_rows import BarRow, EffectRow, OrphanRow, RailRow, ReasonRow
from dashboard.pages.report_state import ReportState
from sync_core.services.findings import TransitionView

KINDS = (("Filled in", "kind-filled"), ("Another value", "kind-replaced"), ("Emptied", "kind-emptied"))


def checks() -> rx.Component:
    return ui.card(
        rx.el.ul(rx.foreach(ReportState.rails, rail), class_name="rails"),
        title="Checks",
        actions=[
            rx.cond(
                ReportState.may_limit,
                ui.button("Limits", small=True, icon_name="sliders-horizontal", on_click=ReportState.ask_limits),
                rx.fragment(),
            )
        ],
    )


def orphans() -> rx.Component:
    """What to do about each: the parent in Stripe, or ask again."""
    return rx.cond(
        ReportState.orphans.length() > 0,
        ui.card(
            ui.data_table(
                [ui.Column("Which"), ui.Column("Objects", number=True), ui.Column("To ask Stripe again", number=True)],
                rx.foreach(ReportState.orphans, orphan),
                caption="Objects without their parent",
            ),
            title="Orphans",
            about="They name a parent that is not here: Stripe did not give it when asked for it by its id, or it has an error of its own."
            " Left, they stay out and are kept as errors, to be retried at any later time; everything else is as planned.",
            flush=True,
            class_name="reflow counted",
            actions=[
                rx.cond(
                    ReportState.may_ask_again,
                    ui.button(
                        rx.fragment("Fetch the parents, ", ReportState.orphans_cost),
                        icon_name="rotate-cw",
                        small=True,
                        on_click=ReportState.fetch_parents,
                    ),
                    rx.fragment(),
                )
            ],
        ),
        rx.fragment(),
    )


def orphan(one: rx.Var[OrphanRow]) -> rx.Component:
    return rx.el.tr(
        rx.el.th(one.what, scope="row"),
        ui.number_cell(ui.link(one.objects, one.href), "Objects"),
        ui.number_cell(one.requests, "To ask Stripe again"),
        key=one.key,
    )


def rail(one: rx.Var[RailRow]) -> rx.Component:
    return rx.el.li(
        rx.match(
            one.level,
            ("warn", ui.icon("triangle-alert", 16)),
            ("note", ui.icon("info", 16)),
            ui.icon("circle-check", 16),
        ),
        rx.el.div(
            rx.el.strong(one.name),
            rx.match(
                one.level,
                ("warn", rx.el.span(" (warning)", class_name="sr-only")),
                ("note", rx.el.span(" (note)", class_name="sr-only")),
                rx.el.span(" (passed)", class_name="sr-only"),
            ),
            rx.el.div(one.message, class_name="muted"),
        ),
        rx.cond(one.href != "", ui.button_link("Rows", one.href, small=True), rx.el.span()),
        class_name=rx.match(one.level, ("warn", "tone-warn"), ("note", "tone-info"), "tone-success"),
        key=one.name + one.message,
    )


def effects() -> rx.Component:
    return rx.cond(ReportState.effects.length() > 0, _effects_card(), rx.fragment())


def _effects_card() -> rx.Component:
    return ui.card(
        ui.data_table(
            [
                ui.Column("Strategy"),
                ui.Column("Updated", number=True),
                ui.Column("To review", number=True),
                ui.Column("Left as they are", number=True),
            ],
            rx.foreach(ReportState.effects, effect),
            caption="What each strategy would do with the records that differ",
        ),
        title="The same plan under each strategy",
        about=ReportState.effects_about,
        flush=True,
        class_name="reflow counted",
    )


def effect(one: rx.Var[EffectRow]) -> rx.Component:
    return rx.el.tr(
        rx.el.th(
            ui.row(one.label, rx.cond(one.chosen, ui.pill("This plan", "info", "check"), rx.fragment())), scope="row"
        ),
        ui.number_cell(one.updates, "Updated"),
        ui.number_cell(one.conflicts, "To review"),
        ui.number_cell(one.skips, "Left as they are"),
        key=one.label,
    )


def fields() -> rx.Component:
    return rx.cond(
        ReportState.bars.length() > 0,
        ui.card(
            ui.data_table(
                [
                    ui.Column("Field"),
                    ui.Column("Differs", number=True),
                    ui.Column("Filled in, another value, emptied", hidden=True),
                    *[ui.Column(label, number=True) for label, _ in KINDS],
                    ui.Column("What becomes of them"),
                ],
                rx.foreach(ReportState.bars, bar),
                caption="Fields that differ",
            ),
            rx.el.ul(
                *[rx.el.li(rx.el.span(class_name=f"swatch {look}"), label) for label, look in KINDS],
                class_name="legend small",
                aria_hidden="true",
                style={"padding": "0 var(--s5) var(--s4)"},
            ),
            title="Fields that differ",
            about=ReportState.bars_about,
            flush=True,
            class_name="reflow counted",
        ),
        rx.fragment(),
    )


def bar(one: rx.Var[BarRow]) -> rx.Component:
    return rx.el.tr(
        rx.el.th(
            ui.button(one.label, variant="ghost", small=True, on_click=ReportState.show_field(one.entity, one.field)),
            rx.cond(one.money, ui.pill("Money", "warn", "coins"), rx.fragment()),
            rx.el.div(one.entity_label, class_name="muted xsmall"),
            scope="row",
        ),
        ui.number_cell(one.count, "Differs"),
        rx.el.td(
            rx.el.div(
                *[
                    rx.el.span(style={"width": one.widths[place]}, class_name=look)
                    for place, (_, look) in enumerate(KINDS)
                ],
                class_name="bar",
                aria_hidden="true",
            )
        ),
        *[
            ui.number_cell(count, label)
            for count, (label, _) in zip((one.filled, one.replaced, one.emptied), KINDS, strict=True)
        ],
        rx.el.td(one.becomes, class_name="muted small"),
        key=one.key,
    )


def reasons() -> rx.Component:
    return rx.cond(
        ReportState.reasons.length() > 0,
        ui.card(
            ui.data_table(
                [
                    ui.Column("Reason"),
                    ui.Column("Action"),
                    ui.Column("Objects", number=True),
                    ui.Column("What to do"),
                    ui.Column("First ids"),
                ],
                rx.foreach(ReportState.reasons, reason),
                caption="Reasons",
            ),
            title="Reasons",
            about=ReportState.reasons_about,
            flush=True,
            class_name="reflow",
        ),
        rx.fragment(),
    )


def reason(one: rx.Var[ReasonRow]) -> rx.Component:
    return rx.el.tr(
        rx.el.th(one.label, rx.el.div(one.entity, class_name="muted small"), scope="row"),
        rx.el.td(ui.action_pill(one.action)),
        ui.number_cell(ui.link(one.count, one.href), "Objects"),
        rx.el.td(one.repair, class_name="small"),
        rx.el.td(rx.el.code(one.sample, class_name="small")),
        key=one.key,
    )


def field_dialog() -> rx.Component:
    return ui.dialog(
        ReportState.field_title != "",
        ui.data_table(
            [ui.Column("Ours"), ui.Column("Stripe's"), ui.Column("Objects", number=True)],
            rx.foreach(ReportState.transitions, transition),
            caption="The commonest changes",
            tall=True,
        ),
        title=ReportState.field_title,
        about="The commonest changes, at most twenty.",
        on_close=ReportState.close_field,
        close_label="Close",
        wide=True,
        actions=[
            rx.foreach(
                ReportState.field_links,
                lambda one: ui.button_link("Rows: " + one.label, one.href, key=one.href),
            )
        ],
    )


def transition(one: rx.Var[TransitionView], index: rx.Var[int]) -> rx.Component:
    return rx.el.tr(
        rx.el.td(rx.el.del_(one.ours)),
        rx.el.td(rx.el.ins(one.theirs)),
        rx.el.td(one.count, class_name="number"),
        key=index.to(str),
    )
