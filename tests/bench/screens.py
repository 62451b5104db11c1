"""`make bench ARGS=screens`: how quick the dashboard feels, in Chromium, with a million records and a hundred thousand conflicts stored.

Measured idle and while another workspace syncs as fast as it can. What the server takes is timed on the wire (`wire`), from what asks to the last
message with anything of the page, its counts too; "rows" ends with the message that has them. "Painted" ends with the frame that shows it. The
event without the database is Reflex's own that tells the browser that a page is there: each of ours asks who is signed in.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
from playwright.sync_api import Page, sync_playwright
from reflex.state import OnLoadInternalState

from sync_core.domain.vocabulary import EntityType, Facet
from sync_core.sandbox.launch import SandboxProcess
from sync_core.store import migrate
from sync_core.store.database import Database
from tests.bench import interactions
from tests.bench.wire import BROWSER_SWITCH, Wire
from tests.browser import chromium
from tests.conftest import database_named, make_workspace, on_server
from tests.e2e.conftest import Served, hydrated, serving, sign_in, visit
from tests.large_data import Large, make_large
from tests.support import config, sync

SAMPLES = 30
PROMISED = {
    "bare ms": 30,
    "event ms": 80,
    "server ms": 100,
    "painted ms": 200,
    "LCP ms": 2_000,
    "INP ms": 200,
    "CLS ‰": 100,
    "bytes": 16_000,
}
"""The most, at the 95th percentile, of what is printed under each name."""
_WATCH = """
window.frames_seen = [];
window.shifts = 0;
window.slowest = 0;
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (data) {
  if (!this.watched) {
    this.watched = true;
    this.addEventListener("message", (one) => frames_seen.push({ at: performance.now(), size: one.data.length, out: false }));
  }
  if (String(data).startsWith("42")) [window.line, window.last] = [this, data];
  if (data.length > 3) frames_seen.push({ at: performance.now(), size: data.length, out: true });
  return send.call(this, data);
};
const watch = (type, seen, more = {}) =>
  new PerformanceObserver((list) => list.getEntries().forEach(seen)).observe({ type, buffered: true, ...more });
watch("largest-contentful-paint", (one) => (window.largest = one.startTime));
watch("layout-shift", (one) => { if (!one.hadRecentInput) window.shifts += one.value; });
watch("event", (one) => { if (one.interactionId) window.slowest = Math.max(window.slowest, one.duration); }, { durationThreshold: 16 });
"""
# A click by the browser itself comes first; `shown` is watched from the frame after it.
_PAINTED = """
async ([shown]) => {
  const done = new Function("return " + shown);
  while (!done()) await new Promise(requestAnimationFrame);
  const painted = await new Promise((then) => requestAnimationFrame(() => setTimeout(() => then(performance.now()))));
  return {
    painted: painted - window.pressed,
    size: frames_seen.reduce((most, one) => (one.out ? most : Math.max(most, one.size)), 0),
  };
}
"""
_LARGEST = """
async () => {
  for (let left = 100; left && !window.largest; left--) await new Promise((then) => setTimeout(then, 20));
  return window.largest ?? 0;
}
"""
# What was sent last, with another event in it.
_SEND = """
(name) => {
  const at = window.last.indexOf("["), [kind, event] = JSON.parse(window.last.slice(at));
  window.line.send(window.last.slice(0, at) + JSON.stringify([kind, { ...event, name, payload: { value: true } }]));
}
"""
_BARE = f"{OnLoadInternalState.get_full_name()}.set_is_hydrated"
_PRESS = "one => { frames_seen.length = 0; window.pressed = performance.now(); one.click(); }"


def measure(server_url: str, *, quick: bool) -> None:
    name = f"template_{uuid4().hex[:8]}"
    on_server(server_url, f"CREATE DATABASE {name}")
    migrate.upgrade(database_named(server_url, name))
    with (
        tempfile.TemporaryDirectory(prefix="cyphera-screens-") as folder,
        serving(server_url, name, Path(folder)) as served,
    ):
        large = filled(served, 100_000 if quick else 1_000_000)
        looked_at(served, large, "idle")
        with busy(served):
            looked_at(served, large, "beside a sync")
    on_server(server_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def filled(served: Served, records: int) -> Large:
    with psycopg.connect(served.database_url) as connection:
        [(workspace_id,)] = connection.execute("SELECT id FROM workspaces").fetchall()
    conflicts = min(records // 2, 100_000)
    return make_large(
        served.database_url,
        workspace_id,
        customers=records // 2,
        invoices=records // 2,
        conflicts=conflicts,
        plan=conflicts,
    )


@contextmanager
def busy(served: Served) -> Iterator[None]:
    """A first sync after the other, without limits, in a process and a workspace of its own."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.screens", served.database_url], stdout=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        running.stdout.readline()
        try:
            yield
        finally:
            running.kill()


async def sync_for_ever(url: str) -> None:
    database = Database(url)
    workspace_id: UUID = await make_workspace(database, "Busy")
    with SandboxProcess("--customers", "200000") as sandbox:
        sys.stdout.write("started\n")
        sys.stdout.flush()
        while True:
            await sync(database, workspace_id, sandbox.url, config(EntityType.CUSTOMERS, concurrent_batches=8))


def looked_at(served: Served, large: Large, when: str) -> None:
    port = int(served.origin.rpartition(":")[2])
    with Wire(port) as wire, sync_playwright() as playwright:
        switches = ["--no-sandbox", BROWSER_SWITCH]
        browser = playwright.chromium.launch(executable_path=str(chromium()), args=switches)
        page = browser.new_page(base_url=served.origin, viewport={"width": 1440, "height": 900})
        page.set_default_timeout(60_000)
        page.add_init_script(_WATCH)
        sign_in(page)
        load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
        print(
            f"\nScreens, {when}. In parentheses the 95th percentile and the most that is promised of it. Load {load}",
            flush=True,
        )
        for title, measured in steps(page, wire, large):
            show(title, measured)
        for one in interactions.measured(page, large):
            show(f"INP: {one.page}, {one.what}", {"INP ms": [one.ms]})
        browser.close()


def steps(page: Page, wire: Wire, large: Large) -> Iterator[tuple[str, dict[str, list[float]]]]:
    report = f"/syncs/{large.session_id}/report?entity=customers&action=update"
    for title, path in (
        ("Overview", "/"),
        ("Conflicts", "/conflicts"),
        ("Records", "/records/customers"),
        ("Report", report),
    ):
        yield title, opened(page, path)
    visit(page, "/design")
    yield "event: open and close a dialog", dialogs(page, wire)
    yield "event without the database", {"bare ms": [bare(page, wire) for _ in range(SAMPLES)]}
    visit(page, "/conflicts")
    yield "conflicts: next page", clicks(page, wire, lambda: page.get_by_role("link", name="Next"))
    yield "conflicts: a filter", filters(page, wire)
    visit(page, "/records/customers")
    yield "records: next page", clicks(page, wire, lambda: page.get_by_role("link", name="Next"))


def opened(page: Page, path: str) -> dict[str, list[float]]:
    largest, shifts, ready = [], [], []
    for _ in range(5):
        visit(page, path)
        ready.append(page.evaluate("performance.now()"))
        # The browser tells of what it painted a little after it did.
        largest.append(page.evaluate(_LARGEST))
        shifts.append(page.evaluate("window.shifts * 1000"))
    return {"LCP ms": largest, "usable ms": ready, "CLS ‰": shifts}


def _rows_changed(page: Page) -> str:
    rows = page.locator("tbody").first.inner_text()
    return f"document.querySelector('tbody tr') && document.querySelector('tbody').innerText !== {rows!r}"


def pressed(page: Page, wire: Wire, button: Any, shown: str) -> dict[str, float]:
    wire.seen.clear()
    button.evaluate(_PRESS)
    found: dict[str, float] = page.evaluate(_PAINTED, [shown])
    hydrated(page)
    rows, server = wire.answered()
    return {**found, "rows": rows, "server": server}


def clicks(page: Page, wire: Wire, button: Callable[[], Any]) -> dict[str, list[float]]:
    return _columns([pressed(page, wire, button(), _rows_changed(page)) for _ in range(SAMPLES)])


def filters(page: Page, wire: Wire) -> dict[str, list[float]]:
    """Each from the whole list, so that no filter is what the one before left of it. A filter that all fit would change no row."""
    found = []
    fields = page.get_by_role("navigation", name="Filters").locator("section", has_text=Facet.FIELD.label)
    for turn in range(SAMPLES):
        visit(page, "/conflicts")
        found.append(pressed(page, wire, fields.get_by_role("link").nth(turn % 3), _rows_changed(page)))
    return _columns(found)


def bare(page: Page, wire: Wire) -> float:
    """An event whose handler asks nobody anything."""
    wire.seen.clear()
    page.evaluate(_SEND, _BARE)
    while (took := wire.answered()[1]) == 0:
        page.wait_for_timeout(5)
    return took


def dialogs(page: Page, wire: Wire) -> dict[str, list[float]]:
    found = []
    for _ in range(SAMPLES):
        for button, shown in (
            ("Open a dialog", "document.querySelector('dialog')"),
            ("Keep going", "!document.querySelector('dialog')"),
        ):
            found.append(pressed(page, wire, page.get_by_role("button", name=button), shown))
    columns = _columns(found)
    return {"event ms": columns["server ms"], "painted ms": columns["painted ms"], "bytes": columns["bytes"]}


def _columns(found: list[dict[str, float]]) -> dict[str, list[float]]:
    names = {"rows ms": "rows", "server ms": "server", "painted ms": "painted", "bytes": "size"}
    return {name: [one[key] for one in found] for name, key in names.items()}


def show(title: str, measured: dict[str, list[float]]) -> None:
    def p95(values: list[float]) -> float:
        return sorted(values)[min(len(values) - 1, round(0.95 * len(values)))]

    def said(name: str, values: list[float]) -> str:
        most = PROMISED.get(name)
        end = "" if most is None else f" of {most:,}" + (" MISSED" if p95(values) > most else "")
        return f"{name} {statistics.median(values):,.0f} ({p95(values):,.0f}{end})"

    print(f"{title:<36} {'  '.join(said(name, values) for name, values in measured.items())}", flush=True)


if __name__ == "__main__":
    asyncio.run(sync_for_ever(sys.argv[1]))
