"""How fast a run went, second by second of its work: from the samples that its worker left behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final
from uuid import UUID

from sync_core.errors import Refusal
from sync_core.services.actor import Actor, Permission
from sync_core.services.sessions import NOT_FOUND
from sync_core.store import watching as store
from sync_core.store.database import Database
from sync_core.store.watching import Sample

BARS: Final = 60
_FORBIDDEN = Refusal("forbidden", "Your role may not look at syncs.", status=403)


@dataclass(frozen=True, slots=True)
class Stretch:
    """From `since` to `until` seconds of work: what was done a second. `at` is when it ended, in epoch seconds."""

    since: float
    until: float
    at: float
    objects: float
    requests: float
    throttled: int


@dataclass(frozen=True, slots=True)
class PaceHistory:
    """The earliest first."""

    stretches: tuple[Stretch, ...]

    @property
    def peak(self) -> float:
        return max((one.objects for one in self.stretches), default=0.0)

    @property
    def peak_requests(self) -> float:
        return max((one.requests for one in self.stretches), default=0.0)

    @property
    def seconds(self) -> float:
        return self.stretches[-1].until if self.stretches else 0


async def read(database: Database, actor: Actor, session_id: UUID) -> PaceHistory | Refusal:
    if not actor.can(Permission.VIEW):
        return _FORBIDDEN
    async with database.workspace(actor.workspace_id) as session:
        run = await store.read_run(session, actor.workspace_id, session_id)
        if run is None:
            return NOT_FOUND
        samples = await store.read_samples(session, actor.workspace_id, session_id)
        entities = await store.read_entities(session, actor.workspace_id, session_id) if samples else []
    if samples and run.completed_at is not None:
        # What was done after the last sample is in the counters only.
        done = sum(one.processed for one in entities)
        requests = max(sum(one.requests for one in entities), int(run.stats.get("requests") or 0))
        samples = _to_the_end(samples, Sample(0, run.completed_at, done, requests, samples[-1].throttled))
    return PaceHistory(stretches(samples))


def _to_the_end(samples: Sequence[Sample], end: Sample) -> list[Sample]:
    """Nothing is a pace over less than a second: such an end belongs to the seconds before it, and a run as short was done in one."""
    last = samples[-1]
    more = max(0.0, end.at - last.at)
    if len(samples) == 1:
        return [last, replace(end, slot=last.slot + max(1.0, more))]
    return [*(samples if more >= 1 else samples[:-1]), replace(end, slot=last.slot + more)]


def stretches(samples: Sequence[Sample], most: int = BARS) -> tuple[Stretch, ...]:
    """At most so many, each of as many samples as it takes."""
    together = max(1, -(-(len(samples) - 1) // most))
    ends = [*samples[:-1:together], samples[-1]] if len(samples) > 1 else []
    return tuple(_between(one, other) for one, other in pairwise(ends) if other.slot > one.slot)


def _between(one: Sample, other: Sample) -> Stretch:
    seconds = other.slot - one.slot
    return Stretch(
        since=one.slot,
        until=other.slot,
        at=other.at,
        # A resumed run counts its failures anew: that is no pace below zero.
        objects=max(0, other.processed - one.processed) / seconds,
        requests=max(0, other.requests - one.requests) / seconds,
        throttled=max(0, other.throttled - one.throttled),
    )
