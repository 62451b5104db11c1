"""What applying a plan costs: how long it takes, and how much the database grows by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from sync_core.domain.vocabulary import Action, EntityType
from sync_core.store.row_sizes import CONFLICTS

_UNTRIED_RATES: Final = (2_000.0, 6_000.0)

# Measured on thousands of the sandbox's: what a row of each table takes with its indexes, a subscription with its items.
_UNMEASURED: Final[Mapping[str, float]] = MappingProxyType(
    {
        "customers": 1_860,
        "products": 1_570,
        "prices": 2_190,
        "subscriptions": 3_630,
        "invoices": 3_690,
        CONFLICTS: 3_490,
    }
)


@dataclass(frozen=True, slots=True)
class Space:
    """`is_measured`: by the size of what is stored here, else by that of the sandbox's records."""

    bytes: int
    is_measured: bool

    def to_json(self) -> dict[str, Any]:
        return {"bytes": self.bytes, "measured": self.is_measured}


def apply_seconds(rows: int, rates: Sequence[float]) -> tuple[float, float]:
    """How long applying so many rows may take, by the paces at which plans were applied here before; the start of a run included."""
    known = rates or _UNTRIED_RATES
    return 1 + rows / max(known), 2 + rows / min(known)


def space(counts: Mapping[EntityType, Mapping[Action, int]], sizes: Mapping[str, float]) -> Space:
    """What the plan's new records and conflicts would take. A record that is changed takes its own place again."""
    added = {entity.value: each[Action.CREATE] for entity, each in counts.items()}
    added[CONFLICTS] = sum(each[Action.CONFLICT] for each in counts.values())
    new = {table: count for table, count in added.items() if count}
    total = sum(count * sizes.get(table, _UNMEASURED[table]) for table, count in new.items())
    return Space(round(total), all(table in sizes for table in new))
