"""The parameters of a request, checked the way Stripe checks them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl

from sync_core.sandbox.collection import FOREVER, Window
from sync_core.sandbox.errors import ApiError

_CREATED = ("created", "created[gt]", "created[gte]", "created[lt]", "created[lte]")
_MOST_DIGITS = 18
_PAGING = ("limit", "starting_after", "ending_before")
FILTERS: dict[str, tuple[str, ...]] = {
    "customers": ("email", "test_clock"),
    "products": ("active", "shippable", "url", "type"),
    "prices": ("active", "currency", "product", "type"),
    "subscriptions": ("customer", "status", "collection_method", "test_clock"),
    "invoices": ("customer", "status", "subscription", "collection_method"),
    "events": ("type",),
}
STATUSES = frozenset(
    {
        "active",
        "all",
        "canceled",
        "ended",
        "incomplete",
        "incomplete_expired",
        "past_due",
        "paused",
        "trialing",
        "unpaid",
    }
)


@dataclass(frozen=True, slots=True)
class ListQuery:
    limit: int
    starting_after: str | None
    ending_before: str | None
    window: Window
    expand: tuple[str, ...]
    filters: dict[str, str]


def parameters(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True)


def expansions(pairs: list[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(value for name, value in pairs if name.startswith("expand["))


def list_query(pairs: list[tuple[str, str]], filters: tuple[str, ...]) -> ListQuery:
    values = {name: value for name, value in pairs if not name.startswith("expand[")}
    for name in values:
        if name not in _CREATED and name not in _PAGING and name not in filters:
            raise ApiError(400, f"Received unknown parameter: {name}", code="parameter_unknown", param=name)
    after, before = values.get("starting_after"), values.get("ending_before")
    if after is not None and before is not None:
        raise ApiError(400, "You may only specify one of these parameters: starting_after, ending_before.")
    chosen = {name: values[name] for name in filters if name in values}
    return ListQuery(_limit(values), after, before, _window(values), expansions(pairs), chosen)


def _integer(name: str, text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS):
        raise ApiError(400, f"Invalid integer: {text}", code="parameter_invalid_integer", param=name)
    return int(text)


def _limit(values: dict[str, str]) -> int:
    limit = _integer("limit", values.get("limit", "10"))
    if limit < 1:
        message = "This value must be greater than or equal to 1."
        raise ApiError(400, message, code="parameter_invalid_integer", param="limit")
    if limit > 100:
        message = f"Limit cannot be greater than 100, got {limit}."
        raise ApiError(400, message, code="parameter_invalid_integer", param="limit")
    return limit


def _window(values: dict[str, str]) -> Window:
    ge, lt = 0, FOREVER
    for name in _CREATED:
        if name not in values:
            continue
        second = _integer(name, values[name])
        if name in ("created", "created[gte]", "created[gt]"):
            ge = max(ge, second + (name == "created[gt]"))
        if name in ("created", "created[lte]", "created[lt]"):
            lt = min(lt, second + (name != "created[lt]"))
    return Window(ge, lt)
