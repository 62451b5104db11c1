"""Generated products and prices: every way of pricing that Stripe has."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sync_core.sandbox.blueprint import DAY, Blueprint, Json, Source, mix
from sync_core.sandbox.templates import ascii_json
from sync_core.sandbox.words import EDITIONS, PRODUCTS

_DELETED_PRODUCTS = 4
_HIDDEN_PRICES = 16
_CACHE = 32_768


class Products(Source):
    def __init__(self, plan: Blueprint) -> None:
        timeline = plan.timeline("products")
        hidden = plan.short_ids("prod", timeline.of_hidden, space="/hidden")
        super().__init__(plan.short_ids("prod", timeline.created), hidden, timeline, plan.salt("products"))
        self._prices = plan.long_ids("price", plan.timeline("prices").created)
        self._price_count = plan.sizes.prices

    @property
    def hidden_size(self) -> int:
        return _DELETED_PRODUCTS if self.size else 0

    def id(self, index: int) -> str:
        return f"plan-{index}" if index % 6 == 5 else self.coder.encode(index)

    def index(self, object_id: str) -> int | None:
        return custom_index(object_id, "plan-", self) if object_id.startswith("plan-") else super().index(object_id)

    def name(self, index: int) -> tuple[str, str]:
        name, description = PRODUCTS[index % len(PRODUCTS)]
        return f"{name}{EDITIONS[index // len(PRODUCTS) % len(EDITIONS)]}", description

    def render(self, index: int, *, live: bool) -> str:
        return ascii_json(self.full(index, live=live))

    def full(self, index: int, *, live: bool) -> Json:
        h = mix(index, self.salt)
        name, description = self.name(index)
        created = self.created(index)
        return {
            "id": self.id(index),
            "object": "product",
            "active": index % 9 != 7,
            "created": created,
            "default_price": Prices.default_of(index, self._price_count, self._prices.encode),
            "description": description if h & 3 else None,
            "images": ["https://files.example.com/cover.png"] if h & 12 == 4 else [],
            "livemode": live,
            "marketing_features": [{"name": "Unlimited projects"}] if h & 48 == 16 else [],
            "metadata": {"sku": f"SKU-{index:04d}"} if h & 64 else {},
            "name": name,
            "package_dimensions": None,
            "shippable": None,
            "statement_descriptor": "CYPHERA" if h & 128 else None,
            "tax_code": "txcd_10103001" if h & 256 else None,
            "type": "service",
            "unit_label": "seat" if "seat" in name.lower() else None,
            "updated": created + h % (30 * DAY),
            "url": None,
        }

    def hidden(self, index: int, *, live: bool) -> Json:
        del live
        return {"id": self.hidden_coder.encode(index), "object": "product", "deleted": True}


def custom_index(object_id: str, prefix: str, source: Source) -> int | None:
    """The index in an id that the account's owner chose."""
    digits = object_id.removeprefix(prefix)
    index = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 12 else source.size
    return index if index < source.size and source.id(index) == object_id else None


def _recurring(interval: str, count: int = 1, usage: str = "licensed") -> Json:
    meter = "mtr_test_61Q0000000000001" if usage == "metered" else None
    return {
        "interval": interval,
        "interval_count": count,
        "meter": meter,
        "trial_period_days": None,
        "usage_type": usage,
    }


def _tier(up_to: int | None, unit: str | None, flat: int | None = None) -> Json:
    whole = unit is not None and unit.isdigit()
    return {
        "flat_amount": flat,
        "flat_amount_decimal": None if flat is None else str(flat),
        "unit_amount": int(unit) if whole and unit else None,
        "unit_amount_decimal": unit,
        "up_to": up_to,
    }


def _option(amount: int, behavior: str = "exclusive") -> Json:
    return {
        "custom_unit_amount": None,
        "tax_behavior": behavior,
        "unit_amount": amount,
        "unit_amount_decimal": str(amount),
    }


_OPTIONS = {"eur": _option(2700), "jpy": _option(4200), "kwd": _option(8_750, "inclusive")}
_GRADUATED = [_tier(10, "1000"), _tier(100, "800", 2500), _tier(None, "650")]
_VOLUME = [_tier(50, "500"), _tier(None, "425")]
_SUB_CENT = [_tier(1_000_000, None, 0), _tier(None, "0.0125")]

# What each kind of price says differently from a flat monthly one in dollars. Price n is of kind n modulo their number.
KINDS: tuple[Json, ...] = (
    {},
    {"recurring": _recurring("year"), "unit_amount": 29_000},
    {"currency": "eur", "unit_amount": 2_700},
    {"recurring": None, "type": "one_time", "unit_amount": 150_000},
    {"currency": "jpy", "unit_amount": 4_200},
    {"billing_scheme": "tiered", "tiers_mode": "graduated", "tiers": _GRADUATED, "unit_amount": None},
    {"currency": "eur", "billing_scheme": "tiered", "tiers_mode": "volume", "tiers": _VOLUME, "unit_amount": None},
    {"recurring": _recurring("month", usage="metered"), "unit_amount": None, "unit_amount_decimal": "0.35"},
    {"currency": "kwd", "unit_amount": 8_750},
    {"transform_quantity": {"divide_by": 100, "round": "up"}, "unit_amount": 500},
    {
        "recurring": None,
        "type": "one_time",
        "unit_amount": None,
        "custom_unit_amount": {"maximum": 50_000, "minimum": 500, "preset": 1_000},
    },
    {"currency_options": {"usd": _option(3_000), **_OPTIONS}, "unit_amount": 3_000},
    {"currency": "gbp", "recurring": _recurring("month", 3), "unit_amount": 7_900},
    {
        "recurring": _recurring("month", usage="metered"),
        "billing_scheme": "tiered",
        "tiers_mode": "graduated",
        "tiers": _SUB_CENT,
        "unit_amount": None,
    },
    {"active": False, "unit_amount": 1_900},
)
_CUSTOM_ID_KIND = 12


def plan_of(price: Json) -> Json:
    """The plan that Stripe still shows beside a recurring price."""
    recurring = price["recurring"] or {
        "interval": "month",
        "interval_count": 1,
        "meter": None,
        "usage_type": "licensed",
    }
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": price["billing_scheme"],
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": price["livemode"],
        "metadata": price["metadata"],
        "meter": recurring["meter"],
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": price["tiers_mode"],
        "transform_usage": price["transform_quantity"],
        "trial_period_days": None,
        "usage_type": recurring["usage_type"],
    }


class Prices(Source):
    """Hidden ones alternate: inline (made by price_data, never listed, retrievable) and deleted."""

    def __init__(self, plan: Blueprint, products: Products) -> None:
        timeline = plan.timeline("prices")
        hidden = plan.long_ids("price", timeline.of_hidden, space="/hidden")
        super().__init__(plan.long_ids("price", timeline.created), hidden, timeline, plan.salt("prices"))
        self._products = products
        self._blocks = max(1, self.size // len(KINDS))
        self._recurring = self._recurring_kinds()
        self.body = lru_cache(_CACHE)(self._whole)
        self.json = lru_cache(_CACHE)(self._json)
        self.plan_json = lru_cache(_CACHE)(self._plan_json)

    def _recurring_kinds(self) -> dict[str, list[int]]:
        """The kinds that a subscription can be on, by currency."""
        kinds: dict[str, list[int]] = {}
        for kind, differs in enumerate(KINDS[: self.size]):
            if differs.get("type") != "one_time":
                kinds.setdefault(differs.get("currency", "usd"), []).append(kind)
        return kinds

    @property
    def hidden_size(self) -> int:
        return _HIDDEN_PRICES

    def id(self, index: int) -> str:
        custom = index % len(KINDS) == _CUSTOM_ID_KIND
        return f"quarterly_{index}" if custom else self.coder.encode(index)

    def index(self, object_id: str) -> int | None:
        if object_id.startswith("quarterly_"):
            return custom_index(object_id, "quarterly_", self)
        return super().index(object_id)

    @staticmethod
    def default_of(product: int, count: int, encode: Any) -> str | None:
        return encode(product) if product < count and product % len(KINDS) != _CUSTOM_ID_KIND else None

    def render(self, index: int, *, live: bool) -> str:
        return self.json(index, live)

    def on_request(self, index: int, name: str) -> Json | None:
        found: Json | None = KINDS[index % len(KINDS)].get(name)
        return found

    def _json(self, index: int, live: bool) -> str:
        body = self.full(index, live=live)
        return ascii_json({name: value for name, value in body.items() if name not in ("tiers", "currency_options")})

    def _plan_json(self, index: int, live: bool) -> str:
        return ascii_json(plan_of(self.full(index, live=live)))

    def full(self, index: int, *, live: bool) -> Json:
        return self._whole(index, live)

    def _whole(self, index: int, live: bool) -> Json:
        return self._body(self.id(index), index % len(KINDS), index, live=live)

    def _body(self, price_id: str, kind: int, index: int, *, live: bool) -> Json:
        differs = KINDS[kind]
        body: Json = {
            "id": price_id,
            "object": "price",
            "active": True,
            "billing_scheme": "per_unit",
            "created": self.timeline.of_hidden(index),
            "currency": "usd",
            "currency_options": None,
            "custom_unit_amount": None,
            "livemode": live,
            "lookup_key": f"standard_{index}" if index % 7 == 1 else None,
            "metadata": {},
            "nickname": "List price" if index % 4 == 0 else None,
            "product": self.product(index),
            "recurring": _recurring("month"),
            "tax_behavior": "exclusive" if index % 3 == 0 else "unspecified",
            "tiers": None,
            "tiers_mode": None,
            "transform_quantity": None,
            "type": "recurring",
            "unit_amount": 2_900,
            "unit_amount_decimal": None,
        } | differs
        if body["unit_amount"] is not None:
            body["unit_amount_decimal"] = str(body["unit_amount"])
        return body

    def product(self, index: int) -> str:
        products = self._products
        if not products.size or index % 23 == 9:
            return products.hidden_coder.encode(index % _DELETED_PRODUCTS)
        return products.id(index % products.size)

    def hidden(self, index: int, *, live: bool) -> Json:
        price_id = self.hidden_coder.encode(index)
        if index % 2:
            return {"id": price_id, "object": "price", "deleted": True}
        return self._body(price_id, 0, index % max(self.size, 1), live=live) | {"active": False, "lookup_key": None}

    def inline(self, number: int) -> int:
        """The index among the hidden ones of one that price_data made."""
        return number * 2 % _HIDDEN_PRICES

    def inline_json(self, number: int, *, live: bool) -> str:
        body = self.hidden(self.inline(number), live=live)
        return ascii_json({name: value for name, value in body.items() if name not in ("tiers", "currency_options")})

    def deleted_id(self, number: int) -> str:
        return self.hidden_coder.encode((number * 2 + 1) % _HIDDEN_PRICES)

    def for_subscription(self, h: int, wanted: int) -> tuple[str, list[int]]:
        """A currency and up to ``wanted`` different recurring prices in it; none when there are no such prices."""
        if not self._recurring:
            return "usd", []
        currencies = sorted(self._recurring)
        currency = "usd" if "usd" in self._recurring and h & 3 else currencies[(h >> 2) % len(currencies)]
        kinds = self._recurring[currency]
        chosen: dict[int, None] = {}
        for step in range(wanted):
            kind = kinds[(h + step) % len(kinds)]
            chosen[kind + len(KINDS) * ((h // 64 + step) % self._blocks)] = None
        return currency, list(chosen)
