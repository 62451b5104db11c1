"""A customer as both sides have it: the name changed on both, the phone by us, the description by Stripe."""

from __future__ import annotations

from uuid import UUID

from sync_core.domain.fields import JsonValue, Values

UUID_1 = UUID(int=1)


def customer(**given: JsonValue) -> Values:
    return {
        "email": "a@example.com",
        "name": "base",
        "phone": "base",
        "description": "base",
        "metadata": {"plan": "gold"},
        **given,
    }


BASE = customer()
LOCAL = customer(name="ours", phone="ours")
THEIRS = customer(name="theirs", description="theirs")
