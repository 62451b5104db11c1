"""The few rows of a plan that are shown first: chosen by what they tell, and the same ones each time."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import text

from sync_core.domain.vocabulary import Action, EntityType, Role
from sync_core.services import report
from sync_core.services.report import LineQuery, Lines
from sync_core.store.database import Database
from sync_core.store.plan_samples import SampleKind
from tests.services import actor_of
from tests.support import config, enqueue

INVOICES = EntityType.INVOICES
COUNT = 60


@pytest.fixture
async def plan(database: Database, workspace_id: UUID) -> UUID:
    """Updates of invoices in_1 to in_60: each later by a day, its total further from ours, one in thirty for another reason."""
    session_id = await enqueue(database, workspace_id, config(INVOICES, dry_run=True))
    async with database.workspace(workspace_id) as session:
        bound = {"w": workspace_id, "id": session_id, "count": COUNT}
        await session.execute(
            text(
                "INSERT INTO payment_sync_staged_objects (workspace_id, session_id, entity_type, external_id, seq,"
                " provider_created, observed_at, \"values\") SELECT :w, :id, 'invoices', 'in_' || g, g, g * 86400, now(),"
                " jsonb_build_object('total', g * 1000) FROM generate_series(1, :count) g"
            ),
            bound,
        )
        await session.execute(
            text(
                "INSERT INTO payment_sync_plan_items (workspace_id, session_id, entity_type, external_id, seq, action,"
                " reason_code, changed_fields, detail) SELECT :w, :id, 'invoices', 'in_' || g, g, 'update',"
                " CASE WHEN g % 30 = 0 THEN 'deleted_here' END, CASE WHEN g = 7 THEN ARRAY['total', 'status', 'number']"
                " ELSE ARRAY['total'] END, jsonb_build_object('changes', jsonb_build_object('total',"
                " jsonb_build_array(g * 1000 - (g * 37 % 60), g * 1000))) FROM generate_series(1, :count) g"
            ),
            bound,
        )
    return session_id


async def shown(database: Database, workspace_id: UUID, session_id: UUID, kind: SampleKind) -> list[str]:
    query = LineQuery(INVOICES, Action.UPDATE, sample=kind)
    found = await report.lines(database, actor_of(workspace_id, Role.VIEWER), session_id, query)
    assert isinstance(found, Lines)
    assert (found.before, found.after) == (None, None)
    return [line.external_id for line in found.items]


async def test_the_oldest_and_the_newest(database: Database, workspace_id: UUID, plan: UUID) -> None:
    oldest = await shown(database, workspace_id, plan, SampleKind.OLDEST)
    newest = await shown(database, workspace_id, plan, SampleKind.NEWEST)
    assert oldest == [f"in_{number}" for number in range(1, 21)]
    assert newest == [f"in_{number}" for number in range(COUNT, COUNT - 20, -1)]


async def test_the_biggest_differences_come_first(database: Database, workspace_id: UUID, plan: UUID) -> None:
    found = await shown(database, workspace_id, plan, SampleKind.BIGGEST)
    differences = [int(one.removeprefix("in_")) * 37 % 60 for one in found]
    assert differences == list(range(59, 39, -1))


async def test_of_new_ones_the_amount_itself_counts(database: Database, workspace_id: UUID, plan: UUID) -> None:
    async with database.workspace(workspace_id) as session:
        await session.execute(text("UPDATE payment_sync_plan_items SET action = 'create', detail = NULL WHERE seq < 4"))
    query = LineQuery(INVOICES, Action.CREATE, sample=SampleKind.BIGGEST)
    found = await report.lines(database, actor_of(workspace_id), plan, query)
    assert isinstance(found, Lines)
    assert [line.external_id for line in found.items] == ["in_3", "in_2", "in_1"]


async def test_what_differs_in_most_fields_comes_first(database: Database, workspace_id: UUID, plan: UUID) -> None:
    assert (await shown(database, workspace_id, plan, SampleKind.LONGEST))[0] == "in_7"


async def test_a_sample_is_the_same_each_time_and_has_every_reason(
    database: Database, workspace_id: UUID, plan: UUID
) -> None:
    first = await shown(database, workspace_id, plan, SampleKind.SPREAD)
    again = await shown(database, workspace_id, plan, SampleKind.SPREAD)
    assert first == again
    assert len(set(first)) == 20
    assert {"in_30", "in_60"} <= set(first)
    assert first != sorted(first)


def test_a_sample_is_part_of_the_address() -> None:
    words = {"entity": "invoices", "action": "update", "sample": "biggest"}
    asked = LineQuery.parse(words)
    assert asked is not None
    assert asked.sample is SampleKind.BIGGEST
    assert LineQuery.parse(words | {"sample": "prettiest"}) is None
