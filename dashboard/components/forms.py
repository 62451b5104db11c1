"""Form fields: a label, what to enter, and the mistake beside the field it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import reflex as rx

from dashboard.components.base import classes, icon


def field(
    label: Any,
    name: str,
    *,
    hint: Any = None,
    error: Any = "",
    control: rx.Component | None = None,
    **props: Any,
) -> rx.Component:
    """An input with everything around it; `control` replaces the input (give it `described(name)`'s attributes).

    `error` is text or a Var of it; empty for none. Uncontrolled: read it from the form's submit by `name`.
    """
    box = control or rx.el.input(
        id=name,
        name=name,
        class_name=classes("input", props.pop("class_name", "")),
        **described(name, error=error, hint=hint),
        **props,
    )
    notes = [rx.el.p(hint, id=f"{name}-hint", class_name="hint")] if hint is not None else []
    return rx.el.div(rx.el.label(label, html_for=name), box, *notes, field_error(name, error), class_name="field")


def described(name: str, *, error: Any = "", hint: Any = None) -> dict[str, Any]:
    """What ties a control to its hint and its error."""
    ids = f"{name}-hint {name}-error" if hint is not None else f"{name}-error"
    wrong = rx.cond(error != "", "true", "false") if isinstance(error, rx.Var) else ("true" if error else "false")
    return {"aria_describedby": ids, "aria_invalid": wrong}


def field_error(name: str, error: Any) -> rx.Component:
    """Always in the page, so that a screen reader hears of a change."""
    inside = (
        rx.cond(error != "", rx.el.span(icon("circle-alert", 14), error, class_name="error"), rx.fragment())
        if isinstance(error, rx.Var)
        else (rx.el.span(icon("circle-alert", 14), error, class_name="error") if error else rx.fragment())
    )
    return rx.el.div(inside, id=f"{name}-error", role="alert")


def select(
    name: str, options: Sequence[tuple[str, Any]] | rx.Component, *, label: str | None = None, **props: Any
) -> rx.Component:
    """`options` are (value, text), or an `rx.foreach` of options. `label` is for one without a visible label."""
    inside = (
        [options] if isinstance(options, rx.Component) else [rx.el.option(text, value=word) for word, text in options]
    )
    named = {"aria_label": label} if label is not None else {}
    return rx.el.select(*inside, id=name, name=name, class_name="select", **named, **props)


@dataclass(frozen=True, slots=True)
class Option:
    value: str
    title: Any
    about: Any = ""


def radio_cards(
    legend: Any,
    name: str,
    options: Sequence[Option],
    *,
    value: Any = None,
    on_change: Any = None,
    hint: Any = None,
    error: Any = "",
) -> rx.Component:
    """A choice that needs explaining. `value` (a Var) and `on_change` make it controlled; else `value` is the first choice."""
    notes = [rx.el.p(hint, id=f"{name}-hint", class_name="hint")] if hint is not None else []
    return rx.el.fieldset(
        rx.el.legend(legend),
        *notes,
        rx.el.div(*[_radio_card(name, option, value, on_change) for option in options], class_name="radio-cards"),
        field_error(name, error),
        class_name="fieldset",
    )


def _radio_card(name: str, option: Option, value: Any, on_change: Any) -> rx.Component:
    if on_change is None:
        chosen: dict[str, Any] = {"default_checked": option.value == value}
    else:
        chosen = {"checked": value == option.value, "on_change": on_change(option.value)}
    return rx.el.label(
        rx.el.input(type="radio", name=name, value=option.value, **chosen),
        _words(option.title, option.about),
        class_name="radio-card",
    )


def checkbox(name: str, title: Any, about: Any = "", **props: Any) -> rx.Component:
    return rx.el.label(rx.el.input(type="checkbox", name=name, **props), _words(title, about), class_name="check")


def check_card(name: str, title: Any, about: Any = "", **props: Any) -> rx.Component:
    """A checkbox that looks like a radio card: several may be chosen."""
    return rx.el.label(rx.el.input(type="checkbox", name=name, **props), _words(title, about), class_name="radio-card")


def _words(title: Any, about: Any) -> rx.Component:
    return rx.el.span(rx.el.span(title, class_name="title"), rx.el.span(about, class_name="about"))
