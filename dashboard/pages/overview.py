"""The first screen."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import reflex as rx

from dashboard import components as ui
from dashboard.navigation import add_page
from dashboard.pages import run_parts as parts
from dashboard.pages.history import RunRow, run_rows
from dashboard.state import PageState, ShellState
from sync_core.domain.vocabulary import Role, SessionStatus
from sync_core.errors import Refusal
from sync_core.services import overview
from sync_core.services.actor import Actor, Permission
from sync_core.services.history import PastRun
from sync_core.services.overview import EntityStanding, NextStep, Overview, StepName
from sync_core.services.record_views import When
from sync_core.store.database import get_database
from sync_core.store.overview import Count

_EVERY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class StandingRow:
    entity: str
    label: str
    total: str
    in_sync: str
    conflicts: str
    local_edits: str
    never: str
    href: str
    conflicts_href: str
    edits_href: str


@dataclass(frozen=True, slots=True)
class StepRow:
    title: str
    about: str
    action: str
    href: str
    state: str


@dataclass(frozen=True, slots=True)
class ChartBar:
    """`height` is a percentage of the fastest run."""

    key: str
    label: str
    height: str
    dry: bool


_STEPS = {
    StepName.CONNECT: (
        "Connect Stripe",
        "Paste a key, or try the sandbox. Named checks say whether it is enough.",
        "Connect",
        "/connect",
    ),
    StepName.DRY_RUN: (
        "Preview with a dry run",
        "See what a sync would do, row by row. Nothing is written.",
        "New dry run",
        "/syncs/new",
    ),
    StepName.SYNC: ("Apply it, or start a sync", "Apply the plan from its report, or sync at once.", "Syncs", "/syncs"),
    StepName.REVIEW: (
        "Review conflicts",
        "Settle what Stripe and your records disagree about.",
        "Review",
        "/conflicts",
    ),
}


class OverviewState(PageState):
    loaded: bool = False
    connected: bool = False
    account: str = ""
    account_id: str = ""
    mode: str = ""
    key_tail: str = ""
    last_at: str = ""
    last_utc: str = ""
    last_status: str = ""
    last_href: str = ""
    last_about: str = ""
    running: bool = False
    running_href: str = ""
    running_about: str = ""
    conflicts: str = "0"
    records: str = "0"
    in_sync: str = "0"
    is_new: bool = True
    is_settled: bool = False
    standings: list[StandingRow] = []
    steps: list[StepRow] = []
    chart: list[ChartBar] = []
    runs: list[RunRow] = []

    @rx.event
    async def load(self) -> None:
        actor = await self._actor()
        found = await overview.read(get_database(), actor)
        if isinstance(found, Refusal):
            self._refuse(found)
            return
        self._show(found, actor)
        self.loaded = True

    @rx.event(background=True, supersedes=True)
    async def watch(self) -> None:
        """While a sync runs, the figures move; when none does, nothing is asked."""
        while self.running:
            await asyncio.sleep(_EVERY_SECONDS)
            actor = await self._actor()
            found = await overview.read(get_database(), actor)
            if isinstance(found, Refusal):
                return
            async with self:
                self._show(found, actor)

    def _show(self, found: Overview, actor: Actor) -> None:
        zone = actor.time_zone
        self.connected = found.connection is not None
        if found.connection is not None:
            one = found.connection
            self.account, self.account_id = one.account_name or one.account_id, one.account_id
            self.mode = "sandbox" if one.is_sandbox else "live" if one.livemode else "test"
            self.key_tail = f"…{one.key_last4}"
        self._show_runs(found, zone)
        self.standings = [_standing(one) for one in found.standings]
        self.steps = [_step(step) for step in found.steps]
        self.conflicts, self.is_new = parts.capped(found.open_conflicts), found.is_new
        self.is_settled = all(step.is_done for step in found.steps)
        exact = all(one.total.is_exact for one in found.standings)
        total = sum(one.total.value for one in found.standings)
        self.records = parts.counted(Count(total, is_exact=exact))
        good = sum(one.in_sync.value for one in found.standings)
        self.in_sync = f"{good / total:.0%} in sync" if total else "None yet"

    def _show_runs(self, found: Overview, zone: str) -> None:
        self.running = found.running is not None
        if found.running is not None:
            self.running_href = parts.run_href(found.running.session.id)
            self.running_about = (
                f"{parts.described(found.running.session)} · {found.running.processed:,} objects so far"
            )
        if found.last is not None:
            view = found.last.session
            at = When.of(view.completed_at, zone)
            self.last_at, self.last_utc, self.last_status = at.text, at.utc, view.status.value
            self.last_href = parts.run_href(view.id)
            self.last_about = f"{found.last.processed:,} objects in {parts.duration(found.last.seconds)}"
        self.runs = run_rows(found.runs[:6], zone)
        self.chart = _chart(found.runs)


def _chart(runs: tuple[PastRun, ...]) -> list[ChartBar]:
    """The oldest on the left, as time goes; runs that read nothing are left out."""
    done = [run for run in reversed(runs) if run.processed and run.session.status is not SessionStatus.FAILED]
    most = max((run.rate or 0.0 for run in done), default=0.0) or 1.0
    return [
        ChartBar(
            str(run.session.id),
            f"{parts.described(run.session)}: {parts.rate(run.rate)}",
            f"{100 * (run.rate or 0.0) / most:.0f}%",
            run.session.config.dry_run,
        )
        for run in done
    ]


def _standing(one: EntityStanding) -> StandingRow:
    address = f"/records/{one.entity.value}"
    return StandingRow(
        entity=one.entity.value,
        label=one.entity.label,
        total=parts.counted(one.total),
        in_sync=parts.counted(one.in_sync),
        conflicts=parts.capped(one.conflicts),
        local_edits=parts.capped(one.local_edits),
        never=parts.capped(one.never),
        href=address,
        conflicts_href=f"{address}?status=conflict",
        edits_href=f"{address}?status=local_edit",
    )


def _step(step: NextStep) -> StepRow:
    title, about, action, href = _STEPS[step.name]
    return StepRow(title, about, action, href, "done" if step.is_done else "next" if step.is_next else "later")


def view() -> rx.Component:
    return ui.page_shell(
        "Overview",
        rx.cond(OverviewState.loaded, body(), ui.card_skeleton(6)),
        current="/",
        takes=(Role.OPERATOR, "start a sync"),
        actions=[
            rx.cond(
                OverviewState.connected & ShellState.may[Permission.RUN_SYNC.value],
                ui.button_link("New sync", "/syncs/new", variant="primary", icon_name="circle-plus"),
                rx.fragment(),
            )
        ],
    )


def body() -> rx.Component:
    return ui.stack(
        rx.cond(
            OverviewState.running,
            ui.callout(
                OverviewState.running_about,
                ui.button_link("Watch it", OverviewState.running_href, small=True),
                title="A sync is running",
            ),
            rx.fragment(),
        ),
        tiles(),
        rx.cond(OverviewState.is_settled, rx.fragment(), next_steps()),
        standings(),
        rx.cond(OverviewState.runs.length() > 0, recent(), rx.fragment()),
        gap="lg",
    )


def tiles() -> rx.Component:
    return ui.grid(
        rx.cond(
            OverviewState.connected,
            ui.tile(
                "Stripe account",
                ui.row(rx.el.span(OverviewState.account), ui.mode_badge(OverviewState.mode)),
                about=rx.fragment("key ", rx.el.code(OverviewState.key_tail)),
                icon_name="plug",
                href="/connect",
            ),
            ui.tile("Stripe account", "Not connected", about="Connect one to begin", icon_name="plug", href="/connect"),
        ),
        rx.cond(
            OverviewState.is_new,
            ui.tile("Last sync", "None yet", about="A dry run writes nothing", icon_name="refresh-cw"),
            ui.tile(
                "Last sync",
                ui.moment(OverviewState.last_at, OverviewState.last_utc),
                about=ui.row(OverviewState.last_about, ui.session_status_pill(OverviewState.last_status)),
                icon_name="refresh-cw",
                href=OverviewState.last_href,
            ),
        ),
        ui.tile("Records", OverviewState.records, about=OverviewState.in_sync, icon_name="database", href="/records"),
        ui.tile(
            "Open conflicts",
            OverviewState.conflicts,
            about=rx.cond(OverviewState.conflicts == "0", "Nothing to review", "Waiting for a person"),
            icon_name="git-compare-arrows",
            href="/conflicts",
        ),
    )


def next_steps() -> rx.Component:
    return ui.card(
        rx.el.ol(rx.foreach(OverviewState.steps, step), class_name="next-steps"),
        title="Next steps",
    )


def step(one: rx.Var[StepRow]) -> rx.Component:
    return rx.el.li(
        rx.match(
            one.state,
            ("done", ui.icon("circle-check", 20)),
            ("next", ui.icon("circle-arrow-right", 20)),
            ui.icon("circle-dashed", 20),
        ),
        rx.el.div(
            rx.el.strong(one.title),
            rx.cond(one.state == "done", rx.el.span(" (done)", class_name="sr-only"), rx.fragment()),
            rx.el.div(one.about, class_name="muted small"),
        ),
        rx.match(
            one.state,
            ("next", ui.button_link(one.action, one.href, variant="primary", small=True)),
            ("later", rx.fragment()),
            ui.pill("Done", "success", "check"),
        ),
        custom_attrs={"data-next": rx.cond(one.state == "next", "true", "false")},
        key=one.title,
    )


def standings() -> rx.Component:
    return ui.card(
        ui.data_table(
            [
                ui.Column("Records"),
                ui.Column("Total", number=True),
                ui.Column("In sync", number=True),
                ui.Column("In conflict", number=True),
                ui.Column("Edited here", number=True),
                ui.Column("Never synced", number=True),
            ],
            rx.foreach(OverviewState.standings, standing),
            caption="Records by entity type and how they stand",
        ),
        title="How your records stand",
        flush=True,
        class_name="reflow counted",
    )


def standing(one: rx.Var[StandingRow]) -> rx.Component:
    def count(value: rx.Var[str], href: rx.Var[str], label: str) -> rx.Component:
        return ui.number_cell(rx.cond(value == "0", rx.el.span("0", class_name="muted"), ui.link(value, href)), label)

    return rx.el.tr(
        rx.el.th(ui.row(ui.entity_icon(one.entity), ui.link(one.label, one.href)), scope="row"),
        ui.number_cell(one.total, "Total"),
        ui.number_cell(one.in_sync, "In sync"),
        count(one.conflicts, one.conflicts_href, "In conflict"),
        count(one.local_edits, one.edits_href, "Edited here"),
        ui.number_cell(rx.cond(one.never == "0", rx.el.span("0", class_name="muted"), one.never), "Never synced"),
        key=one.entity,
    )


def recent() -> rx.Component:
    return ui.card(
        rx.el.figure(
            rx.el.figcaption("Objects a second, oldest sync first; paler bars are dry runs", class_name="muted small"),
            rx.el.ol(rx.foreach(OverviewState.chart, chart_bar), class_name="chart", aria_hidden="true"),
            style={"padding": "var(--s4) var(--s5)"},
        ),
        ui.data_table(
            [
                ui.Column("Sync"),
                ui.Column("Status"),
                ui.Column("Started"),
                ui.Column("Took", number=True),
                ui.Column("Objects", number=True),
                ui.Column("Pace", number=True),
            ],
            rx.foreach(OverviewState.runs, run),
            caption="Recent syncs, newest first",
        ),
        title="Recent syncs",
        flush=True,
        class_name="reflow counted",
        actions=[ui.button_link("All syncs", "/syncs", small=True)],
    )


def chart_bar(one: rx.Var[ChartBar]) -> rx.Component:
    return rx.el.li(title=one.label, style={"height": one.height}, class_name=rx.cond(one.dry, "dry", ""), key=one.key)


def run(one: rx.Var[RunRow]) -> rx.Component:
    return rx.el.tr(
        rx.el.th(ui.link(one.kind, one.href), rx.el.div(one.entities, class_name="muted small"), scope="row"),
        rx.el.td(ui.session_status_pill(one.status)),
        rx.el.td(ui.moment(one.started, one.started_utc)),
        ui.number_cell(one.took, "Took"),
        ui.number_cell(one.total, "Objects"),
        ui.number_cell(one.rate, "Pace"),
        key=one.session_id,
    )


def register(app: rx.App) -> None:
    add_page(app, view, route="/", title="Overview", on_load=[OverviewState.load, OverviewState.watch])
