"""Objects as Stripe sent them into rows to land: nested lists read to their end, values mapped, or the reason why not."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from sync_core.domain.mapping import Mapped, map_object, nested_gaps
from sync_core.domain.vocabulary import EntityType, ReasonCode
from sync_core.store.landing import StagedRow
from sync_core.stripe_source import Page, RequestRefused, Retrieved, StripeSource


async def stage_page(source: StripeSource, entity: EntityType, page: Page) -> list[StagedRow]:
    gaps = [(raw, gap) for raw in page.objects for gap in nested_gaps(entity, raw)]
    if gaps:
        await asyncio.gather(*(_fill(source, entity, raw, gap) for raw, gap in gaps))
    return [
        stage(entity, raw, observed_at=page.requested_at, request_id=page.request_id, position=position)
        for position, raw in enumerate(page.objects)
    ]


async def stage_retrieved(
    source: StripeSource, entity: EntityType, external_id: str, found: Retrieved, *, related: bool
) -> StagedRow | None:
    """None when Stripe knows no such object."""
    if found.object is None:
        return None
    for gap in nested_gaps(entity, found.object):
        await _fill(source, entity, found.object, gap)
    row = stage(entity, found.object, observed_at=found.requested_at, request_id=found.request_id, related=related)
    row.external_id = external_id
    return row


def stage(
    entity: EntityType,
    raw: dict[str, Any],
    *,
    observed_at: float,
    request_id: str | None,
    position: int = 0,
    related: bool = False,
) -> StagedRow:
    """A row without its place in the queue (`seq`), which the writer gives. `observed_at` is when the request began."""
    mapped = map_object(entity, raw)
    if isinstance(mapped, Mapped):
        return StagedRow(
            entity=entity,
            external_id=mapped.external_id,
            seq=0,
            created=mapped.created,
            livemode=mapped.livemode,
            deleted=mapped.deleted,
            related=related,
            observed_at=observed_at,
            request_id=request_id,
            values=mapped.packed,
            raw=orjson.dumps(raw),
        )
    return StagedRow(
        entity=entity,
        # What has no id of its own is listed by the request that brought it.
        external_id=mapped.external_id or f"{request_id or 'page'}#{position}",
        seq=0,
        created=None,
        livemode=False,
        deleted=False,
        related=related,
        observed_at=observed_at,
        request_id=request_id,
        values=None,
        raw=_dumped(raw),
        issue={"reason": mapped.reason.value, "field": mapped.field, "message": mapped.message},
    )


def _dumped(raw: Any) -> bytes:
    try:
        return orjson.dumps(raw)
    except TypeError:
        return orjson.dumps(repr(raw))


async def _fill(source: StripeSource, entity: EntityType, raw: dict[str, Any], gap: str) -> None:
    """Replace a list that Stripe cut short by the whole of it."""
    try:
        whole = await source.nested(entity, str(raw["id"]))
    except RequestRefused as refused:
        if not refused.is_missing:
            raise
        # Deleted since the page was read: the mapping names the gap, and the object is listed as an error.
        raw[gap] = {"object": "list", "data": None, "reason": ReasonCode.FETCH_FAILED.value}
        return
    raw[gap] = {**raw[gap], "data": whole, "has_more": False}
