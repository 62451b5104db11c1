"""The times of a run's steps: each of its own, kept by one worker after the other."""

from __future__ import annotations

from typing import Any

from sync_core.domain.steps import Steps
from sync_core.domain.vocabulary import Step

DIFF, FETCH, WINDOWS = Step.DIFF, Step.FETCH, Step.WINDOWS


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_steps_under_way_together_each_have_their_own_time() -> None:
    clock = Clock(100.0)
    steps = Steps({}, clock)
    steps.begin(FETCH)
    clock.now = 103.0
    steps.begin(DIFF)
    steps.begin(FETCH)
    clock.now = 110.0
    steps.end(FETCH, Step.VERIFY)
    clock.now = 112.0
    assert steps.to_json() == {"fetch": [100.0, 10.0, None, 110.0], "diff": [103.0, 0.0, 103.0, None]}


def test_what_is_known_afterwards_only_ended_when_it_was_last_seen() -> None:
    clock = Clock(100.0)
    steps = Steps({}, clock)
    steps.begin(WINDOWS)
    clock.now = 104.0
    steps.begin(WINDOWS)
    clock.now = 150.0
    steps.end_as_seen(WINDOWS)
    assert steps.to_json() == {"windows": [100.0, 4.0, None, 104.0]}


def test_a_step_that_waits_counts_no_time_and_goes_on() -> None:
    clock = Clock(100.0)
    steps = Steps({}, clock)
    steps.begin(DIFF)
    clock.now = 101.0
    steps.pause(DIFF, FETCH)
    clock.now = 190.0
    steps.begin(DIFF)
    clock.now = 192.0
    steps.end(*Step)
    assert steps.to_json() == {"diff": [100.0, 3.0, None, 192.0]}
    steps.begin(DIFF)
    assert steps.to_json() == {"diff": [100.0, 3.0, 192.0, None]}


def test_the_next_worker_goes_on_from_the_last_beat_of_the_one_that_was_lost() -> None:
    noted: dict[str, Any] = {"steps": {"fetch": [100.0, 5.0, 110.0, None], "preflight": [98.0, 2.0, None, 100.0]}}
    clock = Clock(160.0)
    steps = Steps(noted | {"beat_at": 125.0}, clock)
    assert steps.to_json()["fetch"] == [100.0, 20.0, None, None]
    steps.begin(FETCH)
    clock.now = 163.0
    steps.end(*Step)
    assert steps.to_json() == {"fetch": [100.0, 23.0, None, 163.0], "preflight": [98.0, 2.0, None, 100.0]}
