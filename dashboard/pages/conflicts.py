"""The conflicts that wait for a person: filtered by facets in the address, listed a page at a time, settled many at once."""

from __future__ import annotations

import asyncio
from typing import Any

import reflex as rx

from dashboard import components as ui
from dashboard.navigation import add_page
from dashboard.pages.conflict_bulk import BulkState, bulk_dialog
from dashboard.pages.conflict_keys import assets, key_help
from dashboard.pages.conflict_rows import (
    EXPORTS,
    GLYPHS,
    PATH,
    SEARCH_LENGTH,
    FacetGroup,
    FacetItem,
    ListRow,
    address,
    chosen_filters,
    facet_groups,
    list_row,
    plural,
    query_of,
    said,
)
from dashboard.state import PageState
from sync_core.domain.vocabulary import ConflictStatus
from sync_core.errors import Refusal
from sync_core.services import conflicts, conflicts_bulk
from sync_core.services.actor import Actor, Permission
from sync_core.services.conflicts import ConflictQuery
from sync_core.store.database import get_database

_ROWS = 40


class ConflictsState(PageState):
    rows: list[ListRow] = []
    groups: list[FacetGroup] = []
    chosen: list[FacetItem] = []
    headline: str = ""
    matching: int = 0
    search: str = ""
    status: str = "open"
    snoozed: bool = False
    open_url: str = PATH
    settled_url: str = ""
    snoozed_url: str = ""
    plain_url: str = PATH
    suffix: str = ""
    csv_url: str = ""
    json_url: str = ""
    first_url: str = ""
    previous_url: str = ""
    next_url: str = ""
    last_label: str = ""
    last_batch: str = ""
    may_resolve: bool = False
    working: bool = False
    problem: str = ""
    loaded: bool = False

    def _query(self) -> ConflictQuery:
        return query_of(dict(self.router.url.query_parameters))

    @rx.event
    async def load(self) -> None:
        actor, query = await self._actor(), self._query()
        cursor = dict(self.router.url.query_parameters).get("at", "")
        page, facets = await asyncio.gather(
            conflicts.list_conflicts(get_database(), actor, query, cursor, _ROWS),
            conflicts.facets(get_database(), actor, query),
        )
        if isinstance(page, Refusal) or isinstance(facets, Refusal):
            self.problem, self.loaded = "Your role does not show you conflicts.", True
            return
        self.problem, self.rows = "", [list_row(one, actor.time_zone) for one in page.rows]
        self.groups = facet_groups(facets, query, actor.time_zone)
        self.chosen, self.headline, self.matching = (
            chosen_filters(query, self.groups),
            said(facets, query),
            facets.matching,
        )
        self.first_url = address(query) if page.previous_cursor else ""
        self.previous_url = address(query, at=page.previous_cursor) if page.previous_cursor else ""
        self.next_url = address(query, at=page.next_cursor) if page.next_cursor else ""
        self._show_query(query)
        await self._show_last(actor)
        self.loaded = True

    def _show_query(self, query: ConflictQuery) -> None:
        self.search, self.status, self.snoozed = query.search, query.status.value, query.snoozed
        self.settled_url = address(ConflictQuery(status=ConflictStatus.RESOLVED))
        self.suffix = address(query, "")
        self.snoozed_url = address(ConflictQuery(snoozed=True))
        self.csv_url, self.json_url = address(query, f"{EXPORTS}.csv"), address(query, f"{EXPORTS}.ndjson")
        self.plain_url = address(ConflictQuery(status=query.status, snoozed=query.snoozed))

    async def _show_last(self, actor: Actor) -> None:
        self.may_resolve = actor.can(Permission.RESOLVE_CONFLICTS)
        last = await conflicts.last_decision(get_database(), actor) if self.may_resolve else None
        self.last_batch = "" if last is None else str(last.batch_id)
        self.last_label = "" if last is None else last.label if last.rows == 1 else plural(last.standing, "conflict")

    @rx.event
    async def find(self, form: dict[str, Any]) -> Any:
        text = form.get("q")
        found = text.replace("\x00", "").strip()[:SEARCH_LENGTH] if isinstance(text, str) else ""
        return rx.redirect(address(self._query(), q=found))

    @rx.event
    async def undo_last(self) -> Any:
        """Take back this person's last decisions, as many as they were."""
        actor = await self._actor()
        last = await conflicts.last_decision(get_database(), actor)
        if last is None:
            self._say("There is nothing to take back.", "info")
            return None
        undone = await conflicts_bulk.undo_batch(get_database(), actor, last.batch_id)
        if isinstance(undone, Refusal):
            self._refuse(undone)
        elif undone.refused_count:
            first = undone.refused[0]
            self._say(
                f"{plural(undone.done, 'decision')} taken back. {undone.refused_count:,} stand: {first.label or 'one'}: {first.reason}",
                "warn",
            )
        else:
            self._say(f"{plural(undone.done, 'decision')} taken back.")
        return ConflictsState.load


def view() -> rx.Component:
    return ui.page_shell(
        "Conflicts",
        assets(),
        rx.cond(
            ConflictsState.problem != "",
            ui.callout(ConflictsState.problem, kind="danger"),
            rx.cond(ConflictsState.loaded, review(), ui.table_skeleton()),
        ),
        bulk_dialog(),
        current=PATH,
        lead="Where Stripe and your own records disagree. Nothing here is overwritten until you decide.",
        actions=[undo_button(), settle_button()],
    )


def undo_button() -> rx.Component:
    return rx.cond(
        ConflictsState.last_batch != "",
        ui.button(
            rx.el.span("Undo: ", ConflictsState.last_label, class_name="truncate"),
            icon_name="undo-2",
            on_click=ConflictsState.undo_last,
            custom_attrs={"data-hotkey": "u"},
        ),
        rx.fragment(),
    )


def settle_button() -> rx.Component:
    shown = ConflictsState.may_resolve & (ConflictsState.matching > 0) & (ConflictsState.status == "open")
    return rx.cond(
        shown,
        ui.button("Settle all matching…", variant="primary", icon_name="list-checks", on_click=BulkState.open),
        rx.fragment(),
    )


def review() -> rx.Component:
    return rx.el.div(
        rx.el.details(
            rx.el.summary(ui.icon("sliders-horizontal", 15), "Filters", class_name="facet-toggle"),
            facets(),
            class_name="facet-drawer",
            open=True,
        ),
        rx.el.section(
            toolbar(),
            rx.cond(ConflictsState.rows.length() > 0, table(), nothing()),
            ui.pagination(ConflictsState.first_url, ConflictsState.previous_url, ConflictsState.next_url),
            files(),
            key_help(),
            aria_label="List",
            class_name="stack",
        ),
        class_name="review",
    )


def facets() -> rx.Component:
    return rx.el.nav(rx.foreach(ConflictsState.groups, facet_group), aria_label="Filters", class_name="facets")


def facet_group(group: Any) -> rx.Component:
    return rx.el.section(
        rx.el.h2(group.label),
        rx.el.ul(rx.foreach(group.options, facet_item)),
        key=group.label,
    )


def facet_item(item: Any) -> rx.Component:
    return rx.el.li(
        rx.el.a(
            rx.el.span(item.label),
            rx.el.span(item.count, class_name="facet-count"),
            href=item.href,
            aria_current=rx.cond(item.current, "true", "false"),
        ),
        key=item.href,
    )


def toolbar() -> rx.Component:
    return rx.el.div(
        rx.el.div(
            ui.tab_link(
                "Open", ConflictsState.open_url, current=(ConflictsState.status == "open") & ~ConflictsState.snoozed
            ),
            ui.tab_link("Snoozed", ConflictsState.snoozed_url, current=ConflictsState.snoozed),
            ui.tab_link("Settled", ConflictsState.settled_url, current=ConflictsState.status == "resolved"),
            class_name="tabs",
            role="navigation",
            aria_label="Which conflicts",
        ),
        rx.el.form(
            rx.el.label("Search", html_for="conflicts-search", class_name="sr-only"),
            rx.el.input(
                id="conflicts-search",
                name="q",
                type="search",
                default_value=ConflictsState.search,
                placeholder="Part of a name, email or Stripe id",
                max_length=SEARCH_LENGTH,
                auto_complete="off",
                class_name="input",
                key=ConflictsState.search,
                custom_attrs={"data-hotkey": "/"},
            ),
            ui.button("Search", type="submit"),
            on_submit=ConflictsState.find,
            role="search",
            class_name="search",
        ),
        rx.el.div(
            rx.el.p(ConflictsState.headline, role="status", class_name="strong"),
            rx.foreach(ConflictsState.chosen, chosen_filter),
            rx.cond(ConflictsState.chosen.length() > 1, ui.link("Clear all", ConflictsState.plain_url), rx.fragment()),
            class_name="row chosen",
        ),
        class_name="stack-sm",
    )


def files() -> rx.Component:
    """What the filters show, as a file; and decisions back from one."""
    return rx.el.div(
        ui.button_link("Export CSV", ConflictsState.csv_url, icon_name="download", small=True, reload_document=True),
        ui.button_link("Export JSON", ConflictsState.json_url, icon_name="download", small=True, reload_document=True),
        rx.cond(
            ConflictsState.may_resolve,
            ui.button("Import decisions…", icon_name="upload", small=True, on_click=BulkState.open_import),
            rx.fragment(),
        ),
        class_name="row",
    )


def chosen_filter(item: Any) -> rx.Component:
    return rx.el.a(
        item.label,
        ui.icon("x", 12),
        rx.el.span(": remove this filter", class_name="sr-only"),
        href=item.href,
        class_name="filter-chip",
        key=item.href,
    )


def table() -> rx.Component:
    return ui.data_table(
        [ui.Column("Record"), ui.Column("Differs in"), ui.Column("Why"), ui.Column("Age", number=True)],
        rx.foreach(ConflictsState.rows, table_row),
        caption="Conflicts",
    )


def table_row(row: Any) -> rx.Component:
    address_ = f"{PATH}/" + row.id.to(str) + ConflictsState.suffix
    return rx.el.tr(
        rx.el.td(
            rx.el.div(
                ui.entity_icon(row.entity),
                rx.el.div(
                    rx.el.a(row.label, href=address_, class_name="link strong", custom_attrs={"data-row": ""}),
                    rx.el.div(
                        rx.el.span(row.entity, class_name="sr-only"),
                        rx.el.span(row.external_id, class_name="mono xsmall muted"),
                    ),
                    class_name="row-words",
                ),
                class_name="row nowrap-row",
            )
        ),
        rx.el.td(rx.el.div(rx.foreach(row.chips, chip), class_name="chips")),
        rx.el.td(
            rx.el.span(row.reason),
            rx.cond(row.note != "", rx.el.div(row.note, class_name="xsmall muted"), rx.fragment()),
        ),
        rx.el.td(rx.el.time(row.age, title=row.at), class_name="number"),
        key=row.id,
    )


def chip(one: Any) -> rx.Component:
    said_ = rx.match(one.glyph, *[(glyph, words) for glyph, words in GLYPHS.items() if glyph], GLYPHS[""])
    return rx.el.span(
        rx.el.span(one.glyph, aria_hidden="true", class_name="glyph"),
        one.label,
        rx.el.span(", ", said_, class_name="sr-only"),
        title=said_,
        class_name="field-chip",
        key=one.label,
    )


def nothing() -> rx.Component:
    return rx.cond(
        ConflictsState.chosen.length() > 0,
        ui.empty_state("Nothing matches", "No conflict fits these filters.", "Clear all", ConflictsState.plain_url),
        rx.match(
            ConflictsState.status,
            (
                "resolved",
                ui.empty_state("Nothing settled yet", "Decisions are listed here, and can be taken back for 30 days."),
            ),
            ui.empty_state(
                "Nothing to review",
                "A sync with the strategy “Flag for review” puts a record here when it was changed both here and in Stripe.",
                "Start a sync",
                "/syncs/new",
                icon_name="circle-check",
            ),
        ),
    )


def register(app: rx.App) -> None:
    add_page(app, view, route=PATH, title="Conflicts", on_load=[ConflictsState.load])
