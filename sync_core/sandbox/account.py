"""One Stripe account: its collections, what happens to them, and the truth that a complete sync must hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import Any

from sync_core.sandbox.blueprint import Blueprint, Json, Source
from sync_core.sandbox.catalog import Prices, Products
from sync_core.sandbox.collection import Collection, Entry, Window
from sync_core.sandbox.customers import Customers
from sync_core.sandbox.defaults import complete
from sync_core.sandbox.ids import token
from sync_core.sandbox.invoices import Invoices
from sync_core.sandbox.shapes import NEWEST
from sync_core.sandbox.subscriptions import Subscriptions

ENTITIES = ("customers", "products", "prices", "subscriptions", "invoices")
_EVENT_NAMES = {"subscriptions": "customer.subscription"}
_EVENT_DAYS = 30
_EVENTS_KEPT = 20_000
_DEFAULT_CREATED = 1_700_000_000


def singular(entity: str) -> str:
    """Stripe's word for one object: ``customers`` are listed, a ``customer`` is retrieved."""
    return entity[:-1]


class Account:
    """``verbatim`` accounts serve their objects as they were given; generated ones speak every API version."""

    def __init__(
        self, seed: str, sources: Mapping[str, Source], *, created: int = _DEFAULT_CREATED, verbatim: bool = False
    ) -> None:
        self.seed = seed
        self.verbatim = verbatim
        self.created = created
        self.collections = {entity: Collection(sources.get(entity)) for entity in ENTITIES}
        self.events = Collection(None)
        self.id = f"acct_1{token(Random(f'{seed}/account'), 15)}"
        self._serial = 0

    @classmethod
    def generated(cls, plan: Blueprint) -> Account:
        customers, products = Customers(plan), Products(plan)
        prices = Prices(plan, products)
        subscriptions = Subscriptions(plan, customers, prices)
        invoices = Invoices(plan, subscriptions)
        sources = zip(ENTITIES, (customers, products, prices, subscriptions, invoices), strict=True)
        return cls(plan.seed, dict(sources), created=plan.start)

    @classmethod
    def from_objects(
        cls, objects: Mapping[str, Sequence[Json]], *, unlisted: Sequence[str] = (), seed: str = "scripted"
    ) -> Account:
        """An account of just these objects. Of equal seconds the later in the sequence is the newer.

        Stubs (``deleted``), ids in ``unlisted`` and objects with a ``test_clock`` answer by id but are not listed.
        """
        account = cls(seed, {}, verbatim=True)
        for entity, bodies in objects.items():
            collection = account.collections[entity]
            for body in bodies:
                if body.get("deleted"):
                    collection.stubs[body["id"]] = body
                else:
                    collection.add(body, listed=not body.get("test_clock") and body["id"] not in unlisted)
        return account

    @classmethod
    def from_folder(cls, folder: Path) -> Account:
        """Everything of the five types in a folder's JSON files: objects, list pages and what events carry.

        Of several recordings of one object the one in the last file, by path, holds.
        """
        found: dict[str, dict[str, Json]] = {entity: {} for entity in ENTITIES}
        for path in sorted(folder.rglob("*.json")):
            for body in _objects_in(json.loads(path.read_text())):
                found[f"{body['object']}s"][body["id"]] = body
        objects = {entity: list(bodies.values()) for entity, bodies in found.items()}
        return cls.from_objects(objects, seed=folder.name)

    # -- reading

    def retrieve(self, entity: str, object_id: str, *, live: bool = False) -> Json | None:
        return self.collections[entity].retrieve(object_id, live=live)

    def truth(self, entity: str, window: Window | None = None) -> Iterator[str]:
        """Ids of all objects a complete sync holds, newest first; hidden and deleted ones are not among them."""
        collection = self.collections[entity]
        return map(collection.id_of, collection.walk(window or Window()))

    def truth_objects(self, entity: str, window: Window | None = None) -> Iterator[Json]:
        collection = self.collections[entity]
        return (collection.full(entry, live=False) for entry in collection.walk(window or Window()))

    # -- changing

    def create(self, entity: str, fields: Json, *, now: int) -> Json:
        """A new object, complete but for ``fields``; created ``now`` unless they say otherwise."""
        self._serial += 1
        body = complete(entity, fields, serial=self._serial, now=now, seed=self.seed)
        collection = self.collections[entity]
        if collection.key(body["id"]) is not None:
            raise ValueError(f"{body['id']} exists already")
        collection.add(body, listed=not body.get("test_clock"))
        self._note("created", entity, body, now=now)
        return body

    def update(self, entity: str, object_id: str, fields: Json, *, now: int) -> Json:
        """Replaces top-level fields. The place in the list does not move, whatever they say of ``created``."""
        before = self._existing(entity, object_id)
        changes = {name: value for name, value in fields.items() if name not in ("id", "created")}
        body = before | changes
        if entity == "products":
            body["updated"] = now
        self.collections[entity].replace(object_id, body)
        previous = {name: before.get(name) for name in changes}
        self._note("updated", entity, body, now=now, previous=previous)
        return body

    def delete(self, entity: str, object_id: str, *, now: int) -> Json:
        """Leaves a stub, except for a subscription: deleting one cancels it. A customer's subscriptions stay."""
        body = self._existing(entity, object_id)
        if entity == "subscriptions":
            body = body | {"status": "canceled", "canceled_at": now, "ended_at": now}
            self.collections[entity].replace(object_id, body)
            self._note("deleted", entity, body, now=now)
            return body
        stub = {"id": object_id, "object": singular(entity), "deleted": True}
        self.collections[entity].remove(object_id, stub)
        self._note("deleted", entity, body, now=now)
        return stub

    def mutate(self, mutation: Json, *, now: int) -> Json:
        """``{"op": "create" | "update" | "delete", "type", "id", "object" | "fields", "created"}``."""
        entity = mutation["type"]
        if entity not in self.collections:
            raise ValueError(f"Unknown type: {entity}")
        fields = dict(mutation.get("object") or mutation.get("fields") or {})
        if mutation["op"] == "create":
            if "created" in mutation:
                fields["created"] = mutation["created"]
            return self.create(entity, fields, now=now)
        if mutation["op"] == "update":
            return self.update(entity, mutation["id"], fields, now=now)
        if mutation["op"] == "delete":
            return self.delete(entity, mutation["id"], now=now)
        raise ValueError(f"Unknown op: {mutation['op']}")

    def _existing(self, entity: str, object_id: str) -> Json:
        body = self.retrieve(entity, object_id)
        if body is None or body.get("deleted"):
            raise ValueError(f"No such {singular(entity)}: {object_id}")
        return body

    def _note(self, what: str, entity: str, body: Json, *, now: int, previous: Json | None = None) -> None:
        digest = blake2b(f"{self.seed}/{self._serial}/{len(self.events.stored)}/{body['id']}".encode(), digest_size=12)
        event: Json = {
            "id": f"evt_{digest.hexdigest()}",
            "object": "event",
            "api_version": NEWEST,
            "created": now,
            "data": {"object": body} | ({"previous_attributes": previous} if previous is not None else {}),
            "livemode": bool(body.get("livemode")),
            "pending_webhooks": 0,
            "request": {"id": None, "idempotency_key": None},
            "type": f"{_EVENT_NAMES.get(entity, singular(entity))}.{what}",
        }
        if len(self.events) >= _EVENTS_KEPT:
            raise ValueError("The sandbox keeps no more events; start a new one")
        self.events.add(event)

    def event_window(self, window: Window, *, now: int) -> Window:
        """Stripe forgets events after 30 days."""
        return Window(max(window.ge, now - _EVENT_DAYS * 86_400), window.lt)

    def keep_for(self, entity: str, filters: Mapping[str, str]) -> Callable[[Entry], bool] | None:
        """What a list shows: not canceled subscriptions unless asked for, and what the filters say."""
        collection = self.collections.get(entity, self.events)
        wanted = {name: value for name, value in filters.items() if name not in ("status", "test_clock")}
        status = filters.get("status")
        if entity == "subscriptions" and status != "all":
            by_status = _status_test(status)
            if not wanted:
                return lambda entry: by_status(collection.status(entry))
            return lambda entry: (
                by_status(collection.status(entry)) and _has(collection.full(entry, live=False), wanted)
            )
        if status is not None and entity != "subscriptions":
            wanted["status"] = status
        return (lambda entry: _has(collection.full(entry, live=False), wanted)) if wanted else None


def _status_test(status: str | None) -> Callable[[str], bool]:
    if status is None:
        return lambda found: found != "canceled"
    if status == "ended":
        return lambda found: found in ("canceled", "incomplete_expired")
    return lambda found: found == status


def _has(body: Json, wanted: Mapping[str, str]) -> bool:
    return all(_text(_field(body, name)) == value for name, value in wanted.items())


def _field(body: Json, name: str) -> Any:
    if name == "subscription" and not body.get("subscription"):
        details = (body.get("parent") or {}).get("subscription_details") or {}
        return details.get("subscription")
    return body.get(name)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _objects_in(value: Any) -> Iterator[Json]:
    """The objects of the five types in a recording."""
    if not isinstance(value, dict):
        return
    kind = value.get("object")
    if kind == "list":
        for member in value.get("data", ()):
            yield from _objects_in(member)
    elif kind == "event":
        yield from _objects_in(value["data"]["object"])
    elif f"{kind}s" in ENTITIES and value.get("id") and (value.get("deleted") or "created" in value):
        yield value
