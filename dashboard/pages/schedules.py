"""Schedules: syncs that start by themselves, when each does so next, and why one did not."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import reflex as rx

from dashboard.navigation import add_page
from dashboard.pages.run_parts import parsed_id
from dashboard.pages.schedules_form import (
    KEPT,
    LAST,
    Chosen,
    Entered,
    ScheduleRow,
    as_kept,
    as_last,
    as_preset,
    entered_of,
    hour_choices,
    schedule_row,
    times_said,
    with_one,
)
from dashboard.pages.schedules_view import PATH, view
from dashboard.state import PageState
from sync_core.errors import Refusal
from sync_core.services import presets, schedules, sessions
from sync_core.services.actor import Permission
from sync_core.store.database import get_database

_AT_ONCE: Final = 10


class SchedulesState(PageState):
    """`further` rows come in a message of their own. `adding` is the form, for a new one or, with `editing`, to change one; `filled` makes its
    fields anew. `choices` are what it can sync, each an id and a name. `moved_on`: somebody else has changed it meanwhile.
    """

    loaded: bool = False
    problem: str = ""
    rows: list[ScheduleRow] = []
    further: list[ScheduleRow] = []
    may_run: bool = False
    zone: str = "UTC"
    removing: str = ""
    removing_name: str = ""
    adding: bool = False
    editing: str = ""
    name: str = ""
    moved_on: bool = False
    filled: int = 0
    entered: Entered = Entered()
    hours: list[list[str]] = []
    _revision: int = 0
    upcoming: list[list[str]] = []
    choices: list[list[str]] = []
    chosen: str = LAST
    chosen_about: str = ""
    chosen_caution: str = ""
    dry_run: bool = False
    error_name: str = ""
    error_rhythm: str = ""
    error_what: str = ""
    error_dry_run: str = ""
    error_form: str = ""

    @rx.event
    async def load(self) -> Any:
        self.removing, self.adding, self.editing = "", False, ""
        found = await self._found()
        self._put(rows=found[:_AT_ONCE], loaded=True)
        yield
        self._put(further=found[_AT_ONCE:])
        if "add" in dict(self.router.url.query_parameters) and self.may_run:
            yield SchedulesState.open_form

    @rx.event
    async def renew(self) -> Any:
        """The list as it is now: every few seconds, and after a change to it. The form stays as it is."""
        found = await self._found()
        self._put(rows=found[:_AT_ONCE])
        yield
        self._put(further=found[_AT_ONCE:])

    async def _found(self) -> list[ScheduleRow]:
        actor = await self._actor()
        self._put(zone=actor.time_zone, may_run=actor.can(Permission.RUN_SYNC))
        found = await schedules.list_schedules(get_database(), actor)
        return [schedule_row(one, actor.time_zone) for one in found]

    @rx.event
    async def switch(self, schedule_id: str) -> Any:
        row = self._row(schedule_id)
        if row is None:
            return None
        done = await schedules.set_enabled(get_database(), await self._actor(), UUID(row.id), enabled=not row.enabled)
        if isinstance(done, Refusal):
            self._refuse(done)
        else:
            self._say(f"{done.name}: on." if done.enabled else f"{done.name}: paused. It starts nothing.")
        return SchedulesState.renew

    @rx.event
    async def ask_to_remove(self, schedule_id: str) -> None:
        row = self._row(schedule_id)
        self.removing, self.removing_name = (row.id, row.name) if row else ("", "")

    @rx.event
    async def keep(self) -> None:
        self.removing = ""

    @rx.event
    async def remove(self) -> Any:
        if not self.removing:
            return None
        refused = await schedules.delete(get_database(), await self._actor(), UUID(self.removing))
        if refused is None:
            self._say(f"{self.removing_name} is gone. What it synced stays.")
        else:
            self._refuse(refused)
        self.removing = ""
        return SchedulesState.renew

    def _row(self, schedule_id: str) -> ScheduleRow | None:
        return next((one for one in (*self.rows, *self.further) if one.id == schedule_id), None)

    @rx.event
    async def open_form(self) -> None:
        """Filled with what a first schedule most often is."""
        if (await self._actor()).can(Permission.RUN_SYNC):
            self.editing, self.name, self.choices = "", "", await self._choices()
            await self._fill(Entered(), LAST, dry_run=False)

    @rx.event
    async def edit(self, schedule_id: str) -> None:
        """The form as the schedule is now."""
        if not (await self._actor()).can(Permission.RUN_SYNC):
            return
        found = await self._kept(schedule_id)
        if isinstance(found, Refusal):
            self._refuse(found)
            return
        self.editing, self.name, self._revision = str(found.id), found.name, found.revision
        self.choices = [[KEPT, "What it syncs now"], *await self._choices()]
        await self._fill(entered_of(found.asked), KEPT, dry_run=found.config.dry_run)

    async def _choices(self) -> list[list[str]]:
        actor = await self._actor()
        kept = await presets.every(get_database(), actor)
        last = await sessions.last_config(get_database(), actor)
        first = "Everything, as on a first sync" if last.is_default else "As in the last sync"
        return [[LAST, first], *([str(one.id), f"Preset: {one.name}"] for one in kept)]

    async def _kept(self, schedule_id: str) -> schedules.ScheduleView | Refusal:
        found = await schedules.list_schedules(get_database(), await self._actor())
        return next((one for one in found if str(one.id) == schedule_id), schedules.NOT_FOUND)

    async def _fill(self, entered: Entered, chosen: str, *, dry_run: bool) -> None:
        self.entered, self.hours, self.dry_run = entered, hour_choices(entered), dry_run
        self.filled, self.adding = self.filled + 1, True
        self._forget_errors()
        await self._choose(chosen)
        await self._foresee()

    @rx.event
    async def close_form(self) -> None:
        self.adding, self.editing = False, ""

    @rx.event
    async def set_part(self, name: str, value: str) -> None:
        """Of the rhythm: its kind, hours, weekday or time."""
        self.entered = with_one(self.entered, name, value)
        await self._foresee()

    @rx.event
    async def choose(self, value: str) -> None:
        if any(one[0] == value for one in self.choices):
            await self._choose(value)

    @rx.event
    async def set_dry_run(self, chosen: bool) -> None:
        self.dry_run, self.error_dry_run = chosen, ""

    async def _foresee(self) -> None:
        """The next times, as it stands; beside the rhythm why there are none."""
        actor = await self._actor()
        found = await schedules.upcoming(get_database(), actor, self.entered.rhythm())
        self.error_rhythm = found.message if isinstance(found, Refusal) else ""
        self.upcoming = [] if isinstance(found, Refusal) else times_said(found, actor.time_zone)

    async def _choose(self, value: str) -> None:
        found = await self._wanted(value)
        self.chosen = value
        if isinstance(found, Refusal):
            self.error_what, self.chosen_about, self.chosen_caution = found.message, "", ""
            return
        self.error_what, self.chosen_about, self.chosen_caution = "", found.about, found.caution

    async def _wanted(self, value: str) -> Chosen | Refusal:
        actor = await self._actor()
        zone = ZoneInfo(actor.time_zone)
        if value == KEPT:
            kept = await self._kept(self.editing)
            return kept if isinstance(kept, Refusal) else as_kept(kept, zone)
        if value == LAST:
            return as_last(await sessions.last_config(get_database(), actor), zone)
        found = await presets.get(get_database(), actor, parsed_id(value) or UUID(int=0))
        return found if isinstance(found, Refusal) else as_preset(found, zone)

    @rx.event
    async def save(self, form: dict[str, Any]) -> Any:
        self._forget_errors()
        name = form.get("name")
        made = await self._save(name if isinstance(name, str) else "")
        if isinstance(made, Refusal):
            self._place(made)
            return None
        self._say(f"{made.name}: {'changed' if self.editing else 'set'}. {made.rhythm}.")
        self.adding, self.editing = False, ""
        return SchedulesState.renew

    async def _save(self, name: str) -> schedules.ScheduleView | Refusal:
        actor = await self._actor()
        wanted = await self._wanted(self.chosen)
        if isinstance(wanted, Refusal):
            return Refusal(wanted.code, wanted.message, field="what")
        now = datetime.now(ZoneInfo(actor.time_zone))
        asked = wanted.request(name, self.entered.rhythm(), dry_run=self.dry_run, now=now)
        if isinstance(asked, Refusal):
            return asked
        if not self.editing:
            return await schedules.add(get_database(), actor, asked)
        return await schedules.change(get_database(), actor, UUID(self.editing), asked, revision=self._revision)

    def _forget_errors(self) -> None:
        self.error_name = self.error_rhythm = self.error_what = self.error_dry_run = self.error_form = ""
        self.moved_on = False

    def _place(self, refusal: Refusal) -> None:
        """Each no beside the field it is about."""
        match refusal.field:
            case "name":
                self.error_name = refusal.message
            case "rhythm" | "every_hours" | "at" | "weekday":
                self.error_rhythm = refusal.message
            case "dry_run":
                self.error_dry_run = refusal.message
            case None:
                self.error_form, self.moved_on = refusal.message, refusal.code == "schedule_changed"
            case _:
                self.error_what = refusal.message


def register(app: rx.App) -> None:
    add_page(app, lambda: view(SchedulesState), route=PATH, title="Schedules", on_load=[SchedulesState.load])
