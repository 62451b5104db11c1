"""Schedules as the page shows them, and the form for one as values: what was entered and what it asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from dashboard.pages.new_sync_form import PRESETS, Form, described, form_of, form_of_preset, request_of
from dashboard.pages.run_parts import run_href
from sync_core.domain.vocabulary import Strategy
from sync_core.errors import Refusal
from sync_core.services.presets import Preset
from sync_core.services.record_views import When
from sync_core.services.schedules import MOST_HOURS, RhythmRequest, ScheduleRequest, ScheduleView
from sync_core.services.session_views import LastConfig
from sync_core.services.start_request import StartRequest
from sync_core.store.runs import RunConfig
from sync_core.store.schedules import LastRun

KINDS: Final[Mapping[str, str]] = {"hours": "Every few hours", "daily": "Every day", "weekly": "Every week"}
HOURS: Final = (1, 2, 3, 4, 6, 8, 12, 24)
WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
LAST: Final = "last"
"""The configuration of the last sync, among the ids of presets."""
KEPT: Final = "kept"
"""What a schedule that is being changed syncs now."""


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """`times` are the next runs, the first of them apart: each a text and its UTC. `last` is the last run: its address, name, status, and when
    it ended, or began while it goes on.
    """

    id: str
    name: str
    rhythm: str
    what: str
    enabled: bool
    next: list[str]
    times: list[list[str]]
    clock_note: str
    last: list[str]
    last_note: str


@dataclass(frozen=True, slots=True)
class Entered:
    """The rhythm as it stands in the form."""

    kind: str = "daily"
    hours: str = "6"
    weekday: str = "0"
    at: str = "03:00"

    def rhythm(self) -> RhythmRequest:
        if self.kind == "hours":
            return RhythmRequest(every_hours=int(self.hours))
        # Without any text it would be no time at all, and be refused as such.
        return RhythmRequest(at=self.at or "?", weekday=int(self.weekday) if self.kind == "weekly" else None)


_DAYS = {str(at) for at in range(len(WEEKDAYS))}


def with_one(entered: Entered, name: str, value: str) -> Entered:
    """With one of its parts as the form has it now; as before where it is no choice of the form."""
    choices = {"kind": set(KINDS), "hours": {str(one) for one in range(1, MOST_HOURS + 1)}, "weekday": _DAYS}
    if name == "at":
        return replace(entered, at=value[:5])
    return replace(entered, **{name: value}) if value in choices.get(name, ()) else entered


def schedule_row(one: ScheduleView, zone: str) -> ScheduleRow:
    times = times_said(one.next_times, zone)
    return ScheduleRow(
        id=str(one.id),
        name=one.name,
        rhythm=one.rhythm,
        what=one.what,
        enabled=one.enabled,
        next=times[0] if times else [],
        times=times[1:],
        clock_note=one.clock_note,
        last=[] if one.last_run is None else _last(one.last_run, zone),
        last_note=one.last_note,
    )


def _last(run: LastRun, zone: str) -> list[str]:
    at = When.of(run.at, zone)
    return [
        run_href(run.id),
        f"#{run.number}",
        run.status.value,
        f"since {at.text}" if run.status.is_open else at.text,
        at.utc,
    ]


def entered_of(asked: RhythmRequest) -> Entered:
    """The form of a rhythm as it is."""
    if asked.every_hours is not None:
        return Entered(kind="hours", hours=str(asked.every_hours))
    if asked.weekday is None:
        return Entered(at=asked.at)
    return Entered(kind="weekly", weekday=str(asked.weekday), at=asked.at)


def hour_choices(entered: Entered) -> list[list[str]]:
    """The usual ones, and what a program has set."""
    return [
        [str(one), "every hour" if one == 1 else f"every {one} hours"] for one in sorted({*HOURS, int(entered.hours)})
    ]


def times_said(moments: Sequence[datetime], zone: str) -> list[list[str]]:
    """Each with its day of the week, and in UTC."""
    days = [f"{one.astimezone(ZoneInfo(zone)):%a}" for one in moments]
    return [[f"{day} {at.text}", at.utc] for day, at in zip(days, When.each(list(moments), zone), strict=True)]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a schedule is to sync: `about` in words, and `caution` what it will not do. `kept` is a schedule's own, which has no form where
    a program has set what no form can.
    """

    form: Form
    about: str
    caution: str
    kept: ScheduleView | None = None

    def request(self, name: str, rhythm: RhythmRequest, *, dry_run: bool, now: datetime) -> ScheduleRequest | Refusal:
        """A range of so many days goes on being counted back from each start."""
        if self.kept is not None:
            return ScheduleRequest(name, rhythm, _started(self.kept.config, dry_run=dry_run), days=self.kept.days)
        start = request_of(self.form, dry_run=dry_run, now=now)
        days = PRESETS.get(self.form.span)
        return start if isinstance(start, Refusal) else ScheduleRequest(name, rhythm, start, days=days)


def as_last(last: LastConfig, zone: ZoneInfo) -> Chosen:
    return _chosen(form_of(last.config, zone))


def as_preset(preset: Preset, zone: ZoneInfo) -> Chosen:
    return _chosen(form_of_preset(preset, zone))


def as_kept(one: ScheduleView, zone: ZoneInfo) -> Chosen:
    form = form_of(one.config, zone)
    return replace(_chosen(form if one.days is None else replace(form, span=str(one.days))), kept=one)


def _started(config: RunConfig, *, dry_run: bool) -> StartRequest:
    narrow = config.strategies.to_json()
    return StartRequest(
        entity_types=tuple(one.value for one in config.entity_types),
        batch_size=config.batch_size,
        concurrent_batches=config.concurrent_batches,
        conflict_strategy=config.strategies.default.value,
        strategies={level: narrow[level] for level in ("entities", "fields")},
        dry_run=dry_run,
        start=config.start,
    )


def _chosen(form: Form) -> Chosen:
    cautions = []
    if form.end_date:
        cautions.append("The end of its range is left out: a schedule reads up to the moment of each start.")
    if form.strategy == Strategy.SKIP.value:
        cautions.append("“Skip” leaves records that exist here as they are: what changes in Stripe is not taken over.")
    open_end = replace(form, end_date="", span="all" if form.span == "custom" and not form.start_date else form.span)
    return Chosen(open_end, described(open_end), " ".join(cautions))
