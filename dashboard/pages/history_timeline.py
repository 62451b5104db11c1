"""What happened in this workspace: its syncs, and between them what was changed of the connection, schedules, settings, rules and people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import reflex as rx

from dashboard import components as ui
from dashboard.navigation import add_page
from dashboard.pages import run_parts as parts
from dashboard.state import PageState, ShellState
from sync_core.errors import Refusal
from sync_core.services import timeline
from sync_core.services.record_views import When
from sync_core.services.timeline import Kind, Timeline
from sync_core.store.database import get_database

PATH = "/syncs/timeline"


@dataclass(frozen=True, slots=True)
class ToldRow:
    """`href` is the run that it is about; `status` how that ended, where this is its end."""

    key: str
    at: str
    utc: str
    kind: str
    text: str
    href: str
    status: str
    who: str


class TimelineState(PageState):
    loaded: bool = False
    problem: str = ""
    rows: list[ToldRow] = []
    kinds: list[list[str]] = []
    kind: str = ""
    zone: str = "UTC"
    first_url: str = ""
    next_url: str = ""

    @rx.event
    async def load(self) -> None:
        await self._read()

    @rx.event
    async def renew(self) -> None:
        if self.loaded and not self.problem:
            await self._read()

    async def _read(self) -> None:
        actor, words = await self._actor(), dict(self.router.url.query_parameters)
        allowed = timeline.kinds(actor)
        kind = next((one for one in allowed if one.value == words.get("kind")), None)
        found = await timeline.page(get_database(), actor, kind=kind, cursor=words.get("after", ""))
        named = "" if kind is None else kind.value
        self._put(kinds=[[one.value, one.label] for one in allowed], kind=named, zone=actor.time_zone, loaded=True)
        if isinstance(found, Refusal):
            self._put(problem=found.message, rows=[])
            return
        self._put(
            problem="",
            rows=_rows(found, actor.time_zone),
            first_url=_address(named) if words.get("after") else "",
            next_url=_address(named, found.cursor) if found.cursor else "",
        )

    @rx.event
    async def narrow(self, kind: str) -> Any:
        return rx.redirect(_address(kind if kind in list(Kind) else ""))


def _address(kind: str, after: str = "") -> str:
    words = {name: word for name, word in (("kind", kind), ("after", after)) if word}
    return f"{PATH}?{urlencode(words)}" if words else PATH


def _rows(found: Timeline, zone: str) -> list[ToldRow]:
    times = When.each([one.at for one in found.items], zone)
    return [
        ToldRow(
            key=f"{one.id}{one.at.timestamp()}",
            at=at.text,
            utc=at.utc,
            kind=one.kind.value,
            text=parts.clipped(one.text),
            href="" if one.session_id is None else parts.run_href(one.session_id),
            status="" if one.status is None else one.status.value,
            who=parts.clipped(one.who, 80),
        )
        for one, at in zip(found.items, times, strict=True)
    ]


def view() -> rx.Component:
    return ui.page_shell(
        "Timeline",
        rx.cond(
            TimelineState.problem != "",
            ui.empty_state(
                "The timeline can't be shown", TimelineState.problem, "From the newest on", PATH, icon_name="search-x"
            ),
            rx.cond(TimelineState.loaded, body(), ui.table_skeleton()),
        ),
        current="/syncs",
        lead="Syncs, and what was changed between them, newest first.",
        back=("Syncs", "/syncs"),
    )


def body() -> rx.Component:
    return ui.stack(
        ui.row(
            ui.select(
                "timeline-kind",
                rx.fragment(
                    rx.el.option("Everything", value=""),
                    rx.foreach(TimelineState.kinds, lambda one: rx.el.option(one[1], value=one[0], key=one[0])),
                ),
                label="What to show",
                value=TimelineState.kind,
                on_change=TimelineState.narrow,
                style={"width": "auto", "maxWidth": "100%"},
            )
        ),
        rx.cond(
            TimelineState.rows.length() > 0,
            ui.card(
                ui.data_table(
                    [ui.Column("When"), ui.Column("About"), ui.Column("What"), ui.Column("By")],
                    rx.foreach(TimelineState.rows, row),
                    caption="What happened, newest first",
                ),
                flush=True,
                class_name="reflow",
            ),
            ui.empty_state(
                "Nothing here yet",
                "Syncs and changes to the connection, schedules and settings will stand here.",
                "All syncs",
                "/syncs",
                icon_name="history",
            ),
        ),
        ui.pagination(TimelineState.first_url, None, TimelineState.next_url),
        parts.renewed(TimelineState.renew),
    )


def row(one: rx.Var[ToldRow]) -> rx.Component:
    about = [(kind.value, ui.pill(kind.label, tone, icon)) for kind, (tone, icon) in _LOOKS.items()]
    return rx.el.tr(
        rx.el.td(ui.moment(one.at, one.utc)),
        rx.el.td(rx.match(one.kind, *about, rx.el.span(one.kind))),
        rx.el.th(
            ui.row(
                rx.cond(one.href != "", ui.link(one.text, one.href), _told(one)),
                rx.cond(one.status != "", ui.session_status_pill(one.status), rx.fragment()),
            ),
            scope="row",
            title=rx.cond(one.kind == Kind.SCHEDULES.value, "Times of day in " + TimelineState.zone + ", not UTC", ""),
            style={"overflowWrap": "anywhere"},
        ),
        rx.el.td(one.who, class_name="small", style={"overflowWrap": "anywhere", "minWidth": "160px"}),
        key=one.key,
    )


def _told(one: rx.Var[ToldRow]) -> rx.Component:
    """A schedule's times of day are the workspace's."""
    zoned = rx.el.span(one.text, title=ShellState.time_zone + " time, not UTC")
    return rx.cond(one.kind == Kind.SCHEDULES.value, zoned, rx.el.span(one.text))


_LOOKS = {
    Kind.RUNS: ("info", "refresh-cw"),
    Kind.CONNECTION: ("neutral", "plug"),
    Kind.SCHEDULES: ("neutral", "calendar-clock"),
    Kind.SETTINGS: ("neutral", "sliders-horizontal"),
    Kind.RULES: ("conflict", "git-compare-arrows"),
    Kind.PEOPLE: ("neutral", "users"),
}


def register(app: rx.App) -> None:
    add_page(app, view, route=PATH, title="Timeline", on_load=[TimelineState.load])
