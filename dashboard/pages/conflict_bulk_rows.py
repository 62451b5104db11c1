"""A preview of many decisions as the screen shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from dashboard.formatting import plural
from dashboard.pages.conflict_filters import PATH
from dashboard.pages.conflict_rows import NOTHING, TAKES
from sync_core.domain.fields import FIELDS, JsonValue
from sync_core.domain.vocabulary import Blend, Choice, Ignoring
from sync_core.services.conflict_bulk_views import BulkPreview, FieldEffect, Sample, SampleTime
from sync_core.services.conflict_timing import UNKNOWN
from sync_core.services.record_views import When, value_text


@dataclass(frozen=True, slots=True)
class EffectRow:
    label: str
    entity: str
    rows: str
    about: str
    money: bool


@dataclass(frozen=True, slots=True)
class TimedRow:
    """Why a side is the newer; `utc` are the times in it."""

    said: str
    utc: str


@dataclass(frozen=True, slots=True)
class SampleRow:
    label: str
    href: str
    changes: list[str]
    times: list[TimedRow] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PreviewRows:
    id: str = ""
    hash: str = ""
    count: int = 0
    said: str = ""
    money: bool = False
    effects: list[EffectRow] = field(default_factory=list)
    samples: list[SampleRow] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unknown_said: str = ""
    unknown: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    by_rule: bool = True


def preview_rows(preview: BulkPreview, zone: str) -> PreviewRows:
    unknown = [one for one in preview.not_covered if one.reason.startswith(UNKNOWN)]
    kinds = ", ".join(plural(count, entity.singular) for entity, count in preview.entities.items())
    return PreviewRows(
        id=str(preview.id),
        hash=preview.hash,
        count=preview.rows,
        said=f"{plural(preview.rows, 'conflict')} would be settled"
        + (f": {kinds}." if kinds else ".")
        + _begun(preview),
        money=preview.money,
        effects=[_effect(one, by_rule=preview.by_rule) for one in preview.fields],
        samples=[_sample(one, zone) for one in preview.samples],
        missing=[_stays(one.rows, one.reason) for one in preview.not_covered if one not in unknown],
        unknown_said=_stays(sum(one.rows for one in unknown), UNKNOWN),
        unknown=[f"{one.rows:,}: {one.reason.removeprefix(UNKNOWN).strip()}" for one in unknown],
        ignored=[_ignored(one) for one in preview.fields if one.ignored],
        by_rule=preview.by_rule,
    )


def _stays(rows: int, reason: str) -> str:
    return f"{plural(rows, 'conflict')} {'stays' if rows == 1 else 'stay'} open. {reason}"


def _begun(preview: BulkPreview) -> str:
    if not preview.begun:
        return ""
    return f" In {preview.begun:,} of them somebody has chosen already, and not applied it: this takes its place."


def _ignored(one: FieldEffect) -> str:
    where = "every record" if one.take is Ignoring.FIELD else "the records that are settled"
    return f"{one.entity.label}: {one.label} is ignored in {where} from the next sync on, until somebody takes it back under Rules."


def _effect(one: FieldEffect, *, by_rule: bool) -> EffectRow:
    notes = [f"{word.label[0].lower()}{word.label[1:]}: {count:,}" for word, count in one.transitions.items()]
    unsaid = "Merged by itself" if by_rule else "As decided for each"
    # Where one side alone has changed, no time is asked for.
    said = one.take is not None and (one.take is not Blend.NEWER or one.sides)
    what = (TAKES.get(one.take) or one.take.label) if one.take and said else unsaid
    sides = [f"{_SIDES[side]} in {count:,}" for side, count in one.sides.items()]
    return EffectRow(one.label, one.entity.label, f"{one.rows:,}", " · ".join([what, *sides, *notes]), one.money)


_SIDES = {Choice.STRIPE: "Stripe's", Choice.LOCAL: "ours"}


def _sample(one: Sample, zone: str) -> SampleRow:
    fields = {field.name: field for field in FIELDS[one.entity]}

    def text(name: str, value: JsonValue) -> str:
        return value_text(fields[name], value, {"currency": one.currency}, zone)[:80] or NOTHING

    changes = [f"{made.label}: {text(made.name, made.before)} → {text(made.name, made.after)}" for made in one.changes]
    said = [*changes, *([one.record] if one.record else [])] or ["stays as it is"]
    return SampleRow(one.label, f"{PATH}/{one.conflict_id}", said, [_timed(time, zone) for time in one.times])


def _timed(one: SampleTime, zone: str) -> TimedRow:
    here, there = (When.of(datetime.fromtimestamp(at, UTC), zone) for at in (one.here, one.there))
    said = f"{one.label}: {_SIDES[one.take]} is the newer. Here {here.text} by {one.by}, in Stripe {there.text} by {one.event}."
    return TimedRow(said, f"Here {here.utc}, in Stripe {there.utc}")
