"""Samples of a run's pace: taken by its worker, bounded however long it goes on, shown as stretches."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from uuid import UUID

import pytest

from sync_core.domain.progress import MOST_SAMPLES, sample_step
from sync_core.domain.vocabulary import EntityType, Step
from sync_core.errors import Refusal
from sync_core.sandbox.launch import SandboxProcess
from sync_core.services import pace_history, report
from sync_core.services.pace_history import PaceHistory, stretches
from sync_core.services.progress_view import ProgressView, Watch
from sync_core.services.run_steps import StepState
from sync_core.store import run_figures, runs
from sync_core.store.database import Database
from sync_core.store.run_figures import Sample as Taken
from sync_core.store.watching import Sample
from tests.conftest import make_workspace
from tests.services import actor_of, small_sandbox
from tests.support import config, enqueue, rows, sync

CUSTOMERS = EntityType.CUSTOMERS


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with small_sandbox() as running:
        yield running


async def read(database: Database, workspace_id: UUID, session_id: UUID) -> PaceHistory:
    found = await pace_history.read(database, actor_of(workspace_id), session_id)
    assert isinstance(found, PaceHistory)
    return found


@pytest.mark.parametrize("dry_run", [True, False], ids=["dry", "real"])
async def test_a_finished_run_shows_all_that_it_did_and_how_long_each_phase_took(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess, *, dry_run: bool
) -> None:
    sandbox.reset_stats()
    ended = await sync(database, workspace_id, sandbox.url, config(CUSTOMERS, dry_run=dry_run))
    asked = sandbox.stats()["requests"]
    found = await read(database, workspace_id, ended.session_id)
    view = await Watch(database, actor_of(workspace_id), ended.session_id).look()

    done = sum(one.objects * (one.until - one.since) for one in found.stretches)
    sent = sum(one.requests * (one.until - one.since) for one in found.stretches)
    assert done == pytest.approx(len(sandbox.truth("customers")))
    # The proof's as well as pages; a probe may have been made before the first sample.
    first, *_ = await rows(database, workspace_id, "SELECT requests FROM payment_sync_pace_samples ORDER BY slot")
    assert asked > sum(row["requests"] for row in ended.counters.values())
    assert sent == pytest.approx(asked - first["requests"])
    told = await report.summary(database, actor_of(workspace_id), ended.session_id)
    assert not isinstance(told, Refusal)
    assert told.requests == asked
    assert isinstance(view, ProgressView)
    assert view.mean_rate is not None
    assert view.mean_rate <= found.peak
    assert [step.step for step in view.steps] == [step for step in Step if not (dry_run and step is Step.WRITE)]
    idle = {step.step for step in view.steps if step.state is StepState.IDLE}
    assert idle == {Step.RECONCILE}
    timed = [step for step in view.steps if step.step not in {*idle, Step.DONE}]
    before_all = [step.began or 0.0 for step in timed[:3]]
    assert before_all == sorted(before_all)
    for step in timed:
        assert step.state is StepState.DONE
        assert step.ended is not None
        assert 0 <= (step.seconds or 0.0) <= step.ended - (step.began or 0.0) + 0.05
    assert sum(step.seconds or 0.0 for step in timed) > 0


async def test_however_long_a_run_goes_on_its_samples_stay_few(database: Database, workspace_id: UUID) -> None:
    session_id = await enqueue(database, workspace_id, config(CUSTOMERS))
    async with database.system() as session:
        held = await runs.take(session, session_id, "test", 600.0)
    assert held is not None
    async with database.workspace(workspace_id) as session:
        for slot in range(0, 2_000, 3):
            step = sample_step(slot)
            taken = Taken(slot - slot % step, step)
            await run_figures.note_figures(session, held, run_figures.Figures({}, {}, taken))
        last = await run_figures.last_sample(session, held)
    kept = [row["slot"] for row in await rows(database, workspace_id, "SELECT slot FROM payment_sync_pace_samples")]

    assert len(kept) <= MOST_SAMPLES
    assert min(kept) == 0
    assert all(slot % 16 == 0 for slot in kept)
    assert last == (max(kept), 0)


@pytest.mark.parametrize(("slot", "step"), [(0, 1), (239, 1), (240, 2), (479, 2), (480, 4), (86_400, 512)], ids=str)
def test_samples_stand_apart_by_powers_of_two(slot: int, step: int) -> None:
    assert sample_step(slot) == step


def at(*points: tuple[int, int]) -> list[Sample]:
    return [Sample(slot, 1_000.0 + slot, done, done // 100, 0) for slot, done in points]


def test_many_samples_become_a_few_stretches_that_add_up() -> None:
    samples = at(*((slot, slot * 50) for slot in range(201)))
    found = stretches(samples, most=60)

    assert len(found) <= 60
    assert (found[0].since, found[-1].until) == (0, 200)
    assert all(one.until == other.since for one, other in pairwise(found))
    assert {one.objects for one in found} == {50.0}


def test_failures_that_are_counted_anew_are_no_pace_below_zero() -> None:
    assert [one.objects for one in stretches(at((0, 0), (10, 100), (20, 40), (30, 90)))] == [10.0, 0.0, 5.0]


def test_a_single_sample_is_no_stretch_yet() -> None:
    assert stretches(at((0, 5))) == ()


async def test_another_workspaces_run_shows_nothing(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    ended = await sync(database, workspace_id, sandbox.url, config(CUSTOMERS))
    stranger = actor_of(await make_workspace(database, "Other"))
    found = await pace_history.read(database, stranger, ended.session_id)
    assert isinstance(found, Refusal)
    assert found.status == 404
