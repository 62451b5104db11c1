"""The dialog in which a workspace says from where on checks warn."""

from __future__ import annotations

from typing import Any

import reflex as rx

from dashboard import components as ui
from dashboard.pages.report_state import ReportState


def limits_dialog() -> rx.Component:
    found = ReportState.limits
    return ui.dialog(
        ReportState.limiting,
        rx.el.form(
            _number(
                "Records updated, more than (%)", "share_updated", found.share_updated, "Of those that exist here."
            ),
            _number("Subscriptions ending, more than (%)", "canceled", found.canceled, "Of those that were read."),
            _number(
                "Changes of money, from", "money", found.money, "Records in which an amount or a currency changes."
            ),
            _number("Emails shared by several customers, from", "duplicates", found.duplicates, "Fewer are a note."),
            ui.checkbox(
                "confirm",
                "Ask for a confirmation",
                "A plan with warnings is only applied by somebody who says that they were looked at.",
                default_checked=found.confirm,
            ),
            ui.checkbox(
                "approval",
                "A second person approves",
                "A plan is applied when somebody else than who made it has approved it, and no sync is started without one.",
                default_checked=found.approval,
            ),
            ui.checkbox(
                "approve_clean",
                "Unless nothing warns",
                "A plan without warnings then needs nobody's approval.",
                default_checked=found.approve_clean,
            ),
            ui.field_error("limits", ReportState.limits_error),
            id="limits-form",
            on_submit=ReportState.save_limits,
            class_name="stack",
        ),
        title="When checks warn, and who approves",
        about="For every plan of this workspace. Deletions and a key of the other mode always warn.",
        on_close=ReportState.close_limits,
        actions=[ui.button("Save", variant="primary", type="submit", form="limits-form")],
    )


def _number(label: str, name: str, value: Any, hint: str) -> rx.Component:
    return ui.field(label, name, hint=hint, default_value=value, input_mode="numeric", auto_complete="off")
