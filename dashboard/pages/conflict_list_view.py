"""How the list of conflicts looks: its filters, its bars, its files; its rows: `conflict_table_view`. The state is handed in."""

from __future__ import annotations

from typing import Any

import reflex as rx

from dashboard import components as ui
from dashboard.pages.conflict_bulk import BulkState, bulk_dialog
from dashboard.pages.conflict_filters import PATH, SEARCH_LENGTH, FacetGroup
from dashboard.pages.conflict_handling_view import snoozing
from dashboard.pages.conflict_ignoring import ignore_dialog
from dashboard.pages.conflict_keys import assets, key_help
from dashboard.pages.conflict_presence import heart
from dashboard.pages.conflict_table_view import nothing, table
from dashboard.state import PageState
from sync_core.domain.vocabulary import ConflictSort, Role


class ApartState(PageState):
    """The facets that no cell says. What stands in a state of its own draws nothing else anew."""

    apart: list[FacetGroup] = []


def view(state: Any) -> rx.Component:
    return ui.page_shell(
        "Conflicts",
        assets(),
        ui.when_loaded(state, review(state), ui.table_skeleton()),
        bulk_dialog(),
        ignore_dialog(),
        discard_dialog(state),
        current=PATH,
        lead="Where Stripe and your own records disagree. Nothing here is overwritten until you decide.",
        takes=(Role.OPERATOR, "settle conflicts"),
        actions=[undo_button(state), settle_button(state)],
    )


def undo_button(state: Any) -> rx.Component:
    return rx.cond(
        state.last_batch != "",
        ui.button(
            rx.el.span("Undo: ", state.last_label, title=state.last_label, class_name="truncate"),
            icon_name="undo-2",
            on_click=state.undo_last,
            custom_attrs={"data-hotkey": "u", "data-own": ""},
        ),
        rx.fragment(),
    )


def settle_button(state: Any) -> rx.Component:
    shown = state.may_resolve & (state.matching > 0) & (state.status == "open") & (state.picked.length() == 0)
    return rx.cond(
        shown,
        ui.button("Settle all matching…", variant="primary", icon_name="list-checks", on_click=BulkState.open),
        rx.fragment(),
    )


def review(state: Any) -> rx.Component:
    return rx.el.div(
        rx.el.details(
            rx.el.summary(ui.icon("sliders-horizontal", 15), "Filters", class_name="facet-toggle"),
            rx.el.nav(
                rx.foreach(state.groups, facet_group),
                rx.foreach(ApartState.apart, facet_group),
                aria_label="Filters",
                aria_busy=busy(state),
                class_name="facets",
            ),
            class_name="facet-drawer",
            open=True,
        ),
        rx.el.section(
            toolbar(state),
            rx.cond(state.aging != "", aging(state), rx.fragment()),
            rx.cond(state.picked.length() > 0, selection(state), rx.fragment()),
            rx.cond(state.rows.length() > 0, table(state), nothing(state)),
            ui.pagination(state.first_url, state.previous_url, state.next_url),
            rx.cond(state.pending != "", pending_bar(state), rx.fragment()),
            files(state),
            key_help(),
            heart(),
            aria_label="List",
            class_name="stack",
        ),
        class_name="review",
    )


def busy(state: Any) -> Any:
    """Of counts that are still those of what was shown before."""
    return rx.cond(state.counted, "false", "true")


def facet_group(group: Any) -> rx.Component:
    return rx.el.section(
        rx.el.div(
            rx.el.h2(group.label, rx.cond(group.excluded, rx.el.span(": all but", class_name="excluded"), "")),
            rx.cond(
                group.invert_url != "",
                ui.anchor(
                    rx.cond(group.excluded, "Only these", "All but these"), href=group.invert_url, class_name="invert"
                ),
                rx.fragment(),
            ),
            class_name="facet-head",
        ),
        rx.el.ul(rx.foreach(group.options, facet_item)),
        key=group.label,
    )


def facet_item(item: Any) -> rx.Component:
    return rx.el.li(
        ui.anchor(
            rx.el.span(item.label, title=item.utc),
            rx.el.span(item.count, class_name="facet-count"),
            href=item.href,
            aria_current=rx.cond(item.current, "true", "false"),
        ),
        key=item.value,
    )


def toolbar(state: Any) -> rx.Component:
    return rx.el.div(
        tabs(state),
        rx.el.div(search(state), order(state), class_name="search-row"),
        rx.el.div(
            rx.el.p(state.headline, role="status", aria_busy=busy(state), class_name="strong"),
            rx.cond(
                state.reviewed.length() > 0,
                rx.el.p(
                    state.reviewed.length(), " of ", state.rows.length(), " here reviewed", class_name="small muted"
                ),
                rx.fragment(),
            ),
            rx.foreach(state.chosen, chosen_filter),
            rx.cond(state.chosen.length() > 1, ui.link("Clear all", state.plain_url), rx.fragment()),
            class_name="row chosen",
        ),
        class_name="stack-sm",
    )


def tabs(state: Any) -> rx.Component:
    return ui.tab_links(
        ui.tab_link("Open", PATH, current=(state.status == "open") & ~state.snoozed),
        ui.tab_link("Snoozed", state.snoozed_url, current=state.snoozed),
        ui.tab_link("Settled", state.settled_url, current=state.status == "resolved"),
        ui.tab_link("Mentions", f"{PATH}/mentions", current=False),
        ui.tab_link("Decisions", f"{PATH}/history", current=False),
        ui.tab_link("Rules", f"{PATH}/rules", current=False),
        label="Which conflicts",
    )


def search(state: Any) -> rx.Component:
    return rx.el.form(
        rx.el.label("Search", html_for="conflicts-search", class_name="sr-only"),
        rx.el.input(
            id="conflicts-search",
            name="q",
            type="search",
            default_value=state.search,
            placeholder="Part of a name, email, Stripe id or value",
            max_length=SEARCH_LENGTH,
            auto_complete="off",
            class_name="input",
            key=state.search,
            custom_attrs={"data-hotkey": "/"},
        ),
        rx.el.label("Amounts differ by at least", html_for="conflicts-delta", class_name="sr-only"),
        rx.el.input(
            id="conflicts-delta",
            name="delta",
            inputmode="decimal",
            default_value=state.delta,
            placeholder="Differs by ≥",
            title="Amounts differ by at least so much, in their currency",
            max_length=20,
            auto_complete="off",
            class_name="input delta",
            key="delta" + state.delta.to(str),
        ),
        ui.button("Search", type="submit"),
        on_submit=state.find,
        role="search",
        class_name="search",
    )


def order(state: Any) -> rx.Component:
    return ui.select(
        "conflicts-sort",
        [(one.value, one.label) for one in ConflictSort],
        label="Sort",
        value=state.sort,
        on_change=state.sort_by,
    )


def chosen_filter(item: Any) -> rx.Component:
    return ui.anchor(
        item.label,
        ui.icon("x", 12),
        rx.el.span(": remove this filter", class_name="sr-only"),
        href=item.href,
        class_name="filter-chip",
        key=item.href,
    )


def aging(state: Any) -> rx.Component:
    return rx.el.p(ui.icon("hourglass", 15), ui.link(state.aging, state.aging_url), class_name="with-icon small aging")


def pending_bar(state: Any) -> rx.Component:
    """What this person has chosen in whichever rows, and not applied yet."""
    return rx.el.div(
        rx.el.p(state.pending, " not applied yet.", role="status", class_name="small"),
        rx.el.div(
            ui.button("Discard…", small=True, on_click=state.ask_to_discard),
            ui.button("Apply…", variant="primary", small=True, icon_name="check", on_click=state.look_at_pending),
            class_name="row",
        ),
        role="group",
        aria_label="Your choices",
        class_name="pending-bar",
    )


def discard_dialog(state: Any) -> rx.Component:
    return ui.dialog(
        state.discarding,
        title="Discard your choices?",
        about=state.pending.to(str) + ". The conflicts stay open.",
        on_close=state.keep_pending,
        actions=[ui.button("Discard", variant="danger", on_click=state.discard_pending)],
    )


def selection(state: Any) -> rx.Component:
    """What can be done to the picked rows, and the second step to all that match."""
    return rx.el.div(
        rx.el.p(
            rx.cond(state.everything, state.matching, state.picked.length()),
            " selected",
            role="status",
            class_name="strong small",
        ),
        rx.cond(
            ~state.everything
            & (state.picked.length() == state.rows.length())
            & (state.matching > state.picked.length()),
            ui.button("Select all ", state.matching, " that match", small=True, on_click=state.pick_everything),
            rx.fragment(),
        ),
        ui.button(
            "Settle…",
            variant="primary",
            small=True,
            icon_name="list-checks",
            on_click=BulkState.open,
            custom_attrs={"data-hotkey": "r"},
        ),
        rx.el.select(
            rx.el.option("Assign to…", value=""),
            rx.foreach(state.members, lambda one: rx.el.option(one, value=one)),
            rx.el.option("Nobody", value="nobody"),
            aria_label="Assign the selected to",
            value="",
            on_change=state.assign_picked,
            class_name="select small",
            custom_attrs={"data-hotkey": "a"},
        ),
        snoozing(state, "Snooze the selected", state.snooze_picked, small=True),
        ui.button("Select none", variant="ghost", small=True, on_click=state.unpick),
        role="group",
        aria_label="Selected conflicts",
        class_name="selection-bar",
    )


def files(state: Any) -> rx.Component:
    """What the filters show, as a file; and decisions back from one."""
    return rx.el.div(
        ui.button_link("Export CSV", state.csv_url, icon_name="download", small=True, reload_document=True),
        ui.button_link("Export JSON", state.json_url, icon_name="download", small=True, reload_document=True),
        rx.cond(
            state.may_resolve,
            ui.button("Import decisions…", icon_name="upload", small=True, on_click=BulkState.open_import),
            rx.fragment(),
        ),
        class_name="row",
    )
