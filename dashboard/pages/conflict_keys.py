"""The keys of conflict review, and what the page brings to the browser for them. `assets/conflicts.js` clicks what is on the screen."""

from __future__ import annotations

import reflex as rx

from dashboard import components as ui

KEYS = (
    ("j k", "Next or previous row, or field"),
    ("1 2 3 4", "Ours, Stripe's, the last sync's, an own value for the field"),
    ("Shift 1 2 3", "The same for the whole record"),
    ("Ctrl Enter", "Apply what is chosen"),
    ("[ ]", "Previous or next conflict"),
    ("u", "Undo the last decision"),
    ("/", "Search"),
    ("f", "Filters"),
    ("?", "Show or hide these keys"),
)


def assets() -> rx.Component:
    return rx.fragment(
        rx.el.link(rel="stylesheet", href="/conflicts.css", custom_attrs={"precedence": "default"}),
        rx.el.script(src="/conflicts.js", custom_attrs={"async": True}),
    )


def key_help() -> rx.Component:
    return ui.disclosure(
        rx.el.span(ui.icon("keyboard", 15), "Keys", class_name="with-icon"),
        rx.el.dl(
            *[rx.el.div(rx.el.dt(*[ui.kbd(key) for key in keys.split()]), rx.el.dd(about)) for keys, about in KEYS],
            class_name="keys",
        ),
        rx.el.button(
            "Single keys are on",
            type="button",
            aria_pressed="true",
            class_name="button small",
            custom_attrs={"data-keys-toggle": ""},
        ),
        id="keys",
    )
