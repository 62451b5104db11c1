"""Which syncs the list shows: words of its address, and what they stand for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta
from typing import Self
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from sync_core.domain.vocabulary import EntityType, SessionStatus
from sync_core.store.sessions import RunFilter

_LONGEST_NAME = 320


@dataclass(frozen=True, slots=True)
class Filters:
    """Empty for any. `since` and `until` are days of the workspace's time zone, both included."""

    kind: str = ""
    status: str = ""
    entity: str = ""
    by: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def parse(cls, words: Mapping[str, str]) -> Self:
        """What is no such thing is left out."""
        return cls(
            kind=_known(words.get("kind"), ("dry", "real")),
            status=_known(words.get("status"), SessionStatus),
            entity=_known(words.get("entity"), EntityType),
            by=(words.get("by") or "").replace("\0", "")[:_LONGEST_NAME],
            since=_day(words.get("since")),
            until=_day(words.get("until")),
        )

    @property
    def any(self) -> bool:
        return self != type(self)()

    def href(self, after: str = "") -> str:
        words = {name: word for name, word in (asdict(self) | {"after": after}).items() if word}
        return f"/syncs?{urlencode(words)}" if words else "/syncs"

    def asked(self, zone: str) -> RunFilter:
        return RunFilter(
            status=SessionStatus(self.status) if self.status else None,
            dry_run={"dry": True, "real": False}.get(self.kind),
            entity_type=EntityType(self.entity) if self.entity else None,
            created_by=self.by or None,
            since=_midnight(self.since, zone),
            until=_midnight(self.until, zone, days=1),
        )


def _known(word: str | None, among: Iterable[str]) -> str:
    return word if word and word in list(among) else ""


def _day(word: str | None) -> str:
    """As it came, where it names a day that a time zone can shift without leaving the calendar."""
    try:
        day = date.fromisoformat(word or "")
    except ValueError:
        return ""
    return day.isoformat() if 1970 <= day.year <= 9000 else ""


def _midnight(day: str, zone: str, *, days: int = 0) -> int | None:
    if not day:
        return None
    at = date.fromisoformat(day) + timedelta(days=days)
    return int(datetime.combine(at, time(), ZoneInfo(zone)).timestamp())
