"""The way in and out, in a real browser against the server as people run it."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import OWNER, PASSWORD, Opener, Served, axe, hydrated, screenshot, sign_in, visit
from tests.e2e.looking import wrong_with


def test_a_wrong_password_is_told_beside_the_field(page: Page) -> None:
    page.goto("/auth/sign-in")
    page.get_by_label("Email").fill(OWNER)
    page.get_by_label("Password").fill("not the password at all")
    page.get_by_role("button", name="Sign in").click()
    password = page.get_by_label("Password")
    expect(page.get_by_role("alert")).to_have_text("That email and password don't match. Try again.")
    expect(password).to_have_attribute("aria-invalid", "true")
    expect(password).to_have_value("")
    expect(page.get_by_label("Email")).to_have_value(OWNER)
    assert page.context.cookies() == []
    assert axe(page) == []


def test_signing_in_leads_to_the_page_that_was_asked_for(page: Page) -> None:
    sign_in(page, path="/design?from=mail")
    assert page.url.endswith("/design?from=mail")
    [cookie] = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Lax", "/")
    assert page.evaluate("document.cookie") == ""
    expect(page.get_by_role("complementary")).to_contain_text(OWNER)


def test_a_reload_stays_signed_in(owner: Page) -> None:
    owner.reload()
    hydrated(owner)
    expect(owner.get_by_role("heading", name="Design", level=1)).to_be_visible()


def test_signing_out_ends_the_session_everywhere(owner: Page, served: Served) -> None:
    [cookie] = owner.context.cookies()
    owner.get_by_label("Account").click()
    owner.get_by_role("button", name="Sign out").click()
    owner.get_by_role("heading", name="Sign in").wait_for()
    assert owner.context.cookies() == []
    owner.context.add_cookies([{"name": cookie["name"], "value": cookie["value"], "url": served.origin}])
    owner.goto("/design")
    expect(owner.get_by_role("heading", name="Sign in")).to_be_visible()


def test_an_open_page_says_that_its_session_has_ended(owner: Page) -> None:
    """The socket outlives the session: the next event is refused, and the page says so."""
    other = owner.context.new_page()
    other.goto("/design")
    hydrated(other)
    other.get_by_label("Account").click()
    other.get_by_role("button", name="Sign out").click()
    other.get_by_role("heading", name="Sign in").wait_for()
    owner.get_by_role("button", name="Open a dialog").click()
    ended = owner.get_by_role("dialog", name="You are signed out")
    expect(ended).to_be_visible()
    expect(owner.get_by_role("dialog", name="Cancel this sync?")).to_have_count(0)
    assert wrong_with(owner, "signed-out", (1440, 360)) == []
    ended.get_by_role("link", name="Sign in").click()
    expect(owner.get_by_role("heading", name="Sign in")).to_be_visible()


def ask(
    served: Served, path: str, *, method: str = "GET", body: str | None = None, **headers: str
) -> http.client.HTTPResponse:
    """One request without a browser, which follows nothing."""
    connection = http.client.HTTPConnection(urlsplit(served.origin).netloc, timeout=60)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


PAGES = ("/", "/design", "/connect", "/records", "/records.html", "/index.html", "/no-such-page")


@pytest.mark.parametrize("path", PAGES)
def test_no_page_answers_without_a_session(served: Served, path: str) -> None:
    answer = ask(served, path)
    assert answer.status == 303
    assert (answer.getheader("location") or "").startswith("/auth/sign-in")


SOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
_EVENTS = "/_event/?EIO=4&transport=websocket&token=forged"


@pytest.mark.parametrize(
    ("cookie", "origin"),
    [("", "own"), ("sid=forged", "own"), ("own", "https://elsewhere.example"), ("own", "null")],
    ids=["no cookie", "forged cookie", "another site", "an opaque origin"],
)
def test_no_socket_opens_without_a_session_from_here(owner: Page, served: Served, cookie: str, origin: str) -> None:
    [kept] = owner.context.cookies()
    own = f"{kept['name']}={kept['value']}"
    sent = {"Cookie": own if cookie == "own" else cookie, "Origin": served.origin if origin == "own" else origin}
    assert ask(served, _EVENTS, **SOCKET, **sent).status == 403


def test_the_socket_opens_for_a_session_from_here(owner: Page, served: Served) -> None:
    """So that the refusals above are the gate's, and not a broken handshake's."""
    [kept] = owner.context.cookies()
    sent = {"Cookie": f"{kept['name']}={kept['value']}", "Origin": served.origin}
    connection = http.client.HTTPConnection(urlsplit(served.origin).netloc, timeout=60)
    connection.request(
        "GET", _EVENTS, headers={name.replace("_", "-"): value for name, value in (SOCKET | sent).items()}
    )
    assert connection.getresponse().status == 101
    connection.close()


@pytest.mark.parametrize("path", ["/auth/sign-in", "/auth/sign-out", "/auth/setup"])
def test_forms_of_other_sites_are_refused(served: Served, path: str) -> None:
    form = {"Content_Type": "application/x-www-form-urlencoded", "Origin": "https://elsewhere.example"}
    assert ask(served, path, method="POST", body="email=a&password=b", **form).status == 403


@pytest.mark.parametrize(
    "wanted", ["//elsewhere.example", "https://elsewhere.example", "/\\elsewhere.example", "javascript:alert(1)"]
)
def test_sign_in_leads_to_no_other_site(page: Page, served: Served, wanted: str) -> None:
    page.goto(f"/auth/sign-in?next={wanted}")
    page.get_by_label("Email").fill(OWNER)
    page.get_by_label("Password").fill(PASSWORD)
    with page.expect_navigation():
        page.get_by_role("button", name="Sign in").click()
    assert page.url == f"{served.origin}/"


def test_every_page_sends_its_policy(owner: Page) -> None:
    answer = owner.goto("/design")
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "unsafe-eval" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "'unsafe-inline'" not in policy.split("style-src")[0]
    assert answer.headers["x-content-type-options"] == "nosniff"
    hydrated(owner)


def test_nothing_is_loaded_from_elsewhere(page: Page, served: Served) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    sign_in(page)
    own = urlsplit(served.origin).netloc
    assert asked
    assert [url for url in asked if urlsplit(url).netloc not in (own, "") and not url.startswith("data:")] == []


def test_a_used_or_invented_set_up_link_is_closed(page: Page) -> None:
    page.goto("/auth/setup?token=invented")
    expect(page.get_by_role("heading", name="This link is closed")).to_be_visible()
    assert axe(page) == []


def test_the_theme_follows_the_system_until_it_is_chosen(open_page: Opener) -> None:
    page = open_page(color_scheme="dark")
    sign_in(page)
    root = page.locator("html")
    expect(root).to_have_class("dark")
    page.get_by_role("button", name="Light theme").click()
    expect(root).to_have_class("light")
    expect(page.get_by_role("button", name="Light theme")).to_have_attribute("aria-pressed", "true")
    page.reload()
    hydrated(page)
    expect(root).to_have_class("light")
    page.goto("/auth/setup?token=invented")
    expect(root).to_have_class("light")


SIGHTS = [(width, theme) for width in (1440, 360) for theme in ("light", "dark")]


@pytest.mark.parametrize(("width", "theme"), SIGHTS, ids=[f"{width}-{theme}" for width, theme in SIGHTS])
def test_the_design_is_accessible_at_every_size(open_page: Opener, width: int, theme: str) -> None:
    page = open_page(width=width, height=800, color_scheme=theme)
    page.goto("/auth/sign-in")
    assert axe(page) == []
    screenshot(page, f"sign-in-{width}-{theme}")
    sign_in(page)
    screenshot(page, f"design-{width}-{theme}")
    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Open a dialog").click()
    expect(page.get_by_role("dialog", name="Cancel this sync?")).to_be_visible()
    screenshot(page, f"dialog-{width}-{theme}")
    assert axe(page) == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Cancel this sync?")).to_have_count(0)
    expect(page.get_by_role("button", name="Open a dialog")).to_be_focused()


def test_the_narrow_navigation_opens_closes_and_leads(open_page: Opener) -> None:
    page = open_page(width=360, height=720)
    sign_in(page)
    toggle = page.get_by_role("button", name="Navigation")
    records = page.get_by_role("link", name="Records")
    expect(records).to_be_hidden()
    toggle.click()
    expect(records).to_be_visible()
    screenshot(page, "navigation-360")
    assert axe(page) == []
    page.keyboard.press("Escape")
    expect(records).to_be_hidden()
    expect(toggle).to_be_focused()


def test_the_first_tab_stop_skips_the_navigation(owner: Page) -> None:
    visit(owner, "/design")
    owner.keyboard.press("Tab")
    expect(owner.get_by_role("link", name="Skip to content")).to_be_focused()
    owner.keyboard.press("Enter")
    expect(owner.locator("#content")).to_be_focused()
