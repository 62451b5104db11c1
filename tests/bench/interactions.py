"""How long every page takes to show that somebody did something (INP): pointer and keys of the browser's own, the worst one of each page.

What is done changes nothing but what is on the screen, or choices on one conflict that nobody applies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from playwright.sync_api import Page

from tests.e2e.conftest import hydrated, visit
from tests.large_data import Large

Act = tuple[str, Callable[[Page], None]]
# The browser tells of an interaction once the frame after it has been painted.
_TOLD = """
async () => {
  for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
  await new Promise((then) => setTimeout(then, 80));
  return window.slowest;
}
"""


@dataclass(frozen=True, slots=True)
class Slowest:
    """Of a page. Shorter than two frames is not told, and is 0."""

    page: str
    what: str
    ms: float


def pages(large: Large) -> dict[str, tuple[str, Sequence[Act]]]:
    run = f"/syncs/{large.session_id}"
    return {
        "Overview": ("/", ()),
        "Connect": ("/connect", (("a dialog", _dialog("Disconnect")),)),
        "New sync": (
            "/syncs/new",
            (("a box", _click("main input[type=checkbox]")), ("a choice", _click("main input[type=radio]"))),
        ),
        "Syncs": ("/syncs", (("a box", _click("tbody input[type=checkbox]")), ("next page", _link("Next")))),
        "Sync": (run, ()),
        "Report": (f"{run}/report", (("a cell", _click("main tbody td a")),)),
        "Conflicts": ("/conflicts", CONFLICTS),
        "Decisions": ("/conflicts/history", ()),
        "Rules": ("/conflicts/rules", ()),
        "Records": (
            "/records/customers",
            (("next page", _link("Next")), ("an order", _click("thead a, thead button"))),
        ),
        "Record": (f"/records/customers/{large.record_id}", (("the editor", _click("main button:has-text('Edit')")),)),
        "Design": (
            "/design",
            (("a dialog", _dialog("Open a dialog")), ("a toast", _click("main button:has-text('Success')"))),
        ),
    }


def _click(selector: str) -> Callable[[Page], None]:
    return lambda page: page.locator(selector).first.click()


def _link(name: str) -> Callable[[Page], None]:
    return lambda page: page.get_by_role("link", name=name).click()


def _dialog(button: str) -> Callable[[Page], None]:
    def opened_and_shut(page: Page) -> None:
        page.get_by_role("button", name=button).first.click()
        page.locator("dialog[open]").wait_for()
        page.keyboard.press("Escape")
        page.locator("dialog[open]").wait_for(state="detached")

    return opened_and_shut


def _keys(*keys: str) -> Callable[[Page], None]:
    def pressed(page: Page) -> None:
        for key in keys:
            page.keyboard.press(key)

    return pressed


CONFLICTS: Sequence[Act] = (
    ("keys in the list", _keys("j", "j", "k", "x", "x")),
    ("a dialog", _dialog("Settle all matching")),
    ("a row's box", _click("tbody input[type=checkbox]")),
    ("all boxes", _click("thead input[type=checkbox]")),
    ("a row's own editor", _click("[aria-label^='Decide here']")),
    ("a side of a field", _click("[aria-label^='Take for'] :is(button, label)")),
    ("next page", _link("Next")),
    ("a filter", _click("nav[aria-label=Filters] a")),
)
EVERYWHERE: Sequence[Act] = (
    ("the dark theme", _click("[aria-label='Dark theme']")),
    ("the light theme", _click("[aria-label='Light theme']")),
    ("the account's menu", _click(".rail .menu summary")),
    ("the tab key", _keys(*["Tab"] * 8)),
)


def measured(page: Page, large: Large) -> Iterator[Slowest]:
    for title, (path, acts) in pages(large).items():
        visit(page, path)
        found = [Slowest(title, what, _one(page, act)) for what, act in (*acts, *EVERYWHERE)]
        visit(page, path)
        found += [Slowest(title, what, _one(page, act)) for what, act in _fields(page)]
        yield max(found, key=lambda one: one.ms)


def _one(page: Page, act: Callable[[Page], None]) -> float:
    page.evaluate("window.slowest = 0")
    act(page)
    hydrated(page)
    slowest: float = page.evaluate(_TOLD)
    return slowest


def _fields(page: Page) -> Iterator[Act]:
    """What is typed into and chosen from, where the page has any. A choice may lead elsewhere, so it comes last."""
    texts, lists = (
        page.locator("main :is(input[type=text], input[type=search], textarea):visible"),
        page.locator("main select:visible"),
    )
    if texts.count():
        yield "typing", lambda _: texts.first.press_sequentially("ltd")
    if lists.count():
        yield "a list", lambda _: lists.first.press("ArrowDown")
