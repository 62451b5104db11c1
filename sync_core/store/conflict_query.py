"""Which conflicts: what they can be narrowed by, as SQL and as counts. `conflicts` reads them, the previews are filled from them.

Lists and counts are answered from `ix_payment_sync_conflicts_review` alone, whatever is filtered by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self
from uuid import UUID

from psycopg.rows import class_row
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.conflict_rules import SENSITIVE, severity
from sync_core.domain.vocabulary import (
    Age,
    ConflictSort,
    ConflictStatus,
    EntityType,
    Facet,
    Mark,
    ReasonCode,
    Severity,
    Transition,
)
from sync_core.store.database import driver

NOBODY = "nobody"
"""The assignee of what nobody looks after."""


@dataclass(frozen=True, slots=True)
class ConflictQuery:
    """`chosen` holds the values of each facet, any of which fits; a facet in `excluded` takes all but them.

    `search` finds a part of a label or Stripe id; `snoozed` are those put off until later; `ids` are rows picked one by one.
    """

    chosen: Mapping[Facet, tuple[str, ...]] = field(default_factory=dict)
    excluded: frozenset[Facet] = frozenset()
    search: str = ""
    status: ConflictStatus = ConflictStatus.OPEN
    snoozed: bool = False
    sort: ConflictSort = ConflictSort.NEWEST
    ids: tuple[UUID, ...] | None = None

    @classmethod
    def of(cls, **facets: object) -> Self:
        """`of(entity="prices", field=("active", "type"))`"""
        several = {Facet(name): one if isinstance(one, tuple) else (str(one),) for name, one in facets.items()}
        return cls(chosen=several)

    def without(self, facet: Facet) -> Self:
        return replace(self, chosen={one: values for one, values in self.chosen.items() if one is not facet})

    def takes(self, facet: Facet, values: Sequence[str]) -> bool:
        """Whether a conflict with these values fits, as far as the facet goes."""
        wanted = self.chosen.get(facet, ())
        return not wanted or (facet in self.excluded) is not any(one in wanted for one in values)

    def to_json(self) -> dict[str, Any]:
        return {
            "facets": {facet.value: list(values) for facet, values in sorted(self.chosen.items()) if values},
            "excluded": sorted(facet.value for facet in self.excluded if self.chosen.get(facet)),
            "search": self.search,
            "status": self.status.value,
            "snoozed": self.snoozed,
            "ids": None if self.ids is None else [str(one) for one in self.ids],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The facets and nothing else: what a saved rule keeps. Raises ValueError for an unknown word."""
        chosen = {Facet(name): tuple(known(Facet(name), values)) for name, values in (data.get("facets") or {}).items()}
        return cls(chosen=chosen, excluded=frozenset(Facet(one) for one in data.get("excluded") or ()))


_WORDS: Mapping[Facet, type[EntityType | Severity | ReasonCode | Transition | Mark | Age]] = {
    Facet.ENTITY: EntityType,
    Facet.REASON: ReasonCode,
    Facet.SEVERITY: Severity,
    Facet.TRANSITION: Transition,
    Facet.MARK: Mark,
    Facet.AGE: Age,
}


def known(facet: Facet, values: Sequence[object]) -> list[str]:
    """The values as texts. Raises ValueError for one that the facet does not know."""
    texts = [str(value).replace("\x00", "") for value in values]
    if facet in _WORDS:
        return [_WORDS[facet](text).value for text in texts]
    return [str(UUID(text)) for text in texts] if facet is Facet.RUN else texts


_SENSITIVE = ", ".join(f"'{name}'" for name in sorted(SENSITIVE))
_IS_HIGH = f"(c.entity_type = 'subscriptions' OR c.fields && ARRAY[{_SENSITIVE}])"
_AGE = (
    "CASE WHEN c.created_at > now() - interval '1 day' THEN 'day' WHEN c.created_at > now() - interval '7 days' THEN 'week'"
    " WHEN c.created_at > now() - interval '30 days' THEN 'month' ELSE 'older' END"
)
_FACETS: Mapping[Facet, str] = {
    Facet.ENTITY: "c.entity_type = ANY(%(entity)s)",
    Facet.SEVERITY: f"CASE WHEN {_IS_HIGH} THEN 'high' ELSE 'normal' END = ANY(%(severity)s)",
    Facet.FIELD: "c.fields && %(field)s::text[]",
    Facet.REASON: "c.reason_code = ANY(%(reason)s)",
    Facet.TRANSITION: "c.transitions && %(transition)s::text[]",
    Facet.MARK: "((c.reopened_at IS NOT NULL AND 'reopened' = ANY(%(mark)s)) OR (c.pending AND 'chosen' = ANY(%(mark)s)))",
    Facet.AGE: f"{_AGE} = ANY(%(age)s)",
    Facet.RUN: "c.session_id = ANY(%(run)s::uuid[])",
    Facet.ASSIGNEE: f"coalesce(c.assignee, '{NOBODY}') = ANY(%(assignee)s)",
}
_PUT_OFF = "(c.snoozed_until > now() OR c.snoozed_for IS NOT NULL)"


def conditions(query: ConflictQuery) -> str:
    """Of the conflicts as `c`; what they name is bound by `bound`."""
    parts = ["c.workspace_id = %(workspace)s", "c.status = %(status)s"]
    for facet, values in query.chosen.items():
        if values:
            parts.append(f"NOT {_FACETS[facet]}" if facet in query.excluded else _FACETS[facet])
    if query.ids is not None:
        parts.append("c.id = ANY(%(picked)s)")
    if query.search:
        parts.append("strpos(c.search_key, %(search)s) > 0")
    if query.status is ConflictStatus.OPEN and query.ids is None:
        parts.append(_PUT_OFF if query.snoozed else f"{_PUT_OFF} IS NOT TRUE")
    return " AND ".join(parts)


def bound(workspace_id: UUID, query: ConflictQuery) -> dict[str, Any]:
    return {
        "workspace": workspace_id,
        "status": query.status.value,
        "search": query.search.lower(),
        "picked": list(query.ids or ()),
        **{facet.value: list(query.chosen.get(facet, ())) for facet in Facet},
    }


@dataclass(frozen=True, slots=True)
class Cell:
    """So many conflicts that are alike in all that can be filtered by."""

    entity_type: str
    reason_code: str
    session_id: UUID
    fields: list[str]
    transitions: list[str]
    assignee: str | None
    age: str
    reopened: bool
    chosen: bool
    count: int

    def values(self, facet: Facet) -> Sequence[str]:
        """Those of its conflicts in a facet."""
        match facet:
            case Facet.ENTITY:
                return (self.entity_type,)
            case Facet.SEVERITY:
                return (severity(EntityType(self.entity_type), self.fields),)
            case Facet.FIELD:
                return self.fields
            case Facet.REASON:
                return (self.reason_code,)
            case Facet.TRANSITION:
                return self.transitions
            case Facet.MARK:
                marks = ((self.reopened, Mark.REOPENED), (self.chosen, Mark.CHOSEN))
                return tuple(mark.value for is_so, mark in marks if is_so)
            case Facet.AGE:
                return (self.age,)
            case Facet.RUN:
                return (str(self.session_id),)
            case Facet.ASSIGNEE:
                return (self.assignee or NOBODY,)

    def fits(self, query: ConflictQuery, aside: Facet | None = None) -> bool:
        """Whether its conflicts match the query's facets, the one named in `aside` aside."""
        return all(facet is aside or query.takes(facet, self.values(facet)) for facet in query.chosen)


async def cells(session: AsyncSession, workspace_id: UUID, query: ConflictQuery) -> list[Cell]:
    """All that match, grouped by what is counted: few rows, from which every facet is summed up."""
    sql = (
        "SELECT c.entity_type, c.reason_code, c.session_id, c.fields, c.transitions, c.assignee,"
        f" {_AGE} AS age, c.reopened_at IS NOT NULL AS reopened, c.pending AS chosen, count(*) AS count"
        f" FROM payment_sync_conflicts c WHERE {conditions(query)} GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9"
    )
    connection = await driver(session)
    async with connection.cursor(row_factory=class_row(Cell)) as cursor:
        await cursor.execute(sql, bound(workspace_id, query))
        return await cursor.fetchall()
