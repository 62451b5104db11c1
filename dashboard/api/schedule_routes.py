"""/sync/stripe/schedules"""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field, StrictBool, StrictInt, StrictStr

from dashboard.api.access import CallingActor, OpenDatabase
from dashboard.api.answers import noes
from dashboard.api.dates import start_request
from dashboard.api.errors import granted
from dashboard.api.models import Body, StartBody
from sync_core.domain.vocabulary import SessionStatus
from sync_core.services import schedules
from sync_core.services.schedules import RhythmRequest, ScheduleRequest

router = APIRouter(prefix="/sync/stripe/schedules", tags=["schedules"])


class ScheduleBody(Body):
    """Either `every_hours`, or `at`; the latter daily, or with `weekday` once a week."""

    name: StrictStr
    every_hours: StrictInt | None = Field(default=None, description=f"1 to {schedules.MOST_HOURS}.")
    at: StrictStr | None = Field(
        default=None, description="A time of day in the workspace's time zone.", examples=["03:00"]
    )
    weekday: StrictInt | None = Field(default=None, description="0 is Monday, 6 is Sunday.")
    start: StartBody = Field(description="What is started, as in POST /sync/stripe/initial; its range has no end.")
    days: StrictInt | None = Field(
        default=None, description="Only objects of the last so many days, counted back at each start."
    )


class ScheduleChange(Body):
    enabled: StrictBool


class ChangedSchedule(ScheduleBody):
    """All of it, as it is to be from now on."""

    revision: StrictInt = Field(description="The one that you looked at: refused when somebody has changed it since.")


class ScheduledRun(BaseModel):
    """`at` is its end, or its beginning while it goes on."""

    id: str
    number: int
    status: SessionStatus
    at: int


class SyncSchedule(BaseModel):
    """`next_times` are epoch seconds; none while it is paused. `last_note` says why the last time started nothing."""

    id: str
    object: Literal["sync_schedule"]
    name: str
    description: str
    enabled: bool
    every_hours: int | None
    at: str | None
    weekday: int | None
    config: dict[str, Any]
    next_times: list[int]
    last_session_id: str | None
    last_run: ScheduledRun | None
    last_note: str | None
    revision: int
    created_by: str
    changed_by: str | None
    created_at: int


class ScheduleList(BaseModel):
    object: Literal["list"] = "list"
    data: list[SyncSchedule]


class DeletedSchedule(BaseModel):
    id: str
    object: Literal["sync_schedule"] = "sync_schedule"
    deleted: bool = True


@router.get("", response_model=ScheduleList, responses=noes(), summary="Syncs that repeat, by name")
async def list_schedules(actor: CallingActor, database: OpenDatabase) -> dict[str, Any]:
    return {"data": [one.to_json() for one in await schedules.list_schedules(database, actor)]}


@router.post("", status_code=201, response_model=SyncSchedule, responses=noes(403, 409), summary="Have a sync repeat")
async def add_schedule(body: ScheduleBody, actor: CallingActor, database: OpenDatabase) -> dict[str, Any]:
    """On from the start. A time at which a sync is running starts nothing; one that was missed is not made up for.

    A name that is taken is refused (409 `schedule_name_taken`), so a call that is repeated adds nothing.
    """
    return granted(await schedules.add(database, actor, _asked(body))).to_json()


@router.put(
    "/{schedule_id}", response_model=SyncSchedule, responses=noes(403, 409), summary="Change a schedule, all of it"
)
async def replace_schedule(
    schedule_id: UUID, body: ChangedSchedule, actor: CallingActor, database: OpenDatabase
) -> dict[str, Any]:
    """By the rules of a new one. In the same rhythm its next time stays; paused it stays paused.

    What somebody else has changed since your `revision` is not written over (409 `schedule_changed`): read it again first.
    """
    return granted(await schedules.change(database, actor, schedule_id, _asked(body), revision=body.revision)).to_json()


def _asked(body: ScheduleBody) -> ScheduleRequest:
    return ScheduleRequest(
        name=body.name,
        rhythm=RhythmRequest(every_hours=body.every_hours, at=body.at or "", weekday=body.weekday),
        start=granted(start_request(body.start)),
        days=body.days,
    )


@router.patch(
    "/{schedule_id}", response_model=SyncSchedule, responses=noes(403), summary="Pause a schedule, or go on with it"
)
async def change_schedule(
    schedule_id: UUID, body: ScheduleChange, actor: CallingActor, database: OpenDatabase
) -> dict[str, Any]:
    return granted(await schedules.set_enabled(database, actor, schedule_id, enabled=body.enabled)).to_json()


@router.delete("/{schedule_id}", response_model=DeletedSchedule, responses=noes(403), summary="Delete a schedule")
async def delete_schedule(schedule_id: UUID, actor: CallingActor, database: OpenDatabase) -> dict[str, Any]:
    """The syncs that it has started stay."""
    granted(await schedules.delete(database, actor, schedule_id))
    return {"id": str(schedule_id)}
