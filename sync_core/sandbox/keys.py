"""Who a key belongs to and what it may read, told by the key itself, so that tests need no registration.

Any ``sk_test_``, ``rk_test_``, ``sk_live_`` or ``rk_live_`` key is accepted. Words inside it change that:
``revoked``, ``expired`` and ``invalid`` are answered 401; ``_acct2`` (any digits) is a key of another account;
``no_customers``, ``no_products``, ``no_prices``, ``no_subscriptions``, ``no_invoices``, ``no_events`` and
``no_account`` lack that read permission (403), on restricted and on secret keys alike.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass

from sync_core.sandbox.errors import ApiError

DEMO_KEY = "sk_test_sandbox_demo_4f1c"

_KEY = re.compile(r"[sr]k_(test|live)_\w+", re.ASCII)
_REFUSED = ("revoked", "expired", "invalid")
_LACKING = re.compile(r"no_(customers|products|prices|subscriptions|invoices|events|account)")
_ACCOUNT = re.compile(r"_acct(\d+)")
# As Stripe names them: prices still go by the plans they came from.
PERMISSIONS = {
    "customers": "rak_customer_read",
    "products": "rak_product_read",
    "prices": "rak_plan_read",
    "subscriptions": "rak_subscription_read",
    "invoices": "rak_invoice_read",
    "events": "rak_event_read",
    "account": "rak_accounts_kyc_basic_read",
}
_NO_KEY = (
    "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth "
    "(e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for details, "
    "or we can help at https://support.stripe.com/."
)
_PUBLISHABLE = (
    "This API call cannot be made with a publishable API key. Please use a secret API key. "
    "You can find a list of your API keys at https://dashboard.stripe.com/account/apikeys."
)


@dataclass(frozen=True, slots=True)
class Caller:
    """``account`` is empty for the first account, else the digits of the key's ``_acct…``."""

    key: str
    account: str
    live: bool
    lacking: frozenset[str]

    def check(self, resource: str, account_id: str) -> None:
        """Raises Stripe's 403 when the key may not read ``resource``."""
        if resource not in self.lacking:
            return
        raise ApiError(
            403,
            f"The provided key '{masked(self.key)}' does not have the required permissions for this endpoint on "
            f"account '{account_id}'. Having the '{PERMISSIONS[resource]}' permission would allow this request to "
            "continue.",
        )


def masked(key: str) -> str:
    prefix, rest = key[:8], key[8:]
    return f"{prefix}{'*' * max(4, len(rest) - 4)}{rest[-4:]}"


def caller_of(authorization: str) -> Caller:
    """The caller behind an Authorization header. Raises 401 as Stripe does."""
    key = _key_in(authorization)
    if not key:
        raise ApiError(401, _NO_KEY, headers={"WWW-Authenticate": 'Basic realm="Stripe"'})
    if key.startswith("pk_"):
        raise ApiError(401, _PUBLISHABLE, code="secret_key_required")
    if "expired" in key:
        raise ApiError(401, f"Expired API Key provided: {masked(key)}", code="api_key_expired")
    if _KEY.fullmatch(key) is None or any(word in key for word in _REFUSED):
        raise ApiError(401, f"Invalid API Key provided: {masked(key)}")
    account = _ACCOUNT.search(key)
    lacking = frozenset(_LACKING.findall(key))
    return Caller(key, account.group(1) if account else "", "_live_" in key[:8], lacking)


def _key_in(authorization: str) -> str:
    scheme, _, value = authorization.partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer":
        return value
    if scheme.lower() != "basic":
        return ""
    try:
        return b64decode(value, validate=True).decode("latin-1").partition(":")[0]
    except (Base64Error, ValueError):
        return ""
