"""Bodies and answers of /sync/stripe/conflicts."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, StrictInt, StrictStr

from dashboard.api.models import Body
from sync_core.domain.vocabulary import Choice, ConflictStatus, EntityType, ReasonCode
from sync_core.services.conflicts import ConflictQuery

_WRITABLE = r"^[^\x00]*$"


class ConflictFilter(BaseModel):
    """All of it must fit; nothing given means every open conflict."""

    entity_type: EntityType | None = None
    field: str | None = Field(default=None, max_length=100, pattern=_WRITABLE)
    reason: ReasonCode | None = None
    search: str = Field(default="", max_length=200, pattern=_WRITABLE, description="Part of a label or a Stripe id.")
    status: ConflictStatus = ConflictStatus.OPEN
    session_id: UUID | None = None
    assignee: str | None = Field(default=None, max_length=300, pattern=_WRITABLE)
    snoozed: bool = False

    def asked(self) -> ConflictQuery:
        return ConflictQuery(
            entity=self.entity_type,
            field=self.field,
            reason=self.reason,
            search=self.search,
            status=self.status,
            session_id=self.session_id,
            assignee=self.assignee,
            snoozed=self.snoozed,
        )


class FieldChoice(Body):
    take: Choice
    value: Any = Field(default=None, description="For `custom`: money in minor units, times in epoch seconds.")


class ResolveBody(Body):
    take: Choice | None = Field(default=None, description="One side for everything that differs.")
    choices: dict[str, FieldChoice] | None = Field(
        default=None, description="By field; `record` for the record itself."
    )
    revision: StrictInt | None = Field(
        default=None, description="The revision you looked at: refused when it has moved on."
    )


class BulkPreviewBody(Body):
    filter: ConflictFilter = Field(default_factory=ConflictFilter)
    take: Choice | None = None
    fields: dict[str, Choice] = Field(default_factory=dict, description="Fields with an answer of their own.")
    record: Choice | None = None


class BulkResolveBody(Body):
    preview_id: UUID
    hash: StrictStr


class ConflictLine(BaseModel):
    id: str
    object: Literal["conflict"]
    entity_type: str
    record_id: str
    external_id: str
    label: str
    reason: str
    status: str
    fields: list[str]
    revision: int
    session_id: str
    assignee: str | None
    snoozed_until: int | None
    resolved_by: str | None
    resolved_at: int | None
    created_at: int


class ConflictList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ConflictLine]
    has_more: bool
    next_cursor: str | None


class Conflict(ConflictLine):
    base_known: bool
    record_question: str | None
    record_take: str | None
    differing: list[dict[str, Any]]
    problem: str | None
    decisions: list[dict[str, Any]]


class Resolved(Conflict):
    decision_id: str
    batch_id: str


class BulkPreview(BaseModel):
    id: str
    object: Literal["conflict_preview"]
    hash: str
    rows: int
    rule: dict[str, Any]
    entities: dict[str, int]
    fields: list[dict[str, Any]]
    samples: list[dict[str, Any]]
    not_covered: list[dict[str, Any]]
    money: bool


class BulkResult(BaseModel):
    batch_id: str
    resolved: int
    left_out_count: int
    left_out: list[dict[str, Any]]


class Undone(BaseModel):
    undone: int
    refused_count: int
    refused: list[dict[str, Any]]
