"""Who else has a conflict open, said beside its title and in its row of the list.

The browser says every ten seconds that its person is there (`assets/conflicts.js`): it alone knows whether the page is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import reflex as rx

from dashboard import components as ui
from dashboard.state import PageState
from sync_core.services import conflict_presence
from sync_core.store.database import get_database


class PresenceState(PageState):
    """`others` look at this person's conflict, `viewing` at rows of the list, by their ids. `_at` is the conflict that this person was last
    said to look at.
    """

    others: str = ""
    viewing: dict[str, str] = {}
    _at: str = ""

    @rx.event
    async def beat(self) -> None:
        asked, listed = await self._here()
        await self._leave(besides=asked)
        actor = await self._actor()
        if asked:
            self._at = asked
            self._put(others=said(await conflict_presence.look(get_database(), actor, UUID(asked))))
        if listed:
            self._note(await conflict_presence.around(get_database(), actor, [UUID(one) for one in listed]))

    async def _here(self) -> tuple[str, list[str]]:
        """The conflict that is open, by the address or in its row, and the rows of the list, where that is what is looked at."""
        from dashboard.pages.conflict_detail import ConflictState
        from dashboard.pages.conflicts import ConflictsState

        parts = [part for part in self.router.url.path.split("/") if part]
        listed: list[str] = []
        if parts == ["conflicts"]:
            listed = [row.id for row in (await self.get_state(ConflictsState)).rows]
            parts.append((await self.get_state(ConflictState)).inline_id)
        try:
            return str(UUID(parts[1])), listed
        except (IndexError, ValueError):
            return "", listed

    def _note(self, viewers: Mapping[UUID, tuple[str, ...]]) -> None:
        self._put(viewing={str(one): said(names) for one, names in viewers.items()})

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
        heart(),
        role="status",
        class_name="presence",
    )


def heart() -> rx.Component:
    """What the browser clicks while its person looks at the page."""
    return rx.el.button(
        type="button",
        hidden=True,
        on_click=PresenceState.beat,
        on_unmount=PresenceState.leave,
        custom_attrs={"data-beat": ""},
    )


def dot(row_id: Any) -> rx.Component:
    """In a row of the list: somebody else has it open."""
    viewing = PresenceState.viewing
    return rx.cond(
        viewing.contains(row_id),
        rx.el.div(ui.pill(viewing[row_id], "info", "eye"), class_name="presence"),
        rx.fragment(),
    )
