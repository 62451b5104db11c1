"""The steps of a run, side by side, each with its own time."""

from __future__ import annotations

import reflex as rx

from dashboard import components as ui
from dashboard.pages.sync_state import SyncState
from sync_core.domain.vocabulary import Step


def stepper() -> rx.Component:
    return rx.cond(
        SyncState.steps.length() > 0,
        rx.el.div(
            rx.el.ol(
                rx.foreach(SyncState.steps, lambda one, at: step(one, SyncState.steps_took[at])),
                class_name="stepper",
                aria_label="Steps",
                title=SyncState.zone,
            ),
            rx.cond(
                SyncState.at_once != "",
                rx.el.p(SyncState.at_once, class_name="muted small"),
                rx.fragment(),
            ),
        ),
        rx.fragment(),
    )


def step(one: rx.Var[list[str]], took: rx.Var[str]) -> rx.Component:
    name, state, span = (one[place] for place in range(3))
    return rx.el.li(
        rx.el.span(
            rx.match(state, *[(word, ui.icon(icon, 14)) for word, icon in _STEP_ICONS.items()], ui.icon("circle", 14)),
            rx.match(name, *[(one.value, one.label) for one in Step], name),
            class_name="step-name",
        ),
        rx.el.span(
            took,
            rx.match(state, *_STEP_WORDS.items(), ""),
            rx.el.span(rx.match(state, ("now", ", now"), ("next", "to come"), ""), class_name="sr-only"),
            class_name="tabular",
        ),
        rx.cond(span != "", rx.el.span(span, class_name="muted xsmall tabular"), rx.fragment()),
        custom_attrs={"data-state": state},
        key=name,
    )


_STEP_ICONS = {
    "done": "check",
    "now": "circle-dot",
    "waits": "clock",
    "stopped": "circle-stop",
    "idle": "minus",
    "unknown": "minus",
}
_STEP_WORDS = {
    "waits": ", goes on later",
    "stopped": ", stopped",
    "idle": "nothing to do",
    "unreached": "not reached",
    "unknown": "not noted",
}
