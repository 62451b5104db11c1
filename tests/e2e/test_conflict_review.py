"""Conflict review by the keyboard alone: found, picked, decided in its row, taken back, single keys switched off; and by two people at once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from argon2 import PasswordHasher
from playwright.sync_api import Page, expect
from sqlalchemy import text

from sync_core.domain.vocabulary import ReasonCode
from sync_core.store.database import Database
from tests.conflict_data import make_conflicts
from tests.e2e.conftest import OWNER, PASSWORD, Opener, Served, axe, hydrated, serving, sign_in, visit
from tests.e2e.looking import wrong_with

COLLEAGUE = "ben@example.com"
_COLLEAGUE = (
    "WITH one AS (INSERT INTO users (email, password_hash) VALUES (%s, %s) RETURNING id)"
    " INSERT INTO memberships (workspace_id, user_id, role) SELECT (SELECT id FROM workspaces LIMIT 1), id, 'operator' FROM one"
)
# None of them is on the first page.
_OF_ANOTHER_KIND = "UPDATE payment_sync_conflicts SET reason_code = 'no_base' WHERE substr(label, 6)::int <= 20"
# What React draws and the document takes, from a click on; and how much of it had been before the server was asked. Its head is the router's.
_DRAWN = """
const nothing = () => ({ components: 0, added: 0, removed: 0 });
window.drawn = nothing();
window.reset = () => { take(); window.drawn = nothing(); window.before = undefined; };
const elements = (nodes) => [...nodes].reduce((sum, one) => sum + (one.nodeType === 1 ? 1 + one.querySelectorAll("*").length : 0), 0);
const note = (records) => records.filter((one) => one.target !== document.head).forEach((one) => { drawn.added += elements(one.addedNodes); drawn.removed += elements(one.removedNodes); });
const observer = new MutationObserver(note);
observer.observe(document, { childList: true, subtree: true });
window.take = () => { note(observer.takeRecords()); return window.drawn; };
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (data) {
  if (String(data).startsWith("42")) window.before ??= { ...take() };
  return send.call(this, data);
};
const PERFORMED_WORK = 1;
const walk = (fiber) => {
  for (; fiber; fiber = fiber.sibling) {
    if (typeof fiber.type !== "string" && fiber.flags & PERFORMED_WORK) drawn.components++;
    if (fiber.child !== fiber.alternate?.child) walk(fiber.child);
  }
};
window.__REACT_DEVTOOLS_GLOBAL_HOOK__ = {
  supportsFiber: true, inject: () => 1, onCommitFiberUnmount() {}, onPostCommitFiberRoot() {},
  onCommitFiberRoot: (id, root) => walk(root.current.child),
};
"""


@pytest.fixture(scope="module")
def served(server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(server_url, template, tmp_path_factory.mktemp("conflicts")) as found:
        # In a thread of its own: Playwright's loop may be running in this one.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: asyncio.run(filled(found.database_url))).result()
        with psycopg.connect(found.database_url, autocommit=True) as connection:
            connection.execute(_COLLEAGUE, (COLLEAGUE, PasswordHasher().hash(PASSWORD)))
            connection.execute(_OF_ANOTHER_KIND)
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
    # The row below is unfolded in its place.
    expect(page.locator(".inline-conflict").get_by_text("0 of 1 chosen.")).to_be_visible()
    toast = page.locator(".toasts")
    expect(toast.get_by_role("button", name="Undo")).to_be_visible()
    assert axe(page) == []
    toast.get_by_role("button", name="Undo").press("Enter")
    expect(toast).to_contain_text("1 decision taken back.")
    expect(page.get_by_text("45 open conflicts")).to_be_visible()
    for undo in ("u", "Control+z"):
        press("j")
        press("o")
        # Not that of the row before, which is there until the answer comes.
        page.locator("tr:focus-within + .inline-row [data-hotkey='@']").press("Enter")
        expect(page.get_by_text("44 open conflicts")).to_be_visible()
        expect(page.get_by_role("button", name=re.compile("^Undo: "))).to_be_visible()
        press(undo)
        expect(page.get_by_text("45 open conflicts")).to_be_visible()

    press("g")
    press("r")
    page.wait_for_url("**/syncs")
    visit(page, "/conflicts")
    # The keys are listened to.
    page.locator(".facet-drawer[data-folded]").wait_for()
    press("g")
    press("s")
    page.wait_for_url("**/schedules")


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


def test_another_list_is_written_over_the_one_that_is_there(page: Page) -> None:
    """So much work, not so many milliseconds: a row that is taken away and made anew is thirty elements."""
    page.add_init_script(_DRAWN)
    sign_in(page, path="/conflicts")
    names, filters = page.locator("[data-row='']"), page.get_by_role("navigation", name="Filters")
    expect(names).to_have_count(25)
    rows = page.locator("tbody > tr").element_handles()
    why = filters.get_by_role("link", name=ReasonCode.NO_BASE.label)

    page.evaluate("reset()")
    why.click()
    expect(names.first).to_have_text("Ours 20")
    expect(why).to_be_focused()
    little_is_drawn(page)
    assert [row.evaluate("row => row.isConnected") for row in rows] == [True] * 20 + [False] * 5

    why.click()
    expect(names.first).to_have_text("Ours 45")
    with page.context.expect_page() as beside:
        why.click(modifiers=["ControlOrMeta"])
    expect(beside.value.locator("[data-row='']").first).to_have_text("Ours 20")
    beside.value.close()
    expect(names.first).to_have_text("Ours 45")
    hydrated(page)
    page.evaluate("reset()")
    names.first.focus()
    page.go_back()
    expect(names.first).to_have_text("Ours 20")
    # Another record stands where the focus was: no key is to reach it unseen.
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    little_is_drawn(page)


def little_is_drawn(page: Page) -> None:
    hydrated(page)
    before, drawn = page.evaluate("[before, take()]")
    assert before["components"] <= 40, before
    assert before["added"] == 0, before
    assert drawn["components"] <= 100, drawn
    assert drawn["added"] <= 20, drawn


def test_two_people_on_one_conflict_see_each_other(open_page: Opener) -> None:
    ana, ben = open_page(), open_page()
    sign_in(ana, path="/conflicts")
    ana.get_by_role("link", name="Ours 45", exact=True).click()
    expect(ana.get_by_role("heading", name="Ours 45")).to_be_visible()
    address = ana.url.removeprefix(ana.url.split("/conflicts")[0])
    sign_in(ben, email=COLLEAGUE, path=address)
    expect(ben.get_by_text(f"{OWNER} is viewing")).to_be_visible()
    # By its own timer, whatever the other page does.
    expect(ana.get_by_text(f"{COLLEAGUE} is viewing")).to_be_visible(timeout=15_000)
    assert wrong_with(ana, "conflict-two-viewers") == []
    visit(ana, "/conflicts")
    expect(ana.get_by_role("row", name=re.compile("Ours 45"))).to_contain_text(f"{COLLEAGUE} is viewing")

    visit(ana, address)
    comment = ana.get_by_label("Comment", exact=True)
    comment.press_sequentially("@be")
    expect(comment).to_have_attribute("aria-activedescendant", f"call-{COLLEAGUE}")
    assert wrong_with(ana, "comment-members", (360,)) == []
    comment.press("Enter")
    comment.press_sequentially("which one?")
    expect(comment).to_have_value(f"@{COLLEAGUE} which one?")
    ana.get_by_role("button", name="Comment", exact=True).click()
    expect(ana.locator(".comment .called")).to_have_text(f"@{COLLEAGUE}")
    visit(ben, "/conflicts/mentions")
    expect(ben.get_by_role("link", name=re.compile("^Conflicts.*1 mention of you"))).to_be_visible()
    expect(ben.get_by_role("row", name=re.compile("Ours 45 New .*which one"))).to_be_visible()
    assert wrong_with(ben, "mentions") == []
    ben.get_by_role("link", name="Ours 45").click()
    expect(ben.get_by_role("heading", name="Ours 45")).to_be_visible()
    expect(ben.get_by_text("mention of you")).to_have_count(0)

    ben.get_by_role("link", name="Records", exact=True).click()
    expect(ben.get_by_role("heading", name="Records", level=1)).to_be_visible()
    expect(ben.locator("[data-beat]")).to_have_count(0)
    # Sooner than a lease lasts: leaving a page is said.
    expect(ana.get_by_text("is viewing")).to_have_count(0)


def test_a_field_is_ignored_from_a_conflict_and_taken_back(owner: Page) -> None:
    visit(owner, "/conflicts")
    # A click beside its name unfolds a row in which little differs.
    owner.get_by_role("row", name=re.compile("Ours 44")).locator(".field-chip").first.click()
    expect(owner.locator(".inline-conflict")).to_be_visible()
    owner.get_by_role("link", name="Ours 44", exact=True).click()
    expect(owner.get_by_role("heading", name="Ours 44")).to_be_visible()
    owner.get_by_role("button", name="Ignore… Name").click()
    dialog = owner.get_by_role("dialog", name="Ignore Customers: Name?")
    # In this record alone, unless more is asked for.
    expect(dialog.get_by_role("button", name="Ignore it and settle 1")).to_be_visible()
    dialog.get_by_label("In every record of this kind").click()
    expect(dialog.get_by_role("button", name="Ignore it and settle 45")).to_be_visible()
    assert wrong_with(owner, "ignore-field") == []
    dialog.get_by_label("In Ours 44 alone").click()
    dialog.get_by_role("button", name="Ignore it and settle 1").click()
    expect(dialog).to_have_count(0)
    expect(owner.get_by_text("chose Name: ignored")).to_be_visible()
    owner.get_by_role("main").get_by_role("button", name="Undo", exact=True).click()
    expect(owner.get_by_text("Taken back. The conflict is open again.")).to_be_visible()
    visit(owner, "/conflicts/rules")
    row = owner.get_by_role("row", name=re.compile("Customers: Name.*Ours 44"))
    expect(row).to_be_visible()
    assert wrong_with(owner, "ignored-fields") == []
    row.get_by_role("button", name="Take back").click()
    expect(row).to_have_count(0)
