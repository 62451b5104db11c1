"""What conflicts are put off until, and what somebody has looked through: the same on the list and beside one conflict. The state is handed in."""

from __future__ import annotations

from typing import Any

import reflex as rx

from dashboard import components as ui
from dashboard.pages.conflict_filters import SNOOZES


def snoozing(state: Any, label: str, on_choose: Any, *, small: bool = False) -> rx.Component:
    """The usual ends, and a day of one's own: it is asked for in place of them."""
    return rx.cond(
        state.choosing_day,
        _day(state),
        rx.el.select(
            rx.el.option("Snooze…", value=""),
            *[rx.el.option(text, value=word) for word, text in SNOOZES],
            aria_label=label,
            value="",
            on_change=on_choose,
            class_name="select small" if small else "select",
            custom_attrs={"data-hotkey": "h"},
        ),
    )


def _day(state: Any) -> rx.Component:
    return rx.el.form(
        rx.el.label("Snooze until", html_for="until", class_name="small"),
        rx.el.input(
            id="until",
            name="until",
            type="date",
            auto_focus=True,
            class_name="input small day",
            **ui.described("until", error=state.day_problem),
        ),
        ui.button("Snooze", type="submit", variant="primary", small=True),
        ui.button("Cancel", small=True, on_click=state.forget_day),
        ui.field_error("until", state.day_problem),
        on_submit=state.snooze_until,
        aria_label="Until which day",
        class_name="row snoozing",
    )


def tick(label: Any, ticked: Any, on_click: Any) -> rx.Component:
    """A person's own. It goes by itself when either side changes."""
    return rx.el.button(
        ui.icon("circle-check"),
        type="button",
        aria_label=label,
        aria_pressed=rx.cond(ticked, "true", "false"),
        on_click=on_click,
        title="Reviewed, for you alone; a change on either side takes it off",
        class_name="button ghost small icon-only tick",
        custom_attrs={"data-review": ""},
    )
