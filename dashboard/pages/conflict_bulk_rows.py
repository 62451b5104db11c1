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
class WayRow:
    """In how many rows Stripe's value stands so to ours; `width` is that as a percentage of all in which the field differs."""

    label: str
    count: str
    width: str


@dataclass(frozen=True, slots=True)
class EffectRow:
    """`written` of the rows get another value, `kept` have it already."""

    key: str
    label: str
    entity: str
    becomes: str
    ways: list[WayRow]
    rows: str
    written: str
    kept: str
    money: bool


@dataclass(frozen=True, slots=True)
class TimedRow:
    """Why a side is the newer; `utc` are the times in it."""

    said: str
    utc: str


@dataclass(frozen=True, slots=True)
class SampleRow:
    label: str
    entity: str
    href: str
    largest: bool
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
    changed: str = ""
    unknown_said: str = ""
    unknown: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    by_rule: bool = True


def preview_rows(preview: BulkPreview, zone: str) -> PreviewRows:
    unknown = [one for one in preview.not_covered if one.reason.startswith(UNKNOWN)]
    return PreviewRows(
        id=str(preview.id),
        hash=preview.hash,
        count=preview.rows,
        said=_said(preview) + _begun(preview),
        money=preview.money,
        effects=[_effect(one, by_rule=preview.by_rule) for one in preview.fields],
        samples=[_sample(one, zone) for one in preview.samples],
        missing=[_stays(one.rows, one.reason) for one in preview.not_covered if one not in unknown],
        unknown_said=_stays(sum(one.rows for one in unknown), UNKNOWN),
        unknown=[f"{one.rows:,}: {one.reason.removeprefix(UNKNOWN).strip()}" for one in unknown],
        changed=_changed(preview.changed),
        ignored=[_ignored(one) for one in preview.fields if one.ignored],
        by_rule=preview.by_rule,
    )


def _stays(rows: int, reason: str) -> str:
    return f"{plural(rows, 'conflict')} {'stays' if rows == 1 else 'stay'} open. {reason}"


def _said(preview: BulkPreview) -> str:
    kinds = ", ".join(plural(count, entity.singular) for entity, count in preview.entities.items())
    matching = preview.rows + sum(one.rows for one in preview.not_covered)
    many = (
        f"{preview.rows:,} of {plural(matching, 'conflict')}"
        if matching > preview.rows
        else plural(matching, "conflict")
    )
    written, kept = sum(one.writes for one in preview.fields), sum(one.rows - one.writes for one in preview.fields)
    values = f" {plural(written, 'value')} would be written" + (
        f", {kept:,} {'is' if kept == 1 else 'are'} so already." if kept else "."
    )
    return f"{many} would be settled" + (f": {kinds}." if kinds else ".") + (values if preview.fields else "")


def _changed(rows: int) -> str:
    if not rows:
        return ""
    one = rows == 1
    return (
        f"{plural(rows, 'conflict')} {'is' if one else 'are'} no longer as {'it was' if one else 'they were'} when this was previewed:"
        f" {'it' if one else 'they'} would be left out, and listed."
    )


def _begun(preview: BulkPreview) -> str:
    if not preview.begun:
        return ""
    return f" In {preview.begun:,} of them somebody has chosen already, and not applied it: this takes its place."


def _ignored(one: FieldEffect) -> str:
    where = "every record" if one.take is Ignoring.FIELD else "the records that are settled"
    return f"{one.entity.label}: {one.label} is ignored in {where} from the next sync on, until somebody takes it back under Rules."


def _effect(one: FieldEffect, *, by_rule: bool) -> EffectRow:
    unsaid = "Merged by itself" if by_rule else "As decided for each"
    # Where one side alone has changed, no time is asked for.
    said = one.take is not None and (one.take is not Blend.NEWER or one.sides)
    what = (TAKES.get(one.take) or one.take.label) if one.take and said else unsaid
    return EffectRow(
        key=f"{one.entity.value}.{one.name}",
        label=one.label,
        entity=one.entity.label,
        becomes=what,
        ways=[
            WayRow(word.label, f"{count:,}", f"{max(1, round(100 * count / one.rows))}%")
            for word, count in one.transitions.items()
        ],
        rows=f"{one.rows:,}",
        written=f"{one.writes:,}",
        kept=f"{one.rows - one.writes:,}",
        money=one.money,
    )


_SIDES = {Choice.STRIPE: "Stripe's", Choice.LOCAL: "ours"}


_LONGEST = 80


def _sample(one: Sample, zone: str) -> SampleRow:
    fields = {field.name: field for field in FIELDS[one.entity]}

    def text(name: str, value: JsonValue) -> str:
        said = value_text(fields[name], value, {"currency": one.currency}, zone) or NOTHING
        return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"

    changes = [f"{made.label}: {text(made.name, made.before)} → {text(made.name, made.after)}" for made in one.changes]
    return SampleRow(
        one.label,
        one.entity.value,
        f"{PATH}/{one.conflict_id}",
        one.largest,
        [*changes, *([one.record] if one.record else [])] or ["stays as it is"],
        [_timed(time, zone) for time in one.times],
    )


def _timed(one: SampleTime, zone: str) -> TimedRow:
    here, there = (When.of(datetime.fromtimestamp(at, UTC), zone) for at in (one.here, one.there))
    said = f"{one.label}: {_SIDES[one.take]} is the newer. Here {here.text} by {one.by}, in Stripe {there.text} by {one.event}."
    return TimedRow(said, f"Here {here.utc}, in Stripe {there.utc}")
