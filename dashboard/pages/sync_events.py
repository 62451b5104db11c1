"""What has happened in a run, the newest first; while it is open, what has come since stands on top."""

from __future__ import annotations

from typing import Any

import reflex as rx

from dashboard import components as ui
from dashboard.pages.sync_rows import EventRow
from dashboard.pages.sync_state import SyncState
from sync_core.domain.vocabulary import EventType


def view() -> rx.Component:
    return ui.card(
        rx.cond(
            SyncState.events.length() + SyncState.fresh.length() > 0,
            ui.data_table(
                [ui.Column("When"), ui.Column("Event"), ui.Column("Of"), ui.Column("What")],
                [
                    rx.foreach(SyncState.fresh, event),
                    rx.cond(SyncState.more_fresh, more_events(), rx.fragment()),
                    rx.foreach(SyncState.events, event),
                ],
                caption="Events of this sync, newest first",
            ),
            rx.el.p(
                rx.cond(SyncState.event_kind == "", "No events.", "No events of this kind."),
                class_name="muted",
                style={"padding": "var(--s5)"},
            ),
        ),
        rx.el.div(
            rx.cond(
                ~SyncState.events_first,
                ui.button("Newest", small=True, icon_name="chevrons-left", on_click=SyncState.newest_events),
                rx.fragment(),
            ),
            rx.cond(
                SyncState.events_next != "",
                ui.button("Older", small=True, icon_name="chevron-right", on_click=SyncState.older_events),
                rx.fragment(),
            ),
            class_name="pager",
            style={"padding": "0 var(--s5) var(--s4)"},
        ),
        title="Events",
        flush=True,
        class_name="reflow",
        actions=[
            rx.cond(
                (SyncState.events.length() + SyncState.fresh.length() > 0) | (SyncState.event_kind != ""),
                ui.select(
                    "event-kind",
                    [("", "All events"), *((one.value, one.label) for one in EventType)],
                    label="Kind of event",
                    value=SyncState.event_kind,
                    on_change=SyncState.show_events,
                ),
                rx.fragment(),
            )
        ],
    )


def more_events() -> rx.Component:
    """Between the newest few and what was read before: how to see those in between."""
    return rx.el.tr(
        rx.el.td(
            ui.button("More have come", small=True, icon_name="chevrons-left", on_click=SyncState.newest_events),
            col_span=4,
        )
    )


def event(one: rx.Var[EventRow]) -> rx.Component:
    marks: dict[str, Any] = {
        "info": "play",
        "success": "circle-check",
        "danger": "triangle-alert",
        "conflict": "git-compare-arrows",
    }
    return rx.el.tr(
        rx.el.td(ui.moment(one.at, one.utc)),
        rx.el.td(
            rx.match(
                one.tone,
                *[(tone, ui.pill(one.kind, tone, name)) for tone, name in marks.items()],
                ui.pill(one.kind, "neutral", "skip-forward"),
            )
        ),
        rx.el.td(one.about),
        rx.el.td(rx.cond(one.external_id != "", ui.id_chip(one.external_id), rx.fragment()), " ", one.message),
        key=one.key,
    )
