"""The day until which a conflict is put off, as a person writes it: it begins in the workspace's own time zone."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from sync_core.domain.vocabulary import Role
from sync_core.errors import Refusal
from sync_core.services.actor import Actor
from sync_core.services.conflict_handling import until_day

NOW = datetime(2026, 3, 28, 23, 30, tzinfo=UTC)

DAYS = [
    pytest.param("UTC", "2026-03-29", "2026-03-29T00:00", id="tomorrow"),
    pytest.param("UTC", "2026-03-28", None, id="today"),
    # In Berlin it is the 29th already, and that night an hour is left out.
    pytest.param("Europe/Berlin", "2026-03-29", None, id="today, where it is later"),
    pytest.param("Europe/Berlin", "2026-03-30", "2026-03-29T22:00", id="in summer time"),
    pytest.param("America/Los_Angeles", "2026-03-29", "2026-03-29T07:00", id="tomorrow, where it is earlier"),
    pytest.param("UTC", "2031-03-27", "2031-03-27T00:00", id="five years"),
    pytest.param("UTC", "2031-03-28", None, id="more than five years"),
    pytest.param("UTC", "2026-02-30", None, id="no such day"),
    pytest.param("UTC", "soon", None, id="no date"),
    pytest.param("UTC", "", None, id="nothing"),
]


@pytest.mark.parametrize(("zone", "text", "expected"), DAYS)
def test_until_day(zone: str, text: str, expected: str | None) -> None:
    found = until_day(Actor(uuid4(), Role.ADMIN, "Ann", time_zone=zone), text, NOW)
    if expected is None:
        assert isinstance(found, Refusal)
        assert found.field == "until"
    else:
        assert found == datetime.fromisoformat(f"{expected}+00:00")
