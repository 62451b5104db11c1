"""The Schedules page as a client drives it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from dashboard.pages.schedules import SchedulesState
from dashboard.state import PageState
from sync_core.domain.vocabulary import EntityType, Role
from sync_core.services import plan_limits, presets, schedules
from sync_core.services.plan_limits import Limits
from sync_core.services.presets import Preset
from sync_core.services.schedules import MOST_SCHEDULES, RhythmRequest, ScheduleRequest, ScheduleView
from sync_core.services.start_request import StartRequest
from sync_core.store import database as database_module
from sync_core.store.database import Database
from tests.conftest import make_workspace
from tests.events._browser import Browser, browser
from tests.services import actor_of
from tests.support import config, enqueue

PATH = "/schedules"
A_MESSAGE = 16_000
CUSTOMERS = StartRequest(entity_types=("customers",), conflict_strategy="flag")


@pytest.fixture(autouse=True)
async def berlin(database: Database, workspace_id: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "_database", database)
    async with database.workspace(workspace_id) as session:
        await session.execute(text("UPDATE workspaces SET time_zone = 'Europe/Berlin'"))


@pytest.fixture
async def owner(database: Database, workspace_id: UUID) -> AsyncIterator[Browser]:
    async with browser(database, workspace_id, PATH) as client:
        await client.send(SchedulesState, "load")
        yield client


async def kept(database: Database, workspace_id: UUID) -> list[ScheduleView]:
    return list(await schedules.list_schedules(database, actor_of(workspace_id)))


async def make(database: Database, workspace_id: UUID, name: str = "Nightly") -> ScheduleView:
    asked = ScheduleRequest(name, RhythmRequest(at="03:00"), CUSTOMERS)
    actor = replace(actor_of(workspace_id), time_zone="Europe/Berlin")
    made = await schedules.add(database, actor, asked)
    assert isinstance(made, ScheduleView)
    return made


async def test_one_is_set_as_the_form_says_it(owner: Browser, database: Database, workspace_id: UUID) -> None:
    saved = await presets.save(database, actor_of(workspace_id), "Customers of a month", CUSTOMERS, days=30)
    assert isinstance(saved, Preset)
    await owner.send(SchedulesState, "open_form")
    assert [name for _, name in owner.of(SchedulesState, "choices")][1:] == ["Preset: Customers of a month"]
    assert "Skip" in owner.of(SchedulesState, "chosen_caution")
    await owner.send(SchedulesState, "set_part", name="kind", value="weekly")
    await owner.send(SchedulesState, "set_part", name="weekday", value="6")
    await owner.send(SchedulesState, "set_part", name="at", value="04:30")
    foreseen = owner.of(SchedulesState, "upcoming")
    assert len(foreseen) == 5
    assert all(shown.startswith("Sun ") and shown.endswith(", 04:30") for shown, _ in foreseen)
    assert {utc[-12:] for _, utc in foreseen} <= {"03:30:00 UTC", "02:30:00 UTC"}
    await owner.send(SchedulesState, "choose", value=str(saved.id))
    assert owner.of(SchedulesState, "chosen_about") == "Customers · last 30 days · Flag for review"
    assert owner.of(SchedulesState, "chosen_caution") == ""
    await owner.send(SchedulesState, "set_dry_run", chosen=True)
    await owner.send(SchedulesState, "save", form={"name": "  Sundays  "})

    (made,) = await kept(database, workspace_id)
    assert (made.name, made.rhythm, made.days) == ("Sundays", "Sundays at 04:30", 30)
    assert made.config.entity_types == (EntityType.CUSTOMERS,)
    assert made.config.dry_run
    (row,) = owner.of(SchedulesState, "rows")
    assert [row["next"], *row["times"]] == foreseen
    assert owner.of(SchedulesState, "adding") is False


REFUSED = {
    "no name": ({}, {"name": " "}, "error_name"),
    "a name that is taken": ({}, {"name": "Nightly"}, "error_name"),
    "a name that is no text": ({}, {"name": ["Nightly"]}, "error_name"),
    "no time": ({"at": ""}, {"name": "New"}, "error_rhythm"),
    "a time that there is not": ({"at": "25:00"}, {"name": "New"}, "error_rhythm"),
}


@pytest.mark.parametrize(("parts", "form", "field"), REFUSED.values(), ids=REFUSED.keys())
async def test_a_no_stands_beside_its_field(
    owner: Browser, database: Database, workspace_id: UUID, parts: dict[str, str], form: dict[str, object], field: str
) -> None:
    await make(database, workspace_id)
    await owner.send(SchedulesState, "open_form")
    for name, value in parts.items():
        await owner.send(SchedulesState, "set_part", name=name, value=value)
    await owner.send(SchedulesState, "save", form=form)
    wrong = {
        name: owner.of(SchedulesState, name) for name in ("error_name", "error_rhythm", "error_what", "error_form")
    }
    assert [name for name, said in wrong.items() if said] == [field]
    assert owner.of(SchedulesState, "adding") is True
    assert len(await kept(database, workspace_id)) == 1


async def test_an_end_of_the_range_is_left_out_and_said_so(
    owner: Browser, database: Database, workspace_id: UUID
) -> None:
    request = StartRequest(entity_types=("customers",), conflict_strategy="flag", start=86_400 * 365, end=86_400 * 400)
    saved = await presets.save(database, actor_of(workspace_id), "A month of 1971", request)
    assert isinstance(saved, Preset)
    await owner.send(SchedulesState, "open_form")
    await owner.send(SchedulesState, "choose", value=str(saved.id))
    assert owner.of(SchedulesState, "chosen_caution").startswith("The end of its range is left out")
    await owner.send(SchedulesState, "save", form={"name": "Since 1971"})
    (made,) = await kept(database, workspace_id)
    assert (made.config.start is not None, made.config.end) == (True, None)


async def test_a_workspace_that_approves_plans_is_offered_the_dry_run(
    owner: Browser, database: Database, workspace_id: UUID
) -> None:
    await plan_limits.save(database, actor_of(workspace_id), Limits(approval=True))
    await owner.send(SchedulesState, "open_form")
    await owner.send(SchedulesState, "save", form={"name": "Nightly"})
    assert "dry run" in owner.of(SchedulesState, "error_dry_run")
    await owner.send(SchedulesState, "set_dry_run", chosen=True)
    await owner.send(SchedulesState, "save", form={"name": "Nightly"})
    assert len(await kept(database, workspace_id)) == 1


async def test_words_that_are_no_choice_change_nothing(owner: Browser) -> None:
    await owner.send(SchedulesState, "open_form")
    before = owner.of(SchedulesState, "entered")
    for name, value in (("kind", "monthly"), ("hours", "0"), ("weekday", "7"), ("invented", "x")):
        await owner.send(SchedulesState, "set_part", name=name, value=value)
    await owner.send(SchedulesState, "choose", value=str(uuid4()))
    assert owner.of(SchedulesState, "entered") == before
    assert owner.of(SchedulesState, "chosen") == "last"
    await owner.send(SchedulesState, "set_part", name="kind", value="hours")
    shown = [datetime.fromisoformat(utc.removesuffix(" UTC")) for _, utc in owner.of(SchedulesState, "upcoming")]
    assert {(later - one).total_seconds() for one, later in pairwise(shown)} == {6 * 3600}


async def test_paused_and_gone_on_with(owner: Browser, database: Database, workspace_id: UUID) -> None:
    made = await make(database, workspace_id)
    await owner.send(SchedulesState, "load")
    for enabled in (False, True):
        await owner.send(SchedulesState, "switch", schedule_id=str(made.id))
        (row,) = owner.of(SchedulesState, "rows")
        assert (row["enabled"], bool(row["next"])) == (enabled, enabled)
        assert [one.enabled for one in await kept(database, workspace_id)] == [enabled]


async def test_one_is_changed_in_the_form_that_made_it(owner: Browser, database: Database, workspace_id: UUID) -> None:
    made = await make(database, workspace_id)
    await owner.send(SchedulesState, "load")
    await owner.send(SchedulesState, "edit", schedule_id=str(made.id))
    assert (owner.of(SchedulesState, "name"), owner.of(SchedulesState, "chosen")) == ("Nightly", "kept")
    assert owner.of(SchedulesState, "chosen_about") == "Customers · everything · Flag for review"
    await owner.send(SchedulesState, "set_part", name="at", value="04:15")
    await owner.send(SchedulesState, "save", form={"name": "Before breakfast"})

    (changed,) = await kept(database, workspace_id)
    assert (changed.id, changed.name, changed.rhythm) == (made.id, "Before breakfast", "Daily at 04:15")
    assert (changed.config, changed.revision) == (made.config, made.revision + 1)
    (row,) = owner.of(SchedulesState, "rows")
    assert (row["name"], owner.of(SchedulesState, "adding")) == ("Before breakfast", False)


async def test_what_a_program_has_set_is_kept_by_the_form(
    owner: Browser, database: Database, workspace_id: UUID
) -> None:
    """Hours and days that the form does not offer."""
    asked = ScheduleRequest("Odd", RhythmRequest(every_hours=5), CUSTOMERS, days=7)
    made = await schedules.add(database, actor_of(workspace_id), asked)
    assert isinstance(made, ScheduleView)
    await owner.send(SchedulesState, "edit", schedule_id=str(made.id))
    assert ["5", "every 5 hours"] in owner.of(SchedulesState, "hours")
    assert owner.of(SchedulesState, "chosen_about") == "Customers · last 7 days · Flag for review"
    await owner.send(SchedulesState, "save", form={"name": "Odd"})
    (changed,) = await kept(database, workspace_id)
    assert (changed.asked, changed.days, changed.config) == (made.asked, 7, made.config)


async def test_what_somebody_else_has_changed_is_shown_and_not_written_over(
    owner: Browser, database: Database, workspace_id: UUID
) -> None:
    made = await make(database, workspace_id)
    await owner.send(SchedulesState, "edit", schedule_id=str(made.id))
    ben = actor_of(workspace_id, label="ben@example.com")
    theirs = ScheduleRequest("Ben's", RhythmRequest(at="05:00"), CUSTOMERS)
    assert isinstance(await schedules.change(database, ben, made.id, theirs, revision=made.revision), ScheduleView)

    for _ in range(2):
        await owner.send(SchedulesState, "save", form={"name": "Mine"})
        assert owner.of(SchedulesState, "error_form").startswith("ben@example.com has changed this schedule")
        assert owner.of(SchedulesState, "moved_on") is True
    assert [one.name for one in await kept(database, workspace_id)] == ["Ben's"]
    await owner.send(SchedulesState, "edit", schedule_id=owner.of(SchedulesState, "editing"))
    assert (owner.of(SchedulesState, "name"), owner.of(SchedulesState, "error_form")) == ("Ben's", "")
    await owner.send(SchedulesState, "save", form={"name": "Mine"})
    assert [one.name for one in await kept(database, workspace_id)] == ["Mine"]


async def test_the_list_is_told_what_came_of_a_run_and_nothing_when_nothing_has_changed(
    owner: Browser, database: Database, workspace_id: UUID
) -> None:
    made = await make(database, workspace_id)
    await owner.send(SchedulesState, "load")
    session_id = await enqueue(database, workspace_id, config(EntityType.CUSTOMERS))
    async with database.workspace(workspace_id) as session:
        bound = {"id": session_id}
        await session.execute(text("UPDATE payment_sync_schedules SET last_session_id = :id"), bound)
    seen = []
    for status in ("running", "completed"):
        async with database.workspace(workspace_id) as session:
            await session.execute(text("UPDATE payment_sync_sessions SET status = :status"), {"status": status})
        await owner.send(SchedulesState, "renew")
        (row,) = owner.of(SchedulesState, "rows")
        seen.append((row["id"], row["last"][1:3], row["last"][3].startswith("since ")))
    assert seen == [(str(made.id), ["#1", "running"], True), (str(made.id), ["#1", "completed"], False)]
    owner.messages.clear()
    await owner.send(SchedulesState, "renew")
    assert [one.names for one in owner.messages if one.names & {"rows", "further"}] == []


async def test_deleted_after_a_question(owner: Browser, database: Database, workspace_id: UUID) -> None:
    made = await make(database, workspace_id)
    await owner.send(SchedulesState, "load")
    await owner.send(SchedulesState, "ask_to_remove", schedule_id=str(made.id))
    assert owner.of(SchedulesState, "removing_name") == "Nightly"
    await owner.send(SchedulesState, "keep")
    await owner.send(SchedulesState, "remove")
    assert len(await kept(database, workspace_id)) == 1
    await owner.send(SchedulesState, "ask_to_remove", schedule_id=str(made.id))
    await owner.send(SchedulesState, "remove")
    assert await kept(database, workspace_id) == []
    assert owner.of(SchedulesState, "rows") == []


async def test_another_workspaces_cannot_be_reached(owner: Browser, database: Database) -> None:
    other = await make_workspace(database, "Other")
    made = await make(database, other)
    await owner.send(SchedulesState, "load")
    assert owner.of(SchedulesState, "rows") in (None, [])
    for schedule_id in (str(made.id), str(uuid4()), "", "x' OR 1=1"):
        await owner.send(SchedulesState, "switch", schedule_id=schedule_id)
        await owner.send(SchedulesState, "edit", schedule_id=schedule_id)
        assert owner.of(SchedulesState, "editing") in (None, "")
        await owner.send(SchedulesState, "ask_to_remove", schedule_id=schedule_id)
        await owner.send(SchedulesState, "remove")
    assert [one.enabled for one in await kept(database, other)] == [True]


async def test_whoever_may_only_look_sees_and_changes_nothing(database: Database, workspace_id: UUID) -> None:
    made = await make(database, workspace_id)
    async with browser(database, workspace_id, f"{PATH}?add=last", Role.VIEWER) as viewer:
        await viewer.send(SchedulesState, "load")
        assert [row["name"] for row in viewer.of(SchedulesState, "rows")] == ["Nightly"]
        assert viewer.of(SchedulesState, "may_run") in (None, False)
        await viewer.send(SchedulesState, "open_form")
        assert viewer.of(SchedulesState, "adding") in (None, False)
        await viewer.send(SchedulesState, "edit", schedule_id=str(made.id))
        assert viewer.of(SchedulesState, "adding") in (None, False)
        await viewer.send(SchedulesState, "save", form={"name": "Mine"})
        await viewer.send(SchedulesState, "switch", schedule_id=str(made.id))
        assert "Your role" in viewer.of(PageState, "notice")
        await viewer.send(SchedulesState, "ask_to_remove", schedule_id=str(made.id))
        await viewer.send(SchedulesState, "remove")
    assert [(one.name, one.enabled) for one in await kept(database, workspace_id)] == [("Nightly", True)]


async def test_the_address_opens_the_form(owner: Browser) -> None:
    owner.at(PATH, add="last")
    await owner.send(SchedulesState, "load")
    assert owner.of(SchedulesState, "adding") is True


async def test_as_many_as_there_can_be_come_in_small_messages(
    owner: Browser, database: Database, workspace_id: UUID
) -> None:
    for at in range(MOST_SCHEDULES):
        await make(database, workspace_id, f"{at:02} " + "🗓" * 77)
    async with database.workspace(workspace_id) as session:
        note = "A sync of this workspace was running. " * 3
        await session.execute(text("UPDATE payment_sync_schedules SET last_note = :note"), {"note": note})
    for at in range(presets.MOST_PRESETS):
        await presets.save(database, actor_of(workspace_id), f"{at:02} " + "ä" * 57, CUSTOMERS)
    owner.messages.clear()
    await owner.send(SchedulesState, "load")
    await owner.send(SchedulesState, "open_form")
    assert len(owner.of(SchedulesState, "rows")) + len(owner.of(SchedulesState, "further")) == MOST_SCHEDULES
    assert len(owner.of(SchedulesState, "choices")) == presets.MOST_PRESETS + 1
    assert [(one.size, sorted(one.names)) for one in owner.messages if one.size > A_MESSAGE] == []
