"""What a run came to, and what to do next."""

from __future__ import annotations

from typing import Any

import reflex as rx

from dashboard import components as ui
from dashboard.pages.sync_state import SyncState


def outcome() -> rx.Component:
    """What to do now that it has ended."""
    return rx.fragment(
        rx.cond(SyncState.has_plan, _plan(), rx.fragment()),
        rx.cond(
            SyncState.rest_href != "",
            _leads_to(
                ui.button_link("On to the rest", SyncState.rest_href, variant="primary", small=True),
                "Look at what it made of them, below and under Records. Then apply the rest of the plan.",
                title="The first of the plan are applied",
            ),
            rx.fragment(),
        ),
        rx.cond(SyncState.has_plan, rx.fragment(), _fell_short()),
        rx.cond(
            SyncState.review != "",
            _leads_to(
                ui.button_link("Review them", SyncState.review_href, small=True),
                "They differ from Stripe and were left as they are.",
                title=SyncState.review + " went to review",
                kind="conflict",
            ),
            rx.fragment(),
        ),
        rx.cond(SyncState.has_outcome, next_steps(), rx.fragment()),
    )


def _plan() -> rx.Component:
    """In one box, also where some of it failed."""
    report = ui.button_link("Open the report", SyncState.report_href, variant="primary", small=True)
    nothing = "Nothing has been written: a dry run's role in the database can't. "
    return rx.cond(
        SyncState.status == "partial",
        _leads_to(
            report,
            rx.fragment(
                nothing,
                rx.cond(
                    SyncState.problems.length() > 0,
                    "What failed is listed below, and is no part of the plan: retry it, or apply the plan without it.",
                    "Not all that it read has landed: see below, and fetch what is missing.",
                ),
            ),
            title="The plan is ready, but for what failed",
            kind="warn",
        ),
        _leads_to(report, nothing + "Look at the report, then apply exactly this plan.", title="The plan is ready"),
    )


def next_steps() -> rx.Component:
    """After a sync that came to its end, as far as there is something to do."""
    return ui.card(
        rx.el.ul(
            rx.cond(
                SyncState.beside_plan != "",
                _next(
                    "git-compare-arrows",
                    "Compared with its plan",
                    SyncState.beside_plan,
                    ui.button_link("Compare", SyncState.compare_href, small=True),
                ),
                rx.fragment(),
            ),
            _next(
                "file-text",
                "What became of each object",
                "By entity type and outcome, each number with its rows.",
                ui.button_link("Open the report", SyncState.report_href, small=True),
            ),
            rx.cond(
                SyncState.lacks_schedule,
                _next(
                    "calendar-clock",
                    "The same again, by itself",
                    "Every few hours, every night or every week: each run finds what has changed since.",
                    ui.button_link("Set a schedule", "/schedules?add=last", small=True),
                ),
                rx.fragment(),
            ),
            rx.cond(
                SyncState.lacks_webhook,
                _next(
                    "webhook",
                    "Stripe's webhook events",
                    "With them a later report tells what has changed in Stripe since it was read.",
                    ui.button_link("Set up", "/connect", small=True),
                ),
                rx.fragment(),
            ),
            class_name="next-steps",
        ),
        title="What next",
    )


def _next(icon: str, title: str, about: Any, link: rx.Component) -> rx.Component:
    return rx.el.li(ui.icon(icon, 20), rx.el.div(rx.el.strong(title), rx.el.div(about, class_name="muted small")), link)


def _leads_to(link: rx.Component, text: Any, *, title: Any, kind: str = "success") -> rx.Component:
    return ui.callout(text, rx.el.div(link, style={"marginTop": "var(--s2)"}), kind=kind, title=title)


def _fell_short() -> rx.Component:
    """Why not all of it is done, and how it goes on."""
    return rx.match(
        SyncState.status,
        (
            "partial",
            ui.callout(
                SyncState.goes_on,
                kind="warn",
                title=rx.cond(SyncState.problems.length() > 0, "Some records failed", "Not all of it is done"),
            ),
        ),
        (
            "failed",
            ui.callout(
                rx.cond(SyncState.error != "", SyncState.error, "It could not go on."),
                rx.el.p(SyncState.stays, " ", SyncState.goes_on),
                kind="danger",
                title="The sync failed",
            ),
        ),
        ("cancelled", ui.callout(rx.fragment(SyncState.stays, " ", SyncState.goes_on), title="The sync was cancelled")),
        rx.fragment(),
    )
