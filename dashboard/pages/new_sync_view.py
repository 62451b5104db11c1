"""How the New sync page looks."""

from __future__ import annotations

from typing import Any

import reflex as rx

from dashboard import components as ui
from dashboard.pages.new_sync_advanced import advanced
from dashboard.pages.new_sync_presets import manage_dialog, preset_bar, save_dialog
from sync_core.domain.vocabulary import Strategy

_SPANS = (
    ("all", "Everything", "From the account's first day"),
    ("30", "Last 30 days", ""),
    ("90", "Last 90 days", ""),
    ("365", "Last year", ""),
    ("custom", "Own range", ""),
)
_STRATEGIES = (
    (Strategy.SKIP, "Records that exist here stay as they are. Only new ones are created.", "Ada Ltd", ""),
    (Strategy.OVERWRITE, "Stripe wins: records that exist here take its values.", "Ada GmbH", "Ada Ltd"),
    (
        Strategy.FLAG,
        "What changed in Stripe only is taken. What both sides changed waits for you.",
        "Ada Ltd or Ada GmbH?",
        "",
    ),
)


def view(state: Any) -> rx.Component:
    return ui.page_shell(
        "New sync",
        rx.cond(
            state.loaded,
            rx.cond(
                state.account != "",
                rx.cond(state.may_run, _body(state), _not_allowed()),
                ui.empty_state(
                    "No account yet",
                    "Connect a Stripe account, or try the sandbox, and come back to sync it.",
                    "Connect",
                    "/connect",
                    icon_name="plug",
                ),
            ),
            ui.card_skeleton(6),
        ),
        save_dialog(state),
        manage_dialog(state),
        current="/syncs/new",
        lead="Choose what to read. A dry run shows exactly what would change before anything does.",
    )


def _not_allowed() -> rx.Component:
    return ui.empty_state(
        "You can look, but not start",
        "Your role may not run syncs. Ask an admin of this workspace for the operator's role.",
        "See the syncs",
        "/syncs",
        icon_name="lock",
    )


def _body(state: Any) -> rx.Component:
    return rx.el.div(
        ui.stack(
            rx.cond(
                state.running_href != "",
                ui.callout(
                    "A sync of this workspace is running. The next one can start when it has ended.",
                    ui.link("See how far it is", state.running_href),
                    kind="info",
                ),
                rx.fragment(),
            ),
            preset_bar(state),
            _entities(state),
            _range(state),
            _strategy(state),
            advanced(state),
        ),
        rx.el.div(_estimate(state), _start(state), class_name="stack", style={"position": "sticky", "top": "24px"}),
        class_name="columns",
    )


def _entities(state: Any) -> rx.Component:
    return ui.card(
        ui.spread(
            rx.el.h2("What to sync"),
            rx.cond(
                state.filled_from != "",
                ui.row(
                    rx.el.span(state.filled_from, class_name="muted small"),
                    ui.button("Start over", variant="ghost", small=True, on_click=state.start_over),
                ),
                rx.fragment(),
            ),
        ),
        rx.el.fieldset(
            rx.el.legend("Entity types", class_name="sr-only"),
            rx.el.div(rx.foreach(state.entities, lambda card: _entity(state, card)), class_name="radio-cards"),
            ui.field_error("entity_types", state.error_entities),
            class_name="fieldset",
        ),
        rx.cond(
            state.left_out != "",
            ui.callout(
                state.left_out,
                ui.button(
                    "Add them", small=True, icon_name="plus", on_click=state.add_parents, style={"marginTop": "8px"}
                ),
                kind="info",
            ),
            rx.fragment(),
        ),
    )


def _entity(state: Any, card: Any) -> rx.Component:
    return rx.el.label(
        rx.el.input(
            type="checkbox",
            name="entity_types",
            value=card.name,
            default_checked=card.chosen,
            on_change=lambda chosen: state.choose_entity(card.name, chosen),
        ),
        rx.el.span(
            rx.el.span(
                rx.el.span(ui.entity_icon(card.name, 15), card.label, class_name="row", style={"flexWrap": "nowrap"}),
                class_name="title",
            ),
            rx.el.span(card.about, class_name="about"),
            rx.cond(
                card.note != "",
                rx.el.span(card.note, class_name="about", style={"color": "var(--warn)", "marginTop": "4px"}),
                rx.cond(
                    card.needs != "",
                    rx.el.span("Refer to " + card.needs, class_name="about xsmall", style={"marginTop": "4px"}),
                    rx.fragment(),
                ),
            ),
        ),
        # The boxes are the browser's own, so that they answer at once; a form filled anew makes new ones.
        key=card.name + state.filled.to(str),
        class_name="radio-card",
    )


def _range(state: Any) -> rx.Component:
    spans = [
        rx.el.button(
            label,
            type="button",
            aria_pressed=rx.cond(state.span == value, "true", "false"),
            on_click=state.set_span(value),
            title=about,
            style={"whiteSpace": "nowrap"},
        )
        for value, label, about in _SPANS
    ]
    days = ui.row(
        _day(state, "start_date", "First day", state.start_date, state.set_start_date),
        _day(state, "end_date", "Last day", state.end_date, state.set_end_date),
        style={"alignItems": "flex-end", "gap": "16px"},
    )
    return ui.card(
        rx.el.div(
            rx.el.h2("Created when"),
            rx.el.p(
                "By the day on which Stripe created an object, not the day on which it changed: Stripe lists by creation only. So what is"
                " older than the range and changed in it is not read, except for what an object in it refers to. To take up every"
                " change, read everything.",
                class_name="muted small",
            ),
        ),
        rx.el.div(
            rx.el.div(
                *spans, role="group", aria_label="Date range", class_name="segmented", style={"flexWrap": "wrap"}
            ),
            rx.cond(state.span == "custom", days, rx.fragment()),
            ui.field_error("date_range", state.error_range),
            class_name="fieldset",
        ),
    )


def _day(state: Any, name: str, label: str, value: Any, on_change: Any) -> rx.Component:
    return ui.field(
        label,
        name,
        control=rx.el.input(
            id=name,
            key=name + state.filled.to(str),
            name=name,
            type="date",
            default_value=value,
            max=state.today,
            on_change=on_change,
            aria_describedby="date_range-error",
            class_name="input",
            style={"width": "180px"},
        ),
    )


def _strategy(state: Any) -> rx.Component:
    options = [
        ui.Option(one.value, one.label, rx.fragment(about, _example(after, before)))
        for one, about, after, before in _STRATEGIES
    ]
    return ui.card(
        ui.radio_cards(
            rx.el.h2("When a record exists here already"),
            "conflict_strategy",
            options,
            value=state.strategy,
            on_change=state.set_strategy,
            error=state.error_strategy,
        ),
    )


def _example(after: str, before: str) -> rx.Component:
    """Here it is Ada Ltd, in Stripe Ada GmbH: what becomes of the name."""
    result = rx.fragment(rx.el.del_(before), " ", rx.el.ins(after)) if before else rx.el.b(after)
    return rx.el.span(
        rx.el.span("Ours: Ada Ltd · Stripe: Ada GmbH", style={"display": "block"}),
        rx.el.span("Becomes: ", result, style={"display": "block"}),
        class_name="xsmall",
        style={
            "display": "block",
            "marginTop": "8px",
            "padding": "6px 8px",
            "borderRadius": "6px",
            "background": "var(--sunken)",
        },
    )


def _estimate(state: Any) -> rx.Component:
    found = state.estimate
    again = ui.button(
        rx.cond(state.estimate_stale, "Update", "Again"),
        icon_name="rotate-cw",
        small=True,
        on_click=state.run_estimate,
        disabled=state.estimating,
    )
    return ui.card(
        rx.el.div(
            rx.cond(
                state.estimating,
                rx.el.div(
                    ui.skeleton("60%"), ui.skeleton("90%"), ui.skeleton("75%"), class_name="stack", aria_busy="true"
                ),
                rx.cond(
                    state.estimate_problem != "",
                    ui.callout(state.estimate_problem, kind="warn"),
                    rx.cond(found.ready, _estimated(state), rx.el.p("Not estimated yet.", class_name="muted small")),
                ),
            ),
            role="status",
            aria_live="polite",
        ),
        title="What it takes",
        about="Sampled from a few pages.",
        actions=[again],
    )


def _estimated(state: Any) -> rx.Component:
    found = state.estimate
    return ui.stack(
        rx.cond(
            state.estimate_stale,
            rx.el.p("You changed something since: update it.", class_name="small", style={"color": "var(--warn)"}),
            rx.fragment(),
        ),
        ui.key_values(("Records", found.records), ("Time", found.duration), ("Requests", found.requests)),
        rx.el.table(
            rx.el.caption("Records by entity type", class_name="sr-only"),
            rx.el.tbody(rx.foreach(found.rows, _estimate_row)),
            class_name="table small bare",
        ),
        rx.el.div(
            ui.progress_bar(found.reads_share, label="Reads of this month with this sync", text=found.reads),
            rx.el.p(found.reads, class_name="muted xsmall", style={"marginTop": "6px"}),
        ),
        rx.cond(found.warning != "", ui.callout(found.warning, kind="warn"), rx.fragment()),
    )


def _estimate_row(one: Any) -> rx.Component:
    return rx.el.tr(rx.el.th(one.label, scope="row"), rx.el.td(one.records, class_name="number"), key=one.label)


def _start(state: Any) -> rx.Component:
    busy = state.starting != ""
    return ui.card(
        ui.row(rx.el.span(state.account, class_name="strong"), ui.mode_badge(state.mode)),
        ui.button(
            rx.cond(state.starting == "dry", "Starting…", "Dry run"),
            variant="primary",
            icon_name="scan-search",
            on_click=state.start(True),
            disabled=busy,
            style={"width": "100%"},
        ),
        ui.button(
            rx.cond(state.starting == "real", "Starting…", "Start sync"),
            icon_name="play",
            on_click=state.start(False),
            disabled=busy,
            style={"width": "100%"},
        ),
        rx.cond(state.error_form != "", ui.callout(state.error_form, kind="danger"), rx.fragment()),
        rx.el.p(
            "A dry run writes nothing. Its plan can be applied as it stands for 24 hours.", class_name="muted small"
        ),
    )
