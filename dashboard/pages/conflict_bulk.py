"""Settling many conflicts: choose a rule, look at what it would do, apply exactly that."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import reflex as rx

from dashboard import components as ui
from dashboard.formatting import plural
from dashboard.pages.conflict_bulk_rows import PreviewRows, preview_rows
from dashboard.pages.conflict_filters import PATH
from dashboard.pages.conflict_preview_view import preview_parts
from dashboard.state import PageState, ShellState
from dashboard.undo import taken_back
from sync_core.domain.conflict_rules import Rule, Take
from sync_core.domain.vocabulary import Blend, Choice, Facet, Ignoring
from sync_core.errors import Refusal
from sync_core.services import conflict_facets, conflict_rules, conflicts_bulk, conflicts_files
from sync_core.services.actor import Permission
from sync_core.services.conflict_bulk_views import BulkPreview, BulkResult
from sync_core.store.conflict_query import ConflictQuery
from sync_core.store.database import get_database

_MOST_FIELDS = 8
_TAKES: dict[str, Take] = {
    one.value: one for one in (Choice.STRIPE, Choice.LOCAL, Choice.BASE, Blend.NEWER, Blend.FILLED, Blend.KEYS)
}
_OWN: dict[str, Take] = _TAKES | {one.value: one for one in Ignoring}
_RECORDS = {one.value: one for one in (Choice.LOCAL, Choice.STRIPE)}


@dataclass(frozen=True, slots=True)
class FieldTake:
    """A field's own answer; empty for the one that all have."""

    name: str
    label: str
    take: str


class BulkState(PageState):
    """`stage` is rule, looking, preview, working, done, or import; `scope` says how many the rule is for."""

    opened: bool = False
    stage: str = "rule"
    take: str = "stripe"
    record: str = ""
    fields: list[FieldTake] = []
    scope: str = ""
    may_manage: bool = False
    may_keep: bool = False
    kept: str = ""
    keep_problem: str = ""
    preview: PreviewRows = PreviewRows()
    done: int = 0
    settled: str = ""
    outcome: str = ""
    left_out: list[str] = []
    problem: str = ""

    def _shut(self) -> None:
        """A visit begins with the list. What is being worked on stays in sight."""
        if self.stage != "working":
            self._put(opened=False)

    @rx.event
    async def open(self) -> None:
        self.opened, self.stage, self.problem, self.preview = True, "rule", "", PreviewRows()
        self.take, self.record, self.kept, self.keep_problem = "stripe", "", "", ""
        actor, query = await self._actor(), await self._selection()
        self.may_manage = actor.can(Permission.MANAGE_WORKSPACE)
        self.may_keep = self.may_manage and query.ids is None and not query.is_scanned
        found = await conflict_facets.facets(get_database(), actor, query)
        if not isinstance(found, Refusal):
            self.fields = [FieldTake(one.value, one.label, "") for one in found.values[Facet.FIELD][:_MOST_FIELDS]]
            self.scope = plural(len(query.ids) if query.ids is not None else found.matching, "conflict")

    async def _selection(self) -> ConflictQuery:
        """What is picked in the list behind the dialog, or all that it shows."""
        from dashboard.pages.conflicts import ConflictsState

        return (await self.get_state(ConflictsState))._selection()  # noqa: SLF001 - the list's own answer

    def _rule(self) -> Rule:
        own = {one.name: _OWN[one.take] for one in self.fields if one.take}
        return Rule(_TAKES.get(self.take), own, record=_RECORDS.get(self.record))

    @rx.event
    async def open_import(self) -> None:
        self.opened, self.stage, self.problem, self.preview = True, "import", "", PreviewRows()

    @rx.event
    async def close(self) -> Any:
        from dashboard.pages.conflicts import ConflictsState

        if self.stage == "working":
            return None
        self.opened = False
        if self.stage != "done":
            return None
        if self.settled:
            self._say(self.settled, undo=self.preview.id)
        return [ConflictsState.load, ShellState.load]

    @rx.event
    async def undo(self) -> Any:
        """What the dialog has just settled."""
        from dashboard.pages.conflicts import ConflictsState

        if self.stage != "done" or not self.settled:
            return None
        self.opened = False
        await taken_back(self, self.preview.id)
        return [ConflictsState.load, ShellState.load]

    @rx.event
    async def choose_take(self, take: str) -> None:
        self.take = take if take in _TAKES else "stripe"

    @rx.event
    async def choose_field(self, name: str, take: str) -> None:
        chosen = take if take in _OWN else ""
        self.fields = [replace(one, take=chosen) if one.name == name else one for one in self.fields]

    @rx.event
    async def choose_record(self, record: str) -> None:
        self.record = record if record in _RECORDS else ""

    @rx.event
    async def look(self) -> Any:
        """Preview the rule over what the address filters. Of a hundred thousand that takes seconds: it is said that it is under way."""
        self.stage, self.problem = "looking", ""
        yield
        actor, query = await self._actor(), await self._selection()
        self._show(await conflicts_bulk.bulk_preview(get_database(), actor, query, self._rule()), actor.time_zone)

    @rx.event
    async def keep_rule(self, form: dict[str, Any]) -> None:
        """The rule as previewed, for the syncs to come. It begins switched off."""
        name, query = form.get("rule-name"), await self._selection()
        rule = replace(self._rule(), money=bool(form.get("rule-money")))
        made = await conflict_rules.save(
            get_database(), await self._actor(), name if isinstance(name, str) else "", query, rule
        )
        self.keep_problem = made.message if isinstance(made, Refusal) else ""
        self.kept = "" if self.keep_problem else "Kept, and off: switch it on under Rules."

    @rx.event
    async def look_at_import(self, form: dict[str, Any]) -> None:
        text = form.get("decisions")
        actor = await self._actor()
        found = await conflicts_files.import_preview(get_database(), actor, text if isinstance(text, str) else "")
        self._show(found, actor.time_zone)

    def _show(self, preview: BulkPreview | Refusal, zone: str) -> None:
        if isinstance(preview, Refusal):
            self.problem, self.stage = preview.message, "rule" if self.stage == "looking" else self.stage
            return
        self.problem, self.preview, self.stage = "", preview_rows(preview, zone), "preview"

    @rx.event
    async def back(self) -> None:
        self.stage, self.problem = "rule", ""

    @rx.event
    async def stop(self) -> None:
        """End after the rows in hand; what is settled stays settled."""
        try:
            refused = await conflicts_bulk.stop(get_database(), await self._actor(), UUID(self.preview.id))
        except ValueError:
            return
        if refused is not None:
            self._refuse(refused)

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
        self.settled = f"{plural(result.resolved, 'conflict')} settled." if result.resolved else ""
        self.outcome = self.settled or "Nothing was settled."
        if result.waiting:
            self.outcome += f" {result.waiting:,} not come to: its page goes on with them."
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
            ("looking", looking()),
            ("preview", preview()),
            ("working", working()),
            outcome(),
        ),
        title=rx.cond(BulkState.stage == "import", "Import decisions", "Settle many at once"),
        about="What you see is what is written. What changes in between is left out.",
        on_close=BulkState.close,
        actions=[
            rx.match(
                BulkState.stage,
                ("rule", ui.button("Preview", variant="primary", on_click=BulkState.look)),
                ("import", ui.button("Preview", variant="primary", type="submit", form="import-decisions")),
                ("preview", apply_buttons()),
                ("working", ui.button("Stop", icon_name="square", on_click=BulkState.stop)),
                (
                    "done",
                    rx.cond(
                        BulkState.settled != "",
                        ui.button("Undo", icon_name="undo-2", on_click=BulkState.undo),
                        rx.fragment(),
                    ),
                ),
                rx.fragment(),
            )
        ],
        wide=True,
        close_label="Close",
    )


def rule_form() -> rx.Component:
    return ui.stack(
        rx.el.p("For ", BulkState.scope, ".", class_name="strong", role="status"),
        ui.radio_cards(
            "For every field that differs",
            "bulk-take",
            [
                ui.Option("stripe", "Take Stripe's", "Our records become what Stripe says."),
                ui.Option(
                    "local", "Keep ours", "Nothing changes here, and these differences are not asked about again."
                ),
                ui.Option("base", "Back to the last sync", "What both sides last agreed on, where that is known."),
                ui.Option(
                    "newer",
                    "Whichever changed last",
                    "By Stripe's webhook events and the edits here. Where they do not say, the conflict stays open.",
                ),
                ui.Option("filled", "Whichever has a value", "Where both have one, the conflict stays open."),
            ],
            value=BulkState.take,
            on_change=BulkState.choose_take,
        ),
        rx.cond(
            BulkState.fields.length() > 0,
            ui.disclosure(
                "Fields with an answer of their own",
                rx.el.ul(rx.foreach(BulkState.fields, field_take), class_name="field-takes"),
            ),
            rx.fragment(),
        ),
        ui.radio_cards(
            "Where the record itself is in question",
            "bulk-record",
            [
                ui.Option("", "As above", "The same side decides, where one is named."),
                ui.Option(
                    "stripe", "Follow Stripe", "Link same emails, restore what lives there, delete what is gone there."
                ),
                ui.Option("local", "Stay as we are", "Keep apart, keep deleted, keep what Stripe deleted."),
            ],
            value=BulkState.record,
            on_change=BulkState.choose_record,
        ),
    )


def field_take(one: Any) -> rx.Component:
    return rx.el.li(
        rx.el.span(one.label),
        rx.el.select(
            rx.el.option("As above", value=""),
            *[rx.el.option(take.label, value=word) for word, take in _TAKES.items()],
            rx.el.option(Ignoring.RECORD.label, value=Ignoring.RECORD.value),
            rx.cond(
                BulkState.may_manage,
                rx.el.option(Ignoring.FIELD.label, value=Ignoring.FIELD.value),
                rx.fragment(),
            ),
            value=one.take,
            on_change=lambda take: BulkState.choose_field(one.name, take),
            aria_label="Answer for " + one.label,
            class_name="select small",
        ),
        key=one.name,
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
        id="import-decisions",
        on_submit=BulkState.look_at_import,
        class_name="stack",
    )


def looking() -> rx.Component:
    return ui.stack(
        rx.el.p("Looking at ", BulkState.scope, "…", class_name="strong", role="status"), ui.table_skeleton()
    )


def preview() -> rx.Component:
    return ui.stack(
        preview_parts(BulkState.preview),
        rx.el.p(
            "This preview has an address of its own: ",
            ui.link("open it as a page", f"{PATH}/batches/" + BulkState.preview.id),
            ".",
            class_name="small muted",
        ),
        # What is ignored is so from the next sync on: it needs no rule.
        rx.cond(
            BulkState.may_keep & BulkState.preview.by_rule & (BulkState.preview.ignored.length() == 0),
            keep_form(),
            rx.fragment(),
        ),
    )


def keep_form() -> rx.Component:
    return ui.disclosure(
        "Keep as a rule for coming syncs",
        rx.cond(BulkState.kept != "", ui.callout(BulkState.kept, kind="success"), rx.fragment()),
        rx.el.form(
            ui.field("Name", "rule-name", error=BulkState.keep_problem, max_length=100, auto_complete="off"),
            ui.checkbox(
                "rule-money",
                "It may change money",
                "Amounts, currencies, states, prices and quantities. Without this it leaves them to people.",
            ),
            ui.button("Keep the rule", type="submit", small=True),
            on_submit=BulkState.keep_rule,
            class_name="stack-sm",
        ),
    )


def apply_buttons() -> rx.Component:
    return rx.fragment(
        rx.cond(BulkState.preview.by_rule, ui.button("Change the rule", on_click=BulkState.back), rx.fragment()),
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
        rx.el.p(
            "You can take this back for 30 days, with Undo or from ",
            ui.link("its own page", f"{PATH}/batches/" + BulkState.preview.id),
            ".",
            class_name="muted",
        ),
    )
