"""What of Stripe's limits a run uses, as far as we allow ourselves: the account's, and those that each list has of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sync_core.domain.vocabulary import EntityType
from sync_core.services.pace import Pace, Retried
from sync_core.store.watching import WatchedRun
from sync_core.stripe_source.governor import GLOBAL_LIMIT
from sync_core.stripe_source.retry import Cause

# More of a list's limit is hardly reached: starts are spaced, and pages land in groups.
_FULL_SHARE = 0.85
_OF_THE_ACCOUNT = "global-rate"
_QUIET_SECONDS = 2.0
_LIMITS = frozenset({Cause.RATE, Cause.CONCURRENCY})


@dataclass(frozen=True, slots=True)
class Quota:
    """Requests to Stripe: how many so far, how many a second now, and how many we allow ourselves. `resume_in` is seconds.

    `allowed` is Stripe's own limit, where it is known whose account it is. `full` are the lists that are read as fast as their own limit lets them, with the requests a second that it is. `held` are those that
    wait because Stripe said so of them alone; none where it said so of the account. `limited` says that a limit of Stripe's is what is waited for,
    rather than that it answers again.
    """

    requests: int
    rate: float | None
    cap: float | None
    allowed: int | None
    throttled: tuple[tuple[str, int], ...]
    resume_in: float | None
    full: tuple[tuple[EntityType, float], ...]
    held: tuple[EntityType, ...]
    limited: bool


def quota_of(
    run: WatchedRun,
    requests: int,
    reading: Sequence[EntityType],
    paces: Mapping[EntityType | None, Pace],
    retried: Mapping[str, Retried],
    page_age: float | None,
) -> Quota:
    """`paces` are of each entity type, and of the run under None; `reading` are those whose lists are being read."""
    stats = run.stats
    slowed_for = float(stats.get("resume_at") or 0) - run.now
    resume_in = max(slowed_for, _until_again(retried, page_age))
    caps, throttled = stats.get("caps") or {}, stats.get("throttled") or {}
    cap = caps.get("global")
    return Quota(
        requests=max(requests, int(stats.get("requests") or 0)),
        rate=paces[None].request_rate() if run.status.is_open else None,
        cap=None if cap is None else float(cap),
        allowed=None if run.livemode is None else GLOBAL_LIMIT["live" if run.livemode else "test"],
        throttled=tuple(
            (str(reason), int(count)) for reason, count in sorted(throttled.items(), key=lambda one: (-one[1], one[0]))
        ),
        resume_in=resume_in if run.status.is_open and resume_in > 0 else None,
        full=_full(reading, caps, paces),
        held=() if throttled.get(_OF_THE_ACCOUNT) else _held(retried),
        limited=slowed_for > 0 or any(one.waits_for in _LIMITS for one in retried.values()),
    )


def _until_again(retried: Mapping[str, Retried], page_age: float | None) -> float:
    """While nothing comes any more, or nothing has come yet, since all that is asked waits to be asked again: how long still."""
    waits = [one.again_in for one in retried.values() if one.again_in is not None]
    return min(waits) if waits and (page_age is None or page_age > _QUIET_SECONDS) else 0.0


def _full(
    reading: Sequence[EntityType], caps: Mapping[str, Any], paces: Mapping[EntityType | None, Pace]
) -> tuple[tuple[EntityType, float], ...]:
    found = []
    for entity in reading:
        cap, rate = float(caps.get(f"{entity}.list") or 0), paces[entity].request_rate()
        if cap and rate is not None and rate >= _FULL_SHARE * cap:
            found.append((entity, cap))
    return tuple(found)


def _held(retried: Mapping[str, Retried]) -> tuple[EntityType, ...]:
    waiting = {name for name, one in retried.items() if one.waits_for == Cause.RATE}
    return tuple(entity for entity in EntityType if entity.value in waiting)
