"""What a list of conflicts is narrowed by, read from its address and written into it: nothing of it is kept anywhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from urllib.parse import urlencode

from dashboard.formatting import plural
from sync_core.domain.fields import ALL_NAMES
from sync_core.domain.vocabulary import ConflictSort, ConflictStatus, Facet, Snooze
from sync_core.services.conflict_views import Facets, FacetValue
from sync_core.services.record_views import When
from sync_core.store.conflict_query import MOST_DELTA, ConflictQuery, known

PATH = "/conflicts"
EXPORTS = "/exports/conflicts"
SEARCH_LENGTH = 100
A_DAY = "day"
SNOOZES = (
    ("1", "Until tomorrow"),
    ("7", "For a week"),
    ("30", "For a month"),
    (A_DAY, "Until a day…"),
    *((one.value, one.label) for one in Snooze),
    ("0", "Not snoozed"),
)
_MOST_VALUES = 30


def query_of(parameters: Mapping[str, str]) -> ConflictQuery:
    """What an address asks for; what it makes up is passed over."""
    chosen = {facet: values for facet in Facet if (values := _values_in(facet, parameters.get(facet.value, "")))}
    inverted = parameters.get("not", "").split(",")
    return ConflictQuery(
        chosen=chosen,
        excluded=frozenset(facet for facet in chosen if facet.value in inverted),
        search=parameters.get("q", "").replace("\x00", "").strip()[:SEARCH_LENGTH],
        delta=amount_in(parameters.get("delta", "")),
        status=ConflictStatus.RESOLVED if parameters.get("status") == "resolved" else ConflictStatus.OPEN,
        snoozed=parameters.get("snoozed") == "1",
        sort=ConflictSort(word) if (word := parameters.get("sort", "")) in _SORTS else ConflictSort.NEWEST,
    )


def amount_in(text: str) -> Decimal | None:
    """None for what is no amount, or nothing that anybody's records differ by."""
    try:
        found = Decimal(text.strip()[:20])
    except InvalidOperation:
        return None
    return found if found.is_finite() and 0 < found <= MOST_DELTA else None


_SORTS = frozenset(one.value for one in ConflictSort)


def _values_in(facet: Facet, text: str) -> tuple[str, ...]:
    found: list[str] = []
    for word in text.split(",")[:_MOST_VALUES]:
        try:
            found += known(facet, [word[:SEARCH_LENGTH]]) if word else []
        except ValueError:
            continue
    return tuple(dict.fromkeys(one for one in found if facet is not Facet.FIELD or one in ALL_NAMES))


def address(query: ConflictQuery, path: str = PATH, **more: str) -> str:
    parameters = {
        **{facet.value: ",".join(values) for facet, values in query.chosen.items()},
        "not": ",".join(sorted(facet.value for facet in query.excluded)),
        "q": query.search,
        "delta": "" if query.delta is None else f"{query.delta:f}",
        "status": "" if query.status is ConflictStatus.OPEN else query.status.value,
        "snoozed": "1" if query.snoozed else "",
        "sort": "" if query.sort is ConflictSort.NEWEST else query.sort.value,
        **more,
    }
    given = {name: value for name, value in parameters.items() if value}
    return f"{path}?{urlencode(given, safe=',')}" if given else path


def narrowed(query: ConflictQuery, facet: Facet, values: tuple[str, ...]) -> ConflictQuery:
    """With these values in the facet; with none of them the facet is gone."""
    if values:
        return replace(query, chosen={**query.chosen, facet: values})
    return replace(query.without(facet), excluded=query.excluded - {facet})


def toggled(query: ConflictQuery, facet: Facet, value: str) -> ConflictQuery:
    """Several values of a facet may be chosen; choosing one again takes it off."""
    values = query.chosen.get(facet, ())
    kept = tuple(one for one in values if one != value) if value in values else (*values, value)
    return narrowed(query, facet, kept)


def inverted(query: ConflictQuery, facet: Facet) -> ConflictQuery:
    return replace(query, excluded=query.excluded ^ {facet})


@dataclass(frozen=True, slots=True)
class FacetItem:
    """`value` tells it from the others of its facet, whatever else is chosen; `utc` is for the label of a time."""

    label: str
    count: str
    href: str
    current: bool
    utc: str
    value: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """Something that the list is narrowed by, and the address without it."""

    label: str
    href: str


@dataclass(frozen=True, slots=True)
class FacetGroup:
    """`invert_url` reads the facet the other way round; it is empty while nothing of it is chosen."""

    label: str
    options: list[FacetItem]
    excluded: bool = False
    invert_url: str = ""


def groups_of(values: Mapping[Facet, tuple[FacetValue, ...]], query: ConflictQuery, zone: str) -> list[FacetGroup]:
    return [_group(facet, found, query, zone) for facet, found in values.items() if found]


def _group(facet: Facet, values: tuple[FacetValue, ...], query: ConflictQuery, zone: str) -> FacetGroup:
    chosen, labels = query.chosen.get(facet, ()), _labels(facet, values, zone)
    options = [
        FacetItem(
            labels[one.value].text,
            f"{one.count:,}",
            address(toggled(query, facet, one.value)),
            one.value in chosen,
            labels[one.value].utc,
            one.value,
        )
        for one in values
    ]
    return FacetGroup(facet.label, options, facet in query.excluded, address(inverted(query, facet)) if chosen else "")


_AN_OPTION = 90
"""Besides its address: its words, its count, and how both are named in a message."""


def size_of(facets: Facets, query: ConflictQuery) -> int:
    """About how much of a message `groups_of` and `chosen_filters` are: every option has an address, which names all filters."""
    options = sum(len(values) for values in facets.values.values())
    chosen = sum(len(values) for values in query.chosen.values())
    # A chosen facet has an address that turns it round.
    addresses = options + chosen + len(query.chosen)
    return addresses * (_AN_OPTION + len(address(query)))


def _labels(facet: Facet, values: Sequence[FacetValue], zone: str) -> dict[str, When]:
    """By value; syncs by when they began, so that each can be told from the others."""
    if facet is Facet.RUN:
        times = When.each([datetime.fromisoformat(one.label) if one.label else None for one in values], zone)
        return {one.value: at if at.text else When("Unknown") for one, at in zip(values, times, strict=True)}
    nobody = "nobody" if facet is Facet.ASSIGNEE else ""
    return {one.value: When("Nobody" if one.value == nobody else one.label) for one in values}


def said(facets: Facets, query: ConflictQuery) -> str:
    """The list's own headline, whatever is filtered: “128 of 4,310 open conflicts match · 96 records”."""
    word = "settled" if query.status is ConflictStatus.RESOLVED else "snoozed" if query.snoozed else "open"
    whole = plural(facets.total, f"{word} conflict")
    matching = whole if facets.matching == facets.total else f"{facets.matching:,} of {whole} match"
    found = facets.records
    if found is None or not found.count:
        return matching
    return f"{matching} · {f'{found.count:,}+ records' if found.more else plural(found.count, 'record')}"


def chosen_filters(facets: Facets, query: ConflictQuery, zone: str) -> list[Chosen]:
    chips = []
    for facet, values in query.chosen.items():
        labels = _labels(facet, facets.values[facet], zone)
        for value in values:
            label = labels[value].text if value in labels else value
            text = f"{facet.label} {'is not' if facet in query.excluded else 'is'} {label}"
            chips.append(Chosen(text, address(toggled(query, facet, value))))
    if query.search:
        chips.append(Chosen(f"“{query.search}”", address(replace(query, search=""))))
    if query.delta is not None:
        text = f"Amounts differ by {query.delta:,f} or more"
        chips.append(Chosen(text, address(replace(query, delta=None))))
    return chips
