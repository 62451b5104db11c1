from __future__ import annotations

import hashlib
import hmac

import pytest
import stripe

from sync_core.errors import Refusal
from sync_core.stripe_source import verify_signature

NOW = 1_795_000_000
EVENT = '{"id":"evt_1","object":"event","type":"customer.updated","data":{"object":{"name":"Zoë"}}}'.encode()
SECRET, OTHER = "whsec_one", "whsec_two"


def sign(payload: bytes = EVENT, *, secret: str = SECRET, at: int = NOW) -> str:
    return hmac.new(secret.encode(), f"{at}.".encode() + payload, hashlib.sha256).hexdigest()


def header(*signatures: str, at: object = NOW) -> str:
    return ",".join([f"t={at}", *(f"v1={one}" for one in signatures)])


@pytest.mark.parametrize(
    ("value", "secrets"),
    [
        pytest.param(header(sign()), [SECRET], id="plain"),
        pytest.param(header("00" * 32, sign()), [SECRET], id="second-v1-fits"),
        pytest.param(header(sign(), "00" * 32), [SECRET], id="first-v1-fits"),
        pytest.param(header(sign(secret=OTHER), sign()), [SECRET], id="secret-rolled-at-stripe"),
        pytest.param(header(sign(secret=OTHER)), [SECRET, OTHER], id="second-secret-fits"),
        pytest.param(header(sign()) + ",v0=ffff", [SECRET], id="v0-ignored"),
        pytest.param(f"t={NOW}, v1={sign()}", [SECRET], id="space-after-comma"),
        pytest.param(header(sign(at=NOW - 300), at=NOW - 300), [SECRET], id="five-minutes-old"),
        pytest.param(header(sign(at=NOW + 300), at=NOW + 300), [SECRET], id="five-minutes-ahead"),
    ],
)
def test_accepted(value: str, secrets: list[str]) -> None:
    event = verify_signature(EVENT, value, secrets, NOW)

    assert isinstance(event, dict)
    assert event["data"]["object"]["name"] == "Zoë"


@pytest.mark.parametrize(
    ("payload", "value", "secrets", "code"),
    [
        pytest.param(EVENT, "", [SECRET], "signature_malformed", id="no-header"),
        pytest.param(EVENT, f"v1={sign()}", [SECRET], "signature_malformed", id="no-time"),
        pytest.param(EVENT, header(sign(), at="soon"), [SECRET], "signature_malformed", id="time-not-a-number"),
        pytest.param(EVENT, header(sign(), at="9" * 400), [SECRET], "signature_malformed", id="time-too-long"),
        pytest.param(EVENT, header(), [SECRET], "signature_malformed", id="no-signature"),
        pytest.param(EVENT, f"t={NOW},v0={sign()}", [SECRET], "signature_malformed", id="v0-only"),
        pytest.param(EVENT, header("é" * 64), [SECRET], "signature_invalid", id="not-ascii"),
        pytest.param(EVENT, header(sign()[:-1]), [SECRET], "signature_invalid", id="cut"),
        pytest.param(EVENT + b" ", header(sign()), [SECRET], "signature_invalid", id="body-changed"),
        pytest.param(EVENT, header(sign(), at=NOW + 1), [SECRET], "signature_invalid", id="time-changed"),
        pytest.param(EVENT, header(sign()), [OTHER], "signature_invalid", id="other-secret"),
        pytest.param(EVENT, header(sign()), [], "signature_invalid", id="no-secrets"),
        pytest.param(EVENT, header(sign(secret="")), [""], "signature_invalid", id="empty-secret"),
        pytest.param(EVENT, header(sign(at=NOW - 301), at=NOW - 301), [SECRET], "signature_expired", id="replayed"),
        pytest.param(EVENT, header(sign(at=NOW + 301), at=NOW + 301), [SECRET], "signature_expired", id="from-ahead"),
        pytest.param(b"{", header(sign(b"{")), [SECRET], "event_malformed", id="no-json"),
        pytest.param(b"[]", header(sign(b"[]")), [SECRET], "event_malformed", id="no-object"),
    ],
)
def test_refused(payload: bytes, value: str, secrets: list[str], code: str) -> None:
    refusal = verify_signature(payload, value, secrets, NOW)

    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.status) == (code, 400)


def test_agrees_with_the_sdk() -> None:
    made = stripe.WebhookSignature._compute_signature(f"{NOW}.{EVENT.decode()}", SECRET)

    assert isinstance(verify_signature(EVENT, header(made), [SECRET], NOW), dict)
