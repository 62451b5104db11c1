"""Progress as a pure fold, and what is derived from it: the status of a session, and where samples of its pace stand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from sync_core.domain.vocabulary import Action, EntityType, Phase, SessionStatus


@dataclass(frozen=True, slots=True)
class EntityProgress:
    """How far one entity type is. `estimated_exact` says that `total_estimated` is a count by now, no estimate."""

    entity_type: EntityType
    total_estimated: int = 0
    estimated_exact: bool = False
    fetched: int = 0
    planned: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: int = 0
    conflicts: int = 0
    failed: int = 0
    last_cursor: str = ""
    is_complete: bool = False
    last_error: str | None = None
    phase: Phase = Phase.PREFLIGHT

    @property
    def successful(self) -> int:
        return self.created + self.updated + self.unchanged

    @property
    def processed(self) -> int:
        return self.successful + self.skipped + self.conflicts + self.failed

    @property
    def fraction(self) -> float | None:
        """0 to 1, and 1 only when complete; None while nobody knows of how many."""
        if self.is_complete:
            return 1.0
        if self.total_estimated <= 0:
            return None
        return min(self.processed / self.total_estimated, 0.99)

    def counted(self, actions: Mapping[Action, int]) -> Self:
        """With these outcomes added."""
        return replace(
            self,
            created=self.created + actions.get(Action.CREATE, 0),
            updated=self.updated + actions.get(Action.UPDATE, 0),
            unchanged=self.unchanged + actions.get(Action.UNCHANGED, 0),
            skipped=self.skipped + actions.get(Action.SKIP, 0),
            conflicts=self.conflicts + actions.get(Action.CONFLICT, 0),
            failed=self.failed + actions.get(Action.ERROR, 0),
        )

    def to_json(self) -> dict[str, Any]:
        """The plan's fields and ours, derived ones included."""
        return {
            **asdict(self),
            "entity_type": self.entity_type.value,
            "phase": self.phase.value,
            "processed": self.processed,
            "successful": self.successful,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` wrote. Unknown keys are left out, so that an older reader takes a newer row."""
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        known["entity_type"] = EntityType(data["entity_type"])
        known["phase"] = Phase(data.get("phase", Phase.PREFLIGHT))
        return cls(**known)


def session_status(
    entities: Iterable[EntityProgress], *, ended: bool, cancelled: bool = False, fatal: bool = False
) -> SessionStatus:
    """Never set by hand. A run that ended with failed records or unread entity types is partial, not completed.

    It failed when it could not go on (`fatal`), or when nothing at all came of it.
    """
    every = tuple(entities)
    if fatal:
        return SessionStatus.FAILED
    if cancelled:
        return SessionStatus.CANCELLED
    if not ended:
        return SessionStatus.RUNNING if any(one.fetched or one.processed for one in every) else SessionStatus.PENDING
    if all(one.is_complete and not one.failed for one in every):
        return SessionStatus.COMPLETED
    fruitless = all(one.processed == one.failed and (one.failed or not one.is_complete) for one in every)
    return SessionStatus.FAILED if fruitless else SessionStatus.PARTIAL


MOST_SAMPLES = 240


def sample_step(slot: int) -> int:
    """How far samples of the pace stand apart after so many seconds: a power of two, so that some of the earlier ones stay."""
    step = 1
    while slot >= step * MOST_SAMPLES:
        step *= 2
    return step
