"""The smallest parts: icons, buttons, links, and text that repeats."""

from __future__ import annotations

from typing import Any

import reflex as rx
from reflex.vars import VarData
from reflex_components_core.el.elements.inline import A


def classes(*names: str) -> str:
    return " ".join(name for name in names if name)


class Icon(rx.Component):
    """Lucide's, drawn once, whatever changes around it."""

    library = "$/public/icon.js"
    tag = "Icon"
    of: rx.Var[Any]
    size: rx.Var[int]


def icon(name: str, size: int = 16, **props: Any) -> rx.Component:
    """Decoration: what it means is said in words beside it."""
    drawn = rx.icon(name)
    of: rx.Var[Any] = rx.Var(str(drawn.alias), _var_data=VarData(imports={str(drawn.library): [drawn.import_var]}))
    named = classes("icon", props.pop("class_name", ""))
    return Icon.create(of=of, size=size, class_name=named, custom_attrs={"aria-hidden": "true"}, **props)


def button(
    *children: Any,
    variant: str = "",
    icon_name: str = "",
    small: bool = False,
    **props: Any,
) -> rx.Component:
    """`variant` is primary, danger, ghost or nothing. It submits only when told: `type="submit"`."""
    props.setdefault("type", "button")
    named = classes("button", variant, "small" if small else "", props.pop("class_name", ""))
    return rx.el.button(*([icon(icon_name)] if icon_name else []), *children, class_name=named, **props)


def icon_button(name: str, label: str, *, variant: str = "ghost", small: bool = True, **props: Any) -> rx.Component:
    named = classes("button icon-only", variant, "small" if small else "", props.pop("class_name", ""))
    props.setdefault("type", "button")
    return rx.el.button(icon(name), class_name=named, aria_label=label, title=label, **props)


class FollowLinks(rx.Component):
    """Makes links marked `data-go` change the page without loading everything anew; once in a page."""

    library = "$/public/links.js"
    tag = "FollowLinks"


def anchor(*children: Any, href: Any, reload_document: bool = False, **props: Any) -> rx.Component:
    """A link to a page; with `reload_document` to what is not one. It is the browser's own: the router's would each be drawn anew whenever
    the address changes, before the server is asked anything.
    """
    marked = {} if reload_document else {"data-go": ""}
    return A.create(*children, href=href, custom_attrs={**marked, **props.pop("custom_attrs", {})}, **props)


def link(text: Any, href: Any, **props: Any) -> rx.Component:
    return anchor(text, href=href, class_name=classes("link", props.pop("class_name", "")), **props)


def button_link(
    text: Any, href: Any, *, variant: str = "", icon_name: str = "", small: bool = False, **props: Any
) -> rx.Component:
    """Looks like a button and goes to a page. For what is not a page (a download) add `reload_document=True`."""
    named = classes("button", variant, "small" if small else "")
    return anchor(*([icon(icon_name)] if icon_name else []), text, href=href, class_name=named, **props)


def id_chip(value: Any, *, label: str = "Copy id", shown: Any = None) -> rx.Component:
    """An id in a fixed-width face, cut when there is no room (or `shown` instead), whole on hover and in the clipboard."""
    return rx.el.span(
        rx.el.span(value if shown is None else shown, title=value),
        rx.el.button(icon("copy", 12), type="button", aria_label=label, custom_attrs={"data-copy": value}),
        class_name="chip",
    )


def code(value: Any) -> rx.Component:
    return rx.el.code(value)


def kbd(key: str) -> rx.Component:
    return rx.el.kbd(key)


def moment(text: Any, utc: Any, **props: Any) -> rx.Component:
    """A time in the workspace's zone, with UTC on hover."""
    return rx.el.time(text, title=utc, class_name="nowrap", **props)
