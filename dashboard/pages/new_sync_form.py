"""The New sync page's form as values: what was entered, what it asks for, and what is shown of it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from dashboard.fitting import clipped, weight
from sync_core.domain.fields import FIELDS, ORDER
from sync_core.domain.vocabulary import EntityType, Strategy
from sync_core.errors import Refusal
from sync_core.services.estimate import Estimate
from sync_core.services.presets import Preset
from sync_core.services.start_request import NEEDS, StartRequest, checked, missing_parents
from sync_core.store.runs import RunConfig

PRESETS: Mapping[str, int] = {"30": 30, "90": 90, "365": 365}
"""Days back from today's midnight; besides them there are "all" and "custom"."""

_ABOUT = {
    EntityType.CUSTOMERS: "Names, emails, addresses, metadata.",
    EntityType.PRODUCTS: "What is sold, archived ones too.",
    EntityType.PRICES: "Every price, tiers and currencies included.",
    EntityType.SUBSCRIPTIONS: "With all items, cancelled ones too.",
    EntityType.INVOICES: "From draft to paid, with their lines.",
}


@dataclass(frozen=True, slots=True)
class Form:
    """As it was entered. Dates are those of the workspace's time zone, the end included."""

    chosen: tuple[str, ...] = tuple(entity.value for entity in ORDER)
    span: str = "all"
    start_date: str = ""
    end_date: str = ""
    strategy: str = Strategy.SKIP.value
    by_entity: Mapping[str, str] = field(default_factory=dict)
    by_field: Mapping[str, str] = field(default_factory=dict)
    batch_size: str = "100"
    concurrent: str = "3"


@dataclass(frozen=True, slots=True)
class FieldException:
    """A field with a strategy of its own; `path` is such as customers.name."""

    path: str
    label: str
    strategy: str


@dataclass(frozen=True, slots=True)
class PresetRow:
    preset_id: str
    name: str
    about: str
    by: str


@dataclass(frozen=True, slots=True)
class EntityCard:
    """`note` says what else comes along when its parents were left out."""

    name: str
    label: str
    about: str
    needs: str
    chosen: bool
    note: str
    strategy: str


@dataclass(frozen=True, slots=True)
class EstimateRow:
    label: str
    records: str
    requests: str


@dataclass(frozen=True, slots=True)
class EstimateCard:
    """Ready to be shown. `ready` is False before the first estimate."""

    ready: bool = False
    records: str = ""
    requests: str = ""
    duration: str = ""
    rows: list[EstimateRow] = field(default_factory=list)
    reads: str = ""
    reads_share: int = 0
    warning: str = ""


def request_of(form: Form, *, dry_run: bool, now: datetime) -> StartRequest | Refusal:
    """`now` carries the workspace's time zone."""
    numbers = _numbers(form)
    if isinstance(numbers, Refusal):
        return numbers
    span = _span(form, now)
    if isinstance(span, Refusal):
        return span
    narrow = {"entities": {entity: one for entity, one in form.by_entity.items() if one}, "fields": dict(form.by_field)}
    return StartRequest(
        entity_types=form.chosen,
        batch_size=numbers[0],
        concurrent_batches=numbers[1],
        conflict_strategy=form.strategy,
        strategies={level: exceptions for level, exceptions in narrow.items() if exceptions},
        dry_run=dry_run,
        start=span[0],
        end=span[1],
    )


def mistakes(form: Form, *, now: datetime) -> list[Refusal]:
    """All that is wrong with the form, not only the first: each part is asked for by itself."""
    sound = Form(chosen=(EntityType.CUSTOMERS.value,))
    parts = (
        replace(sound, chosen=form.chosen),
        replace(sound, span=form.span, start_date=form.start_date, end_date=form.end_date),
        replace(sound, strategy=form.strategy, by_entity=form.by_entity, by_field=form.by_field),
        replace(sound, batch_size=form.batch_size),
        replace(sound, concurrent=form.concurrent),
    )
    answers = [_checked(part, now) for part in parts]
    return [one for one in answers if one is not None]


def _checked(form: Form, now: datetime) -> Refusal | None:
    asked = request_of(form, dry_run=True, now=now)
    answer = asked if isinstance(asked, Refusal) else checked(asked, now=int(now.timestamp()))
    return answer if isinstance(answer, Refusal) else None


def form_of(config: RunConfig, zone: ZoneInfo) -> Form:
    """The form that would ask for the configuration again."""
    custom = config.start is not None or config.end is not None
    # The end is exclusive there and included here.
    return Form(
        chosen=tuple(entity.value for entity in config.entity_types),
        span="custom" if custom else "all",
        start_date="" if config.start is None else _date(config.start, zone),
        end_date="" if config.end is None else _date(config.end - 1, zone),
        strategy=config.strategies.default.value,
        by_entity={entity.value: one.value for entity, one in config.strategies.by_entity.items()},
        by_field=dict(config.strategies.to_json()["fields"]),
        batch_size=str(config.batch_size),
        concurrent=str(config.concurrent_batches),
    )


def form_of_preset(preset: Preset, zone: ZoneInfo) -> Form:
    """What is not known any more is left out: a preset must not fail because a word has gone."""
    asked = preset.request
    custom = asked.start is not None or asked.end is not None
    known = {strategy.value for strategy in Strategy}
    narrow = {level: dict(asked.strategies.get(level) or {}) for level in ("entities", "fields")}
    return Form(
        chosen=tuple(entity.value for entity in ORDER if entity.value in asked.entity_types),
        span=str(preset.days) if preset.days is not None else "custom" if custom else "all",
        start_date="" if asked.start is None else _date(asked.start, zone),
        end_date="" if asked.end is None else _date(asked.end - 1, zone),
        strategy=asked.conflict_strategy if asked.conflict_strategy in known else Strategy.SKIP.value,
        by_entity={name: one for name, one in narrow["entities"].items() if one in known},
        by_field={path: one for path, one in narrow["fields"].items() if path in FIELD_LABELS and one in known},
        batch_size=str(asked.batch_size),
        concurrent=str(asked.concurrent_batches),
    )


FIELD_LABELS: Mapping[str, str] = {
    f"{entity.value}.{one.name}": f"{entity.label}: {one.label}" for entity in ORDER for one in FIELDS[entity]
}
"""Every field that can have a strategy of its own."""


def field_exceptions(form: Form) -> list[FieldException]:
    return [
        FieldException(path, FIELD_LABELS.get(path, path), Strategy(one).label)
        for path, one in sorted(form.by_field.items())
    ]


_PRESETS_MOST = 14_000
_WHOLE_NOTES = 60


def preset_rows(found: Sequence[Preset], zone: ZoneInfo) -> list[PresetRow]:
    """With their whole names always, and as much of the rest as one message holds beside them."""
    rows = [PresetRow(str(one.id), one.name, described(form_of_preset(one, zone)), one.created_by) for one in found]
    if weight(rows) > _PRESETS_MOST:
        rows = [replace(row, about=clipped(row.about, _WHOLE_NOTES), by=clipped(row.by, _WHOLE_NOTES)) for row in rows]
    return rows if weight(rows) <= _PRESETS_MOST else [replace(row, about="", by="") for row in rows]


def preset_call(preset: Preset, zone: ZoneInfo, *, origin: str, workspace_id: str) -> str:
    """Empty for one that can't be started any more."""
    asked = request_of(form_of_preset(preset, zone), dry_run=True, now=datetime.now(zone))
    return "" if isinstance(asked, Refusal) else curl(asked, origin, workspace_id)


def described(form: Form) -> str:
    kinds = (
        "All entity types"
        if len(form.chosen) == len(ORDER)
        else ", ".join(EntityType(one).label for one in form.chosen)
    )
    dates = " to ".join(part for part in (form.start_date or "the beginning", form.end_date or "now") if part)
    spans = {"all": "everything", "custom": dates}
    span = spans.get(form.span, f"last {form.span} days")
    narrower = len([one for one in form.by_entity.values() if one]) + len(form.by_field)
    more = f", {narrower} exception{'' if narrower == 1 else 's'}" if narrower else ""
    return f"{kinds} · {span} · {Strategy(form.strategy).label}{more}"


def entity_cards(form: Form, reads: Collection[EntityType] = tuple(EntityType)) -> list[EntityCard]:
    """`reads` are the types that the connection's key was examined for."""
    missing = missing_parents([entity for entity in ORDER if entity.value in form.chosen])
    return [
        EntityCard(
            name=entity.value,
            label=entity.label,
            about=_ABOUT[entity],
            needs=_listed(NEEDS[entity]),
            chosen=entity.value in form.chosen,
            note=_note(entity, missing, reads) if entity.value in form.chosen else "",
            strategy=form.by_entity.get(entity.value, ""),
        )
        for entity in ORDER
    ]


def _note(
    entity: EntityType, missing: Mapping[EntityType, tuple[EntityType, ...]], reads: Collection[EntityType]
) -> str:
    if entity not in reads:
        return "The key was not checked for these: the sync fails if it may not read them."
    return f"Of {_listed(missing[entity])} only those come along that they refer to." if entity in missing else ""


def estimate_card(found: Estimate) -> EstimateCard:
    return EstimateCard(
        ready=True,
        records=more_or_less(
            found.records, sum(one.guess.low for one in found.entities), sum(one.guess.high for one in found.entities)
        ),
        requests=more_or_less(found.requests, found.requests_low, found.requests_high),
        duration=duration(found.seconds_low, found.seconds_high),
        rows=[
            EstimateRow(
                one.entity_type.label,
                f"{one.guess.records:,}" if one.guess.exact else f"{one.guess.low:,} to {one.guess.high:,}",
                f"{one.requests:,}",
            )
            for one in found.entities
        ],
        reads=f"{found.reads.this_month:,} of {found.reads.allowance:,} reads made this month",
        reads_share=min(100, round(100 * (found.reads.this_month + found.requests) / found.reads.allowance)),
        warning=found.warning or "",
    )


def duration(low: float, high: float) -> str:
    """A range that a person would say: "under 10 s", "6 to 9 min"."""
    if high <= 10:
        return "under 10 s"
    if high < 90:
        return f"{round(low)} to {round(high)} s"
    low_minutes, high_minutes = max(1, int(low // 60)), -int(-high // 60)
    if high_minutes > 120:
        return f"{low / 3600:.1f} to {high / 3600:.1f} h"
    return f"about {high_minutes} min" if low_minutes == high_minutes else f"{low_minutes} to {high_minutes} min"


def curl(request: StartRequest, origin: str, workspace_id: str) -> str:
    """The same sync as a call of the REST API."""
    body: dict[str, object] = {
        "entity_types": list(request.entity_types),
        "conflict_strategy": request.conflict_strategy,
    }
    body |= {"batch_size": request.batch_size, "concurrent_batches": request.concurrent_batches}
    if request.strategies:
        body["strategies"] = dict(request.strategies)
    dates = {"start": request.start, "end": request.end}
    if any(moment is not None for moment in dates.values()):
        body["date_range"] = {name: moment for name, moment in dates.items() if moment is not None}
    body["dry_run"] = True
    return (
        f"curl {origin}/api/v1/sync/stripe/initial \\\n"
        f'  -H "X-API-Key: $CYPHERA_KEY" -H "X-Workspace-ID: {workspace_id}" \\\n'
        f"  -H \"Content-Type: application/json\" \\\n  -d '{json.dumps(body)}'"
    )


def _numbers(form: Form) -> tuple[int, int] | Refusal:
    for text, name, label in (
        (form.batch_size, "batch_size", "batch size"),
        (form.concurrent, "concurrent_batches", "number of batches read at once"),
    ):
        if not text.strip().isascii() or not text.strip().isdigit() or len(text.strip()) > 9:
            return Refusal(f"{name}_out_of_range", f"The {label} is a whole number.", field=name)
    return int(form.batch_size), int(form.concurrent)


def _span(form: Form, now: datetime) -> tuple[int | None, int | None] | Refusal:
    today = now.date()
    if form.span in PRESETS:
        return _midnight(today - timedelta(days=PRESETS[form.span]), now), None
    if form.span != "custom":
        return None, None
    try:
        start = date.fromisoformat(form.start_date) if form.start_date else None
        end = date.fromisoformat(form.end_date) if form.end_date else None
    except ValueError:
        return _wrong("date_range_invalid", "A date is written as year-month-day, such as 2025-01-31.")
    if start is None and end is None:
        return _wrong("date_range_empty", "The date range is empty: choose a first day, a last day or both.")
    if start is not None and end is not None and start > end:
        return _wrong("date_range_reversed", "The date range is reversed: its last day is before its first day.")
    if any(day is not None and day > today for day in (start, end)):
        return _wrong("date_range_future", "The date range reaches into the future: today is the last possible day.")
    # A last day of today means "until now": the run's own start decides.
    until = None if end is None or end == today else _midnight(end + timedelta(days=1), now)
    return (None if start is None else _midnight(start, now)), until


def _wrong(code: str, message: str) -> Refusal:
    return Refusal(code, message, field="date_range")


def _midnight(day: date, now: datetime) -> int:
    return max(0, int(datetime.combine(day, time.min, now.tzinfo).timestamp()))


def _date(moment: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(moment, zone).date().isoformat()


def more_or_less(count: int, low: int, high: int) -> str:
    """A guess with how far it may be out, to two digits: “12,000 ± 1,800”. What was counted is said as it is."""
    off = max(high - count, count - low, 0)
    if not off:
        return f"{count:,}"
    step = 10 ** max(0, len(str(off)) - 2)
    return f"{round(count / step) * step:,} ± {-(-off // step) * step:,}"


def parents_left_out(form: Form) -> str:
    """Why what was left out had better come too; empty where nothing was."""
    missing = missing_parents([entity for entity in ORDER if entity.value in form.chosen])
    if not missing:
        return ""
    needed = tuple(one for one in ORDER if any(one in parents for parents in missing.values()))
    children = _listed(tuple(missing))
    return (
        f"{children[0].upper()}{children[1:]} are stored with the {_listed(needed)} that they refer to. Left out, only those"
        " come along, some of them by a request each; listed, all of them come, a hundred in a request."
    )


def with_parents(form: Form) -> list[str]:
    """What is chosen, and all that it refers to, however far up."""
    chosen = [entity for entity in ORDER if entity.value in form.chosen]
    while missing := {parent for parents in missing_parents(chosen).values() for parent in parents}:
        chosen = [entity for entity in ORDER if entity in missing or entity in chosen]
    return [entity.value for entity in chosen]


def _listed(entities: tuple[EntityType, ...]) -> str:
    words = [entity.label.lower() for entity in entities]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
