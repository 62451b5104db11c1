"""How one conflict looks. The state is handed in, so that this module knows no handler by import."""

from __future__ import annotations

from typing import Any

import reflex as rx

from dashboard import components as ui
from dashboard.pages.conflict_fields_view import fields, question, synced, written
from dashboard.pages.conflict_filters import PATH
from dashboard.pages.conflict_handling_view import snoozing
from dashboard.pages.conflict_ignoring import ignore_dialog
from dashboard.pages.conflict_keys import assets, key_help
from dashboard.pages.conflict_presence import presence
from sync_core.domain.vocabulary import Role


def view(state: Any) -> rx.Component:
    return ui.page_shell(
        rx.cond(state.title != "", state.title, "Conflict"),
        assets(),
        rx.cond(
            state.problem != "",
            ui.empty_state("No such conflict", state.problem, "All conflicts", PATH, icon_name="search-x"),
            rx.cond(state.loaded, content(state), ui.card_skeleton(6)),
        ),
        ignore_dialog(),
        current=PATH,
        back=("Conflicts", state.list_url),
        takes=(Role.OPERATOR, "settle conflicts"),
        actions=[steps(state)],
    )


def steps(state: Any) -> rx.Component:
    return rx.fragment(
        rx.cond(state.conflict_uid != "", reviewed(state), rx.fragment()),
        _step(state.previous_url, "Previous", "chevron-left", "["),
        _step(state.next_url, "Next", "chevron-right", "]"),
    )


def reviewed(state: Any) -> rx.Component:
    """Of the person who looks, and of these values."""
    return rx.el.button(
        ui.icon("circle-check"),
        "Reviewed",
        type="button",
        aria_pressed=rx.cond(state.reviewed, "true", "false"),
        on_click=state.review,
        title="For you alone; a change on either side takes it off",
        class_name="button small tick",
        custom_attrs={"data-review": ""},
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
    """Two people on one record: the later one sees the other's decision, and says which is to stand. It takes the focus: whoever has just
    clicked below is to see it.
    """
    told = ui.callout(
        state.overtaken,
        rx.cond(
            state.theirs_said != "",
            rx.el.p(state.theirs_said, ui.moment(state.theirs_at.text, state.theirs_at.utc), "."),
            rx.fragment(),
        ),
        rx.cond(
            state.mine_said != "",
            rx.fragment(
                rx.el.p("You meant ", state.mine_said, "."),
                rx.el.div(
                    ui.button(
                        rx.cond(
                            state.theirs_who != "",
                            "Keep " + state.theirs_who.to(str) + "'s",
                            rx.cond(state.status == "resolved", "Keep theirs", "Drop mine"),
                        ),
                        small=True,
                        on_click=state.keep_theirs,
                    ),
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
    return rx.el.div(
        told, tab_index=-1, key=state.conflict_uid + state.revision.to(str), custom_attrs={"data-overtaken": ""}
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
                ("Changed in Stripe", told(state)),
                ("Read from Stripe", ui.moment(state.seen_at.text, state.seen_at.utc)),
                (
                    "Stripe's request",
                    rx.cond(
                        state.request_id != "",
                        ui.id_chip(state.request_id, label="Copy request id"),
                        rx.fragment("no longer kept"),
                    ),
                ),
            ),
            rx.cond(
                state.newest.length() > 0,
                rx.el.ul(
                    rx.foreach(state.newest, rx.el.li), aria_label="Which side changed last", class_name="small muted"
                ),
                rx.fragment(),
            ),
            class_name="why",
        ),
        class_name="disclosure why-details",
    )


def told(state: Any) -> rx.Component:
    """Stripe's newest event about a field that differs."""
    return rx.cond(
        state.event_id != "",
        rx.el.span(
            ui.moment(state.told_at.text, state.told_at.utc),
            ui.id_chip(state.event_id, label="Copy event id"),
            class_name="row",
        ),
        rx.fragment("no event says when"),
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
                    rx.el.div(rx.foreach(one.body, piece), class_name="comment"),
                    rx.el.div(one.author, ", ", ui.moment(one.at.text, one.at.utc), class_name="xsmall muted"),
                ),
            ),
            class_name="samples",
        ),
        rx.cond(
            state.may_resolve,
            handling(state),
            rx.cond(state.comments.length() == 0, rx.el.p("None.", class_name="muted"), rx.fragment()),
        ),
        title="Comments",
    )


def piece(one: Any) -> rx.Component:
    return rx.cond(one.called, rx.el.strong(one.text, class_name="called"), rx.fragment(one.text))


def person(one: Any) -> rx.Component:
    """What `assets/mentions.js` completes by."""
    return rx.el.li(
        rx.cond(one.name != "", rx.el.span(one.name, class_name="strong"), rx.fragment()),
        rx.el.span(one.email, class_name="muted small"),
        id="call-" + one.email,
        role="option",
        aria_selected="false",
        key=one.email,
        custom_attrs={"data-mention": one.email},
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
                placeholder="Say something; @ calls a member",
                aria_autocomplete="list",
                aria_controls="comment-people",
                custom_attrs={"data-hotkey": "c", "data-mentions": ""},
            ),
            rx.el.ul(
                rx.foreach(state.people, person),
                id="comment-people",
                role="listbox",
                aria_label="Members",
                hidden=True,
                class_name="people",
            ),
            rx.el.p(role="status", class_name="sr-only", custom_attrs={"data-mentions-said": ""}),
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
            snoozing(state, "Snooze", state.snooze),
            class_name="row",
        ),
    )
