"""The records pages in a browser: found, read, edited by two people, at every size and theme, and by keyboard alone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Opener, axe, hydrated, screenshot, sign_in, visit


def rows(page: Page) -> int:
    return page.locator("tbody tr").count()


def open_list(page: Page, query: str = "") -> None:
    visit(page, f"/records/customers{query}")
    page.locator("tbody tr, .empty").first.wait_for()


def open_record(page: Page, name: str) -> None:
    open_list(page, f"?q={name}")
    page.locator("tbody").get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(re.compile(name, re.IGNORECASE))


def test_what_a_list_shows_is_in_its_address(owner: Page) -> None:
    open_list(owner)
    owner.get_by_label("Sync status").select_option("local_edit")
    expect(owner).to_have_url(re.compile("status=local_edit"))
    pills = owner.locator("tbody .pill")
    # The list before has them too, among others: only the one that was asked for has no others.
    expect(pills.filter(has_not_text="Edited here")).to_have_count(0)
    expect(pills.first).to_have_text("Edited here")
    edited = rows(owner)
    owner.get_by_role("link", name="Name", exact=True).click()
    expect(owner).to_have_url(re.compile("sort=name"))
    expect(owner.get_by_role("columnheader", name="Name")).to_have_attribute("aria-sort", "ascending")
    owner.reload()
    hydrated(owner)
    expect(owner.locator("tbody tr")).to_have_count(edited)
    assert set(pills.all_inner_texts()) == {"Edited here"}
    owner.go_back()
    expect(owner.get_by_role("columnheader", name="Created")).to_have_attribute("aria-sort", "descending")


def test_pages_go_forth_and_back(owner: Page) -> None:
    open_list(owner)
    first = owner.locator("tbody th").all_inner_texts()
    assert len(first) == 25
    owner.get_by_role("navigation", name="Pages").get_by_role("link", name="Next").click()
    expect(owner).to_have_url(re.compile("after="))
    expect(owner.get_by_role("navigation", name="Pages").get_by_role("link", name="Previous")).to_be_visible()
    second = owner.locator("tbody th").all_inner_texts()
    assert set(first).isdisjoint(second)
    owner.get_by_role("navigation", name="Pages").get_by_role("link", name="Previous").click()
    expect(owner).to_have_url(re.compile("before="))
    expect(owner.locator("tbody th").first).to_have_text(first[0])


def test_a_search_without_a_match_offers_a_way_back(owner: Page) -> None:
    open_list(owner)
    owner.get_by_role("searchbox").fill("nobody at all")
    owner.keyboard.press("Enter")
    expect(owner.get_by_role("heading", name="Nothing matches")).to_be_visible()
    assert axe(owner) == []
    owner.get_by_role("link", name="Show all").click()
    expect(owner.locator("tbody tr")).to_have_count(25)
    expect(owner.get_by_role("searchbox")).to_have_value("")


def test_an_edit_is_checked_saved_and_remembered(owner: Page) -> None:
    open_record(owner, "marisol")
    owner.get_by_role("button", name="Edit").click()
    expect(owner.get_by_label("Email")).to_be_focused()
    owner.get_by_label("Email").fill("marisol at example")
    owner.get_by_role("button", name="Add a key").click()
    expect(owner.get_by_label("Key", exact=True).last).to_be_focused()
    owner.keyboard.type("tier")
    owner.keyboard.press("Tab")
    owner.keyboard.type("gold")
    owner.get_by_role("button", name="Save").click()
    expect(owner.get_by_label("Email")).to_have_attribute("aria-invalid", "true")
    expect(owner.locator("#form-problem")).to_be_focused()
    expect(owner.locator("#form-problem")).to_contain_text("Look at: Email")
    # What was typed is still there.
    expect(owner.get_by_label("Value", exact=True).last).to_have_value("gold")
    assert axe(owner) == []
    screenshot(owner, "record-form-error")
    owner.get_by_label("Email").fill("marisol@example.org")
    owner.get_by_role("button", name="Save").click()
    expect(owner.get_by_role("row", name="Metadata / tier")).to_contain_text("gold")
    expect(owner.get_by_role("status").filter(has_text="Saved.")).to_be_visible()
    history = owner.get_by_role("listitem").filter(has_text="Edited")
    expect(history).to_contain_text("marisol@example.org")
    expect(owner.get_by_role("button", name="Edit")).to_be_focused()


def test_the_later_of_two_editors_is_told_and_decides(owner: Page) -> None:
    open_record(owner, "nordlicht")
    other = owner.context.new_page()
    other.goto(owner.url)
    hydrated(other)
    for page in (owner, other):
        page.get_by_role("button", name="Edit").click()
        page.get_by_label("Phone").wait_for()
    other.get_by_label("Phone").fill("+49 30 1")
    other.get_by_role("button", name="Save").click()
    expect(other.get_by_role("button", name="Edit")).to_be_visible()
    owner.get_by_label("Phone").fill("+49 30 2")
    owner.get_by_role("button", name="Save").click()
    expect(owner.get_by_text("Somebody changed this record while you were editing")).to_be_visible()
    expect(owner.get_by_text("Stored meanwhile: +49 30 1")).to_be_visible()
    expect(owner.get_by_label("Phone")).to_have_value("+49 30 2")
    assert axe(owner) == []
    screenshot(owner, "record-overtaken")
    owner.get_by_role("button", name="Save mine over theirs").click()
    expect(owner.get_by_role("row", name="Phone")).to_contain_text("+49 30 2")


def test_a_record_is_found_and_edited_by_keyboard_alone(owner: Page) -> None:
    open_list(owner)
    owner.get_by_role("searchbox").focus()
    owner.keyboard.type("tomasz z")
    owner.keyboard.press("Enter")
    expect(owner.locator("tbody tr")).to_have_count(1)
    tab_to(owner, "tbody a")
    owner.keyboard.press("Enter")
    expect(owner.get_by_role("heading", level=1)).to_contain_text("Tomasz")
    tab_to(owner, "#edit-record")
    owner.keyboard.press("Enter")
    expect(owner.get_by_label("Email")).to_be_focused()
    tab_to(owner, "#field-phone")
    owner.keyboard.type("+48 22 1")
    owner.keyboard.press("Enter")
    expect(owner.get_by_role("row", name="Phone")).to_contain_text("+48 22 1")


def tab_to(page: Page, selector: str) -> None:
    """As a person would: one stop after the other, and not for ever."""
    for _ in range(60):
        if page.locator(f"{selector}:focus").count():
            return
        page.keyboard.press("Tab")
    pytest.fail(f"{selector} is not reached by the tab key")


def test_what_is_not_there_is_said_to_be_missing(owner: Page) -> None:
    visit(owner, "/records/customers/00000000-0000-0000-0000-000000000000")
    expect(owner.get_by_role("heading", name="Not found")).to_be_visible()
    assert axe(owner) == []


SIGHTS = [(width, theme) for width in (1440, 360) for theme in ("light", "dark")]


@pytest.mark.parametrize(("width", "theme"), SIGHTS, ids=[f"{width}-{theme}" for width, theme in SIGHTS])
def test_records_are_accessible_at_every_size(open_page: Opener, width: int, theme: str) -> None:
    page = open_page(width=width, height=900, color_scheme=theme)
    sign_in(page)
    open_list(page)
    look(page, f"records-{width}-{theme}")
    open_list(page, "?status=local_edit")
    page.locator("tbody").get_by_role("link").first.click()
    page.get_by_role("heading", name="Values").wait_for()
    look(page, f"record-{width}-{theme}")
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Email").wait_for()
    look(page, f"record-form-{width}-{theme}")


def look(page: Page, name: str) -> None:
    screenshot(page, name)
    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
    if "-360-" in name:
        pushed = "[...document.querySelectorAll('main .table-scroll')].filter(one => one.scrollWidth > one.clientWidth + 1).length"
        assert page.evaluate(pushed) == 0, "a table is to be pushed sideways"
