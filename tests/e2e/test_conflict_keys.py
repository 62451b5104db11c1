"""Conflict review by the keyboard alone: found, picked, decided in its row, taken back, and the single keys switched off."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import text

from sync_core.store.database import Database
from tests.conflict_data import make_conflicts
from tests.e2e.conftest import Served, axe, serving, sign_in, visit


@pytest.fixture(scope="module")
def served(server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(server_url, template, tmp_path_factory.mktemp("conflicts")) as found:
        # In a thread of its own: Playwright's loop may be running in this one.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: asyncio.run(filled(found.database_url))).result()
        yield found


async def filled(url: str) -> None:
    database = Database(url)
    async with database.system() as session:
        workspace_id = (await session.execute(text("SELECT id FROM workspaces LIMIT 1"))).scalar_one()
    await make_conflicts(database, workspace_id, 45)
    await database.dispose()


def test_by_the_keyboard_alone(page: Page) -> None:
    sign_in(page, path="/conflicts")
    rows = page.locator("[data-row='']")
    expect(rows.first).to_be_visible()
    press = page.keyboard.press
    for key in ("j", "j", "x"):
        press(key)
    expect(page.get_by_text("1 selected")).to_be_visible()
    for key in ("j", "j", "Shift+X"):
        press(key)
    expect(page.get_by_text("3 selected")).to_be_visible()

    press("o")
    expect(page.locator(".inline-conflict .pending-bar")).to_be_visible()
    assert axe(page) == []
    press("2")
    expect(page.locator(".inline-conflict").get_by_text("Ready to apply.")).to_be_visible()
    press("Control+Enter")
    expect(page.get_by_text("44 open conflicts")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Undo"))).to_be_visible()
    press("u")
    expect(page.get_by_text("45 open conflicts")).to_be_visible()

    press("g")
    press("r")
    page.wait_for_url("**/syncs")


def test_single_keys_are_switched_off_for_good(page: Page) -> None:
    sign_in(page, path="/conflicts")
    expect(page.locator("[data-row='']").first).to_be_visible()
    page.keyboard.press("?")
    switch = page.locator("[data-single-keys]")
    switch.click()
    expect(switch).to_have_text("Single keys are off")
    visit(page, "/conflicts")
    expect(page.locator("[data-single-keys=off]")).to_have_count(1)
    page.keyboard.press("g")
    page.keyboard.press("r")
    page.keyboard.press("j")
    assert page.url.rstrip("/").endswith("/conflicts")
    assert page.evaluate("document.activeElement.dataset.row === undefined")
