"""The fields of one conflict, three ways, and what is taken for each. The state is handed in, so that this module knows no handler by import."""

from __future__ import annotations

from typing import Any

import reflex as rx

from dashboard import components as ui
from dashboard.pages.conflict_ignoring import IgnoringState


def question(state: Any) -> rx.Component:
    return rx.el.section(
        rx.el.h2(state.question),
        rx.el.div(
            _take(state, "record", "local", state.question_local, state.question_take, "1"),
            _take(state, "record", "stripe", state.question_stripe, state.question_take, "2"),
            role="group",
            aria_label="What becomes of the record",
            class_name="segmented",
        ),
        class_name="card question conflict-field",
        tab_index=0,
        key=state.conflict_uid,
        custom_attrs={"data-row": ""},
    )


def _take(state: Any, key: Any, side: str, label: Any, taken: Any, hotkey: str) -> rx.Component:
    return rx.el.button(
        label,
        type="button",
        aria_pressed=rx.cond(taken == side, "true", "false"),
        on_click=state.take(key, side),
        disabled=~state.may_resolve,
        title=f"Key {hotkey}",
        custom_attrs={"data-take": hotkey},
    )


def fields(state: Any) -> rx.Component:
    return rx.cond(
        state.choices.length() > 0,
        rx.el.section(
            rx.el.div(
                heading("Field", "", ""),
                heading("Ours", written(state), "user-pen"),
                heading("Last sync", synced(state, linked=False), "history"),
                heading("Stripe", ui.moment(state.seen_at.text, state.seen_at.utc), "cloud"),
                heading("Becomes", "", "arrow-right"),
                class_name="sides-head",
                aria_hidden="true",
            ),
            rx.foreach(state.choices, lambda one: choice(state, one)),
            rx.cond(
                state.equal_count > 0,
                ui.disclosure(
                    rx.el.span(state.equal_count, rx.cond(state.equal_count == 1, " equal field", " equal fields")),
                    rx.el.p(state.equal, class_name="muted small"),
                    custom_attrs={"data-equal": ""},
                ),
                rx.fragment(),
            ),
            aria_label="Fields that differ",
            class_name="card sides",
        ),
        rx.cond(
            state.question == "",
            ui.callout("Both sides agree by now: there is nothing left to choose. Apply to close it.", kind="success"),
            rx.fragment(),
        ),
    )


def written(state: Any) -> rx.Component:
    """Who wrote ours last, and when; nothing where that is not known."""
    return rx.fragment(state.local_by, ui.moment(state.local_at.text, state.local_at.utc))


def synced(state: Any, *, linked: bool = True) -> rx.Component:
    """When both sides last agreed, and in which run; of a settled conflict that is gone."""
    run = ui.link(state.base_run, state.base_run_url) if linked else rx.el.span(state.base_run)
    at = rx.fragment(
        ui.moment(state.base_at.text, state.base_at.utc),
        rx.cond(state.base_run != "", rx.fragment(", ", run), rx.fragment()),
    )
    known = rx.cond(state.base_at.text != "", at, rx.fragment("before it was settled"))
    return rx.cond(state.base_known, known, rx.fragment("never synced"))


def heading(label: str, note: Any, icon: str) -> rx.Component:
    mark = [ui.icon(icon, 13)] if icon else []
    return rx.el.div(
        rx.el.span(*mark, label, class_name="row strong small"), rx.el.span(note, class_name="xsmall muted")
    )


def choice(state: Any, one: Any) -> rx.Component:
    return rx.el.div(
        rx.el.div(
            rx.el.div(
                rx.el.span(one.label, class_name="strong"),
                rx.cond(
                    one.needed & ~one.settled,
                    ui.pill("Choose", "conflict", "circle-dot"),
                    rx.cond(one.merges != "", rx.el.span(one.merges, class_name="xsmall muted"), rx.fragment()),
                ),
                rx.cond(one.by != "", rx.el.span("chosen by ", one.by, class_name="xsmall muted"), rx.fragment()),
                class_name="side-name",
            ),
            rx.cond(
                one.folded != "",
                rx.el.div(
                    one.folded,
                    changed("Ours: ", one.here, one.here_utc),
                    changed("Stripe: ", one.there, one.there_utc),
                    class_name="muted folded",
                ),
                three(one),
            ),
            side("Becomes", rx.cond(one.settled, text(one.result), rx.el.span("?", class_name="muted")), "result"),
            class_name="side-row",
        ),
        rx.cond(
            one.choosable,
            rx.el.div(choosing(state, one), ignoring(state, one), class_name="row choosing"),
            rx.fragment(),
        ),
        rx.cond((state.editing == one.key) & state.may_resolve, editor(state, one), rx.fragment()),
        class_name=rx.cond(one.nested, "conflict-field nested", "conflict-field"),
        tab_index=rx.cond(one.choosable, 0, -1),
        role="group",
        aria_label=one.label,
        # Of this conflict: kept for the next one's field of that name, the focus would stand in the middle of another record.
        key=state.conflict_uid + one.key,
        custom_attrs={"data-row": rx.cond(one.choosable, "", "none")},
    )


def three(one: Any) -> rx.Component:
    return rx.fragment(
        side(
            "Ours",
            rx.cond(one.local.length() > 0, rx.foreach(one.local, segment), text("")),
            when=changed("", one.here, one.here_utc),
        ),
        side("Last sync", rx.cond(one.has_base, text(one.base), rx.el.span("never synced", class_name="muted"))),
        side(
            "Stripe",
            rx.cond(one.theirs.length() > 0, rx.foreach(one.theirs, segment), text("")),
            when=changed("", one.there, one.there_utc),
        ),
    )


def changed(before: str, said: Any, utc: Any) -> rx.Component:
    """When a side changed last, and by what."""
    return rx.cond(said != "", rx.el.div(before, said, title=utc, class_name="xsmall muted side-when"), rx.fragment())


def side(label: str, content: rx.Component, named: str = "", when: rx.Component | None = None) -> rx.Component:
    return rx.el.div(
        rx.el.span(label, class_name="side-label"),
        rx.el.div(content, class_name="side-text"),
        *([when] if when is not None else []),
        class_name=f"side {named}",
    )


def text(value: Any) -> rx.Component:
    return rx.cond(
        value != "", rx.el.span(value), rx.el.span("—", rx.el.span("empty", class_name="sr-only"), class_name="muted")
    )


def segment(seg: Any) -> rx.Component:
    return rx.match(
        seg.op,
        ("added", rx.el.ins(seg.text)),
        ("removed", rx.el.del_(seg.text)),
        rx.el.span(seg.text),
    )


def choosing(state: Any, one: Any) -> rx.Component:
    return rx.el.div(
        _take(state, one.key, "local", "Ours", one.take, "1"),
        _take(state, one.key, "stripe", "Stripe", one.take, "2"),
        rx.cond(one.has_base, _take(state, one.key, "base", "Last sync", one.take, "3"), rx.fragment()),
        rx.cond(
            one.custom,
            rx.el.button(
                "Own value…",
                type="button",
                aria_pressed=rx.cond(one.take == "custom", "true", "false"),
                aria_expanded=rx.cond(state.editing == one.key, "true", "false"),
                on_click=state.edit(one.key),
                disabled=~state.may_resolve,
                title="Key 4",
                custom_attrs={"data-take": "4"},
            ),
            rx.fragment(),
        ),
        role="group",
        aria_label="Take for " + one.label,
        class_name="segmented",
    )


def ignoring(state: Any, one: Any) -> rx.Component:
    """The way to have the field never asked about again, here or anywhere; the dialog says what it means."""
    return rx.cond(
        state.may_resolve & ~one.nested,
        rx.el.button(
            "Ignore…",
            rx.el.span(" ", one.label, class_name="sr-only"),
            type="button",
            on_click=IgnoringState.ask_from(state.entity.to(str) + "." + one.key.to(str)),
            class_name="button ghost small ignoring",
        ),
        rx.fragment(),
    )


def editor(state: Any, one: Any) -> rx.Component:
    common = {"name": "value", "id": "own-value", "aria_label": "Own value", "aria_describedby": "own-value-error"}
    box = rx.match(
        one.editor,
        ("json", rx.el.textarea(default_value=one.typed, rows="6", class_name="input mono", auto_focus=True, **common)),
        (
            "choices",
            rx.el.select(
                rx.foreach(one.options, lambda word: rx.el.option(word[1], value=word[0])),
                default_value=one.typed,
                class_name="select",
                **common,
            ),
        ),
        (
            "bool",
            rx.el.select(
                rx.el.option("Yes", value="yes"),
                rx.el.option("No", value="no"),
                default_value=one.typed,
                class_name="select",
                **common,
            ),
        ),
        rx.el.input(default_value=one.typed, class_name="input", auto_focus=True, auto_complete="off", **common),
    )
    return rx.el.form(
        box,
        ui.field_error("own-value", state.edit_problem),
        rx.el.div(
            ui.button("Use this value", variant="primary", type="submit", small=True),
            ui.button("Cancel", small=True, on_click=state.edit(one.key)),
            class_name="row",
        ),
        on_submit=state.keep_own,
        class_name="own-value",
    )
