"""How each kind of Stripe object, in any API version since 2017, becomes values. Only `mapping` calls this.

One rule holds throughout: the same object rendered by two API versions gives the same values, or a webhook in an old
version would look like a change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from sync_core.domain.fields import Values
from sync_core.domain.money import EXPONENTS, normalise_decimal
from sync_core.domain.vocabulary import EntityType, ReasonCode

Raw = dict[str, Any]

_ISO = {spelling: code for code in EXPONENTS for spelling in (code, code.lower())}
_PRICE_TYPES = {"recurring": "recurring", "one_time": "one_off"}
_STATUSES = {
    "active": "active",
    "trialing": "trial",
    "past_due": "overdue",
    "unpaid": "suspended",
    "paused": "suspended",
    "incomplete": "pending",
    "incomplete_expired": "expired",
    "canceled": "canceled",
}


class Misfit(Exception):  # noqa: N818 - it is what was found; it never leaves the domain
    """The object can't be mapped. The message is for the person who reads the run's errors."""

    def __init__(self, field: str, message: str, reason: ReasonCode = ReasonCode.UNSUPPORTED_SHAPE) -> None:
        super().__init__(message)
        self.field = field
        self.message = message
        self.reason = reason


def _customer(raw: Raw) -> Values:
    return {
        "email": raw.get("email"),
        "name": raw.get("name"),
        "phone": raw.get("phone"),
        "description": raw.get("description"),
        "metadata": _metadata(raw),
    }


def _product(raw: Raw) -> Values:
    images = raw.get("images")
    if images is not None and type(images) is not list:
        raise Misfit("image_url", "images is not a list")
    return {
        # One without a name goes by its id, here as in its column.
        "name": raw.get("name") or raw["id"],
        "description": raw.get("description"),
        "image_url": images[0] if images else None,
        "url": raw.get("url"),
        "active": _active(raw),
        "metadata": _metadata(raw),
    }


def _active(raw: Raw) -> Any:
    """Unsaid, it is."""
    return True if raw.get("active") is None else raw["active"]


def _price(raw: Raw) -> Values:
    if raw.get("object") == "plan":
        raw = _price_of_plan(raw)
    kind = _ours(_PRICE_TYPES, raw.get("type"), "type")
    recurring = _recurring(raw, kind)
    scheme = raw.get("billing_scheme") or "per_unit"
    minor, exact = _unit_amount(raw, scheme)
    return {
        "product": _ref(raw.get("product"), "product"),
        "active": _active(raw),
        "type": kind,
        "nickname": raw.get("nickname"),
        "currency": _currency(raw.get("currency")),
        "unit_amount_in_pennies": minor,
        "unit_amount_decimal": exact,
        "billing_scheme": scheme,
        "tiers_mode": raw.get("tiers_mode"),
        "tiers": raw.get("tiers"),
        "usage_type": recurring.get("usage_type") or "licensed" if recurring else None,
        "interval_type": recurring.get("interval"),
        "term_length": recurring.get("interval_count", 1) if recurring else None,
        "custom_unit_amount": raw.get("custom_unit_amount"),
        "transform_quantity": raw.get("transform_quantity"),
        "currency_options": raw.get("currency_options"),
        # Older versions leave it out where newer ones say so.
        "tax_behavior": raw.get("tax_behavior") or "unspecified",
        "lookup_key": raw.get("lookup_key"),
        "metadata": _metadata(raw),
    }


def _price_of_plan(plan: Raw) -> Raw:
    """A plan is what a recurring price was called before 2020; before 2018 it had a name of its own and no product."""
    return {
        **plan,
        "type": "recurring",
        "nickname": plan.get("nickname") or plan.get("name"),
        "unit_amount": plan.get("amount"),
        "unit_amount_decimal": plan.get("amount_decimal"),
        "transform_quantity": plan.get("transform_usage"),
        "recurring": plan,
    }


def _recurring(raw: Raw, kind: str) -> Raw:
    if kind == "one_off":
        return {}
    recurring = raw.get("recurring")
    if type(recurring) is not dict or not recurring.get("interval"):
        raise Misfit("interval_type", "a recurring price without an interval")
    count = recurring.get("interval_count", 1)
    if type(count) is not int or not 0 < count < 2**31:
        raise Misfit("term_length", f"interval_count is {count!r}", ReasonCode.VALUE_INVALID)
    return recurring


def _unit_amount(raw: Raw, scheme: str) -> tuple[int | None, str | None]:
    """Minor units where they say it all, and the exact decimal wherever there is one amount."""
    minor = raw.get("unit_amount")
    exact = raw.get("unit_amount_decimal")
    if minor is not None and type(minor) is not int:
        raise Misfit("unit_amount_in_pennies", f"unit_amount is {type(minor).__name__}")
    if exact is None:
        exact = None if minor is None else str(minor)
    else:
        exact = _decimal(exact, "unit_amount_decimal")
        if minor is None and exact.lstrip("-").isdecimal():
            minor = int(exact)
    if scheme == "tiered" or raw.get("custom_unit_amount"):
        return None, exact
    if exact is None:
        raise Misfit("unit_amount_in_pennies", "a price per unit without an amount", ReasonCode.VALUE_INVALID)
    return minor, exact


def _subscription(raw: Raw) -> Values:
    status = raw.get("status")
    customer = _ref(raw.get("customer"), "customer")
    if customer is None:
        raise Misfit("customer", "a subscription without a customer")
    sent = _sent_items(raw)
    items = [_item(item) for item in sent]
    first = items[0]
    start, end = _period(raw, sent)
    return {
        "customer": customer,
        "product": first["product"],
        "price": first["price"],
        "status": _ours(_STATUSES, status, "status"),
        "provider_status": status,
        "quantity": first["quantity"],
        "current_period_start": start,
        "current_period_end": end,
        "cancel_at_period_end": raw.get("cancel_at_period_end") or False,
        "canceled_at": raw.get("canceled_at"),
        "ended_at": raw.get("ended_at"),
        "trial_end": raw.get("trial_end"),
        "currency": _subscription_currency(raw, sent[0]),
        "items": items,
        "metadata": _metadata(raw),
    }


def _sent_items(raw: Raw) -> list[Raw]:
    items = _listed(raw.get("items"), "items")
    if items:
        return items
    if raw.get("plan"):
        # One plan at the top and no items: Stripe's own lines call such an item by the subscription's id.
        return [{"id": raw["id"], "plan": raw["plan"], "quantity": raw.get("quantity")}]
    raise Misfit("items", "a subscription without items")


def _item(item: Raw) -> Values:
    price = item.get("price") or item.get("plan")
    product = price.get("product") if type(price) is dict else None
    quantity = item.get("quantity")
    if quantity is not None and (type(quantity) is not int or abs(quantity) >= 2**63):
        raise Misfit("items", f"the quantity of an item is {quantity!r}")
    external_id = _ref(item.get("id"), "items")
    if external_id is None:
        raise Misfit("items", "an item without an id")
    return {
        "id": external_id,
        "price": _ref(price, "items"),
        "product": _ref(product, "items"),
        "quantity": quantity,
        **_part_quantity(item, "items"),
    }


def _part_quantity(bearer: Raw, field: str) -> Values:
    """Since dahlia a quantity may be part of a unit; it is kept where the whole number does not say it all."""
    exact = bearer.get("quantity_decimal")
    if exact is None:
        return {}
    said = _decimal(exact, field)
    return {} if said == str(bearer.get("quantity")) else {"quantity_decimal": said}


def _period(raw: Raw, items: list[Raw]) -> tuple[Any, Any]:
    """Until 2025 the subscription's, since then each item's: the first item's stands for it, as its price does."""
    bearer = raw if "current_period_end" in raw else items[0]
    return bearer.get("current_period_start"), bearer.get("current_period_end")


def _subscription_currency(raw: Raw, item: Raw) -> str | None:
    code = raw.get("currency")
    if code is None:
        price = item.get("price") or item.get("plan")
        code = price.get("currency") if type(price) is dict else None
    return None if code is None else _currency(code)


def _invoice(raw: Raw) -> Values:
    paid, remaining = _paid(raw)
    transitions = raw.get("status_transitions") or {}
    return {
        "customer": _ref(raw.get("customer"), "customer"),
        "subscription": _subscription_of_invoice(raw),
        "number": raw.get("number"),
        "status": raw.get("status") if "status" in raw else _status_before_2018(raw),
        "currency": _currency(raw.get("currency")),
        "subtotal": raw.get("subtotal"),
        "tax": _tax(raw),
        "total": raw.get("total"),
        "amount_due": raw.get("amount_due"),
        "amount_paid": paid,
        "amount_remaining": remaining,
        "period_start": raw.get("period_start"),
        "period_end": raw.get("period_end"),
        "due_date": raw.get("due_date"),
        "paid_at": transitions.get("paid_at"),
        "billing_reason": raw.get("billing_reason"),
        "collection_method": raw.get("collection_method") or raw.get("billing"),
        "hosted_invoice_url": raw.get("hosted_invoice_url"),
        "invoice_pdf": raw.get("invoice_pdf"),
        "lines": [_line(line) for line in _listed(raw.get("lines"), "lines")],
        "metadata": _metadata(raw),
    }


def _subscription_of_invoice(raw: Raw) -> str | None:
    # Moved in 2025; an empty one may still stand at its old place.
    if raw.get("subscription"):
        return _ref(raw["subscription"], "subscription")
    details = (raw.get("parent") or {}).get("subscription_details") or {}
    return _ref(details.get("subscription"), "subscription")


def _status_before_2018(raw: Raw) -> str:
    if raw.get("paid"):
        return "paid"
    if raw.get("forgiven"):
        return "uncollectible"
    if raw.get("closed"):
        return "void"
    return "open" if raw.get("attempted") or raw.get("number") else "draft"


def _paid(raw: Raw) -> tuple[Any, Any]:
    """Amounts paid and remaining. Before 2018 an invoice was paid whole or not at all, and said neither."""
    if "amount_paid" in raw:
        return raw["amount_paid"], raw.get("amount_remaining")
    due = raw.get("amount_due")
    return (due, 0) if raw.get("paid") else (0, due)


def _tax(raw: Raw) -> int | None:
    """The one figure of older versions, or the sum of newer ones; no tax at all is None in both."""
    if "tax" in raw:
        tax: int | None = raw["tax"]
        return tax
    taxes = raw.get("total_taxes") or raw.get("total_tax_amounts")
    return sum(tax["amount"] for tax in taxes) if taxes else None


def _line(line: Raw) -> dict[str, Any]:
    pricing = line.get("pricing")
    price = (pricing.get("price_details") or {}).get("price") if pricing else line.get("price") or line.get("plan")
    return {
        "id": _ref(line.get("id"), "lines"),
        "description": line.get("description"),
        "amount": line.get("amount"),
        "quantity": line.get("quantity"),
        "price": _ref(price, "lines"),
        **_part_quantity(line, "lines"),
    }


def _ours(words: Mapping[str, str], theirs: Any, field: str) -> str:
    word = words.get(theirs) if type(theirs) is str else None
    if word is None:
        raise Misfit(field, f"unknown {field}: {theirs!r}")
    return word


def _metadata(raw: Raw) -> dict[str, Any]:
    metadata = raw.get("metadata")
    if type(metadata) is dict:
        return metadata
    if metadata is None:
        return {}
    raise Misfit("metadata", f"metadata is {type(metadata).__name__}")


def _ref(value: Any, field: str) -> str | None:
    """The id of a reference, expanded or not."""
    if type(value) is str or value is None:
        return value or None
    if type(value) is dict and type(value.get("id")) is str:
        return value["id"] or None
    raise Misfit(field, f"a reference that is neither an id nor an object: {type(value).__name__}")


def _listed(container: Any, field: str) -> list[Raw]:
    """The objects of a nested list, a bare one or Stripe's envelope."""
    data = container.get("data") if type(container) is dict else container
    if data is None:
        return []
    if type(data) is not list or not all(type(one) is dict for one in data):
        raise Misfit(field, f"{field} is not a list of objects")
    return data


def _currency(code: Any) -> str:
    known = _ISO.get(code) if type(code) is str else None
    if known is None:
        raise Misfit("currency", f"unknown currency: {code!r}", ReasonCode.CURRENCY_UNKNOWN)
    return known


def _decimal(value: Any, field: str) -> str:
    if type(value) not in (str, int, float):
        raise Misfit(field, f"not a decimal: {type(value).__name__}")
    try:
        return normalise_decimal(value)
    except ValueError as none:
        raise Misfit(field, str(none), ReasonCode.VALUE_INVALID) from none


SHAPES: Mapping[EntityType, Callable[[Raw], Values]] = MappingProxyType(
    {
        EntityType.CUSTOMERS: _customer,
        EntityType.PRODUCTS: _product,
        EntityType.PRICES: _price,
        EntityType.SUBSCRIPTIONS: _subscription,
        EntityType.INVOICES: _invoice,
    }
)
