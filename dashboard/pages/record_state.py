"""What the page of one record knows: the record as it is shown, and the form that is open on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

import reflex as rx

from dashboard.fitting import beginning, clipped, lightened, shares, weight
from dashboard.state import PageState
from sync_core.domain.vocabulary import EntityType
from sync_core.errors import Refusal
from sync_core.services import records
from sync_core.services.actor import Permission
from sync_core.services.record_cards import Card, ChildList
from sync_core.services.record_cards import card as card_of
from sync_core.services.record_edits import METADATA_KEYS
from sync_core.services.record_forms import (
    FormField,
    MetadataRow,
    editable_here,
    fields_of,
    metadata_of,
    metadata_row,
    pairs_of,
    typed_of,
    with_errors,
    with_stored,
)
from sync_core.services.records import Overtaken, Saved, raw_text
from sync_core.store.database import get_database
from sync_core.store.record_details import RecordDetail

# Of a message's 16 kB. What a record's lists get at least, when not all of it fits.
_MOST: Final = 14_000
_RAW_MOST: Final = 12_000
_FORM_MOST: Final = 11_500
_LEAST: Final = {"fields": 4_000, "history": 3_000, "children": 3_000, "lines": 2_000}
_LONGEST_PROBLEM: Final = 600
_TEXTS: Final = frozenset({"title", "note", "label", "ours", "synced", "text", "who"})


def fitted(card: Card) -> Card:
    """As much of it as one message holds. `cut` says that there is more, which the record's file has."""
    if weight(card) <= _MOST:
        return card
    head = replace(
        card,
        title=clipped(card.title, 160),
        note=clipped(card.note, 160),
        parents=lightened(card.parents, 1_500, _TEXTS),
        cut=True,
        fields=[],
        history=[],
        children=[],
        lines=[],
    )
    wanted = {name: weight(getattr(card, name)) for name in _LEAST}
    given = shares(wanted, _LEAST, _MOST - weight(head))
    return replace(
        head,
        fields=lightened(card.fields, given["fields"], _TEXTS),
        history=lightened(card.history, given["history"], _TEXTS),
        children=list(_children(card, given["children"])),
        lines=lightened(card.lines, given["lines"], _TEXTS),
    )


def _children(card: Card, most: int) -> Iterator[ChildList]:
    for one in card.children:
        rows = lightened(one.rows, most // len(card.children) - 500, _TEXTS)
        every = f"{one.base.rstrip('/')}?q={card.external_id or card.record_id}"
        yield replace(one, rows=rows, all_href=one.all_href if len(rows) == len(one.rows) else every)


class RecordState(PageState):
    """The form's typed text lives in the browser: nothing here overwrites it while somebody types.

    `raw_more` says how much of Stripe's object is not shown. `kept` are metadata keys that no form has room for: they stay as they are.
    """

    card: Card = Card.blank()
    may_edit: bool = False
    problem: str = ""
    loaded: bool = False
    raw: str = ""
    raw_more: str = ""
    editing: bool = False
    form: list[FormField] = []
    metadata: list[MetadataRow] = []
    form_error: str = ""
    metadata_error: str = ""
    overtaken: bool = False
    kept: int = 0
    _kept: list[tuple[str, str]] = []
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
        self.problem, self.card = "", fitted(card_of(found, actor.time_zone))
        self.may_edit = actor.can(Permission.EDIT_RECORDS) and self.card.editable

    @rx.event
    async def show_raw(self) -> None:
        found = await self._detail()
        whole = "" if isinstance(found, Refusal) else raw_text(found)
        self.raw = beginning(whole, _RAW_MOST)
        more = len(whole) - len(self.raw)
        self.raw_more = f"{more:,} more characters of {len(whole):,}" if more else ""

    @rx.event
    async def hide_raw(self) -> None:
        self.raw = ""

    @rx.event
    async def open_form(self) -> Any:
        found = await self._detail()
        if isinstance(found, Refusal):
            self._refuse(found)
            return
        local = found.state.local
        rows = metadata_of(local)
        # A page that is left open for long is told again what is on it: the form before all else.
        self.raw = self.raw_more = ""
        self.metadata = lightened(rows, _MOST, ())
        self._kept = [(row.key, row.value) for row in rows[len(self.metadata) :]]
        self.kept = len(self._kept)
        fields = editable_here(fields_of(found.entity, local), _FORM_MOST)
        if weight(self.metadata) + weight(fields) > _MOST:
            yield
        self.form, self.form_error, self.metadata_error = fields, "", ""
        self.overtaken, self.editing, self._shown = False, True, self.router.url.path
        self._form_version, self._opened, self._next_place = found.state.row_version, local, len(self.metadata)

    @rx.event
    async def close_form(self) -> Any:
        self.editing = False
        await self._show()
        return rx.set_focus("edit-record")

    @rx.event
    async def add_row(self) -> None:
        if len(self.metadata) + self.kept >= METADATA_KEYS:
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
        if ("metadata-kept" in form) != bool(self._kept):
            self.form_error = "Not saved: this form is out of date. Cancel it and open it again."
            return rx.set_focus("form-problem")
        typed = typed_of(address[0], self._form_version, form)
        typed = replace(typed, metadata=[*typed.metadata, *self._kept])
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
                self.form = lightened(
                    with_stored(self.form, address[0], self._opened, answer.stored), _MOST, {"stored"}
                )
                self._kept = [(key, value) for key, value in pairs_of(answer.stored) if key in dict(self._kept)]
                self.overtaken, self._form_version, self.form_error = True, answer.version, ""
                return rx.set_focus("form-problem")
            case _:
                return self._show_refusals(answer)

    def _show_refusals(self, refusals: tuple[Refusal, ...]) -> Any:
        self.form = with_errors(self.form, refusals)
        known = {field.name for field in self.form}
        wrong = " ".join(one.message for one in refusals if one.field == "metadata")
        self.metadata_error = clipped(wrong, _LONGEST_PROBLEM)
        named = [field.label for field in self.form if field.error] + ["Metadata"] * bool(self.metadata_error)
        others = [one.message for one in refusals if one.field not in {*known, "metadata"}]
        self.form_error = " ".join([f"Not saved yet. Look at: {', '.join(named)}."] * bool(named) + others)
        return rx.set_focus("form-problem")
