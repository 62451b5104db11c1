"""New sync: what to read, from when, and what to do where both sides disagree."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import reflex as rx

from dashboard.navigation import add_page
from dashboard.pages.new_sync_form import (
    PRESETS,
    EntityCard,
    EstimateCard,
    Form,
    curl,
    entity_cards,
    estimate_card,
    form_of,
    mistakes,
    request_of,
)
from dashboard.pages.new_sync_view import view
from dashboard.state import PageState
from sync_core.domain.vocabulary import EntityType, SessionStatus, Strategy
from sync_core.errors import Refusal
from sync_core.services import connections, sessions
from sync_core.services import estimate as estimates
from sync_core.services.actor import Permission
from sync_core.services.session_views import Listing
from sync_core.services.start_request import StartRequest
from sync_core.settings import get_settings
from sync_core.store.database import get_database

_SPANS = {"all", "custom", *PRESETS}
_STRATEGIES = {strategy.value for strategy in Strategy}
_MOST_CHARACTERS = 20


class NewSyncState(PageState):
    entities: list[EntityCard] = []
    filled: int = 0
    chosen: list[str] = []
    span: str = "all"
    start_date: str = ""
    end_date: str = ""
    strategy: str = "skip"
    by_entity: dict[str, str] = {}
    batch_size: str = "100"
    concurrent: str = "3"
    today: str = ""
    remembered: bool = False
    account: str = ""
    mode: str = ""
    may_run: bool = False
    running_href: str = ""
    estimate: EstimateCard = EstimateCard()
    estimating: bool = False
    estimate_stale: bool = False
    estimate_problem: str = ""
    curl: str = ""
    starting: str = ""
    advanced_open: bool = False
    error_entities: str = ""
    error_range: str = ""
    error_strategy: str = ""
    error_batch: str = ""
    error_concurrent: str = ""
    error_form: str = ""
    loaded: bool = False

    def _form(self) -> Form:
        return Form(
            chosen=tuple(self.chosen),
            span=self.span,
            start_date=self.start_date,
            end_date=self.end_date,
            strategy=self.strategy,
            by_entity=dict(self.by_entity),
            batch_size=self.batch_size,
            concurrent=self.concurrent,
        )

    async def _asked(self, *, dry_run: bool) -> StartRequest | Refusal:
        zone = ZoneInfo((await self._actor()).time_zone)
        return request_of(self._form(), dry_run=dry_run, now=datetime.now(zone))

    async def _refresh(self) -> None:
        """What follows from the form: the cards' notes, and that an estimate is of another one."""
        await self._mark_mistakes()
        self.entities = entity_cards(self._form())
        self.estimate_stale = self.estimate.ready
        asked = await self._asked(dry_run=True)
        if isinstance(asked, StartRequest):
            workspace_id = str((await self._actor()).workspace_id)
            self.curl = curl(asked, get_settings().origin, workspace_id)

    async def _mark_mistakes(self) -> bool:
        """Each beside its field; whether there are any."""
        zone = ZoneInfo((await self._actor()).time_zone)
        found = mistakes(self._form(), now=datetime.now(zone))
        self._forget_errors()
        for one in found:
            self._place(one)
        return bool(found)

    @rx.event
    async def load(self) -> Any:
        actor = await self._actor()
        connection = await connections.current(get_database(), actor)
        self.may_run = actor.can(Permission.RUN_SYNC)
        self.account = "" if connection is None else connection.account_name or connection.account_id
        self.mode = "" if connection is None else "sandbox" if connection.is_sandbox else connection.mode
        zone = ZoneInfo(actor.time_zone)
        self.today = datetime.now(zone).date().isoformat()
        last = await sessions.last_config(get_database(), actor)
        self._fill(form_of(last.config, zone))
        self.remembered = not last.is_default
        self.estimate, self.estimate_problem, self.starting = EstimateCard(), "", ""
        self.advanced_open = False
        self.running_href = await self._running()
        await self._refresh()
        self.loaded = True
        if connection is not None and self.may_run:
            return NewSyncState.run_estimate
        return None

    async def _running(self) -> str:
        actor = await self._actor()
        for status in (SessionStatus.RUNNING, SessionStatus.PENDING):
            page = await sessions.list_sessions(get_database(), actor, status=status, limit=1)
            if isinstance(page, Listing) and page.items:
                return f"/syncs/{page.items[0].id}"
        return ""

    def _fill(self, form: Form) -> None:
        self.filled += 1
        self.chosen = list(form.chosen)
        self.span, self.start_date, self.end_date = form.span, form.start_date, form.end_date
        self.strategy, self.by_entity = form.strategy, dict(form.by_entity)
        self.batch_size, self.concurrent = form.batch_size, form.concurrent

    @rx.event
    async def start_over(self) -> None:
        """Back to the defaults, whatever was used last."""
        self._fill(Form())
        self.remembered = False
        await self._refresh()

    @rx.event
    async def choose_entity(self, name: str, chosen: bool) -> None:
        if name in {entity.value for entity in EntityType}:
            others = [one for one in self.chosen if one != name]
            self.chosen = [*others, name] if chosen else others
            await self._refresh()

    @rx.event
    async def set_span(self, span: str) -> None:
        if span in _SPANS:
            self.span = span
            await self._refresh()

    @rx.event
    async def set_start_date(self, value: str) -> None:
        self.start_date = value[:_MOST_CHARACTERS]
        await self._refresh()

    @rx.event
    async def set_end_date(self, value: str) -> None:
        self.end_date = value[:_MOST_CHARACTERS]
        await self._refresh()

    @rx.event
    async def set_strategy(self, value: str) -> None:
        if value in _STRATEGIES:
            self.strategy = value
            await self._refresh()

    @rx.event
    async def set_entity_strategy(self, name: str, value: str) -> None:
        """An empty value: as for the others."""
        if name in {entity.value for entity in EntityType} and value in {"", *_STRATEGIES}:
            self.by_entity = {one: kept for one, kept in self.by_entity.items() if one != name}
            if value:
                self.by_entity = {**self.by_entity, name: value}
            await self._refresh()

    @rx.event
    async def set_batch_size(self, value: str) -> None:
        self.batch_size = value[:_MOST_CHARACTERS]
        await self._refresh()

    @rx.event
    async def set_concurrent(self, value: str) -> None:
        self.concurrent = value[:_MOST_CHARACTERS]
        await self._refresh()

    @rx.event(background=True, supersedes=True)
    async def run_estimate(self) -> None:
        async with self:
            actor = await self._actor()
            asked = await self._asked(dry_run=True)
            if isinstance(asked, Refusal):
                self._place(asked)
                return
            self.estimating, self.estimate_problem = True, ""
        found = await estimates.estimate(get_database(), actor, asked)
        async with self:
            self.estimating = False
            if isinstance(found, Refusal):
                self.estimate, self.estimate_problem = EstimateCard(), found.message
                self._place(found)
                return
            self.estimate, self.estimate_stale = estimate_card(found), False

    @rx.event
    async def start(self, dry_run: bool) -> Any:
        if await self._mark_mistakes():
            self.error_form = "Nothing was started. See what is marked."
            return
        self.starting = "dry" if dry_run else "real"
        yield
        asked = await self._asked(dry_run=dry_run)
        result = (
            asked if isinstance(asked, Refusal) else await sessions.start(get_database(), await self._actor(), asked)
        )
        self.starting = ""
        if isinstance(result, Refusal):
            self._place(result)
            self.error_form = self.error_form or "Nothing was started. See what is marked."
            return
        yield rx.redirect(f"/syncs/{result.id}")

    def _forget_errors(self) -> None:
        self.error_entities = self.error_range = self.error_strategy = ""
        self.error_batch = self.error_concurrent = self.error_form = ""

    def _place(self, refusal: Refusal) -> None:
        """Each no beside the field it is about."""
        match refusal.field:
            case "entity_types":
                self.error_entities = refusal.message
            case "date_range":
                self.error_range = refusal.message
            case "conflict_strategy" | "strategies":
                self.error_strategy = refusal.message
            case "batch_size":
                self.error_batch, self.advanced_open = refusal.message, True
            case "concurrent_batches":
                self.error_concurrent, self.advanced_open = refusal.message, True
            case _:
                self.error_form = refusal.message


def register(app: rx.App) -> None:
    add_page(app, lambda: view(NewSyncState), route="/syncs/new", title="New sync", on_load=[NewSyncState.load])
