"""How the rows of the list of conflicts look, and what stands there when there are none. The state is handed in."""

from __future__ import annotations

from typing import Any

import reflex as rx

from dashboard import components as ui
from dashboard.pages.conflict_detail import ConflictState
from dashboard.pages.conflict_detail_view import inline
from dashboard.pages.conflict_filters import PATH
from dashboard.pages.conflict_handling_view import tick
from dashboard.pages.conflict_presence import dot
from dashboard.pages.conflict_rows import GLYPHS

_COLUMNS = 7


def table(state: Any) -> rx.Component:
    rows = ui.data_table(
        [
            ui.Column(page_box(state)),
            ui.Column("Record"),
            ui.Column("Differs in"),
            ui.Column("Why"),
            ui.Column("Age", number=True),
            ui.Column(rx.el.span("Reviewed", class_name="if-wide")),
            ui.Column("Decide here", hidden=True),
        ],
        rx.foreach(state.rows, lambda row: table_row(state, row)),
        caption="Conflicts",
        count=state.matching,
    )
    return rx.el.div(rows, class_name="conflict-rows")


def page_box(state: Any) -> rx.Component:
    return rx.cond(
        state.may_resolve & (state.status == "open"),
        rx.el.label(
            rx.el.input(
                type="checkbox",
                checked=(state.picked.length() > 0) & (state.picked.length() == state.rows.length()),
                on_change=state.pick_page,
                aria_label="Select all on this page",
            ),
            class_name="pick",
        ),
        rx.el.span("Select", class_name="sr-only"),
    )


def table_row(state: Any, row: Any) -> rx.Component:
    open_here = ConflictState.inline_id == row.id
    return rx.fragment(
        rx.el.tr(
            rx.el.td(row_box(state, row)),
            rx.el.td(record_cell(state, row)),
            rx.el.td(rx.el.div(rx.foreach(row.chips, chip), class_name="chips")),
            rx.el.td(
                rx.el.span(row.reason),
                rx.cond(row.note != "", rx.el.div(row.note, class_name="xsmall muted"), rx.fragment()),
                rx.cond(
                    row.reopened, rx.el.div(ui.pill("Changed since you decided", "warn", "history")), rx.fragment()
                ),
            ),
            rx.el.td(rx.el.time(row.age, title=row.at), class_name="number"),
            rx.el.td(tick("Reviewed: " + row.label, state.reviewed.contains(row.id), state.review(row.id))),
            rx.el.td(
                rx.el.button(
                    rx.cond(open_here, ui.icon("chevron-up"), ui.icon("chevron-down")),
                    type="button",
                    aria_label="Decide here: " + row.label,
                    aria_expanded=rx.cond(open_here, "true", "false"),
                    on_click=ConflictState.unfold(row.id),
                    class_name="button ghost small icon-only",
                    custom_attrs={"data-fold": ""},
                )
            ),
            custom_attrs={"data-record": row.id, "data-few": rx.cond(row.few, "", "none")},
        ),
        rx.cond(
            open_here,
            rx.el.tr(rx.el.td(inline(ConflictState), col_span=_COLUMNS), class_name="inline-row"),
            rx.fragment(),
        ),
        key=row.slot,
    )


def row_box(state: Any, row: Any) -> rx.Component:
    return rx.cond(
        state.may_resolve & (state.status == "open"),
        rx.el.label(
            rx.el.input(
                type="checkbox",
                checked=state.picked.contains(row.id),
                on_change=state.pick(row.id),
                aria_label="Select " + row.label,
                custom_attrs={"data-pick": ""},
            ),
            class_name="pick",
        ),
        rx.fragment(),
    )


def record_cell(state: Any, row: Any) -> rx.Component:
    address = f"{PATH}/" + row.id.to(str) + state.suffix
    return rx.el.div(
        ui.entity_icon(row.entity),
        rx.el.div(
            ui.anchor(row.label, href=address, class_name="link strong", custom_attrs={"data-row": ""}),
            rx.el.div(
                rx.el.span(row.entity, class_name="sr-only"),
                rx.el.span(row.external_id, class_name="mono xsmall muted"),
            ),
            dot(row.id),
            class_name="row-words",
        ),
        rx.cond(row.high, ui.pill("Money", "danger", "circle-dollar-sign"), rx.fragment()),
        class_name="row nowrap-row",
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


def last_run(state: Any) -> rx.Component:
    return rx.fragment(
        " The last one was started ",
        ui.moment(state.run_at.text, state.run_at.utc),
        ". ",
        state.run_said,
        " ",
        ui.link("See the last sync", state.run_url),
    )


def nothing(state: Any) -> rx.Component:
    return rx.cond(
        state.chosen.length() > 0,
        ui.empty_state(
            "Nothing matches", "No conflict fits these filters.", "Show all", state.plain_url, icon_name="search-x"
        ),
        rx.cond(
            state.snoozed,
            ui.empty_state("Nothing is snoozed", "What you put off waits here until its time comes."),
            rx.match(
                state.status,
                (
                    "resolved",
                    ui.empty_state(
                        "Nothing settled yet", "Decisions are listed here, and can be taken back for 30 days."
                    ),
                ),
                ui.empty_state(
                    "Nothing to review",
                    rx.fragment(
                        "A sync with the strategy “Flag for review” puts a record here when it was changed both here and in Stripe.",
                        rx.cond(state.run_url != "", last_run(state), rx.fragment()),
                    ),
                    "Start a sync",
                    "/syncs/new",
                    icon_name="circle-check",
                ),
            ),
        ),
    )
