"""Moments as a list says them: each can be told from the others."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sync_core.services.record_views import When

AT = int(datetime(2026, 11, 26, 9, 32, 4, tzinfo=UTC).timestamp())
LISTS: dict[str, tuple[list[int | None], str, list[str]]] = {
    "minutes apart": ([AT, AT + 60], "UTC", ["26 Nov 2026, 09:32", "26 Nov 2026, 09:33"]),
    "of one minute": (
        [AT, AT + 7, AT + 60],
        "UTC",
        ["26 Nov 2026, 09:32:04", "26 Nov 2026, 09:32:11", "26 Nov 2026, 09:33"],
    ),
    "elsewhere": ([AT, AT + 7], "Asia/Kolkata", ["26 Nov 2026, 15:02:04", "26 Nov 2026, 15:02:11"]),
    "never, twice": ([None, None, AT], "UTC", ["", "", "26 Nov 2026, 09:32"]),
    "none": ([], "UTC", []),
}


@pytest.mark.parametrize(("moments", "zone", "said"), LISTS.values(), ids=LISTS.keys())
def test_those_of_one_minute_are_told_apart_by_their_second(
    moments: list[int | None], zone: str, said: list[str]
) -> None:
    assert [one.text for one in When.each(moments, zone)] == said
