"""What an answer's bytes mean: data, or an outcome for `retry` to judge."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from math import isfinite
from typing import Any

import orjson

from sync_core.stripe_source.retry import Answered, Broken, Cause, Outcome
from sync_core.stripe_source.wire import Answer

_NUL = b"\\u0000"
_EXCERPT = 200


@dataclass(frozen=True, slots=True)
class Received:
    """A 2xx answer with its JSON object. Times are epoch seconds: ours when the request began, Stripe's when it answered."""

    data: dict[str, Any]
    requested_at: float
    server_date: int
    request_id: str | None
    has_nul: bool
    api_version: str | None = None


def read(answer: Answer, requested_at: float) -> Received | Outcome:
    data = _parse(answer.body)
    if not 200 <= answer.status < 300:
        return _answered(answer, data)
    if data is None:
        return Broken(Cause.BODY, f"the answer's {len(answer.body)} bytes are no whole JSON object")
    return Received(
        data=data,
        requested_at=requested_at,
        server_date=_server_date(answer.headers.get("date")) or int(requested_at),
        request_id=answer.headers.get("request-id"),
        has_nul=_NUL in answer.body,
        api_version=answer.headers.get("stripe-version"),
    )


def _parse(body: bytes) -> dict[str, Any] | None:
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        data = _parse_leniently(body)
    return data if isinstance(data, dict) else None


def _parse_leniently(body: bytes) -> Any:
    """Half of a surrogate pair, which a careless client may have written into Stripe, is refused by orjson; it becomes U+FFFD. A number
    that is none, or that no float holds, is refused as well, and becomes null.
    """
    try:
        text = json.dumps(json.loads(body, parse_constant=_no_number, parse_float=_finite), ensure_ascii=False)
        return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    except ValueError:
        return None


def _no_number(_word: str) -> None:
    return None


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if isfinite(number) else None


@lru_cache(maxsize=16)
def _server_date(header: str | None) -> int | None:
    try:
        return int(parsedate_to_datetime(header).timestamp()) if header else None
    except ValueError:
        return None


def _answered(answer: Answer, data: dict[str, Any] | None) -> Answered:
    error = data.get("error") if data else None
    fields: dict[str, Any] = error if isinstance(error, dict) else {}
    excerpt = answer.body[:_EXCERPT].decode("utf-8", "replace").strip()
    return Answered(
        status=answer.status,
        message=_text(fields.get("message")) or excerpt,
        code=_text(fields.get("code")) or "",
        param=_text(fields.get("param")),
        request_id=answer.headers.get("request-id"),
        rate_reason=answer.headers.get("stripe-rate-limited-reason"),
        should_retry=_flag(answer.headers, "stripe-should-retry"),
        retry_after=_seconds(answer.headers.get("retry-after")),
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _flag(headers: Mapping[str, str], name: str) -> bool | None:
    return {"true": True, "false": False}.get(headers.get(name, "").lower())


def _seconds(value: str | None) -> float | None:
    """Only the form in seconds: a date would have to be judged by two clocks."""
    return float(value) if value and value.isascii() and value.isdigit() else None
