"""/sync/stripe/schedules: added, listed, paused, deleted; who may not, and what is refused."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

import pytest

from sync_core.services.api_keys import KeyLevel
from tests.api.conftest import Client
from tests.api.test_access import assert_error

SCHEDULES = "/sync/stripe/schedules"
NIGHTLY: dict[str, Any] = {
    "name": "Nightly",
    "at": "03:00",
    "weekday": 0,
    "start": {"entity_types": ["customers"], "dry_run": True},
    "days": 30,
}


async def test_a_schedule_from_its_first_day_to_its_last(call: Client) -> None:
    answer = await call("POST", SCHEDULES, NIGHTLY, level=KeyLevel.WRITE)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["object"], made["enabled"], made["at"], made["weekday"], made["every_hours"]) == (
        "sync_schedule",
        True,
        "03:00",
        0,
        None,
    )
    said = "Mondays at 03:00: Dry run of customers of the last 30 days, skip what differs"
    assert made["description"] == said
    assert (made["config"]["days"], made["config"]["dry_run"], made["config"]["start"]) == (30, True, None)
    assert len(made["next_times"]) == 5
    assert time.time() < made["next_times"][0] < time.time() + 8 * 86_400

    listed = (await call("GET", SCHEDULES, level=KeyLevel.READ)).json()
    assert listed == {"object": "list", "data": [made]}
    assert_error(await call("POST", SCHEDULES, NIGHTLY), 409, "schedule_name_taken")

    changed = await call("PUT", f"{SCHEDULES}/{made['id']}", NIGHTLY | {"weekday": None, "revision": made["revision"]})
    assert changed.status_code == 200, changed.text
    assert changed.json()["description"] == said.replace("Mondays", "Daily")
    assert changed.json()["revision"] == made["revision"] + 1
    late = await call("PUT", f"{SCHEDULES}/{made['id']}", NIGHTLY | {"revision": made["revision"]})
    assert_error(late, 409, "schedule_changed")
    assert_error(await call("PUT", f"{SCHEDULES}/{made['id']}", NIGHTLY), 422, "invalid_request")
    made = changed.json()

    paused = await call("PATCH", f"{SCHEDULES}/{made['id']}", {"enabled": False})
    assert (paused.status_code, paused.json()) == (200, made | {"enabled": False, "next_times": []})
    gone = await call("DELETE", f"{SCHEDULES}/{made['id']}")
    assert (gone.status_code, gone.json()) == (200, {"id": made["id"], "object": "sync_schedule", "deleted": True})
    assert_error(await call("DELETE", f"{SCHEDULES}/{made['id']}"), 404, "schedule_not_found")
    assert (await call("GET", SCHEDULES)).json()["data"] == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param({"every_hours": 6}, "rhythm_unclear", id="both rhythms"),
        pytest.param({"at": "25:00"}, "time_invalid", id="no time of day"),
        pytest.param({"start": {"entity_types": []}}, "entity_types_empty", id="nothing to sync"),
        pytest.param(
            {"start": {"entity_types": ["customers"], "date_range": {"end": 1_700_000_000}}},
            "date_range_has_end",
            id="a range that ends",
        ),
        pytest.param({"days": 0}, "days_out_of_range", id="no days"),
        pytest.param({"wekday": 1}, "invalid_request", id="a misspelt name"),
    ],
)
async def test_what_makes_no_sense_is_refused(call: Client, change: dict[str, Any], code: str) -> None:
    assert_error(await call("POST", SCHEDULES, NIGHTLY | change), 422, code)
    assert (await call("GET", SCHEDULES)).json()["data"] == []


async def test_a_key_that_only_reads_changes_nothing(call: Client) -> None:
    made = (await call("POST", SCHEDULES, NIGHTLY)).json()
    one = f"{SCHEDULES}/{made['id']}"
    changed = NIGHTLY | {"revision": 1}
    for method, path, body in (
        ("POST", SCHEDULES, NIGHTLY),
        ("PUT", one, changed),
        ("PATCH", one, {"enabled": False}),
        ("DELETE", one, None),
    ):
        assert_error(await call(method, path, body, level=KeyLevel.READ), 403, "forbidden")
    assert_error(await call("PATCH", f"{SCHEDULES}/{uuid4()}", {"enabled": False}), 404, "schedule_not_found")
    assert_error(await call("PUT", f"{SCHEDULES}/{uuid4()}", changed), 404, "schedule_not_found")
    assert (await call("GET", SCHEDULES)).json()["data"] == [made]
