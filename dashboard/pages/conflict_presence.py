"""Who else has this conflict open, said beside its title.

The browser says every ten seconds that its person is there (`assets/conflicts.js`): it alone knows whether the page is looked at.
"""

from __future__ import annotations

from uuid import UUID

import reflex as rx

from dashboard import components as ui
from dashboard.state import PageState
from sync_core.services import conflict_presence
from sync_core.store.database import get_database


class PresenceState(PageState):
    """`_at` is the conflict that this person was last said to look at."""

    others: str = ""
    _at: str = ""

    def _asked(self) -> str:
        parts = [part for part in self.router.url.path.split("/") if part]
        try:
            return str(UUID(parts[1]))
        except (IndexError, ValueError):
            return ""

    @rx.event
    async def beat(self) -> None:
        asked = self._asked()
        await self._leave(besides=asked)
        if asked:
            self._at = asked
            self._put(others=said(await conflict_presence.look(get_database(), await self._actor(), UUID(asked))))

    @rx.event
    async def leave(self) -> None:
        """At once where the page is left; where the browser goes without a word, when the lease is over."""
        await self._leave()

    async def _leave(self, besides: str = "") -> None:
        if self._at and self._at != besides:
            await conflict_presence.leave(get_database(), await self._actor(), UUID(self._at))
            self._at, self.others = "", ""


def said(others: tuple[str, ...]) -> str:
    """“ana@example.com and ben@example.com are viewing”; nothing where nobody is."""
    if not others:
        return ""
    *first, last = others
    return f"{', '.join(first)} and {last} are viewing" if first else f"{last} is viewing"


def presence() -> rx.Component:
    return rx.el.span(
        rx.cond(PresenceState.others != "", ui.pill(PresenceState.others, "info", "eye"), rx.fragment()),
        rx.el.button(type="button", hidden=True, on_click=PresenceState.beat, custom_attrs={"data-beat": ""}),
        on_unmount=PresenceState.leave,
        role="status",
        class_name="presence",
    )
