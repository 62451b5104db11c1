"""What a tab that comes back is told: of the page that it is on, not of all that it has been on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import reflex as rx
from reflex.middleware.middleware import Middleware
from reflex.state import BaseState, State, StateUpdate
from reflex_base.event import Event
from reflex_base.utils.format import format_event_handler, json_dumps

from dashboard.state import ShellState

# A message has 16 kB; the shell, what pages share and what frames it take 2 kB at most.
MOST_KEPT: Final = 14_000
_COMES_BACK: Final = format_event_handler(State.event_handlers["hydrate_and_load"])


class Returning(Middleware):
    """Before the server tells a tab all that it knows of it, it forgets what the tab's page does not show. Each page reads all anew
    when it is come to, so nothing is lost; what is shown stays as it is, with what is open or typed there. A page that holds more than
    fits into a message is forgotten too, and comes in its load's own messages.
    """

    async def preprocess(self, app: rx.App, state: BaseState, event: Event) -> StateUpdate | None:
        if event.name != _COMES_BACK:
            return None
        shown = _loaded(app.get_load_events(state.rx_router_url.path))
        for other in _loaded(load for loads in app._load_events.values() for load in loads) - shown:  # noqa: SLF001 - no other list of them
            (await state.get_state(other)).reset()
        held = [await state.get_state(one) for one in shown]
        if sum(len(json_dumps(one.dict())) for one in held) > MOST_KEPT:
            for one in held:
                one.reset()
        return None


def _loaded(loads: Iterable[Any]) -> set[type[BaseState]]:
    """The states that the handlers fill. What stands around every page is no page's own."""
    return {one.state for one in loads} - {ShellState}
