"""Errors of a run in a browser: read, shown one by one, retried one, then all, and the end verified again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Opener, Served, axe, hydrated, screenshot, serving, sign_in, visit

RUN_MS = 60_000.0


@pytest.fixture(scope="module")
def served(server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(server_url, template, tmp_path_factory.mktemp("problems")) as found:
        yield found


def control(served: Served, method: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = Request(f"{served.sandbox}/_sandbox/{path}", data=data, method=method)  # noqa: S310 - our sandbox
    with urlopen(request, timeout=60) as answer:  # noqa: S310 - the same
        return json.loads(answer.read())


def ended(page: Page, words: str) -> None:
    hydrated(page)
    expect(page.locator(".card").first.get_by_text(words, exact=True)).to_be_visible(timeout=RUN_MS)


def test_errors_are_shown_retried_and_verified(open_page: Opener, served: Served) -> None:
    page = open_page()
    sign_in(page, path="/")
    visit(page, "/connect")
    page.get_by_test_id("try-sandbox").click()
    expect(page.get_by_role("button", name="Disconnect")).to_be_visible(timeout=RUN_MS)
    sick = control(served, "GET", "truth?type=products")["ids"][:3]
    control(served, "PUT", "faults", [{"kind": "malformed_object", "match": "GET /v1/products", "ids": sick}])
    visit(page, "/syncs/new")
    page.get_by_role("radio", name="Flag for review").click()
    page.get_by_role("button", name="Start sync").click()
    page.wait_for_url(re.compile(r"/syncs/[0-9a-f-]{36}"))
    ended(page, "Completed with errors")
    control(served, "DELETE", "faults")

    errors = page.get_by_role("region", name="Errors by reason")
    errors.get_by_role("button", name=re.compile("^Show: Products")).click()
    failed = page.get_by_role("region", name="Objects that failed for this reason")
    expect(failed.locator("tbody tr")).to_have_count(3)
    expect(failed.locator("tbody tr").first).to_contain_text("req_")
    assert axe(page) == []
    screenshot(page, "problems")

    other = page.context.new_page()
    visit(other, page.url)
    others = other.get_by_role("button", name=re.compile("^Retry"))
    expect(others.first).to_be_visible()
    # It stays open until a second person has asked for the same.
    control(served, "PUT", "faults", [{"kind": "error500", "match": "GET /v1/products*"}])
    failed.get_by_role("button", name=f"Retry {sick[0]}").click()
    expect(page.get_by_role("button", name=re.compile("^(Retry|Verify)"))).to_have_count(0)
    others.first.click()
    expect(other.get_by_text("This sync is running.")).to_be_visible()
    expect(others).to_have_count(0)
    control(served, "DELETE", "faults")
    other.close()

    products = errors.locator("tbody tr", has_text="Products · ")
    expect(products.locator("td.number")).to_have_text("2", timeout=RUN_MS)
    # Not offered before the run has ended.
    errors.get_by_role("button", name=re.compile("^Retry: Products")).click(timeout=RUN_MS)
    expect(products).to_have_count(0, timeout=RUN_MS)
    expect(page.get_by_text(re.compile(r"^verified: \d+ of \d+$")).first).to_be_visible(timeout=RUN_MS)

    address = page.url.partition("?")[0]
    before = page.url
    page.get_by_role("button", name="Verify again").click()
    expect(page).not_to_have_url(before)
    expect(page.get_by_text(re.compile("Stripe was asked again .* all had landed")).first).to_be_visible(timeout=RUN_MS)
    expect(page.get_by_role("button", name="Verify again")).to_be_visible(timeout=RUN_MS)
    visit(page, f"{address}/report")
    proof = page.locator(".figure", has_text="Proof")
    expect(proof).to_contain_text(re.compile(r"verified: [\d,]+ of [\d,]+"), timeout=RUN_MS)
    screenshot(page, "problems-report")


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (768, "dark"), (1440, "dark")])
def test_errors_at_every_size(open_page: Opener, width: int, scheme: str) -> None:
    page = open_page(width=width, color_scheme=scheme)
    sign_in(page, path="/syncs")
    page.locator("tbody").get_by_role("link").first.click()
    hydrated(page)
    show = page.get_by_role("region", name="Errors by reason").get_by_role("button", name=re.compile("^Show: "))
    show.first.click()
    page.get_by_role("region", name="Objects that failed for this reason").locator("tbody tr").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert axe(page) == []
    screenshot(page, f"problems-{width}-{scheme}")
