"""What follows an attempt that failed: real answers of Stripe, sorted by status first."""

from __future__ import annotations

import pytest

from sync_core.errors import FatalRunError, TransientError
from sync_core.stripe_source.errors import (
    AuthRefused,
    CursorGone,
    PermissionMissing,
    RequestRefused,
    StripeError,
    StripeUnavailable,
)
from sync_core.stripe_source.retry import DELAYS, Answered, Broken, Cause, Outcome, Raise, Retry, next_step, retry_cause

RAK = (
    "The provided key 'rk_test_*********************1234' does not have the required permissions for this endpoint on "
    "account 'acct_1'. Having the 'rak_customer_read' permission would allow this request to continue."
)


@pytest.mark.parametrize(
    ("outcome", "cause"),
    [
        pytest.param(
            Answered(429, code="rate_limit", rate_reason="global-rate"), Cause.RATE, id="429-of-type-invalid-request"
        ),
        pytest.param(Answered(429, rate_reason="endpoint-rate"), Cause.RATE, id="429-endpoint"),
        pytest.param(Answered(429), Cause.RATE, id="429-without-any-word"),
        pytest.param(Answered(429, rate_reason="global-concurrency"), Cause.CONCURRENCY, id="429-global-concurrency"),
        pytest.param(
            Answered(429, rate_reason="endpoint-concurrency"), Cause.CONCURRENCY, id="429-endpoint-concurrency"
        ),
        pytest.param(Answered(429, rate_reason="resource-specific"), Cause.LOCK, id="429-resource-specific"),
        pytest.param(Answered(429, code="lock_timeout"), Cause.LOCK, id="429-lock-timeout"),
        pytest.param(Answered(409), Cause.LOCK, id="409"),
        pytest.param(Answered(500), Cause.SERVER, id="500"),
        pytest.param(Answered(503), Cause.SERVER, id="503"),
        pytest.param(Answered(400, should_retry=True), Cause.SERVER, id="stripe-says-retry-a-400"),
        pytest.param(Answered(500, should_retry=False), None, id="stripe-says-leave-a-500"),
        pytest.param(Answered(429, should_retry=False), None, id="stripe-says-leave-a-429"),
        pytest.param(Answered(400), None, id="400"),
        pytest.param(Answered(302), None, id="redirect"),
        pytest.param(Broken(Cause.NETWORK, "ConnectError"), Cause.NETWORK, id="network"),
        pytest.param(Broken(Cause.BODY, "cut"), Cause.BODY, id="torn-body"),
    ],
)
def test_cause_of_a_retry(outcome: Outcome, cause: Cause | None) -> None:
    assert retry_cause(outcome) is cause


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(Answered(401, "Invalid API Key provided: sk_test_****abcd"), AuthRefused, id="401"),
        pytest.param(Answered(401, "Expired API Key", code="api_key_expired"), AuthRefused, id="401-expired"),
        pytest.param(Answered(403, RAK), PermissionMissing, id="403-restricted-key"),
        pytest.param(
            Answered(400, "No such customer: 'cus_1'", code="resource_missing", param="starting_after"),
            CursorGone,
            id="400-cursor-deleted",
        ),
        pytest.param(
            Answered(404, "No such customer: 'cus_1'", code="resource_missing", param="ending_before"),
            CursorGone,
            id="404-cursor-deleted",
        ),
        pytest.param(
            Answered(404, "No such customer: 'cus_1'", code="resource_missing", param="id"), RequestRefused, id="404-id"
        ),
        pytest.param(Answered(400, "Received unknown parameter: x", param="x"), RequestRefused, id="400"),
        pytest.param(Answered(402, "Your card was declined."), RequestRefused, id="402"),
        pytest.param(Answered(424, "External dependency failed"), RequestRefused, id="424"),
        pytest.param(Answered(302), RequestRefused, id="redirect"),
        pytest.param(Answered(500, should_retry=False), StripeUnavailable, id="500-not-to-be-retried"),
    ],
)
def test_refusals_are_raised_at_once(answer: Answered, expected: type[StripeError]) -> None:
    step = next_step(1, answer, elapsed=0.0, roll=0.5)

    assert isinstance(step, Raise)
    assert type(step.error) is expected
    assert step.error.status == answer.status


def test_errors_say_what_callers_do_about_them() -> None:
    assert issubclass(AuthRefused, FatalRunError)
    assert issubclass(StripeUnavailable, TransientError)
    refused = AuthRefused("Invalid API Key provided: sk_live_4eC39HqLyjWDarjtT1zdp7dc")
    assert "4eC39" not in f"{refused} {refused.reason} {refused.message}"
    assert refused.reason.startswith("Stripe does not accept the key")


@pytest.mark.parametrize(
    ("message", "permission"),
    [
        pytest.param(RAK, "rak_customer_read", id="one"),
        pytest.param(
            "Having one of the 'rak_plan_read', 'rak_product_read' permissions would allow this request to continue.",
            "rak_plan_read, rak_product_read",
            id="several",
        ),
        pytest.param("This account may not do that.", None, id="not-named"),
    ],
)
def test_missing_permission_is_named(message: str, permission: str | None) -> None:
    assert PermissionMissing(message, status=403).permission == permission


@pytest.mark.parametrize(
    ("attempt", "outcome", "roll", "delay"),
    [
        pytest.param(1, Answered(500), 1.0, 0.5, id="first"),
        pytest.param(3, Answered(500), 1.0, 2.0, id="third-doubled-twice"),
        pytest.param(3, Answered(500), 0.25, 0.5, id="full-jitter"),
        pytest.param(3, Answered(500), 0.0, 0.0, id="full-jitter-begins-at-zero"),
        pytest.param(40, Answered(500), 1.0, 20.0, id="longest"),
        pytest.param(5000, Answered(500), 1.0, 20.0, id="no-overflow"),
        pytest.param(1, Answered(429, retry_after=7), 0.1, 7.0, id="retry-after-honoured"),
        pytest.param(1, Answered(429, retry_after=3600), 0.1, 60.0, id="retry-after-bounded"),
        pytest.param(9, Answered(429, retry_after=0), 1.0, 8.0, id="retry-after-never-shortens"),
    ],
)
def test_delay(attempt: int, outcome: Outcome, roll: float, delay: float) -> None:
    step = next_step(attempt, outcome, elapsed=0.0, roll=roll)
    assert isinstance(step, Retry)
    assert (step.delay, step.cause) == (delay, retry_cause(outcome))


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_has_delays_and_an_end(cause: Cause) -> None:
    assert DELAYS[cause][0] <= DELAYS[cause][1]
    step = next_step(30, Broken(cause, "gone"), elapsed=300.0, roll=0.9)
    assert isinstance(step, Raise)
    assert isinstance(step.error, StripeUnavailable)
    assert "30 times" in step.error.message
    assert "gone" in step.error.message


def test_patience_counts_the_delay_to_come() -> None:
    assert isinstance(next_step(1, Answered(500), elapsed=9.4, roll=1.0, patience=10.0), Retry)
    assert isinstance(next_step(1, Answered(500), elapsed=9.6, roll=1.0, patience=10.0), Raise)
