"""Connect: the workspace's Stripe account, the checks of its key, and the ready sandbox."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID

import reflex as rx

from dashboard.navigation import add_page
from dashboard.pages.connect_rows import (
    CapCard,
    Card,
    CheckRow,
    DraftCard,
    LastRun,
    TypeBox,
    cap_card,
    card,
    check_rows,
    draft_card,
    entered_cap,
    last_run,
    limit_elsewhere,
    type_boxes,
)
from dashboard.pages.connect_view import view
from dashboard.state import PageState
from sync_core.errors import Refusal
from sync_core.services import attempts, connection_drafts, connection_webhooks, connections, read_cap
from sync_core.services.actor import Permission
from sync_core.services.attempts import Typed
from sync_core.services.check_results import CheckName
from sync_core.settings import get_settings
from sync_core.store.database import get_database

_LOOK_SECONDS = 0.15
_EVENT_SECONDS = 30.0
_WEBHOOK_SAID = {
    "webhook_secret_malformed": "A signing secret starts with whsec_. It is shown beside the endpoint in Stripe's dashboard.",
    "not_connected": "Connect a Stripe account first.",
    "forbidden": "Your role may not change the connection. Ask an admin.",
}


class ConnectState(PageState):
    card: Card = Card()
    checks: list[CheckRow] = []
    last_run: LastRun = LastRun()
    types: list[TypeBox] = []
    label: str = ""
    account_mode: str = "test"
    filled: int = 0
    types_problem: str = ""
    examining: bool = False
    problem: str = ""
    problem_mark: str = ""
    may_manage: bool = False
    sandbox_offered: bool = False
    replacing: bool = False
    rechecking: str = ""
    disconnecting: bool = False
    confirm_problem: str = ""
    webhook_url: str = ""
    webhook_problem: str = ""
    awaiting: bool = False
    draft: DraftCard = DraftCard()
    of_draft: bool = False
    taking_up: bool = False
    cap: CapCard = CapCard()
    cap_problem: str = ""
    cap_filled: int = 0
    loaded: bool = False

    def _attempt_id(self) -> UUID | None:
        try:
            return UUID(dict(self.router.url.query_parameters).get("attempt", ""))
        except ValueError:
            return None

    async def _show(self) -> None:
        """The connection as it is stored."""
        actor = await self._actor()
        found = await connections.current(get_database(), actor)
        settings = get_settings()
        self.may_manage = actor.can(Permission.MANAGE_CONNECTION)
        self.sandbox_offered = settings.demo
        self.webhook_url = f"{settings.origin}/api/v1/webhooks/stripe/{actor.workspace_id}"
        self.card = Card() if found is None else card(found, actor.time_zone)
        draft = await connection_drafts.current(get_database(), actor)
        self.draft = DraftCard() if draft is None else draft_card(draft, actor.time_zone)
        self.of_draft = found is None and draft is not None and bool(draft.checks)
        checks = found.checks if found is not None else draft.checks if draft is not None else ()
        self.checks = check_rows(checks, running=False, zone=actor.time_zone) if checks else []
        self.last_run = last_run(checks, actor.time_zone)
        kept = Typed() if draft is None else Typed(draft.entity_types, draft.label, draft.mode)
        self._fill(kept if found is None else replace(kept, entity_types=found.entity_types))
        cap = await read_cap.read(get_database(), actor)
        self._fill_cap(CapCard() if isinstance(cap, Refusal) else cap_card(cap, actor.time_zone))

    def _fill(self, typed: Typed) -> None:
        """The key's form, with what is to stand in it; the inputs are made anew."""
        self._put(types=type_boxes(typed.entity_types), label=typed.label, account_mode=typed.mode, types_problem="")
        self.filled += 1

    def _fill_cap(self, cap: CapCard) -> None:
        self._put(cap=cap, cap_problem="")
        self.cap_filled += 1

    @rx.event
    async def load(self) -> None:
        await self._show()
        self.problem = self.problem_mark = self.confirm_problem = self.webhook_problem = ""
        attempt_id = self._attempt_id()
        self.examining, self.taking_up = attempt_id is not None, False
        attempt = None if attempt_id is None else attempts.read(await self._actor(), attempt_id)
        if attempt is not None:
            self._fill(attempt.typed)
        if self.examining:
            self.checks = check_rows((), running=True)
        self.replacing = self.examining and bool(self.card.account_id)
        self.disconnecting = self.awaiting = False
        webhook = dict(self.router.url.query_parameters).get("webhook", "")
        if webhook == "saved":
            self._say("The signing secret is kept.")
        self.webhook_problem = _WEBHOOK_SAID.get(webhook, "")
        self.loaded = True

    @rx.event(background=True, supersedes=True)
    async def watch(self) -> Any:
        """Follow the attempt in the address, if there is one, until it is done."""
        async with self:
            attempt_id = self._attempt_id()
        if attempt_id is not None:
            async for event in self._follow(attempt_id):
                yield event

    @rx.event(background=True, supersedes=True)
    async def try_sandbox(self) -> Any:
        async with self:
            actor = await self._actor()
            attempt_id = attempts.begin_sandbox(get_database(), actor)
            self._examine()
        async for event in self._follow(attempt_id):
            yield event

    @rx.event(background=True, supersedes=True)
    async def take_up(self) -> Any:
        """Go on with the key that was left for later."""
        async with self:
            attempt_id = attempts.begin_take_up(get_database(), await self._actor())
            self._examine(taking_up=True)
        async for event in self._follow(attempt_id):
            yield event

    def _examine(self, *, taking_up: bool = False) -> None:
        self.taking_up = taking_up
        self.examining, self.problem, self.problem_mark = True, "", ""
        self.checks = check_rows((), running=True)

    @rx.event
    async def discard_draft(self) -> None:
        refused = await connection_drafts.discard(get_database(), await self._actor())
        if refused is not None:
            self._refuse(refused)
        else:
            self._say("Discarded. The key that was saved is forgotten.")
        self.problem = self.problem_mark = ""
        await self._show()

    async def _follow(self, attempt_id: UUID) -> Any:
        seen = -1
        while True:
            async with self:
                found = attempts.read(await self._actor(), attempt_id)
                if found is None or found.done:
                    await self._conclude(found)
                    break
                if len(found.checks) != seen:
                    seen = len(found.checks)
                    self.checks = check_rows(found.checks, running=True)
            await asyncio.sleep(_LOOK_SECONDS)
        if found is not None and (found.connected or found.saved):
            yield rx.redirect("/connect", replace=True)

    async def _conclude(self, found: attempts.AttemptView | None) -> None:
        self.examining = False
        if found is None or found.connected or found.saved:
            await self._show()
        if found is not None and found.connected:
            self.problem = ""
            former = self.card.former
            self._say(
                f"Key replaced. {former} is kept until the new one has worked."
                if former
                else f"Connected to {self.card.title}."
            )
        elif found is not None and found.saved:
            self.problem = ""
            self._say(f"Saved for {connection_drafts.DAYS} days. Nothing is connected by it.")
        elif found is not None and found.refusal is not None:
            self.problem = found.refusal.message
            self.problem_mark = ""
            if found.refusal.field == "api_key" and not self.taking_up:
                self.problem_mark = "This key was not kept."
            self._put(types_problem=found.refusal.message if found.refusal.field == "entity_types" else "")
            self.checks = check_rows(found.checks, running=False) if found.checks else []
            self.replacing = bool(self.card.account_id)

    @rx.event
    async def recheck(self, name: str) -> Any:
        """One check, or all of them for an empty name."""
        known = {one.value for one in CheckName}
        self.rechecking = name if name in known else "all"
        yield
        chosen = CheckName(name) if name in known else None
        result = await connections.recheck(get_database(), await self._actor(), chosen)
        self.rechecking = ""
        if isinstance(result, Refusal):
            self._refuse(result)
            return
        await self._show()

    @rx.event(background=True, supersedes=True)
    async def await_event(self) -> None:
        """The signing secret is proved by an event that is signed with it."""
        async with self:
            actor = await self._actor()
            if self.awaiting:
                return
            self.awaiting = True
        try:
            came = await connection_webhooks.event_comes(get_database(), actor, within=_EVENT_SECONDS)
        finally:
            async with self:
                self.awaiting = False
        async with self:
            if isinstance(came, Refusal):
                self._refuse(came)
            elif came is None:
                self._say(
                    f"No event came within {_EVENT_SECONDS:.0f} seconds. Compare address and secret with Stripe's.",
                    "warn",
                )
            else:
                self._say(f"An event came, and its signature is right: {came}.")
                await self._show()

    @rx.event
    async def start_replacing(self) -> None:
        self.replacing = True

    @rx.event
    async def stop_replacing(self) -> None:
        self.replacing, self.problem, self.problem_mark = False, "", ""
        await self._show()

    @rx.event
    async def ask_disconnect(self) -> None:
        self.disconnecting, self.confirm_problem = True, ""

    @rx.event
    async def keep_connected(self) -> None:
        self.disconnecting = False

    @rx.event
    async def disconnect(self, form: dict[str, Any]) -> Any:
        typed = form.get("confirmation")
        refused = await connections.disconnect(
            get_database(), await self._actor(), typed if isinstance(typed, str) else ""
        )
        if refused is not None:
            self.confirm_problem = refused.message
            return None
        self._say("Disconnected. The key is forgotten; records and history stay.")
        await self._show()
        self.disconnecting, self.confirm_problem, self.problem = False, "", ""
        return rx.redirect("/connect", replace=True)

    @rx.event
    async def save_cap(self, form: dict[str, Any]) -> None:
        """What is wrong is said beside the field, and what was entered stays there."""
        actor, entered = await self._actor(), entered_cap(form.get("requests_per_second"))
        saved = entered if isinstance(entered, Refusal) else await read_cap.save(get_database(), actor, entered)
        if isinstance(saved, Refusal):
            self.cap_problem = saved.message
            return
        self._fill_cap(cap_card(saved, actor.time_zone))
        kept = f"At most {saved.per_second} requests a second."
        self._say(f"{kept} {limit_elsewhere(saved) or 'A running sync keeps to it within seconds.'}")

    @rx.event
    async def forget_webhook(self) -> None:
        result = await connection_webhooks.set_secret(get_database(), await self._actor(), "")
        if isinstance(result, Refusal):
            self._refuse(result)
            return
        self._say("The signing secret is forgotten.")
        await self._show()


def register(app: rx.App) -> None:
    add_page(
        app,
        lambda: view(ConnectState),
        route="/connect",
        title="Connect",
        on_load=[ConnectState.load, ConnectState.watch],
    )
