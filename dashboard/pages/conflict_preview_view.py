"""What a preview of many decisions says, wherever it is shown: in the dialog that made it and on its own page."""

from __future__ import annotations

from typing import Any

import reflex as rx

from dashboard import components as ui
from dashboard.pages.conflict_bulk_rows import EffectRow, SampleRow, WayRow


def preview_parts(shown: Any) -> rx.Component:
    return ui.stack(
        rx.el.p(shown.said, class_name="strong", role="status"),
        rx.cond(shown.changed != "", ui.callout(shown.changed, kind="warn"), rx.fragment()),
        rx.foreach(shown.missing, lambda text: ui.callout(text, kind="info")),
        rx.cond(
            shown.unknown.length() > 0,
            ui.callout(
                shown.unknown_said, rx.el.ul(rx.foreach(shown.unknown, rx.el.li), class_name="small"), kind="info"
            ),
            rx.fragment(),
        ),
        rx.foreach(shown.ignored, lambda text: ui.callout(text, kind="warn")),
        rx.cond(
            shown.money,
            ui.callout(
                "This is about amounts, currencies or states. Look at the samples before you apply it.", kind="warn"
            ),
            rx.fragment(),
        ),
        rx.cond(
            shown.effects.length() > 0,
            rx.el.div(
                ui.data_table(
                    [
                        ui.Column("Field"),
                        ui.Column("Becomes"),
                        ui.Column("How it differs"),
                        ui.Column("Rows", number=True),
                        ui.Column("Written", number=True),
                        ui.Column("So already", number=True),
                    ],
                    rx.foreach(shown.effects, effect),
                    caption="Fields in which the records differ",
                ),
                class_name="reflow counted",
            ),
            rx.fragment(),
        ),
        ui.disclosure("Samples", rx.el.ul(rx.foreach(shown.samples, sample), class_name="samples"), open=True),
    )


def effect(row: rx.Var[EffectRow]) -> rx.Component:
    return rx.el.tr(
        rx.el.th(row.label, rx.el.div(row.entity, class_name="muted xsmall"), scope="row"),
        rx.el.td(row.becomes, custom_attrs={"data-label": "Becomes"}),
        rx.el.td(rx.el.ul(rx.foreach(row.ways, way), class_name="ways small")),
        ui.number_cell(row.rows, "Rows"),
        ui.number_cell(row.written, "Written"),
        ui.number_cell(row.kept, "So already"),
        key=row.key,
    )


def way(one: rx.Var[WayRow]) -> rx.Component:
    return rx.el.li(
        rx.el.span(one.label),
        rx.el.span(rx.el.span(style={"width": one.width}), class_name="bar", aria_hidden="true"),
        rx.el.span(one.count, class_name="number"),
        key=one.label,
    )


def sample(row: rx.Var[SampleRow]) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            ui.entity_icon(row.entity, 14),
            ui.link(row.label, row.href),
            rx.cond(row.largest, ui.pill("Among the largest differences", "warn", "arrow-up-down"), rx.fragment()),
            class_name="row",
        ),
        rx.foreach(row.changes, lambda text: rx.el.div(text, class_name="small muted")),
        rx.foreach(row.times, lambda time: rx.el.div(time.said, title=time.utc, class_name="xsmall muted")),
        key=row.href,
    )
