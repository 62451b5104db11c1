"""Objects as Stripe sent them into rows to land: nested lists read to their end, values mapped, or the reason why not."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import orjson

from sync_core.domain.mapping import Mapped, Unmappable, clean, digest, map_object, nested_gap, untold_currencies
from sync_core.domain.vocabulary import EntityType, ReasonCode
from sync_core.store.landing import StagedRow
from sync_core.stripe_source import Page, RequestRefused, Retrieved, StripeSource


async def stage_page(
    source: StripeSource, entity: EntityType, page: Page, turn: asyncio.Lock | None = None
) -> list[StagedRow]:
    """`turn` lets one page after the other be mapped, with a look at the sockets between: pages that come together would otherwise
    keep the loop from the landing of those before them.
    """
    gaps = {place: gap for place, raw in enumerate(page.objects) if (gap := nested_gap(entity, raw))}
    completed = await asyncio.gather(*(_complete(source, entity, page.objects[at], gap) for at, gap in gaps.items()))
    whole = dict(zip(gaps, completed, strict=True))
    if turn is not None:
        async with turn:
            await asyncio.sleep(0)
            return _staged(entity, page, gaps, whole)
    return _staged(entity, page, gaps, whole)


def _staged(
    entity: EntityType, page: Page, gaps: dict[int, str], whole: dict[int, dict[str, Any] | None]
) -> list[StagedRow]:
    return [
        stage(
            entity,
            whole.get(place) or raw,
            observed_at=page.requested_at,
            request_id=page.request_id,
            position=place,
            lost=gaps[place] if place in whole and whole[place] is None else None,
        )
        for place, raw in enumerate(page.objects)
    ]


async def stage_retrieved(
    source: StripeSource, entity: EntityType, external_id: str, found: Retrieved, *, related: bool
) -> StagedRow:
    """Of an object that Stripe gave."""
    assert found.object is not None
    gap = nested_gap(entity, found.object)
    whole = await _complete(source, entity, found.object, gap) if gap else found.object
    row = stage(
        entity,
        whole or found.object,
        observed_at=found.requested_at,
        request_id=found.request_id,
        related=related,
        lost=gap if whole is None else None,
    )
    row.external_id = external_id
    return row


def stage_gone(entity: EntityType, external_id: str, found: Retrieved) -> StagedRow:
    """That Stripe knows it no longer is a view of an object, too."""
    return StagedRow(
        entity=entity,
        external_id=external_id,
        seq=0,
        created=None,
        livemode=False,
        deleted=False,
        related=True,
        observed_at=found.requested_at,
        request_id=found.request_id,
        values=None,
        raw=as_json({"id": external_id}),
        issue={"reason": ReasonCode.GONE.value, "field": None, "message": None},
    )


def stage(
    entity: EntityType,
    raw: dict[str, Any],
    *,
    observed_at: float,
    request_id: str | None,
    position: int = 0,
    related: bool = False,
    lost: str | None = None,
) -> StagedRow:
    """A row without its place in the queue (`seq`), which the writer gives. `observed_at` is when the request began.

    `lost` is a part that Stripe would not tell: values without it would be wrong, so the object waits as an error.
    """
    mapped = _map(entity, raw, lost)
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
            raw=as_json(raw),
            digest=None if mapped.deleted else digest(entity, mapped),
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
        raw=as_json(raw),
        issue={"reason": mapped.reason.value, "field": mapped.field, "message": mapped.message},
    )


def _map(entity: EntityType, raw: dict[str, Any], lost: str | None) -> Mapped | Unmappable:
    if lost is None:
        return map_object(entity, raw)
    message = f"Stripe no longer gives its {lost.replace('_', ' ')}: it was deleted while it was read"
    return Unmappable(str(raw["id"]), ReasonCode.FETCH_FAILED, lost, message)


def as_json(raw: Any) -> bytes:
    """JSON that PostgreSQL takes, but for NUL."""
    try:
        return orjson.dumps(raw)
    except TypeError:
        # Text that no encoding holds, or a number beyond 64 bits: json takes both.
        return json.dumps(clean(raw)).encode()


async def _complete(source: StripeSource, entity: EntityType, raw: dict[str, Any], gap: str) -> dict[str, Any] | None:
    """The object with what Stripe left out; its stub when it was deleted meanwhile; None when Stripe tells neither."""
    external_id = str(raw["id"])
    if entity is EntityType.PRICES:
        found = (await source.retrieve(entity, external_id, tiers_in=untold_currencies(raw))).object
        if found is None or found.get("deleted"):
            return found
        return raw | {gap: found.get(gap)}
    try:
        return raw | {gap: {**raw[gap], "data": await source.nested(entity, external_id), "has_more": False}}
    except RequestRefused as refused:
        if not refused.is_missing:
            raise
    found = (await source.retrieve(entity, external_id)).object
    return found if found is not None and found.get("deleted") else None
