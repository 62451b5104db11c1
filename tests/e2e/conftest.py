"""A built dashboard, served as it is for people, and a browser in front of it.

One server for all browser tests of a run, on a database of its own and with a sandbox of its own. `PORT`s are free ones; nothing leaves
this machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen
from uuid import uuid4

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from dashboard.frontend import ROOT, build_once
from tests.browser import chromium
from tests.conftest import database_named, on_server
from tests.ports import free_port

OWNER = "ana@example.com"
PASSWORD = "correct horse battery staple"
_START_SECONDS = 180.0
# As long as the slowest of machines may take: only what fails waits for it.
_WAIT_MS = 30_000.0
expect.set_options(timeout=_WAIT_MS)
_AXE = """
async ([rules, whole]) => {
  await document.fonts.ready;
  // What has just changed its colour has it from the next frame on.
  for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
  // What people aim at has 24 pixels: asked for by WCAG 2.2, and off by axe's own default.
  const only = rules.length ? { runOnly: { type: "rule", values: rules } } : { rules: { "target-size": { enabled: true } } };
  const within = whole ? document : (document.querySelector("dialog[open]") ?? document);
  const found = await axe.run(within, { resultTypes: ["violations"], ...only });
  return found.violations.filter((one) => one.impact !== "minor").map((one) => `${one.id}: ${one.nodes[0].html.slice(0, 200)}`);
}
"""
# What a shell's environment may hold and a server under test must not see.
_FOREIGN = (
    "PYTEST_CURRENT_TEST",
    "STRIPE_SECRET_KEY",
    "STRIPE_WEBHOOK_SECRET",
    "STRIPE_API_BASE",
    "PUBLIC_URL",
    "REDIS_URL",
)


@dataclass(frozen=True, slots=True)
class Served:
    origin: str
    database_url: str
    log: Path
    sandbox: str


@pytest.fixture(scope="session")
def served(server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(server_url, template, tmp_path_factory.mktemp("served")) as found:
        yield found


@contextmanager
def serving(server_url: str, template: str, folder: Path) -> Iterator[Served]:
    """A demo as it is on the first start. A module that needs one of its own overrides `served` with it."""
    with prepared(server_url, template, folder) as found, answering(found):
        yield found


@contextmanager
def prepared(server_url: str, template: str, folder: Path) -> Iterator[Served]:
    """A database and free ports for a server that is still to be started."""
    build_once()  # by the hash of its sources: a second run builds nothing
    name, port, sandbox_port = f"e2e_{uuid4().hex[:8]}", free_port(), free_port()
    on_server(server_url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    url, sandbox = database_named(server_url, name), f"http://127.0.0.1:{sandbox_port}"
    yield Served(f"http://localhost:{port}", url, folder / "server.log", sandbox)
    on_server(server_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextmanager
def answering(served: Served) -> Iterator[None]:
    """The server, until the block ends; it can be started again."""
    environment = {key: value for key, value in os.environ.items() if key not in _FOREIGN} | {
        "PORT": served.origin.rpartition(":")[2],
        "SANDBOX_PORT": served.sandbox.rpartition(":")[2],
        "DATABASE_URL": served.database_url,
        "DATA_DIR": str(served.log.parent / "data"),
        "DEMO": "1",
        "OWNER_EMAIL": OWNER,
        "OWNER_PASSWORD": PASSWORD,
    }
    with served.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dashboard.run"], cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            _until_it_answers(served, process)
            yield
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _until_it_answers(served: Served, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + _START_SECONDS
    refused: Exception | None = None
    while time.monotonic() < ends and process.poll() is None:
        try:
            urlopen(f"{served.origin}/auth/sign-in", timeout=10).close()  # noqa: S310 - our own address
        except (URLError, OSError) as not_yet:
            refused = not_yet
            # A process that ends meanwhile is seen at once.
            try:
                process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
        else:
            return
    pytest.fail(f"The server did not answer ({refused}); its log:\n{served.log.read_text()[-4000:]}")


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Gone before other tests begin: while Playwright's synchronous side is up, no event loop starts in this thread."""
    path = chromium()
    if path is None:
        pytest.fail("No Chromium: run `python -m tests.browser`, or name one in CHROMIUM_PATH.")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=str(path), args=["--no-sandbox", "--disable-background-networking"]
        )
        yield launched
        launched.close()


Opener = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, served: Served) -> Iterator[Opener]:
    with profiles(browser, served) as opened:
        yield opened


@contextmanager
def profiles(browser: Browser, served: Served) -> Iterator[Opener]:
    """A fresh browser profile with one page, `opened(width=360, color_scheme="dark")`. Errors in its console fail the test."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def opened(*, width: int = 1440, height: int = 900, **more: Any) -> Page:
        context = browser.new_context(
            base_url=served.origin, viewport={"width": width, "height": height}, reduced_motion="reduce", **more
        )
        context.set_default_timeout(_WAIT_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if _is_broken(message) else None)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert errors == []


def _is_broken(message: Any) -> bool:
    """What the browser itself refuses: content security policy, failed scripts. Answers of 4xx are tests' own doing."""
    return message.type == "error" and "Failed to load resource" not in message.text


@pytest.fixture
def page(open_page: Opener) -> Page:
    """A visitor who is not signed in."""
    return open_page()


@pytest.fixture
def owner(page: Page) -> Page:
    """The owner, signed in, on the first page."""
    sign_in(page)
    return page


def sign_in(page: Page, *, email: str = OWNER, password: str = PASSWORD, path: str = "/design") -> None:
    """Through the form. `path` is where it leads."""
    page.goto(path)
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    hydrated(page)


def visit(page: Page, path: str) -> None:
    page.goto(path)
    hydrated(page)


def hydrated(page: Page) -> None:
    """The page listens: clicks before this are lost."""
    page.locator("[data-hydrated=true]").wait_for()


def axe(page: Page, *rules: str, whole: bool = True) -> list[str]:
    """All but minor findings, each with its first element. Axe comes by evaluation, once a document: the page's own policy forbids
    injected scripts. Not the `whole` page is an open dialog, where there is one: nobody sees or reaches what is behind it.
    """
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(f"{AXE_SCRIPT}; true")
    found: list[str] = page.evaluate(_AXE, [list(rules), whole])
    return found


def screenshot(page: Page, name: str) -> None:
    """Into the folder that SCREENSHOTS names; nothing without it."""
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
