"""Every part of the design system on one page, for eyes and for the accessibility tests."""

from __future__ import annotations

import reflex as rx

from dashboard import components as ui
from dashboard.navigation import add_page
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

    @rx.event
    async def ask(self) -> None:
        self.asking = True

    @rx.event
    async def close(self) -> None:
        self.asking = False

    @rx.event
    async def say(self, kind: str) -> None:
        if kind in {"success", "info", "warn", "danger"}:
            self._say(f"This is what {kind} looks like.", kind)


def view() -> rx.Component:
    return ui.page_shell(
        "Design",
        _figures(),
        ui.grid(_statuses(), _messages()),
        _table(),
        ui.grid(_form(), _choices()),
        ui.grid(_states(), _loading()),
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
        ui.row(
            *[
                ui.button(kind.capitalize(), small=True, on_click=DesignState.say(kind))
                for kind in ("success", "info", "warn", "danger")
            ]
        ),
        title="Messages",
    )


def _table() -> rx.Component:
    rows = [
        rx.el.tr(
            rx.el.th(ui.link(name, "/design"), scope="row"),
            rx.el.td(plan),
            rx.el.td(amount, class_name="number"),
            rx.el.td(ui.sync_status_pill(status.value)),
        )
        for name, plan, amount, status in _ROWS
    ]
    return ui.card(
        ui.data_table(_COLUMNS, rows, caption="Customers and their plans"),
        title="A table",
        actions=[ui.pagination("", "/design", "/design", about="3 of 48,204")],
        flush=True,
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
        ui.row(
            ui.button("Start", variant="primary", icon_name="play"),
            ui.button("Dry run"),
            ui.button("Cancel", variant="danger"),
            ui.button("Skip", variant="ghost"),
            ui.button("Waiting", disabled=True),
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
