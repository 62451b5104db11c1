"""Numbers, money, times and durations as the screen writes them. Pure: what time it is now is the caller's to say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sync_core.domain.money import format_money

__all__ = ["Moment", "count", "duration", "moment", "money", "plural", "share", "since", "size"]

NOTHING = "\N{EN DASH}"
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


@dataclass(frozen=True, slots=True)
class Moment:
    """A time in the workspace's zone, how long ago it was, and UTC for the title."""

    text: str = NOTHING
    ago: str = ""
    utc: str = ""


def count(number: int | None) -> str:
    return NOTHING if number is None else f"{number:,}"


def plural(number: int, one: str, many: str | None = None) -> str:
    """`1 record`, `1,204 records`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def size(number: int) -> str:
    """Bytes in the unit that suits them: `1.2 GB`."""
    shown, units = float(number), ["bytes", "kB", "MB", "GB", "TB"]
    while shown >= 999.5 and len(units) > 1:
        shown, units = shown / 1_000, units[1:]
    return f"{shown:.1f} {units[0]}" if shown < 9.95 and units[0] != "bytes" else f"{shown:.0f} {units[0]}"


def share(part: int, whole: int) -> str:
    """A percentage that says 0 % and 100 % only when it is exactly that."""
    if whole <= 0:
        return NOTHING
    if 0 < part < whole:
        percent = min(max(100 * part / whole, 0.1), 99.9)
        return f"{percent:.1f} %" if percent < 1 or percent > 99 else f"{round(percent)} %"
    return f"{round(100 * part / whole)} %"


def money(minor: int | None, currency: str | None) -> str:
    return format_money(minor, currency) or NOTHING


def moment(when: datetime | None, zone: str, now: datetime) -> Moment:
    """`when` and `now` are aware; an unknown zone is read as UTC."""
    if when is None:
        return Moment()
    local = when.astimezone(_zone(zone))
    year = "" if local.year == now.astimezone(_zone(zone)).year else f" {local.year}"
    return Moment(
        text=f"{local:%b} {local.day}{year}, {local:%H:%M}",
        ago=since(when, now),
        utc=f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
    )


def since(when: datetime, now: datetime) -> str:
    """`just now`, `3 minutes ago`, `in 2 hours`. Anything within five seconds is now: clocks differ."""
    seconds = (now - when).total_seconds()
    if abs(seconds) < 5:
        return "just now"
    words = _largest_unit(abs(seconds))
    return f"{words} ago" if seconds > 0 else f"in {words}"


def _largest_unit(seconds: float) -> str:
    for length, name in _UNITS:
        if seconds >= length:
            return plural(int(seconds // length), name)
    return plural(int(seconds), "second")


def duration(length: timedelta | float | None) -> str:
    """`850 ms`, `4.2 s`, `3 min 05 s`, `2 h 14 min`; seconds when it is a number."""
    if length is None:
        return NOTHING
    seconds = length.total_seconds() if isinstance(length, timedelta) else float(length)
    seconds = max(seconds, 0.0)
    if seconds < 0.9995:
        return f"{round(seconds * 1000)} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3_600} h {whole % 3_600 // 60:02d} min"


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
