"""Where everything is, and the one recipe for a page.

A module in `dashboard/pages` is a page when it has `register(app)`. `dashboard.dashboard` finds it by itself; nothing is listed anywhere:

    from dashboard import components as ui
    from dashboard.navigation import add_page
    from dashboard.state import PageState

    class RecordsState(PageState):                      # never rx.State: PageState puts the guard on every handler
        rows: list[Row] = []                            # frozen dataclasses, at most one page of them
        loaded: bool = False

        @rx.event
        async def load(self) -> None:                   # handlers are async, or the class is refused
            page = await records.list_page(get_database(), await self._actor(), ...)
            if isinstance(page, Refusal):
                self._refuse(page)                      # says its message in a toast
                return
            self.rows, self.loaded = page.rows, True

        async def _helper(self): ...                    # helpers begin with "_": any other method is an endpoint for clients

    def view() -> rx.Component:
        return ui.page_shell("Records", ui.card(...), current="/records")

    def register(app: rx.App) -> None:
        add_page(app, view, route="/records", title="Records", on_load=[RecordsState.load])

Handlers' arguments are held to their annotations by the guard (an event with others is refused); what they *mean* is still the
handler's to check. A background handler asks `await self._actor()` once per turn of its loop: that ends it when the session ends.
Links between pages are `ui.link`, `ui.anchor` or `ui.button_link` (`rx.el.a` loads the whole document anew); links to what is not a
page (downloads) take `reload_document=True`. Nothing may need `eval`: no `rx.toast`, `rx.call_script` or `rx.download`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import reflex as rx

from dashboard.state import LOADS, ShellState


@dataclass(frozen=True, slots=True)
class Place:
    label: str
    href: str
    icon: str


PLACES = (
    Place("Overview", "/", "layout-dashboard"),
    Place("Connect", "/connect", "plug"),
    Place("New sync", "/syncs/new", "circle-plus"),
    Place("Syncs", "/syncs", "refresh-cw"),
    Place("Schedules", "/schedules", "calendar-clock"),
    Place("Conflicts", "/conflicts", "git-compare-arrows"),
    Place("Records", "/records", "database"),
)


def add_page(
    app: rx.App, view: Callable[[], rx.Component], *, route: str, title: str, on_load: Sequence[Any] = ()
) -> None:
    """`on_load` runs before the shell's own (who is signed in, where, what waits for review): content is what people wait for."""
    loads = [*on_load, ShellState.load]
    LOADS.update(one.fn.__qualname__ for one in loads)
    app.add_page(view, route=route, title=f"{title} · Cyphera Sync", on_load=loads)


def register_pages(app: rx.App) -> list[str]:
    """The names of the page modules found."""
    import dashboard.pages

    found = []
    for module in pkgutil.iter_modules(dashboard.pages.__path__):
        page = importlib.import_module(f"dashboard.pages.{module.name}")
        if hasattr(page, "register"):
            page.register(app)
            found.append(module.name)
    return found
