"""A run that two tabs follow while the server is ended and started again: both go on by themselves, and so does the run."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import answering, hydrated, prepared, sign_in, visit

_AGAIN_MS = 60_000
_WAIT_MS = 30_000
_MESSAGE = 16_000
# The sandbox holds an invoice without its customer, which is an error as long as nobody has that one.
_ENDED = re.compile("Completed.* · Dry run")


def test_both_tabs_and_the_run_go_on_after_a_restart(
    browser: Browser, server_url: str, template: str, tmp_path: Path
) -> None:
    with prepared(server_url, template, tmp_path) as served:
        context = browser.new_context(base_url=served.origin, reduced_motion="reduce")
        context.set_default_timeout(_WAIT_MS)
        one, other = context.new_page(), context.new_page()
        with answering(served):
            sign_in(one)
            visit(one, "/connect")
            one.get_by_test_id("try-sandbox").click()
            expect(one.get_by_role("button", name="Disconnect")).to_be_visible()
            visit(one, "/syncs/new")
            one.get_by_role("button", name="Dry run").click()
            one.wait_for_url("**/syncs/*-*")
            hydrated(one)
            visit(other, one.url)
            expect(one.get_by_text("To create").first).to_be_visible()
        messages: list[int] = []
        one.on("websocket", lambda socket: socket.on("framereceived", lambda frame: messages.append(len(frame))))
        with answering(served):
            for tab in (one, other):
                expect(tab).to_have_title(_ENDED, timeout=_AGAIN_MS)
            # The server has forgotten what the tab knows, and need not tell it what it has with the bundle.
            assert 0 < max(messages) <= _MESSAGE
            assert counters(one) == counters(other)
            one.reload()
            hydrated(one)
            expect(one).to_have_title(_ENDED)
            assert counters(one) == counters(other)
        context.close()


def counters(page: Page) -> list[str]:
    """Of every entity type, as they stand on the screen."""
    return page.locator(".run-entity .figures").all_inner_texts()
