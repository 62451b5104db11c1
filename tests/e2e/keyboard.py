"""The main way through the product for somebody without a mouse: connect, preview, apply, settle, take back."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
from playwright.sync_api import Locator, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from tests.e2e.conftest import OWNER, PASSWORD, hydrated
from tests.e2e.looking import settled

RUN_MS = 60_000.0
_RUN_PAGE = re.compile(r"/syncs/[0-9a-f-]{36}/?$")


@dataclass(frozen=True, slots=True)
class Made:
    """Where the way by keyboard has been."""

    dry_run: str
    sync: str
    conflict: str


_STOPS = 120
_UNSEEN = """
() => {
  const one = document.activeElement;
  if (one === document.body) return "";
  const ringed = (e) => getComputedStyle(e).outlineStyle !== "none" && parseFloat(getComputedStyle(e).outlineWidth) >= 2;
  if (!ringed(one) && !(one.closest("label") && ringed(one.closest("label")))) return "no ring: " + one.outerHTML.slice(0, 160);
  const box = one.getBoundingClientRect();
  const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  const own = top && (one.contains(top) || top.contains(one));
  return own ? "" : "hidden: " + one.outerHTML.slice(0, 160);
}
"""


class Keyboard:
    """Somebody without a mouse, who has to see at every stop where they are."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def press(self, *keys: str) -> None:
        for key in keys:
            self._page.keyboard.press(key)

    def type(self, text: str) -> None:
        self._page.keyboard.type(text)

    def to(self, wanted: Locator) -> None:
        """One stop after the other, and not for ever."""
        wanted.wait_for()
        for _ in range(_STOPS):
            if wanted.evaluate("one => one === document.activeElement"):
                return
            self._page.keyboard.press("Tab")
            self._sees()
        pytest.fail(f"{wanted} is not reached by the tab key")

    def _sees(self) -> None:
        """At once, or when what the focus brought in has been painted."""
        try:
            self._page.wait_for_function(f"() => ({_UNSEEN})() === ''", timeout=20_000)
        except PlaywrightTimeout:
            pytest.fail(str(self._page.evaluate(_UNSEEN)))

    def choose(self, wanted: Locator) -> None:
        self.to(wanted)
        self.press("Enter")


def main_way(page: Page) -> Made:
    keys = Keyboard(page)
    sign_in_by_keyboard(page, keys)
    connect_by_keyboard(page, keys)
    dry_run = dry_run_by_keyboard(page, keys)
    sync = apply_by_keyboard(page, keys)
    conflict = settle_by_keyboard(page, keys)
    undo_by_keyboard(page, keys, conflict)
    return Made(dry_run, sync, conflict)


def sign_in_by_keyboard(page: Page, keys: Keyboard) -> None:
    page.goto("/")
    expect(page.get_by_label("Email")).to_be_focused()
    keys.type(OWNER)
    keys.to(page.get_by_label("Password"))
    keys.type(PASSWORD)
    keys.press("Enter")
    hydrated(page)
    keys.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    keys.press("Enter")
    expect(page.locator("#content")).to_be_focused()


def connect_by_keyboard(page: Page, keys: Keyboard) -> None:
    """The first stop after the skipped navigation leads on; a page that is come to begins at its title."""
    keys.choose(page.locator(".next-steps").get_by_role("link", name="Connect"))
    expect(page.get_by_role("heading", name="Connect", level=1)).to_be_focused()
    keys.choose(page.get_by_test_id("try-sandbox"))
    disconnect = page.get_by_role("button", name="Disconnect")
    expect(disconnect).to_be_visible(timeout=RUN_MS)
    hydrated(page)
    keys.choose(disconnect)
    dialog = page.get_by_role("dialog", name="Disconnect this account?")
    expect(dialog.get_by_role("textbox")).to_be_focused()
    keys.press("Escape")
    expect(dialog).to_have_count(0)
    expect(disconnect).to_be_focused()


def dry_run_by_keyboard(page: Page, keys: Keyboard) -> str:
    keys.choose(page.get_by_role("main").get_by_role("link", name="New sync"))
    flag = page.get_by_role("radio", name="Flag for review")
    keys.to(page.get_by_role("radio", name="Skip"))
    keys.press("ArrowDown", "ArrowDown")
    expect(flag).to_be_checked()
    keys.choose(page.get_by_role("button", name="Dry run"))
    page.wait_for_url(_RUN_PAGE)
    ended(page, "Dry run")
    keys.choose(page.get_by_role("link", name="Report", exact=True))
    page.wait_for_url("**/report*")
    return page.url


def apply_by_keyboard(page: Page, keys: Keyboard) -> str:
    """Asked twice: the first time, no is said, and the keyboard stands where it stood."""
    apply = page.get_by_role("button", name="Apply this plan")
    keys.choose(apply)
    dialog = page.get_by_role("dialog", name="Apply this plan?")
    dialog.wait_for()
    keys.press("Escape")
    expect(dialog).to_have_count(0)
    expect(apply).to_be_focused()
    keys.press("Enter")
    keys.choose(dialog.get_by_role("button", name="Apply", exact=True))
    page.wait_for_url(_RUN_PAGE)
    ended(page, "applied · #")
    return page.url


def ended(page: Page, kind: str) -> None:
    """Of this run: the page before may have shown another one."""
    expect(page.get_by_role("heading", name=kind, level=1)).to_be_visible()
    expect(page.locator(".pill").filter(has_text=re.compile("^Completed"))).not_to_have_count(0, timeout=RUN_MS)
    settled(page)


def settle_by_keyboard(page: Page, keys: Keyboard) -> str:
    """Three of them, each leading to the next. Where the first one is."""
    keys.press("Tab")
    keys.choose(page.get_by_role("navigation", name="Main").get_by_role("link", name="Conflicts"))
    page.locator("[data-row]").first.wait_for()
    keys.press("f")
    reason = page.locator(".facets").get_by_role("link", name="Changed here and in Stripe")
    keys.choose(reason)
    page.wait_for_url("**reason=both_changed**")
    expect(reason).to_have_attribute("aria-current", "true")
    keys.press("j", "j", "Enter")
    page.wait_for_url("**/conflicts/**")
    first = page.url
    for _ in range(3):
        shown = page.locator(".facts [aria-label='Copy Stripe id']").get_attribute("data-copy")
        expect(page.locator("#page-title")).to_be_focused()
        for field in range(page.locator('.conflict-field[data-row=""]').count()):
            keys.press(*["j"] * bool(field), "1")
            expect(page.locator('[data-take="1"][aria-pressed=true]')).to_have_count(field + 1)
        expect(page.get_by_role("button", name=re.compile("^Apply"))).to_be_enabled()
        keys.press("Control+Enter")
        expect(page.locator(".facts [aria-label='Copy Stripe id']")).not_to_have_attribute("data-copy", str(shown))
    return first


def undo_by_keyboard(page: Page, keys: Keyboard, conflict: str) -> None:
    """From the list of what is settled; the button that was pressed is gone, and the keyboard is not lost."""
    keys.choose(page.get_by_role("main").get_by_role("link", name="Conflicts", exact=True))
    keys.choose(page.get_by_role("link", name="Settled"))
    expect(page.locator("[data-row]")).to_have_count(3)
    keys.press("j", "Enter")
    page.wait_for_url(conflict.split("?", maxsplit=1)[0] + "**")
    keys.choose(page.get_by_role("main").get_by_role("button", name="Undo"))
    expect(page.get_by_text("The conflict is open again")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Apply"))).to_be_visible()
    assert page.evaluate("document.activeElement !== document.body")
