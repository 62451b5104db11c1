"""Rules that take whichever side changed last: a preview's conflicts weighed by what is known of it, a few hundred at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.conflict_rules import Rule
from sync_core.domain.fields import FIELDS
from sync_core.domain.newer import newer
from sync_core.domain.vocabulary import Blend, Choice, Doubt, EntityType
from sync_core.errors import Refusal
from sync_core.services.conflict_bulk_views import NotCovered, SampleTime
from sync_core.store import conflict_weighed as weighed_items
from sync_core.store import last_changes
from sync_core.store.conflict_previews import Item
from sync_core.store.last_changes import Traced

_AT_ONCE = 250


async def weigh(
    session: AsyncSession, workspace_id: UUID, preview_id: UUID, rule: Rule
) -> tuple[tuple[NotCovered, ...], int]:
    """Each item of a filled preview gets the sides that changed last, with both times; those of which that is not known leave it. Why, and
    how many of the rest somebody has begun to choose for.
    """
    doubts, after = Counter[Doubt](), 0
    while found := await last_changes.of_preview(session, workspace_id, preview_id, after=after, size=_AT_ONCE):
        weighed = {one.seq: _weighed(one, rule) for one in found}
        doubts.update(one for one in weighed.values() if isinstance(one, Doubt))
        made = {seq: one for seq, one in weighed.items() if not isinstance(one, Doubt)}
        await weighed_items.note_choices(session, workspace_id, preview_id, made)
        after = found[-1].seq
        # Everybody else's turn.
        await asyncio.sleep(0)
    begun = await weighed_items.keep_chosen(session, workspace_id, preview_id)
    return tuple(NotCovered(said(doubt), rows) for doubt, rows in doubts.most_common()), begun


UNKNOWN = "Which side changed last is not known."


def said(doubt: Doubt) -> str:
    return f"{UNKNOWN} {doubt.label}"


def _weighed(one: Traced, rule: Rule) -> dict[str, Any] | Doubt:
    """A conflict with a field of which it is not known stays open as a whole: it is settled as one."""
    made = dict[str, Any]()
    for name in one.fields:
        traces = one.traces.get(name)
        if traces is None or rule.of(name) is not Blend.NEWER:
            continue
        side = newer(traces)
        if isinstance(side, Doubt):
            return side
        assert traces.ours is not None
        assert traces.theirs is not None
        made[name] = {
            "take": side.value,
            "here": traces.ours.at,
            "by": traces.ours.by,
            "there": traces.theirs.at,
            "event": traces.theirs.by,
        }
    return made


OUTDATED = Refusal(
    "newer_unknown", "What is known of when it changed is another than in the preview: make a new one.", status=409
)


async def outdated(
    session: AsyncSession, workspace_id: UUID, preview_id: UUID, rule: Rule, items: Sequence[Item]
) -> frozenset[int]:
    """The places of those of which something else is known by now: an event that came since may say that Stripe's side has changed again."""
    if not rule.asks_times:
        return frozenset()
    first, last = items[0].seq, items[-1].seq
    found = await last_changes.of_preview(session, workspace_id, preview_id, after=first - 1, size=last - first + 1)
    now = {one.seq: _weighed(one, rule) for one in found}
    return frozenset(item.seq for item in items if not _agree(now.get(item.seq), item.choices))


def _agree(now: dict[str, Any] | Doubt | None, then: Mapping[str, Any] | None) -> bool:
    return isinstance(now, dict) and sides_of(now) == sides_of(then)


def sides_of(own: Mapping[str, Any] | None) -> dict[str, Choice]:
    """What `weigh` has noted with an item."""
    return {name: Choice(one["take"]) for name, one in (own or {}).items()}


def times_of(entity: EntityType, own: Mapping[str, Any] | None) -> tuple[SampleTime, ...]:
    """The same as it is shown, in the order of the fields."""
    return tuple(
        SampleTime(one.name, one.label, Choice(kept["take"]), kept["here"], kept["by"], kept["there"], kept["event"])
        for one in FIELDS[entity]
        if (kept := (own or {}).get(one.name)) is not None
    )
