"""How the Schedules page looks."""

from __future__ import annotations

from typing import Any, Final

import reflex as rx

from dashboard import components as ui
from dashboard.pages.run_parts import renewed
from dashboard.pages.schedules_form import KINDS, WEEKDAYS
from dashboard.state import ShellState
from sync_core.domain.vocabulary import Role

PATH: Final = "/schedules"
_LONGEST_NAME = 80
_RULES = (
    "A time that comes while a sync of this workspace runs is left out; the next one counts.",
    "Times missed while the server was down are not made up for: one run at the most, then the regular times.",
    "One that is paused starts nothing; resumed, it counts from then on.",
    "A time of day that the clock skips is the first moment after; one that comes twice counts once.",
    "Each run finds what has changed since as any sync does, and settles it by the strategy chosen.",
)


def view(state: Any) -> rx.Component:
    return ui.page_shell(
        "Schedules",
        ui.when_loaded(state, _body(state), ui.card_skeleton(6)),
        _remove_dialog(state),
        current=PATH,
        takes=(Role.OPERATOR, "set a schedule"),
        lead=rx.fragment(
            "Syncs that start by themselves.", rx.cond(state.loaded, rx.fragment(" Times are in ", state.zone, "."), "")
        ),
        actions=[
            rx.cond(
                state.may_run & (state.rows.length() > 0) & ~state.adding,
                ui.button("Set a schedule", variant="primary", icon_name="calendar-plus", on_click=state.open_form),
                rx.fragment(),
            )
        ],
    )


def _body(state: Any) -> rx.Component:
    return ui.stack(
        rx.cond(
            ShellState.ready & (ShellState.mode == ""),
            ui.callout(
                "No Stripe account is connected, so no schedule starts anything.",
                ui.link("Connect one", "/connect"),
                kind="warn",
            ),
            rx.fragment(),
        ),
        rx.cond(state.adding, _form(state), rx.fragment()),
        rx.cond(
            state.rows.length() > 0,
            rx.el.ul(
                rx.foreach(state.rows, lambda row: _schedule(state, row)),
                rx.foreach(state.further, lambda row: _schedule(state, row)),
                class_name="schedules",
            ),
            rx.cond(state.adding, rx.fragment(), _nothing(state)),
        ),
        rx.cond(
            (state.rows.length() > 0) & ~state.adding,
            ui.disclosure("When a time is left out, and what the clock does", _explained()),
            rx.fragment(),
        ),
        renewed(state.renew),
    )


def _nothing(state: Any) -> rx.Component:
    return rx.cond(
        state.may_run,
        ui.empty_state(
            "No schedule yet",
            "A sync every few hours, every night or every week keeps these records close to Stripe without anybody thinking of it.",
            "Set a schedule",
            on_click=state.open_form,
            icon_name="calendar-clock",
        ),
        ui.empty_state(
            "No schedule yet",
            "Your role may not set one. Ask an admin of this workspace for the operator's role.",
            icon_name="lock",
        ),
    )


def _schedule(state: Any, row: Any) -> rx.Component:
    return rx.el.li(
        ui.spread(
            ui.row(
                rx.el.h2(row.name),
                rx.cond(
                    row.enabled, ui.pill("On", "success", "circle-check"), ui.pill("Paused", "neutral", "circle-pause")
                ),
            ),
            rx.cond(state.may_run, _buttons(state, row), rx.fragment()),
        ),
        rx.el.p(rx.el.span(row.rhythm, class_name="strong", title=state.zone + " time, not UTC"), " · ", row.what),
        ui.key_values(
            ui.key_value("Next run", _next(row)),
            ui.key_value("Last run", _last(row)),
        ),
        rx.cond(row.times.length() > 0, ui.disclosure("The four times after that", _times(row.times)), rx.fragment()),
        class_name="card schedule",
        key=row.id,
        custom_attrs={"data-record": row.id},
    )


def _buttons(state: Any, row: Any) -> rx.Component:
    return ui.row(
        ui.button(
            rx.cond(row.enabled, ui.icon("pause", 14), ui.icon("play", 14)),
            rx.cond(row.enabled, "Pause", "Resume"),
            small=True,
            on_click=state.switch(row.id),
            aria_label=rx.cond(row.enabled, "Pause", "Resume") + " " + row.name,
        ),
        ui.icon_button("pencil", "Change " + row.name, on_click=state.edit(row.id)),
        ui.icon_button("trash-2", "Delete " + row.name, on_click=state.ask_to_remove(row.id)),
        style={"flexWrap": "nowrap"},
    )


def _last(row: Any) -> rx.Component:
    return rx.fragment(
        rx.cond(
            row.last.length() > 0,
            ui.row(
                ui.link(row.last[1], row.last[0], aria_label="Sync " + row.last[1] + ", the last run of " + row.name),
                ui.session_status_pill(row.last[2]),
                ui.moment(row.last[3], row.last[4]),
            ),
            rx.el.span("None yet", class_name="muted"),
        ),
        rx.cond(
            row.last_note != "",
            rx.el.p(
                ui.icon("triangle-alert", 14),
                rx.el.span("The last time started nothing: ", row.last_note),
                class_name="left-out small",
            ),
            rx.fragment(),
        ),
    )


def _next(row: Any) -> rx.Component:
    return rx.cond(
        row.next.length() > 0,
        rx.fragment(
            ui.moment(row.next[0], row.next[1]),
            rx.cond(
                row.clock_note != "",
                rx.el.p(row.clock_note, class_name="muted small", title=row.next[1]),
                rx.fragment(),
            ),
        ),
        rx.el.span("None while it is paused", class_name="muted"),
    )


def _times(times: Any) -> rx.Component:
    return rx.el.ol(rx.foreach(times, lambda one: rx.el.li(ui.moment(one[0], one[1]), key=one[1])), class_name="times")


def _form(state: Any) -> rx.Component:
    return ui.card(
        rx.el.form(
            rx.el.div(
                ui.stack(_name(state), _rhythm(state), _what(state)),
                ui.stack(_foreseen(state), _explained()),
                class_name="columns",
            ),
            rx.cond(state.error_form != "", _refused(state), rx.fragment()),
            ui.row(
                ui.button("Save the schedule", variant="primary", type="submit"),
                ui.button("Cancel", on_click=state.close_form),
            ),
            on_submit=state.save,
            class_name="stack",
        ),
        title=rx.cond(state.editing != "", "Change this schedule", "Set a schedule"),
    )


def _refused(state: Any) -> rx.Component:
    """Somebody else's change is looked at, not written over."""
    return ui.callout(
        state.error_form,
        rx.cond(
            state.moved_on,
            ui.button(
                "Fill the form with what it is now",
                small=True,
                on_click=state.edit(state.editing),
                style={"marginTop": "var(--s2)"},
            ),
            rx.fragment(),
        ),
        kind="danger",
    )


def _name(state: Any) -> rx.Component:
    return ui.field(
        "Name",
        "name",
        key="name" + state.filled.to(str),
        default_value=state.name,
        error=state.error_name,
        max_length=_LONGEST_NAME,
        auto_complete="off",
        auto_focus=True,
        placeholder="Nightly",
    )


def _rhythm(state: Any) -> rx.Component:
    entered = state.entered
    return rx.el.fieldset(
        rx.el.legend("How often"),
        ui.row(
            _choice(state, "kind", "Rhythm", list(KINDS.items()), entered.kind),
            rx.cond(
                entered.kind == "hours",
                _choice(
                    state,
                    "hours",
                    "Hours",
                    rx.foreach(state.hours, lambda one: rx.el.option(one[1], value=one[0], key=one[0])),
                    entered.hours,
                ),
                rx.fragment(
                    rx.cond(
                        entered.kind == "weekly",
                        _choice(
                            state,
                            "weekday",
                            "Day",
                            [(str(at), f"on {one}") for at, one in enumerate(WEEKDAYS)],
                            entered.weekday,
                        ),
                        rx.fragment(),
                    ),
                    rx.el.label(
                        "at",
                        rx.el.input(
                            name="at",
                            key="at" + state.filled.to(str),
                            type="time",
                            default_value=entered.at,
                            on_change=lambda value: state.set_part("at", value),
                            class_name="input",
                            style={"width": "auto"},
                            **ui.described("rhythm", error=state.error_rhythm),
                        ),
                        class_name="row",
                    ),
                ),
            ),
        ),
        ui.field_error("rhythm", state.error_rhythm),
        class_name="fieldset",
    )


def _choice(
    state: Any, name: str, label: str, options: list[tuple[str, str]] | rx.Component, value: Any
) -> rx.Component:
    return ui.select(
        name,
        options,
        label=label,
        value=value,
        on_change=lambda chosen: state.set_part(name, chosen),
        **ui.described("rhythm", error=state.error_rhythm),
    )


def _what(state: Any) -> rx.Component:
    return ui.stack(
        ui.field(
            "What it syncs",
            "what",
            control=ui.select(
                "what",
                rx.foreach(state.choices, lambda one: rx.el.option(one[1], value=one[0], key=one[0])),
                value=state.chosen,
                on_change=state.choose,
                **ui.described("what", error=state.error_what, hint=""),
            ),
            hint=state.chosen_about,
            error=state.error_what,
        ),
        rx.cond(state.chosen_caution != "", ui.callout(state.chosen_caution, kind="warn"), rx.fragment()),
        ui.checkbox(
            "dry_run",
            "Only a dry run",
            "It writes nothing; its plan waits to be looked at and applied.",
            checked=state.dry_run,
            on_change=state.set_dry_run,
            **ui.described("dry_run", error=state.error_dry_run),
        ),
        rx.el.div(ui.field_error("dry_run", state.error_dry_run), class_name="field"),
        gap="sm",
    )


def _foreseen(state: Any) -> rx.Component:
    return rx.el.section(
        rx.el.h3("The next five times"),
        rx.cond(
            state.upcoming.length() > 0,
            _times(state.upcoming),
            rx.el.p("None, as it stands.", class_name="muted small"),
        ),
        rx.cond(
            state.zone != "UTC",
            rx.el.p("In ", state.zone, "; pointing at one says it in UTC.", class_name="muted small"),
            rx.el.p("In UTC, the workspace's time zone.", class_name="muted small"),
        ),
        role="status",
        aria_live="polite",
        aria_label="The next five times",
        class_name="stack-sm",
    )


def _explained() -> rx.Component:
    return rx.el.ul(*[rx.el.li(one) for one in _RULES], class_name="schedule-rules muted small")


def _remove_dialog(state: Any) -> rx.Component:
    return ui.dialog(
        state.removing != "",
        rx.el.p(
            "It starts nothing more. What stays: every sync that it started, their reports, and all records. One that runs now goes on."
        ),
        title="Delete this schedule?",
        about=state.removing_name,
        on_close=state.keep,
        close_label="Keep it",
        actions=[ui.button("Delete", variant="danger", on_click=state.remove)],
    )
