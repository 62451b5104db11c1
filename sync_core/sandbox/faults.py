"""Faults on request: rules that say which requests go wrong, and how. Seeded, so a run can be played again."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from fnmatch import fnmatchcase
from random import Random
from typing import Any

from sync_core.sandbox.blueprint import Json


class FaultKind(StrEnum):
    RATE_GLOBAL = "rate_global"
    RATE_ENDPOINT = "rate_endpoint"
    LOCK_TIMEOUT = "lock_timeout"
    ERROR500 = "error500"
    RESET = "reset"
    TRUNCATE = "truncate"
    SLOW = "slow"
    MALFORMED_OBJECT = "malformed_object"
    EMPTY_PAGE = "empty_page"
    BLACK_HOLE = "black_hole"


# What a broken object of each type looks like, unless the rule says so itself. Id and created stay.
_BROKEN: dict[str, Json] = {
    "customer": {"email": {"not": "a string"}, "livemode": "maybe"},
    "product": {"name": None, "active": "perhaps"},
    "price": {"currency": "zzz", "unit_amount": "a lot", "type": 7},
    "subscription": {"customer": None, "items": None, "status": 7},
    "invoice": {"currency": "zzz", "total": "twelve", "customer": 3},
}


@dataclass(slots=True)
class FaultRule:
    """Fires on requests whose endpoint ("GET /v1/customers/:id") matches; conditions given together all have to hold.

    ``nth`` is the one matching request that fails, ``count`` how often at most, ``after_requests`` how many matching
    ones are let through first. ``headers`` are added to an error answer (Retry-After, Stripe-Should-Retry).
    """

    kind: FaultKind
    match: str = "*"
    probability: float = 1.0
    nth: int | None = None
    count: int | None = None
    after_requests: int = 0
    seed: int = 0
    delay_ms: float = 0
    headers: dict[str, str] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    fields: Json = field(default_factory=dict)
    matched: int = 0
    fired: int = 0
    _rng: Random | None = None

    @classmethod
    def of(cls, rule: Json) -> FaultRule:
        """Raises ``ValueError`` for what no rule has."""
        known = {item.name for item in fields(cls)} - {"matched", "fired", "_rng"}
        if unknown := set(rule) - known:
            raise ValueError(f"Unknown in a fault rule: {', '.join(sorted(unknown))}")
        return cls(**(rule | {"kind": FaultKind(rule["kind"])}))

    def fires(self, endpoint: str) -> bool:
        if not fnmatchcase(endpoint, self.match):
            return False
        self.matched += 1
        if self.matched <= self.after_requests or (self.nth is not None and self.matched != self.nth):
            return False
        if self.count is not None and self.fired >= self.count:
            return False
        self._rng = self._rng or Random(self.seed)
        if self.probability < 1 and self._rng.random() >= self.probability:
            return False
        self.fired += 1
        return True

    def breaks(self, body: Json) -> Json:
        return body | (self.fields or _BROKEN.get(str(body.get("object")), {}))


class Faults:
    def __init__(self) -> None:
        self.rules: list[FaultRule] = []

    def replace(self, rules: list[Json]) -> None:
        self.rules = [FaultRule.of(rule) for rule in rules]

    def add(self, rules: list[Json]) -> None:
        self.rules += [FaultRule.of(rule) for rule in rules]

    def for_request(self, endpoint: str) -> FaultRule | None:
        """The first rule that fires; the others do not count this request."""
        return next((rule for rule in self.rules if rule.fires(endpoint)), None)

    def report(self) -> list[dict[str, Any]]:
        return [
            {"kind": rule.kind, "match": rule.match, "matched": rule.matched, "fired": rule.fired}
            for rule in self.rules
        ]
