"""A connection that is left for later, and taken up again, on the Connect page."""

from __future__ import annotations

from typing import Any

import reflex as rx

from dashboard import components as ui
from dashboard.api.forms import DRAFT_FORM
from sync_core.services.connection_drafts import DAYS, LONGEST_LABEL


def saved_draft(state: Any) -> rx.Component:
    draft = state.draft
    has_key = draft.masked_key != ""
    return ui.card(
        ui.spread(
            ui.row(rx.el.h2(draft.title), ui.mode_badge(draft.mode)),
            ui.row(
                rx.cond(
                    has_key,
                    ui.button(
                        rx.cond(state.examining, "Checking…", "Check and connect"),
                        variant="primary",
                        icon_name="play",
                        on_click=state.take_up,
                        disabled=state.examining,
                        custom_attrs={"data-testid": "take-up"},
                    ),
                    rx.fragment(),
                ),
                ui.button("Discard", icon_name="trash-2", on_click=state.discard_draft, disabled=state.examining),
            ),
        ),
        ui.key_values(
            (
                "Key",
                rx.cond(
                    has_key, ui.row(ui.code(draft.masked_key), _small("kept encrypted")), "None yet: paste it below"
                ),
            ),
            ("To read", draft.reads),
            ("Left", ui.row(ui.moment(draft.saved.text, draft.saved.utc), _small("by ", draft.by))),
            ("Forgotten", ui.moment(draft.expires.text, draft.expires.utc)),
        ),
        custom_attrs={"data-testid": "draft"},
    )


def save_for_later(state: Any) -> rx.Component:
    """Inside the key's form, whose fields go with it."""
    return ui.disclosure(
        "Not ready? Save it for later",
        rx.el.p(
            f"For {DAYS} days, with or without a key: it is checked and kept encrypted, and nothing is connected. One of a"
            " workspace: it takes the place of what was saved before.",
            class_name="muted small",
        ),
        ui.field(
            "Note",
            "label",
            max_length=LONGEST_LABEL,
            auto_complete="off",
            placeholder="Waiting for Ben to set the permissions",
            default_value=state.label,
            key="label-" + state.filled.to(str),
        ),
        ui.field(
            "Account's mode",
            "mode",
            control=ui.select(
                "mode",
                [("test", "Test"), ("live", "Live")],
                default_value=state.account_mode,
                key="mode-" + state.filled.to(str),
            ),
            hint="A key's own mode counts, where one is given.",
        ),
        ui.row(
            ui.button(
                "Save for later",
                type="submit",
                icon_name="bookmark-plus",
                form_action=DRAFT_FORM,
                form_no_validate=True,
                disabled=state.examining,
            )
        ),
    )


def _small(*words: Any) -> rx.Component:
    return rx.el.span(*words, class_name="muted small")
