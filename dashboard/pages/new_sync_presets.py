"""Presets on the New sync page: chosen above the form, saved from it, renamed and deleted in a dialog."""

from __future__ import annotations

from typing import Any

import reflex as rx

from dashboard import components as ui
from sync_core.services.presets import LONGEST_NAME


def preset_bar(state: Any) -> rx.Component:
    return ui.card(
        ui.spread(
            ui.row(
                rx.el.h2("Presets"),
                rx.cond(
                    state.presets.length() > 0,
                    rx.foreach(
                        state.presets,
                        lambda one: ui.button_link(
                            one.name, _href(one), small=True, icon_name="bookmark", title=one.about
                        ),
                    ),
                    rx.el.span("None yet. Save this form under a name to use it again.", class_name="muted small"),
                ),
            ),
            ui.row(
                rx.cond(
                    state.presets.length() > 0,
                    ui.button("Manage", variant="ghost", small=True, on_click=state.manage_presets),
                    rx.fragment(),
                ),
                ui.button("Save as preset", small=True, icon_name="bookmark-plus", on_click=state.ask_name),
            ),
        ),
    )


def _href(one: Any) -> Any:
    return "/syncs/new?preset=" + one.preset_id


def save_dialog(state: Any) -> rx.Component:
    return ui.dialog(
        state.saving,
        rx.el.form(
            ui.field(
                "Name",
                "name",
                error=state.error_preset,
                max_length=LONGEST_NAME,
                auto_complete="off",
                auto_focus=True,
                placeholder="Nightly catch-up",
            ),
            id="save-preset",
            on_submit=state.save_preset,
        ),
        title="Save as preset",
        about="Everybody in this workspace can start from it. “Last 30 days” stays relative to the day of use.",
        on_close=state.stop_saving,
        actions=[ui.button("Save", variant="primary", type="submit", form="save-preset")],
    )


def manage_dialog(state: Any) -> rx.Component:
    return ui.dialog(
        state.managing,
        ui.field_error("presets", state.error_preset),
        rx.el.ul(rx.foreach(state.presets, lambda one: _managed(state, one)), class_name="presets"),
        title="Presets",
        about="Share one by its address, or as a call of the REST API.",
        on_close=state.stop_managing,
        close_label="Close",
        wide=True,
    )


def _managed(state: Any, one: Any) -> rx.Component:
    return rx.el.li(
        rx.el.form(
            rx.el.input(type="hidden", name="preset", value=one.preset_id),
            rx.el.input(
                name="name",
                default_value=one.name,
                max_length=LONGEST_NAME,
                aria_label="Name of the preset " + one.name,
                auto_complete="off",
                class_name="input",
            ),
            ui.button("Rename", type="submit", small=True),
            ui.button_link("Use", _href(one), small=True, icon_name="arrow-right"),
            ui.icon_button("trash-2", "Delete the preset " + one.name, on_click=state.delete_preset(one.preset_id)),
            on_submit=state.rename_preset,
            class_name="row",
        ),
        rx.el.p(one.about, rx.cond(one.by != "", " · by " + one.by, ""), class_name="muted small"),
        ui.button(
            "The same over REST",
            variant="ghost",
            small=True,
            icon_name="terminal",
            on_click=state.show_call(one.preset_id),
            aria_expanded=rx.cond(state.called_preset == one.preset_id, "true", "false"),
        ),
        rx.cond(state.called_preset == one.preset_id, rest_call(state.preset_call), rx.fragment()),
        key=one.preset_id,
    )


def rest_call(text: Any) -> rx.Component:
    return rx.el.div(
        rx.el.button(
            ui.icon("copy", 12),
            "Copy",
            type="button",
            class_name="button ghost small",
            custom_attrs={"data-copy": text},
        ),
        rx.el.pre(rx.el.code(text), tab_index=0),
        class_name="rest-call",
    )
