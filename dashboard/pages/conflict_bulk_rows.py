"""A preview of many decisions as the screen shows it."""

from __future__ import annotations

from dataclasses import dataclass, field

from dashboard.formatting import plural
from dashboard.pages.conflict_filters import PATH
from dashboard.pages.conflict_rows import NOTHING, TAKES
from sync_core.domain.fields import FIELDS, JsonValue
from sync_core.domain.vocabulary import Ignoring
from sync_core.services.conflict_bulk_views import BulkPreview, FieldEffect, Sample
from sync_core.services.record_views import value_text


@dataclass(frozen=True, slots=True)
class EffectRow:
    label: str
    entity: str
    rows: str
    about: str
    money: bool


@dataclass(frozen=True, slots=True)
class SampleRow:
    label: str
    href: str
    changes: list[str]


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
    ignored: list[str] = field(default_factory=list)
    by_rule: bool = True


def preview_rows(preview: BulkPreview, zone: str) -> PreviewRows:
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
        missing=[
            f"{plural(one.rows, 'conflict')} {'stays' if one.rows == 1 else 'stay'} open. {one.reason}"
            for one in preview.not_covered
        ],
        ignored=[_ignored(one) for one in preview.fields if one.ignored],
        by_rule=preview.by_rule,
    )


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
    what = (TAKES.get(one.take) or one.take.label) if one.take else unsaid
    return EffectRow(one.label, one.entity.label, f"{one.rows:,}", " · ".join([what, *notes]), one.money)


def _sample(one: Sample, zone: str) -> SampleRow:
    fields = {field.name: field for field in FIELDS[one.entity]}

    def text(name: str, value: JsonValue) -> str:
        return value_text(fields[name], value, {"currency": one.currency}, zone)[:80] or NOTHING

    changes = [f"{made.label}: {text(made.name, made.before)} → {text(made.name, made.after)}" for made in one.changes]
    return SampleRow(
        one.label, f"{PATH}/{one.conflict_id}", [*changes, *([one.record] if one.record else [])] or ["stays as it is"]
    )
