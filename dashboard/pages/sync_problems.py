"""What failed in a run, by reason and one by one, with what to do about it: retry one, a group or all; and verify it all again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import reflex as rx

from dashboard import components as ui
from dashboard.pages import run_parts as parts
from dashboard.pages.sync_rows import ProblemRow
from dashboard.pages.sync_state import SyncState
from dashboard.state import PageState
from sync_core.domain.going_on import Way
from sync_core.domain.vocabulary import Action, EntityType, ReasonCode
from sync_core.errors import Refusal
from sync_core.services import problems
from sync_core.services.problems import Choice, Problem
from sync_core.services.session_views import SessionView
from sync_core.store.database import get_database

SHOWN = 25


@dataclass(frozen=True, slots=True)
class FailedRow:
    external_id: str
    label: str
    field: str
    message: str
    request_id: str
    key: str


class ProblemsState(PageState):
    """`entity` and `reason` name the group whose objects are shown; both empty for none."""

    entity: str = ""
    reason: str = ""
    heading: str = ""
    repair: str = ""
    failures: list[FailedRow] = []
    next_cursor: str = ""
    turned: bool = False

    @rx.event
    async def close(self) -> None:
        self._close()

    def _close(self) -> None:
        self._put(entity="", reason="", failures=[], next_cursor="", turned=False)

    @rx.event
    async def show(self, entity: str, reason: str) -> None:
        if (entity, reason) == (self.entity, self.reason) or not _is_group(entity, reason):
            self._close()
            return
        self.entity, self.reason, self.failures = entity, reason, []
        code = ReasonCode(reason)
        self.heading, self.repair = f"{EntityType(entity).label}: {code.label}", code.repair
        await self._read("")

    @rx.event
    async def turn(self, cursor: str) -> None:
        """To the page that a cursor names; the first without one."""
        if _is_group(self.entity, self.reason):
            await self._read(cursor)

    async def _read(self, cursor: str) -> None:
        session_id = parts.id_in(self.router.url.path)
        if session_id is None:
            return
        found = await problems.page(
            get_database(),
            await self._actor(),
            session_id,
            entity=EntityType(self.entity),
            reason=ReasonCode(self.reason),
            cursor=cursor,
            limit=SHOWN,
        )
        if isinstance(found, Refusal):
            self._refuse(found)
            return
        self.failures = [failed_row(one) for one in found.items]
        self.next_cursor, self.turned = found.cursor or "", bool(cursor)

    @rx.event
    async def retry_all(self) -> Any:
        return await self._retry(Choice())

    @rx.event
    async def retry_group(self, entity: str, reason: str) -> Any:
        if not _is_group(entity, reason):
            return None
        return await self._retry(Choice(EntityType(entity), ReasonCode(reason)))

    @rx.event
    async def retry_one(self, external_id: str) -> Any:
        if not _is_group(self.entity, self.reason):
            return None
        return await self._retry(Choice(EntityType(self.entity), external_ids=(external_id,)))

    @rx.event
    async def verify_again(self) -> Any:
        session_id = parts.id_in(self.router.url.path)
        if session_id is None:
            return None
        return await self._taken_up(session_id, await problems.repair(get_database(), await self._actor(), session_id))

    async def _retry(self, choice: Choice) -> Any:
        session_id = parts.id_in(self.router.url.path)
        if session_id is None:
            return None
        return await self._taken_up(
            session_id, await problems.retry(get_database(), await self._actor(), session_id, choice)
        )

    async def _taken_up(self, session_id: UUID, found: SessionView | Refusal) -> Any:
        return await (await self.get_state(SyncState))._follow(session_id, found)  # noqa: SLF001 - the page's own word for it


def _is_group(entity: str, reason: str) -> bool:
    return entity in {one.value for one in EntityType} and reason in {one.value for one in ReasonCode if one.is_error}


def failed_row(one: Problem) -> FailedRow:
    key, message = f"{one.entity}/{one.external_id}", parts.clipped(one.message)
    return FailedRow(one.external_id, parts.clipped(one.label), one.field, message, one.request_id, key)


def view() -> rx.Component:
    return ui.card(
        ui.data_table(
            [
                ui.Column("Reason"),
                ui.Column("Records", number=True),
                ui.Column("What to do"),
                ui.Column("First ids"),
                ui.Column("Retry or show", hidden=True),
            ],
            rx.foreach(SyncState.problems, group),
            caption="Errors by reason",
        ),
        rx.cond(ProblemsState.reason != "", one_by_one(), rx.fragment()),
        title="Errors",
        about=rx.fragment(
            "Grouped by reason.",
            rx.cond(
                SyncState.can_retry,
                " A retry fetches what failed anew, with the parents that it waits for, and nothing else.",
                "",
            ),
        ),
        actions=[
            rx.cond(
                SyncState.can_retry,
                ui.button(Way.RETRY.label, icon_name="rotate-cw", on_click=ProblemsState.retry_all),
                rx.fragment(),
            )
        ],
        flush=True,
        class_name="reflow",
    )


def group(one: rx.Var[ProblemRow]) -> rx.Component:
    opened = (ProblemsState.entity == one.entity) & (ProblemsState.reason == one.reason)
    entity, reason = _worded(one.entity, _ENTITIES), _worded(one.reason, _REASONS)
    named = entity + ", " + reason
    listed = f"{SyncState.report_href}?entity={one.entity}&action={Action.ERROR}&reason={one.reason}"
    return rx.el.tr(
        rx.el.th(
            rx.el.div(reason),
            rx.el.div(entity, rx.cond(one.field != "", " · " + one.field, ""), class_name="muted small"),
            scope="row",
        ),
        rx.el.td(ui.link(one.count, listed), class_name="number", custom_attrs={"data-label": "Records"}),
        rx.el.td(rx.el.div(_worded(one.reason, _REPAIRS)), rx.el.div(one.message, class_name="muted small")),
        rx.el.td(rx.el.code(one.sample), class_name="small"),
        rx.el.td(
            ui.row(
                ui.button(
                    rx.cond(opened, "Hide", "Show"),
                    small=True,
                    on_click=ProblemsState.show(one.entity, one.reason),
                    aria_expanded=rx.cond(opened, "true", "false"),
                    aria_label=rx.cond(opened, "Hide: ", "Show: ") + named,
                ),
                rx.cond(
                    SyncState.can_retry,
                    ui.button(
                        "Retry",
                        small=True,
                        icon_name="rotate-cw",
                        on_click=ProblemsState.retry_group(one.entity, one.reason),
                        aria_label="Retry: " + named,
                    ),
                    rx.fragment(),
                ),
            )
        ),
        key=f"{one.entity}/{one.reason}/{one.field}",
    )


_ENTITIES = {one.value: one.label for one in EntityType}
_REASONS = {one.value: one.label for one in ReasonCode if one.is_error}
_REPAIRS = {one.value: one.repair for one in ReasonCode if one.is_error}


def _worded(value: rx.Var[str], words: dict[str, str]) -> rx.Var[str]:
    found: rx.Var[str] = rx.match(value, *words.items(), value).to(str)
    return found


def one_by_one() -> rx.Component:
    return rx.el.div(
        rx.el.div(
            rx.el.h3(ProblemsState.heading),
            rx.el.p(ProblemsState.repair, class_name="muted small"),
            style={"padding": "var(--s4) var(--s5) 0"},
        ),
        ui.data_table(
            [
                ui.Column("Stripe id"),
                ui.Column("Field"),
                ui.Column("What is wrong"),
                ui.Column("Request to Stripe"),
                ui.Column("Retry", hidden=True),
            ],
            rx.foreach(ProblemsState.failures, failed),
            caption="Objects that failed for this reason",
        ),
        parts.turning(ProblemsState.turned, ProblemsState.next_cursor, ProblemsState.turn),
    )


def failed(one: rx.Var[FailedRow]) -> rx.Component:
    return rx.el.tr(
        rx.el.th(
            ui.id_chip(one.external_id),
            rx.cond(one.label != "", rx.el.div(one.label, class_name="muted small"), rx.fragment()),
            scope="row",
        ),
        rx.el.td(rx.cond(one.field != "", rx.el.code(one.field), "—")),
        rx.el.td(one.message),
        rx.el.td(rx.cond(one.request_id != "", ui.id_chip(one.request_id, label="Copy request id"), "—")),
        rx.el.td(
            rx.cond(
                SyncState.can_retry,
                ui.icon_button(
                    "rotate-cw", "Retry " + one.external_id, on_click=ProblemsState.retry_one(one.external_id)
                ),
                rx.fragment(),
            )
        ),
        key=one.key,
    )


def verify_button() -> rx.Component:
    """For a run that has come to its end: what it read is compared with what is stored now."""
    return rx.cond(
        SyncState.verifies != "",
        ui.button(
            SyncState.verifies,
            icon_name="shield-check",
            on_click=ProblemsState.verify_again,
        ),
        rx.fragment(),
    )
