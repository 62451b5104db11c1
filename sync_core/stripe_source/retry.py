"""What to do after an attempt that brought no data: a pure decision, so that every rule is a row of a table test.

HTTP status decides first, then Stripe's code: Stripe types a 429 as `invalid_request_error`, so its type says nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sync_core.stripe_source.errors import (
    AuthRefused,
    CursorGone,
    PermissionMissing,
    RequestRefused,
    StripeError,
    StripeUnavailable,
)

PATIENCE_SECONDS = 300.0
_RETRY_AFTER_MOST = 60.0


class Cause(StrEnum):
    """Why an attempt is repeated; the key of `DELAYS`."""

    RATE = "rate"
    CONCURRENCY = "concurrency"
    LOCK = "lock"
    SERVER = "server"
    NETWORK = "network"
    BODY = "body"


# Cause: (first delay, longest delay) in seconds. Rates are slowed by the governor as well, so their own delay stays short.
DELAYS: Mapping[Cause, tuple[float, float]] = {
    Cause.RATE: (0.5, 8.0),
    Cause.CONCURRENCY: (0.5, 8.0),
    Cause.LOCK: (0.5, 4.0),
    Cause.SERVER: (0.5, 20.0),
    Cause.NETWORK: (0.25, 10.0),
    Cause.BODY: (0.25, 5.0),
}


@dataclass(frozen=True, slots=True)
class Answered:
    """Stripe answered with something other than 2xx."""

    status: int
    message: str = ""
    code: str = ""
    param: str | None = None
    request_id: str | None = None
    rate_reason: str | None = None
    should_retry: bool | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Broken:
    """No usable answer came: the connection failed, time ran out, or the body was cut or is no JSON."""

    cause: Cause
    message: str


Outcome = Answered | Broken


@dataclass(frozen=True, slots=True)
class Retry:
    delay: float
    cause: Cause


@dataclass(frozen=True, slots=True)
class Raise:
    error: StripeError


@dataclass(slots=True)
class Retries:
    """Attempts that were repeated for one list of Stripe's, by cause; `until` is when the last one put off is made, in epoch seconds, and
    `waits_for` why that one was.
    """

    causes: Counter[Cause] = field(default_factory=Counter)
    until: float = 0.0
    waits_for: Cause | None = None

    def note(self, step: Retry, now: float) -> None:
        self.causes[step.cause] += 1
        if now + step.delay >= self.until:
            self.until, self.waits_for = now + step.delay, step.cause

    def to_json(self) -> dict[str, Any]:
        causes = {cause.value: count for cause, count in self.causes.items()}
        return {"causes": causes, "until": self.until, "waits_for": self.waits_for}


def next_step(
    attempt: int, outcome: Outcome, *, elapsed: float, roll: float, patience: float = PATIENCE_SECONDS
) -> Retry | Raise:
    """`attempt` counts from 1, `elapsed` is seconds since the first began, `roll` a random number in [0, 1)."""
    cause = retry_cause(outcome)
    if cause is None:
        return Raise(_refusal(outcome))
    delay = _delay(cause, attempt, outcome, roll)
    if elapsed + delay > patience:
        return Raise(_unavailable(attempt, outcome, elapsed))
    return Retry(delay, cause)


def retry_cause(outcome: Outcome) -> Cause | None:
    if isinstance(outcome, Broken):
        return outcome.cause
    if outcome.should_retry is False:
        return None
    cause = _cause_of_status(outcome)
    return cause or (Cause.SERVER if outcome.should_retry else None)


def _cause_of_status(answer: Answered) -> Cause | None:
    if answer.status == 429:
        return _cause_of_429(answer)
    if answer.status == 409:
        return Cause.LOCK
    return Cause.SERVER if answer.status >= 500 else None


def _cause_of_429(answer: Answered) -> Cause:
    if answer.code == "lock_timeout" or answer.rate_reason == "resource-specific":
        return Cause.LOCK
    if answer.rate_reason and answer.rate_reason.endswith("-concurrency"):
        return Cause.CONCURRENCY
    return Cause.RATE


def _delay(cause: Cause, attempt: int, outcome: Outcome, roll: float) -> float:
    """Exponential with full jitter: many requests that failed together must not come back together."""
    first, longest = DELAYS[cause]
    delay = roll * min(longest, first * 2.0 ** min(attempt - 1, 30))
    asked = outcome.retry_after if isinstance(outcome, Answered) else None
    return delay if asked is None else max(delay, min(asked, _RETRY_AFTER_MOST))


def _unavailable(attempt: int, outcome: Outcome, elapsed: float) -> StripeUnavailable:
    said = outcome.message or "no message"
    times = "once" if attempt == 1 else f"{attempt} times over {elapsed:.0f} s"
    message = f"Stripe did not answer usefully, asked {times}; last: {said}"
    if isinstance(outcome, Broken):
        return StripeUnavailable(message, code=outcome.cause.value)
    return StripeUnavailable(message, status=outcome.status, code=outcome.code, request_id=outcome.request_id)


def _refusal(outcome: Outcome) -> StripeError:
    if isinstance(outcome, Broken):
        return StripeUnavailable(outcome.message, code=outcome.cause.value)
    return _refusal_class(outcome)(
        outcome.message or f"Stripe answered {outcome.status}",
        status=outcome.status,
        code=outcome.code,
        request_id=outcome.request_id,
        param=outcome.param,
    )


def _refusal_class(answer: Answered) -> type[StripeError]:
    if answer.status == 401:
        return AuthRefused
    if answer.status == 403:
        return PermissionMissing
    if answer.code == "resource_missing" and answer.param in ("starting_after", "ending_before"):
        return CursorGone
    if answer.status == 429 or answer.status >= 500:
        return StripeUnavailable
    return RequestRefused
