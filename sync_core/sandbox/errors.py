"""Stripe's refusals, word for word where the words are known."""

from __future__ import annotations

from typing import Any

_DOCS = "https://stripe.com/docs/error-codes/"


class ApiError(Exception):
    """An answer other than 200, with Stripe's error body."""

    def __init__(self, status: int, message: str, **details: Any) -> None:
        super().__init__(message)
        self.status = status
        self.headers: dict[str, str] = details.pop("headers", {})
        kind = details.pop("type", "invalid_request_error")
        self.error = {"message": message, "type": kind, **{k: v for k, v in details.items() if v is not None}}
        if code := self.error.get("code"):
            self.error["doc_url"] = f"{_DOCS}{str(code).replace('_', '-')}"


def missing(kind: str, object_id: str, param: str = "id", *, status: int = 404) -> ApiError:
    return ApiError(status, f"No such {kind}: '{object_id}'", code="resource_missing", param=param)


def rate_limited(reason: str) -> ApiError:
    return ApiError(
        429,
        "Request rate limit exceeded. You can learn more about rate limits here https://docs.stripe.com/rate-limits.",
        code="rate_limit",
        headers={"Stripe-Rate-Limited-Reason": reason},
    )


def lock_timeout() -> ApiError:
    return ApiError(
        429,
        "This object cannot be accessed right now because another API request or Stripe process is currently "
        "accessing it. If you see this error intermittently, retry the request.",
        code="lock_timeout",
    )


def server_error() -> ApiError:
    return ApiError(
        500,
        "Sorry! There was an error while talking to one of our backends. Support has been notified.",
        type="api_error",
    )
