"""The fields that syncs leave alone: listed, and taken back. Asking: `conflict_ignoring`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import reflex as rx

from dashboard import components as ui
from dashboard.formatting import plural
from dashboard.pages.conflict_filters import PATH
from dashboard.pages.conflict_ignoring import LABELS, IgnoringState
from dashboard.state import PageState
from sync_core.errors import Refusal
from sync_core.services import conflict_ignored
from sync_core.services.actor import Permission
from sync_core.services.conflict_ignored import Ignored
from sync_core.services.conflict_ignoring import MOST_HERE
from sync_core.services.record_views import When, href
from sync_core.store.database import get_database


@dataclass(frozen=True, slots=True)
class IgnoredRow:
    """`record` names the one record in which it is; it is empty for all of them."""

    key: str
    path: str
    label: str
    record_id: str
    record: str
    record_url: str
    money: bool
    by: str
    at: str
    utc: str
    open: str
    href: str
    may_heed: bool


def ignored_row(one: Ignored, zone: str, *, may_manage: bool, may_resolve: bool) -> IgnoredRow:
    at = When.of(one.at, zone)
    search = {"q": one.record} if one.record else {}
    where = urlencode({"entity": one.entity.value, "field": one.name, **search})
    return IgnoredRow(
        key=f"{one.path}{one.record_id or ''}",
        path=one.path,
        label=one.label,
        record_id=str(one.record_id or ""),
        record=(one.record or str(one.record_id)) if one.record_id else "",
        record_url=href(one.entity, one.record_id) if one.record_id else "",
        money=one.money,
        by=one.by,
        at=at.text,
        utc=at.utc,
        open=plural(one.open, "conflict") if one.open else "",
        href=f"{PATH}?{where}",
        may_heed=may_resolve if one.record_id else may_manage,
    )


class IgnoredState(PageState):
    rows: list[IgnoredRow] = []
    places: str = ""
    chosen: str = ""
    may_manage: bool = False

    @rx.event
    async def load(self) -> None:
        actor = await self._actor()
        found = await conflict_ignored.listed(get_database(), actor)
        if isinstance(found, Refusal):
            return
        self.may_manage, self.chosen = actor.can(Permission.MANAGE_WORKSPACE), ""
        here = sum(one.record_id is not None for one in found)
        self.places = f"Single records: {here:,} of {MOST_HERE:,} places are taken." if here else ""
        resolves = actor.can(Permission.RESOLVE_CONFLICTS)
        self.rows = [
            ignored_row(one, actor.time_zone, may_manage=self.may_manage, may_resolve=resolves) for one in found
        ]

    @rx.event
    async def choose(self, path: str) -> None:
        self.chosen = path if path in LABELS else ""

    @rx.event
    async def heed(self, path: str, record_id: str) -> Any:
        row = next((one for one in self.rows if (one.path, one.record_id) == (path, record_id)), None)
        if row is None:
            return None
        record = UUID(record_id) if record_id else None
        refused = await conflict_ignored.heed(get_database(), await self._actor(), path, record)
        if isinstance(refused, Refusal):
            self._refuse(refused)
            return None
        where = f" in {row.record}" if row.record else ""
        self._say(f"{row.label} is compared again{where} from the next sync on.")
        return IgnoredState.load


def ignored_fields() -> rx.Component:
    return ui.card(
        rx.el.p(
            "Ours stays, whatever strategy a sync uses, and a difference is no conflict. New records still get Stripe's value.",
            class_name="muted small",
        ),
        rx.cond(IgnoredState.rows.length() > 0, _table(), rx.el.p("No field is ignored.", class_name="muted")),
        rx.cond(IgnoredState.places != "", rx.el.p(IgnoredState.places, class_name="muted small"), rx.fragment()),
        rx.cond(IgnoredState.may_manage, _form(), rx.fragment()),
        title="Ignored fields",
    )


def _table() -> rx.Component:
    return ui.data_table(
        [
            ui.Column("Field"),
            ui.Column("Where"),
            ui.Column("Still open"),
            ui.Column("By"),
            ui.Column("Since"),
            ui.Column("Take back", hidden=True),
        ],
        rx.foreach(IgnoredState.rows, _row),
        caption="Ignored fields",
    )


def _row(row: Any) -> rx.Component:
    return rx.el.tr(
        rx.el.td(row.label, rx.cond(row.money, ui.pill("Money", "danger", "circle-dollar-sign"), rx.fragment())),
        rx.el.td(rx.cond(row.record != "", ui.link(row.record, row.record_url), "every record")),
        rx.el.td(rx.cond(row.open != "", ui.link(row.open, row.href), rx.el.span("none", class_name="muted"))),
        rx.el.td(row.by),
        rx.el.td(ui.moment(row.at, row.utc)),
        rx.el.td(
            rx.cond(
                row.may_heed,
                ui.button(
                    "Take back",
                    small=True,
                    icon_name="undo-2",
                    on_click=IgnoredState.heed(row.path, row.record_id),
                ),
                rx.fragment(),
            )
        ),
        key=row.key,
    )


def _form() -> rx.Component:
    return rx.el.div(
        ui.select(
            "ignored-field",
            [("", "Choose a field…"), *LABELS.items()],
            label="Field to ignore",
            value=IgnoredState.chosen,
            on_change=IgnoredState.choose,
        ),
        ui.button("Ignore…", on_click=IgnoringState.ask(IgnoredState.chosen), disabled=IgnoredState.chosen == ""),
        class_name="row",
    )
