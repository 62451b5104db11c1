"""Standing rules: in order, tried on what is open, switched on and off, taken out as a file and brought in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import reflex as rx

from dashboard import components as ui
from dashboard.formatting import plural
from dashboard.navigation import add_page
from dashboard.pages.conflict_batches import BATCHES
from dashboard.pages.conflict_filters import EXPORTS, PATH
from dashboard.pages.conflict_ignored import IgnoredState, ignored_fields
from dashboard.pages.conflict_ignoring import ignore_dialog
from dashboard.pages.conflict_keys import KeysState, assets
from dashboard.state import PageState
from sync_core.domain.fields import FIELDS
from sync_core.domain.vocabulary import CustomerState, EntityType, Facet, ReasonCode, Role, Severity, Transition
from sync_core.errors import Refusal
from sync_core.services import conflict_rules
from sync_core.services.actor import Permission
from sync_core.services.conflict_rules import SavedRule
from sync_core.store.database import get_database

RULES = f"{PATH}/rules"
_LABELS = {
    **{(Facet.FIELD, one.name): one.label for fields in FIELDS.values() for one in fields},
    **{
        (facet, one.value): one.label
        for facet, words in (
            (Facet.ENTITY, EntityType),
            (Facet.REASON, ReasonCode),
            (Facet.TRANSITION, Transition),
            (Facet.SEVERITY, Severity),
            (Facet.CUSTOMER, CustomerState),
        )
        for one in words
    },
}


@dataclass(frozen=True, slots=True)
class RuleRow:
    id: str
    place: str
    name: str
    when: str
    then: str
    money: bool
    enabled: bool
    hits: str
    test: str
    settles: int
    first: bool
    last: bool


def rule_row(one: SavedRule, place: int, count: int) -> RuleRow:
    when, then = conflict_rules.sentence(one.query, one.rule, _LABELS)
    tried = (
        f"Would settle {'at most ' if one.rule.asks_times else ''}{one.settles:,} of {plural(one.matches, 'open conflict')}"
        if one.matches
        else "Fits nothing open"
    )
    return RuleRow(
        id=str(one.id),
        place=str(place),
        name=one.name,
        when=when,
        then=then,
        money=one.rule.money,
        enabled=one.enabled,
        hits=f"{plural(one.hits, 'conflict')} settled so far" if one.hits else "Not used yet",
        test=tried,
        settles=one.settles,
        first=place == 1,
        last=place == count,
    )


class RulesState(PageState):
    rows: list[RuleRow] = []
    removing: str = ""
    removing_name: str = ""
    importing: bool = False
    import_problem: str = ""
    may_manage: bool = False
    may_resolve: bool = False
    problem: str = ""
    loaded: bool = False

    @rx.event
    async def load(self) -> None:
        actor = await self._actor()
        found = await conflict_rules.listed(get_database(), actor)
        self.loaded, self.removing, self.importing = True, "", False
        if isinstance(found, Refusal):
            self.problem = found.message
            return
        self.problem, self.rows = "", [rule_row(one, at, len(found)) for at, one in enumerate(found, 1)]
        self.may_manage = actor.can(Permission.MANAGE_WORKSPACE)
        self.may_resolve = actor.can(Permission.RESOLVE_CONFLICTS)

    @rx.event
    async def switch(self, rule_id: str) -> Any:
        row = next((one for one in self.rows if one.id == rule_id), None)
        if row is None:
            return None
        enabled = not row.enabled
        refused = await conflict_rules.switch(get_database(), await self._actor(), UUID(row.id), enabled=enabled)
        said = f"{row.name}: on. It applies at the end of every sync." if enabled else f"{row.name}: off."
        return self._done(refused, said)

    @rx.event
    async def move(self, rule_id: str, by: int) -> Any:
        if not any(one.id == rule_id for one in self.rows):
            return None
        refused = await conflict_rules.move(get_database(), await self._actor(), UUID(rule_id), by)
        return self._done(refused, "")

    @rx.event
    async def ask_to_remove(self, rule_id: str) -> None:
        row = next((one for one in self.rows if one.id == rule_id), None)
        self.removing, self.removing_name = (row.id, row.name) if row else ("", "")

    @rx.event
    async def keep(self) -> None:
        self.removing = ""

    @rx.event
    async def remove(self) -> Any:
        if not self.removing:
            return None
        refused = await conflict_rules.remove(get_database(), await self._actor(), UUID(self.removing))
        return self._done(refused, f"{self.removing_name} is gone. What it decided stands.")

    @rx.event
    async def preview(self, rule_id: str) -> Any:
        if not any(one.id == rule_id for one in self.rows):
            return None
        made = await conflict_rules.preview(get_database(), await self._actor(), UUID(rule_id))
        if isinstance(made, Refusal):
            self._refuse(made)
            return None
        return rx.redirect(f"{BATCHES}/{made.id}")

    @rx.event
    async def open_import(self) -> None:
        self.importing, self.import_problem = True, ""

    @rx.event
    async def close_import(self) -> None:
        self.importing = False

    @rx.event
    async def bring_in(self, form: dict[str, Any]) -> Any:
        text = form.get("rules")
        made = await conflict_rules.imported(get_database(), await self._actor(), text if isinstance(text, str) else "")
        if isinstance(made, Refusal):
            self.import_problem = made.message
            return None
        return self._done(None, "The rules are there, all of them off.")

    def _done(self, refused: Refusal | None, said: str) -> Any:
        if refused is not None:
            self._refuse(refused)
            return None
        if said:
            self._say(said)
        return RulesState.load


def view() -> rx.Component:
    return ui.page_shell(
        "Rules for conflicts",
        assets(),
        ui.when_loaded(RulesState, ui.stack(_rules(), ignored_fields()), ui.card_skeleton(5)),
        _remove_dialog(),
        ignore_dialog(),
        _import_dialog(),
        current=PATH,
        back=("Conflicts", PATH),
        takes=(Role.ADMIN, "change rules"),
        lead="At the end of every sync the first rule that fits a new conflict decides it. What a rule did is listed and taken back like"
        " anything else.",
        actions=[
            ui.button_link("Export", f"{EXPORTS}/rules.json", icon_name="download", reload_document=True),
            rx.cond(
                RulesState.may_manage,
                ui.button("Import…", icon_name="upload", on_click=RulesState.open_import),
                rx.fragment(),
            ),
        ],
    )


def _rules() -> rx.Component:
    return rx.cond(
        RulesState.rows.length() > 0,
        rx.el.ol(rx.foreach(RulesState.rows, _rule), class_name="rules"),
        ui.empty_state(
            "No rules yet",
            "Filter the conflicts, choose “Settle all matching…”, and keep what you see in the preview as a rule.",
            "Conflicts",
            PATH,
            icon_name="list-checks",
        ),
    )


def _rule(row: Any) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.h2(row.place, ". ", row.name),
            rx.cond(row.enabled, ui.pill("On", "success", "circle-check"), ui.pill("Off", "neutral", "circle")),
            rx.cond(row.money, ui.pill("May change money", "danger", "circle-dollar-sign"), rx.fragment()),
            class_name="row",
        ),
        rx.el.p(rx.el.span("When ", class_name="muted"), row.when),
        rx.el.p(rx.el.span("Then ", class_name="muted"), row.then),
        rx.el.p(row.test, ". ", row.hits, ".", class_name="small muted"),
        rx.el.div(_rule_buttons(row), class_name="row"),
        class_name="card rule",
        key=row.id,
    )


def _rule_buttons(row: Any) -> rx.Component:
    return rx.fragment(
        rx.cond(
            RulesState.may_manage,
            rx.fragment(
                ui.button(
                    rx.cond(row.enabled, "Switch off", "Switch on"), small=True, on_click=RulesState.switch(row.id)
                ),
                ui.icon_button("arrow-up", "Move up", on_click=RulesState.move(row.id, -1), disabled=row.first),
                ui.icon_button("arrow-down", "Move down", on_click=RulesState.move(row.id, 1), disabled=row.last),
            ),
            rx.fragment(),
        ),
        rx.cond(
            RulesState.may_resolve & (row.settles > 0),
            ui.button("Preview on what is open", small=True, on_click=RulesState.preview(row.id)),
            rx.fragment(),
        ),
        rx.cond(
            RulesState.may_manage,
            ui.button("Delete…", variant="ghost", small=True, on_click=RulesState.ask_to_remove(row.id)),
            rx.fragment(),
        ),
    )


def _remove_dialog() -> rx.Component:
    return ui.dialog(
        RulesState.removing != "",
        title="Delete this rule?",
        about=RulesState.removing_name,
        on_close=RulesState.keep,
        actions=[ui.button("Delete", variant="danger", on_click=RulesState.remove)],
    )


def _import_dialog() -> rx.Component:
    return ui.dialog(
        RulesState.importing,
        rx.el.form(
            ui.field(
                "Rules",
                "rules",
                control=rx.el.textarea(
                    id="rules",
                    name="rules",
                    rows="10",
                    class_name="input mono",
                    spell_check=False,
                    **ui.described("rules", error=RulesState.import_problem, hint=""),
                ),
                hint="JSON, as exported. They come behind the others, and are off until you switch them on.",
                error=RulesState.import_problem,
            ),
            id="import-rules",
            on_submit=RulesState.bring_in,
            class_name="stack",
        ),
        title="Import rules",
        about="A rule changes nothing until it is switched on.",
        on_close=RulesState.close_import,
        actions=[ui.button("Import", variant="primary", type="submit", form="import-rules")],
    )


def register(app: rx.App) -> None:
    add_page(
        app,
        view,
        route=RULES,
        title="Rules for conflicts",
        on_load=[RulesState.load, IgnoredState.load, KeysState.load],
    )
