"""Pages before their content is there, and when it does not come: no page shows what belongs to another one, or waits for ever."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.e2e.conftest import Opener, Served, axe, hydrated, sign_in, visit
from tests.e2e.looking import in_theme, scrolls_sideways

NOBODY = "00000000-0000-0000-0000-000000000000"
PAGES = (
    "/",
    "/connect",
    "/syncs/new",
    "/syncs",
    f"/syncs/{NOBODY}",
    f"/syncs/{NOBODY}/report",
    f"/syncs/compare?one={NOBODY}&other={NOBODY}",
    "/syncs/record?id=cus_1",
    "/syncs/timeline",
    "/schedules",
    "/conflicts",
    f"/conflicts/{NOBODY}",
    "/conflicts/rules",
    "/conflicts/history",
    f"/conflicts/batches/{NOBODY}",
    "/records/customers",
    f"/records/customers/{NOBODY}",
)


def without_answers(route: WebSocketRoute) -> None:
    """The server hears, and the page hears nothing but that it is connected."""
    server = route.connect_to_server()
    server.on_message(lambda message: None if str(message).startswith("42") else route.send(message))


def test_pages_on_their_way(open_page: Opener) -> None:
    page = open_page()
    wrong: list[str] = []
    sign_in(page)
    page.route_web_socket(re.compile("/_event"), without_answers)
    for place, path in enumerate(PAGES):
        # What waits is made of the same two parts everywhere: each page is looked at in one of the sizes.
        width = (1440, 768, 360)[place % 3]
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(path)
        expect(page.locator("main [aria-busy=true]").first).to_be_visible()
        in_theme(page, ("light", "dark")[place % 2])
        wrong += [f"{path} {width}: {one}" for one in axe(page)]
        wrong += [f"{path} {width}: scrolls sideways"] * scrolls_sideways(page)
    assert "\n".join(wrong) == ""


@contextmanager
def without_connections(served: Served) -> Iterator[None]:
    """Every page asks which account the workspace syncs from."""
    with psycopg.connect(served.database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE payment_connections RENAME TO gone")
        try:
            yield
        finally:
            connection.execute("ALTER TABLE gone RENAME TO payment_connections")


def test_pages_that_do_not_load(open_page: Opener, served: Served) -> None:
    page = open_page()
    sign_in(page)
    failed = page.get_by_role("heading", name="This page did not load")
    with without_connections(served):
        for path in PAGES:
            visit(page, path)
            expect(failed).to_be_visible()
            expect(page.locator("main [aria-busy=true]")).to_have_count(0)
        for theme in ("light", "dark"):
            in_theme(page, theme)
            assert axe(page) == []
        visit(page, "/records/customers")
        expect(failed).to_be_visible()
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("tbody tr")).to_have_count(25)
    expect(failed).to_have_count(0)


_EVERY_FRAME = """
() => {
  window.seen = [];
  const look = () => {
    const title = document.getElementById("page-title");
    if (title && getComputedStyle(title).opacity !== "0") seen.push(location.pathname + " " + title.innerText);
    requestAnimationFrame(look);
  };
  look();
}
"""


def test_a_page_shows_nothing_of_the_one_before(open_page: Opener) -> None:
    """Of the same kind, so that the state still holds the former one's content."""
    page = open_page()
    sign_in(page, path="/records/customers")
    links = page.locator("tbody th a")
    (first, former), (second, name) = (
        (str(links.nth(n).get_attribute("href")), links.nth(n).inner_text()) for n in (0, 1)
    )
    assert former != name
    opened(page, first, former)
    page.go_back()
    expect(links.nth(1)).to_be_visible()
    page.evaluate(_EVERY_FRAME)
    opened(page, second, name)
    page.wait_for_function("shown => seen.includes(shown)", arg=f"{second} {name}")
    assert f"{second} {former}" not in page.evaluate("seen")


def opened(page: Page, address: str, name: str) -> None:
    page.locator(f'tbody a[href="{address}"]').click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    expect(page).to_have_title(f"{name} · Cyphera Sync")
    expect(page.locator("html")).not_to_have_class(re.compile("arriving"))
    hydrated(page)
