"""The form for a record's own fields. Its inputs are uncontrolled: what somebody types stays theirs through every answer."""

from __future__ import annotations

from typing import Any

import reflex as rx

from dashboard import components as ui
from dashboard.pages.record_state import RecordState


def edit_form() -> rx.Component:
    return ui.card(
        problems(),
        rx.el.form(
            rx.foreach(RecordState.form, lambda one, place: field(one, place == 0)),
            metadata(),
            ui.row(
                ui.button(
                    rx.cond(RecordState.overtaken, "Save mine over theirs", "Save"), type="submit", variant="primary"
                ),
                ui.button("Cancel", on_click=RecordState.close_form),
            ),
            on_submit=RecordState.save,
            # Our own sentences stand beside the fields; the browser's bubbles would come first and vanish.
            no_validate=True,
            class_name="stack",
        ),
        title="Edit",
        about="Saved here only. The next sync keeps, overwrites or asks, as its strategy says.",
    )


def problems() -> rx.Component:
    """Takes the focus when something is wrong that belongs to no single field."""
    return rx.el.div(
        rx.cond(
            RecordState.overtaken,
            ui.callout(
                "What they saved stands under each field. Save again to write yours over it, or cancel to keep theirs.",
                kind="warn",
                title="Somebody changed this record while you were editing",
            ),
            rx.fragment(),
        ),
        rx.cond(RecordState.form_error != "", ui.callout(RecordState.form_error, kind="danger"), rx.fragment()),
        id="form-problem",
        tab_index=-1,
    )


def field(one: Any, first: Any) -> rx.Component:
    name = "field-" + one.name
    return rx.el.div(
        rx.el.label(one.label, html_for=name),
        rx.match(
            one.kind,
            ("switch", _switch(one)),
            ("long", _area(one)),
            ("kept", _too_long(one)),
            _input(one, first),
        ),
        ui.field_error(name, one.error),
        rx.cond(
            one.stored != "",
            rx.el.p("Stored meanwhile: ", rx.el.b(one.stored), class_name="hint"),
            rx.fragment(),
        ),
        class_name="field",
        key=one.name,
    )


def _common(one: Any) -> dict[str, Any]:
    name = "field-" + one.name
    return {
        "id": name,
        "name": one.name,
        "aria_invalid": rx.cond(one.error != "", "true", "false"),
        "aria_describedby": name + "-error",
    }


def _input(one: Any, first: Any) -> rx.Component:
    """The form's first field takes the focus when it opens."""
    return rx.el.input(
        **_common(one),
        type=one.input_type,
        default_value=one.value,
        auto_complete="off",
        auto_focus=first,
        class_name="input",
    )


def _area(one: Any) -> rx.Component:
    return rx.el.textarea(**_common(one), default_value=one.value, rows="3", class_name="input")


def _too_long(one: Any) -> rx.Component:
    """No input: what is not sent stays as it is."""
    return rx.el.p(
        one.value,
        " characters: too long to be edited here. It stays as it is.",
        id="field-" + one.name,
        class_name="muted",
    )


def _switch(one: Any) -> rx.Component:
    return rx.el.input(**_common(one), type="checkbox", default_checked=one.value == "on", class_name="record-switch")


def metadata() -> rx.Component:
    return rx.el.fieldset(
        rx.el.legend("Metadata"),
        rx.foreach(RecordState.metadata, metadata_row),
        rx.cond(
            RecordState.kept > 0,
            rx.el.p(
                RecordState.kept.to(str),
                " more keys stay as they are: there are too many to be edited at once.",
                rx.el.input(type="hidden", name="metadata-kept", value="1", read_only=True),
                class_name="muted",
            ),
            rx.fragment(),
        ),
        ui.field_error("metadata", RecordState.metadata_error),
        rx.el.div(
            ui.button("Add a key", id="add-metadata", icon_name="plus", small=True, on_click=RecordState.add_row)
        ),
        class_name="fieldset",
    )


def metadata_row(row: Any) -> rx.Component:
    return rx.el.div(
        _metadata_input(row.key_name, row.key, "Key", auto_focus=row.fresh),
        _metadata_input(row.value_name, row.value, "Value"),
        ui.icon_button("trash-2", "Remove this key", on_click=RecordState.remove_row(row.place)),
        class_name="record-metadata",
        key=row.place,
    )


def _metadata_input(name: Any, value: Any, label: str, **props: Any) -> rx.Component:
    return rx.el.input(
        id=name,
        name=name,
        default_value=value,
        aria_label=label,
        placeholder=label,
        auto_complete="off",
        aria_describedby="metadata-error",
        class_name="input",
        **props,
    )
