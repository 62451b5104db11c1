"""The whole way of a newcomer, in one go: connect, preview, apply, edit on both sides, sync again, settle, take back.

With UPDATE_SCREENSHOTS=1 the pictures of the README are taken on the way, into assets/screenshots.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Page, expect

from dashboard.frontend import ROOT
from tests.e2e.conftest import Opener, Served, axe, hydrated, serving, sign_in, visit

SHOTS = ROOT / "assets" / "screenshots"
RUN_MS = 60_000.0
OURS, THEIRS = "+44 20 7946 0111", "+49 30 555 0222"


@pytest.fixture(scope="module")
def served(server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A journey starts where nobody has been."""
    with serving(server_url, template, tmp_path_factory.mktemp("journey")) as found:
        yield found


def test_the_whole_journey(open_page: Opener, served: Served) -> None:
    page = open_page()
    sign_in(page, path="/")
    look(page, "overview-empty")
    connect_the_sandbox(page)
    report = dry_run(page)
    look(page, "report", picture=True)
    apply_the_plan(page)
    look(page, "sync", picture=True)
    assert page.url != report

    record = edit_here(page)
    change_in_stripe(served, stripe_id(page))
    sync_again(page)
    settle_for_ours(page, record)
    take_back(page)
    for path, name in (("/", "overview"), ("/conflicts", "conflicts"), ("/syncs", "syncs"), ("/records", "records")):
        visit(page, path)
        look(page, name, picture=True)


def connect_the_sandbox(page: Page) -> None:
    visit(page, "/connect")
    page.get_by_test_id("try-sandbox").click()
    expect(page.get_by_role("button", name="Disconnect")).to_be_visible(timeout=RUN_MS)
    expect(page.locator("[data-check][data-status=passed]")).not_to_have_count(0)
    expect(page.locator("[data-check][data-status=failed]")).to_have_count(0)
    look(page, "connect", picture=True)


def dry_run(page: Page) -> str:
    """The address of its report."""
    choose_flag(page)
    look(page, "new-sync", picture=True)
    page.get_by_role("button", name="Dry run").click()
    page.wait_for_url(re.compile(r"/syncs/[0-9a-f-]{36}"))
    ended(page)
    look(page, "dry-run")
    page.get_by_role("link", name="Report", exact=True).click()
    page.wait_for_url("**/report*")
    expect(page.get_by_role("button", name="Apply this plan")).to_be_visible(timeout=RUN_MS)
    expect(page.get_by_role("link", name=re.compile("Customers, Conflict", re.IGNORECASE))).to_have_text(
        re.compile(r"^19\b")
    )
    return page.url


def choose_flag(page: Page) -> None:
    visit(page, "/syncs/new")
    flag = page.get_by_role("radio", name="Flag for review")
    flag.click()
    expect(flag).to_be_checked()


def apply_the_plan(page: Page) -> None:
    page.get_by_role("button", name="Apply this plan").click()
    page.get_by_role("dialog", name="Apply this plan?").get_by_role("button", name="Apply", exact=True).click()
    page.wait_for_url(re.compile(r"/syncs/[0-9a-f-]{36}/?$"))
    ended(page)


def ended(page: Page) -> None:
    """A demo has objects that cannot be taken: it ends in full, or with errors that are listed."""
    status = page.locator(".card").first.locator(".pill").filter(has_text=re.compile("^Completed"))
    expect(status).to_be_visible(timeout=RUN_MS)


def edit_here(page: Page) -> str:
    """Somebody's phone number, of a customer that both sides agree on. The address of the record."""
    visit(page, "/records/customers?status=synced&sort=name")
    page.locator("tbody").get_by_role("link").first.click()
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Phone").fill(OURS)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("row", name="Phone")).to_contain_text(OURS)
    expect(page.get_by_role("row", name="Phone")).to_contain_text("Differs")
    look(page, "record", picture=True)
    return page.url


def stripe_id(page: Page) -> str:
    found = page.locator(".chip span[title^=cus_]").first.get_attribute("title")
    assert found is not None
    return found


def change_in_stripe(served: Served, external_id: str) -> None:
    mutation: dict[str, Any] = {"op": "update", "type": "customers", "id": external_id, "fields": {"phone": THEIRS}}
    body = json.dumps([mutation]).encode()
    request = Request(f"{served.sandbox}/_sandbox/mutations", data=body, method="POST")  # noqa: S310 - our sandbox
    with urlopen(request, timeout=60) as answer:  # noqa: S310 - the same
        [changed] = json.loads(answer.read())["objects"]
    assert changed["phone"] == THEIRS


def sync_again(page: Page) -> None:
    choose_flag(page)
    page.get_by_role("button", name="Start sync").click()
    page.wait_for_url(re.compile(r"/syncs/[0-9a-f-]{36}"))
    ended(page)


def settle_for_ours(page: Page, record: str) -> None:
    """From the record to its conflict, which shows three sides; ours is kept."""
    page.goto(record)
    hydrated(page)
    page.get_by_role("link", name=re.compile("^Conflict: changed here and in Stripe")).click()
    page.wait_for_url("**/conflicts/**")
    phone = page.get_by_role("group", name="Phone", exact=True)
    expect(phone).to_contain_text("0111")
    expect(phone).to_contain_text("0222")
    phone.get_by_role("group", name="Take for Phone").get_by_role("button", name="Ours", exact=True).click()
    expect(page.get_by_text("Ready to apply.")).to_be_visible()
    look(page, "conflict", picture=True)
    conflict = page.url
    page.get_by_role("button", name=re.compile("^Apply")).click()
    expect(page.get_by_role("status").filter(has_text=re.compile("Settled", re.IGNORECASE)).first).to_be_visible()
    visit(page, conflict)
    expect(page.get_by_text("Resolved").first).to_be_visible()


def take_back(page: Page) -> None:
    page.get_by_role("main").get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name=re.compile("^Apply"))).to_be_visible()
    expect(page.get_by_text("The conflict is open again")).to_be_visible()


def look(page: Page, name: str, *, picture: bool = False) -> None:
    """No serious finding in either theme; the light one makes the picture."""
    for theme in ("dark", "light"):
        page.get_by_role("button", name=f"{theme.capitalize()} theme").click()
        expect(page.locator("html")).to_have_class(re.compile(theme))
        assert axe(page) == [], f"{name}, {theme}"
    folder = SHOTS if os.environ.get("UPDATE_SCREENSHOTS") == "1" else os.environ.get("SCREENSHOTS")
    if folder and (picture or folder != SHOTS):
        page.screenshot(path=Path(folder) / f"{name}.png")
