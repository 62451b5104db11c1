"""The words of Stripe's and of ours that are values of fields, as a person reads them. Files and programs are given the words themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from sync_core.domain.fields import Field

# Where capitals and spaces make no label of the word, or not a plain one.
_LABELS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "type": {"one_off": "One-off"},
        "billing_scheme": {"tiered": "By tiers"},
        "tiers_mode": {
            "graduated": "Graduated: each tier for its own units",
            "volume": "Volume: one tier for all units",
        },
        "usage_type": {"licensed": "By quantity", "metered": "By usage"},
        "tax_behavior": {"inclusive": "Tax included", "exclusive": "Tax added", "unspecified": "Not specified"},
        "status": {},
        "provider_status": {"incomplete_expired": "Incomplete, expired"},
        "interval_type": {},
        "billing_reason": {
            "automatic_pending_invoice_item_invoice": "Pending items, invoiced automatically",
            "manual": "Made by hand",
            "quote_accept": "Quote accepted",
            "subscription": "Subscription (until May 2018)",
            "subscription_create": "Subscription created",
            "subscription_cycle": "Subscription's next period",
            "subscription_threshold": "Subscription's billing threshold",
            "subscription_update": "Subscription changed",
            "upcoming": "Upcoming invoice",
        },
        "collection_method": {
            "charge_automatically": "Charged automatically",
            "send_invoice": "Invoice sent, paid by the customer",
        },
    }
)
_WORD = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def in_words(field: Field, value: str) -> str:
    """A value as people read it: one of these words by its label, a word that Stripe has added since by itself, all else as it is."""
    labels = _LABELS.get(field.name)
    if labels is None or not _WORD.fullmatch(value):
        return value
    return labels.get(value) or word_label(value)


def is_worded(field: Field) -> bool:
    """Whether its values are such words."""
    return field.name in _LABELS


def word_label(word: object) -> str:
    return str(word).replace("_", " ").capitalize()
