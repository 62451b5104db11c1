"""What the demo workspace's own records may overlap with: values of the default account, nothing live."""

from __future__ import annotations

from dataclasses import dataclass

from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint
from sync_core.sandbox.collection import Window

_SHARED = {"customers": 36, "products": 12}


@dataclass(frozen=True, slots=True)
class DemoRecord:
    """``external_id`` is the Stripe id in the default account under ``keys.DEMO_KEY``; ``email`` is a customer's."""

    entity: str
    external_id: str
    name: str
    email: str | None
    description: str | None
    phone: str | None
    metadata: dict[str, str]


def demo_overlap() -> tuple[DemoRecord, ...]:
    """Customers with an email of their own, spread over the two years, and products; always the same ones."""
    account = Account.generated(Blueprint())
    records: list[DemoRecord] = []
    for entity, count in _SHARED.items():
        bodies = [body for body in account.truth_objects(entity, Window()) if entity == "products" or body["email"]]
        for body in bodies[:: max(1, len(bodies) // count)][:count]:
            email, description, phone = (body.get(name) for name in ("email", "description", "phone"))
            records.append(DemoRecord(entity, body["id"], body["name"], email, description, phone, body["metadata"]))
    return tuple(records)
