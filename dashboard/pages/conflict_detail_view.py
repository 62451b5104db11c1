"""How one conflict looks. The state is handed in, so that this module knows no handler by import."""

from __future__ import annotations

from typing import Any

import reflex as rx

from dashboard import components as ui
from dashboard.pages.conflict_filters import PATH, SNOOZES
from dashboard.pages.conflict_ignored import ASK
from dashboard.pages.conflict_keys import assets, key_help
from dashboard.pages.conflict_presence import presence


def view(state: Any) -> rx.Component:
    return ui.page_shell(
        rx.cond(state.title != "", state.title, "Conflict"),
        assets(),
        rx.cond(
            state.problem != "",
            ui.empty_state("No such conflict", state.problem, "All conflicts", PATH, icon_name="search-x"),
            rx.cond(state.loaded, content(state), ui.card_skeleton(6)),
        ),
        current=PATH,
        back=("Conflicts", state.list_url),
        actions=[steps(state)],
    )


def steps(state: Any) -> rx.Component:
    return rx.fragment(
        _step(state.previous_url, "Previous", "chevron-left", "["),
        _step(state.next_url, "Next", "chevron-right", "]"),
    )


def _step(url: Any, label: str, icon: str, key: str) -> rx.Component:
    return rx.cond(
        url != "",
        ui.button_link(label, url, icon_name=icon, small=True, custom_attrs={"data-hotkey": key}),
        rx.fragment(),
    )


def inline(state: Any) -> rx.Component:
    """A conflict in its row of the list: everything that decides it, and nothing else."""
    return ui.stack(
        rx.cond(state.problem != "", ui.callout(state.problem, kind="danger"), rx.fragment()),
        rx.cond(state.overtaken != "", overtaken(state), rx.fragment()),
        rx.cond(state.question != "", question(state), rx.fragment()),
        fields(state),
        rx.cond(state.may_resolve, footer(state), rx.fragment()),
        class_name="inline-conflict",
    )


def overtaken(state: Any) -> rx.Component:
    """Two people on one record: the later one sees the other's decision, and says which is to stand."""
    return ui.callout(
        state.overtaken,
        rx.cond(state.theirs_said != "", rx.el.p(state.theirs_said), rx.fragment()),
        rx.cond(
            state.mine_said != "",
            rx.fragment(
                rx.el.p("You meant ", state.mine_said, "."),
                rx.el.div(
                    ui.button("Keep theirs", small=True, on_click=state.keep_theirs),
                    ui.button(
                        rx.cond(state.status == "resolved", "Reopen with mine", "Use mine"),
                        small=True,
                        on_click=state.reopen_with_mine,
                    ),
                    class_name="row",
                ),
            ),
            rx.fragment(),
        ),
        kind="warn",
        title="Somebody was faster",
    )


def content(state: Any) -> rx.Component:
    return ui.stack(
        facts(state),
        rx.cond(state.overtaken != "", overtaken(state), rx.fragment()),
        rx.cond(
            state.newer_url != "",
            ui.callout(
                "A side changed after this was settled.",
                ui.link("See the conflict that came of it", state.newer_url),
                kind="conflict",
            ),
            rx.fragment(),
        ),
        rx.cond(state.question != "", question(state), rx.fragment()),
        fields(state),
        rx.cond(state.may_resolve, footer(state), rx.fragment()),
        rx.el.div(history(state), talk(state), class_name="detail-foot"),
        key_help(),
    )


def facts(state: Any) -> rx.Component:
    return rx.el.div(
        ui.conflict_status_pill(state.status),
        rx.el.span(ui.entity_icon(state.entity, 14), state.reason, class_name="row"),
        ui.id_chip(state.external_id, label="Copy Stripe id"),
        ui.link("Our record", state.record_url),
        rx.cond(
            state.reopened.text != "",
            ui.pill(
                "Changed since you decided", "warn", "history", title=state.reopened.text + " · " + state.reopened.utc
            ),
            rx.fragment(),
        ),
        rx.cond(
            state.snoozed != "",
            ui.pill("Snoozed " + state.snoozed, "warn", "alarm-clock", title=state.snoozed_until.utc),
            rx.fragment(),
        ),
        rx.cond(state.assignee != "", ui.pill(state.assignee, "info", "user"), rx.fragment()),
        presence(),
        why(state),
        class_name="row facts",
    )


def why(state: Any) -> rx.Component:
    """The rule, and the three moments that it went by."""
    return rx.el.details(
        rx.el.summary("Why is this a conflict?"),
        rx.el.div(
            rx.el.p(state.why),
            ui.key_values(
                ("Changed here", rx.cond(state.local_by != "", written(state), rx.fragment("not known"))),
                ("Last sync", synced(state)),
                ("Read from Stripe", ui.moment(state.seen_at.text, state.seen_at.utc)),
            ),
            class_name="why",
        ),
        class_name="disclosure why-details",
    )


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
                heading("Last sync", synced(state), "history"),
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


def synced(state: Any) -> rx.Component:
    return rx.cond(state.base_known, ui.moment(state.base_at.text, state.base_at.utc), rx.fragment("never synced"))


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
                    rx.cond(
                        ~one.needed & ~one.nested & (one.take == ""),
                        rx.el.span("merges by itself", class_name="xsmall muted"),
                        rx.fragment(),
                    ),
                ),
                rx.cond(one.by != "", rx.el.span("chosen by ", one.by, class_name="xsmall muted"), rx.fragment()),
                class_name="side-name",
            ),
            rx.cond(one.folded != "", rx.el.div(one.folded, class_name="muted folded"), three(one)),
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
        side("Ours", rx.cond(one.local.length() > 0, rx.foreach(one.local, segment), text(""))),
        side("Last sync", rx.cond(one.has_base, text(one.base), rx.el.span("never synced", class_name="muted"))),
        side("Stripe", rx.cond(one.theirs.length() > 0, rx.foreach(one.theirs, segment), text(""))),
    )


def side(label: str, content: rx.Component, named: str = "") -> rx.Component:
    return rx.el.div(
        rx.el.span(label, class_name="side-label"),
        rx.el.div(content, class_name="side-text"),
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
    """The way to have the field never asked about again; it is the page of rules that does it, and says what it means."""
    return rx.cond(
        state.may_manage & ~one.nested,
        ui.anchor(
            "Ignore for ever…",
            rx.el.span(": ", one.label, class_name="sr-only"),
            href=f"{PATH}/rules?{ASK}=" + state.entity.to(str) + "." + one.key.to(str),
            class_name="xsmall muted ignoring",
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
                rx.foreach(one.options, lambda word: rx.el.option(word, value=word)),
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


def footer(state: Any) -> rx.Component:
    return rx.el.div(
        rx.el.p(
            rx.cond(
                state.to_choose == "",
                "Ready to apply.",
                state.answered.to(str) + " of " + state.questions.to(str) + " chosen. " + state.to_choose,
            ),
            rx.cond(state.reach != "", rx.el.span(" ", state.reach, class_name="muted"), rx.fragment()),
            role="status",
            class_name="small",
        ),
        rx.el.div(
            _whole(state, "local", "Keep ours", "!"),
            _whole(state, "stripe", "Take Stripe's", "@"),
            rx.cond(
                state.base_known & (state.question == ""),
                _whole(state, "base", "Back to last sync", "#"),
                rx.fragment(),
            ),
            ui.button(
                rx.cond(state.next_url != "", "Apply and next", "Apply"),
                variant="primary",
                icon_name="check",
                on_click=state.apply,
                disabled=state.to_choose != "",
                custom_attrs={"data-hotkey": "Control+Enter"},
            ),
            class_name="row",
        ),
        class_name="pending-bar",
    )


def _whole(state: Any, side_: str, label: str, key: str) -> rx.Component:
    return ui.button(label, on_click=state.take_all(side_), title="The whole record", custom_attrs={"data-hotkey": key})


def history(state: Any) -> rx.Component:
    return ui.card(
        rx.cond(
            state.decisions.length() > 0,
            rx.el.ul(rx.foreach(state.decisions, lambda one: decision(state, one)), class_name="samples"),
            rx.el.p("Nobody has decided anything yet.", class_name="muted"),
        ),
        title="Decisions",
    )


def decision(state: Any, one: Any) -> rx.Component:
    return rx.el.li(
        rx.el.div(one.said),
        rx.el.div(
            ui.moment(one.at, one.utc),
            rx.cond(one.undone != "", rx.el.span(", ", one.undone), rx.fragment()),
            class_name="xsmall muted",
        ),
        rx.cond(
            one.undoable,
            ui.button(
                "Undo", small=True, icon_name="undo-2", on_click=state.undo(one.id), custom_attrs={"data-hotkey": "u"}
            ),
            rx.fragment(),
        ),
        key=one.id,
    )


def talk(state: Any) -> rx.Component:
    return ui.card(
        rx.el.ul(
            rx.foreach(
                state.comments,
                lambda one: rx.el.li(
                    rx.el.div(one.body, class_name="comment"),
                    rx.el.div(one.author, ", ", ui.moment(one.at.text, one.at.utc), class_name="xsmall muted"),
                ),
            ),
            class_name="samples",
        ),
        rx.cond(state.may_resolve, handling(state), rx.fragment()),
        title="Comments",
    )


def handling(state: Any) -> rx.Component:
    return ui.stack(
        rx.el.form(
            rx.el.label("Comment", html_for="comment", class_name="sr-only"),
            rx.el.textarea(
                id="comment",
                name="comment",
                rows="2",
                max_length=2_000,
                class_name="input",
                placeholder="Say something",
                custom_attrs={"data-hotkey": "c"},
            ),
            ui.button("Comment", type="submit", small=True),
            on_submit=state.comment,
            reset_on_submit=True,
            class_name="stack-sm",
        ),
        rx.el.div(
            rx.el.label("Assign to", html_for="assignee", class_name="sr-only"),
            rx.el.select(
                rx.el.option("Assign to…", value=""),
                rx.foreach(state.members, lambda one: rx.el.option(one, value=one)),
                rx.el.option("Nobody", value="nobody"),
                id="assignee",
                value="",
                on_change=state.assign,
                class_name="select",
                custom_attrs={"data-hotkey": "a"},
            ),
            rx.el.label("Snooze", html_for="snooze", class_name="sr-only"),
            rx.el.select(
                rx.el.option("Snooze…", value=""),
                *[rx.el.option(text, value=word) for word, text in SNOOZES],
                id="snooze",
                value="",
                on_change=state.snooze,
                class_name="select",
                custom_attrs={"data-hotkey": "h"},
            ),
            class_name="row",
        ),
    )
