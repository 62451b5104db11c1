"""Cards, tiles, tables and lists: where content stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import reflex as rx

from dashboard.components.base import anchor, button_link, classes, icon


def card(
    *children: Any, title: Any = None, about: Any = None, actions: Sequence[Any] = (), flush: bool = False, **props: Any
) -> rx.Component:
    """`flush` lets a table reach the card's edges."""
    named = classes("card", "flush" if flush else "", props.pop("class_name", ""))
    return rx.el.section(*_card_head(title, about, actions), *children, class_name=named, **props)


def _card_head(title: Any, about: Any, actions: Sequence[Any]) -> list[rx.Component]:
    if title is None and not actions:
        return []
    words = [rx.el.h2(title)] if title is not None else []
    if about is not None:
        words.append(rx.el.p(about, class_name="muted small"))
    tools = [rx.el.div(*actions, class_name="row")] if actions else []
    return [rx.el.div(rx.el.div(*words), *tools, class_name="card-head")]


def tile(label: Any, value: Any, *, about: Any = None, icon_name: str = "", href: Any = None) -> rx.Component:
    """One figure that matters, with what it counts."""
    parts = [
        rx.el.span(*([icon(icon_name, 14)] if icon_name else []), label, class_name="tile-label"),
        rx.el.span(value, class_name="tile-value"),
    ]
    if about is not None:
        parts.append(rx.el.span(about, class_name="muted small"))
    return rx.el.div(*parts, class_name="tile") if href is None else anchor(*parts, href=href, class_name="tile")


def grid(*children: Any, **props: Any) -> rx.Component:
    return rx.el.div(*children, class_name=classes("grid", props.pop("class_name", "")), **props)


def stack(*children: Any, gap: str = "", **props: Any) -> rx.Component:
    """`gap` is "", "sm" or "lg"."""
    return rx.el.div(
        *children, class_name=classes(f"stack-{gap}" if gap else "stack", props.pop("class_name", "")), **props
    )


def row(*children: Any, **props: Any) -> rx.Component:
    return rx.el.div(*children, class_name=classes("row", props.pop("class_name", "")), **props)


def spread(*children: Any, **props: Any) -> rx.Component:
    return rx.el.div(*children, class_name=classes("spread", props.pop("class_name", "")), **props)


def key_values(*pairs: tuple[Any, Any] | rx.Component) -> rx.Component:
    """Ready `key_value` rows too, for `rx.foreach` and `rx.cond`."""
    rows = [key_value(*pair) if isinstance(pair, tuple) else pair for pair in pairs]
    return rx.el.dl(*rows, class_name="key-values")


def key_value(key: Any, value: Any, **props: Any) -> rx.Component:
    return rx.el.div(rx.el.dt(key), rx.el.dd(value), **props)


@dataclass(frozen=True, slots=True)
class Column:
    """`sort` is where the header leads, or the event it starts; `sorted` is aria-sort's word, or a Var of it."""

    label: Any
    number: bool = False
    sort: Any = None
    sorted: Any = "none"
    hidden: bool = False


def data_table(
    columns: Sequence[Column], rows: Any, *, caption: str, tall: bool = False, count: Any = None, **props: Any
) -> rx.Component:
    """`rows` are `rx.el.tr`s, or an `rx.foreach` of them; of `count`, where these are a page. It scrolls in a region of its own that the
    keyboard reaches.
    """
    whole = {} if count is None else {"aria_rowcount": count}
    body = [rows] if isinstance(rows, rx.Component) else list(rows)
    return rx.el.div(
        rx.el.table(
            rx.el.caption(caption, class_name="sr-only"),
            rx.el.thead(rx.el.tr(*[column_head(column) for column in columns])),
            rx.el.tbody(*body),
            class_name="table",
            **whole,
        ),
        tab_index=0,
        role="region",
        aria_label=caption,
        class_name=classes("table-scroll", "tall" if tall else ""),
        **props,
    )


def column_head(column: Column) -> rx.Component:
    named = "number" if column.number else ""
    if column.hidden:
        return rx.el.th(rx.el.span(column.label, class_name="sr-only"), scope="col", class_name=named)
    if column.sort is None:
        return rx.el.th(column.label, scope="col", class_name=named)
    arrow = rx.match(
        column.sorted,
        ("ascending", icon("arrow-up", 13)),
        ("descending", icon("arrow-down", 13)),
        icon("chevrons-up-down", 13),
    )
    # An address is a link; anything else is an event.
    goes = isinstance(column.sort, str) or (isinstance(column.sort, rx.Var) and not callable(column.sort))
    head = (
        anchor(column.label, arrow, href=column.sort, class_name="sort")
        if goes
        else rx.el.button(column.label, arrow, on_click=column.sort, type="button", class_name="sort")
    )
    return rx.el.th(head, scope="col", aria_sort=column.sorted, class_name=named)


def number_cell(count: Any, label: Any, **props: Any) -> rx.Component:
    """`label` is its column's, said beside it in a card of class `reflow` where there is no room for columns."""
    return rx.el.td(count, class_name="number", custom_attrs={"data-label": label}, **props)


def pagination(first: Any = None, previous: Any = None, after: Any = None, *, about: Any = None) -> rx.Component:
    """Addresses of pages; an empty one (or an empty Var) shows nothing."""
    steps = [
        ("First", first, "chevrons-left"),
        ("Previous", previous, "chevron-left"),
        ("Next", after, "chevron-right"),
    ]
    links = [
        rx.cond(url != "", button_link(label, url, icon_name=name, small=True), rx.fragment())
        for label, url, name in steps
        if url is not None
    ]
    note = [rx.el.span(about, class_name="muted small")] if about is not None else []
    return rx.el.nav(*note, *links, aria_label="Pages", class_name="pager")


def tab_links(*tabs: rx.Component, label: str) -> rx.Component:
    return rx.el.nav(*tabs, aria_label=label, class_name="tabs")


def tab_link(text: Any, href: Any, *, current: Any, count: Any = None, **props: Any) -> rx.Component:
    """Tabs are addresses, so that the back button and links work."""
    number = [rx.el.span(count, class_name="tab-count")] if count is not None else []
    marked = rx.cond(current, "page", "false") if isinstance(current, rx.Var) else ("page" if current else "false")
    return anchor(text, *number, href=href, aria_current=marked, class_name="tab", **props)


def disclosure(summary: Any, *children: Any, **props: Any) -> rx.Component:
    return rx.el.details(
        rx.el.summary(summary), rx.el.div(*children, class_name="stack"), class_name="disclosure", **props
    )
