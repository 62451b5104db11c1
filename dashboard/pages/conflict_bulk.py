"""Settling many conflicts: choose a rule, look at what it would do, apply exactly that."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import reflex as rx

from dashboard import components as ui
from dashboard.pages.conflict_bulk_rows import EffectRow, PreviewRows, SampleRow, preview_rows
from dashboard.pages.conflict_filters import query_of
from dashboard.pages.conflict_rows import plural
from dashboard.state import PageState
from sync_core.domain.conflict_rules import Rule
from sync_core.domain.vocabulary import Choice
from sync_core.errors import Refusal
from sync_core.services import conflicts_bulk, conflicts_files
from sync_core.services.conflict_bulk_views import BulkPreview, BulkResult
from sync_core.store.database import get_database

_SIDES = {one.value: one for one in (Choice.LOCAL, Choice.STRIPE, Choice.BASE)}
_RECORDS = {one.value: one for one in (Choice.LOCAL, Choice.STRIPE)}


class BulkState(PageState):
    """`stage` is rule, preview, working, done, or import."""

    opened: bool = False
    stage: str = "rule"
    take: str = "stripe"
    record: str = ""
    preview: PreviewRows = PreviewRows()
    done: int = 0
    outcome: str = ""
    left_out: list[str] = []
    problem: str = ""

    @rx.event
    async def open(self) -> None:
        self.opened, self.stage, self.problem, self.preview = True, "rule", "", PreviewRows()
        self.take, self.record = "stripe", ""

    @rx.event
    async def open_import(self) -> None:
        self.opened, self.stage, self.problem, self.preview = True, "import", "", PreviewRows()

    @rx.event
    async def close(self) -> Any:
        from dashboard.pages.conflicts import ConflictsState

        if self.stage == "working":
            return None
        self.opened = False
        return ConflictsState.load if self.stage == "done" else None

    @rx.event
    async def choose_take(self, take: str) -> None:
        self.take = take if take in _SIDES else "stripe"

    @rx.event
    async def choose_record(self, record: str) -> None:
        self.record = record if record in _RECORDS else ""

    @rx.event
    async def look(self) -> None:
        """Preview the rule over what the address filters."""
        query = query_of(dict(self.router.url.query_parameters))
        rule = Rule(_SIDES[self.take], record=_RECORDS.get(self.record))
        actor = await self._actor()
        self._show(await conflicts_bulk.bulk_preview(get_database(), actor, query, rule), actor.time_zone)

    @rx.event
    async def look_at_import(self, form: dict[str, Any]) -> None:
        text = form.get("decisions")
        actor = await self._actor()
        found = await conflicts_files.import_preview(get_database(), actor, text if isinstance(text, str) else "")
        self._show(found, actor.time_zone)

    def _show(self, preview: BulkPreview | Refusal, zone: str) -> None:
        if isinstance(preview, Refusal):
            self.problem = preview.message
            return
        self.problem, self.preview, self.stage = "", preview_rows(preview, zone), "preview"

    @rx.event
    async def back(self) -> None:
        self.stage, self.problem = "rule", ""

    @rx.event(background=True)
    async def apply(self) -> None:
        async with self:
            if self.stage != "preview":
                return
            actor = await self._actor()
            preview_id, sealed = self.preview.id, self.preview.hash
            self.stage, self.done = "working", 0
        result = await conflicts_bulk.bulk_resolve(
            get_database(), actor, UUID(preview_id), sealed, progress=self._progress
        )
        async with self:
            self._finish(result)

    async def _progress(self, done: int, _: int) -> None:
        async with self:
            self.done = done

    def _finish(self, result: BulkResult | Refusal) -> None:
        if isinstance(result, Refusal):
            self.stage, self.problem = "preview", result.message
            return
        self.stage = "done"
        self.outcome = f"{plural(result.resolved, 'conflict')} settled."
        if result.left_out_count:
            self.outcome += f" {result.left_out_count:,} left out:"
        self.left_out = [f"{one.label or one.conflict_id}: {one.reason}" for one in result.left_out[:20]]


def bulk_dialog() -> rx.Component:
    return ui.dialog(
        BulkState.opened,
        rx.cond(BulkState.problem != "", ui.callout(BulkState.problem, kind="danger"), rx.fragment()),
        rx.match(
            BulkState.stage,
            ("rule", rule_form()),
            ("import", import_form()),
            ("preview", preview()),
            ("working", working()),
            outcome(),
        ),
        title="Settle many at once",
        about="What you see is what is written. What changes in between is left out.",
        on_close=BulkState.close,
        actions=[
            rx.match(
                BulkState.stage,
                ("rule", ui.button("Preview", variant="primary", on_click=BulkState.look)),
                ("preview", apply_buttons()),
                rx.fragment(),
            )
        ],
        wide=True,
        close_label="Close",
    )


def rule_form() -> rx.Component:
    return ui.stack(
        ui.radio_cards(
            "For every field that differs",
            "bulk-take",
            [
                ui.Option("stripe", "Take Stripe's", "Our records become what Stripe says."),
                ui.Option(
                    "local", "Keep ours", "Nothing changes here, and these differences are not asked about again."
                ),
                ui.Option("base", "Back to the last sync", "What both sides last agreed on, where that is known."),
            ],
            value=BulkState.take,
            on_change=BulkState.choose_take,
        ),
        ui.radio_cards(
            "Where the record itself is in question",
            "bulk-record",
            [
                ui.Option("", "As above", "The same side decides."),
                ui.Option(
                    "stripe", "Follow Stripe", "Link same emails, restore what lives there, delete what is gone there."
                ),
                ui.Option("local", "Stay as we are", "Keep apart, keep deleted, keep what Stripe deleted."),
            ],
            value=BulkState.record,
            on_change=BulkState.choose_record,
        ),
    )


def import_form() -> rx.Component:
    return rx.el.form(
        ui.field(
            "Decisions",
            "decisions",
            control=rx.el.textarea(
                id="decisions",
                name="decisions",
                rows="10",
                class_name="input mono",
                placeholder="id,revision,field,choice,value",
                spell_check=False,
            ),
            hint="CSV or JSON, as exported: id, revision, field, choice (local, stripe, base or custom), value.",
        ),
        ui.button("Preview", variant="primary", type="submit"),
        on_submit=BulkState.look_at_import,
        class_name="stack",
    )


def preview() -> rx.Component:
    return ui.stack(
        rx.el.p(BulkState.preview.said, class_name="strong", role="status"),
        rx.foreach(BulkState.preview.missing, lambda text: ui.callout(text, kind="info")),
        rx.cond(
            BulkState.preview.money,
            ui.callout(
                "This changes amounts, currencies or states. Look at the samples before you apply it.", kind="warn"
            ),
            rx.fragment(),
        ),
        rx.cond(
            BulkState.preview.effects.length() > 0,
            ui.data_table(
                [ui.Column("Field"), ui.Column("What"), ui.Column("Rows", number=True)],
                rx.foreach(BulkState.preview.effects, effect),
                caption="Fields in which the records differ",
            ),
            rx.fragment(),
        ),
        ui.disclosure(
            "Samples", rx.el.ul(rx.foreach(BulkState.preview.samples, sample), class_name="samples"), open=True
        ),
    )


def effect(row: rx.Var[EffectRow]) -> rx.Component:
    return rx.el.tr(
        rx.el.td(row.label, rx.el.span(" ", row.entity, class_name="muted xsmall")),
        rx.el.td(row.about),
        rx.el.td(row.rows, class_name="number"),
    )


def sample(row: rx.Var[SampleRow]) -> rx.Component:
    return rx.el.li(
        rx.el.span(row.label, class_name="strong"),
        rx.foreach(row.changes, lambda text: rx.el.div(text, class_name="small muted")),
        key=row.href,
    )


def apply_buttons() -> rx.Component:
    return rx.fragment(
        ui.button("Change the rule", on_click=BulkState.back),
        rx.cond(
            BulkState.preview.count > 0,
            ui.button(
                "Settle ",
                BulkState.preview.count,
                variant="primary",
                icon_name="check",
                on_click=BulkState.apply,
            ),
            rx.fragment(),
        ),
    )


def working() -> rx.Component:
    return ui.stack(
        rx.el.p(BulkState.done, " of ", BulkState.preview.count, " settled", role="status"),
        _progress_bar(),
    )


def _progress_bar() -> rx.Component:
    share = (BulkState.done * 100 / rx.cond(BulkState.preview.count > 0, BulkState.preview.count, 1)).to(int)
    return ui.progress_bar(share, label="Settled")


def outcome() -> rx.Component:
    return ui.stack(
        ui.callout(BulkState.outcome, kind="success"),
        rx.el.ul(rx.foreach(BulkState.left_out, rx.el.li), class_name="samples"),
        rx.el.p("You can take this back for 30 days with Undo.", class_name="muted"),
    )
