"""The state under every page: who is signed in, and what the screen has to say to them.

Every page's state is a `PageState`; see `dashboard/navigation.py` for the recipe. Nothing here is a credential: the session is
read from the websocket's cookie for every event, and each answer from the database.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import Any, Final

import reflex as rx
from reflex.istate.proxy import StateProxy
from reflex_base.event.context import EventContext

from dashboard.auth.cookies import token_in
from dashboard.auth.guard import GUARDED, SignedOut, guarded
from sync_core.domain.vocabulary import Role
from sync_core.errors import Refusal
from sync_core.services import accounts, standing
from sync_core.services.actor import Actor, Permission
from sync_core.store.database import get_database

# A toast outlives the page that it came with, so that what was done is still read on the next one, but not the one after.
NOTICE_SECONDS: Final = 8.0
UNDO_SECONDS: Final = 10.0
LOADS: Final[set[str]] = set()
"""The handlers that bring a page's content, by qualified name; `add_page` adds them."""
UNASKED: Final = frozenset({"renew", "beat", "leave"})
"""Handlers that the browser calls by itself: one that fails is called again, and nobody is told of what they did not do."""

_LESSER = (Role.OPERATOR, Role.VIEWER)

# By which event, and who. An event's task may begin as a copy of another's context, hence the event.
_admitted: ContextVar[tuple[str, accounts.SignedIn] | None] = ContextVar("admitted", default=None)


class PageState(rx.State):
    """`signed_out` covers the page with a way back in; `failed` stands in for content that did not come; `notice` is the toast,
    `notice_undo` the batch of decisions that it offers to take back. `lesser_role` is that of who may not do everything: it
    comes with a page's content, which tells what is missing there.
    """

    signed_out: bool = False
    failed: bool = False
    lesser_role: str = ""
    notice: str = ""
    notice_kind: str = "info"
    notice_number: int = 0
    notice_undo: str = ""
    _noticed_at: float = 0.0
    _failed_on: str = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        for name, value in list(vars(cls).items()):
            # A function is an event handler by its name alone, so Reflex's own rule says what to guard.
            if rx.State._item_is_event_handler(name, value):  # noqa: SLF001 - it is the rule that decides
                setattr(cls, name, guarded(value))
        super().__init_subclass__(**kwargs)
        for name, handler in getattr(cls, "event_handlers", {}).items():
            if name != "setvar" and not getattr(handler.fn, GUARDED, False):
                raise TypeError(f"{cls.__name__}.{name} comes from a mixin that is no PageState, so it has no guard.")

    async def _admit(self) -> None:
        """The guard's question, before each event. A background handler's answers grow old, so it asks again each time."""
        found = await self._ask()
        if not isinstance(self, StateProxy):
            _admitted.set((EventContext.get().txid, found))
            role = found.actor.role
            self._put(lesser_role=role.label if role in _LESSER else "")

    async def _signed_in(self) -> accounts.SignedIn:
        """Raises SignedOut, which the guard turns into a way back in."""
        admitted = _admitted.get()
        if admitted is not None and admitted[0] == EventContext.get().txid:
            return admitted[1]
        return await self._ask()

    async def _ask(self) -> accounts.SignedIn:
        token = token_in(self.router.headers.cookie)
        found = None if token is None else await accounts.who(get_database(), token)
        if found is None:
            raise SignedOut
        return found

    async def _actor(self) -> Actor:
        """Who asks. Read anew for every event: a role taken away counts at once."""
        return (await self._signed_in()).actor

    def _put(self, **values: Any) -> None:
        """Assigns what differs. A variable that is assigned is sent and drawn anew, even if it is what it was."""
        for name, value in values.items():
            if getattr(self, name) != value:
                setattr(self, name, value)

    def _say(self, text: str, kind: str = "success", *, undo: str = "") -> None:
        """A toast; `kind` is success, info, warn or danger. In a background handler call it under `async with self`."""
        self._put(notice_undo=undo)
        self.notice, self.notice_kind, self.notice_number = text, kind, self.notice_number + 1
        self._noticed_at = time.monotonic()

    def _refuse(self, refusal: Refusal) -> None:
        """For refusals that belong beside no field on the screen."""
        self._say(refusal.message, "danger")

    def _show_failure(self, failure: Exception, handler: str) -> None:
        """What was there before is not what the address says: a page that did not load shows nothing of it."""
        if isinstance(failure, SignedOut):
            self.signed_out = True
        elif handler in LOADS:
            self.failed, self._failed_on = True, _visit()
        elif handler.rpartition(".")[2] not in UNASKED:
            self._say("That didn't work. Nothing was changed; try again.", "danger")


def _visit() -> str:
    """What the events of one `on_load` have in common."""
    context = EventContext.get()
    return context.parent_txid or context.txid


def mentions_said(count: int) -> str:
    return "" if not count else f"{count}" if count < 100 else "99+"


class ShellState(PageState):
    """What stands around every page. It comes after the page's own content."""

    ready: bool = False
    email: str = ""
    workspace: str = ""
    role: str = ""
    time_zone: str = "UTC"
    may: dict[str, bool] = {one.value: False for one in Permission}
    mode: str = ""
    waiting: str = ""
    mentions: str = ""

    @rx.event
    async def load(self) -> None:
        if time.monotonic() - self._noticed_at >= (UNDO_SECONDS if self.notice_undo else NOTICE_SECONDS):
            self._put(notice="", notice_undo="")
        if self._failed_on != _visit():
            self._put(failed=False)
        found = await self._signed_in()
        actor = found.actor
        around = await standing.read(get_database(), actor)
        self._put(
            email=found.email,
            workspace=found.workspace_name,
            role=actor.role.label,
            time_zone=actor.time_zone,
            may={one.value: actor.can(one) for one in Permission},
            mode=around.mode,
            waiting=f"{around.open_conflicts:,}" if around.open_conflicts else "",
            mentions=mentions_said(around.mentions),
            signed_out=False,
            ready=True,
        )

    @rx.event
    async def dismiss(self) -> None:
        self.notice, self.notice_undo = "", ""
