"""What one of Stripe's events says about our fields: which of them changed, when, and to what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sync_core.domain.fields import COMPARED, Values
from sync_core.domain.mapping import Mapped, known_as, map_object
from sync_core.domain.vocabulary import EntityType

_ENTITIES: Mapping[str, EntityType] = MappingProxyType(
    {
        "customer": EntityType.CUSTOMERS,
        "product": EntityType.PRODUCTS,
        "price": EntityType.PRICES,
        "plan": EntityType.PRICES,
        "subscription": EntityType.SUBSCRIPTIONS,
        "invoice": EntityType.INVOICES,
    }
)
# 9999-12-31, where PostgreSQL's and Python's dates both go.
_LAST_SECOND = 253_402_300_799


@dataclass(frozen=True, slots=True)
class Told:
    """The object of one of our kinds that an event is about, and the fields that it says changed, with what they changed to. `at` is Stripe's
    clock, in whole seconds.
    """

    external_id: str
    at: int
    livemode: bool
    changes: Values


def told(event: Mapping[str, Any]) -> Told | None:
    """None for an event that is about nothing of ours. Never raises, whatever Stripe sends."""
    data, at = event.get("data"), event.get("created")
    now = data.get("object") if isinstance(data, dict) else None
    if not isinstance(now, dict) or type(at) is not int or not 0 <= at <= _LAST_SECOND:
        return None
    entity, external_id = _ENTITIES.get(str(now.get("object"))), now.get("id")
    if entity is None or type(external_id) is not str or not external_id:
        return None
    was = data.get("previous_attributes") if isinstance(data, dict) else None
    changes = _changes(entity, now, was) if isinstance(was, dict) else {}
    return Told(known_as(external_id), at, event.get("livemode") is True, changes)


def _changes(entity: EntityType, now: dict[str, Any], was: dict[str, Any]) -> Values:
    """An event names what changed by its former values, in Stripe's own terms. So the object is mapped twice, as it is and as it was: what
    differs has changed, from whichever of Stripe's attributes the field is made.
    """
    after, before = _mapped(entity, now), _mapped(entity, now, was)
    if after is None or before is None:
        return {}
    return {name: after.values[name] for name in COMPARED[entity] if before.values[name] != after.values[name]}


def _mapped(entity: EntityType, now: dict[str, Any], was: Mapping[str, Any] = MappingProxyType({})) -> Mapped | None:
    try:
        found = map_object(entity, _as_it_was(now, was))
    except RecursionError:
        return None
    return found if isinstance(found, Mapped) and not found.deleted else None


def _as_it_was(now: dict[str, Any], was: Mapping[str, Any]) -> dict[str, Any]:
    """Of a hash Stripe names the keys that changed, of a list all of it; a key of `metadata` that was not there before is null."""
    before = dict(now)
    for key, value in was.items():
        inner = now.get(key)
        before[key] = _as_it_was(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    if isinstance(was.get("metadata"), dict) and isinstance(before.get("metadata"), dict):
        before["metadata"] = {key: value for key, value in before["metadata"].items() if value is not None}
    return before
