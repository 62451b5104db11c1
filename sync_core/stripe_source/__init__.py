"""The only code that speaks to Stripe."""

from sync_core.stripe_source.client import Account, Page, Probe, Retrieved, StripeSource
from sync_core.stripe_source.errors import (
    AuthRefused,
    CursorGone,
    PermissionMissing,
    RequestRefused,
    StripeError,
    StripeUnavailable,
)
from sync_core.stripe_source.governor import Governor, GovernorStats
from sync_core.stripe_source.keys import KeyInfo, check_key_format
from sync_core.stripe_source.slots import LocalSlots, SlotStore
from sync_core.stripe_source.webhooks import verify_signature
from sync_core.stripe_source.wire import SDK_VERSION, STRIPE_VERSION, http_client

__all__ = [
    "SDK_VERSION",
    "STRIPE_VERSION",
    "Account",
    "AuthRefused",
    "CursorGone",
    "Governor",
    "GovernorStats",
    "KeyInfo",
    "LocalSlots",
    "Page",
    "PermissionMissing",
    "Probe",
    "RequestRefused",
    "Retrieved",
    "SlotStore",
    "StripeError",
    "StripeSource",
    "StripeUnavailable",
    "check_key_format",
    "http_client",
    "verify_signature",
]
