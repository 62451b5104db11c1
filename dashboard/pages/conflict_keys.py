"""The keys of conflict review, and what the page brings to the browser for them. `assets/conflicts.js` clicks what is on the screen."""

from __future__ import annotations

import reflex as rx

from dashboard import components as ui
from dashboard.state import PageState
from sync_core.services import preferences
from sync_core.store.database import get_database

KEYS = (
    ("j k", "Next or previous record, or field"),
    ("↓ ↑", "Next or previous field, from one of them"),
    ("1 2 3 4", "Ours, Stripe's, the last sync's, an own value for the field"),
    ("Shift 1 2 3", "The same for the whole record"),
    ("Ctrl Enter", "Apply what is chosen, and go on"),
    ("Enter", "Open the record in focus"),
    ("o", "Decide the record in focus in its row"),
    ("v", "Tick the record as reviewed"),
    ("x", "Select the record in focus"),
    ("Shift x", "Select all up to the record in focus"),
    ("r", "Settle what is selected by a rule"),
    ("a", "Assign"),
    ("h", "Snooze"),
    ("c", "Comment"),
    ("e", "Show or hide equal fields"),
    ("u", "Undo the last decision"),
    ("Ctrl z", "Undo your own last decision"),
    ("[ ]", "Previous or next conflict, or page"),
    ("/", "Search"),
    ("f", "Filters"),
    ("g c", "Go to the conflicts"),
    ("g r", "Go to the syncs"),
    ("g s", "Go to the schedules"),
    ("?", "Show or hide these keys"),
)


class KeysState(PageState):
    """Remembered for the person, not for the browser."""

    single: bool = True

    @rx.event
    async def load(self) -> None:
        self._put(single=(await self._signed_in()).single_keys)

    @rx.event
    async def toggle(self) -> None:
        self.single = not self.single
        await preferences.set_single_keys(get_database(), await self._actor(), on=self.single)


def assets() -> rx.Component:
    return rx.fragment(
        rx.el.link(rel="stylesheet", href="/conflicts.css", custom_attrs={"precedence": "default"}),
        rx.el.script(src="/conflicts.js", custom_attrs={"async": True}),
        rx.el.script(src="/mentions.js", custom_attrs={"async": True}),
        rx.cond(KeysState.single, rx.fragment(), rx.el.span(hidden=True, custom_attrs={"data-keys-off": ""})),
    )


def key_help() -> rx.Component:
    return ui.disclosure(
        rx.el.span(ui.icon("keyboard", 15), "Keys", class_name="with-icon"),
        rx.el.dl(
            *[rx.el.div(rx.el.dt(*[ui.kbd(key) for key in keys.split()]), rx.el.dd(about)) for keys, about in KEYS],
            class_name="keys",
        ),
        rx.el.button(
            rx.cond(KeysState.single, "Single keys are on", "Single keys are off"),
            type="button",
            aria_pressed=rx.cond(KeysState.single, "true", "false"),
            on_click=KeysState.toggle,
            class_name="button small",
            custom_attrs={"data-single-keys": rx.cond(KeysState.single, "on", "off")},
        ),
        id="keys",
    )
