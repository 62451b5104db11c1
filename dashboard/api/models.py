"""Bodies and answers of the API, as its OpenAPI document shows them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, model_validator
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from sync_core.domain.custom_values import unwritable
from sync_core.domain.vocabulary import EntityType, ReasonCode

_EXAMPLE_RANGE: JsonDict = {"start": "2025-01-01T00:00:00Z", "end": "2025-07-01T00:00:00Z"}


class Body(BaseModel):
    # An unknown name is a mistake: a misspelt "dry_run" would otherwise start a real sync.
    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _writable(cls, given: Any) -> Any:
        if _is_unwritable(given):
            raise PydanticCustomError("unwritable", "Text must not contain NUL or half characters")
        return given


def _is_unwritable(given: Any) -> bool:
    """Text that PostgreSQL does not keep, anywhere in it."""
    if isinstance(given, str):
        return unwritable(given)
    if isinstance(given, dict):
        return any(_is_unwritable(one) for pair in given.items() for one in pair)
    return isinstance(given, list) and any(_is_unwritable(one) for one in given)


class ErrorDetail(BaseModel):
    code: str
    message: str
    details: dict[str, Any]


class ErrorResponse(BaseModel):
    error: ErrorDetail


class ConnectBody(Body):
    api_key: StrictStr = Field(description="A restricted (rk_…) or secret (sk_…) key of the account.")
    entity_types: list[EntityType] = Field(
        default_factory=lambda: list(EntityType),
        max_length=100,
        description="What the key is to read, and is examined for. All of them by default.",
    )


class WebhookSecretBody(Body):
    webhook_secret: StrictStr = Field(description="The endpoint's signing secret (whsec_…); empty forgets it.")


class ReadCapBody(Body):
    requests_per_second: StrictInt | None = Field(
        description="From 1 to what Stripe allows the account (100 live, 25 test); null goes back to the default."
    )


class DisconnectBody(Body):
    confirmation: StrictStr = Field(description="The account's name, or its id when it has none.")


class ReadCap(BaseModel):
    """Requests a second that this workspace allows; of them `per_list` to one list. `changes` are this workspace's, the newest first.
    `limit_set_elsewhere`: what holds for the account is another workspace's.
    """

    object: Literal["read_cap"]
    requests_per_second: int
    per_list: int
    default: int
    most: int
    is_default: bool
    limit_set_elsewhere: bool
    changes: list[dict[str, Any]]


class DateRange(Body):
    """By the objects' `created`; the end is exclusive. Epoch seconds or RFC 3339; at least one of the two."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE_RANGE]})

    start: StrictInt | StrictStr | None = None
    end: StrictInt | StrictStr | None = None


class NarrowStrategies(Body):
    """Strategies that differ from the run's: {"prices": "overwrite"} and {"customers.name": "flag"}."""

    default: StrictStr | None = Field(default=None, description="As conflict_strategy; given back, not needed.")
    entities: dict[str, StrictStr] = Field(default_factory=dict)
    fields: dict[str, StrictStr] = Field(default_factory=dict)


class StartBody(Body):
    entity_types: list[StrictStr] = Field(max_length=100, examples=[["customers", "products"]])
    batch_size: StrictInt = Field(default=100, description="Objects in a page, 1 to 100.")
    concurrent_batches: StrictInt = Field(default=3, description="Pages read at once, 1 to 20.")
    conflict_strategy: StrictStr = Field(default="skip", description="skip, overwrite or flag.")
    strategies: NarrowStrategies = Field(default_factory=NarrowStrategies)
    dry_run: StrictBool = False
    date_range: DateRange | None = None


class ApplyBody(Body):
    limit: StrictInt | None = Field(
        default=None, description="Only the first so many changes of each entity type, with the parents that they need."
    )
    confirm: StrictBool = Field(
        default=False, description="Says that the warnings were looked at, where the workspace asks for that."
    )


class RetryBody(Body):
    """Nothing set: every error of the sync. Ids need their entity type."""

    entity_type: EntityType | None = None
    reason_code: ReasonCode | None = None
    external_ids: list[StrictStr] = Field(default_factory=list, max_length=1000, examples=[["cus_NffrFeUfNV2Hib"]])


class Check(BaseModel):
    name: str
    label: str
    status: str
    message: str
    hint: str
    code: str
    parts: list[dict[str, Any]]
    took_ms: int | None
    request_id: str | None
    checked_at: int
    checked_by: str


class ConnectionKey(BaseModel):
    kind: str
    last4: str


class Connection(BaseModel):
    id: str
    object: Literal["connection"]
    provider: Literal["stripe"]
    account_id: str
    account_name: str | None
    country: str | None
    default_currency: str | None
    livemode: bool
    sandbox: bool
    key: ConnectionKey
    former_key_last4: str | None = Field(description="Of the key before, which is kept until the new one has worked.")
    webhook_secret_set: bool
    entity_types: list[str] = Field(description="What the key is to read, and is examined for.")
    checks: list[Check]
    checked_at: int | None
    created_at: int
    updated_at: int


class SessionDateRange(BaseModel):
    start: str | None
    end: str | None


class SessionConfig(BaseModel):
    workspace_id: str
    entity_types: list[str]
    batch_size: int
    concurrent_batches: int
    conflict_strategy: str
    strategies: dict[str, Any]
    dry_run: bool
    date_range: SessionDateRange | None = None
    limit: int | None = None


class EntityProgress(BaseModel):
    """`successful` is created, updated and unchanged together; `last_error` is absent when there is none."""

    entity_type: str
    total_estimated: int
    estimated_exact: bool
    processed: int
    successful: int
    failed: int
    skipped: int
    fetched: int
    planned: int
    created: int
    updated: int
    unchanged: int
    conflicts: int
    last_cursor: str
    is_complete: bool
    last_error: str | None = None
    phase: str
    requested: bool
    requests: int
    verified: dict[str, Any] | None


class SyncSession(BaseModel):
    """Times are epoch seconds; those that have not come are absent. `outcome` says what stays of a run that was stopped.

    `number` counts the workspace's runs: the plan of dry run 12 is plan 12. `source_number` is that of the plan which a run applies.
    """

    id: str
    object: Literal["sync_session"]
    workspace_id: str
    number: int
    source_number: int | None
    status: str
    config: SessionConfig
    progress: dict[str, EntityProgress]
    started_at: int | None = None
    completed_at: int | None = None
    created_at: int
    updated_at: int
    session_type: str
    phase: str
    cancel_requested: bool
    source_session_id: str | None
    error_summary: dict[str, Any] | None
    created_by: str
    outcome: str | None = None


class SyncSessionList(BaseModel):
    """The newest first; `next_cursor` asks for the next page."""

    object: Literal["list"] = "list"
    data: list[SyncSession]
    has_more: bool
    next_cursor: str | None


class SyncEvent(BaseModel):
    id: str
    object: Literal["sync_event"]
    event_type: str
    entity_type: str
    entity_id: str | None
    external_id: str | None
    message: str
    details: dict[str, Any] | None
    occurred_at: int


class SyncEventList(BaseModel):
    object: Literal["list"] = "list"
    data: list[SyncEvent]
    has_more: bool
    next_cursor: str | None


class SyncError(BaseModel):
    """An object that failed, where, in which request of Stripe's, and what to do about it."""

    object: Literal["sync_error"]
    entity_type: str
    external_id: str
    label: str
    reason_code: str
    reason: str
    field: str | None
    message: str
    request_id: str | None
    repair: str


class SyncErrorList(BaseModel):
    object: Literal["list"] = "list"
    data: list[SyncError]
    has_more: bool
    next_cursor: str | None


class Estimate(BaseModel):
    object: Literal["sync_estimate"]
    entities: dict[str, dict[str, Any]]
    records: int
    requests: int
    requests_between: dict[str, int]
    seconds: dict[str, int]
    reads: dict[str, float]
    warning: str | None


class Received(BaseModel):
    received: bool


class Health(BaseModel):
    status: Literal["ok"]
