"""No event of any page runs for somebody who isn't signed in, or with arguments that its handler doesn't take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
import reflex as rx
from reflex_base.registry import RegistrationContext
from sqlalchemy import text

from dashboard.auth.guard import GUARDED
from dashboard.state import PageState, ShellState
from sync_core.services import accounts
from sync_core.store import database as database_module
from sync_core.store.database import Database
from tests.events._browser import Browser, browser

_REFLEXS_OWN = ("reflex___",)
ran: list[Any] = []


class ProbeState(PageState):
    """A page's state that tells whether its handlers ran."""

    turns: int = 0

    @rx.event
    async def touch(self, number: int, names: list[str] | None = None) -> None:
        ran.append((number, names))

    @rx.event
    async def count(self) -> Any:
        ran.append("began")
        yield
        ran.append("ended")

    @rx.event(background=True)
    async def watch(self) -> None:
        """As a page follows a run: each turn asks who is there."""
        while True:
            await self._actor()
            async with self:
                self.turns += 1
            await asyncio.sleep(0.01)

    @rx.event
    async def fail(self) -> None:
        raise RuntimeError("sk_live_secret in a message")


@pytest.fixture
async def member(database: Database, workspace_id: UUID, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Browser]:
    monkeypatch.setattr(database_module, "_database", database)
    ran.clear()
    async with browser(database, workspace_id, "/design") as found:
        yield found


def registered() -> dict[str, Any]:
    return {
        name: found.handler.fn
        for name, found in RegistrationContext.ensure_context().event_handlers.items()
        if not name.rpartition(".")[0].rpartition(".")[2].startswith(_REFLEXS_OWN)
    }


def test_every_handler_of_every_page_is_guarded() -> None:
    handlers = registered()
    assert len(handlers) > 10
    # `setvar` is Reflex's own, one a state: it calls a state's `set_…` handlers, which are guarded themselves.
    unguarded = [name for name, fn in handlers.items() if not getattr(fn, GUARDED, False)]
    assert [name for name in unguarded if not name.endswith(".setvar")] == []


def test_every_state_is_a_page_state() -> None:
    strangers = [one for one in rx.State.__subclasses__() if one.__module__.startswith("dashboard.")]
    assert strangers == [PageState]


def test_a_public_helper_is_refused_when_its_class_is_made() -> None:
    with pytest.raises(TypeError, match="every client can call it"):
        type("LeakyState", (PageState,), {"__module__": __name__, "helper": lambda _self: None})


async def _signed_out(member: Browser, _database: Database) -> None:
    member.cookie = ""


async def _forged(member: Browser, _database: Database) -> None:
    member.cookie = "sid=forged"


async def _malformed(member: Browser, _database: Database) -> None:
    member.cookie = 'sid="\\'


async def _ended(member: Browser, database: Database) -> None:
    await accounts.sign_out(database, member.cookie.partition("=")[2])


async def _expired(_member: Browser, database: Database) -> None:
    await on_system(database, "UPDATE user_sessions SET expires_at = now() - interval '1 second'")


async def _expelled(_member: Browser, database: Database) -> None:
    await on_system(database, "DELETE FROM memberships")


async def _disabled(_member: Browser, database: Database) -> None:
    await on_system(database, "UPDATE users SET disabled_at = now()")


async def on_system(database: Database, statement: str) -> None:
    async with database.system() as session:
        await session.execute(text(statement))


ENDS = {
    "no cookie": _signed_out,
    "a forged cookie": _forged,
    "a malformed cookie": _malformed,
    "a session that was signed out": _ended,
    "a session that has expired": _expired,
    "somebody who left the workspace": _expelled,
    "a disabled account": _disabled,
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
async def test_nothing_runs_for_nobody(member: Browser, database: Database, end: Any) -> None:
    await member.send(ProbeState, "touch", number=1)
    await end(member, database)
    member.told.clear()
    await member.send(ProbeState, "touch", number=2)
    await member.send(ProbeState, "count")
    await member.send(ShellState, "load")
    assert ran == [(1, None)]
    assert member.of(PageState, "signed_out") is True
    assert not member.of(ShellState, "email")


async def test_a_member_is_let_through(member: Browser) -> None:
    await member.send(ShellState, "load")
    await member.send(ProbeState, "touch", number=3, names=["a"])
    await member.send(ProbeState, "count")
    assert ran == [(3, ["a"]), "began", "ended"]
    assert (member.of(ShellState, "email"), member.of(ShellState, "workspace")) == ("owner@example.com", "Default")
    assert not member.of(PageState, "signed_out")


PAYLOADS: dict[str, dict[str, Any]] = {
    "text for a number": {"number": "seven"},
    "an object for a number": {"number": {"$gt": 0}},
    "nothing": {},
    "null": {"number": None},
    "one argument too many": {"number": 1, "role": "owner"},
    "a list of the wrong things": {"number": 1, "names": [{"a": 1}]},
}


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS.keys())
async def test_forged_arguments_go_no_further(member: Browser, payload: dict[str, Any]) -> None:
    await member.send(ProbeState, "touch", **payload)
    assert ran == []
    assert member.of(PageState, "notice_kind") == "danger"


async def test_a_watch_ends_with_the_session(member: Browser, database: Database) -> None:
    watching = asyncio.create_task(member.send(ProbeState, "watch"))
    async with asyncio.timeout(60):
        while not member.of(ProbeState, "turns"):
            await asyncio.wait({watching}, timeout=0.02)
        await _ended(member, database)
        await watching
    assert member.of(PageState, "signed_out") is True


async def test_a_failure_is_told_without_its_cause(member: Browser) -> None:
    await member.send(ProbeState, "fail")
    assert member.of(PageState, "notice") == "That didn't work. Nothing was changed; try again."
    assert "sk_live_secret" not in member.everything


async def test_a_page_that_does_not_load_says_so_until_the_next_one(
    member: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.state.LOADS", {"ProbeState.fail"})
    await member.send(ShellState, "load")
    await member.send(ProbeState, "fail")
    assert member.of(PageState, "failed") is True
    await member.send(ShellState, "load")
    assert member.of(PageState, "failed") is False


@pytest.mark.parametrize(("seconds", "left"), [(3_600.0, True), (0.0, False)], ids=["just said", "said long ago"])
async def test_a_toast_is_not_carried_from_page_to_page(
    member: Browser, monkeypatch: pytest.MonkeyPatch, seconds: float, left: bool
) -> None:
    monkeypatch.setattr("dashboard.state.NOTICE_SECONDS", seconds)
    await member.send(ProbeState, "fail")
    await member.send(ShellState, "load")
    assert bool(member.of(PageState, "notice")) is left
