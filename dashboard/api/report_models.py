"""Bodies of the REST API about a run's report: what its plan says, how it has drifted, and what another run did otherwise."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from dashboard.api.models import SyncSession


class Verification(BaseModel):
    """`found` of `expected` objects are stored. Stripe was `asked` again so many times and listed `compared` ids; `late` ones had not landed
    before. Of `values_compared` records all values were compared with what was planned of them; `differing` are stored otherwise.
    `missing_ids` and `differing_ids` are the first hundred of each entity type: `repair` fetches them all anew."""

    summary: str
    expected: int
    found: int
    asked: int
    compared: int
    late: int
    values_compared: int
    differing: int
    missing_ids: dict[str, list[str]]
    differing_ids: dict[str, list[str]]


class PlanApproval(BaseModel):
    """`status` is not_needed, needed or approved; `at` epoch seconds. Where `automatic_without_warnings`, a plan without any needs nobody."""

    status: str
    by: str | None
    at: int | None
    automatic_without_warnings: bool


class PlanSpace(BaseModel):
    """What applying the plan adds to the database; `measured` by the size of the records stored here, else as a rule."""

    bytes: int
    measured: bool


class SyncReport(BaseModel):
    """`matrix` is by entity type and action; in a dry run it is what would happen.

    `status` says whether a dry run's plan can be applied, until `valid_until`. `exit_code` is for scripts: 0 nothing to
    change, 2 changes, 1 errors or no end yet.
    """

    object: Literal["sync_report"]
    session: SyncSession
    summary: str
    status: str
    valid_until: int | None
    plan_hash: str | None
    superseded_by: str | None
    approval: PlanApproval
    apply_seconds: list[float] | None = Field(description="How long applying it may take: the least and the most.")
    space: PlanSpace | None
    exit_code: int
    requests: int
    reads: dict[str, float]
    seconds: int | None
    verified: bool | None
    verification: Verification | None
    totals: dict[str, int]
    matrix: dict[str, dict[str, int]]
    reasons: list[dict[str, Any]]


class DriftChange(BaseModel):
    field: str
    label: str
    planned: str
    now: str


class DriftedRow(BaseModel):
    """`action` is what the plan said; `changes` are our values when it was made, and now."""

    entity_type: str
    external_id: str
    label: str
    action: str
    record_id: str | None
    why: str
    changes: list[DriftChange]


class PlanDrift(BaseModel):
    """Of `rows`, those `compared` in this answer. `complete` is false where more are left: `count_cursor` goes on there."""

    object: Literal["plan_drift"]
    summary: str
    rows: int
    compared: int
    as_planned: int
    done: int
    drifted: int
    by_entity_type: dict[str, int]
    complete: bool
    count_cursor: str | None
    data: list[DriftedRow]
    has_more: bool
    next_cursor: str | None


class RowOfRun(BaseModel):
    action: str
    reason_code: str | None
    message: str | None


class DifferingValue(BaseModel):
    """`side` is `ours` or `stripe`; values are as the earlier sync found them, and the later one."""

    side: str
    field: str
    label: str
    earlier: Any
    later: Any


class DifferingRow(BaseModel):
    """`earlier` or `later` is null where that sync has no such row."""

    entity_type: str
    external_id: str
    label: str
    record_id: str | None
    earlier: RowOfRun | None
    later: RowOfRun | None
    why: str
    changes: list[DifferingValue]


class DifferenceKind(BaseModel):
    entity_type: str
    earlier: str | None
    later: str | None
    count: int


class SyncDifferences(BaseModel):
    """Of the rows `compared` in this answer, how many differ in which way. `complete` is false where more are left: `count_cursor` goes on
    there.
    """

    object: Literal["sync_differences"]
    summary: str
    compared: int
    differing: int
    kinds: list[DifferenceKind]
    complete: bool
    count_cursor: str | None
    data: list[DifferingRow]
    has_more: bool
    next_cursor: str | None
