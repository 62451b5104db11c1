"""Is this webhook Stripe's?"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

import orjson

from sync_core.errors import Refusal

TOLERANCE_SECONDS = 300


def verify_signature(payload: bytes, header: str, secrets: Sequence[str], now: float) -> dict[str, Any] | Refusal:
    """The event in `payload`, when one of `secrets` signed it within five minutes of `now` (epoch seconds).

    Several secrets and several v1 signatures are met while a secret is rolled. A time ahead of ours is refused as well:
    a clock that far off would let a recorded request be replayed later.
    """
    timestamp, signatures = _parse(header)
    if timestamp is None or not signatures:
        return _refused("signature_malformed", "The Stripe-Signature header is missing or not in Stripe's form.")
    if not _any_matches(timestamp, payload, signatures, secrets):
        return _refused("signature_invalid", "The signature matches none of this connection's webhook secrets.")
    if abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        return _refused("signature_expired", "The signature's time is more than five minutes away from ours.")
    return _event(payload)


def _parse(header: str) -> tuple[str | None, list[bytes]]:
    pairs = [part.strip().partition("=")[::2] for part in header.split(",")]
    times = [value for name, value in pairs if name == "t" and value.isascii() and value.isdigit() and len(value) < 16]
    signatures = [value.encode("ascii", "replace") for name, value in pairs if name == "v1" and value]
    return (times[0] if times else None), signatures


def _any_matches(timestamp: str, payload: bytes, signatures: Sequence[bytes], secrets: Sequence[str]) -> bool:
    """Every pair is compared, so that the time taken tells nothing about which one fits."""
    signed = timestamp.encode() + b"." + payload
    found = False
    for secret in filter(None, secrets):
        expected = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest().encode()
        for signature in signatures:
            found |= hmac.compare_digest(expected, signature)
    return found


def _event(payload: bytes) -> dict[str, Any] | Refusal:
    try:
        event = orjson.loads(payload)
    except orjson.JSONDecodeError:
        event = None
    if not isinstance(event, dict) or event.get("object") != "event" or not isinstance(event.get("id"), str):
        return _refused("event_malformed", "The body is not a Stripe event.")
    return event


def _refused(code: str, message: str) -> Refusal:
    return Refusal(code=code, message=message, field="Stripe-Signature", status=400)
