"""Fields that syncs leave alone: named, with what it means before it is done, and taken back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import reflex as rx

from dashboard import components as ui
from dashboard.formatting import plural
from dashboard.pages.conflict_filters import PATH
from dashboard.state import PageState
from sync_core.domain.conflict_rules import SENSITIVE
from sync_core.domain.fields import COMPARED, ORDER
from sync_core.errors import Refusal
from sync_core.services import conflict_ignored
from sync_core.services.actor import Permission
from sync_core.services.conflict_ignored import Ignored, label_of
from sync_core.services.record_views import When
from sync_core.store.database import get_database

LABELS = {f"{entity.value}.{name}": label_of(entity, name) for entity in ORDER for name in COMPARED[entity]}
MONEY = [path for path in LABELS if path.partition(".")[2] in SENSITIVE]
ASK = "ignore"
"""The parameter in an address of the rules' page that asks about a field."""


@dataclass(frozen=True, slots=True)
class IgnoredRow:
    path: str
    label: str
    money: bool
    by: str
    at: str
    utc: str
    open: str
    href: str


def ignored_row(one: Ignored, zone: str) -> IgnoredRow:
    at = When.of(one.at, zone)
    href = f"{PATH}?{urlencode({'entity': one.entity.value, 'field': one.name})}"
    waiting = plural(one.open, "conflict") if one.open else ""
    return IgnoredRow(one.path, one.label, one.money, one.by, at.text, at.utc, waiting, href)


class IgnoredState(PageState):
    """`asking` is the field that the dialog asks about."""

    rows: list[IgnoredRow] = []
    asking: str = ""
    asking_label: str = ""
    asking_money: bool = False
    ask_problem: str = ""
    chosen: str = ""
    may_manage: bool = False

    @rx.event
    async def load(self) -> None:
        actor = await self._actor()
        found = await conflict_ignored.listed(get_database(), actor)
        if isinstance(found, Refusal):
            return
        self.rows = [ignored_row(one, actor.time_zone) for one in found]
        self.may_manage, self.chosen = actor.can(Permission.MANAGE_WORKSPACE), ""
        self._about(dict(self.router.url.query_parameters).get(ASK, "") if self.may_manage else "")

    def _about(self, path: str) -> None:
        self.asking, self.ask_problem = (path if path in LABELS else ""), ""
        self.asking_label, self.asking_money = LABELS.get(path, ""), path in MONEY

    @rx.event
    async def choose(self, path: str) -> None:
        self.chosen = path if path in LABELS else ""

    @rx.event
    async def ask(self) -> None:
        self._about(self.chosen)

    @rx.event
    async def keep(self) -> None:
        self._about("")

    @rx.event
    async def ignore(self, form: dict[str, Any]) -> Any:
        actor, money = await self._actor(), bool(form.get("money"))
        done = await conflict_ignored.ignore(get_database(), actor, self.asking, money=money)
        if isinstance(done, Refusal):
            self.ask_problem = done.message
            return None
        self._say(f"{self.asking_label} is ignored from the next sync on.")
        self._about("")
        # The address may still ask for it.
        return rx.redirect(f"{PATH}/rules", replace=True)

    @rx.event
    async def heed(self, path: str) -> Any:
        refused = await conflict_ignored.heed(get_database(), await self._actor(), path)
        if isinstance(refused, Refusal):
            self._refuse(refused)
            return None
        self._say(f"{LABELS.get(path, path)} is compared again from the next sync on.")
        return IgnoredState.load


def ignored_fields() -> rx.Component:
    return ui.card(
        rx.el.p(
            "Ours stays, whatever strategy a sync uses, and a difference is no conflict. New records still get Stripe's value.",
            class_name="muted small",
        ),
        rx.cond(IgnoredState.rows.length() > 0, _table(), rx.fragment()),
        rx.cond(IgnoredState.may_manage, _form(), rx.fragment()),
        _dialog(),
        title="Ignored fields",
    )


def _table() -> rx.Component:
    return ui.data_table(
        [
            ui.Column("Field"),
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
        rx.el.td(rx.cond(row.open != "", ui.link(row.open, row.href), rx.el.span("none", class_name="muted"))),
        rx.el.td(row.by),
        rx.el.td(ui.moment(row.at, row.utc)),
        rx.el.td(
            rx.cond(
                IgnoredState.may_manage,
                ui.button("Take back", small=True, icon_name="undo-2", on_click=IgnoredState.heed(row.path)),
                rx.fragment(),
            )
        ),
        key=row.path,
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
        ui.button("Ignore…", on_click=IgnoredState.ask, disabled=IgnoredState.chosen == ""),
        class_name="row",
    )


def _dialog() -> rx.Component:
    return ui.dialog(
        IgnoredState.asking != "",
        rx.el.form(
            rx.el.ul(
                rx.el.li(
                    "From the next sync on, our value stays and Stripe's is not taken, whatever strategy is chosen."
                ),
                rx.el.li("In every record of this kind a difference in it is no conflict any more."),
                rx.el.li("Conflicts that are open now stay open: settle them from the list."),
                rx.el.li("You can take it back at any time: the field is then compared again."),
                class_name="plain-list",
            ),
            rx.cond(
                IgnoredState.asking_money,
                ui.stack(
                    ui.callout(
                        "This field says what somebody pays. What Stripe charges and what stands here may part for good.",
                        kind="warn",
                    ),
                    ui.checkbox("money", "Ignore it all the same"),
                ),
                rx.fragment(),
            ),
            ui.field_error("ignore", IgnoredState.ask_problem),
            id="ignore-field",
            on_submit=IgnoredState.ignore,
            class_name="stack",
        ),
        title="Ignore " + IgnoredState.asking_label.to(str) + "?",
        on_close=IgnoredState.keep,
        actions=[ui.button("Ignore it", variant="primary", type="submit", form="ignore-field")],
    )
