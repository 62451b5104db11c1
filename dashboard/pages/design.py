"""Every part of the design system on one page, for eyes and for the accessibility tests."""

from __future__ import annotations

import reflex as rx

from dashboard import components as ui
from dashboard.navigation import add_page
from dashboard.pages import design_pictures as pictures
from dashboard.state import PageState
from sync_core.domain.vocabulary import Action, ConflictStatus, EntityType, SessionStatus, SyncStatus

_COLUMNS = (
    ui.Column("Customer", sort="/design", sorted="ascending"),
    ui.Column("Plan"),
    ui.Column("Amount", number=True, sort="/design"),
    ui.Column("Sync"),
)
_ROWS = (
    ("Ada Lovelace", "Engine, yearly", "$1,200.00", SyncStatus.SYNCED),
    ("Grace Hopper", "Compiler, monthly", "¥9,800", SyncStatus.LOCAL_EDIT),
    ("Katherine Johnson", "Orbit, monthly", "KWD 12.500", SyncStatus.CONFLICT),
)


class DesignState(PageState):
    asking: bool = False
    problem: str = ""
    loaded: bool = True

    @rx.event
    async def ask(self) -> None:
        self.asking = True

    @rx.event
    async def close(self) -> None:
        self.asking = False

    @rx.event
    async def wait(self) -> None:
        self.loaded = not self.loaded

    @rx.event
    async def say(self, kind: str) -> None:
        if kind in {"success", "info", "warn", "danger", "conflict"}:
            self._say(f"This is what {kind} looks like.", kind)


def view() -> rx.Component:
    return ui.page_shell(
        "Design",
        _figures(),
        ui.grid(_statuses(), _messages()),
        _table(),
        ui.grid(_form(), _choices()),
        pictures.a_run(),
        ui.grid(pictures.charts(), pictures.differences()),
        ui.grid(_states(), _loading()),
        ui.grid(_small(), _waiting()),
        _dialog(),
        lead="What the dashboard is made of.",
        actions=[ui.button("Open a dialog", on_click=DesignState.ask), ui.button("Save", variant="primary")],
    )


def _figures() -> rx.Component:
    return ui.grid(
        ui.tile("Customers", "48,204", about="all in sync", icon_name="users", href="/design"),
        ui.tile("Read", "2,450 / s", about="of 80 allowed requests, 24", icon_name="gauge"),
        ui.tile("Conflicts", "37", about="oldest 2 days", icon_name="git-compare-arrows"),
    )


def _statuses() -> rx.Component:
    return ui.card(
        ui.row(*[ui.session_status_pill(one.value) for one in SessionStatus]),
        ui.row(*[ui.action_pill(one.value) for one in Action]),
        ui.row(*[ui.sync_status_pill(one.value) for one in SyncStatus]),
        ui.row(*[ui.conflict_status_pill(one.value) for one in ConflictStatus]),
        ui.row(*[ui.mode_badge(one) for one in ("live", "test", "sandbox", "")]),
        ui.row(*[ui.row(ui.entity_icon(one.value), one.label) for one in EntityType]),
        title="Statuses",
    )


def _messages() -> rx.Component:
    return ui.card(
        ui.callout("A run reads everything that was created up to its start."),
        ui.callout("Every object was read, and every object is stored.", kind="success", title="Verified"),
        ui.callout("The key can't read invoices.", kind="warn"),
        ui.callout("Stripe has revoked this key.", kind="danger", title="Not connected"),
        ui.callout("Two sides changed the same name.", kind="conflict"),
        ui.row(
            *[
                ui.button(kind.capitalize(), small=True, on_click=DesignState.say(kind))
                for kind in ("success", "info", "warn", "danger", "conflict")
            ]
        ),
        title="Messages",
    )


def _table() -> rx.Component:
    rows = [
        rx.el.tr(
            rx.el.th(ui.link(name, "/design"), scope="row"),
            rx.el.td(plan),
            ui.number_cell(amount, "Amount"),
            rx.el.td(ui.sync_status_pill(status.value)),
        )
        for name, plan, amount, status in _ROWS
    ]
    return ui.card(
        ui.data_table(_COLUMNS, rows, caption="Customers and their plans"),
        title="A table",
        about="On a phone its rows are blocks.",
        actions=[ui.pagination("", "/design", "/design", about="3 of 48,204")],
        flush=True,
        class_name="reflow counted",
    )


def _form() -> rx.Component:
    return ui.card(
        ui.field("Secret key", "design-key", hint="It begins with sk_ or rk_.", placeholder="sk_test_…"),
        ui.field("From", "design-from", error="Choose a day that is not in the future.", default_value="2031-01-01"),
        ui.field(
            "Batch size",
            "design-size",
            control=ui.select("design-size", [("100", "100 objects"), ("50", "50 objects")]),
        ),
        ui.field(
            "Note",
            "design-note",
            control=rx.el.textarea(
                id="design-note", class_name="input", **ui.described("design-note", error="Too long")
            ),
            error="This is too long for a note.",
        ),
        rx.el.div(ui.field_error("design-form", "Nothing was started: look at what is marked."), class_name="field"),
        ui.row(
            ui.button("Start", variant="primary", icon_name="play"),
            ui.button("Dry run"),
            ui.button("Cancel", variant="danger"),
            ui.button("Skip", variant="ghost"),
            ui.button("Waiting", disabled=True),
            ui.button("Small", small=True),
            ui.button_link("Elsewhere", "/design", icon_name="arrow-right"),
            ui.icon_button("rotate-cw", "Check again"),
        ),
        title="A form",
    )


def _choices() -> rx.Component:
    options = (
        ui.Option("skip", "Skip", "What is stored here stays as it is."),
        ui.Option("overwrite", "Overwrite", "Stripe's values win."),
        ui.Option("flag", "Flag for review", "A person decides field by field."),
    )
    return ui.card(
        ui.radio_cards("When both have changed", "design-strategy", options, value="flag"),
        ui.check_card("design-customers", "Customers", "Names, addresses, metadata.", default_checked=True),
        ui.checkbox("design-deleted", "Deleted ones too", "As Stripe still shows them."),
        title="Choices",
    )


def _states() -> rx.Component:
    return ui.card(
        ui.empty_state("No syncs yet", "Connect Stripe, then preview a first sync.", "New sync", "/syncs/new"),
        ui.empty_state("Nothing matches", "No record fits this search.", "Show all", on_click=DesignState.close),
        ui.error_state("The list did not load", "The database did not answer in time.", retry=DesignState.close),
        title="Nothing there, and gone wrong",
    )


def _loading() -> rx.Component:
    return ui.card(
        ui.progress_bar(42, label="Customers", text="42 percent"),
        ui.progress_bar(100, label="Products", tone="success"),
        ui.skeleton("60%"),
        ui.skeleton(),
        ui.skeleton("80%"),
        ui.key_values(("Account", ui.id_chip("acct_1MxTqLKyphera")), ("Time zone", "Europe/Berlin")),
        ui.disclosure("Advanced", rx.el.p("What few people need.")),
        ui.tab_links(
            ui.tab_link("Customers", "/design", current=True, count="204"),
            ui.tab_link("Products", "/design", current=False, count="12"),
            label="Kinds of records",
        ),
        ui.row(rx.el.span("Next record"), ui.kbd("j")),
        title="Progress and facts",
    )


def _small() -> rx.Component:
    long_id = "sub_" + "1EYFeHxQO9SOMOCFdAlQHe9f" * 2
    return ui.card(
        ui.spread(
            ui.row(ui.icon("users"), "Left"),
            ui.pill("Right", "info", "radio"),
        ),
        ui.stack(
            ui.row(*[ui.pill(tone, tone) for tone in ("neutral", "info", "success", "warn", "danger", "conflict")]),
            ui.row(ui.moment("26 Nov 2026, 09:05", "2026-11-26 00:05:00 UTC"), ui.code("rak_customer_read")),
            ui.row(ui.link("A link", "/design"), ui.anchor("A plain one", href="/design")),
            gap="sm",
        ),
        rx.el.dl(ui.key_value("Stripe id", ui.id_chip(long_id)), class_name="key-values"),
        rx.el.table(
            rx.el.thead(
                rx.el.tr(
                    ui.column_head(ui.Column("Newest", sort="/design", sorted="descending")),
                    ui.column_head(ui.Column("Total", number=True)),
                )
            ),
            rx.el.tbody(rx.el.tr(rx.el.td("Ada Lovelace"), rx.el.td("1,204", class_name="number"))),
            class_name="table",
        ),
        title="Small parts",
        about="With what they do when there is too much.",
    )


def _waiting() -> rx.Component:
    """Only when asked for: a page that says it is busy is waited for."""
    return ui.card(
        ui.when_loaded(DesignState, rx.fragment(), ui.stack(ui.card_skeleton(3), ui.table_skeleton(3))),
        title="What waits",
        actions=[
            ui.button(
                rx.cond(DesignState.loaded, "Show", "Hide"),
                small=True,
                on_click=DesignState.wait,
                aria_expanded=rx.cond(DesignState.loaded, "false", "true"),
            )
        ],
    )


def _dialog() -> rx.Component:
    return ui.dialog(
        DesignState.asking,
        title="Cancel this sync?",
        about="It stops after the current page. The 12,400 records already written stay, and you can resume.",
        on_close=DesignState.close,
        actions=[ui.button("Cancel sync", variant="danger", on_click=DesignState.close)],
        close_label="Keep going",
    )


def register(app: rx.App) -> None:
    add_page(app, view, route="/design", title="Design")
