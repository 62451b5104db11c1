from __future__ import annotations

import json
from typing import Any

import pytest

from sync_core.domain.progress import EntityProgress, session_status
from sync_core.domain.vocabulary import Action, EntityType, Phase, SessionStatus

CUSTOMERS, PRODUCTS, *_ = EntityType
PLAN_FIELDS = {
    "entity_type",
    "total_estimated",
    "processed",
    "successful",
    "failed",
    "skipped",
    "last_cursor",
    "is_complete",
    "last_error",
}


def progress(entity: EntityType = CUSTOMERS, **over: Any) -> EntityProgress:
    return EntityProgress(entity, **over)


def test_counts_are_a_fold() -> None:
    folded = progress().counted({Action.CREATE: 3, Action.UNCHANGED: 2}).counted({Action.ERROR: 1, Action.CREATE: 1})
    folded = folded.counted({Action.SKIP: 1, Action.CONFLICT: 1, Action.UPDATE: 1})
    assert (folded.created, folded.updated, folded.unchanged) == (4, 1, 2)
    assert (folded.skipped, folded.conflicts, folded.failed) == (1, 1, 1)
    assert (folded.successful, folded.processed) == (7, 10)


def test_json_has_the_plans_fields_and_survives() -> None:
    before = progress(total_estimated=10, created=2, failed=1, last_cursor="cus_9", phase=Phase.APPLY, last_error="no")
    text = json.dumps(before.to_json())
    assert set(json.loads(text)) >= PLAN_FIELDS
    assert json.loads(text)["processed"] == 3
    assert EntityProgress.from_json(json.loads(text)) == before
    assert EntityProgress.from_json({"entity_type": "customers", "later_field": 1}) == progress()


FRACTIONS = {
    "unknown": (progress(created=5), None),
    "half": (progress(total_estimated=10, created=5), 0.5),
    "more than estimated": (progress(total_estimated=10, created=50), 0.99),
    "complete": (progress(total_estimated=10, created=5, is_complete=True), 1.0),
    "complete and empty": (progress(is_complete=True), 1.0),
}


@pytest.mark.parametrize(("entity", "fraction"), FRACTIONS.values(), ids=FRACTIONS.keys())
def test_a_bar_is_full_only_when_complete(entity: EntityProgress, fraction: float | None) -> None:
    assert entity.fraction == fraction


DONE = progress(created=5, is_complete=True)
EMPTY = progress(PRODUCTS, is_complete=True)
ALL_FAILED = progress(PRODUCTS, failed=5, is_complete=True)
SOME_FAILED = progress(created=4, failed=1, is_complete=True)
UNREAD = progress(PRODUCTS, last_error="permission")
STATUS: dict[str, tuple[list[EntityProgress], dict[str, bool], SessionStatus]] = {
    "not begun": ([progress()], {"ended": False}, SessionStatus.PENDING),
    "under way": ([progress(fetched=1)], {"ended": False}, SessionStatus.RUNNING),
    "all well": ([DONE, EMPTY], {"ended": True}, SessionStatus.COMPLETED),
    "an empty account": ([EMPTY], {"ended": True}, SessionStatus.COMPLETED),
    "conflicts are no failure": (
        [progress(conflicts=3, skipped=2, is_complete=True)],
        {"ended": True},
        SessionStatus.COMPLETED,
    ),
    "one failed record": ([SOME_FAILED], {"ended": True}, SessionStatus.PARTIAL),
    "one entity failed, one went well": ([DONE, ALL_FAILED], {"ended": True}, SessionStatus.PARTIAL),
    "one entity could not be read": ([DONE, UNREAD], {"ended": True}, SessionStatus.PARTIAL),
    "everything failed": ([ALL_FAILED], {"ended": True}, SessionStatus.FAILED),
    "nothing could be read": ([UNREAD], {"ended": True}, SessionStatus.FAILED),
    "failed records beside an empty entity": ([EMPTY, ALL_FAILED], {"ended": True}, SessionStatus.PARTIAL),
    "cancelled": ([SOME_FAILED], {"ended": True, "cancelled": True}, SessionStatus.CANCELLED),
    "could not go on": ([DONE], {"ended": True, "fatal": True}, SessionStatus.FAILED),
}


@pytest.mark.parametrize(("entities", "how", "status"), STATUS.values(), ids=STATUS.keys())
def test_the_status_is_derived(entities: list[EntityProgress], how: dict[str, bool], status: SessionStatus) -> None:
    assert session_status(entities, **how) is status
