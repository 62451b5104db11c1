"""What was decided: a list of it, and a batch by its permanent address, as it was foreseen and as it came out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import reflex as rx

from dashboard import components as ui
from dashboard.formatting import plural
from dashboard.navigation import add_page
from dashboard.pages.conflict_bulk_rows import PreviewRows, preview_rows
from dashboard.pages.conflict_filters import PATH
from dashboard.pages.conflict_keys import KeysState, assets
from dashboard.pages.conflict_preview_view import preview_parts
from dashboard.state import PageState
from dashboard.undo import taken_back
from sync_core.domain.vocabulary import Role
from sync_core.errors import Refusal
from sync_core.services import conflict_history, conflicts_bulk
from sync_core.services.actor import Permission
from sync_core.services.conflict_history import BatchView
from sync_core.services.record_views import When
from sync_core.store.conflict_journal import PastBatch
from sync_core.store.database import get_database

HISTORY = f"{PATH}/history"
BATCHES = f"{PATH}/batches"
_STANDS = "Stands"


@dataclass(frozen=True, slots=True)
class BatchRow:
    id: str
    what: str
    href: str
    actor: str
    at: str
    utc: str
    outcome: str
    undoable: bool


def batch_row(one: PastBatch, zone: str) -> BatchRow:
    at = When.of(one.created_at, zone)
    single = one.rule is None
    parts = [
        f"{one.left_out:,} left out" if one.left_out else "",
        f"{one.waiting:,} not come to" if one.waiting else "",
        ("taken back" if single else f"{one.undone:,} taken back") if one.undone else "",
    ]
    return BatchRow(
        id=str(one.batch_id),
        what=one.label if single else plural(one.rows, "conflict"),
        href=f"{PATH}/{one.conflict_id}" if single else f"{BATCHES}/{one.batch_id}",
        actor=one.actor,
        at=at.text,
        utc=at.utc,
        outcome=(", ".join(filter(None, parts)) or _STANDS).capitalize(),
        undoable=one.undone < one.rows,
    )


class HistoryState(PageState):
    rows: list[BatchRow] = []
    next_url: str = ""
    first_url: str = ""
    may_resolve: bool = False
    problem: str = ""
    loaded: bool = False

    @rx.event
    async def load(self) -> None:
        actor = await self._actor()
        before = _moment(dict(self.router.url.query_parameters).get("before", ""))
        found = await conflict_history.batches(get_database(), actor, before=before)
        self.loaded = True
        if isinstance(found, Refusal):
            self.problem = found.message
            return
        rows, following = found
        self.problem, self.rows = "", [batch_row(one, actor.time_zone) for one in rows]
        self.next_url = f"{HISTORY}?before={following.isoformat().replace('+', '%2B')}" if following else ""
        self.first_url = HISTORY if before else ""
        self.may_resolve = actor.can(Permission.RESOLVE_CONFLICTS)

    @rx.event
    async def undo(self, batch_id: str) -> Any:
        await taken_back(self, batch_id)
        return HistoryState.load


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None


class BatchState(PageState):
    """`stage` is preview, applied, or expired."""

    preview: PreviewRows = PreviewRows()
    stage: str = "preview"
    about: str = ""
    at: When = When()
    outcome: str = ""
    left_out: list[str] = []
    waiting: int = 0
    undoable: bool = False
    may_resolve: bool = False
    working: bool = False
    problem: str = ""
    loaded: bool = False

    def _asked(self) -> UUID | None:
        parts = [part for part in self.router.url.path.split("/") if part]
        try:
            return UUID(parts[2])
        except (IndexError, ValueError):
            return None

    @rx.event
    async def load(self) -> None:
        actor, asked = await self._actor(), self._asked()
        self.loaded, self.working = True, False
        found = (
            conflicts_bulk.NO_PREVIEW if asked is None else await conflict_history.batch(get_database(), actor, asked)
        )
        if isinstance(found, Refusal):
            self.problem = found.message
            return
        self.problem, self.may_resolve = "", actor.can(Permission.RESOLVE_CONFLICTS)
        self._show(found, actor.time_zone)

    def _show(self, found: BatchView, zone: str) -> None:
        self.preview = preview_rows(found.preview, zone)
        self.stage = "applied" if found.applied_at else "expired" if found.expired else "preview"
        self.about, self.at = f"By {found.made_by}, ", When.of(found.applied_at or found.made_at, zone)
        result = found.result
        self.waiting = result.waiting if result else 0
        self.left_out = [f"{one.label or one.conflict_id}: {one.reason}" for one in result.left_out] if result else []
        self.undoable = result is not None and result.resolved > found.undone
        if result is not None:
            parts = [
                f"{plural(result.resolved, 'conflict')} settled",
                f"{result.left_out_count:,} left out" if result.left_out_count else "",
                f"{found.undone:,} taken back since" if found.undone else "",
            ]
            self.outcome = ", ".join(filter(None, parts)) + "."

    @rx.event(background=True)
    async def apply(self) -> Any:
        """The preview as it was seen, or what is left of a batch that ended halfway."""
        async with self:
            asked, actor, sealed = self._asked(), await self._actor(), self.preview.hash
            if asked is None or self.working:
                return None
            self.working = True
        result = await conflicts_bulk.bulk_resolve(get_database(), actor, asked, sealed)
        async with self:
            self.working = False
            if isinstance(result, Refusal):
                self._refuse(result)
            else:
                self._say(f"{plural(result.resolved, 'conflict')} settled.", undo=str(asked) if result.resolved else "")
        return BatchState.load

    @rx.event
    async def undo(self) -> Any:
        asked = self._asked()
        if asked is not None:
            await taken_back(self, str(asked))
        return BatchState.load


def history_view() -> rx.Component:
    return ui.page_shell(
        "Decisions",
        assets(),
        ui.when_loaded(HistoryState, _history(), ui.table_skeleton()),
        current=PATH,
        back=("Conflicts", PATH),
        lead="Everything that people and rules decided in the last 30 days. Each can be taken back.",
        takes=(Role.OPERATOR, "take a decision back"),
    )


def _history() -> rx.Component:
    return rx.cond(
        HistoryState.rows.length() > 0,
        ui.stack(
            rx.el.div(
                ui.data_table(
                    [
                        ui.Column("Settled"),
                        ui.Column("By"),
                        ui.Column("When"),
                        ui.Column("State"),
                        ui.Column("Undo", hidden=True),
                    ],
                    rx.foreach(HistoryState.rows, _history_row),
                    caption="Decisions",
                ),
                class_name="reflow",
            ),
            ui.pagination(HistoryState.first_url, None, HistoryState.next_url),
        ),
        ui.empty_state(
            "Nothing decided yet", "What is settled, one by one or many at once, is listed here.", "Conflicts", PATH
        ),
    )


def _history_row(row: Any) -> rx.Component:
    return rx.el.tr(
        rx.el.td(ui.link(row.what, row.href)),
        rx.el.td(row.actor, custom_attrs={"data-label": "By"}),
        rx.el.td(ui.moment(row.at, row.utc), custom_attrs={"data-label": "When"}),
        rx.el.td(_outcome(row), custom_attrs={"data-label": "State"}),
        rx.el.td(
            rx.cond(
                row.undoable & HistoryState.may_resolve,
                ui.button("Undo", small=True, icon_name="undo-2", on_click=HistoryState.undo(row.id)),
                rx.fragment(),
            )
        ),
        key=row.id,
    )


def _outcome(row: Any) -> rx.Component:
    return rx.cond(row.outcome == _STANDS, ui.pill(_STANDS, "success", "check"), ui.pill(row.outcome))


def batch_view() -> rx.Component:
    return ui.page_shell(
        rx.cond(BatchState.stage == "applied", "Settled together", "Preview"),
        assets(),
        rx.cond(
            BatchState.problem != "",
            ui.empty_state("No such preview", BatchState.problem, "Conflicts", PATH, icon_name="search-x"),
            rx.cond(BatchState.loaded, _batch(), ui.card_skeleton(6)),
        ),
        current=PATH,
        back=("Decisions", HISTORY),
        lead=rx.fragment(BatchState.about, ui.moment(BatchState.at.text, BatchState.at.utc)),
        takes=(Role.OPERATOR, "settle conflicts"),
        actions=[_batch_actions()],
    )


def _batch_actions() -> rx.Component:
    return rx.cond(
        BatchState.may_resolve,
        rx.match(
            BatchState.stage,
            ("preview", _apply("Settle these", BatchState.preview.count > 0)),
            (
                "applied",
                rx.fragment(
                    _apply("Go on with the rest", BatchState.waiting > 0),
                    rx.cond(
                        BatchState.undoable,
                        ui.button("Undo all of it", icon_name="undo-2", on_click=BatchState.undo),
                        rx.fragment(),
                    ),
                ),
            ),
            rx.fragment(),
        ),
        rx.fragment(),
    )


def _apply(label: str, shown: Any) -> rx.Component:
    return rx.cond(
        shown,
        ui.button(label, variant="primary", icon_name="check", on_click=BatchState.apply, disabled=BatchState.working),
        rx.fragment(),
    )


def _batch() -> rx.Component:
    return ui.stack(
        rx.cond(
            BatchState.stage == "expired",
            ui.callout("This preview is older than a day. Make a new one before settling anything.", kind="warn"),
            rx.fragment(),
        ),
        rx.cond(BatchState.outcome != "", ui.callout(BatchState.outcome, kind="success"), rx.fragment()),
        rx.cond(
            BatchState.waiting > 0,
            ui.callout(BatchState.waiting.to(str) + " were not come to: it was stopped halfway.", kind="warn"),
            rx.fragment(),
        ),
        rx.cond(
            BatchState.left_out.length() > 0,
            ui.card(rx.el.ul(rx.foreach(BatchState.left_out, rx.el.li), class_name="samples"), title="Left out"),
            rx.fragment(),
        ),
        ui.card(preview_parts(BatchState.preview), title="What was foreseen"),
    )


def register(app: rx.App) -> None:
    add_page(app, history_view, route=HISTORY, title="Decisions", on_load=[HistoryState.load, KeysState.load])
    add_page(app, batch_view, route=f"{BATCHES}/[batch_id]", title="Batch", on_load=[BatchState.load, KeysState.load])
