"""What each sync made of one Stripe id, and what people decided about it."""

from __future__ import annotations

from dataclasses import dataclass

import reflex as rx

from dashboard import components as ui
from dashboard.navigation import add_page
from dashboard.pages import run_parts as parts
from dashboard.pages.report_lines import change
from dashboard.pages.report_rows import ChangeRow, line
from dashboard.state import PageState
from sync_core.errors import Refusal
from sync_core.services import history
from sync_core.services.history import Event
from sync_core.services.record_views import When
from sync_core.store.database import get_database


@dataclass(frozen=True, slots=True)
class EventRow:
    """`action` is empty for a decision of a person."""

    key: str
    at: str
    utc: str
    who: str
    kind: str
    href: str
    action: str
    text: str
    changes: list[ChangeRow]


class RecordHistoryState(PageState):
    loaded: bool = False
    problem: str = ""
    external_id: str = ""
    label: str = ""
    kind: str = ""
    record_href: str = ""
    events: list[EventRow] = []

    @rx.event
    async def load(self) -> None:
        actor = await self._actor()
        word = dict(self.router.url.query_parameters).get("id", "")
        found = await history.of_record(get_database(), actor, word)
        self.loaded, self.external_id = True, word[:255]
        if isinstance(found, Refusal):
            self.problem, self.events, self.label, self.kind = found.message, [], "", ""
            return
        self.problem, self.label = "", found.label or (found.external_id if found.events else "")
        self.kind = "" if found.entity is None else found.entity.singular.capitalize()
        times = When.each([one.at for one in found.events[:100]], actor.time_zone)
        self.events = [_row(one, place, at) for place, (one, at) in enumerate(zip(found.events, times, strict=False))]
        addresses = [line(one.line).href for one in found.events if one.line is not None]
        self.record_href = next((address for address in addresses if address), "")


def _row(one: Event, place: int, at: When) -> EventRow:
    if one.session is None or one.line is None:
        return EventRow(str(place), at.text, at.utc, one.who, "Decision", "", "", one.decision, [])
    shown = line(one.line)
    return EventRow(
        key=str(place),
        at=at.text,
        utc=at.utc,
        who=one.who,
        kind=history.name_of(one.session),
        href=parts.run_href(one.session.id),
        action=one.line.action.value,
        text=" ".join(part for part in (shown.reason, shown.message) if part),
        changes=shown.changes,
    )


def view() -> rx.Component:
    return ui.page_shell(
        rx.cond(RecordHistoryState.label != "", RecordHistoryState.label, "History of a record"),
        rx.cond(RecordHistoryState.loaded, body(), ui.table_skeleton()),
        current="/syncs",
        lead=rx.cond(
            RecordHistoryState.external_id != "",
            rx.el.span(RecordHistoryState.kind, " ", ui.id_chip(RecordHistoryState.external_id)),
            rx.fragment(),
        ),
        back=("Syncs", "/syncs"),
        actions=[
            rx.cond(
                RecordHistoryState.record_href != "",
                ui.button_link("Open the record", RecordHistoryState.record_href, icon_name="database"),
                rx.fragment(),
            )
        ],
    )


def body() -> rx.Component:
    return rx.cond(
        RecordHistoryState.problem != "",
        ui.empty_state("That is no Stripe id", RecordHistoryState.problem, "All syncs", "/syncs", icon_name="search-x"),
        rx.cond(
            RecordHistoryState.events.length() > 0,
            ui.card(
                ui.data_table(
                    [ui.Column("When"), ui.Column("What"), ui.Column("Outcome"), ui.Column("Details"), ui.Column("By")],
                    rx.foreach(RecordHistoryState.events, event),
                    caption="What happened to this record, newest first",
                ),
                flush=True,
                class_name="reflow",
            ),
            ui.empty_state(
                "Nothing known of it",
                "None of the last hundred syncs met this Stripe id.",
                "All syncs",
                "/syncs",
                icon_name="search-x",
            ),
        ),
    )


def event(one: rx.Var[EventRow]) -> rx.Component:
    return rx.el.tr(
        rx.el.td(ui.moment(one.at, one.utc)),
        rx.el.th(rx.cond(one.href != "", ui.link(one.kind, one.href), rx.el.span(one.kind)), scope="row"),
        rx.el.td(rx.cond(one.action != "", ui.action_pill(one.action), ui.pill("Decided", "conflict", "user-check"))),
        rx.el.td(
            rx.cond(one.text != "", rx.el.div(one.text), rx.fragment()),
            rx.el.ul(rx.foreach(one.changes, change), class_name="changes"),
        ),
        rx.el.td(one.who, class_name="small"),
        key=one.key,
    )


def register(app: rx.App) -> None:
    add_page(app, view, route="/syncs/record", title="History of a record", on_load=[RecordHistoryState.load])
