"""What the pages of runs share: times and figures in words, addresses, and the parts that draw them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import reflex as rx

from dashboard import components as ui
from sync_core.domain.time_left import Range, rounded
from sync_core.domain.vocabulary import EntityType
from sync_core.services.history import kind_of
from sync_core.services.record_views import When
from sync_core.services.session_views import SessionView
from sync_core.store.overview import Count


def run_href(session_id: Any) -> str:
    return f"/syncs/{session_id}"


def report_href(session_id: Any) -> str:
    return f"/syncs/{session_id}/report"


def compare_href(one: Any, other: Any) -> str:
    return f"/syncs/compare?one={one}&other={other}"


def id_in(path: str) -> UUID | None:
    """The run that an address is about: its second part."""
    parts = [part for part in path.split("/") if part]
    return parsed_id(parts[1]) if len(parts) > 1 else None


def parsed_id(word: str) -> UUID | None:
    try:
        return UUID(word)
    except ValueError:
        return None


def duration(seconds: float | None) -> str:
    """`<1 s`, `48 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds is None:
        return "—"
    if seconds < 1:
        return "<1 s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def about(left: Range) -> str:
    """A range of seconds as a person would say it."""
    if left[1] < 10:
        return "a few seconds left"
    low, high = rounded(left)
    unit, seconds = ("s", 1) if high <= 180 else ("min", 60) if high < 4 * 3600 else ("h", 3600)
    least, most = low // seconds, -(-high // seconds)
    return f"about {least} to {most} {unit} left" if least else f"under {most} {unit} left"


def rate(per_second: float | None) -> str:
    if per_second is None:
        return "—"
    return f"{per_second:,.0f}/s" if per_second >= 10 or per_second == 0 else f"{per_second:.1f}/s"


def counted(count: Count) -> str:
    """Estimates are rounded to three figures: more would only look exact."""
    if count.is_exact:
        return f"{count.value:,}"
    step = 10 ** max(0, len(str(count.value)) - 3)
    return f"~{round(count.value / step) * step:,}"


def capped(count: Count) -> str:
    return f"{count.value:,}" if count.is_exact else f"{count.value:,}+"


def described(view: SessionView) -> str:
    """One line that tells a run from others."""
    return f"{kind_of(view)} · {entities(view)}"


def entities(view: SessionView) -> str:
    chosen = view.config.entity_types
    return "All entity types" if len(chosen) == len(EntityType) else ", ".join(entity.label for entity in chosen)


LONGEST = 240


def clipped(text: str, longest: int = LONGEST) -> str:
    """What others wrote, at a length that a list can show; all of it is in the export and over REST."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def when(moment: int | None, zone: str) -> When:
    return When.of(moment, zone)


def area(cells: Sequence[int]) -> str:
    """An SVG path of a bar chart of tenths, one unit wide each and ten high, from its foot on: short, as it is sent each second."""
    path, height, start = [], 0, 0
    while start < len(cells):
        end = start
        while end < len(cells) and cells[end] == cells[start]:
            end += 1
        rise = height - cells[start]
        path.append(f"v{rise}h{end - start}" if rise else f"h{end - start}")
        height, start = cells[start], end
    return f"M0 10{''.join(path)}V10z" if any(cells) else ""


def share_of(cells: Sequence[int]) -> int:
    """In per cent, and 100 only when nothing is left out."""
    return sum(cells) * 10 // len(cells) if cells else 0


def coverage_bar(path: Any, label: Any) -> rx.Component:
    """Which parts of the date range have been read, oldest on the left."""
    return rx.el.svg(
        rx.el.svg.path(d=path),
        view_box="0 0 60 10",
        role="img",
        aria_label=label,
        class_name="coverage",
        custom_attrs={"preserveAspectRatio": "none"},
    )


def figure(label: Any, value: Any, *, note: Any = None) -> rx.Component:
    """A number with its name, for rows of them."""
    more = [rx.el.span(note, class_name="muted xsmall")] if note is not None else []
    return rx.el.div(rx.el.span(label, class_name="muted small"), rx.el.strong(value), *more, class_name="figure")


def turning(turned: rx.Var[bool], following: rx.Var[str], turn: Any) -> rx.Component:
    """Back to the first page, and on to the next; nothing where there is only one. `turn` takes a cursor."""
    first = ui.button("First", small=True, icon_name="chevrons-left", on_click=turn(""))
    more = ui.button("Next", small=True, icon_name="chevron-right", on_click=turn(following))
    return rx.cond(
        turned | (following != ""),
        rx.el.div(
            rx.cond(turned, first, rx.fragment()),
            rx.cond(following != "", more, rx.fragment()),
            class_name="pager",
            style={"padding": "0 var(--s5) var(--s4)"},
        ),
        rx.fragment(),
    )


def renewed(on_click: Any) -> rx.Component:
    """What the browser clicks every few seconds while somebody looks at a page that changes by itself (`assets/ui.js`)."""
    return rx.el.button(type="button", hidden=True, on_click=on_click, custom_attrs={"data-renew": ""})


def missing(text: Any) -> rx.Component:
    return ui.empty_state("No such sync", text, "All syncs", "/syncs", icon_name="search-x")
