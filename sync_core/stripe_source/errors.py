"""What Stripe, or the way to it, can answer instead of data; grouped by what the caller does about it.

StripeError
├── AuthRefused        the key is wrong, revoked or expired: the run ends
├── PermissionMissing  a restricted key lacks a permission, named when Stripe names it
├── CursorGone         the object that a page was to start after no longer exists
├── RequestRefused     Stripe will not answer this request, however often it is asked
└── StripeUnavailable  tried until patience ran out; later it may work
"""

from __future__ import annotations

import re

from sync_core.errors import CypheraError, FatalRunError, TransientError

_KEY = re.compile(r"\b(sk|rk|pk)_(live|test|org)_[A-Za-z0-9_*]+|\bwhsec_[A-Za-z0-9_*]+")
_PERMISSION = re.compile(r"\brak_[a-z0-9_]+")


def without_keys(text: str) -> str:
    """Stripe masks keys in its messages; a proxy's page or a wrong path may not."""
    return _KEY.sub("[key]", text)


def named_permissions(message: str) -> str | None:
    """The permissions that Stripe's 403 text names, comma separated."""
    found = dict.fromkeys(_PERMISSION.findall(message))
    return ", ".join(found) or None


class StripeError(CypheraError):
    """Base of all. `code` is Stripe's own word, empty when it gave none; `status` is 0 when no answer came."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        code: str = "",
        request_id: str | None = None,
        param: str | None = None,
    ) -> None:
        self.message = without_keys(message)
        self.status = status
        self.code = code
        self.request_id = request_id
        self.param = param
        super().__init__(self.message)


class AuthRefused(StripeError, FatalRunError):  # noqa: N818 - it is what happened, not a mistake
    """Stripe does not accept the key."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 401,
        code: str = "",
        request_id: str | None = None,
        param: str | None = None,
    ) -> None:
        StripeError.__init__(self, message, status=status, code=code, request_id=request_id, param=param)
        self.reason = f"Stripe does not accept the key: {self.message} Replace it on the Connect page, then resume."


class PermissionMissing(StripeError):  # noqa: N818 - the same
    """The key may not read this. `permission` is Stripe's name, such as `rak_customer_read`."""

    @property
    def permission(self) -> str | None:
        return named_permissions(self.message)


class CursorGone(StripeError):  # noqa: N818 - the same
    """The cursor's object was deleted meanwhile; ask again by time."""


class RequestRefused(StripeError):  # noqa: N818 - the same
    """Stripe refused for good."""

    @property
    def is_missing(self) -> bool:
        return self.code == "resource_missing" or self.status == 404


class StripeUnavailable(StripeError, TransientError):  # noqa: N818 - the same
    """Stripe did not answer usefully for as long as we were willing to try."""
