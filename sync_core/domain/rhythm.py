"""When what repeats comes next: every so many minutes, or at a local time of each day or of one day of the week."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, pairwise
from typing import Final
from zoneinfo import ZoneInfo

WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
DAY_MINUTES: Final = 1440


@dataclass(frozen=True, slots=True)
class Interval:
    """Time that passes: what a clock shows meanwhile does not matter to it."""

    minutes: int


@dataclass(frozen=True, slots=True)
class LocalTime:
    """`minute` of the day, and `weekday` from Monday = 0; None is daily."""

    minute: int
    weekday: int | None = None


Rhythm = Interval | LocalTime


def next_times(rhythm: Rhythm, after: datetime, zone: ZoneInfo, count: int) -> tuple[datetime, ...]:
    """The next `count` moments later than `after`, in UTC.

    A local time that a clock change skips is the first moment behind the gap; one that comes twice is its first coming.
    """
    times = _intervals(rhythm, after) if isinstance(rhythm, Interval) else _local_times(rhythm, after, zone)
    return tuple(islice(times, count))


def following(rhythm: Rhythm, due: datetime, now: datetime, zone: ZoneInfo) -> datetime:
    """What comes after a time that was due, and is still to come: what was missed meanwhile is not made up for."""
    if isinstance(rhythm, Interval):
        step = timedelta(minutes=rhythm.minutes)
        missed = max(now - due, timedelta()) // step
        return due.astimezone(UTC) + (missed + 1) * step
    return next_times(rhythm, max(due, now), zone, 1)[0]


def words(rhythm: Rhythm) -> str:
    if isinstance(rhythm, LocalTime):
        days = "Daily" if rhythm.weekday is None else f"{WEEKDAYS[rhythm.weekday]}s"
        return f"{days} at {clock(rhythm)}"
    count, unit = (rhythm.minutes, "minute") if rhythm.minutes % 60 else (rhythm.minutes // 60, "hour")
    return f"Every {unit}" if count == 1 else f"Every {count} {unit}s"


def clock(rhythm: LocalTime) -> str:
    return f"{rhythm.minute // 60:02}:{rhythm.minute % 60:02}"


def clock_note(rhythm: Rhythm, times: Sequence[datetime], zone: ZoneInfo) -> str:
    """What a change of the zone's clock does to these times, in a sentence; empty when nothing that a person would notice."""
    local = [one.astimezone(zone) for one in times]
    if isinstance(rhythm, LocalTime):
        return next((note for one in local if (note := _note_of_day(rhythm, one))), "")
    for before, at in pairwise(local):
        if before.utcoffset() != at.utcoffset():
            return f"The clock changes before {_day(at)}, {at:%H:%M}: from then on the times of day are others."
    return ""


def days_before(days: int, now: datetime, zone: ZoneInfo) -> int:
    """The midnight that so many days ago began with, in epoch seconds."""
    day = now.astimezone(zone).date() - timedelta(days=days)
    return max(0, int(_moment(day, 0, zone).timestamp()))


def _intervals(rhythm: Interval, after: datetime) -> Iterator[datetime]:
    moment = after.astimezone(UTC).replace(second=0, microsecond=0)
    while True:
        moment += timedelta(minutes=rhythm.minutes)
        if moment > after:
            yield moment


def _local_times(rhythm: LocalTime, after: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    last = after.astimezone(UTC)
    # A day that a zone has left out is still one before today, and ends in a moment of today.
    day = last.astimezone(zone).date() - timedelta(days=1)
    while True:
        if rhythm.weekday in (None, day.weekday()):
            moment = _moment(day, rhythm.minute, zone)
            if moment > last:
                last = moment
                yield moment
        day += timedelta(days=1)


def _moment(day: date, minute: int, zone: ZoneInfo) -> datetime:
    wanted = datetime.combine(day, time(minute // 60, minute % 60), zone)
    moment = wanted.astimezone(UTC)
    back = moment.astimezone(zone)
    return moment if back.replace(tzinfo=None) == wanted.replace(tzinfo=None) else _end_of_gap(wanted, moment, zone)


def _end_of_gap(wanted: datetime, later: datetime, zone: ZoneInfo) -> datetime:
    """The first moment with the offset that `later` has: between what both offsets make of a time that is not there."""
    earlier = wanted.replace(fold=1).astimezone(UTC)
    offset = later.astimezone(zone).utcoffset()
    while later - earlier > timedelta(seconds=1):
        between = earlier + timedelta(seconds=(later - earlier) // timedelta(seconds=2))
        if between.astimezone(zone).utcoffset() == offset:
            later = between
        else:
            earlier = between
    return later


def _note_of_day(rhythm: LocalTime, at: datetime) -> str:
    wanted = clock(rhythm)
    if f"{at:%H:%M}" != wanted:
        return f"On {_day(at)} the clock is put forward over {wanted}: that day it starts at {at:%H:%M}."
    if at.utcoffset() != at.replace(fold=1).utcoffset():
        return f"On {_day(at)} the clock is put back and {wanted} comes twice: it starts the first time only."
    return ""


def _day(at: datetime) -> str:
    return f"{at.day} {at:%B}"
