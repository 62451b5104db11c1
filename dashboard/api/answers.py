"""The noes that a route documents, so that its OpenAPI entry is true."""

from __future__ import annotations

from typing import Any

from dashboard.api.models import ErrorResponse

_SAYS = {
    400: "Malformed JSON or id",
    401: "No valid API key",
    403: "The key's level is too low",
    404: "Not in this workspace",
    409: "Not possible as things stand",
    412: "If-Match names another revision",
    413: "The body is larger than 256 kB",
    422: "A value is not acceptable; details name the field",
    502: "Stripe did not answer",
}
_ALWAYS = (400, 401, 404, 413, 422)


def noes(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """With those that any route with an API key can give."""
    return {status: {"model": ErrorResponse, "description": _SAYS[status]} for status in sorted({*_ALWAYS, *statuses})}
