"""Which conflicts: what they can be narrowed by, as SQL. `conflicts` reads them, the previews are filled from them.

A cell (`conflict_cell`) is all of a conflict itself that can be filtered by. `conflict_counts` has those there are; a page is then the rows
of the cells that fit. What depends on another record, or on who asks, is in none: `conflict_apart` tells the cells' conflicts apart by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Self
from uuid import UUID

from sync_core.domain.conflict_rules import SENSITIVE, severity
from sync_core.domain.vocabulary import (
    Age,
    ConflictSort,
    ConflictStatus,
    CustomerState,
    EntityType,
    Facet,
    Mark,
    ReasonCode,
    Reviewed,
    Severity,
    Transition,
)
from sync_core.store.conflict_reviews import SIDES

MOST_DELTA = 10**15
NOBODY = "nobody"
"""The assignee of what nobody looks after."""


@dataclass(frozen=True, slots=True)
class ConflictQuery:
    """`chosen` holds the values of each facet, any of which fits; a facet in `excluded` takes all but them.

    `search` finds a part of a label, a Stripe id, an email or a value that differs; `delta` is by how much amounts differ at least, in the
    currency's own unit; `snoozed` are those put off until later, None takes them too; `ids` are rows picked one by one; `viewer` is the
    person who asks, whose ticks count.
    """

    chosen: Mapping[Facet, tuple[str, ...]] = field(default_factory=dict)
    excluded: frozenset[Facet] = frozenset()
    search: str = ""
    delta: Decimal | None = None
    status: ConflictStatus = ConflictStatus.OPEN
    snoozed: bool | None = False
    sort: ConflictSort = ConflictSort.NEWEST
    ids: tuple[UUID, ...] | None = None
    viewer: UUID | None = None

    @classmethod
    def of(cls, **facets: object) -> Self:
        """`of(entity="prices", field=("active", "type"))`"""
        several = {Facet(name): one if isinstance(one, tuple) else (str(one),) for name, one in facets.items()}
        return cls(chosen=several)

    def by(self, viewer: UUID | None) -> Self:
        return replace(self, viewer=viewer)

    def without(self, facet: Facet) -> Self:
        return replace(self, chosen={one: values for one, values in self.chosen.items() if one is not facet})

    @property
    def wide(self) -> Self:
        """Without its facets and picked rows: what they are counted among."""
        return replace(self, chosen={}, excluded=frozenset(), ids=None)

    @property
    def by_cells(self) -> bool:
        """Whether a page of it is found by the keys of the cells that fit."""
        return bool(self.chosen) and not self.is_scanned and self.ids is None

    @property
    def unscanned(self) -> Self:
        return replace(self, search="", delta=None)

    @property
    def is_by_snooze(self) -> bool:
        return self.status is ConflictStatus.OPEN and self.ids is None and self.snoozed is not None

    @property
    def is_scanned(self) -> bool:
        """Whether it asks for what no cell says: each conflict is then looked at, in the list's index."""
        return bool(self.search) or self.delta is not None

    def takes(self, facet: Facet, values: Sequence[str]) -> bool:
        """Whether a conflict with these values fits, as far as the facet goes."""
        wanted = self.chosen.get(facet, ())
        return not wanted or (facet in self.excluded) is not any(one in wanted for one in values)

    def to_json(self) -> dict[str, Any]:
        return {
            "facets": {facet.value: list(values) for facet, values in sorted(self.chosen.items()) if values},
            "excluded": sorted(facet.value for facet in self.excluded if self.chosen.get(facet)),
            "search": self.search,
            "delta": None if self.delta is None else str(self.delta),
            "status": self.status.value,
            "snoozed": self.snoozed,
            "ids": None if self.ids is None else [str(one) for one in self.ids],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The facets and nothing else: what a saved rule keeps. Raises ValueError for an unknown word."""
        chosen = {Facet(name): tuple(known(Facet(name), values)) for name, values in (data.get("facets") or {}).items()}
        return cls(chosen=chosen, excluded=frozenset(Facet(one) for one in data.get("excluded") or ()))


WORDS: Mapping[Facet, type[EntityType | Severity | ReasonCode | Transition | CustomerState | Mark | Reviewed | Age]] = {
    Facet.ENTITY: EntityType,
    Facet.REASON: ReasonCode,
    Facet.SEVERITY: Severity,
    Facet.TRANSITION: Transition,
    Facet.CUSTOMER: CustomerState,
    Facet.MARK: Mark,
    Facet.REVIEWED: Reviewed,
    Facet.AGE: Age,
}
"""The facets that have a fixed set of values."""
APART = frozenset({Facet.CUSTOMER, Facet.REVIEWED})
"""Those that no cell says: they depend on another record, or on who asks."""


def known(facet: Facet, values: Sequence[object]) -> list[str]:
    """The values as texts. Raises ValueError for one that the facet does not know."""
    texts = [str(value).replace("\x00", "") for value in values]
    if facet in WORDS:
        return [WORDS[facet](text).value for text in texts]
    return [str(UUID(text)) for text in texts] if facet is Facet.RUN else texts


_SENSITIVE = ", ".join(f"'{name}'" for name in sorted(SENSITIVE))
_IS_HIGH = f"(c.entity_type = 'subscriptions' OR c.fields && ARRAY[{_SENSITIVE}])"
AGE = (
    "CASE WHEN (now() AT TIME ZONE 'UTC')::date - {0} <= 0 THEN 'day' WHEN (now() AT TIME ZONE 'UTC')::date - {0} <= 7 THEN 'week'"
    " WHEN (now() AT TIME ZONE 'UTC')::date - {0} <= 30 THEN 'month' ELSE 'older' END"
)
GONE = "SELECT g.id FROM customers g WHERE g.workspace_id = %(workspace)s AND g.deleted_at IS NOT NULL"
"""Customers that are deleted here. No conflict keeps that: it is another record's state, which a run may change while somebody holds the
conflict.
"""
TICKED = (
    "SELECT r.conflict_id FROM payment_sync_conflict_reviews r WHERE r.workspace_id = %(workspace)s AND r.user_id = %(asks)s AND r.sides ="
    f" (SELECT {SIDES.format('o')} FROM payment_sync_conflicts o WHERE o.workspace_id = %(workspace)s AND o.id = r.conflict_id)"
)
"""What the person who asks has looked through, as it stands: each by its key."""
# As a value, lest the planner makes a join of it, in an order of its own: the customers are read once, and asked for every conflict.
CUSTOMER = f"CASE WHEN c.customer_id IS NULL THEN 'none' WHEN c.customer_id IN ({GONE}) THEN 'deleted' ELSE 'live' END"
# What the list's own index has of it.
OPENED_ON = "(c.created_at AT TIME ZONE 'UTC')::date"
_FACETS: Mapping[Facet, str] = {
    Facet.ENTITY: "c.entity_type = ANY(%(entity)s)",
    Facet.SEVERITY: f"CASE WHEN {_IS_HIGH} THEN 'high' ELSE 'normal' END = ANY(%(severity)s)",
    Facet.FIELD: "c.fields && %(field)s::text[]",
    Facet.REASON: "c.reason_code = ANY(%(reason)s)",
    Facet.TRANSITION: "c.transitions && %(transition)s::text[]",
    Facet.CUSTOMER: f"{CUSTOMER} = ANY(%(customer)s)",
    Facet.REVIEWED: f"CASE WHEN c.id IN ({TICKED}) THEN 'me' ELSE 'not' END = ANY(%(reviewed)s)",
    Facet.MARK: "((c.reopened_at IS NOT NULL AND 'reopened' = ANY(%(mark)s)) OR (c.pending AND 'chosen' = ANY(%(mark)s)))",
    Facet.AGE: f"{AGE.format(OPENED_ON)} = ANY(%(age)s)",
    Facet.RUN: "c.session_id = ANY(%(run)s::uuid[])",
    Facet.ASSIGNEE: f"coalesce(c.assignee, '{NOBODY}') = ANY(%(assignee)s)",
}
_PUT_OFF = "(c.snoozed_until > now() OR c.snoozed_for IS NOT NULL)"


def conditions(query: ConflictQuery) -> str:
    """Of the conflicts as `c`; what they name is bound by `bound`."""
    return " AND ".join([plain(query), *([_shown(query)] if query.is_by_snooze else [])])


def _shown(query: ConflictQuery) -> str:
    return _PUT_OFF if query.snoozed else f"{_PUT_OFF} IS NOT TRUE"


def plain(query: ConflictQuery) -> str:
    """Without what is put off, or is not."""
    parts = ["c.workspace_id = %(workspace)s", "c.status = %(status)s"]
    for facet, values in query.chosen.items():
        if values:
            parts.append(f"NOT {_FACETS[facet]}" if facet in query.excluded else _FACETS[facet])
    if query.ids is not None:
        parts.append("c.id = ANY(%(picked)s)")
    if query.search:
        parts.append("strpos(c.search_key, %(search)s) > 0")
    if query.delta is not None:
        parts.append("c.amount_delta >= %(delta)s")
    return " AND ".join(parts)


def bound(workspace_id: UUID, query: ConflictQuery) -> dict[str, Any]:
    return {
        "workspace": workspace_id,
        "status": query.status.value,
        "search": query.search.lower(),
        "delta": query.delta,
        "picked": list(query.ids or ()),
        "asks": query.viewer,
        **{facet.value: list(query.chosen.get(facet, ())) for facet in Facet},
    }


@dataclass(frozen=True, slots=True)
class Cell:
    """So many conflicts that are alike in all that can be filtered by. `key` is that of the cell they share, their ages, customers and
    ticks aside.
    """

    key: int
    entity_type: str
    reason_code: str
    session_id: UUID
    fields: tuple[str, ...]
    transitions: tuple[str, ...]
    assignee: str | None
    age: str
    reopened: bool
    chosen: bool
    put_off: bool
    count: int
    of_gone: bool = False
    ticked: bool = False

    @classmethod
    def of(cls, row: tuple[str, int, str, bool, int]) -> Self:
        """From `conflict_cell`'s text, its hash, an age, whether its date is still to come, and a count."""
        text, key, age, later, count = row
        entity, reason, session, fields, transitions, reopened, chosen, snoozed_for, _, assignee = text.split("|", 9)
        return cls(
            key=key,
            entity_type=entity,
            reason_code=reason,
            session_id=UUID(session),
            fields=_several(fields),
            transitions=_several(transitions),
            assignee=assignee or None,
            age=age,
            reopened=bool(reopened),
            chosen=bool(chosen),
            put_off=bool(snoozed_for) or later,
            count=count,
        )

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
            case Facet.CUSTOMER:
                return (self.customer.value,)
            case Facet.REVIEWED:
                return ((Reviewed.ME if self.ticked else Reviewed.NOT).value,)
            case Facet.MARK:
                marks = ((self.reopened, Mark.REOPENED), (self.chosen, Mark.CHOSEN))
                return tuple(mark.value for is_so, mark in marks if is_so)
            case Facet.AGE:
                return (self.age,)
            case Facet.RUN:
                return (str(self.session_id),)
            case Facet.ASSIGNEE:
                return (self.assignee or NOBODY,)

    @property
    def customer(self) -> CustomerState:
        if self.entity_type in (EntityType.PRODUCTS, EntityType.PRICES):
            return CustomerState.NONE
        return CustomerState.DELETED if self.of_gone else CustomerState.LIVE

    def fits(self, query: ConflictQuery, aside: Facet | None = None) -> bool:
        """Whether its conflicts match the query's facets, the one named in `aside` aside."""
        return all(facet is aside or query.takes(facet, self.values(facet)) for facet in query.chosen)


def _several(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def fitting(query: ConflictQuery, among: Sequence[Cell]) -> str:
    """Conditions for a page of the list: facets as the keys of those cells of the `wide` query that fit, which one index answers."""
    if not query.by_cells:
        return conditions(query)
    keys = {cell.key for cell in among if cell.fits(query, Facet.AGE)}
    if len(keys) > _MOST_KEYS:
        return conditions(query)
    return f"{conditions(_beside_keys(query))} AND {_keyed(keys)}"


def within(query: ConflictQuery, matching: Sequence[Cell]) -> str:
    """Conditions for exactly the conflicts of these cells of a query. Their keys say all but what is no part of a cell, also
    whether they are put off.
    """
    keys = {cell.key for cell in matching}
    if len(keys) > _MOST_KEYS:
        return conditions(query)
    return f"{plain(_beside_keys(query))} AND {_keyed(keys)}"


def _beside_keys(query: ConflictQuery) -> ConflictQuery:
    return replace(query, chosen={one: values for one, values in query.chosen.items() if one in _NOT_IN_KEYS})


_NOT_IN_KEYS = APART | {Facet.AGE}


def _keyed(keys: Iterable[int]) -> str:
    return f"c.cell_key = ANY(ARRAY[{', '.join(str(key) for key in sorted(keys))}]::bigint[])"


_MOST_KEYS = 2_000
