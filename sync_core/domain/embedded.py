"""Parents inside their children: Stripe shows them there, deleted ones too, when a list is asked to expand them.

https://docs.stripe.com/api/expanding_objects. It saves a request for each parent that no list brings: deleted customers, and all those
that are older than the range or of an entity type that is not synced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sync_core.domain.vocabulary import EntityType

EMBEDDED: Final[Mapping[EntityType, tuple[tuple[str, EntityType], ...]]] = {
    EntityType.PRICES: (("product", EntityType.PRODUCTS),),
    EntityType.SUBSCRIPTIONS: (("customer", EntityType.CUSTOMERS),),
    EntityType.INVOICES: (("customer", EntityType.CUSTOMERS),),
}


def take_out(entity: EntityType, raw: dict[str, Any]) -> Iterator[tuple[EntityType, str, dict[str, Any]]]:
    """Leave each parent's id in its place, as in a list that was not expanded, and give (entity type, id, the parent)."""
    for field, parent in EMBEDDED.get(entity, ()):
        inside = raw.get(field)
        if type(inside) is dict and type(external_id := inside.get("id")) is str:
            raw[field] = external_id
            yield parent, external_id, inside
