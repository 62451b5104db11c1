"""Generated subscriptions with their items: one to three mostly, now and then more than a nested list shows."""

from __future__ import annotations

from typing import Any

import orjson

from sync_core.sandbox.blueprint import DAY, TEST_CLOCKS, Blueprint, Json, Source, mix
from sync_core.sandbox.catalog import Prices, plan_of
from sync_core.sandbox.customers import Customers
from sync_core.sandbox.templates import compile_template, slot

NESTED_LIMIT = 10
_MANY_ITEMS = 12
_ITEM_SPAN = 32
_MONTH = 30 * DAY
_STATUSES = (
    *("active",) * 40,
    *("canceled",) * 9,
    *("trialing",) * 4,
    *("past_due",) * 3,
    *("unpaid",) * 2,
    *("incomplete",) * 2,
    *("incomplete_expired",) * 2,
    *("paused",) * 2,
)
_ENDED = frozenset({"canceled", "incomplete_expired"})

_SUBSCRIPTION: Json = {
    "id": slot("id"),
    "object": "subscription",
    "application": None,
    "application_fee_percent": None,
    "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
    "billing_cycle_anchor": slot("created"),
    "billing_cycle_anchor_config": None,
    "billing_mode": {"flexible": {"proration_discounts": "included"}, "type": "flexible"},
    "billing_schedules": [],
    "billing_thresholds": None,
    "cancel_at": slot("cancel_at"),
    "cancel_at_period_end": slot("cancel_at_period_end"),
    "canceled_at": slot("canceled_at"),
    "cancellation_details": {"comment": None, "feedback": None, "reason": slot("reason")},
    "collection_method": slot("collection"),
    "created": slot("created"),
    "currency": slot("currency"),
    "customer": slot("customer"),
    "customer_account": None,
    "days_until_due": slot("days"),
    "default_payment_method": None,
    "default_source": None,
    "default_tax_rates": [],
    "description": None,
    "discounts": [],
    "ended_at": slot("ended_at"),
    "invoice_settings": {
        "account_tax_ids": None,
        "custom_fields": None,
        "description": None,
        "footer": None,
        "issuer": {"type": "self"},
    },
    "items": {
        "object": "list",
        "data": slot("items"),
        "has_more": slot("has_more"),
        "url": slot("items_url"),
    },
    "latest_invoice": slot("latest_invoice"),
    "livemode": slot("live"),
    "managed_payments": {"enabled": False},
    "metadata": {},
    "next_pending_invoice_item_invoice": None,
    "on_behalf_of": None,
    "pause_collection": None,
    "payment_settings": {
        "payment_method_options": None,
        "payment_method_types": None,
        "save_default_payment_method": "off",
    },
    "pending_invoice_item_interval": None,
    "pending_setup_intent": None,
    "pending_update": None,
    "schedule": None,
    "start_date": slot("created"),
    "status": slot("status"),
    "test_clock": slot("test_clock"),
    "transfer_data": None,
    "trial_end": slot("trial_end"),
    "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
    "trial_start": slot("trial_start"),
}
_ITEM: Json = {
    "id": slot("id"),
    "object": "subscription_item",
    "billing_thresholds": None,
    "created": slot("created"),
    "current_period_end": slot("period_end"),
    "current_period_start": slot("period_start"),
    "discounts": [],
    "metadata": {},
    "plan": slot("plan"),
    "price": slot("price"),
    "quantity": slot("quantity"),
    "subscription": slot("subscription"),
    "tax_rates": [],
}
_TEMPLATE = compile_template(_SUBSCRIPTION)
_ITEM_TEMPLATE = compile_template(_ITEM)


def _or_null(value: int | None) -> str:
    return "null" if value is None else str(value)


class Subscriptions(Source):
    """Hidden ones belong to customers bound to a test clock."""

    def __init__(self, plan: Blueprint, customers: Customers, prices: Prices) -> None:
        timeline = plan.timeline("subscriptions")
        hidden = plan.long_ids("sub", timeline.of_hidden, space="/hidden")
        super().__init__(plan.long_ids("sub", timeline.created), hidden, timeline, plan.salt("subscriptions"))
        self._until = plan.until
        self._items = tuple(plan.short_ids("si", self._item_created, space=space) for space in ("", "/hidden"))
        self._invoices = plan.long_ids("in", plan.timeline("invoices").created)
        self._invoice_count = plan.sizes.invoices
        self.customers = customers
        self.prices = prices

    @property
    def hidden_size(self) -> int:
        return TEST_CLOCKS if self.size and self.customers.size else 0

    def status(self, index: int) -> str:
        h = mix(index, self.salt)
        return "canceled" if self._of_deleted(h) else _STATUSES[h & 63]

    def _of_deleted(self, h: int) -> bool:
        return (h >> 8) % 45 == 7 and self.customers.deleted_size > 0

    def customer(self, index: int) -> str:
        """Older than the subscription, roughly: both kinds grow evenly over the same two years."""
        h, customers = mix(index, self.salt), self.customers
        if self._of_deleted(h) or not customers.size:
            return customers.deleted_id(h) if customers.size else "cus_gone"
        return customers.id(h % max(1, index * customers.size // max(self.size, 1)))

    def currency_and_prices(self, index: int) -> tuple[str, list[int]]:
        """No prices means that the subscription is on an inline one."""
        h = mix(index, self.salt)
        if h % 29 == 5:
            return "usd", []
        wanted = _MANY_ITEMS if index % 37 == 11 else 1 + (h >> 16) % 8 // 6
        currency, prices = self.prices.for_subscription(h >> 4, wanted)
        if wanted == _MANY_ITEMS:
            return currency, (prices * _MANY_ITEMS)[:_MANY_ITEMS]
        return currency, prices

    def _item_created(self, item: int) -> int:
        return self.created(item // _ITEM_SPAN)

    def item_id(self, index: int, place: int, *, hidden: bool = False) -> str:
        return self._items[hidden].encode(index * _ITEM_SPAN + place)

    def period(self, index: int) -> tuple[int, int]:
        created = self.created(index)
        start = created + (self._until - created) // _MONTH * _MONTH
        return start, start + _MONTH

    def render(self, index: int, *, live: bool) -> str:
        items = self._item_texts(index, self.id(index), live=live, hidden=False)
        return self._filled(index, items[:NESTED_LIMIT], live=live, more=len(items) > NESTED_LIMIT)

    def full(self, index: int, *, live: bool) -> Json:
        items = self._item_texts(index, self.id(index), live=live, hidden=False)
        loaded: Json = orjson.loads(self._filled(index, items, live=live, more=False))
        return loaded

    def hidden(self, index: int, *, live: bool) -> Json:
        shown = index % self.size
        object_id = self.hidden_coder.encode(index)
        customer, clock = self.customers.clock_id(index)
        items = self._item_texts(shown, object_id, live=live, hidden=True)
        text = self._filled(shown, items, live=live, more=False, own={"id": f'"{object_id}"'})
        body: Json = orjson.loads(text)
        return body | {"customer": customer, "test_clock": clock, "latest_invoice": None}

    def _filled(self, index: int, items: list[str], *, live: bool, more: bool, own: Json | None = None) -> str:
        h = mix(index, self.salt)
        object_id = self.id(index)
        invoiced = h & 15 == 3
        values: dict[str, Any] = {
            "id": f'"{object_id}"',
            "collection": '"send_invoice"' if invoiced else '"charge_automatically"',
            "created": self.created(index),
            "currency": f'"{self.currency_and_prices(index)[0]}"',
            "customer": f'"{self.customer(index)}"',
            "days": "30" if invoiced else "null",
            "has_more": "true" if more else "false",
            "items": f"[{','.join(items)}]",
            "items_url": f'"/v1/subscription_items?subscription={object_id}"',
            "latest_invoice": self._latest_invoice(index),
            "live": "true" if live else "false",
            "test_clock": "null",
        }
        return _TEMPLATE % (values | self._ending(index, h) | (own or {}))

    def _ending(self, index: int, h: int) -> dict[str, str]:
        """How far it got: trial, cancellation, end."""
        status, created = self.status(index), self.created(index)
        ended = min(created + (h >> 10) % (200 * DAY) + 60, self._until) if status in _ENDED else None
        leaving = status == "active" and h & 0x1F0000 == 0
        trial = created if status == "trialing" or h & 0x300 == 0 else None
        return {
            "status": f'"{status}"',
            "cancel_at": _or_null(self.period(index)[1] if leaving else None),
            "cancel_at_period_end": "true" if leaving else "false",
            "canceled_at": _or_null(ended if status == "canceled" else self._until - DAY if leaving else None),
            "ended_at": _or_null(ended),
            "reason": '"cancellation_requested"' if leaving or status == "canceled" else "null",
            "trial_start": _or_null(trial),
            "trial_end": _or_null(self._trial_end(index, status) if trial else None),
        }

    def _trial_end(self, index: int, status: str) -> int:
        """A trial that still runs ends with the period, any other ended after two weeks."""
        return self.period(index)[1] if status == "trialing" else self.created(index) + 14 * DAY

    def _latest_invoice(self, index: int) -> str:
        first = index * self._invoice_count // max(self.size, 1)
        exact = self._invoice_count and -(-first * self.size // self._invoice_count) == index
        return f'"{self._invoices.encode(first)}"' if exact else "null"

    def _item_texts(self, index: int, subscription: str, *, live: bool, hidden: bool) -> list[str]:
        prices = self.currency_and_prices(index)[1]
        texts = [self._price_texts(price, live=live) for price in prices] or [self._inline_texts(index, live=live)]
        start, end = self.period(index)
        return [
            _ITEM_TEMPLATE
            % {
                "id": f'"{self.item_id(index, place, hidden=hidden)}"',
                "created": self.created(index),
                "period_start": start,
                "period_end": end,
                "price": price,
                "plan": plan,
                "quantity": 1 + (index + place) % 5,
                "subscription": f'"{subscription}"',
            }
            for place, (price, plan) in enumerate(texts)
        ]

    def _price_texts(self, price: int, *, live: bool) -> tuple[str, str]:
        return self.prices.json(price, live), self.prices.plan_json(price, live)

    def _inline_texts(self, index: int, *, live: bool) -> tuple[str, str]:
        price = self.prices.inline_json(index, live=live)
        return price, orjson.dumps(plan_of(orjson.loads(price))).decode()
