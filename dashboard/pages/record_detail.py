"""One record: ours beside its last sync, what hangs on it, and what happened to it."""

from __future__ import annotations

from typing import Any

import reflex as rx

from dashboard import components as ui
from dashboard.navigation import add_page
from dashboard.pages.record_form import edit_form
from dashboard.pages.record_state import RecordState
from sync_core.domain.vocabulary import Role

_CARD = RecordState.card


def view() -> rx.Component:
    return ui.page_shell(
        rx.cond(RecordState.loaded & (RecordState.problem == ""), _CARD.title, "Record"),
        rx.cond(
            RecordState.problem != "",
            ui.empty_state("Not found", RecordState.problem, "All records", "/records", icon_name="search-x"),
            rx.cond(RecordState.loaded, body(), ui.card_skeleton(6)),
        ),
        current="/records",
        lead=rx.cond(_CARD.note != "", _CARD.note, _CARD.entity_label),
        actions=[
            rx.cond(
                _CARD.stripe_url != "",
                ui.button_link("Open in Stripe", _CARD.stripe_url, icon_name="external-link", target="_blank"),
                rx.fragment(),
            ),
            rx.cond(
                RecordState.may_edit & ~RecordState.editing,
                ui.button(
                    "Edit", id="edit-record", icon_name="pencil", variant="primary", on_click=RecordState.open_form
                ),
                rx.fragment(),
            ),
        ],
        back=("Records", "/records/" + _CARD.entity),
    )


def body() -> rx.Component:
    return rx.el.div(
        ui.stack(
            rx.cond(_CARD.cut, too_much(), rx.fragment()),
            rx.cond(_CARD.editable, ui.takes_a_role(Role.OPERATOR, "edit this record"), rx.fragment()),
            rx.cond(RecordState.editing, edit_form(), values_card()),
            rx.cond(_CARD.lines.length() > 0, lines_card(), rx.fragment()),
            rx.foreach(_CARD.children, child_card),
            rx.cond(_CARD.has_raw, raw_card(), rx.fragment()),
        ),
        ui.stack(facts_card(), history_card()),
        class_name="columns",
    )


def too_much() -> rx.Component:
    return ui.callout(
        rx.el.span(
            "Long values and lists are cut. ",
            ui.anchor("The whole record", href=_file("record"), reload_document=True),
            " is a JSON file.",
        ),
        title="Too much for one page",
    )


def _file(part: str) -> Any:
    return "/downloads/records/" + _CARD.entity + "/" + _CARD.record_id + f"/{part}.json"


def facts_card() -> rx.Component:
    return ui.card(
        rx.el.dl(
            ui.key_value(
                "Sync",
                ui.row(
                    sync_pill(_CARD.status, _CARD.deleted),
                    rx.cond(_CARD.conflict_href != "", ui.link("Review", _CARD.conflict_href), rx.fragment()),
                ),
            ),
            ui.key_value(
                "Stripe id",
                rx.cond(
                    _CARD.external_id != "",
                    ui.id_chip(_CARD.external_id, label="Copy Stripe id"),
                    rx.el.span("Not linked", class_name="muted"),
                ),
            ),
            ui.key_value(
                "Last sync",
                rx.cond(
                    _CARD.synced.text != "",
                    ui.moment(_CARD.synced.text, _CARD.synced.utc),
                    rx.el.span("Never", class_name="muted"),
                ),
            ),
            rx.foreach(
                _CARD.parents,
                lambda one: ui.key_value(
                    one.label,
                    rx.el.span(ui.link(one.title, one.href), rx.el.div(one.note, class_name="muted xsmall")),
                ),
            ),
            class_name="key-values narrow",
        ),
    )


def values_card() -> rx.Component:
    return ui.card(
        rx.cond(
            _CARD.has_base,
            values(ui.Column("Field"), ui.Column("Here"), ui.Column("Last sync")),
            values(ui.Column("Field"), ui.Column("Here")),
        ),
        title="Values",
        about=rx.cond(
            _CARD.has_base,
            rx.match(
                _CARD.differing,
                (0, "All values are as they were at the last sync."),
                (1, "One value differs from the last sync."),
                _CARD.differing.to(str) + " values differ from the last sync.",
            ),
            "Never synced: there is nothing to compare with.",
        ),
        flush=True,
        class_name="reflow",
    )


def values(*columns: ui.Column) -> rx.Component:
    return ui.data_table(columns, rx.foreach(_CARD.fields, field_row), caption="Values here and at the last sync")


def field_row(one: Any) -> rx.Component:
    return rx.el.tr(
        rx.el.th(one.label, scope="row", class_name="nowrap"),
        rx.el.td(
            rx.el.div(
                _value(one.ours, one),
                rx.cond(one.differs, ui.pill("Differs", "info", "equal-not"), rx.fragment()),
                class_name="row",
            ),
            custom_attrs={"data-label": "Here"},
        ),
        rx.cond(
            _CARD.has_base,
            rx.el.td(
                _value(one.synced, one),
                class_name=rx.cond(one.differs, "", "muted"),
                custom_attrs={"data-label": "Last sync"},
            ),
            rx.fragment(),
        ),
        key=one.label,
    )


def _value(text: Any, one: Any) -> rx.Component:
    return rx.cond(
        text == "",
        rx.el.span(rx.el.span("—", aria_hidden="true"), rx.el.span("empty", class_name="sr-only"), class_name="muted"),
        rx.cond(
            one.block,
            ui.disclosure("Show", rx.el.pre(text, tab_index=0, class_name="record-json")),
            rx.el.span(text, title=one.hint, class_name="record-value"),
        ),
    )


def lines_card() -> rx.Component:
    columns = (ui.Column("What"), ui.Column("Quantity", number=True), ui.Column("Amount", number=True))
    return ui.card(
        ui.data_table(columns, rx.foreach(_CARD.lines, line), caption="Items or lines"),
        title=rx.cond(_CARD.entity == "subscriptions", "Items", "Lines"),
        flush=True,
        class_name="reflow counted",
    )


def line(one: Any) -> rx.Component:
    return rx.el.tr(
        rx.el.th(
            rx.cond(one.href != "", ui.link(one.title, one.href), rx.el.span(one.title)),
            rx.cond(one.note != "", rx.el.div(one.note, class_name="muted xsmall"), rx.fragment()),
            scope="row",
        ),
        ui.number_cell(one.quantity, "Quantity"),
        ui.number_cell(one.amount, "Amount"),
    )


def child_card(one: Any) -> rx.Component:
    return ui.card(
        rx.cond(
            one.rows.length() > 0,
            rx.el.ul(rx.foreach(one.rows, lambda row: child(row, one)), class_name="record-list"),
            rx.el.p("None.", class_name="muted"),
        ),
        title=one.label,
        actions=[rx.cond(one.all_href != "", ui.link("Show all", one.all_href), rx.fragment())],
        key=one.label,
    )


def child(row: Any, among: Any) -> rx.Component:
    return rx.el.li(
        ui.link(row.title, among.base + row.record_id),
        rx.cond(row.note != "", rx.el.span(row.note, class_name="muted small"), rx.fragment()),
        sync_pill(row.status, row.deleted),
        rx.el.p(
            rx.foreach(row.cells, lambda cell, place: fact(among.columns[place].label, cell)),
            rx.el.span("Created ", ui.moment(row.created, row.created_utc)),
            class_name="record-facts muted small",
        ),
        key=row.record_id,
    )


def fact(label: Any, one: Any) -> rx.Component:
    return rx.cond(
        one.text == "—",
        rx.fragment(),
        rx.el.span(label, " ", rx.cond(one.hint != "", ui.moment(one.text, one.hint), rx.fragment(one.text))),
    )


def history_card() -> rx.Component:
    return ui.card(rx.el.ol(rx.foreach(_CARD.history, entry), class_name="record-history"), title="History")


def entry(one: Any) -> rx.Component:
    return rx.el.li(
        rx.cond(one.href != "", ui.link(one.title, one.href), rx.el.span(one.title, class_name="strong")),
        rx.cond(one.note != "", rx.el.p(one.note, class_name="small"), rx.fragment()),
        rx.el.p(
            ui.moment(one.when, one.utc),
            rx.cond(one.who != "", " by " + one.who, ""),
            class_name="muted xsmall",
        ),
    )


def raw_card() -> rx.Component:
    return ui.card(
        rx.cond(
            RecordState.raw != "",
            rx.el.pre(
                RecordState.raw,
                tab_index=0,
                role="region",
                aria_label="Object as Stripe sent it",
                class_name="record-json",
            ),
            rx.fragment(),
        ),
        rx.cond(
            RecordState.raw_more != "",
            rx.el.p(RecordState.raw_more, " are in the download.", class_name="muted small"),
            rx.fragment(),
        ),
        title="Object as Stripe sent it",
        actions=[
            ui.button_link("Download", _file("stripe"), icon_name="download", small=True, reload_document=True),
            rx.cond(
                RecordState.raw == "",
                ui.button("Show", on_click=RecordState.show_raw, aria_expanded="false", small=True),
                ui.button("Hide", on_click=RecordState.hide_raw, aria_expanded="true", small=True),
            ),
        ],
    )


def sync_pill(status: Any, deleted: Any) -> rx.Component:
    return rx.cond(deleted, ui.pill("Deleted", "neutral", "trash-2"), ui.sync_status_pill(status))


def register(app: rx.App) -> None:
    add_page(app, view, route="/records/[record_kind]/[record_key]", title="Record", on_load=[RecordState.load])
