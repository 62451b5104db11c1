"""Keys, fault rules, limits and parameters: the rules of the sandbox as tables."""

from __future__ import annotations

from base64 import b64encode

import pytest

from sync_core.sandbox.collection import FOREVER, Window
from sync_core.sandbox.errors import ApiError
from sync_core.sandbox.faults import FaultKind, Faults
from sync_core.sandbox.keys import DEMO_KEY, PERMISSIONS, caller_of, masked
from sync_core.sandbox.limits import Limits, RateLimiter, Statistics
from sync_core.sandbox.present import expand_paths
from sync_core.sandbox.query import list_query


@pytest.mark.parametrize(
    ("key", "account", "live", "lacking"),
    [
        pytest.param(DEMO_KEY, "", False, set(), id="demo"),
        pytest.param("sk_live_abc", "", True, set(), id="live"),
        pytest.param("rk_test_x_acct2", "2", False, set(), id="other-account"),
        pytest.param("rk_test_no_invoices_no_prices_1", "", False, {"invoices", "prices"}, id="restricted"),
        pytest.param("rk_live_no_account", "", True, {"account"}, id="no-account"),
    ],
)
def test_a_key_tells_its_caller(key: str, account: str, live: bool, lacking: set[str]) -> None:
    for header in (f"Bearer {key}", f"Basic {b64encode(f'{key}:'.encode()).decode()}"):
        caller = caller_of(header)
        assert (caller.account, caller.live, set(caller.lacking)) == (account, live, lacking)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        pytest.param("", "You did not provide an API key", id="no-header"),
        pytest.param("Bearer", "You did not provide an API key", id="no-key"),
        pytest.param("Digest abc", "You did not provide an API key", id="other-scheme"),
        pytest.param("Basic %%%", "You did not provide an API key", id="not-base64"),
        pytest.param("Bearer pk_test_abc", "cannot be made with a publishable API key", id="publishable"),
        pytest.param("Bearer whsec_abc", "Invalid API Key provided", id="webhook-secret"),
        pytest.param("Bearer sk_test_revoked_1234", "Invalid API Key provided: sk_test_********1234", id="revoked"),
        pytest.param("Bearer sk_test_expired_1234", "Expired API Key provided", id="expired"),
        pytest.param("Bearer sk_test_ünicode", "Invalid API Key provided", id="not-ascii"),
    ],
)
def test_bad_keys_are_refused(header: str, words: str) -> None:
    with pytest.raises(ApiError, match=words.replace("*", r"\*")) as refused:
        caller_of(header)
    assert refused.value.status == 401


@pytest.mark.parametrize("resource", PERMISSIONS)
def test_a_missing_permission_is_named(resource: str) -> None:
    caller = caller_of(f"Bearer rk_test_no_{resource}_9876")
    with pytest.raises(ApiError) as refused:
        caller.check(resource, "acct_1")
    assert refused.value.status == 403
    assert str(refused.value) == (
        f"The provided key '{masked(caller.key)}' does not have the required permissions for this endpoint on account "
        f"'acct_1'. Having the '{PERMISSIONS[resource]}' permission would allow this request to continue."
    )
    assert caller.key not in str(refused.value)


@pytest.mark.parametrize(
    ("rule", "fires"),
    [
        pytest.param({}, [1, 2, 3, 4, 5, 6], id="always"),
        pytest.param({"nth": 2}, [2], id="nth"),
        pytest.param({"count": 2}, [1, 2], id="count"),
        pytest.param({"after_requests": 4}, [5, 6], id="after"),
        pytest.param({"after_requests": 2, "count": 1}, [3], id="after-and-count"),
        pytest.param({"match": "GET /v1/prices*"}, [], id="other-endpoint"),
        pytest.param({"match": "GET /v1/cust*"}, [1, 2, 3, 4, 5, 6], id="glob"),
        pytest.param({"probability": 0.0}, [], id="never"),
    ],
)
def test_fault_rules_fire(rule: dict[str, object], fires: list[int]) -> None:
    faults = Faults()
    faults.replace([{"kind": "error500", **rule}])

    assert [number for number in range(1, 7) if faults.for_request("GET /v1/customers")] == fires


def test_chance_is_seeded() -> None:
    def pattern(seed: int) -> list[bool]:
        faults = Faults()
        faults.replace([{"kind": "reset", "probability": 0.3, "seed": seed}])
        return [faults.for_request("GET /v1/customers") is not None for _ in range(300)]

    assert pattern(1) == pattern(1) != pattern(2)
    assert 50 < sum(pattern(1)) < 140


def test_the_first_rule_that_fires_wins() -> None:
    faults = Faults()
    faults.replace([{"kind": "slow", "nth": 2}, {"kind": "reset"}])

    kinds = [rule.kind for rule in (faults.for_request("GET /v1/prices") for _ in range(2)) if rule]
    assert kinds == [FaultKind.RESET, FaultKind.SLOW]


@pytest.mark.parametrize("rule", [{"kind": "rain"}, {"kind": "slow", "often": 3}, {"kind": "slow", "fired": 3}])
def test_unknown_fault_rules_are_refused(rule: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"rain|often|fired"):
        Faults().replace([rule])


def accepted(limiter: RateLimiter, endpoints: list[str], seconds: float, rate: int) -> tuple[int, set[str | None]]:
    """How many of ``rate`` evenly spaced requests a second get through, and why the others did not."""
    outcomes = [
        limiter.refusal("acct", endpoints[number % len(endpoints)], number / rate)
        for number in range(int(seconds * rate))
    ]
    return outcomes.count(None), {outcome for outcome in outcomes if outcome}


@pytest.mark.parametrize(
    ("limits", "endpoints", "allowed", "reasons"),
    [
        pytest.param(Limits.LIVE, ["a"], 10 * 25 + 25, {"endpoint-rate"}, id="live-one-endpoint"),
        pytest.param(
            Limits.LIVE, list("abcdefghijklmnopqrst"), 10 * 100 + 100, {"global-rate"}, id="live-many-endpoints"
        ),
        pytest.param(Limits.TEST, list("abcdefgh"), 10 * 25 + 25, {"global-rate"}, id="test-mode"),
        pytest.param(Limits.OFF, ["a"], 4_000, set(), id="off"),
    ],
)
def test_limits_let_their_rate_through(limits: Limits, endpoints: list[str], allowed: int, reasons: set[str]) -> None:
    got, why = accepted(RateLimiter(limits), endpoints, seconds=10, rate=400)

    assert abs(got - allowed) <= 2
    assert why == reasons


def test_accounts_do_not_share_a_limit() -> None:
    limiter = RateLimiter(Limits.TEST)
    first = [limiter.refusal("one", "a", 0.0) for _ in range(30)]

    assert first.count(None) == 25
    assert limiter.refusal("two", "a", 0.0) is None


def test_statistics_know_the_fullest_second() -> None:
    statistics = Statistics()
    for at in (0.0, 0.5, 0.9, 1.2, 1.4, 5.0):
        statistics.note("a" if at < 1 else "b", at)

    report = statistics.report()
    assert report["max_in_one_second"] == 4
    assert report["max_in_one_second_by_endpoint"] == {"a": 3, "b": 2}


@pytest.mark.parametrize(
    ("pairs", "window"),
    [
        pytest.param([], Window(0, FOREVER), id="all"),
        pytest.param([("created[gte]", "5"), ("created[lt]", "9")], Window(5, 9), id="half-open"),
        pytest.param([("created[gt]", "5"), ("created[lte]", "9")], Window(6, 10), id="the-other-half-open"),
        pytest.param([("created", "7")], Window(7, 8), id="exact"),
        pytest.param([("created[gte]", "5"), ("created[gt]", "5")], Window(6, FOREVER), id="both-hold"),
    ],
)
def test_created_windows(pairs: list[tuple[str, str]], window: Window) -> None:
    assert list_query(pairs, ()).window == window


@pytest.mark.parametrize(
    ("pairs", "param"),
    [
        pytest.param([("limit", "0")], "limit", id="limit-0"),
        pytest.param([("limit", "101")], "limit", id="limit-101"),
        pytest.param([("limit", "ten")], "limit", id="limit-in-words"),
        pytest.param([("limit", "9" * 5_000)], "limit", id="limit-endless"),
        pytest.param([("created[gte]", "yesterday")], "created[gte]", id="created-in-words"),
        pytest.param([("colour", "red")], "colour", id="unknown"),
        pytest.param([("starting_after", "a"), ("ending_before", "b")], None, id="two-cursors"),
    ],
)
def test_bad_parameters_are_refused(pairs: list[tuple[str, str]], param: str | None) -> None:
    with pytest.raises(ApiError) as refused:
        list_query(pairs, ())
    assert refused.value.status == 400
    assert refused.value.error.get("param") == param


@pytest.mark.parametrize(
    ("expand", "listed", "expected"),
    [
        pytest.param("data.tiers", True, (("tiers",),), id="list"),
        pytest.param("tiers", False, (("tiers",),), id="object"),
        pytest.param("tiers", True, None, id="list-without-data"),
        pytest.param("data.a.b.c.d.e", True, None, id="too-deep"),
    ],
)
def test_expansions(expand: str, listed: bool, expected: tuple[tuple[str, ...], ...] | None) -> None:
    if expected is not None:
        assert expand_paths((expand,), listed=listed) == expected
        return
    with pytest.raises(ApiError):
        expand_paths((expand,), listed=listed)
