"""What a check of a connection finds: of its key, or of what is known here without asking Stripe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

from sync_core.domain.vocabulary import EntityType, Word


class CheckName(Word):
    KEY_FORMAT = "key_format", "Key format"
    REACHABLE = "reachable", "Stripe is reachable"
    ACCEPTED = "accepted", "Stripe accepts the key"
    ACCOUNT = "account", "Account"
    MODE = "mode", "Test or live mode"
    PERMISSIONS = "permissions", "Read permissions"
    VERSION = "version", "API version"
    CLOCK = "clock", "Clocks agree"
    SCOPE = "scope", "Least privilege"
    SHARED = "shared", "No other workspace"
    WEBHOOK = "webhook", "Webhook events"


OF_OURS: Final = (CheckName.SHARED, CheckName.WEBHOOK)
OF_KEY: Final = tuple(name for name in CheckName if name not in OF_OURS)


class CheckStatus(Word):
    PASSED = "passed", "Passed"
    WARNING = "warning", "Worth a look"
    FAILED = "failed", "Failed"
    SKIPPED = "skipped", "Not reached"


@dataclass(frozen=True, slots=True)
class Part:
    """One entity type of the permissions check; `permission` is Stripe's name for what is missing, `request_id` Stripe's of the probe."""

    entity_type: EntityType
    ok: bool
    permission: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """`hint` says what to do about it. `code` is REST's word for the refusal it leads to; `checked_at` epoch seconds, `checked_by`
    who had it run, `request_id` Stripe's of what it asked.
    """

    name: CheckName
    status: CheckStatus
    message: str
    hint: str = ""
    code: str = ""
    parts: tuple[Part, ...] = ()
    took_ms: int | None = None
    request_id: str | None = None
    checked_at: int = 0
    checked_by: str = ""

    @property
    def failed(self) -> bool:
        return self.status is CheckStatus.FAILED

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "label": self.name.label}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        parts = tuple(
            Part(EntityType(one["entity_type"]), one["ok"], one.get("permission"), one.get("request_id"))
            for one in data.get("parts", ())
        )
        return cls(**(known | {"name": CheckName(data["name"]), "status": CheckStatus(data["status"]), "parts": parts}))


def shared_check(*, elsewhere: bool, checked_at: int) -> Check:
    """It says no more than that: whose the other workspace is, is not this one's to know."""
    if not elsewhere:
        message = "No other workspace here is connected to this account."
        return Check(CheckName.SHARED, CheckStatus.PASSED, message, checked_at=checked_at)
    return Check(
        CheckName.SHARED,
        CheckStatus.WARNING,
        "Another workspace here is connected to this account, too.",
        "Each keeps records of its own, and they share the account's rate limit and its monthly reads. If that is not meant, disconnect one.",
        checked_at=checked_at,
    )


def webhook_check(*, has_secret: bool, last: tuple[datetime, str] | None, checked_at: int) -> Check:
    """`last` is when the last event came, and of what type."""
    if not has_secret:
        message = "No signing secret is kept: changes in Stripe come with the next sync."
        return Check(
            CheckName.WEBHOOK, CheckStatus.SKIPPED, message, "It is optional; see Webhooks.", checked_at=checked_at
        )
    if last is None:
        return Check(
            CheckName.WEBHOOK,
            CheckStatus.WARNING,
            "A signing secret is kept, but no event has come yet.",
            "Send a test event from the endpoint's page in Stripe's dashboard, then run this check again.",
            checked_at=checked_at,
        )
    at, kind = last
    message = f"The last event came {_ago((datetime.now(UTC) - at).total_seconds())}: {kind}."
    return Check(CheckName.WEBHOOK, CheckStatus.PASSED, message, checked_at=checked_at)


def _ago(seconds: float) -> str:
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        count = int(seconds // length)
        if count:
            return f"{count:,} {unit}{'' if count == 1 else 's'} ago"
    return "less than a minute ago"
