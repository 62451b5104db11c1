"""Bodies and answers of /sync/stripe/conflicts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, model_validator
from pydantic_core import PydanticCustomError

from dashboard.api.models import Body
from sync_core.domain.conflict_rules import Take
from sync_core.domain.vocabulary import Choice, ConflictSort, ConflictStatus, Facet, Snooze
from sync_core.errors import Refusal
from sync_core.store.conflict_query import MOST_DELTA, ConflictQuery, known

_WRITABLE = r"^[^\x00]*$"
_WORDS = r"^[a-z_,]*$"


class ConflictFilter(BaseModel):
    """All of it must fit; nothing given means every open conflict. Facets take several values between commas: any of them fits.

    `not` names the facets that are meant the other way round.
    """

    model_config = ConfigDict(populate_by_name=True)

    entity_type: str = Field(default="", max_length=200, pattern=_WORDS)
    severity: str = Field(default="", max_length=100, pattern=_WORDS, description="high, normal")
    field: str = Field(default="", max_length=1_000, pattern=_WORDS)
    reason: str = Field(default="", max_length=300, pattern=_WORDS)
    transition: str = Field(
        default="",
        max_length=200,
        pattern=_WORDS,
        description="filled, emptied, case, space, currency, more, less, other",
    )
    customer: str = Field(default="", max_length=100, pattern=_WORDS, description="live, deleted, none")
    mark: str = Field(default="", max_length=100, pattern=_WORDS, description="reopened, chosen")
    reviewed: str = Field(default="", max_length=100, pattern=_WORDS, description="me, not: by whoever asks.")
    age: str = Field(default="", max_length=100, pattern=_WORDS, description="day, week, month, older")
    session_id: UUID | None = None
    assignee: str = Field(default="", max_length=1_000, pattern=_WRITABLE, description="nobody: those without one.")
    excluded: str = Field(default="", max_length=200, pattern=_WORDS, alias="not")
    search: str = Field(
        default="", max_length=200, pattern=_WRITABLE, description="Part of a label, Stripe id, email or value."
    )
    amount_differs_by: Decimal | None = Field(
        default=None,
        ge=0,
        le=MOST_DELTA,
        allow_inf_nan=False,
        description="At least so much, in the currency's own unit.",
    )
    status: ConflictStatus = ConflictStatus.OPEN
    snoozed: bool = False

    def asked(self, sort: ConflictSort = ConflictSort.NEWEST) -> ConflictQuery | Refusal:
        texts = {
            Facet.ENTITY: self.entity_type,
            Facet.SEVERITY: self.severity,
            Facet.FIELD: self.field,
            Facet.REASON: self.reason,
            Facet.TRANSITION: self.transition,
            Facet.CUSTOMER: self.customer,
            Facet.MARK: self.mark,
            Facet.REVIEWED: self.reviewed,
            Facet.AGE: self.age,
            Facet.RUN: str(self.session_id or ""),
            Facet.ASSIGNEE: self.assignee,
        }
        try:
            chosen = {facet: tuple(known(facet, text.split(","))) for facet, text in texts.items() if text}
            excluded = frozenset(Facet(_FACETS.get(name, name)) for name in self.excluded.split(",") if name)
        except ValueError as wrong:
            return Refusal("filter_unknown", f"{wrong}.", field="filter")
        return ConflictQuery(chosen, excluded, self.search, self.amount_differs_by, self.status, self.snoozed, sort)


_FACETS = {"entity_type": "entity", "session_id": "run"}


class FieldChoice(Body):
    take: Choice
    value: Any = Field(
        default=None,
        description="For `custom`, which needs it: money in minor units, times in epoch seconds, null for none.",
    )

    @model_validator(mode="after")
    def _own_value(self) -> Self:
        """What was forgotten does not empty a field."""
        if self.take is Choice.CUSTOM and "value" not in self.model_fields_set:
            raise PydanticCustomError("value_missing", "An own value needs a value")
        return self


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
    conflict_ids: list[UUID] | None = Field(
        default=None, max_length=100, description="These and no others, as far as they match."
    )
    take: Take | None = Field(
        default=None,
        description="For every field that differs. `newer` takes the side that changed last, by Stripe's webhook events and the edits made"
        " here; a conflict of which that is not known stays open, and is in `not_covered`.",
    )
    fields: dict[str, Take] = Field(default_factory=dict, description="Fields with an answer of their own.")
    record: Choice | None = None


class BulkResolveBody(Body):
    preview_id: UUID
    hash: StrictStr


class HandlingBody(Body):
    """What is left out stays as it is."""

    assignee: str | None = Field(
        default=None, max_length=300, pattern=_WRITABLE, description="A member's email, or null."
    )
    snoozed_until: StrictInt | None = Field(default=None, ge=0, le=253402300799, description="Epoch seconds, or null.")
    snoozed_for: Snooze | None = Field(
        default=None, description="Until the next sync finds it again, or a value changes."
    )


class CommentBody(Body):
    body: StrictStr = Field(max_length=2_000)


class ImportBody(Body):
    decisions: StrictStr = Field(max_length=250_000, description="CSV as exported, or a JSON object a line.")


class FacetValue(BaseModel):
    value: str
    count: int


class FacetCounts(BaseModel):
    facets: dict[str, list[FacetValue]]
    matching: int
    total: int
    older_than_a_week: int
    records: int | None = Field(
        description="What the matching conflicts stand for; null where they are settled, and for a search among customers that emails match."
    )
    more_records: bool = Field(
        description="There are more than `records`: they are told apart up to ten thousand conflicts."
    )


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
    severity: str
    assignee: str | None
    snoozed_until: int | None
    snoozed_for: str | None
    reopened_at: int | None
    resolved_by: str | None
    resolved_at: int | None
    created_at: int


class ConflictList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ConflictLine]
    has_more: bool
    next_cursor: str | None


class Conflict(ConflictLine):
    why: str
    request_id: str | None = Field(description="Stripe's, of the answer that its side was read from.")
    base_run: int | None = Field(
        description="The number of the run in which both sides last agreed; null once it is settled."
    )
    dependents: dict[str, int]
    newer_id: str | None
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
    begun: int = Field(description="Of the rows, those with choices that wait to be applied: the rule replaces them.")
    changed: int = Field(description="Of the rows, those that are no longer as previewed: they would be left out.")


class BulkResult(BaseModel):
    batch_id: str
    resolved: int
    left_out_count: int
    left_out: list[dict[str, Any]]
    waiting: int


class Undone(BaseModel):
    undone: int
    refused_count: int
    refused: list[dict[str, Any]]
