"""What happened in a workspace, in words and in order: every action that is noted is told, or is named here as told elsewhere."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text

from sync_core.domain.vocabulary import EntityType, Role
from sync_core.errors import Refusal
from sync_core.services import members, presets, schedules, sessions, timeline
from sync_core.services.presets import Preset
from sync_core.services.schedules import RhythmRequest, ScheduleRequest, ScheduleView
from sync_core.services.start_request import StartRequest
from sync_core.services.timeline import SHOWN, Kind, Timeline, Told
from sync_core.store.database import Database
from tests.conftest import make_workspace, plain_url
from tests.services import actor_of
from tests.support import config, enqueue

CUSTOMERS = StartRequest(entity_types=("customers",))
ELSEWHERE = {
    "conflict.resolved",
    "conflict.bulk_resolved",
    "conflict.reopened",
    "conflict.undone",
    "conflict.choices_discarded",
    "record.edited",
    "signed_in",
}
"""Told with their conflict, batch and record."""


async def happen(database: Database, workspace_id: UUID) -> None:
    ana, ben = (actor_of(workspace_id, label=f"{name}@example.com") for name in ("ana", "ben"))
    made = await schedules.add(database, ana, ScheduleRequest("Nightly", RhythmRequest(at="03:00"), CUSTOMERS))
    assert isinstance(made, ScheduleView)
    later = ScheduleRequest("Nightly", RhythmRequest(at="04:00"), StartRequest(("products",)))
    await schedules.change(database, ben, made.id, later, revision=1)
    assert isinstance(await presets.save(database, ana, "{name}", CUSTOMERS), Preset)
    assert await members.set_time_zone(database, ana, "Europe/Berlin") is None
    run = await enqueue(database, workspace_id, config(EntityType.CUSTOMERS))
    await sessions.cancel(database, ben, run)


async def told(
    database: Database, workspace_id: UUID, *, kind: Kind | None = None, cursor: str = "", limit: int = SHOWN
) -> Timeline:
    found = await timeline.page(database, actor_of(workspace_id), kind=kind, cursor=cursor, limit=limit)
    assert isinstance(found, Timeline)
    return found


async def test_syncs_and_changes_stand_in_one_order(database: Database, workspace_id: UUID) -> None:
    await happen(database, workspace_id)
    found = await told(database, workspace_id)
    assert [(one.kind.value, one.text, one.who.partition("@")[0]) for one in found.items if one.status is None] == [
        ("runs", "Sync #1 was asked to stop", "ben"),
        ("settings", "The time zone is Europe/Berlin from now on", "ana"),
        ("settings", "Preset “{name}” was saved", "ana"),
        (
            "schedules",
            "Schedule “Nightly” changed: rhythm from “Daily at 03:00” to “Daily at 04:00”, what it syncs",
            "ben",
        ),
        ("schedules", "Schedule “Nightly” was set: Daily at 03:00", "ana"),
    ]
    (ended,) = (one for one in found.items if one.status is not None)
    assert (ended.text, ended.status) == ("Sync #1 ended", "cancelled")
    assert {one.session_id for one in found.items} == {None, ended.session_id}
    assert [one.at for one in found.items] == sorted((one.at for one in found.items), reverse=True)


async def test_pages_lose_and_double_nothing_and_a_kind_stands_alone(database: Database, workspace_id: UUID) -> None:
    """What was done in one transaction has one time."""
    await happen(database, workspace_id)
    with psycopg.connect(plain_url(database.url), autocommit=True) as owner:
        owner.execute("UPDATE audit_log SET occurred_at = now()")
    whole = (await told(database, workspace_id)).items
    seen: list[Told] = []
    cursor = ""
    while cursor or not seen:
        found = await told(database, workspace_id, cursor=cursor, limit=2)
        seen += found.items
        cursor = found.cursor or ""
    assert tuple(seen) == whole
    settings = await told(database, workspace_id, kind=Kind.SETTINGS)
    assert [one for one in whole if one.kind is Kind.SETTINGS] == list(settings.items)


@pytest.mark.parametrize("cursor", ["x", "2026-01-01", "2026-01-01T00:00:00_00", "2026-01-01T00:00:00+00:00_zz"])
async def test_a_cursor_that_no_list_returned_is_refused(database: Database, workspace_id: UUID, cursor: str) -> None:
    found = await timeline.page(database, actor_of(workspace_id), cursor=cursor)
    assert isinstance(found, Refusal)


async def test_people_are_told_to_who_manages_and_nothing_to_strangers(database: Database, workspace_id: UUID) -> None:
    async with database.workspace(workspace_id) as session:
        sql = "INSERT INTO audit_log (workspace_id, actor, action, target) VALUES (:w, 'ana', 'member_removed', 'ben@example.com')"
        await session.execute(text(sql), {"w": workspace_id})
    assert [one.text for one in (await told(database, workspace_id)).items] == ["ben@example.com was removed"]
    for actor in (actor_of(workspace_id, Role.VIEWER), actor_of(await make_workspace(database, "Other"))):
        found = await timeline.page(database, actor, kind=Kind.PEOPLE if actor.role is Role.VIEWER else None)
        assert isinstance(found, Timeline)
        assert found.items == ()


def test_every_action_that_is_noted_is_told() -> None:
    root = Path(timeline.__file__).parents[1]
    files = [path for folder in ("services", "jobs") for path in (root / folder).glob("*.py")]
    noted = {word for path in files for word in noted_in(ast.parse(path.read_text()))}
    assert {"schedule.changed", "connection.read_cap_changed", "conflict_rule.moved", "member_role_set"} <= noted
    assert noted - set(timeline._SAID) - ELSEWHERE == set()


def noted_in(module: ast.Module) -> set[str]:
    """What goes to the audit log: the words of calls that write there, and of names that such a call is given."""
    words: set[str] = set()
    for call in (node for node in ast.walk(module) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        given = call.args[3:4] if name in ("record", "audit", "audit.record") else []
        if name == "_note" and len(call.args) > 2:
            words |= {f"conflict_rule.{word}" for word in texts(call.args[2])}
        for one in given:
            words |= texts(one)
            if isinstance(one, ast.Name):
                words |= {word for node in ast.walk(module) if assigns(node, one.id) for word in texts(node)}
    return {word for word in words if re.fullmatch(r"[a-z]+(_[a-z]+)*[._][a-z_]+", word)}


def texts(node: ast.AST) -> set[str]:
    return {one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def assigns(node: ast.AST, name: str) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return any(isinstance(one, ast.Name) and one.id == name for one in targets)
