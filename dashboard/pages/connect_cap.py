"""How fast the connected account is read, as the Connect page shows and changes it."""

from __future__ import annotations

from typing import Any

import reflex as rx

from dashboard import components as ui


def read_cap(state: Any) -> rx.Component:
    cap = state.cap
    return ui.card(
        rx.el.div(
            rx.el.p(rx.el.span(cap.says, class_name="strong"), rx.el.span(" · ", cap.each, class_name="muted small")),
            ui.progress_bar(cap.percent, label="Of what Stripe allows, used at the most", text=cap.says),
            class_name="stack-sm",
        ),
        rx.el.p(
            "What is left over is for your own traffic: your checkout and your own programs share this limit.",
            class_name="muted small",
        ),
        rx.cond(
            cap.unlimited,
            ui.callout("The operator of this server keeps no limit, so this is not heeded here.", kind="warn"),
            rx.fragment(),
        ),
        rx.cond(
            cap.elsewhere != "",
            rx.el.div(ui.callout(cap.elsewhere, kind="warn"), custom_attrs={"data-testid": "cap-elsewhere"}),
            rx.fragment(),
        ),
        rx.cond(state.may_manage, _form(state), rx.fragment()),
        rx.cond(
            cap.changes.length() > 0,
            ui.disclosure(
                "Who changed it",
                rx.el.ul(
                    rx.foreach(cap.changes, _change),
                    class_name="stack-sm small",
                    style={"listStyle": "none", "margin": "0", "padding": "0"},
                ),
                custom_attrs={"data-testid": "cap-changes"},
            ),
            rx.fragment(),
        ),
        title="How fast it reads",
    )


def _form(state: Any) -> rx.Component:
    return rx.el.form(
        ui.field(
            "Requests a second, at most",
            "requests_per_second",
            key=state.cap_filled.to(str),
            default_value=state.cap.entered,
            placeholder=state.cap.default,
            hint=state.cap.hint,
            error=state.cap_problem,
            input_mode="numeric",
            auto_complete="off",
            max_length=6,
        ),
        ui.callout(
            "It holds for the Stripe account: every other workspace and sync here that reads it keeps to it too. Where several"
            " set one, the lowest holds.",
            kind="warn",
        ),
        ui.row(ui.button("Save", type="submit")),
        on_submit=state.save_cap,
        class_name="stack",
    )


def _change(one: Any) -> rx.Component:
    return rx.el.li(
        rx.el.span(one.what, class_name="strong"),
        rx.el.span(" · ", one.by, " · ", ui.moment(one.when.text, one.when.utc), class_name="muted"),
    )
