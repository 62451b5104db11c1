"""What few people change in a new sync: how it is read, and other strategies for some; and the form as a call over REST."""

from __future__ import annotations

from typing import Any

import reflex as rx

from dashboard import components as ui
from dashboard.pages.new_sync_form import FIELD_LABELS
from dashboard.pages.new_sync_presets import rest_call
from sync_core.domain.vocabulary import Strategy


def advanced(state: Any) -> rx.Component:
    numbers = ui.row(
        _number(
            state,
            "Objects in a page",
            "batch_size",
            state.batch_size,
            on_change=state.set_batch_size,
            error=state.error_batch,
            most=100,
        ),
        _number(
            state,
            "Pages read at once",
            "concurrent_batches",
            state.concurrent,
            on_change=state.set_concurrent,
            error=state.error_concurrent,
            most=20,
        ),
        style={"alignItems": "flex-start", "gap": "24px"},
    )
    return ui.card(
        ui.disclosure(
            "Advanced",
            numbers,
            rx.el.div(
                rx.el.h3("Another strategy for some"),
                rx.el.p("The narrowest wins.", class_name="muted small"),
            ),
            rx.el.div(rx.foreach(state.entities, lambda card: _entity_strategy(state, card)), class_name="grid"),
            _field_strategies(state),
            rx.el.div(rx.el.h3("The same over REST"), rest_call(state.curl)),
            open=state.advanced_open,
        ),
    )


def _field_strategies(state: Any) -> rx.Component:
    return rx.el.div(
        rx.el.h3("Another strategy for single fields", style={"marginBottom": "8px"}),
        rx.cond(
            state.exceptions.length() > 0,
            rx.el.ul(rx.foreach(state.exceptions, lambda one: _exception(state, one)), class_name="exceptions"),
            rx.fragment(),
        ),
        rx.el.form(
            ui.select("field", [(path, label) for path, label in FIELD_LABELS.items()], label="Field"),
            ui.select("field_strategy", [(one.value, one.label) for one in Strategy], label="Its strategy"),
            ui.button("Add", type="submit", icon_name="plus", small=True),
            on_submit=state.add_exception,
            class_name="row",
        ),
    )


def _exception(state: Any, one: Any) -> rx.Component:
    return rx.el.li(
        rx.el.span(one.label),
        ui.pill(one.strategy, "info"),
        ui.icon_button("x", "Remove the strategy of " + one.label, on_click=state.drop_exception(one.path)),
        key=one.path,
    )


def _number(state: Any, label: str, name: str, value: Any, *, on_change: Any, error: Any, most: int) -> rx.Component:
    hint = f"1 to {most}"
    return ui.field(
        label,
        name,
        hint=hint,
        error=error,
        control=rx.el.input(
            id=name,
            key=name + state.filled.to(str),
            name=name,
            type="text",
            input_mode="numeric",
            default_value=value,
            on_change=on_change.debounce(250),
            class_name="input",
            style={"width": "140px"},
            **ui.described(name, error=error, hint=hint),
        ),
    )


def _entity_strategy(state: Any, card: Any) -> rx.Component:
    return rx.el.label(
        rx.el.span(card.label, class_name="small strong"),
        rx.el.select(
            rx.el.option("As above", value=""),
            *[rx.el.option(one.label, value=one.value) for one in Strategy],
            value=card.strategy,
            on_change=lambda value: state.set_entity_strategy(card.name, value),
            class_name="select",
            style={"width": "100%"},
        ),
        key=card.name,
        class_name="field",
    )
