"""New sync: what to read, from when, and what to do where both sides disagree."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import reflex as rx

from dashboard.fitting import weight
from dashboard.navigation import add_page
from dashboard.pages.new_sync_form import (
    FIELD_LABELS,
    PRESETS,
    EntityCard,
    EstimateCard,
    FieldException,
    Form,
    PresetRow,
    curl,
    entity_cards,
    estimate_card,
    field_exceptions,
    form_of,
    form_of_preset,
    mistakes,
    parents_left_out,
    preset_call,
    preset_rows,
    request_of,
    with_parents,
)
from dashboard.pages.new_sync_view import view
from dashboard.pages.run_parts import parsed_id
from dashboard.pages.sync_state import SyncState
from dashboard.state import PageState
from sync_core.domain.fields import ORDER
from sync_core.domain.vocabulary import EntityType, SessionStatus, Strategy
from sync_core.errors import Refusal
from sync_core.services import connections, presets, sessions
from sync_core.services import estimate as estimates
from sync_core.services.actor import Permission
from sync_core.services.session_views import Listing
from sync_core.services.start_request import StartRequest
from sync_core.settings import get_settings
from sync_core.store.database import get_database
from sync_core.store.sessions import RunFilter

_SPANS = {"all", "custom", *PRESETS}
_STRATEGIES = {strategy.value for strategy in Strategy}
_MOST_CHARACTERS = 20
# Of a message's 16 kB: more presets than that come in one of their own.
_PRESETS_ALONE = 5_000


class NewSyncState(PageState):
    entities: list[EntityCard] = []
    left_out: str = ""
    filled: int = 0
    chosen: list[str] = []
    span: str = "all"
    start_date: str = ""
    end_date: str = ""
    strategy: str = "skip"
    by_entity: dict[str, str] = {}
    _by_field: dict[str, str] = {}
    exceptions: list[FieldException] = []
    batch_size: str = "100"
    concurrent: str = "3"
    today: str = ""
    filled_from: str = ""
    presets: list[PresetRow] = []
    saving: bool = False
    managing: bool = False
    called_preset: str = ""
    preset_call: str = ""
    error_preset: str = ""
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
    _reads: tuple[EntityType, ...] = tuple(EntityType)
    _touched: bool = False
    _opened_at: str = ""

    def _form(self) -> Form:
        return Form(
            chosen=tuple(self.chosen),
            span=self.span,
            start_date=self.start_date,
            end_date=self.end_date,
            strategy=self.strategy,
            by_entity=dict(self.by_entity),
            by_field=dict(self._by_field),
            batch_size=self.batch_size,
            concurrent=self.concurrent,
        )

    async def _asked(self, *, dry_run: bool) -> StartRequest | Refusal:
        zone = ZoneInfo((await self._actor()).time_zone)
        return request_of(self._form(), dry_run=dry_run, now=datetime.now(zone))

    async def _refresh(self) -> None:
        """What follows from the form: the cards' notes, and that an estimate is of another one."""
        await self._mark_mistakes()
        self._put(entities=entity_cards(self._form(), self._reads), exceptions=field_exceptions(self._form()))
        self.left_out = parents_left_out(self._form())
        self._touched = self.loaded
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
        self._reads = tuple(EntityType) if connection is None else connection.entity_types
        await self._start_from(zone)
        await self._read_presets()
        if weight(self.presets) > _PRESETS_ALONE:
            yield
        self.saving = self.managing = False
        self.estimate, self.estimate_problem, self.starting = EstimateCard(), "", ""
        self.advanced_open, self.error_preset = bool(self._by_field), ""
        self.running_href = await self._running()
        touched = self._touched
        await self._refresh()
        self._touched, self.loaded = touched, True
        if connection is not None and self.may_run:
            yield NewSyncState.run_estimate

    async def _running(self) -> str:
        actor = await self._actor()
        for status in (SessionStatus.RUNNING, SessionStatus.PENDING):
            page = await sessions.list_sessions(get_database(), actor, only=RunFilter(status=status), limit=1)
            if isinstance(page, Listing) and page.items:
                return f"/syncs/{page.items[0].id}"
        return ""

    async def _start_from(self, zone: ZoneInfo) -> None:
        """The preset or the sync that the address names; else the last configuration."""
        actor, words = await self._actor(), dict(self.router.url.query_parameters)
        opened_at = f"{actor.workspace_id} {sorted(words.items())}"
        if self._touched and self._opened_at == opened_at:
            self.filled, self.filled_from = self.filled + 1, "As you left it"
            return
        self._touched, self._opened_at = False, opened_at
        if "preset" in words:
            preset = await presets.get(get_database(), actor, _id(words["preset"]))
            if not isinstance(preset, Refusal):
                self._fill(form_of_preset(preset, zone))
                self.filled_from = f"From the preset “{preset.name}”"
                return
            self._refuse(preset)
        if "like" in words:
            run = await sessions.get(get_database(), actor, _id(words["like"]))
            if not isinstance(run, Refusal):
                self._fill(form_of(run.config, zone))
                self.filled_from = "As in the sync that you came from"
                return
            self._refuse(run)
        last = await sessions.last_config(get_database(), actor)
        self._fill(self._fresh() if last.is_default else form_of(last.config, zone))
        self.filled_from = "" if last.is_default else "As in the last sync"

    def _fresh(self) -> Form:
        """All that the key is to read."""
        return Form(chosen=tuple(entity.value for entity in ORDER if entity in self._reads))

    async def _read_presets(self) -> None:
        actor = await self._actor()
        self.presets = preset_rows(await presets.every(get_database(), actor), ZoneInfo(actor.time_zone))
        self._put(called_preset="", preset_call="")

    @rx.event
    async def show_call(self, preset_id: str) -> None:
        """The preset as a call of the REST API; shown again, it goes."""
        actor = await self._actor()
        found = await presets.get(get_database(), actor, _id(preset_id))
        if isinstance(found, Refusal):
            self.error_preset = found.message
            return
        if self.called_preset == str(found.id):
            self.called_preset = self.preset_call = ""
            return
        zone, origin = ZoneInfo(actor.time_zone), get_settings().origin
        said = preset_call(found, zone, origin=origin, workspace_id=str(actor.workspace_id))
        self.called_preset, self.preset_call = (
            str(found.id),
            said or "It can't be started as it is: open it to see why.",
        )

    def _fill(self, form: Form) -> None:
        self.filled += 1
        self.chosen = list(form.chosen)
        self.span, self.start_date, self.end_date = form.span, form.start_date, form.end_date
        self.strategy, self.by_entity, self._by_field = form.strategy, dict(form.by_entity), dict(form.by_field)
        self.batch_size, self.concurrent = form.batch_size, form.concurrent

    @rx.event
    async def start_over(self) -> None:
        """Back to the defaults, whatever was used last."""
        self._fill(self._fresh())
        self.filled_from = ""
        await self._refresh()
        self._touched = False

    @rx.event
    async def choose_entity(self, name: str, chosen: bool) -> None:
        if name in {entity.value for entity in EntityType}:
            others = [one for one in self.chosen if one != name]
            self.chosen = [*others, name] if chosen else others
            await self._refresh()

    @rx.event
    async def add_parents(self) -> None:
        """All that the chosen types refer to; the boxes are made anew."""
        self.chosen, self.filled = with_parents(self._form()), self.filled + 1
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
    async def add_exception(self, form: dict[str, Any]) -> None:
        path, strategy = form.get("field"), form.get("field_strategy")
        if path in FIELD_LABELS and strategy in _STRATEGIES:
            self._by_field = {**self._by_field, str(path): str(strategy)}
            await self._refresh()

    @rx.event
    async def drop_exception(self, path: str) -> None:
        self._by_field = {one: kept for one, kept in self._by_field.items() if one != path}
        await self._refresh()

    @rx.event
    async def ask_name(self) -> None:
        self.saving, self.error_preset = True, ""

    @rx.event
    async def stop_saving(self) -> None:
        self.saving, self.error_preset = False, ""

    @rx.event
    async def save_preset(self, form: dict[str, Any]) -> None:
        if await self._mark_mistakes():
            self.error_preset = "Correct what is marked in the form first."
            return
        asked = await self._asked(dry_run=True)
        days = PRESETS.get(self.span)
        saved = (
            asked
            if isinstance(asked, Refusal)
            else await presets.save(get_database(), await self._actor(), str(form.get("name") or ""), asked, days=days)
        )
        if isinstance(saved, Refusal):
            self.error_preset = saved.message
            return
        self.saving, self.error_preset = False, ""
        self._say(f"Saved as “{saved.name}”.")
        await self._read_presets()

    @rx.event
    async def manage_presets(self) -> None:
        self.managing, self.error_preset = True, ""

    @rx.event
    async def stop_managing(self) -> None:
        self.managing, self.error_preset = False, ""

    @rx.event
    async def rename_preset(self, form: dict[str, Any]) -> None:
        renamed = await presets.rename(
            get_database(), await self._actor(), _id(str(form.get("preset") or "")), str(form.get("name") or "")
        )
        self.error_preset = renamed.message if isinstance(renamed, Refusal) else ""
        await self._read_presets()

    @rx.event
    async def delete_preset(self, preset_id: str) -> None:
        refused = await presets.delete(get_database(), await self._actor(), _id(preset_id))
        self.error_preset = refused.message if refused is not None else ""
        await self._read_presets()
        self.managing = bool(self.presets)

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
        try:
            found = await estimates.estimate(get_database(), actor, asked)
        except Exception:
            async with self:
                self.estimating, self.estimate_problem = False, "It could not be estimated. Try again."
            raise
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
        try:
            asked = await self._asked(dry_run=dry_run)
            result = (
                asked
                if isinstance(asked, Refusal)
                else await sessions.start(get_database(), await self._actor(), asked)
            )
        finally:
            self.starting = ""
        if isinstance(result, Refusal):
            self._place(result)
            self.error_form = self.error_form or "Nothing was started. See what is marked."
            return
        self._touched = False
        (await self.get_state(SyncState))._leave()  # noqa: SLF001 - the page's own word for it
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


def _id(word: str) -> UUID:
    """One that nothing has, for a word that is no id."""
    return parsed_id(word) or UUID(int=0)


def register(app: rx.App) -> None:
    add_page(app, lambda: view(NewSyncState), route="/syncs/new", title="New sync", on_load=[NewSyncState.load])
