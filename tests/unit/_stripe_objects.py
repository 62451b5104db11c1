"""Stripe objects with one valid default each; a test overrides the field that it is about."""

from __future__ import annotations

from typing import Any

from sync_core.domain.fields import NAMES, Values
from sync_core.domain.mapping import Mapped, map_object
from sync_core.domain.vocabulary import EntityType

Raw = dict[str, Any]
CREATED = 1_700_000_000
CUSTOMERS, PRODUCTS, PRICES, SUBSCRIPTIONS, INVOICES = EntityType


def customer(**over: Any) -> Raw:
    return {"id": "cus_1", "object": "customer", "created": CREATED, "email": "ada@example.com", "metadata": {}} | over


def product(**over: Any) -> Raw:
    return {"id": "prod_1", "object": "product", "created": CREATED, "name": "Tea", "images": []} | over


def price(**over: Any) -> Raw:
    month = {"interval": "month", "interval_count": 1, "usage_type": "licensed"}
    return {
        "id": "price_1",
        "object": "price",
        "created": CREATED,
        "active": True,
        "billing_scheme": "per_unit",
        "currency": "usd",
        "product": "prod_1",
        "type": "recurring",
        "recurring": month,
        "unit_amount": 1000,
        "unit_amount_decimal": "1000",
    } | over


def plan(**over: Any) -> Raw:
    return {
        "id": "price_1",
        "object": "plan",
        "created": CREATED,
        "amount": 1000,
        "currency": "usd",
        "interval": "month",
        "interval_count": 1,
        "product": "prod_1",
        "usage_type": "licensed",
    } | over


def item(**over: Any) -> Raw:
    return {"id": "si_1", "object": "subscription_item", "price": price(), "quantity": 2} | over


def subscription(**over: Any) -> Raw:
    items = {"object": "list", "data": [item()], "has_more": False}
    return {
        "id": "sub_1",
        "object": "subscription",
        "created": CREATED,
        "customer": "cus_1",
        "status": "active",
        "currency": "usd",
        "items": items,
        "current_period_start": 10,
        "current_period_end": 20,
    } | over


def invoice(**over: Any) -> Raw:
    return {
        "id": "in_1",
        "object": "invoice",
        "created": CREATED,
        "customer": "cus_1",
        "currency": "usd",
        "status": "paid",
        "subtotal": 1000,
        "total": 1200,
        "amount_due": 1200,
        "amount_paid": 1200,
        "amount_remaining": 0,
        "status_transitions": {"paid_at": 30},
        "lines": {"object": "list", "data": [], "has_more": False},
    } | over


def without(raw: Raw, *keys: str) -> Raw:
    return {key: value for key, value in raw.items() if key not in keys}


def values_of(entity: EntityType, raw: Raw) -> Values:
    mapped = map_object(entity, raw)
    assert isinstance(mapped, Mapped), mapped
    assert tuple(mapped.values) == NAMES[entity]
    return mapped.values
