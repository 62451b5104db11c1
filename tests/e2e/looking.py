"""A page looked at as everybody may have it: light and dark, on a desk, a tablet and a phone, and at four times its size.

What is asked of it everywhere: nothing that axe finds more than minor, no sideways scrolling, no text beyond its edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from playwright.sync_api import Page, expect

from tests.e2e.conftest import axe, screenshot

WIDTHS = (1440, 768, 360)
ZOOMED = 320
"""1280 pixels at 400 percent: WCAG's reflow."""
_HEIGHT = 900
# A theme changes colours and nothing else.
_OF_COLOUR = ["color-contrast", "link-in-text-block"]
_DOOR_THEME = "theme => document.querySelector('.door') && (document.documentElement.className = theme)"
_SIDEWAYS = "document.documentElement.scrollWidth > innerWidth"


# A moment is in the workspace's zone, and says what it is in UTC.
_BARE_TIMES = r"""
() => {
  const found = [];
  const texts = document.createTreeWalker(document.getElementById("content") ?? document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const { data, parentElement } = texts.currentNode;
    if (/\b\d{1,2}:\d{2}\b/.test(data) && !parentElement.closest("[title*=UTC]")) found.push(data.slice(0, 80));
  }
  return found;
}
"""


# Text beyond the edge of what it stands in; tabs and wide tables have a scroll of their own.
_STICKING_OUT = """
() => {
  const found = [];
  for (const one of document.querySelectorAll("main :not(.tabs *)")) {
    const frame = one.parentElement.closest("td, th, li, .card, .tile, .callout, .table-scroll, main");
    if (frame.matches(".table-scroll") || one.children.length > 0 || !one.textContent.trim() || !one.checkVisibility()) continue;
    const out = one.getBoundingClientRect().right - frame.getBoundingClientRect().right;
    if (out > 1) found.push(`${Math.round(out)} px of ${one.outerHTML.slice(0, 160)}`);
  }
  return found;
}
"""


# How much of what was shown has moved by itself while the page came (CLS). Content that takes a skeleton's place is new, not moved.
_WATCH_SHIFTS = """
window.shifted = 0;
new PerformanceObserver((list) => list.getEntries().filter((one) => !one.hadRecentInput).forEach((one) => (shifted += one.value)))
  .observe({ type: "layout-shift", buffered: true });
"""
_MOST_SHIFTED = 0.1


def watch_shifts(page: Page) -> None:
    """From here on, `wrong_with` tells pages that moved."""
    page.add_init_script(_WATCH_SHIFTS)


def scrolls_sideways(page: Page) -> bool:
    return bool(page.evaluate(_SIDEWAYS))


def settled(page: Page) -> None:
    """Nothing on the page is still on its way."""
    expect(page.locator("[aria-busy=true]")).to_have_count(0)


def in_theme(page: Page, theme: Any) -> None:
    """By the system's setting, which the dashboard follows at once; pages before sign-in only when they load."""
    page.emulate_media(color_scheme=theme)
    page.evaluate(_DOOR_THEME, theme)
    # Looked at with each frame: an expectation looks again after a tenth of a second, some three hundred times in all.
    page.wait_for_function("theme => document.documentElement.classList.contains(theme)", arg=theme)


def wrong_with(page: Page, name: str, widths: Sequence[int] = WIDTHS) -> list[str]:
    """What is to be mended on the page as it stands, each with its name, size and theme."""
    settled(page)
    wrong = [f"a time without UTC: {one}" for one in page.evaluate(_BARE_TIMES)]
    shifted = page.evaluate("window.shifted ?? 0")
    wrong += [f"moved by {shifted:.3f}"] * (shifted > _MOST_SHIFTED)
    for place, width in enumerate(widths):
        page.set_viewport_size({"width": width, "height": _HEIGHT})
        for theme, rules in (("light", ()), ("dark", _OF_COLOUR)):
            in_theme(page, theme)
            screenshot(page, f"{name}-{width}-{theme}")
            # Once with what is behind a dialog, then the dialog: the page itself is looked at without one.
            whole = place == 0 and theme == "light"
            wrong += [f"{width} {theme}: {one}" for one in axe(page, *rules, whole=whole)]
        wrong += [f"{width}: scrolls sideways"] * scrolls_sideways(page)
    page.set_viewport_size({"width": ZOOMED, "height": _HEIGHT})
    screenshot(page, f"{name}-{ZOOMED}-zoomed")
    wrong += [f"{ZOOMED}: scrolls sideways"] * scrolls_sideways(page)
    wrong += [f"{ZOOMED}: sticks out by {one}" for one in page.evaluate(_STICKING_OUT)]
    page.set_viewport_size({"width": WIDTHS[0], "height": _HEIGHT})
    return [f"{name} {one}" for one in wrong]
