"""All syncs, newest first; two of them side by side; and what became of one record in all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlencode

import reflex as rx

from dashboard import components as ui
from dashboard.navigation import add_page
from dashboard.pages import run_parts as parts
from dashboard.pages.history_filters import Filters
from dashboard.state import PageState, ShellState
from sync_core.domain.vocabulary import Action, EntityType, Role, SessionStatus
from sync_core.errors import Refusal
from sync_core.services import history, sessions
from sync_core.services.actor import Actor, Permission
from sync_core.services.history import PastRun
from sync_core.services.record_views import When
from sync_core.store.database import get_database

_SHOWN = {
    Action.CREATE: "Created",
    Action.UPDATE: "Updated",
    Action.CONFLICT: "To review",
    Action.ERROR: "Failed",
}


@dataclass(frozen=True, slots=True)
class RunRow:
    """`counts` each have their column's name with them."""

    session_id: str
    href: str
    kind: str
    entities: str
    status: str
    started: str
    started_utc: str
    took: str
    rate: str
    counts: list[list[str]]
    total: str
    by: str


class HistoryState(PageState):
    """`chosen` are the ids of the runs ticked for comparison: two at most, the later tick wins."""

    loaded: bool = False
    problem: str = ""
    runs: list[RunRow] = []
    chosen: list[str] = []
    filters: Filters = Filters()
    starters: list[str] = []
    narrowed: bool = False
    first_url: str = ""
    next_url: str = ""
    compare_href: str = ""
    record_error: str = ""

    @rx.event
    async def renew(self) -> None:
        """The rows as they are now; what is ticked stays so."""
        actor, words = await self._actor(), dict(self.router.url.query_parameters)
        found = await self._read(actor, words)
        if self.loaded and not isinstance(found, Refusal):
            wanted = Filters.parse(words)
            self._put(
                runs=run_rows(found.runs, actor.time_zone),
                next_url=wanted.href(found.cursor) if found.cursor else "",
            )

    async def _read(self, actor: Actor, words: Mapping[str, str]) -> history.Page | Refusal:
        wanted = Filters.parse(words).asked(actor.time_zone)
        return await history.page(get_database(), actor, cursor=words.get("after") or None, only=wanted)

    @rx.event
    async def load(self) -> None:
        words = dict(self.router.url.query_parameters)
        actor = await self._actor()
        wanted = Filters.parse(words)
        found = await self._read(actor, words)
        self.problem = found.message if isinstance(found, Refusal) else ""
        if isinstance(found, Refusal):
            self.loaded = True
            return
        starters = await sessions.starters(get_database(), actor)
        self.filters, self.narrowed = wanted, wanted.any
        # One who is asked for by an address has to be among the choices, whether there is a run or not.
        self.starters = sorted({*starters, wanted.by} - {""})
        self.chosen, self.compare_href, self.record_error = [], "", ""
        self.runs = run_rows(found.runs, actor.time_zone)
        self.first_url = wanted.href() if words.get("after") else ""
        self.next_url = wanted.href(found.cursor) if found.cursor else ""
        self.loaded = True

    @rx.event
    async def narrow(self, name: str, value: str) -> Any:
        words = asdict(self.filters)
        return rx.redirect(Filters.parse(words | {name: value}).href()) if name in words else None

    @rx.event
    async def narrow_days(self, form: dict[str, Any]) -> Any:
        days = {name: str(form.get(name) or "") for name in ("since", "until")}
        return rx.redirect(Filters.parse(asdict(self.filters) | days).href())

    @rx.event
    async def choose(self, session_id: str) -> None:
        known = {run.session_id for run in self.runs}
        if session_id not in known:
            return
        kept = [one for one in self.chosen if one != session_id]
        self.chosen = kept if len(kept) < len(self.chosen) else [*kept[-1:], session_id]
        self.compare_href = ""
        if len(self.chosen) == 2:
            self.compare_href = parts.compare_href(*self.chosen)

    @rx.event
    async def find_record(self, form: dict[str, Any]) -> Any:
        word = str(form.get("id") or "").strip()
        if not word or len(word) > 255:
            self.record_error = "Give a Stripe id, such as cus_NffrFeUfNV2Hib."
            return None
        return rx.redirect("/syncs/record?" + urlencode({"id": word}))


def run_rows(runs: Sequence[PastRun], zone: str) -> list[RunRow]:
    started = When.each([run.session.started_at or run.session.created_at for run in runs], zone)
    return [_run_row(run, at) for run, at in zip(runs, started, strict=True)]


def _run_row(run: PastRun, started: When) -> RunRow:
    view = run.session
    return RunRow(
        session_id=str(view.id),
        href=parts.report_href(view.id) if view.has_plan else parts.run_href(view.id),
        kind=history.name_of(view),
        entities=parts.entities(view),
        status=view.status.value,
        started=started.text,
        started_utc=started.utc,
        took=parts.duration(run.seconds),
        rate=parts.rate(run.rate) if run.processed else "—",
        counts=[[f"{run.counts[action]:,}", label] for action, label in _SHOWN.items()],
        total=f"{run.processed:,}",
        by=view.created_by,
    )


def view() -> rx.Component:
    return ui.page_shell(
        "Syncs",
        rx.cond(
            HistoryState.problem != "",
            ui.empty_state("Syncs can't be shown", HistoryState.problem, "All syncs", "/syncs", icon_name="search-x"),
            rx.fragment(
                # Nothing to narrow, nothing to narrow it by.
                rx.cond(
                    HistoryState.loaded & (HistoryState.runs.length() == 0) & ~HistoryState.narrowed,
                    rx.fragment(),
                    tools(),
                ),
                rx.cond(
                    HistoryState.loaded,
                    rx.cond(HistoryState.runs.length() > 0, listing(), nothing()),
                    ui.table_skeleton(),
                ),
            ),
        ),
        current="/syncs",
        lead="Every dry run and every sync, with what it did.",
        takes=(Role.OPERATOR, "start a sync"),
        actions=[
            ui.button_link("Timeline", "/syncs/timeline", icon_name="history"),
            rx.cond(
                ShellState.may[Permission.RUN_SYNC.value] & (HistoryState.runs.length() > 0),
                ui.button_link("New sync", "/syncs/new", variant="primary", icon_name="circle-plus"),
                rx.fragment(),
            ),
        ],
    )


def tools() -> rx.Component:
    chosen = HistoryState.filters
    return ui.stack(
        ui.row(
            _narrowed_by(
                "kind", "Kind", [("", "Dry runs and syncs"), ("dry", "Dry runs"), ("real", "Syncs")], chosen.kind
            ),
            _narrowed_by(
                "status",
                "Status",
                [("", "Any status"), *((one.value, one.label) for one in SessionStatus)],
                chosen.status,
            ),
            _narrowed_by(
                "entity",
                "Entity type",
                [("", "Any entity type"), *((one.value, one.label) for one in EntityType)],
                chosen.entity,
            ),
            _narrowed_by(
                "by",
                "Who started it",
                rx.fragment(
                    rx.el.option("Started by anybody", value=""),
                    rx.foreach(HistoryState.starters, lambda name: rx.el.option(name, value=name, key=name)),
                ),
                chosen.by,
            ),
            rx.cond(
                HistoryState.narrowed, ui.button_link("Show all", "/syncs", icon_name="x", small=True), rx.fragment()
            ),
            class_name="toolbar",
        ),
        ui.spread(days(), of_record()),
        gap="sm",
    )


def _narrowed_by(name: str, label: str, options: Any, value: Any) -> rx.Component:
    return ui.select(
        f"history-{name}",
        options,
        label=label,
        value=value,
        on_change=lambda chosen: HistoryState.narrow(name, chosen),
        style={"width": "auto", "maxWidth": "100%"},
    )


def days() -> rx.Component:
    return rx.el.form(
        ui.row(
            _day("since", "Started from", HistoryState.filters.since),
            _day("until", "until", HistoryState.filters.until),
            ui.button("Show these days", type="submit"),
        ),
        on_submit=HistoryState.narrow_days,
        aria_label="Days on which they were started",
    )


def _day(name: str, label: str, value: Any) -> rx.Component:
    return rx.el.label(
        label,
        rx.el.input(
            name=name,
            type="date",
            # Another day in the address is another input: a default is taken once only.
            key=name + value,
            default_value=value,
            class_name="input",
            style={"width": "auto"},
        ),
        class_name="row small",
    )


def of_record() -> rx.Component:
    return rx.el.form(
        rx.el.label("History of one record", html_for="record-id", class_name="sr-only"),
        rx.el.div(
            rx.el.input(
                id="record-id",
                name="id",
                placeholder="History of one record: its Stripe id",
                auto_complete="off",
                max_length=255,
                class_name="input",
                style={"minWidth": "min(320px, 58vw)"},
                **ui.described("record-id", error=HistoryState.record_error),
            ),
            ui.button("Show", type="submit"),
            style={"display": "flex", "gap": "var(--s2)"},
        ),
        ui.field_error("record-id", HistoryState.record_error),
        on_submit=HistoryState.find_record,
        class_name="field",
    )


def nothing() -> rx.Component:
    return rx.cond(
        HistoryState.narrowed,
        ui.empty_state(
            "Nothing matches",
            "No sync is all of this: take something back, or show all.",
            "Show all",
            "/syncs",
            icon_name="search-x",
        ),
        ui.empty_state(
            "No syncs yet",
            "A dry run shows what a sync would do, without writing anything.",
            "New sync",
            "/syncs/new",
            icon_name="refresh-cw",
        ),
    )


def listing() -> rx.Component:
    columns = [
        ui.Column("Compare", hidden=True),
        ui.Column("Sync"),
        ui.Column("Status"),
        ui.Column("Started"),
        ui.Column("Took", number=True),
        *(ui.Column(label, number=True) for label in _SHOWN.values()),
        ui.Column("Objects", number=True),
        ui.Column("Pace", number=True),
    ]
    return ui.stack(
        ui.row(
            rx.cond(
                HistoryState.compare_href != "",
                ui.button_link(
                    "Compare these two", HistoryState.compare_href, variant="primary", icon_name="columns-2", small=True
                ),
                rx.el.span("Tick two to compare them.", class_name="muted small"),
            ),
            role="status",
        ),
        rx.el.div(
            ui.data_table(columns, rx.foreach(HistoryState.runs, run), caption="Syncs, newest first"),
            class_name="reflow counted",
        ),
        ui.pagination(HistoryState.first_url, None, HistoryState.next_url),
        parts.renewed(HistoryState.renew),
    )


def run(one: rx.Var[RunRow]) -> rx.Component:
    return rx.el.tr(
        rx.el.td(
            rx.el.input(
                type="checkbox",
                name="compare",
                checked=HistoryState.chosen.contains(one.session_id),
                on_change=HistoryState.choose(one.session_id),
                aria_label="Compare " + one.kind + " of " + one.started,
            )
        ),
        rx.el.th(
            ui.link(one.kind, one.href),
            rx.el.div(one.entities, class_name="muted small"),
            scope="row",
            style={"minWidth": "160px"},
        ),
        rx.el.td(ui.session_status_pill(one.status)),
        rx.el.td(ui.moment(one.started, one.started_utc), rx.el.div(one.by, class_name="muted small")),
        ui.number_cell(one.took, "Took"),
        rx.foreach(one.counts, lambda count: ui.number_cell(count[0], count[1])),
        ui.number_cell(one.total, "Objects"),
        ui.number_cell(one.rate, "Pace"),
        key=one.session_id,
    )


def register(app: rx.App) -> None:
    add_page(app, view, route="/syncs", title="Syncs", on_load=[HistoryState.load])
