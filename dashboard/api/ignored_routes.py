"""/sync/stripe/conflicts/ignored"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, StrictBool, StrictStr, model_validator

from dashboard.api.access import CallingActor, OpenDatabase
from dashboard.api.answers import noes
from dashboard.api.conflict_models import BulkPreview, BulkResult
from dashboard.api.errors import granted
from dashboard.api.models import Body
from sync_core.services import conflict_ignored

router = APIRouter(prefix="/sync/stripe/conflicts/ignored", tags=["ignored fields"])

_PATH = r"^[a-z_]{1,40}\.[a-z_]{1,80}$"


class IgnoringBody(Body):
    field: StrictStr = Field(pattern=_PATH, description="Entity type and field: customers.phone")
    conflict_id: UUID | None = Field(
        default=None, description="Only in the record of this conflict; else in every one."
    )


class IgnoreBody(IgnoringBody):
    money: StrictBool = Field(default=False, description="Needed for a field that says what somebody pays.")
    preview_id: UUID | None = Field(default=None, description="What is to be settled with it, as previewed.")
    hash: StrictStr | None = None

    @model_validator(mode="after")
    def _both(self) -> IgnoreBody:
        if (self.preview_id is None) is not (self.hash is None):
            raise ValueError("a preview's id and its hash go together")
        return self


class IgnoredField(BaseModel):
    object: Literal["ignored_field"]
    field: str
    label: str
    money: bool
    record_id: str | None
    record: str | None
    ignored_by: str
    ignored_at: int
    open_conflicts: int


class IgnoredList(BaseModel):
    object: Literal["list"] = "list"
    data: list[IgnoredField]


class NowIgnored(BaseModel):
    field: str
    conflict_id: str | None
    added: bool
    settled: BulkResult | None


class Heeded(BaseModel):
    field: str
    record_id: str | None
    deleted: bool = True


@router.get("", response_model=IgnoredList, responses=noes(), summary="Fields that syncs leave alone")
async def list_ignored(actor: CallingActor, database: OpenDatabase) -> dict[str, Any]:
    """In every record first, then those of single records. Each with the open conflicts that ask about it."""
    found = granted(await conflict_ignored.listed(database, actor))
    return {"object": "list", "data": [one.to_json() for one in found]}


@router.post("/preview", response_model=BulkPreview, responses=noes(403), summary="What ignoring a field would settle")
async def preview_ignoring(body: IgnoringBody, actor: CallingActor, database: OpenDatabase) -> dict[str, Any]:
    """Open conflicts about this field alone: no record is changed. Nothing is ignored yet."""
    return granted(await conflict_ignored.foresee(database, actor, body.field, body.conflict_id)).to_json()


@router.post("", status_code=201, response_model=NowIgnored, responses=noes(403, 409), summary="Ignore a field")
async def ignore_field(body: IgnoreBody, actor: CallingActor, database: OpenDatabase) -> dict[str, Any]:
    """From the next sync on ours stays. Without a preview nothing that is open is settled."""
    seen = (body.preview_id, body.hash) if body.preview_id is not None and body.hash is not None else None
    done = granted(
        await conflict_ignored.ignore(
            database, actor, body.field, conflict_id=body.conflict_id, money=body.money, preview=seen
        )
    )
    return {
        "field": body.field,
        "conflict_id": str(body.conflict_id) if body.conflict_id else None,
        "added": done.added,
        "settled": done.settled.to_json() if done.settled else None,
    }


@router.delete("/{field}", response_model=Heeded, responses=noes(403), summary="Compare a field again")
async def heed_field(
    field: str,
    actor: CallingActor,
    database: OpenDatabase,
    record_id: Annotated[UUID | None, Query(description="Where it is ignored in this record alone.")] = None,
) -> dict[str, Any]:
    """From the next sync on. What was settled with it stands."""
    granted(await conflict_ignored.heed(database, actor, field, record_id))
    return {"field": field, "record_id": str(record_id) if record_id else None}
