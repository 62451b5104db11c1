"""Generated invoices: first ones and renewals of subscriptions, and some made by hand."""

from __future__ import annotations

from typing import Any

import orjson

from sync_core.sandbox.blueprint import DAY, Blueprint, Json, Source, mix
from sync_core.sandbox.subscriptions import NESTED_LIMIT, Subscriptions
from sync_core.sandbox.templates import compile_template, slot

_MANY_LINES = 13
_LINE_SPAN = 32
_STATUSES = (*("paid",) * 51, *("open",) * 6, *("draft",) * 3, *("void",) * 2, *("uncollectible",) * 2)

_INVOICE: Json = {
    "id": slot("id"),
    "object": "invoice",
    "account_country": "DE",
    "account_name": "Sandbox Industries",
    "account_tax_ids": None,
    "amount_due": slot("total"),
    "amount_overpaid": 0,
    "amount_paid": slot("paid"),
    "amount_paid_off_stripe": 0,
    "amount_remaining": slot("remaining"),
    "amount_shipping": 0,
    "application": None,
    "attempt_count": slot("attempts"),
    "attempted": slot("attempted"),
    "auto_advance": False,
    "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None, "provider": None, "status": None},
    "automatically_finalizes_at": None,
    "billing_reason": slot("reason"),
    "collection_method": "charge_automatically",
    "created": slot("created"),
    "currency": slot("currency"),
    "custom_fields": None,
    "customer": slot("customer"),
    "customer_account": None,
    "customer_address": None,
    "customer_email": slot("email"),
    "customer_name": slot("name"),
    "customer_phone": None,
    "customer_shipping": None,
    "customer_tax_exempt": "none",
    "customer_tax_ids": [],
    "default_payment_method": None,
    "default_source": None,
    "default_tax_rates": [],
    "description": None,
    "discounts": [],
    "due_date": slot("due_date"),
    "effective_at": slot("finalized_at"),
    "ending_balance": slot("ending_balance"),
    "footer": None,
    "from_invoice": None,
    "hosted_invoice_url": None,
    "invoice_pdf": None,
    "issuer": {"type": "self"},
    "last_finalization_error": None,
    "latest_revision": None,
    "lines": {"object": "list", "data": slot("lines"), "has_more": slot("has_more"), "url": slot("lines_url")},
    "livemode": slot("live"),
    "metadata": {},
    "next_payment_attempt": None,
    "number": slot("number"),
    "on_behalf_of": None,
    "parent": slot("parent"),
    "payment_settings": {"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
    "period_end": slot("period_end"),
    "period_start": slot("created"),
    "post_payment_credit_notes_amount": 0,
    "pre_payment_credit_notes_amount": 0,
    "receipt_number": None,
    "rendering": None,
    "shipping_cost": None,
    "shipping_details": None,
    "starting_balance": 0,
    "statement_descriptor": None,
    "status": slot("status"),
    # Empty since 2025 and gone from Stripe's reference, but still there in its own newest canonical invoice.
    "subscription": None,
    "status_transitions": {
        "finalized_at": slot("finalized_at"),
        "marked_uncollectible_at": slot("uncollectible_at"),
        "paid_at": slot("paid_at"),
        "voided_at": slot("voided_at"),
    },
    "subtotal": slot("subtotal"),
    "subtotal_excluding_tax": slot("subtotal"),
    "test_clock": None,
    "total": slot("total"),
    "total_discount_amounts": [],
    "total_excluding_tax": slot("subtotal"),
    "total_pretax_credit_amounts": [],
    "total_taxes": slot("taxes"),
    "webhooks_delivered_at": slot("finalized_at"),
}
_LINE: Json = {
    "id": slot("id"),
    "object": "line_item",
    "amount": slot("amount"),
    "currency": slot("currency"),
    "description": slot("description"),
    "discount_amounts": [],
    "discountable": True,
    "discounts": [],
    "invoice": slot("invoice"),
    "livemode": slot("live"),
    "metadata": {},
    "parent": slot("parent"),
    "period": {"end": slot("period_end"), "start": slot("period_start")},
    "pretax_credit_amounts": [],
    "pricing": {
        "price_details": {"price": slot("price"), "product": slot("product")},
        "type": "price_details",
        "unit_amount_decimal": slot("unit"),
    },
    "quantity": slot("quantity"),
    "quantity_decimal": slot("quantity_decimal"),
    "subscription": slot("subscription"),
    "subtotal": slot("amount"),
    "taxes": [],
}
_SUBSCRIPTION_PARENT: Json = {
    "quote_details": None,
    "subscription_details": {"metadata": {}, "subscription": slot("subscription")},
    "type": "subscription_details",
}
_LINE_PARENT: Json = {
    "invoice_item_details": None,
    "subscription_item_details": {
        "invoice_item": None,
        "proration": False,
        "proration_details": {"credited_items": None},
        "subscription": slot("subscription"),
        "subscription_item": slot("item"),
    },
    "type": "subscription_item_details",
}
_ITEM_PARENT: Json = {
    "invoice_item_details": {
        "invoice_item": slot("item"),
        "proration": False,
        "proration_details": {"credited_items": None},
        "subscription": None,
    },
    "subscription_item_details": None,
    "type": "invoice_item_details",
}
_TAXES: Json = {
    "amount": slot("tax"),
    "tax_behavior": "exclusive",
    "tax_rate_details": {"tax_rate": "txr_1PgafmB7WZ01zgkWvatRate19"},
    "taxability_reason": "standard_rated",
    "taxable_amount": slot("subtotal"),
    "type": "tax_rate_details",
}
_TEMPLATE, _LINE_TEMPLATE = compile_template(_INVOICE), compile_template(_LINE)
_PARENT_TEMPLATE, _TAXES_TEMPLATE = compile_template(_SUBSCRIPTION_PARENT), compile_template(_TAXES)
_LINE_PARENT_TEMPLATE, _ITEM_PARENT_TEMPLATE = compile_template(_LINE_PARENT), compile_template(_ITEM_PARENT)
_FALLBACK_AMOUNT = 1_200
_Line = tuple[str, int]


class Invoices(Source):
    def __init__(self, plan: Blueprint, subscriptions: Subscriptions) -> None:
        timeline = plan.timeline("invoices")
        hidden = plan.long_ids("in", timeline.of_hidden, space="/hidden")
        super().__init__(plan.long_ids("in", timeline.created), hidden, timeline, plan.salt("invoices"))
        self._lines = plan.long_ids("il", lambda line: timeline.created(line // _LINE_SPAN))
        self._invoice_items = plan.long_ids("ii", timeline.created)
        self.subscriptions = subscriptions

    @property
    def hidden_size(self) -> int:
        return 3 if self.size else 0

    def hidden(self, index: int, *, live: bool) -> Json:
        """Deleted drafts."""
        del live
        return {"id": self.hidden_coder.encode(index), "object": "invoice", "deleted": True}

    def subscription(self, index: int) -> int | None:
        """The subscription billed: its first invoice has the same place in time, all later ones are drawn."""
        count = self.subscriptions.size
        if not count:
            return None
        here = -(-index * count // self.size)
        if here < count and here * self.size // count == index:
            return here
        h = mix(index, self.salt)
        return None if h % 9 == 4 else h % max(1, min(here, count))

    def render(self, index: int, *, live: bool) -> str:
        lines = self._line_texts(index, live=live)
        return self._filled(index, lines, lines[:NESTED_LIMIT], live=live, more=len(lines) > NESTED_LIMIT)

    def full(self, index: int, *, live: bool) -> Json:
        lines = self._line_texts(index, live=live)
        loaded: Json = orjson.loads(self._filled(index, lines, lines, live=live, more=False))
        return loaded

    def _filled(self, index: int, lines: list[_Line], shown: list[_Line], *, live: bool, more: bool) -> str:
        h = mix(index, self.salt)
        created = self.created(index)
        subscription = self.subscription(index)
        subtotal = sum(amount for _, amount in lines)
        tax = subtotal * 19 // 100 if h & 0x700 == 0x100 else 0
        object_id = self.id(index)
        values: dict[str, Any] = {
            "id": f'"{object_id}"',
            "created": created,
            "currency": f'"{self._currency(subscription)}"',
            "customer": f'"{self._customer(index, subscription, h)}"',
            "has_more": "true" if more else "false",
            "lines": f"[{','.join(text for text, _ in shown)}]",
            "lines_url": f'"/v1/invoices/{object_id}/lines"',
            "live": "true" if live else "false",
            "period_end": created + 30 * DAY,
            "reason": self._reason(index, subscription),
            "parent": self._parent(subscription),
            "subtotal": subtotal,
            "total": subtotal + tax,
            "taxes": f"[{_TAXES_TEMPLATE % {'tax': tax, 'subtotal': subtotal}}]" if tax else "[]",
        }
        return _TEMPLATE % (values | _standing(_STATUSES[h & 63], created, subtotal + tax, index, h))

    def _currency(self, subscription: int | None) -> str:
        return "eur" if subscription is None else self.subscriptions.currency_and_prices(subscription)[0]

    def _customer(self, index: int, subscription: int | None, h: int) -> str:
        if subscription is not None:
            return self.subscriptions.customer(subscription)
        customers = self.subscriptions.customers
        return customers.id(h % max(1, index * customers.size // self.size)) if customers.size else "cus_gone"

    def _reason(self, index: int, subscription: int | None) -> str:
        if subscription is None:
            return '"manual"'
        first = subscription * self.size // self.subscriptions.size == index
        return '"subscription_create"' if first else '"subscription_cycle"'

    def _parent(self, subscription: int | None) -> str:
        if subscription is None:
            return "null"
        return _PARENT_TEMPLATE % {"subscription": f'"{self.subscriptions.id(subscription)}"'}

    def _line_texts(self, index: int, *, live: bool) -> list[_Line]:
        subscription = self.subscription(index)
        if subscription is None:
            return self._manual_lines(index, live=live)
        prices: list[int | None] = [*self.subscriptions.currency_and_prices(subscription)[1]]
        items = list(enumerate(prices or [None]))
        if index % 41 == 17:
            items = (items * _MANY_LINES)[:_MANY_LINES]
        return [
            self._line(index, place, subscription, item, price, live=live) for place, (item, price) in enumerate(items)
        ]

    def _line(self, index: int, place: int, subscription: int, item: int, price: int | None, *, live: bool) -> _Line:
        catalog = self.subscriptions.prices
        body = (
            catalog.body(price, live) if price is not None else catalog.hidden(catalog.inline(subscription), live=live)
        )
        item_id = self.subscriptions.item_id(subscription, item)
        subscription_id = f'"{self.subscriptions.id(subscription)}"'
        parent = _LINE_PARENT_TEMPLATE % {"subscription": subscription_id, "item": f'"{item_id}"'}
        return self._text(index, place, body, {"parent": parent, "subscription": subscription_id, "live": live})

    def _manual_lines(self, index: int, *, live: bool) -> list[_Line]:
        """By hand; every few on a price that was deleted since."""
        catalog = self.subscriptions.prices
        price_id = catalog.deleted_id(index) if index % 3 == 0 else catalog.hidden_coder.encode(catalog.inline(index))
        body = {"id": price_id, "product": catalog.product(index), "currency": "eur", "unit_amount": 4_500}
        parent = _ITEM_PARENT_TEMPLATE % {"item": f'"{self._invoice_items.encode(index)}"'}
        return [self._text(index, 0, body, {"parent": parent, "subscription": "null", "live": live})]

    def _text(self, index: int, place: int, price: Json, own: Json) -> _Line:
        quantity = 1 + (index + place) % 4
        unit = price["unit_amount"]
        amount = quantity * (_FALLBACK_AMOUNT if unit is None else unit)
        created = self.created(index)
        values = own | {
            "id": f'"{self._lines.encode(index * _LINE_SPAN + place)}"',
            "amount": amount,
            "currency": f'"{price["currency"]}"',
            "description": f'"{quantity} x subscription"',
            "invoice": f'"{self.id(index)}"',
            "live": "true" if own["live"] else "false",
            "period_start": created,
            "period_end": created + 30 * DAY,
            "price": f'"{price["id"]}"',
            "product": f'"{price["product"]}"',
            "unit": "null" if unit is None else f'"{unit}"',
            "quantity": quantity,
            "quantity_decimal": f'"{quantity}"',
        }
        return _LINE_TEMPLATE % values, amount


def _standing(status: str, created: int, total: int, index: int, h: int) -> dict[str, Any]:
    """Everything that follows from an invoice's status."""
    paid = total if status == "paid" else 0
    done = created + 3_600
    final = "null" if status == "draft" else str(done)
    return {
        "status": f'"{status}"',
        "paid": paid,
        "remaining": total - paid,
        "attempts": 1 if status in ("paid", "open") else 0,
        "attempted": "true" if status in ("paid", "open") else "false",
        "due_date": created + 14 * DAY if h & 0x3000 == 0 else "null",
        "email": f'"invoices{index}@example.com"' if h & 0x8000 else "null",
        "name": "null",
        "ending_balance": "null" if status == "draft" else 0,
        "finalized_at": final,
        "number": "null" if status == "draft" else f'"{h:08X}-{index % 10_000:04d}"',
        "paid_at": str(done + 60) if status == "paid" else "null",
        "voided_at": str(done + DAY) if status == "void" else "null",
        "uncollectible_at": str(done + 60 * DAY) if status == "uncollectible" else "null",
    }
