"""What the page of one record knows: the record as it is shown, and the form that is open on it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import reflex as rx

from dashboard.state import PageState
from sync_core.domain.vocabulary import EntityType
from sync_core.errors import Refusal
from sync_core.services import records
from sync_core.services.actor import Permission
from sync_core.services.record_cards import Card
from sync_core.services.record_cards import card as card_of
from sync_core.services.record_edits import METADATA_KEYS
from sync_core.services.record_forms import (
    FormField,
    MetadataRow,
    fields_of,
    metadata_of,
    metadata_row,
    typed_of,
    with_errors,
    with_stored,
)
from sync_core.services.records import Overtaken, Saved, raw_text
from sync_core.store.database import get_database
from sync_core.store.record_details import RecordDetail


class RecordState(PageState):
    """The form's typed text lives in the browser: nothing here overwrites it while somebody types."""

    card: Card = Card.blank()
    may_edit: bool = False
    problem: str = ""
    loaded: bool = False
    raw: str = ""
    editing: bool = False
    form: list[FormField] = []
    metadata: list[MetadataRow] = []
    form_error: str = ""
    metadata_error: str = ""
    overtaken: bool = False
    _shown: str = ""
    _form_version: int = 0
    _opened: dict[str, Any] = {}
    _next_place: int = 0

    def _address(self) -> tuple[EntityType, UUID] | None:
        parts = [part for part in self.router.url.path.split("/") if part]
        try:
            return EntityType(parts[1]), UUID(parts[2])
        except (IndexError, ValueError):
            return None

    async def _detail(self) -> RecordDetail | Refusal:
        address = self._address()
        if address is None:
            return records.NO_SUCH_RECORD
        return await records.read_record(get_database(), await self._actor(), *address)

    @rx.event
    async def load(self) -> None:
        # A connection that was lost and found loads the page again: the form that stands open stays as it is.
        if self._shown != self.router.url.path:
            self.raw, self.editing, self.overtaken = "", False, False
        await self._show()

    async def _show(self) -> None:
        actor, found = await self._actor(), await self._detail()
        self.loaded, self._shown = True, self.router.url.path
        if isinstance(found, Refusal):
            self.problem = found.message
            return
        self.problem, self.card = "", card_of(found, actor.time_zone)
        self.may_edit = actor.can(Permission.EDIT_RECORDS) and self.card.editable

    @rx.event
    async def show_raw(self) -> None:
        found = await self._detail()
        self.raw = "" if isinstance(found, Refusal) else raw_text(found)

    @rx.event
    async def hide_raw(self) -> None:
        self.raw = ""

    @rx.event
    async def open_form(self) -> None:
        found = await self._detail()
        if isinstance(found, Refusal):
            self._refuse(found)
            return
        local = found.state.local
        self.form, self.metadata = fields_of(found.entity, local), metadata_of(local)
        self.form_error = self.metadata_error = ""
        self.overtaken, self.editing, self._shown = False, True, self.router.url.path
        self._form_version, self._opened, self._next_place = found.state.row_version, local, len(self.metadata)

    @rx.event
    async def close_form(self) -> Any:
        self.editing = False
        await self._show()
        return rx.set_focus("edit-record")

    @rx.event
    async def add_row(self) -> None:
        if len(self.metadata) >= METADATA_KEYS:
            self.metadata_error = f"Metadata may have {METADATA_KEYS} keys."
            return
        row = metadata_row(self._next_place, fresh=True)
        self.metadata, self._next_place = [*self.metadata, row], self._next_place + 1

    @rx.event
    async def remove_row(self, place: str) -> Any:
        self.metadata = [row for row in self.metadata if row.place != place]
        return rx.set_focus("add-metadata")

    @rx.event
    async def save(self, form: dict[str, Any]) -> Any:
        address = self._address()
        if address is None:
            return None
        typed = typed_of(address[0], self._form_version, form)
        answer = await records.edit_record(get_database(), await self._actor(), *address, typed)
        match answer:
            case Saved():
                self.editing = False
                await self._show()
                self._say(
                    "Saved." if answer.changed else "Nothing was changed.", "success" if answer.changed else "info"
                )
                return rx.set_focus("edit-record")
            case Overtaken():
                self.form = with_stored(self.form, address[0], self._opened, answer.stored)
                self.overtaken, self._form_version, self.form_error = True, answer.version, ""
                return rx.set_focus("form-problem")
            case _:
                return self._show_refusals(answer)

    def _show_refusals(self, refusals: tuple[Refusal, ...]) -> Any:
        self.form = with_errors(self.form, refusals)
        known = {field.name for field in self.form}
        self.metadata_error = " ".join(one.message for one in refusals if one.field == "metadata")
        named = [field.label for field in self.form if field.error] + ["Metadata"] * bool(self.metadata_error)
        others = [one.message for one in refusals if one.field not in {*known, "metadata"}]
        self.form_error = " ".join([f"Not saved yet. Look at: {', '.join(named)}."] * bool(named) + others)
        return rx.set_focus("form-problem")
