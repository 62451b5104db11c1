"""The gallery's pictures of runs, and what people choose between: as the pages make them, of figures that were made up."""

from __future__ import annotations

import reflex as rx

from dashboard import components as ui
from dashboard.pages import run_charts
from dashboard.pages import run_parts as parts
from dashboard.pages.sync import lane
from dashboard.pages.sync_rows import LaneRow
from dashboard.pages.sync_stepper import step
from sync_core.domain.vocabulary import Role, Step

_BEGUN = ("done", "now", "waits", "stopped")
_STATES = ("done", "done", "now", "waits", "idle", "stopped", "unreached", "next")
_COVERED = (10,) * 20 + (7,) * 6 + (4,) * 4 + (0,) * 10 + (10,) * 12 + (2,) * 4 + (0,) * 4
_PACE = run_charts.PaceChart(
    cells=8,
    objects="M0 40H1V20H3V5H6V12H8V40z",
    requests="M0 40H1V30H5V18H8V40z",
    peak="2,450/s",
    peak_requests="24/s",
    span="8 s",
    said="Over 8 s: 1,900/s objects on average, 2,450/s at most",
)
_MIXED = [
    run_charts.MixRow(
        entity="customers",
        label="Customers",
        total="48,204",
        said="Create 20,000, Update 9,000, Unchanged 9,204, Skip 4,000, Conflict 4,000, Error 2,000",
        parts=[
            run_charts.MixPart(tone, width)
            for tone, width in (
                ("success", "41%"),
                ("info", "19%"),
                ("neutral", "19%"),
                ("skip", "8%"),
                ("conflict", "8%"),
                ("danger", "5%"),
            )
        ],
    )
]
_LANE = LaneRow(
    span="1 Jan 2026, 00:00 to 1 Mar 2026, 00:00",
    about="14 pages, 1,400 objects, down to 11 Jan 2026, 09:05",
    request="req_1MxTqLKyphera",
    left="20%",
    width="50%",
    read="70%",
)


def _step(one: Step, state: str) -> rx.Component:
    took, span = ("4 s", "09:05:00 to 09:05:04") if state in _BEGUN else ("", "")
    return step(rx.Var.create([one.value, state, span]), rx.Var.create(took))


def a_run() -> rx.Component:
    return ui.card(
        rx.el.ol(
            *[_step(one, state) for one, state in zip(Step, _STATES, strict=True)],
            class_name="stepper",
            aria_label="Steps of a run",
            title="Times in UTC",
        ),
        parts.coverage_bar(parts.area(_COVERED), "Customers: what has been read of the date range, oldest first"),
        rx.el.div(lane(rx.Var.create(_LANE)), class_name="lanes", title="Times in UTC"),
        rx.el.div(
            parts.figure("Created", "20,000"),
            parts.figure("Updated", "9,000"),
            parts.figure("Requests to Stripe", "482", note="2 times 429"),
            class_name="figures",
        ),
        title="A run",
    )


def charts() -> rx.Component:
    return ui.card(
        run_charts.mix(rx.Var.create(_MIXED)),
        run_charts.pace(rx.Var.create(_PACE)),
        rx.el.div(
            *[
                rx.el.span(class_name=f"kind-{kind}", style={"width": "30%"})
                for kind in ("filled", "replaced", "emptied")
            ],
            role="img",
            aria_label="Filled in, another value, emptied",
            class_name="bar",
        ),
        title="Charts",
        about="Each with its data beside or below it.",
    )


def differences() -> rx.Component:
    """Chosen, to be chosen, and not to be chosen by this person."""
    return ui.card(
        rx.el.p("Ada ", rx.el.del_("Ltd"), " ", rx.el.ins("GmbH")),
        *[
            rx.el.div(
                *[
                    rx.el.button(
                        side, type="button", aria_pressed="true" if side == "Stripe" else "false", disabled=disabled
                    )
                    for side in ("Ours", "Stripe", "Last sync")
                ],
                role="group",
                aria_label=label,
                class_name="segmented",
                style={"alignSelf": "flex-start"},
            )
            for label, disabled in (("Take for the name", False), ("Taken for the name", True))
        ],
        rx.el.ol(
            rx.el.li(
                rx.el.div("Edited here", class_name="strong"),
                ui.moment("26 Nov 2026, 09:05", "2026-11-26 00:05:00 UTC"),
            ),
            rx.el.li(
                rx.el.div("Added here", class_name="strong"), ui.moment("25 Nov 2026, 09:05", "2026-11-25 00:05:00 UTC")
            ),
            class_name="record-history",
        ),
        ui.takes_a_role(Role.OPERATOR, "settle conflicts"),
        title="Differences and choices",
    )
