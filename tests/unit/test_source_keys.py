from __future__ import annotations

import pytest

from sync_core.errors import Refusal
from sync_core.stripe_source import KeyInfo, check_key_format

TAIL = "51H8xQ2eZvKYlo2C"


@pytest.mark.parametrize(
    ("key", "kind", "mode"),
    [
        pytest.param(f"sk_test_{TAIL}", "secret", "test", id="secret-test"),
        pytest.param(f"sk_live_{TAIL}", "secret", "live", id="secret-live"),
        pytest.param(f"rk_test_{TAIL}", "restricted", "test", id="restricted-test"),
        pytest.param(f"rk_live_{TAIL}", "restricted", "live", id="restricted-live"),
        pytest.param(f"sk_test_{TAIL}_{TAIL}", "secret", "test", id="underscore-inside"),
    ],
)
def test_accepted(key: str, kind: str, mode: str) -> None:
    info = check_key_format(key)

    assert isinstance(info, KeyInfo)
    assert (info.kind, info.mode, info.last4) == (kind, mode, key[-4:])
    assert len(info.fingerprint) == 16
    assert TAIL not in repr(info)


@pytest.mark.parametrize(
    ("key", "code"),
    [
        pytest.param("", "key_missing", id="empty"),
        pytest.param(" \n", "key_missing", id="blank"),
        pytest.param(f"pk_live_{TAIL}", "publishable_key", id="publishable"),
        pytest.param(f" pk_test_{TAIL}", "publishable_key", id="publishable-with-space"),
        pytest.param(f"whsec_{TAIL}", "webhook_secret", id="webhook-secret"),
        pytest.param(f"sk_org_live_{TAIL}", "organization_key", id="organization"),
        pytest.param(f"sk_test_{TAIL}\n", "key_whitespace", id="newline-at-end"),
        pytest.param(f"sk_test_ {TAIL}", "key_whitespace", id="space-inside"),
        pytest.param("sk_live_••••••••1234", "key_masked", id="masked-dots"),
        pytest.param("sk_live_********1234", "key_masked", id="masked-stars"),
        pytest.param("sk_test_short", "key_malformed", id="too-short"),
        pytest.param(f"sk_prod_{TAIL}", "key_malformed", id="unknown-mode"),
        pytest.param(f"SK_TEST_{TAIL}", "key_malformed", id="upper-case"),
        pytest.param(f"sk_test_{TAIL}é", "key_malformed", id="not-ascii"),
        pytest.param("hunter2", "key_malformed", id="something-else"),
    ],
)
def test_refused(key: str, code: str) -> None:
    refusal = check_key_format(key)

    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.field) == (code, "api_key")
    assert refusal.message.endswith(".")
    assert TAIL not in refusal.message


def test_fingerprints_tell_keys_apart() -> None:
    one, two = check_key_format(f"sk_test_{TAIL}a"), check_key_format(f"sk_test_{TAIL}b")

    assert isinstance(one, KeyInfo)
    assert isinstance(two, KeyInfo)
    assert one.fingerprint != two.fingerprint
