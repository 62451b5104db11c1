"""Which side changed a field last, as far as it is known. What is not known is not guessed: the field then stays open, with the reason.

Stripe's objects carry no time of change, but its events do; ours is the time of the newest edit or decision. Either counts only while the
value that it left is the one in dispute.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import orjson

from sync_core.domain.fields import JsonValue
from sync_core.domain.vocabulary import Choice, Doubt

MARGIN = 30.0
"""Seconds by which the two times must be apart, beyond how far the two clocks were when the sync read Stripe's side: clocks drift between
two syncs, an event says whole seconds, and of what people changed on both sides within half a minute nobody can say which was meant.
"""


@dataclass(frozen=True, slots=True)
class Change:
    """The newest that is known to have changed a field on one side. `at` is in epoch seconds by that side's clock.

    `by` is who, or the event's id; `holds` says that the value it left is the one in dispute; `kept` that a decision kept the value, which
    so is older than `at`.
    """

    at: float
    by: str
    holds: bool
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Traces:
    """What is known of a field's last changes. `base_at` and `observed_at` are when the last sync's values and Stripe's were read, by our
    clock; `skew` is by how much Stripe's was ahead of it then. None is not known.
    """

    ours: Change | None
    theirs: Change | None
    observed_at: float
    base_at: float | None = None
    skew: float | None = None

    @property
    def margin(self) -> float:
        return MARGIN + abs(self.skew or 0.0)


def changed_here(traces: Traces) -> Change | Doubt:
    """Who changed our side last."""
    ours = traces.ours
    if ours is None:
        return Doubt.NO_EDIT
    if not ours.holds:
        return Doubt.OTHER_EDIT
    # A sync has written the record since: that ours still stands is not known to be this edit's doing.
    return Doubt.OLD_EDIT if traces.base_at is not None and ours.at < traces.base_at else ours


def changed_there(traces: Traces) -> Change | Doubt:
    """Which event changed Stripe's side last."""
    theirs = traces.theirs
    if theirs is None or (traces.base_at is not None and theirs.at < traces.base_at - traces.margin):
        return Doubt.NO_EVENT
    if theirs.at > traces.observed_at + traces.margin:
        return Doubt.CHANGED_SINCE
    return theirs if theirs.holds else Doubt.OTHER_EVENT


def newer(traces: Traces) -> Choice | Doubt:
    """The side that changed last, or why nobody can say."""
    ours, theirs = changed_here(traces), changed_there(traces)
    if isinstance(theirs, Doubt):
        return theirs
    if isinstance(ours, Doubt):
        return ours
    if traces.skew is None:
        return Doubt.NO_CLOCK
    if theirs.at - ours.at > traces.margin:
        return Choice.STRIPE
    if ours.kept:
        return Doubt.KEPT
    # Stripe's second may have been all but over.
    return Choice.LOCAL if ours.at - (theirs.at + 1) > traces.margin else Doubt.CLOSE


def fingerprint(value: JsonValue) -> str:
    """Stands for a value that is too long to be noted with an edit; the same whatever the order of its keys."""
    return blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
