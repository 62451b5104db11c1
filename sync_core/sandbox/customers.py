"""Generated customers. This is the hot path: one %-format an object, no dict and no JSON encoder."""

from __future__ import annotations

import unicodedata
from random import Random

from sync_core.sandbox.blueprint import TEST_CLOCKS, Blueprint, Json, Source, mix
from sync_core.sandbox.templates import ascii_json, compile_template, slot
from sync_core.sandbox.words import CITIES, COMPANIES, DOMAINS, FIRST_NAMES, LAST_NAMES, SUFFIXES

_VARIANTS = 64
_CURRENCIES = ("usd", "usd", "usd", "eur", "gbp", "jpy", "kwd", None)
# Every so many customers one is at Stripe's limits for metadata, and one has a NUL in its description.
_EXTREME_EVERY = 4_999
_EXTREME_AT, _NUL_AT = 77, 78


def _plain(name: str) -> str:
    folded = unicodedata.normalize("NFKD", name.replace("Ł", "L").replace("ø", "o"))
    return "".join(letter for letter in folded.lower() if letter.isascii() and letter.isalnum())


def _quoted_body(text: str) -> str:
    return ascii_json(text)[1:-1]


_FIRST = [(_quoted_body(name), _plain(name)) for name in FIRST_NAMES]
_LAST = [(_quoted_body(name), _plain(name)) for name in LAST_NAMES]
_COMPANY = [
    (_quoted_body(f"{name} {SUFFIXES[place % len(SUFFIXES)]}"), _plain(name)) for place, name in enumerate(COMPANIES)
]


def skeleton(variant: int, rng: Random) -> Json:
    """All fields of a customer, with slots for those that differ from one to the next."""
    city, country, postal_code, state, line1 = CITIES[variant % len(CITIES)]
    address = {"city": city, "country": country, "line1": line1, "line2": None}
    address |= {"postal_code": postal_code, "state": state}
    return {
        "id": slot("id"),
        "object": "customer",
        "address": address if variant % 3 else None,
        "balance": -1500 if variant % 16 == 5 else 0,
        "created": slot("created"),
        "currency": _CURRENCIES[variant % len(_CURRENCIES)],
        "customer_account": None,
        "default_source": None,
        "delinquent": variant % 21 == 8,
        "description": "Imported from the old billing system" if variant % 11 == 4 else None,
        "discount": None,
        "email": slot("email"),
        "invoice_prefix": slot("prefix"),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": f"pm_{rng.getrandbits(64):016x}" if variant % 2 else None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": slot("live"),
        "metadata": {"crm_id": f"A-{rng.randrange(10_000, 99_999)}", "tier": "gold"} if variant % 5 == 1 else {},
        "name": slot("name"),
        "next_invoice_sequence": 1 + variant % 9,
        "phone": f"+49 30 555 {rng.randrange(1000, 9999)}" if variant % 4 == 2 else None,
        "preferred_locales": ["de", "en"] if variant % 8 == 0 else [],
        "shipping": None,
        "tax_exempt": "reverse" if variant % 13 == 6 else "none",
        "test_clock": None,
    }


class Customers(Source):
    def __init__(self, plan: Blueprint) -> None:
        timeline = plan.timeline("customers")
        hidden = plan.short_ids("cus", timeline.of_hidden, space="/hidden")
        super().__init__(plan.short_ids("cus", timeline.created), hidden, timeline, plan.salt("customers"))
        self.deleted_size = max(3, self.size // 50) if self.size else 0
        self.clocks = plan.long_ids("clock", timeline.of_hidden)
        rng = Random(f"{plan.seed}/customers")
        skeletons = [skeleton(variant, rng) for variant in range(_VARIANTS)]
        self._templates = [compile_template(body) for body in skeletons]
        self._extreme = compile_template(skeletons[0] | {"metadata": _largest_metadata()})
        self._nul = compile_template(skeletons[0] | {"description": "before\x00after"})

    @property
    def hidden_size(self) -> int:
        return self.deleted_size + TEST_CLOCKS if self.size else 0

    def render(self, index: int, *, live: bool) -> str:
        h = mix(index, self.salt)
        name, mail = self._identity(index, h)
        return self._template(index, h) % {
            "id": f'"{self.coder.encode(index)}"',
            "created": self.created(index),
            "email": f'"{mail}"' if (h >> 24) & 31 else "null",
            "name": f'"{name}"',
            "prefix": f'"{h:08X}"',
            "live": "true" if live else "false",
        }

    def _template(self, index: int, h: int) -> str:
        place = index % _EXTREME_EVERY
        if place == _EXTREME_AT:
            return self._extreme
        return self._nul if place == _NUL_AT else self._templates[h & 63]

    def _identity(self, index: int, h: int) -> tuple[str, str]:
        """Name and email, fit to stand in JSON. One in 200 shares the email of the customer before."""
        if (h >> 18) & 3 == 0:
            name, mail = _COMPANY[(h >> 6) & 31]
            mail = f"billing@{mail}{index}.example.com"
        else:
            first, first_mail = _FIRST[(h >> 6) & 63]
            last, last_mail = _LAST[(h >> 12) & 63]
            name = f"{first} {last}"
            mail = f"{first_mail}.{last_mail}{index}@{DOMAINS[(h >> 20) & 3]}"
        if index % 200 == 199:
            mail = self._identity(index - 1, mix(index - 1, self.salt))[1]
        return name, mail

    def hidden(self, index: int, *, live: bool) -> Json:
        object_id = self.hidden_coder.encode(index)
        if index < self.deleted_size:
            return {"id": object_id, "object": "customer", "deleted": True}
        body = self.full(index % self.size, live=live)
        return body | {"id": object_id, "email": None, "test_clock": self.clocks.encode(index)}

    def deleted_id(self, number: int) -> str:
        return self.hidden_coder.encode(number % self.deleted_size)

    def clock_id(self, number: int) -> tuple[str, str]:
        """A customer bound to a test clock, and the clock."""
        index = self.deleted_size + number % TEST_CLOCKS
        return self.hidden_coder.encode(index), self.clocks.encode(index)


def _largest_metadata() -> dict[str, str]:
    """50 keys of 40 characters with values of 500: what Stripe allows."""
    return {f"key_{number:02d}_".ljust(40, "k"): (f"{number} Größe ✓ ").ljust(500, "v") for number in range(50)}
