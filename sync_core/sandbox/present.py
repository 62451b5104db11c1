"""From an account's objects to what a caller sees: version, expansions, nested lists, malformed on request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Json
from sync_core.sandbox.collection import Entry
from sync_core.sandbox.errors import ApiError
from sync_core.sandbox.shapes import cut_nested, is_newest, to_version
from sync_core.sandbox.subscriptions import NESTED_LIMIT

_ON_REQUEST = ("tiers", "currency_options")
_DEPTH = 4
_REFERENCES = {
    "customer": "customers",
    "product": "products",
    "default_price": "prices",
    "price": "prices",
    "latest_invoice": "invoices",
    "subscription": "subscriptions",
}


@dataclass(frozen=True, slots=True)
class View:
    """How one request wants to see objects of one account. ``expand`` has no ``data.`` in front any more."""

    account: Account
    live: bool
    version: str
    expand: tuple[tuple[str, ...], ...] = ()
    broken: Callable[[Json], Json] | None = None

    def texts(self, entity: str, entries: list[Entry]) -> list[str]:
        collection = self.account.collections[entity]
        ready = self._ready if is_newest(self.version) and not self.broken else _none
        return [
            ready(entity, entry) or _dump(self.show(entity, collection.full(entry, live=self.live)))
            for entry in entries
        ]

    def _ready(self, entity: str, entry: Entry) -> str | None:
        """Put together from ready-made texts, where they are all that is asked for: a third of the time."""
        collection = self.account.collections[entity]
        text = collection.text(entry, live=self.live)
        for path in self.expand:
            if text is None or len(path) > 1:
                return None
            name = path[0]
            if entity == "prices" and name in _ON_REQUEST:
                extra = collection.on_request(entry, name)
                shown = _options(extra, None, (), path) if name == "currency_options" else extra
                text = f'{text[:-1]},"{name}":{_dump(shown)}}}'
            else:
                text = self._with_reference(text, name)
        return text

    def _with_reference(self, text: str, name: str) -> str | None:
        start, field, rest = text.partition(f'"{name}":"')
        if not field or name not in _REFERENCES or field in rest:
            return None
        object_id, _, rest = rest.partition('"')
        inner = self.account.collections[_REFERENCES[name]].text_of(object_id, live=self.live)
        return inner and f'{start}"{name}":{inner}{rest}'

    def show(self, entity: str, body: Json) -> Json:
        """``body`` is a whole object, as the account keeps it."""
        if body.get("deleted"):
            return body
        shown = self._without_extras(body) if entity == "prices" else body
        shown = cut_nested(entity, shown, NESTED_LIMIT)
        if not self.account.verbatim:
            shown = to_version(entity, shown | {"livemode": self.live}, self.version, self.price)
        for path in self.expand:
            shown = self._expanded(shown, path, path)
        return self.broken(shown) if self.broken else shown

    def _without_extras(self, body: Json) -> Json:
        return {name: value for name, value in body.items() if name not in _ON_REQUEST}

    def price(self, price_id: str) -> Json | None:
        price = self.account.retrieve("prices", price_id, live=self.live)
        return None if price is None else self._without_extras(price)

    def _expanded(self, body: Json, path: tuple[str, ...], whole: tuple[str, ...]) -> Json:
        name, rest = path[0], path[1:]
        if name in _ON_REQUEST and body.get("object") == "price":
            price = self.account.retrieve("prices", body["id"], live=self.live) or {}
            shown = price.get(name) if name == "tiers" else _options(price.get(name), body.get(name), rest, whole)
            return body | {name: shown}
        if name not in body:
            raise ApiError(400, f"This property cannot be expanded ({'.'.join(whole)}).", param="expand")
        return body | {name: self._inner(body[name], name, rest, whole)}

    def _inner(self, value: Any, name: str, rest: tuple[str, ...], whole: tuple[str, ...]) -> Any:
        if isinstance(value, str) and name in _REFERENCES:
            found = self.account.retrieve(_REFERENCES[name], value, live=self.live)
            plain = View(self.account, self.live, self.version)
            value = value if found is None else plain.show(_REFERENCES[name], found)
        if not rest or value is None:
            return value
        if isinstance(value, list):
            return [self._expanded(member, rest, whole) for member in value]
        return self._expanded(value, rest, whole) if isinstance(value, dict) and not value.get("deleted") else value


def _options(all_of: Any, shown: Any, rest: tuple[str, ...], whole: tuple[str, ...]) -> Any:
    """Prices in other currencies: each one's tiers come only to those who name the currency."""
    if not isinstance(all_of, dict):
        return all_of
    bare = {code: {name: value for name, value in one.items() if name != "tiers"} for code, one in all_of.items()}
    shown = shown or bare
    if not rest:
        return shown
    if rest[0] not in all_of or rest[1:] != ("tiers",):
        raise ApiError(400, f"This property cannot be expanded ({'.'.join(whole)}).", param="expand")
    return shown | {rest[0]: shown[rest[0]] | {"tiers": all_of[rest[0]].get("tiers")}}


def expand_paths(expansions: tuple[str, ...], *, listed: bool) -> tuple[tuple[str, ...], ...]:
    """Checked for depth; those of a list have to start at ``data``."""
    paths = []
    for text in expansions:
        path = tuple(text.split("."))
        if len(path) > _DEPTH + listed:
            raise ApiError(400, f"You cannot expand more than 4 levels of a property. Property: {text}", param="expand")
        if listed and path[0] != "data":
            message = f"This property cannot be expanded ({text}). You may want to try expanding 'data.{text}' instead."
            raise ApiError(400, message, param="expand")
        paths.append(path[1:] if listed else path)
    return tuple(path for path in paths if path)


def read_by(paths: tuple[tuple[str, ...], ...]) -> set[str]:
    """The entities that a key must be allowed to read for these expansions."""
    return {_REFERENCES[name] for path in paths for name in path if name in _REFERENCES}


def _none(entity: str, entry: Entry) -> None:
    del entity, entry


def _dump(body: Json | None) -> str:
    return orjson.dumps(body).decode()
