"""What stands at an address that no page has."""

from __future__ import annotations

import reflex as rx

from dashboard import components as ui
from dashboard.navigation import add_page


def view() -> rx.Component:
    return ui.page_shell(
        "Not found",
        ui.empty_state(
            "There is no such page",
            "The address may be misspelt, or what it led to has another one now.",
            "Overview",
            "/",
            icon_name="search-x",
        ),
    )


def register(app: rx.App) -> None:
    add_page(app, view, route="404", title="Not found")
