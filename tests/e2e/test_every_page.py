"""Every page, with nothing on it, with all of it, and when something is wrong, as everybody may look at it; and the main way by keyboard.

The way by keyboard comes first: what it leaves behind is what the pages are looked at with.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from argon2 import PasswordHasher
from playwright.sync_api import Browser, Locator, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from sync_core.domain.vocabulary import EntityType
from tests.e2e.conftest import OWNER, PASSWORD, Opener, Served, hydrated, profiles, serving, sign_in, visit
from tests.e2e.looking import settled, wrong_with

RUN_MS = 60_000.0
RUN_PAGE = re.compile(r"/syncs/[0-9a-f-]{36}/?$")
NOBODY = "00000000-0000-0000-0000-000000000000"
NEWCOMER, VIEWER = "new@example.com", "viewer@example.com"
SETUP_TOKEN = "a token for looking only"


@pytest.fixture(scope="module")
def served(server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(server_url, template, tmp_path_factory.mktemp("pages")) as found:
        with psycopg.connect(found.database_url, autocommit=True) as connection:
            add_people(connection)
        yield found


def add_people(connection: psycopg.Connection) -> None:
    """The owner of an empty workspace, somebody who may only look at the full one, and a set-up link that is open."""
    hashed = PasswordHasher().hash(PASSWORD)
    [(full,)] = connection.execute("SELECT id FROM workspaces").fetchall()
    [(empty,)] = connection.execute("INSERT INTO workspaces (name) VALUES ('Empty') RETURNING id").fetchall()
    for email, workspace, role in ((NEWCOMER, empty, "owner"), (VIEWER, full, "viewer")):
        connection.execute(
            "WITH one AS (INSERT INTO users (email, password_hash) VALUES (%s, %s) RETURNING id)"
            " INSERT INTO memberships (workspace_id, user_id, role) SELECT %s, id, %s FROM one",
            (email, hashed, workspace, role),
        )
    connection.execute(
        "INSERT INTO setup_tokens (token_hash, expires_at) VALUES (%s, now() + interval '1 hour')",
        (hashlib.sha256(SETUP_TOKEN.encode()).hexdigest(),),
    )


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
            self._page.wait_for_function(f"() => ({_UNSEEN})() === ''", timeout=2_000)
        except PlaywrightTimeout:
            pytest.fail(str(self._page.evaluate(_UNSEEN)))

    def choose(self, wanted: Locator) -> None:
        self.to(wanted)
        self.press("Enter")


@pytest.fixture(scope="module")
def made(served: Served, browser: Browser) -> Made:
    with profiles(browser, served) as opened:
        page = opened()
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
    page.wait_for_url(RUN_PAGE)
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
    page.wait_for_url(RUN_PAGE)
    ended(page, "Plan applied")
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
        shown = page.locator(".facts [data-copy]").get_attribute("data-copy")
        expect(page.locator("#page-title")).to_be_focused()
        for field in range(page.locator('.conflict-field[data-row=""]').count()):
            keys.press(*["j"] * bool(field), "1")
            expect(page.locator('[data-take="1"][aria-pressed=true]')).to_have_count(field + 1)
        expect(page.get_by_role("button", name=re.compile("^Apply"))).to_be_enabled()
        keys.press("Control+Enter")
        expect(page.locator(".facts [data-copy]")).not_to_have_attribute("data-copy", str(shown))
    return first


def undo_by_keyboard(page: Page, keys: Keyboard, conflict: str) -> None:
    """From the list of what is settled; the button that was pressed is gone, and the keyboard is not lost."""
    keys.choose(page.get_by_role("main").get_by_role("link", name="Conflicts", exact=True))
    keys.choose(page.get_by_role("link", name="Settled"))
    expect(page.locator("[data-row]")).to_have_count(3)
    keys.press("j", "Enter")
    page.wait_for_url(conflict.split("?", maxsplit=1)[0] + "**")
    keys.choose(page.get_by_role("button", name="Undo"))
    expect(page.get_by_text("The conflict is open again")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Apply"))).to_be_visible()
    assert page.evaluate("document.activeElement !== document.body")


def test_the_main_way_needs_no_mouse(made: Made) -> None:
    assert made.conflict


EMPTY = {
    "overview": "/",
    "connect": "/connect",
    "new sync": "/syncs/new",
    "syncs": "/syncs",
    "conflicts": "/conflicts",
    "records": "/records/customers",
}


def test_pages_with_nothing_on_them(open_page: Opener) -> None:
    page = open_page()
    wrong: list[str] = []
    sign_in(page, email=NEWCOMER, path="/")
    for name, path in EMPTY.items():
        visit(page, path)
        wrong += wrong_with(page, f"empty-{name}")
    assert "\n".join(wrong) == ""


def test_pages_with_all_of_it(open_page: Opener, made: Made) -> None:
    page = open_page()
    wrong: list[str] = []
    sign_in(page, path="/")
    for name, path in full(page, made).items():
        visit(page, path)
        wrong += wrong_with(page, f"full-{name}")
    assert "\n".join(wrong) == ""


def full(page: Page, made: Made) -> dict[str, str]:
    """By the addresses that pages themselves lead to."""
    one, other = (path.rsplit("/", 1)[1] for path in (made.sync, made.dry_run.split("/report")[0]))
    return {
        "overview": "/",
        "connect": "/connect",
        "new sync": "/syncs/new",
        "syncs": "/syncs",
        "compare": f"/syncs/compare?one={other}&other={one}",
        "sync": made.sync,
        "report": made.dry_run,
        "conflicts": "/conflicts",
        "settled": "/conflicts?status=resolved",
        "conflict": made.conflict,
        "invoices": "/records/invoices",
        "record": first_link(page, "/records/customers?status=conflict"),
        "history of a record": first_link(page, "/records/subscriptions"),
        "design": "/design",
    }


def first_link(page: Page, path: str) -> str:
    visit(page, path)
    found = page.locator("tbody th a").first.get_attribute("href")
    assert found is not None
    return found


DIALOGS = {
    "disconnect": ("/connect", "Disconnect", "Disconnect this account?"),
    "settle all": ("/conflicts", "Settle all matching…", "Settle many at once"),
    "import": ("/conflicts", "Import decisions…", "Import decisions"),
    "design": ("/design", "Open a dialog", "Cancel this sync?"),
}


@pytest.mark.usefixtures("made")
def test_dialogs(open_page: Opener) -> None:
    page = open_page()
    wrong: list[str] = []
    sign_in(page, path="/")
    for name, (path, button, title) in DIALOGS.items():
        visit(page, path)
        page.get_by_role("button", name=button).click()
        expect(page.get_by_role("dialog", name=title)).to_be_visible()
        wrong += wrong_with(page, f"dialog-{name}")
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
    assert "\n".join(wrong) == ""


WRONG = {
    "sync": (f"/syncs/{NOBODY}", "No such sync"),
    "report": (f"/syncs/{NOBODY}/report", "No such sync"),
    "compare": (f"/syncs/compare?one={NOBODY}&other={NOBODY}", "No such sync"),
    "conflict": (f"/conflicts/{NOBODY}", "No such conflict"),
    "no conflicts": ("/conflicts?q=nobody+at+all", "Nothing matches"),
    "record": (f"/records/customers/{NOBODY}", "Not found"),
    "no records": ("/records/customers?q=nobody+at+all", "Nothing matches"),
}


def test_pages_of_what_is_not_there(open_page: Opener) -> None:
    page = open_page()
    wrong: list[str] = []
    sign_in(page, path="/")
    for name, (path, words) in WRONG.items():
        visit(page, path)
        expect(page.get_by_role("heading", name=words)).to_be_visible()
        wrong += wrong_with(page, f"wrong-{name}")
    assert "\n".join(wrong) == ""


@pytest.mark.usefixtures("made")
def test_mistakes(open_page: Opener) -> None:
    page = open_page()
    wrong: list[str] = []
    sign_in(page, path="/")
    visit(page, "/connect")
    page.get_by_role("button", name="Replace key").click()
    page.get_by_label("Stripe key").fill("pk_test_not_a_key_that_reads")
    page.get_by_role("button", name="Check and replace").click()
    expect(page.get_by_text("Checking…")).to_have_count(0, timeout=RUN_MS)
    wrong += wrong_with(page, "mistake-connect")
    visit(page, "/syncs/new")
    for entity in reversed(EntityType):
        page.locator(f"input[value={entity.value}]").uncheck()
    page.get_by_role("button", name="Dry run").click()
    expect(page.get_by_text("Nothing was started").first).to_be_visible()
    wrong += wrong_with(page, "mistake-new-sync")
    assert "\n".join(wrong) == ""


def test_the_doors(open_page: Opener) -> None:
    page = open_page()
    wrong: list[str] = []
    page.goto("/auth/sign-in")
    wrong += wrong_with(page, "door-sign-in")
    page.get_by_label("Email").fill("nobody@example.com")
    page.get_by_label("Password").fill("not the password at all")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    wrong += wrong_with(page, "door-refused")
    page.goto(f"/auth/setup?token={SETUP_TOKEN}")
    wrong += wrong_with(page, "door-set-up")
    page.goto("/auth/setup?token=invented")
    wrong += wrong_with(page, "door-closed")
    assert "\n".join(wrong) == ""


def test_pages_of_somebody_who_may_only_look(open_page: Opener, made: Made) -> None:
    page = open_page()
    wrong: list[str] = []
    sign_in(page, email=VIEWER, path="/")
    for name, path in {"connect": "/connect", "new sync": "/syncs/new", "conflict": made.conflict}.items():
        visit(page, path)
        wrong += wrong_with(page, f"viewer-{name}")
    assert "\n".join(wrong) == ""
