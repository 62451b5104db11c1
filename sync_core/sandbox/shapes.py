"""Older shapes: what each API version calls things, made from the newest one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sync_core.sandbox.blueprint import Json
from sync_core.sandbox.catalog import plan_of

NEWEST = "2026-06-24.dahlia"
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(\.[a-z]+)?")
_BASIL = "2025-03-31"
_DAHLIA = "2026-03-25"
_SINCE_DAHLIA = {
    "customers": ("customer_account",),
    "subscriptions": ("customer_account", "managed_payments", "billing_schedules"),
    "invoices": ("customer_account", "amount_paid_off_stripe"),
}
PriceOf = Callable[[str], Json | None]


def is_version(text: str) -> bool:
    return _VERSION.fullmatch(text) is not None


def is_newest(version: str) -> bool:
    return version[:10] >= _DAHLIA


def to_version(entity: str, body: Json, version: str, price_of: PriceOf) -> Json:
    """``body``, which is in the newest shape, as ``version`` shows it. Stubs stay as they are."""
    if body.get("deleted") or is_newest(version):
        return body
    body = {name: value for name, value in body.items() if name not in _SINCE_DAHLIA.get(entity, ())}
    if version[:10] >= _BASIL:
        return body
    older = _OLDER.get(entity)
    return older(body, price_of) if older else body


def nested_to_version(kind: str, body: Json, version: str, price_of: PriceOf) -> Json:
    """A subscription item or an invoice line that is listed by itself."""
    if version[:10] >= _BASIL:
        return body
    return _old_item(body) if kind == "items" else _old_line(body, price_of)


def _old_recurring(price: Json) -> Json:
    recurring = price.get("recurring")
    if recurring is None:
        return price
    usage = "sum" if recurring.get("usage_type") == "metered" else None
    return price | {"recurring": recurring | {"aggregate_usage": usage}}


def _old_price(price: Json, _price_of: PriceOf) -> Json:
    return _old_recurring(price)


def _old_plan(plan: Json) -> Json:
    return plan | {"aggregate_usage": "sum" if plan.get("usage_type") == "metered" else None}


def _old_item(item: Json) -> Json:
    gone = ("current_period_start", "current_period_end")
    kept = {name: value for name, value in item.items() if name not in gone}
    return kept | {"price": _old_recurring(item["price"]), "plan": _old_plan(item["plan"])}


def _old_subscription(body: Json, _price_of: PriceOf) -> Json:
    items = body["items"]["data"]
    first = items[0] if items else {}
    single = _old_item(first) if len(items) == 1 else {}
    return {name: value for name, value in body.items() if name != "billing_mode"} | {
        "current_period_start": first.get("current_period_start"),
        "current_period_end": first.get("current_period_end"),
        "discount": None,
        "items": body["items"] | {"data": [_old_item(item) for item in items], "total_count": len(items)},
        "plan": single.get("plan"),
        "quantity": single.get("quantity"),
    }


def _old_line(line: Json, price_of: PriceOf) -> Json:
    parent = line.get("parent") or {}
    item = parent.get("subscription_item_details") or {}
    pricing = (line.get("pricing") or {}).get("price_details") or {}
    price = price_of(str(pricing.get("price")))
    price = None if price is None or price.get("deleted") else _old_recurring(price)
    kept = {name: value for name, value in line.items() if name not in ("parent", "pricing", "taxes")}
    return kept | {
        "plan": _old_plan(plan_of(price)) if price and price["type"] == "recurring" else None,
        "price": price,
        "proration": bool(item.get("proration")),
        "proration_details": {"credited_items": None},
        "subscription_item": item.get("subscription_item"),
        "tax_amounts": [],
        "tax_rates": [],
        "type": "subscription" if item else "invoiceitem",
        "unit_amount_excluding_tax": (line.get("pricing") or {}).get("unit_amount_decimal"),
    }


def _tax_amounts(taxes: list[Json]) -> list[Json]:
    return [
        {
            "amount": tax["amount"],
            "inclusive": tax["tax_behavior"] == "inclusive",
            "tax_rate": tax["tax_rate_details"]["tax_rate"],
            "taxability_reason": tax["taxability_reason"],
            "taxable_amount": tax["taxable_amount"],
        }
        for tax in taxes
    ]


def _old_invoice(body: Json, price_of: PriceOf) -> Json:
    details = (body.get("parent") or {}).get("subscription_details")
    taxes = body.get("total_taxes") or []
    paid = body.get("status") == "paid"
    lines = [_old_line(line, price_of) for line in body["lines"]["data"]]
    kept = {
        name: value
        for name, value in body.items()
        if name not in ("parent", "total_taxes", "amount_overpaid", "subscription")
    }
    return kept | {
        "application_fee_amount": None,
        "charge": f"ch_{body['id'][3:]}" if paid else None,
        "discount": None,
        "lines": body["lines"] | {"data": lines, "total_count": len(lines)},
        "paid": paid,
        "paid_out_of_band": False,
        "payment_intent": f"pi_{body['id'][3:]}" if paid else None,
        "quote": None,
        "subscription": details["subscription"] if details else None,
        "subscription_details": {"metadata": details["metadata"]} if details else {"metadata": None},
        "tax": sum(tax["amount"] for tax in taxes) if taxes else None,
        "total_tax_amounts": _tax_amounts(taxes),
        "transfer_data": None,
    }


_OLDER: dict[str, Callable[[Json, PriceOf], Json]] = {
    "prices": _old_price,
    "subscriptions": _old_subscription,
    "invoices": _old_invoice,
}


def cut_nested(entity: str, body: Json, limit: int) -> Json:
    """Nested lists hold their first objects only; the rest is at their url."""
    name = {"subscriptions": "items", "invoices": "lines"}.get(entity)
    nested: Any = body.get(name) if name else None
    if not isinstance(nested, dict) or len(nested.get("data") or ()) <= limit:
        return body
    return body | {str(name): nested | {"data": nested["data"][:limit], "has_more": True}}
