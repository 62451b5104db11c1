"""Parents that came inside their children's pages, kept until one is found to be missing: then it need not be asked for."""

from __future__ import annotations

import orjson

from sync_core.domain.embedded import take_out
from sync_core.domain.vocabulary import EntityType
from sync_core.engine.staging import as_json
from sync_core.store.run_state import RunRow
from sync_core.stripe_source import Page, Retrieved

# When a request began, Stripe's clock then, and the request's id.
_Seen = tuple[float, int, str | None]
# Of deleted customers that is some 200,000. What falls out is fetched by id, as without all this.
_MOST_BYTES = 32 * 2**20


class Embedded:
    """`of` are the entity types to ask for. Lists bring the most of them, but no deleted ones, none from before the range, and none of a
    type that is not synced; those are kept. None are asked for once the key turned out to be refused them.
    """

    def __init__(self, row: RunRow) -> None:
        whole = not row.range_start
        self._row = row
        self._kept: dict[tuple[EntityType, str], tuple[bytes, _Seen]] = {}
        self._bytes = 0
        # Stripe deletes no product that has prices, so a list from the beginning brings all of those.
        self.of = frozenset(
            one
            for one in (EntityType.CUSTOMERS, EntityType.PRODUCTS)
            if one is EntityType.CUSTOMERS or not (whole and one in row.config.entity_types)
        )

    def refuse(self) -> None:
        self.of = frozenset()

    def keep(self, entity: EntityType, page: Page) -> None:
        """Take the parents out of a page's objects; afterwards these are as in any list."""
        seen = (page.requested_at, page.server_date, page.request_id)
        for raw in page.objects:
            for parent, external_id, inside in take_out(entity, raw):
                if not self._is_listed(parent, inside):
                    self._put((parent, external_id), as_json(inside), seen)

    def take(self, entity: EntityType, external_id: str) -> Retrieved | None:
        """As if it had been retrieved when the page was."""
        found = self._kept.pop((entity, external_id), None)
        if found is None:
            return None
        text, seen = found
        self._bytes -= len(text)
        return Retrieved(orjson.loads(text), *seen)

    def _is_listed(self, entity: EntityType, raw: dict[str, object]) -> bool:
        created = raw.get("created")
        if raw.get("deleted") or entity not in self._row.config.entity_types or type(created) is not int:
            return False
        return (self._row.range_start or 0) <= created < (self._row.ceiling or 0)

    def _put(self, key: tuple[EntityType, str], text: bytes, seen: _Seen) -> None:
        before = self._kept.pop(key, None)
        self._kept[key] = max((text, seen), before or (text, seen), key=lambda view: view[1][0])
        self._bytes += len(self._kept[key][0]) - (len(before[0]) if before else 0)
        while self._bytes > _MOST_BYTES:
            oldest, _ = self._kept.pop(next(iter(self._kept)))
            self._bytes -= len(oldest)
