"""When what repeats comes next: by the hour, by the clock, and over the days on which clocks are changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some

from sync_core.domain.rhythm import (
    Interval,
    LocalTime,
    Rhythm,
    clock_note,
    days_before,
    following,
    next_times,
    words,
)

BERLIN, NEW_YORK, KOLKATA, UTC_ZONE = "Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"
DAILY_0230 = LocalTime(150)
MONDAYS_0300 = LocalTime(180, 0)


def at(words_: str) -> datetime:
    return datetime.fromisoformat(words_).replace(tzinfo=UTC)


def local(times: tuple[datetime, ...], zone: str) -> list[str]:
    return [f"{one.astimezone(ZoneInfo(zone)):%m-%d %H:%M %z}" for one in times]


TABLE: list[Any] = [
    pytest.param(
        DAILY_0230,
        BERLIN,
        "2026-03-27T12:00",
        ["03-28 02:30 +0100", "03-29 03:00 +0200", "03-30 02:30 +0200"],
        id="Berlin in spring: skipped, so at the end of the gap",
    ),
    pytest.param(
        LocalTime(120),
        BERLIN,
        "2026-03-28T12:00",
        ["03-29 03:00 +0200", "03-30 02:00 +0200"],
        id="Berlin in spring: the first minute of the gap",
    ),
    pytest.param(
        LocalTime(180),
        BERLIN,
        "2026-03-28T12:00",
        ["03-29 03:00 +0200", "03-30 03:00 +0200"],
        id="Berlin in spring: the first minute behind the gap",
    ),
    pytest.param(
        DAILY_0230,
        BERLIN,
        "2026-10-24T12:00",
        ["10-25 02:30 +0200", "10-26 02:30 +0100"],
        id="Berlin in autumn: twice, so the first time only",
    ),
    pytest.param(
        DAILY_0230,
        BERLIN,
        "2026-10-25T00:45",
        ["10-26 02:30 +0100", "10-27 02:30 +0100"],
        id="Berlin in autumn: asked between both, the second is none",
    ),
    pytest.param(
        DAILY_0230,
        NEW_YORK,
        "2026-03-07T12:00",
        ["03-08 03:00 -0400", "03-09 02:30 -0400"],
        id="New York in spring: skipped, so at the end of the gap",
    ),
    pytest.param(
        LocalTime(90),
        NEW_YORK,
        "2026-10-31T12:00",
        ["11-01 01:30 -0400", "11-02 01:30 -0500"],
        id="New York in autumn: twice, so the first time only",
    ),
    pytest.param(
        DAILY_0230, KOLKATA, "2026-03-28T21:00", ["03-30 02:30 +0530", "03-31 02:30 +0530"], id="a zone without changes"
    ),
    pytest.param(
        LocalTime(0),
        "Pacific/Apia",
        "2011-12-29T12:00",
        ["12-31 00:00 +1400", "01-01 00:00 +1400"],
        id="Samoa leaves a whole day out",
    ),
    pytest.param(
        LocalTime(180, 6),
        BERLIN,
        "2026-03-22T12:00",
        ["03-29 03:00 +0200", "04-05 03:00 +0200"],
        id="weekly on the day of the change",
    ),
    pytest.param(
        MONDAYS_0300,
        UTC_ZONE,
        "2026-11-23T03:00",
        ["11-30 03:00 +0000", "12-07 03:00 +0000"],
        id="weekly: the moment itself is past",
    ),
    pytest.param(
        Interval(360),
        BERLIN,
        "2026-03-28T18:00:30",
        ["03-29 01:00 +0100", "03-29 08:00 +0200", "03-29 14:00 +0200"],
        id="hours pass whatever the clock shows",
    ),
]


@pytest.mark.parametrize(("rhythm", "zone", "after", "expected"), TABLE)
def test_what_comes_next(rhythm: Rhythm, zone: str, after: str, expected: list[str]) -> None:
    assert local(next_times(rhythm, at(after), ZoneInfo(zone), len(expected)), zone) == expected


@given(
    minute=some.integers(0, 1439),
    weekday=some.none() | some.integers(0, 6),
    after=some.datetimes(datetime(1971, 1, 1), datetime(2090, 1, 1), timezones=some.just(UTC)),  # noqa: DTZ001 - in UTC by `timezones`
    name=some.sampled_from(
        [BERLIN, NEW_YORK, KOLKATA, UTC_ZONE, "Australia/Lord_Howe", "Africa/Cairo", "Pacific/Apia"]
    ),
)
def test_times_of_day_go_forward_and_are_kept_where_they_exist(
    minute: int, weekday: int | None, after: datetime, name: str
) -> None:
    zone = ZoneInfo(name)
    times = next_times(LocalTime(minute, weekday), after, zone, 8)

    assert len(times) == 8
    assert times[0] > after
    assert all(one < other for one, other in pairwise(times))
    for one in times:
        shown = one.astimezone(zone)
        wanted = shown.replace(hour=minute // 60, minute=minute % 60, second=0, microsecond=0, fold=0)
        exists = wanted.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == wanted.replace(tzinfo=None)
        if exists and weekday in (None, shown.weekday()):
            assert one == wanted.astimezone(UTC)
        else:
            # The first moment behind a gap: a minute earlier the clock was set otherwise.
            assert (one - timedelta(minutes=1)).astimezone(zone).utcoffset() != shown.utcoffset()


@given(
    minutes=some.integers(1, 168 * 60),
    due=some.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=some.just(UTC)),  # noqa: DTZ001 - in UTC by `timezones`
    late=some.timedeltas(timedelta(0), timedelta(days=90)),
)
def test_what_was_missed_is_not_made_up_for(minutes: int, due: datetime, late: timedelta) -> None:
    step = timedelta(minutes=minutes)
    found = following(Interval(minutes), due, due + late, ZoneInfo("UTC"))

    assert (found - due) % step == timedelta()
    assert timedelta() < found - (due + late) <= step


def test_a_time_of_day_that_was_missed_for_days_comes_next_tomorrow() -> None:
    found = following(LocalTime(180), at("2026-11-20T03:00"), at("2026-11-26T14:00"), ZoneInfo("UTC"))
    assert found == at("2026-11-27T03:00")


@pytest.mark.parametrize(
    ("rhythm", "said"),
    [
        (Interval(60), "Every hour"),
        (Interval(360), "Every 6 hours"),
        (Interval(90), "Every 90 minutes"),
        (LocalTime(180), "Daily at 03:00"),
        (LocalTime(1435, 6), "Sundays at 23:55"),
    ],
)
def test_in_words(rhythm: Rhythm, said: str) -> None:
    assert words(rhythm) == said


@pytest.mark.parametrize(
    ("rhythm", "after", "said"),
    [
        pytest.param(
            DAILY_0230,
            "2026-03-27T12:00",
            "On 29 March the clock is put forward over 02:30: that day it starts at 03:00.",
            id="skipped",
        ),
        pytest.param(
            DAILY_0230,
            "2026-10-22T12:00",
            "On 25 October the clock is put back and 02:30 comes twice: it starts the first time only.",
            id="twice",
        ),
        pytest.param(
            Interval(360),
            "2026-03-28T12:00",
            "The clock changes before 29 March, 08:00: from then on the times of day are others.",
            id="hours over a change",
        ),
        pytest.param(LocalTime(180), "2026-03-27T12:00", "", id="the time of day is there"),
        pytest.param(DAILY_0230, "2026-03-01T12:00", "", id="no change so soon"),
        pytest.param(Interval(360), "2026-03-01T12:00", "", id="hours without a change"),
    ],
)
def test_a_change_of_the_clock_is_told_where_it_matters(rhythm: Rhythm, after: str, said: str) -> None:
    zone = ZoneInfo(BERLIN)
    assert clock_note(rhythm, next_times(rhythm, at(after), zone, 5), zone) == said


def test_days_are_counted_back_to_a_local_midnight() -> None:
    found = datetime.fromtimestamp(days_before(30, at("2026-04-10T22:30"), ZoneInfo(BERLIN)), UTC)
    assert found == at("2026-03-11T23:00")
