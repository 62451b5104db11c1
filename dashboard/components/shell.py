"""What stands around every page: the way to the others, the workspace, the person, and what the screen has to say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import reflex as rx
from reflex.style import color_mode, set_color_mode
from reflex_components_core.core.banner import has_connection_errors

from dashboard.components.base import FollowLinks, anchor, button, button_link, icon, icon_button
from dashboard.components.feedback import _KINDS, error_state
from dashboard.components.status import mode_badge
from dashboard.navigation import PLACES, Place
from dashboard.state import PageState, ShellState
from dashboard.undo import UndoState
from sync_core.domain.vocabulary import Role

_THEMES = (("light", "sun", "Light theme"), ("dark", "moon", "Dark theme"), ("system", "monitor", "System theme"))


def page_shell(
    title: Any,
    *children: Any,
    current: str = "",
    lead: Any = None,
    actions: Sequence[Any] = (),
    back: tuple[str, str] | None = None,
    takes: tuple[Role, str] | None = None,
) -> rx.Component:
    """A whole page. `current` is the place in the navigation; `back` is (label, address) of the page above; `takes` is what people
    come here to do, and the role that it asks for: who has a lesser one is told why there are fewer buttons.
    """
    return rx.el.div(
        anchor("Skip to content", href="#content", reload_document=True, class_name="skip-link"),
        _topbar(),
        _rail(current),
        rx.el.button(type="button", aria_label="Close navigation", tab_index=-1, class_name="nav-veil"),
        rx.el.main(
            rx.el.div(
                _head(title, lead, actions, back, takes),
                rx.cond(PageState.failed, _not_loaded(), rx.fragment(*children)),
                class_name="page",
            ),
            id="content",
            tab_index=-1,
            class_name="main",
        ),
        _toasts(),
        _signed_out(),
        _offline(),
        FollowLinks.create(),
        class_name="shell",
        custom_attrs={
            "data-hydrated": rx.cond(rx.State.is_hydrated, "true", "false"),
            # Where what is shown belongs to; ui.js hides it anywhere else.
            "data-at": rx.cond(rx.State.is_hydrated, rx.State.router.url.path, ""),
        },
    )


def _not_loaded() -> rx.Component:
    return error_state(
        "This page did not load",
        "Something failed on our side. Nothing was changed, and nothing you had saved is lost.",
    )


def _head(
    title: Any, lead: Any, actions: Sequence[Any], back: tuple[str, str] | None, takes: tuple[Role, str] | None
) -> rx.Component:
    """What is a Var, and all actions, belong to what is shown, and go with it when it did not load."""
    above = [anchor(icon("chevron-left", 14), back[0], href=back[1], class_name="crumb")] if back else []
    own = isinstance(title, rx.Var | rx.Component)
    named = rx.cond(PageState.failed, rx.fragment("Not loaded"), rx.fragment(title)) if own else title
    below = [rx.cond(PageState.failed, rx.fragment(), rx.el.p(lead, class_name="lead"))] if lead is not None else []
    tools = [rx.cond(PageState.failed, rx.fragment(), rx.el.div(*actions, class_name="row"))] if actions else []
    heading = rx.el.h1(named, id="page-title", tab_index=-1, class_name="own" if own else "")
    if takes:
        below.append(takes_a_role(*takes))
    return rx.el.header(rx.el.div(*above, heading, *below), *tools, class_name="page-head")


def takes_a_role(least: Role, what: str) -> rx.Component:
    """For who has a lesser one: why they do not find how to do it."""
    lesser = [Role.VIEWER, Role.OPERATOR] if least is Role.ADMIN else [Role.VIEWER]
    return rx.cond(
        rx.Var.create([one.label for one in lesser]).contains(PageState.lesser_role),
        rx.el.p(
            icon("lock", 13),
            rx.el.span(f"To {what} takes the role of an {least.value}; yours is ", PageState.lesser_role, "."),
            class_name="takes",
        ),
        rx.fragment(),
    )


def _brand() -> rx.Component:
    return anchor(
        rx.el.img(src="/favicon.svg", alt="", width="26", height="26"), "Cyphera Sync", href="/", class_name="brand"
    )


def _topbar() -> rx.Component:
    toggle = icon_button("menu", "Navigation", small=False, aria_expanded="false", custom_attrs={"data-nav-toggle": ""})
    return rx.el.header(_brand(), toggle, class_name="topbar")


def _rail(current: str) -> rx.Component:
    return rx.el.aside(
        _brand(),
        rx.el.div(
            rx.el.span(ShellState.workspace, class_name="truncate", title=ShellState.workspace),
            rx.cond(ShellState.ready, mode_badge(ShellState.mode), rx.fragment()),
            class_name="workspace",
        ),
        rx.el.nav(*[_place(place, current) for place in PLACES], aria_label="Main", class_name="nav"),
        rx.el.div(_theme_switch(), _user_menu(), class_name="rail-foot"),
        aria_label="Navigation",
        class_name="rail",
    )


def _place(place: Place, current: str) -> rx.Component:
    count = (
        [
            rx.cond(
                ShellState.mentions != "",
                rx.el.span(
                    "@",
                    ShellState.mentions,
                    rx.el.span(
                        rx.cond(ShellState.mentions == "1", " mention of you", " mentions of you"), class_name="sr-only"
                    ),
                    class_name="count called",
                ),
                rx.fragment(),
            ),
            rx.cond(
                ShellState.waiting != "",
                rx.el.span(ShellState.waiting, rx.el.span(" open", class_name="sr-only"), class_name="count"),
                rx.fragment(),
            ),
        ]
        if place.href == "/conflicts"
        else []
    )
    props: dict[str, Any] = {"aria_current": "page"} if place.href == current else {}
    return anchor(icon(place.icon), place.label, *count, href=place.href, **props)


def _theme_switch() -> rx.Component:
    return rx.el.div(
        *[
            rx.el.button(
                icon(name, 15),
                type="button",
                aria_label=label,
                title=label,
                aria_pressed=rx.cond(color_mode == mode, "true", "false"),
                on_click=set_color_mode(mode),
            )
            for mode, name, label in _THEMES
        ],
        role="group",
        aria_label="Theme",
        class_name="segmented",
    )


def _user_menu() -> rx.Component:
    return rx.el.details(
        rx.el.summary(
            rx.el.span(ShellState.email[0:2], aria_hidden="true", class_name="avatar"),
            rx.el.span(
                rx.el.span(ShellState.email, class_name="truncate small strong", style={"display": "block"}),
                rx.el.span(ShellState.role, class_name="muted xsmall"),
                style={"minWidth": "0"},
            ),
            aria_label="Account",
        ),
        rx.el.div(
            rx.el.form(
                rx.el.button(icon("log-out"), "Sign out", type="submit"),
                action="/auth/sign-out",
                method="post",
                on_submit=None,
            ),
            class_name="menu-list",
        ),
        class_name="menu",
    )


def _toasts() -> rx.Component:
    return rx.el.div(
        rx.cond(
            PageState.notice != "",
            rx.match(
                PageState.notice_kind,
                *[(kind, _toast(kind)) for kind in _KINDS],
                _toast("info"),
            ),
            rx.fragment(),
        ),
        role="status",
        aria_live="polite",
        class_name="toasts",
    )


def _toast(kind: str) -> rx.Component:
    return rx.el.div(
        icon(_KINDS[kind], 17),
        rx.el.p(PageState.notice),
        rx.cond(PageState.notice_undo != "", _undo(), rx.fragment()),
        icon_button("x", "Dismiss", on_click=ShellState.dismiss),
        key=PageState.notice_number.to(str),
        class_name=rx.cond(PageState.notice_undo != "", f"toast tone-{kind} undoable", f"toast tone-{kind}"),
    )


def _undo() -> rx.Component:
    return button(
        "Undo",
        small=True,
        icon_name="undo-2",
        on_click=UndoState.take_back,
        custom_attrs={"data-hotkey": "u", "data-own": ""},
    )


def _signed_out() -> rx.Component:
    return rx.cond(
        PageState.signed_out,
        rx.el.dialog(
            rx.el.div(
                rx.el.h2("You are signed out"),
                rx.el.p(
                    "Your session has ended. Sign in again to go on; nothing you had saved is lost.", class_name="muted"
                ),
                rx.el.div(
                    button_link("Sign in", "/auth/sign-in", variant="primary", reload_document=True),
                    class_name="dialog-actions",
                ),
                class_name="dialog-body",
            ),
            aria_label="You are signed out",
            custom_attrs={"data-modal": ""},
            class_name="dialog",
        ),
        rx.fragment(),
    )


def _offline() -> rx.Component:
    return rx.cond(
        has_connection_errors,
        rx.el.div("The connection is lost. Trying again…", role="status", class_name="offline"),
        rx.fragment(),
    )
