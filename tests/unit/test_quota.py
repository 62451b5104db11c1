"""What the page of a run says of Stripe's limits: of the account's, and of the one that each list has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from dashboard.pages.sync_rows import allowed_text, full_text, pulse_text, quota_text, throttled_text
from sync_core.domain.vocabulary import EntityType, Phase, SessionStatus
from sync_core.services import progress_view
from sync_core.services.pace import Memory
from sync_core.store.runs import RunConfig
from sync_core.store.watching import WatchedEntity, WatchedRun

NOW, SECONDS = 1_800_000_000.0, 5
CUSTOMERS, INVOICES = EntityType.CUSTOMERS, EntityType.INVOICES
CAPS = {"global": 80.0, "customers.list": 20.0, "invoices.list": 14.0}


def watched_run(now: float, **stats: Any) -> WatchedRun:
    nothing: dict[str, None] = dict.fromkeys(("error_summary", "source_session_id", "range_start", "ceiling"))
    return WatchedRun(
        **nothing,
        id=UUID(int=1),
        workspace_id=UUID(int=2),
        status=SessionStatus.RUNNING,
        phase=Phase.FETCH,
        config=RunConfig((CUSTOMERS, INVOICES)),
        stats={"caps": CAPS, "beat_at": now, "requests": int(20 * (now - NOW)), **stats},
        cancel_requested=False,
        created_by="ana@example.com",
        created_at=NOW,
        started_at=NOW,
        completed_at=None,
        now=now,
        is_leased=True,
        lease_left=20.0,
        attempts=1,
        fence=1,
        worker="",
        heard=None,
        livemode=True,
    )


def watched_entity(entity: EntityType, requests: int, phase: Phase) -> WatchedEntity:
    counts = dict.fromkeys(("estimated", "created", "updated", "unchanged", "skipped", "conflicts", "failed"), 0)
    return WatchedEntity(
        entity, **counts, requested=True, phase=phase, fetched=requests * 100, requests=requests, last_error=None,
        last_page_at=NOW, verified=None,
    )  # fmt: skip


def after_some_seconds(
    customers: float, invoices: float, phase: Phase = Phase.FETCH, **stats: Any
) -> progress_view.ProgressView:
    """Looked at each second, with so many requests a second of each list."""
    memory = Memory()
    for second in range(SECONDS + 1):
        lists = [
            watched_entity(CUSTOMERS, int(customers * second), phase),
            watched_entity(INVOICES, int(invoices * second), Phase.FETCH),
        ]
        view = progress_view.view_of(watched_run(NOW + second, **stats), lists, [], [], memory)
    return view


@pytest.mark.parametrize(
    ("customers", "invoices", "phase", "said"),
    [
        pytest.param(5, 5, Phase.FETCH, "", id="neither"),
        pytest.param(19, 5, Phase.FETCH, "At the limit of its list: Customers 20 a second", id="one"),
        pytest.param(
            19, 13, Phase.FETCH, "At the limit of their lists: Customers 20 a second, Invoices 14 a second", id="both"
        ),
        pytest.param(19, 5, Phase.VERIFY, "", id="one that was read to its end"),
    ],
)
def test_a_list_at_its_own_limit_is_named_though_the_account_has_room(
    customers: float, invoices: float, phase: Phase, said: str
) -> None:
    quota = after_some_seconds(customers, invoices, phase).quota
    assert full_text(quota) == said
    assert quota_text(quota) == "20 of 80 a second"


def retrying(*names: str, cause: str = "rate", until: float = NOW + SECONDS + 0.4) -> dict[str, Any]:
    return {name: {"causes": {cause: 1, "rate": 1}, "until": until, "waits_for": cause} for name in names}


@pytest.mark.parametrize(
    ("throttled", "retries", "said"),
    [
        pytest.param({"global-rate": 2}, retrying("customers"), "Rate limited: goes on in 1 s", id="the account"),
        pytest.param(
            {"endpoint-rate": 2},
            retrying("customers"),
            "Rate limited for Customers: goes on in 1 s, the other lists go on",
            id="a list",
        ),
        pytest.param(
            {"endpoint-rate": 2},
            retrying("customers", "invoices"),
            "Rate limited for Customers, Invoices: goes on in 1 s",
            id="all lists",
        ),
        pytest.param(
            {"endpoint-rate": 1},
            retrying("customers", cause="network"),
            "Rate limited: goes on in 1 s",
            id="not known which",
        ),
    ],
)
def test_what_is_rate_limited_is_named(throttled: dict[str, int], retries: dict[str, Any], said: str) -> None:
    view = after_some_seconds(5, 5, resume_at=NOW + SECONDS + 0.4, throttled=throttled, retries=retries)
    assert pulse_text(view) == (said, "warn")


@pytest.mark.parametrize(
    ("throttled", "cause", "said"),
    [
        pytest.param({"global-rate": 1}, "rate", "Rate limited: goes on in 3 s", id="Stripe said so"),
        pytest.param({}, "server", "Stripe could not answer: asks again in 3 s", id="an error of Stripe's"),
        pytest.param(
            {"global-rate": 5}, "server", "Stripe could not answer: asks again in 3 s", id="an error, after limits"
        ),
    ],
)
def test_it_waits_when_all_that_is_asked_waits(throttled: dict[str, int], cause: str, said: str) -> None:
    retries = retrying("customers", cause=cause, until=NOW + SECONDS + 2.4)
    view = after_some_seconds(5, 0, throttled=throttled, retries=retries)
    assert pulse_text(view)[0].startswith(said)


def test_what_our_limit_is_taken_from_is_said() -> None:
    quota = after_some_seconds(5, 5).quota
    assert allowed_text(quota) == "Stripe allows 100: the rest is left to your own traffic"
    assert allowed_text(replace(quota, cap=100.0)) == "Stripe allows 100"


def test_429s_are_said_with_their_reasons_in_words() -> None:
    view = after_some_seconds(5, 5, throttled={"endpoint-rate": 7, "global-concurrency": 1, "unknown": 2})
    assert throttled_text(view.quota) == "10 answers 429: endpoint's rate 7, no reason given 2, account's concurrency 1"
    assert throttled_text(after_some_seconds(5, 5).quota) == "No 429 so far"
