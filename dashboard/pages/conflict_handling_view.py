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


def review_box(label: Any, ticked: Any, on_change: Any) -> rx.Component:
    """A person's own tick. It goes by itself when either side changes."""
    return rx.el.label(
        rx.el.input(
            type="checkbox",
            checked=ticked,
            on_change=on_change,
            aria_label=label,
            custom_attrs={"data-review": ""},
        ),
        class_name="pick",
        title="Reviewed by you; a change on either side takes the tick off",
    )
