"""A complete object around the few fields that a test or a person cares about."""

from __future__ import annotations

from functools import cache
from random import Random

import orjson

from sync_core.sandbox.blueprint import DAY, Blueprint, Json, Sizes, Source
from sync_core.sandbox.catalog import Prices, Products, plan_of
from sync_core.sandbox.customers import Customers
from sync_core.sandbox.ids import LONG, SHORT, drawn
from sync_core.sandbox.invoices import Invoices
from sync_core.sandbox.subscriptions import Subscriptions

_PREFIXES = {"customers": "cus", "products": "prod", "prices": "price", "subscriptions": "sub", "invoices": "in"}


@cache
def _patterns() -> dict[str, bytes]:
    """One generated object of each type, whose fields stand in for those not given."""
    plan = Blueprint(seed="pattern", sizes=Sizes(1, 1, 1, 1, 1))
    customers, products = Customers(plan), Products(plan)
    prices = Prices(plan, products)
    subscriptions = Subscriptions(plan, customers, prices)
    sources: tuple[Source, ...] = (customers, products, prices, subscriptions, Invoices(plan, subscriptions))
    return {entity: orjson.dumps(source.full(0, live=False)) for entity, source in zip(_PREFIXES, sources, strict=True)}


def complete(entity: str, fields: Json, *, serial: int, now: int, seed: str) -> Json:
    """A whole object of ``entity``. A subscription may give ``prices`` (whole price objects) for its items."""
    body: Json = orjson.loads(_patterns()[entity])
    length = SHORT if entity in ("customers", "products") else LONG
    created = fields.get("created", now)
    object_id = fields.get("id") or f"{_PREFIXES[entity]}_{drawn(Random(f'{seed}/{entity}/{serial}'), created, length)}"
    body |= {"id": object_id, "created": now, "metadata": {}}
    if entity == "subscriptions":
        body |= {"start_date": now, "billing_cycle_anchor": now, "latest_invoice": None, "status": "active"}
        body |= {"canceled_at": None, "ended_at": None, "cancel_at": None, "cancel_at_period_end": False}
        body["items"] = _items(body, object_id, fields.pop("prices", None), now)
    if entity == "products":
        body |= {"default_price": None, "active": True, "updated": now}
    if entity == "customers":
        body |= {"email": f"created{serial}@example.com", "name": f"Created {serial}"}
    if entity == "invoices":
        body["lines"] = _lines(body, object_id)
    return body | fields


def _items(body: Json, subscription: str, prices: list[Json] | None, now: int) -> Json:
    pattern = body["items"]["data"][0]
    items = [
        pattern
        | {
            "id": f"si_{subscription[4:]}{place}",
            "created": now,
            "current_period_start": now,
            "current_period_end": now + 30 * DAY,
            "subscription": subscription,
            "price": price,
            "plan": plan_of(price),
        }
        for place, price in enumerate(prices or [pattern["price"]])
    ]
    url = f"/v1/subscription_items?subscription={subscription}"
    return {"object": "list", "data": items, "has_more": False, "url": url}


def _lines(body: Json, invoice: str) -> Json:
    lines = [
        line | {"id": f"il_{invoice[3:]}{place}", "invoice": invoice}
        for place, line in enumerate(body["lines"]["data"])
    ]
    return {"object": "list", "data": lines, "has_more": False, "url": f"/v1/invoices/{invoice}/lines"}
