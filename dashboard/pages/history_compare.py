"""Two syncs side by side."""

from __future__ import annotations

from dataclasses import dataclass

import reflex as rx

from dashboard import components as ui
from dashboard.navigation import add_page
from dashboard.pages import run_parts as parts
from dashboard.pages.history import RunRow, run_rows
from dashboard.pages.history_differences import DifferencesState, differing
from dashboard.state import PageState
from sync_core.domain.vocabulary import Action
from sync_core.errors import Refusal
from sync_core.services import history, sessions
from sync_core.services.history import ComparedCounts
from sync_core.store.database import get_database


@dataclass(frozen=True, slots=True)
class CountRow:
    """`cells` are, for each action, its label, the earlier count, the later one and the difference."""

    entity: str
    label: str
    cells: list[list[str]]


@dataclass(frozen=True, slots=True)
class SettingRow:
    name: str
    one: str
    other: str
    differs: bool


class CompareState(PageState):
    loaded: bool = False
    problem: str = ""
    pair: list[RunRow] = []
    counts: list[CountRow] = []
    settings: list[SettingRow] = []

    @rx.event
    async def load(self) -> None:
        words = dict(self.router.url.query_parameters)
        ids = [parts.parsed_id(words.get(name, "")) for name in ("one", "other")]
        actor = await self._actor()
        if ids[0] is None or ids[1] is None:
            found: history.Comparison | Refusal = sessions.NOT_FOUND
        else:
            found = await history.compare(get_database(), actor, ids[0], ids[1])
        self.loaded = True
        if isinstance(found, Refusal):
            self.problem = found.message
            return
        self.problem = ""
        self.pair = run_rows((found.one, found.other), actor.time_zone)
        self.counts = [_count_row(one) for one in found.entities]
        self.settings = [SettingRow(one.name, one.one, one.other, one.differs) for one in found.settings]


def _count_row(one: ComparedCounts) -> CountRow:
    cells = [
        [action.label, f"{one.one[action]:,}", f"{one.other[action]:,}", _signed(one.difference(action))]
        for action in Action
    ]
    return CountRow(one.entity.value, one.entity.label, cells)


def _signed(difference: int) -> str:
    return "" if difference == 0 else f"{difference:+,}"


def view() -> rx.Component:
    return ui.page_shell(
        "Two syncs compared",
        rx.cond(
            CompareState.loaded,
            rx.cond(CompareState.problem != "", parts.missing(CompareState.problem), body()),
            ui.card_skeleton(6),
        ),
        current="/syncs",
        back=("Syncs", "/syncs"),
    )


def body() -> rx.Component:
    return ui.stack(
        ui.grid(rx.foreach(CompareState.pair, side)),
        ui.card(
            ui.data_table(
                [ui.Column("Entity type"), *(ui.Column(action.label, number=True) for action in Action)],
                rx.foreach(CompareState.counts, count_row),
                caption="Objects by entity type and action: earlier, later, difference",
            ),
            title="Outcomes",
            about="Where they differ: the earlier sync, the later one, and the difference.",
            flush=True,
            class_name="reflow counted pairs",
        ),
        differing(),
        ui.card(
            ui.data_table(
                [ui.Column("Setting"), ui.Column("Earlier"), ui.Column("Later")],
                rx.foreach(CompareState.settings, setting_row),
                caption="Settings",
            ),
            title="Settings",
            flush=True,
            class_name="reflow",
        ),
        gap="lg",
    )


def side(one: rx.Var[RunRow], index: rx.Var[int]) -> rx.Component:
    return ui.card(
        ui.spread(
            rx.el.h2(rx.cond(index == 0, "Earlier: ", "Later: "), ui.link(one.kind, one.href)),
            ui.session_status_pill(one.status),
        ),
        rx.el.div(
            parts.figure("Started", ui.moment(one.started, one.started_utc), note=rx.fragment("by ", one.by)),
            parts.figure("Took", one.took),
            parts.figure("Objects", one.total),
            parts.figure("Pace", one.rate),
            class_name="figures pairs",
        ),
        key=one.session_id,
    )


def count_row(one: rx.Var[CountRow]) -> rx.Component:
    return rx.el.tr(
        rx.el.th(ui.row(ui.entity_icon(one.entity), one.label), scope="row"),
        rx.foreach(
            one.cells,
            lambda cell: ui.number_cell(
                rx.cond(
                    cell[1] == cell[2],
                    rx.el.span(cell[1], rx.el.span(" in both", class_name="sr-only"), class_name="muted"),
                    rx.el.span(
                        rx.el.span(cell[1], class_name="muted"),
                        " ",
                        rx.el.span("to", class_name="sr-only"),
                        ui.icon("arrow-right", 12),
                        " ",
                        rx.el.strong(cell[2]),
                        rx.cond(cell[3] != "", rx.el.div(cell[3], class_name="xsmall"), rx.fragment()),
                    ),
                ),
                cell[0],
            ),
        ),
        key=one.entity,
    )


def setting_row(one: rx.Var[SettingRow]) -> rx.Component:
    return rx.el.tr(
        rx.el.th(
            ui.row(one.name, rx.cond(one.differs, ui.pill("differs", "warn", "triangle-alert"), rx.fragment())),
            scope="row",
        ),
        rx.el.td(one.one, custom_attrs={"data-label": "Earlier"}),
        rx.el.td(one.other, custom_attrs={"data-label": "Later"}),
        key=one.name,
    )


def register(app: rx.App) -> None:
    add_page(
        app,
        view,
        route="/syncs/compare",
        title="Two syncs compared",
        on_load=[CompareState.load, DifferencesState.look],
    )
