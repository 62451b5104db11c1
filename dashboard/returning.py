"""What a tab is told of all at once: when it comes back, of the page that it is on, not of all that it has been on; and in messages that are small."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import reflex as rx
from reflex.constants import CompileVars
from reflex.middleware.middleware import Middleware
from reflex.state import BaseState, State, StateUpdate
from reflex_base.constants.state import FIELD_MARKER
from reflex_base.event import Event
from reflex_base.utils.format import format_event_handler, json_dumps

from dashboard.state import ShellState

# A message has 16 kB; the shell, what pages share and what frames it take 2 kB at most.
MOST_KEPT: Final = 14_000
# A part of what does not fit into one message; each variable is in one of them.
_PART: Final = 12_000
_ROOT: Final = State.get_full_name()
_IS_WHOLE: Final = CompileVars.IS_HYDRATED + FIELD_MARKER
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


def send_in_parts(app: rx.App) -> None:
    """A browser whose bundle is not this server's, or whose state was forgotten meanwhile, is told all variables of all pages: 20 kB."""
    namespace = app.event_namespace
    if namespace is None:
        raise RuntimeError("The app has no state yet: it sends nothing.")
    whole = namespace.emit_update

    async def emit_update(update: StateUpdate, token: str) -> None:
        if not update.delta:
            await whole(update=update, token=token)
            return
        *earlier, last = in_parts(update.delta)
        for part in earlier:
            await whole(update=StateUpdate(delta=part), token=token)
        await whole(update=replace(update, delta=last), token=token)

    namespace.emit_update = emit_update  # type: ignore[method-assign]  # Reflex has no other place before the socket


def in_parts(delta: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, dict[str, Any]]]:
    """A snapshot begins with the root, by which the browser knows one. Whatever else is sent goes as it is, and is not measured."""
    if delta.get(_ROOT, {}).get(_IS_WHOLE) is not False:
        yield {name: dict(values) for name, values in delta.items()}
        return
    part: dict[str, dict[str, Any]] = {}
    size = 0
    for state in sorted(delta, key=lambda name: name != _ROOT):
        for name, value in delta[state].items():
            more = len(json_dumps({name: value}).encode()) + (len(state) if state not in part else 0)
            if part and size + more > _PART:
                yield part
                part, size = {}, 0
            part.setdefault(state, {})[name] = value
            size += more
    yield part
