"""How the Connect page looks."""

from __future__ import annotations

from typing import Any

import reflex as rx

from dashboard import components as ui
from dashboard.api.forms import KEY_FORM, WEBHOOK_FORM
from dashboard.pages.connect_cap import read_cap
from dashboard.pages.connect_draft import save_for_later, saved_draft
from dashboard.pages.connect_rows import PERMISSIONS
from dashboard.state import ShellState
from sync_core.domain.vocabulary import EntityType, Role
from sync_core.services.actor import Permission
from sync_core.services.check_results import CheckStatus

_MARKS = {
    CheckStatus.PASSED.value: ("circle-check", "success"),
    CheckStatus.WARNING.value: ("triangle-alert", "warn"),
    CheckStatus.FAILED.value: ("circle-x", "danger"),
    CheckStatus.SKIPPED.value: ("circle-minus", "neutral"),
}


def view(state: Any) -> rx.Component:
    return ui.page_shell(
        "Connect",
        rx.cond(state.loaded, _body(state), ui.card_skeleton(6)),
        current="/connect",
        lead="The Stripe account that this workspace syncs from. Cyphera Sync only reads it.",
        takes=(Role.ADMIN, "change the connection"),
    )


def _body(state: Any) -> rx.Component:
    connected = state.card.account_id != ""
    return rx.el.div(
        ui.stack(
            rx.cond(connected, _account(state), rx.fragment()),
            rx.cond(state.draft.title != "", saved_draft(state), rx.fragment()),
            rx.cond(
                state.may_manage,
                rx.cond(~connected | state.replacing, _key_form(state), rx.fragment()),
                rx.cond(
                    connected,
                    rx.fragment(),
                    ui.empty_state(
                        "Not connected",
                        "An admin of this workspace can connect a Stripe account here.",
                        icon_name="unplug",
                    ),
                ),
            ),
            rx.cond(
                ~connected & state.sandbox_offered & state.may_manage & ~state.examining, _sandbox(state), rx.fragment()
            ),
            rx.cond(state.checks.length() > 0, _checks(state), rx.fragment()),
        ),
        ui.stack(
            rx.cond(connected, read_cap(state), rx.fragment()),
            _needs(),
            rx.cond(connected & state.may_manage, _webhook(state), rx.fragment()),
        ),
        _disconnect_dialog(state),
        class_name="columns",
    )


def _account(state: Any) -> rx.Component:
    card = state.card
    mode = rx.cond(card.sandbox, "sandbox", rx.cond(card.live, "live", "test"))
    actions = ui.row(
        ui.button("Replace key", icon_name="key-round", on_click=state.start_replacing),
        ui.button("Disconnect", variant="danger", icon_name="unplug", on_click=state.ask_disconnect),
    )
    return ui.card(
        ui.spread(
            ui.row(rx.el.h2(card.title), ui.mode_badge(mode)),
            rx.cond(state.may_manage, actions, rx.fragment()),
        ),
        ui.key_values(
            ("Account", ui.id_chip(card.account_id, label="Copy account id")),
            ("Key", ui.row(ui.code(card.masked_key), rx.el.span(card.key_kind, class_name="muted small"))),
            ("It is to read", card.reads),
            ui.key_value(
                "Former key",
                ui.row(
                    ui.code(card.former),
                    rx.el.span("kept until the new one has worked in a sync or a check", class_name="muted small"),
                ),
                hidden=card.former == "",
            ),
            ui.key_value("Country, currency", card.details, hidden=card.details == ""),
            ("Connected", ui.moment(card.since.text, card.since.utc)),
        ),
        ui.row(
            rx.cond(
                ShellState.may[Permission.RUN_SYNC.value],
                ui.button_link("New sync", "/syncs/new", variant="primary", icon_name="circle-plus"),
                rx.fragment(),
            ),
            ui.button_link("Syncs", "/syncs"),
        ),
    )


def _key_form(state: Any) -> rx.Component:
    replacing = state.card.account_id != ""
    return ui.card(
        rx.el.div(
            rx.el.h2(
                rx.cond(
                    replacing,
                    "Replace the key",
                    rx.cond(state.draft.masked_key != "", "Connect with another key", "Connect with a key"),
                )
            ),
            rx.el.p(
                rx.cond(
                    replacing,
                    "The new key must be of the same account and mode. The old one stays in use until the new one has passed.",
                    "It is checked first, kept encrypted, and never shown again.",
                ),
                class_name="muted small",
            ),
        ),
        rx.cond(state.problem != "", ui.callout(state.problem, kind="danger"), rx.fragment()),
        rx.el.form(
            ui.field(
                "Stripe key",
                "api_key",
                type="password",
                placeholder="rk_test_…",
                hint="A restricted key with read permissions is enough. Secret keys work too; publishable ones (pk_…) don't.",
                error=state.problem_mark,
                auto_complete="off",
                spell_check=False,
                required=True,
                disabled=state.examining,
            ),
            _types(state),
            ui.row(
                ui.button(
                    rx.cond(state.examining, "Checking…", rx.cond(replacing, "Check and replace", "Check and connect")),
                    variant="primary",
                    type="submit",
                    disabled=state.examining,
                ),
                rx.cond(
                    replacing & ~state.examining,
                    ui.button("Cancel", variant="ghost", on_click=state.stop_replacing),
                    rx.fragment(),
                ),
            ),
            save_for_later(state),
            action=KEY_FORM,
            method="post",
            on_submit=None,
            class_name="stack",
        ),
    )


def _types(state: Any) -> rx.Component:
    """What it is examined for; a key that lacks one of the others is as good."""
    return rx.el.fieldset(
        rx.el.legend("What it is to read"),
        rx.el.p(
            "Only these permissions are asked for. Prices belong to products; subscriptions and invoices belong to customers.",
            id="entity_types-hint",
            class_name="hint",
        ),
        rx.el.div(rx.foreach(state.types, lambda box: _type(state, box)), class_name="row", style={"gap": "8px 20px"}),
        ui.field_error("entity_types", state.types_problem),
        class_name="fieldset",
    )


def _type(state: Any, box: Any) -> rx.Component:
    return rx.el.label(
        rx.el.input(
            type="checkbox",
            name="entity_types",
            value=box.name,
            default_checked=box.chosen,
            disabled=state.examining,
            aria_describedby="entity_types-hint",
        ),
        rx.el.span(box.label),
        title=box.permission,
        class_name="check",
        key=box.name + state.filled.to(str),
    )


def _sandbox(state: Any) -> rx.Component:
    return ui.card(
        ui.spread(
            rx.el.div(
                ui.row(rx.el.h2("Try the sandbox"), ui.mode_badge("sandbox")),
                rx.el.p(
                    "A ready account with two years of customers, prices, subscriptions and invoices, with Stripe's awkward corners."
                    " Nothing leaves this machine.",
                    class_name="muted",
                    style={"maxWidth": "56ch", "marginTop": "4px"},
                ),
            ),
            ui.button(
                "Try the sandbox",
                icon_name="flask-conical",
                on_click=state.try_sandbox,
                variant="primary",
                custom_attrs={"data-testid": "try-sandbox"},
            ),
        ),
    )


def _checks(state: Any) -> rx.Component:
    again = ui.button(
        rx.cond(state.rechecking == "all", "Checking…", "Check again"),
        icon_name="rotate-cw",
        small=True,
        on_click=state.recheck(""),
        disabled=state.rechecking != "",
    )
    can_recheck = (state.card.account_id != "") & state.may_manage & ~state.examining & (state.problem == "")
    return ui.card(
        rx.el.div(
            rx.el.div(
                rx.el.h2("Checks"),
                rx.el.p(
                    rx.cond(
                        state.examining | (state.problem != ""),
                        rx.cond(state.examining, "Asking Stripe…", "Of the key that was refused."),
                        rx.cond(
                            state.of_draft,
                            "Of the key that was left for later.",
                            _last_run(state),
                        ),
                    ),
                    class_name="muted small",
                    role="status",
                ),
            ),
            rx.cond(can_recheck, again, rx.fragment()),
            class_name="card-head",
        ),
        rx.el.ul(
            rx.foreach(state.checks, lambda row: _check(state, row, can_recheck)),
            style={"listStyle": "none", "margin": "0", "padding": "0"},
        ),
        flush=True,
    )


def _last_run(state: Any) -> rx.Component:
    return rx.cond(state.last_run.when.text != "", rx.fragment("Last run ", _when(state.last_run)), rx.fragment())


def _when(run: Any) -> rx.Component:
    return rx.fragment(ui.moment(run.when.text, run.when.utc), rx.cond(run.by != "", " by " + run.by, ""))


def _check(state: Any, row: Any, can_recheck: Any) -> rx.Component:
    mark = rx.match(
        row.status,
        *[(status, _mark(name, tone)) for status, (name, tone) in _MARKS.items()],
        _mark("loader-circle", "info", spins=True),
    )
    return rx.el.li(
        mark,
        rx.el.div(
            ui.row(
                rx.el.span(row.label, class_name="strong"),
                rx.el.span(row.status_label, class_name="sr-only"),
                rx.cond(row.aside != "", rx.el.span(row.aside, class_name="muted xsmall"), rx.fragment()),
                rx.cond(row.when.text != "", rx.el.span("Run ", _when(row), class_name="muted xsmall"), rx.fragment()),
            ),
            rx.cond(row.message != "", rx.el.p(row.message, class_name="muted small"), rx.fragment()),
            rx.cond(row.parts.length() > 0, rx.el.div(rx.foreach(row.parts, _part), class_name="row"), rx.fragment()),
            rx.cond(row.hint != "", rx.el.p(row.hint, class_name="small"), rx.fragment()),
            class_name="stack-sm",
            style={"flex": "1", "minWidth": "0", "gap": "4px"},
        ),
        rx.cond(
            can_recheck,
            ui.icon_button(
                "rotate-cw",
                "Run again: " + row.label,
                on_click=state.recheck(row.name),
                disabled=state.rechecking != "",
            ),
            rx.fragment(),
        ),
        key=row.name,
        custom_attrs={"data-check": row.name, "data-status": row.status},
        style={
            "display": "flex",
            "gap": "12px",
            "padding": "12px 20px",
            "borderBottom": "1px solid var(--line)",
            "alignItems": "flex-start",
        },
    )


def _mark(name: str, tone: str, *, spins: bool = False) -> rx.Component:
    return rx.el.span(
        ui.icon(name, 18, class_name="spin" if spins else ""),
        class_name=f"tone-{tone}",
        style={"color": "var(--tone-mark)", "display": "inline-flex", "marginTop": "2px"},
    )


def _part(part: Any) -> rx.Component:
    return rx.cond(
        part.ok,
        ui.pill(part.label, "success", "check"),
        ui.pill(rx.cond(part.permission != "", part.label + ": needs " + part.permission, part.label), "danger", "x"),
    )


def _needs() -> rx.Component:
    rows = [
        rx.el.li(
            rx.el.span(f"{entity.label} (listed as Plans)" if entity is EntityType.PRICES else entity.label),
            rx.el.code(permission, class_name="muted xsmall"),
            style={"display": "flex", "justifyContent": "space-between", "gap": "12px", "flexWrap": "wrap"},
        )
        for entity, permission in PERMISSIONS.items()
    ]
    return ui.card(
        rx.el.p(
            "In Stripe's dashboard, open Developers, then API keys, and create a restricted key with Read for those of these that you sync:",
            class_name="muted small",
        ),
        rx.el.ul(*rows, class_name="stack-sm small", style={"listStyle": "none", "margin": "0", "padding": "0"}),
        rx.el.p("Leave everything else at None. Use a test key first.", class_name="muted small"),
        title="What the key needs",
    )


def _webhook(state: Any) -> rx.Component:
    forget = ui.button("Forget it", variant="ghost", small=True, on_click=state.forget_webhook)
    return ui.card(
        ui.row(
            rx.cond(
                state.card.webhook,
                ui.pill("Signing secret kept", "success", "check"),
                ui.pill("Not set up", "neutral", "circle-minus"),
            ),
            rx.cond(state.card.webhook, forget, rx.fragment()),
        ),
        rx.cond(
            state.card.webhook,
            ui.button(
                rx.cond(state.awaiting, "Waiting up to 30 seconds for an event…", "Wait for a test event"),
                icon_name="radio",
                small=True,
                on_click=state.await_event,
                disabled=state.awaiting,
                title="Then send one from the endpoint's page in Stripe's dashboard",
            ),
            rx.fragment(),
        ),
        rx.el.p(
            "Optional: let Stripe tell of changes as they happen, by which the newer side of a conflict is known. Add an endpoint with this"
            " address in Stripe's dashboard, for customer.updated, product.updated, price.updated, customer.subscription.updated and"
            " invoice.updated, then paste its signing secret.",
            class_name="muted small",
        ),
        ui.id_chip(state.webhook_url, label="Copy the address"),
        rx.el.form(
            ui.field(
                "Signing secret",
                "webhook_secret",
                type="password",
                placeholder="whsec_…",
                error=state.webhook_problem,
                auto_complete="off",
                required=True,
            ),
            ui.button("Save", type="submit"),
            action=WEBHOOK_FORM,
            method="post",
            on_submit=None,
            class_name="stack",
        ),
        title="Webhooks",
    )


def _disconnect_dialog(state: Any) -> rx.Component:
    return ui.dialog(
        state.disconnecting,
        rx.el.form(
            ui.field(
                rx.el.span("Type ", rx.el.b(state.card.confirmation), " to confirm"),
                "confirmation",
                error=state.confirm_problem,
                auto_complete="off",
                custom_attrs={"data-autofocus": ""},
            ),
            id="disconnect-form",
            on_submit=state.disconnect,
        ),
        title="Disconnect this account?",
        about="The key is forgotten at once. Records, conflicts and history stay, and the same account can be connected again.",
        on_close=state.keep_connected,
        actions=[ui.button("Disconnect", variant="danger", type="submit", form="disconnect-form")],
        close_label="Keep it",
    )
