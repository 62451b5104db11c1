"""Configurations of syncs kept under a name, each in its own workspace."""

from __future__ import annotations

from uuid import UUID

import pytest

from sync_core.domain.vocabulary import Role
from sync_core.errors import Refusal
from sync_core.services import presets
from sync_core.services.presets import Preset
from sync_core.services.start_request import StartRequest
from sync_core.store.database import Database
from tests.conftest import make_workspace
from tests.services import actor_of, audit_actions

MONTHLY = StartRequest(
    entity_types=("customers", "invoices"),
    batch_size=50,
    conflict_strategy="flag",
    strategies={"entities": {"invoices": "overwrite"}, "fields": {"customers.name": "skip"}},
)


async def saved(database: Database, workspace_id: UUID, name: str = "Monthly", days: int | None = 30) -> Preset:
    made = await presets.save(database, actor_of(workspace_id), name, MONTHLY, days=days)
    assert isinstance(made, Preset)
    return made


async def names(database: Database, workspace_id: UUID) -> list[str]:
    return [one.name for one in await presets.every(database, actor_of(workspace_id, Role.VIEWER))]


async def test_a_preset_comes_back_as_it_was_saved(database: Database, workspace_id: UUID) -> None:
    made = await saved(database, workspace_id, "  Monthly   catch-up ")
    found = await presets.get(database, actor_of(workspace_id), made.id)

    assert found == made
    assert isinstance(found, Preset)
    assert (found.name, found.days, found.created_by) == ("Monthly catch-up", 30, "ana@example.com")
    assert (found.request.batch_size, found.request.conflict_strategy) == (50, "flag")
    assert found.request.strategies == MONTHLY.strategies
    assert list(found.request.entity_types) == list(MONTHLY.entity_types)


async def test_presets_are_renamed_and_deleted_and_the_audit_log_knows(database: Database, workspace_id: UUID) -> None:
    made = await saved(database, workspace_id)
    await saved(database, workspace_id, "Another")
    renamed = await presets.rename(database, actor_of(workspace_id), made.id, "Weekly")

    assert isinstance(renamed, Preset)
    assert await names(database, workspace_id) == ["Another", "Weekly"]
    assert await presets.delete(database, actor_of(workspace_id), made.id) is None
    assert await names(database, workspace_id) == ["Another"]
    actions = await audit_actions(database, workspace_id)
    assert [one for one in actions if one.startswith("preset.")] == [
        "preset.created",
        "preset.created",
        "preset.renamed",
        "preset.deleted",
    ]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        pytest.param("   ", "preset_name_empty", id="empty"),
        pytest.param("x" * 61, "preset_name_long", id="too long"),
        pytest.param("mONTHLY", "preset_name_taken", id="taken in other letters"),
        pytest.param("a\0b", "preset_name_empty", id="no text"),
    ],
)
async def test_a_name_is_short_and_of_one_preset_only(
    database: Database, workspace_id: UUID, name: str, code: str
) -> None:
    await saved(database, workspace_id)
    refused = await presets.save(database, actor_of(workspace_id), name, MONTHLY)
    assert isinstance(refused, Refusal)
    assert (refused.code, refused.field) == (code, "name")


async def test_what_could_not_be_started_is_not_kept(database: Database, workspace_id: UUID) -> None:
    refused = await presets.save(database, actor_of(workspace_id), "Empty", StartRequest())
    assert isinstance(refused, Refusal)
    assert refused.code == "entity_types_empty"


async def test_other_workspaces_and_viewers_cannot_touch_them(database: Database, workspace_id: UUID) -> None:
    made = await saved(database, workspace_id)
    stranger = actor_of(await make_workspace(database, "Other"))
    viewer = actor_of(workspace_id, Role.VIEWER)

    answers = [
        await presets.get(database, stranger, made.id),
        await presets.rename(database, stranger, made.id, "Mine"),
        await presets.delete(database, stranger, made.id),
        await presets.rename(database, viewer, made.id, "Mine"),
        await presets.delete(database, viewer, made.id),
        await presets.save(database, viewer, "Mine", MONTHLY),
    ]
    assert [one.status for one in answers if isinstance(one, Refusal)] == [404, 404, 404, 403, 403, 403]
    assert await presets.every(database, stranger) == ()
    assert await names(database, workspace_id) == ["Monthly"]
