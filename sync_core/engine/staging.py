"""Objects as Stripe sent them into rows to land: nested lists read to their end, values mapped, or the reason why not."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

from sync_core.domain.mapping import (
    Unmappable,
    clean,
    digest,
    known_as,
    map_object,
    nested_gap,
    untold_currencies,
)
from sync_core.domain.shapes import Raw
from sync_core.domain.vocabulary import EntityType, ReasonCode
from sync_core.store.landing import StagedRow
from sync_core.stripe_source import (
    Page,
    PermissionMissing,
    RequestRefused,
    Retrieved,
    StripeError,
    StripeSource,
    StripeUnavailable,
)


@dataclass(frozen=True, slots=True)
class Lost:
    """A part of an object that Stripe would not tell, and why. Values without it would be wrong, so the object waits as an error."""

    part: str
    why: str


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
            return _staged(entity, page, whole)
    return _staged(entity, page, whole)


def _staged(entity: EntityType, page: Page, whole: dict[int, dict[str, Any] | Lost]) -> list[StagedRow]:
    return [
        stage(
            entity,
            raw,
            observed_at=page.requested_at,
            request_id=page.request_id,
            whole=whole.get(place),
        )
        for place, raw in enumerate(page.objects)
    ]


async def stage_retrieved(
    source: StripeSource, entity: EntityType, external_id: str, found: Retrieved, *, related: bool
) -> StagedRow:
    """Of an object that Stripe gave."""
    assert found.object is not None
    gap = nested_gap(entity, found.object)
    whole = await _complete(source, entity, found.object, gap) if gap else None
    row = stage(
        entity,
        found.object,
        observed_at=found.requested_at,
        request_id=found.request_id,
        related=related,
        whole=whole,
    )
    row.external_id = external_id
    return row


def stage_gone(entity: EntityType, external_id: str, found: Retrieved) -> StagedRow:
    """That Stripe knows it no longer is a view of an object, too."""
    gone = Unmappable(external_id, ReasonCode.GONE, None, "Stripe knows it no longer")
    return _aside(entity, {"id": external_id}, gone, found.requested_at, found.request_id, related=True)


def stage(
    entity: EntityType,
    raw: dict[str, Any],
    *,
    observed_at: float,
    request_id: str | None,
    related: bool = False,
    whole: dict[str, Any] | Lost | None = None,
) -> StagedRow:
    """A row without its place in the queue (`seq`), which the writer gives. `observed_at` is when the request began.

    `whole` is what the object came to, where Stripe had left something out.
    """
    if isinstance(whole, Lost):
        lost = Unmappable(known_as(raw["id"]), ReasonCode.FETCH_FAILED, whole.part, whole.why)
        return _aside(entity, raw, lost, observed_at, request_id, related=related)
    raw = whole or raw
    mapped = map_object(entity, raw)
    if isinstance(mapped, Unmappable):
        return _aside(entity, raw, mapped, observed_at, request_id, related=related)
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


def _aside(
    entity: EntityType, raw: Raw, why: Unmappable, observed_at: float, request_id: str | None, *, related: bool
) -> StagedRow:
    """An object without values, and the reason."""
    text = as_json(raw)
    return StagedRow(
        entity=entity,
        # What has no id of its own is known by all that it is: read twice, it is one error.
        external_id=why.external_id or f"no id, {blake2b(text, digest_size=8).hexdigest()}",
        seq=0,
        created=None,
        livemode=False,
        deleted=False,
        related=related,
        observed_at=observed_at,
        request_id=request_id,
        values=None,
        raw=text,
        issue={"reason": why.reason.value, "field": why.field, "message": why.message},
    )


def as_json(raw: Any) -> bytes:
    """JSON that PostgreSQL takes, but for NUL."""
    try:
        return orjson.dumps(raw)
    except TypeError:
        # Text that no encoding holds, or a number beyond 64 bits: json takes both.
        return json.dumps(clean(raw)).encode()


async def _complete(source: StripeSource, entity: EntityType, raw: dict[str, Any], gap: str) -> dict[str, Any] | Lost:
    """The object with what Stripe left out; its stub when it was deleted meanwhile. What fails for one object is no reason to end the run."""
    try:
        return await _completed(source, entity, raw, gap) or Lost(
            gap, f"Stripe no longer gives its {_words(gap)}: it was deleted while it was read"
        )
    except (RequestRefused, PermissionMissing) as refused:
        return _refused(gap, refused)
    except StripeUnavailable as away:
        # Stripe did answer, about this object. Where nothing at all gets through, the run waits.
        if away.status < 500:
            raise
        return _refused(gap, away)


def _refused(gap: str, error: StripeError) -> Lost:
    return Lost(gap, f"Stripe does not give its {_words(gap)}: {error.message}")


def _words(gap: str) -> str:
    return gap.replace("_", " ")


async def _completed(source: StripeSource, entity: EntityType, raw: dict[str, Any], gap: str) -> dict[str, Any] | None:
    """None when Stripe knows neither the part nor that the object was deleted."""
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
