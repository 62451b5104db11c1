"""Stripe keys as people paste them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Literal

from sync_core.errors import Refusal

_SHAPE = re.compile(r"(sk|rk)_(live|test)_[A-Za-z0-9_]{8,}")

_USE = "Use a restricted key (rk_…) with read permissions, or the secret key (sk_…)."
# Prefix: what it is instead, and which key to use.
_REFUSED_PREFIXES = {
    "pk_": ("publishable_key", f"This is a publishable key: it can't read your account. {_USE}"),
    "whsec_": ("webhook_secret", f"This is a webhook signing secret, not an API key. {_USE}"),
    "sk_org_": (
        "organization_key",
        f"This is an organization key, which stands for several accounts. Create a key in the one to sync. {_USE}",
    ),
}


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """What may be known and shown of a key. `fingerprint` tells keys apart without holding them."""

    kind: Literal["secret", "restricted"]
    mode: Literal["test", "live"]
    last4: str
    fingerprint: str


def check_key_format(key: str) -> KeyInfo | Refusal:
    if not key.strip():
        return _refused("key_missing", "Paste the account's restricted (rk_…) or secret (sk_…) key.")
    for prefix, (code, message) in _REFUSED_PREFIXES.items():
        if key.strip().startswith(prefix):
            return _refused(code, message)
    if re.search(r"\s", key):
        return _refused("key_whitespace", "The key has spaces or line breaks in it. Copy it again, without them.")
    if any(mark in key for mark in "*…•"):
        return _refused("key_masked", "This key is masked. Reveal it in Stripe first, then copy it whole.")
    shape = _SHAPE.fullmatch(key)
    if shape is None:
        return _refused(
            "key_malformed", "This is not a Stripe key. It starts with rk_test_, rk_live_, sk_test_ or sk_live_."
        )
    return KeyInfo(
        kind="secret" if shape[1] == "sk" else "restricted",
        mode="live" if shape[2] == "live" else "test",
        last4=key[-4:],
        fingerprint=hashlib.sha256(key.encode()).hexdigest()[:16],
    )


def _refused(code: str, message: str) -> Refusal:
    return Refusal(code=code, message=message, field="api_key")
