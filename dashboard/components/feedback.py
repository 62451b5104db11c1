"""What the screen says back: nothing there yet, still loading, went wrong, done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import reflex as rx

from dashboard.components.base import button, button_link, classes, icon

_KINDS = {
    "info": "info",
    "success": "circle-check",
    "warn": "triangle-alert",
    "danger": "circle-alert",
    "conflict": "git-compare-arrows",
}


def callout(text: Any, *children: Any, kind: str = "info", title: Any = None) -> rx.Component:
    """`kind` is info, success, warn, danger or conflict. Danger is announced at once."""
    heading = [rx.el.p(title, class_name="callout-title")] if title is not None else []
    return rx.el.div(
        icon(_KINDS[kind], 17),
        rx.el.div(*heading, rx.el.p(text), *children),
        role="alert" if kind == "danger" else "note",
        class_name=classes("callout", f"tone-{kind}"),
    )


def empty_state(
    title: Any, text: Any, action: Any = None, href: Any = None, *, icon_name: str = "inbox", on_click: Any = None
) -> rx.Component:
    """What would be here, and the one thing to do about it: an address, or an event."""
    doing: list[rx.Component] = []
    if action is not None and on_click is not None:
        doing = [button(action, variant="primary", on_click=on_click)]
    elif action is not None and href is not None:
        doing = [button_link(action, href, variant="primary")]
    return rx.el.div(
        rx.el.span(icon(icon_name, 20), class_name="empty-icon"),
        rx.el.h2(title),
        rx.el.p(text),
        *doing,
        class_name="empty",
    )


def error_state(title: Any, text: Any, *, retry: Any = None) -> rx.Component:
    """`retry` is the event that tries again; without one, the whole document does."""
    doing = {"custom_attrs": {"data-reload": ""}} if retry is None else {"on_click": retry}
    again = [button("Try again", icon_name="rotate-cw", **doing)]
    return rx.el.div(
        rx.el.span(icon("cloud-off", 20), class_name="empty-icon"),
        rx.el.h2(title),
        rx.el.p(text),
        *again,
        role="alert",
        class_name="empty tone-danger",
    )


def skeleton(width: str = "100%", height: str = "16px") -> rx.Component:
    return rx.el.div(class_name="skeleton", style={"width": width, "height": height})


def card_skeleton(lines: int = 4) -> rx.Component:
    widths = ("38%", "92%", "76%", "84%", "60%", "70%")
    return _loading(
        rx.el.div(*[skeleton(widths[line % len(widths)]) for line in range(lines)], class_name="card"),
    )


def table_skeleton(rows: int = 8) -> rx.Component:
    return _loading(rx.el.div(*[skeleton(height="22px") for _ in range(rows)], class_name="card"))


def when_loaded(state: Any, content: rx.Component, waiting: rx.Component) -> rx.Component:
    """The content of a page whose state has `problem` and `loaded`."""
    return rx.cond(state.problem != "", callout(state.problem, kind="danger"), rx.cond(state.loaded, content, waiting))


def _loading(content: rx.Component) -> rx.Component:
    """By its key it is another element than what comes in its place: one that is kept and filled anew counts as content that moved."""
    return rx.el.div(
        rx.el.span("Loading", class_name="sr-only"), content, role="status", aria_busy="true", key="loading"
    )


def progress_bar(value: Any, *, label: Any, text: Any = None, tone: str = "", most: float = 100) -> rx.Component:
    """`value` of `most`; `text` is what a screen reader says instead of the number."""
    share = value * (100 / most)
    said = {"aria_valuetext": text} if text is not None else {}
    width = f"{share}%" if isinstance(value, int | float) else rx.Var.create(share).to(str) + "%"
    return rx.el.div(
        rx.el.div(style={"width": width}),
        role="progressbar",
        aria_label=label,
        aria_valuenow=value,
        aria_valuemin=0,
        aria_valuemax=most,
        class_name=classes("progress", f"tone-{tone}" if tone else ""),
        **said,
    )


def dialog(
    opened: Any,
    *children: Any,
    title: Any,
    about: Any = None,
    on_close: Any,
    actions: Sequence[Any] = (),
    wide: bool = False,
    close_label: str = "Cancel",
) -> rx.Component:
    """Shown while the Var `opened` is true. Escape and the close button start `on_close`; the focus goes back where it was."""
    words = [rx.el.p(about, class_name="muted")] if about is not None else []
    return rx.cond(
        opened,
        rx.el.dialog(
            rx.el.div(
                rx.el.div(rx.el.h2(title), *words),
                *children,
                rx.el.div(
                    button(close_label, on_click=on_close, custom_attrs={"data-close": ""}),
                    *actions,
                    class_name="dialog-actions",
                ),
                class_name="dialog-body",
            ),
            aria_label=title,
            custom_attrs={"data-modal": ""},
            class_name=classes("dialog", "wide" if wide else ""),
        ),
        rx.fragment(),
    )
