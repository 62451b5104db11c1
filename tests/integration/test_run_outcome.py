"""What is said of a sync that came to its end: beside the plan that it applied, and what is still to be set up."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import orjson
import pytest
from sqlalchemy import text

from dashboard.pages.sync_rows import beside_plan
from sync_core.domain.vocabulary import Action, EntityType, Role
from sync_core.services import report, run_outcome, schedules
from sync_core.services.report import ReportView
from sync_core.services.run_outcome import Outcome
from sync_core.services.schedules import RhythmRequest, ScheduleRequest, ScheduleView
from sync_core.services.start_request import StartRequest
from sync_core.store.database import Database
from tests.services import actor_of
from tests.support import config, make_connection

_RUN = text(
    "INSERT INTO payment_sync_sessions (workspace_id, entity_types, config, status, source_session_id, dry_run)"
    " VALUES (:w, '{customers}', CAST(:config AS jsonb), :status, :plan, :dry) RETURNING id"
)
_COUNTS = text(
    "INSERT INTO payment_sync_entity_runs (workspace_id, session_id, entity_type, requested, phase, created, updated, conflicts, unchanged,"
    " failed) VALUES (:w, :id, 'customers', true, 'done', :created, :updated, :conflicts, :unchanged, :failed)"
)


async def run(
    database: Database,
    workspace_id: UUID,
    counts: tuple[int, int, int],
    status: str = "completed",
    *,
    rest: tuple[int, int] = (0, 0),
    plan: UUID | None = None,
    dry: bool = False,
    few: int | None = None,
) -> UUID:
    async with database.workspace(workspace_id) as session:
        wanted = orjson.dumps(replace(config(EntityType.CUSTOMERS, dry_run=dry), limit=few).to_json()).decode()
        bound = {"w": workspace_id, "status": status, "plan": plan, "dry": dry, "config": wanted}
        made: UUID = (await session.execute(_RUN, bound)).scalar_one()
        named = dict(zip(("created", "updated", "conflicts", "unchanged", "failed"), (*counts, *rest), strict=True))
        await session.execute(_COUNTS, {"w": workspace_id, "id": made, **named})
    return made


CASES: dict[str, tuple[str, tuple[int, int, int], bool, int | None, str | None]] = {
    "a first sync": ("completed", (10, 5, 0), False, None, ""),
    "a plan, as planned": ("completed", (10, 5, 0), True, None, "As many of each as planned."),
    "a plan that drifted": (
        "completed",
        (10, 3, 2),
        True,
        None,
        "Otherwise than planned: 2 fewer updated, 2 more to review.",
    ),
    "a plan, with errors": ("partial", (9, 5, 0), True, None, "Otherwise than planned: 1 fewer created."),
    "the first few of a plan": ("completed", (2, 0, 0), True, 2, ""),
    "cancelled": ("cancelled", (4, 0, 0), True, None, None),
    "failed": ("failed", (0, 0, 0), False, None, None),
    "under way": ("running", (1, 0, 0), True, None, None),
}


@pytest.mark.parametrize(("status", "counts", "applied", "few", "said"), CASES.values(), ids=CASES.keys())
async def test_what_came_of_a_sync(
    database: Database,
    workspace_id: UUID,
    status: str,
    counts: tuple[int, int, int],
    applied: bool,
    few: int | None,
    said: str | None,
) -> None:
    plan = await run(database, workspace_id, (10, 5, 0), dry=True)
    made = await run(database, workspace_id, counts, status, plan=plan if applied else None, few=few)
    await make_connection(database, workspace_id)
    found = await run_outcome.read(database, actor_of(workspace_id), made)
    assert await run_outcome.read(database, actor_of(workspace_id), plan) is None
    if said is None or found is None:
        assert (found, said) == (None, None)
        return
    assert beside_plan(found) == said
    assert (found.lacks_webhook, found.lacks_schedule) == (True, True)
    viewer = await run_outcome.read(database, actor_of(workspace_id, role=Role.VIEWER), made)
    assert viewer is not None
    assert (viewer.lacks_webhook, viewer.lacks_schedule) == (False, False)


@pytest.mark.parametrize(
    ("counts", "rest", "dry", "said"),
    [
        pytest.param((3, 0, 0), (1, 0), True, "Would create 3, change 0, leave 1 as they are.", id="new ones"),
        pytest.param(
            (0, 0, 0), (1_200, 0), True, "Would create and change nothing: 1,200 are as in Stripe already.", id="alike"
        ),
        pytest.param(
            (0, 0, 2), (0, 1), True, "Would create and change nothing; 2 to review; 1 has an error.", id="none"
        ),
        pytest.param(
            (0, 0, 0), (1, 3), False, "Created and changed nothing: 1 is as in Stripe already; 3 failed.", id="done"
        ),
    ],
)
async def test_a_run_in_a_sentence(
    database: Database,
    workspace_id: UUID,
    *,
    counts: tuple[int, int, int],
    rest: tuple[int, int],
    dry: bool,
    said: str,
) -> None:
    made = await run(database, workspace_id, counts, rest=rest, dry=dry)
    found = await report.summary(database, actor_of(workspace_id), made)
    assert isinstance(found, ReportView)
    assert found.sentence == said


_FEWER = {Action.CREATE: -2, Action.CONFLICT: 2}


@pytest.mark.parametrize(
    ("more", "otherwise", "said"),
    [
        pytest.param(None, None, "", id="no plan"),
        pytest.param({}, (0, 1_200), "All 1,200 rows came out as planned.", id="as planned"),
        pytest.param(
            _FEWER,
            (5, 1_200),
            "5 of 1,200 rows came out otherwise than planned: 2 fewer created, 2 more to review.",
            id="otherwise",
        ),
        pytest.param(
            dict.fromkeys(Action, 0),
            (1, 1_200),
            "1 of 1,200 rows came out otherwise than planned, though as many of each.",
            id="as many",
        ),
        pytest.param({}, (1, 3), "1 of 3 rows came out otherwise than planned.", id="of the first few"),
        pytest.param(
            _FEWER, None, "Otherwise than planned: 2 fewer created, 2 more to review.", id="too many to count"
        ),
    ],
)
def test_how_many_rows_came_out_otherwise_is_said(
    more: dict[Action, int] | None, otherwise: tuple[int, int] | None, said: str
) -> None:
    assert beside_plan(Outcome(more, otherwise, lacks_webhook=False, lacks_schedule=False)) == said


async def test_what_repeats_by_itself_is_offered_no_more(database: Database, workspace_id: UUID) -> None:
    made = await run(database, workspace_id, (1, 0, 0))
    asked = ScheduleRequest("Nightly", RhythmRequest(every_hours=24), StartRequest(entity_types=("customers",)))
    assert isinstance(await schedules.add(database, actor_of(workspace_id), asked), ScheduleView)
    found = await run_outcome.read(database, actor_of(workspace_id), made)
    assert found is not None
    assert not found.lacks_schedule
