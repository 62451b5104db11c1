"""Syncs of the past: a page of them, two side by side, and what became of one record in all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.fields import ORDER
from sync_core.domain.vocabulary import Action, Choice, EntityType
from sync_core.errors import Refusal
from sync_core.services import sessions
from sync_core.services.actor import Actor, Permission
from sync_core.services.record_views import When, title_of
from sync_core.services.report import Line, counts_of, described, field_label, line
from sync_core.services.session_views import SessionView
from sync_core.store import reports as store
from sync_core.store.database import Database
from sync_core.store.record_details import read_listed
from sync_core.store.runs import RunConfig
from sync_core.store.sessions import RunFilter

_RUNS: Final = 100
_LONGEST_ID: Final = 255
_FORBIDDEN = Refusal("forbidden", "Your role may not look at the history.", status=403)


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run in a list. `seconds` is None before it ended."""

    session: SessionView
    counts: Mapping[Action, int]
    processed: int
    seconds: int | None
    rate: float | None


@dataclass(frozen=True, slots=True)
class Page:
    """`cursor` asks for older runs; None at the end."""

    runs: tuple[PastRun, ...]
    cursor: str | None


async def page(
    database: Database,
    actor: Actor,
    *,
    cursor: str | None = None,
    only: RunFilter = RunFilter(),  # noqa: B008 - it can't be changed
    limit: int = 25,
) -> Page | Refusal:
    """The newest first."""
    if not actor.can(Permission.VIEW):
        return _FORBIDDEN
    found = await sessions.list_sessions(database, actor, cursor=cursor, limit=limit, only=only)
    if isinstance(found, Refusal):
        return found
    return Page(tuple(past(view) for view in found.items), found.cursor)


def past(view: SessionView) -> PastRun:
    counts = totals(view)
    processed = sum(counts.values())
    seconds = None
    if view.started_at is not None and view.completed_at is not None:
        seconds = max(0, view.completed_at - view.started_at)
    return PastRun(view, counts, processed, seconds, processed / max(1, seconds) if seconds is not None else None)


def totals(view: SessionView) -> dict[Action, int]:
    each = [counts_of(one.progress) for one in view.entities]
    return {action: sum(counts[action] for counts in each) for action in Action}


@dataclass(frozen=True, slots=True)
class ComparedCounts:
    """One entity type in two runs."""

    entity: EntityType
    one: Mapping[Action, int]
    other: Mapping[Action, int]

    def difference(self, action: Action) -> int:
        return self.other[action] - self.one[action]


@dataclass(frozen=True, slots=True)
class ComparedSetting:
    name: str
    one: str
    other: str

    @property
    def differs(self) -> bool:
        return self.one != self.other


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs, the earlier one first."""

    one: PastRun
    other: PastRun
    entities: tuple[ComparedCounts, ...]
    settings: tuple[ComparedSetting, ...]


async def compare(database: Database, actor: Actor, one_id: UUID, other_id: UUID) -> Comparison | Refusal:
    found = await two(database, actor, one_id, other_id)
    if isinstance(found, Refusal):
        return found
    one, other = found
    return Comparison(past(one), past(other), _counted(one, other), _settings(one, other, actor.time_zone))


async def two(
    database: Database, actor: Actor, one_id: UUID, other_id: UUID
) -> tuple[SessionView, SessionView] | Refusal:
    """The earlier one first."""
    if not actor.can(Permission.VIEW):
        return _FORBIDDEN
    if one_id == other_id:
        return Refusal("same_session", "Choose two different syncs to compare.", field="other")
    views = []
    for session_id in (one_id, other_id):
        found = await sessions.get(database, actor, session_id)
        if isinstance(found, Refusal):
            return found
        views.append(found)
    one, other = sorted(views, key=lambda view: (view.queued, view.id))
    return one, other


def _counted(one: SessionView, other: SessionView) -> tuple[ComparedCounts, ...]:
    nothing = dict.fromkeys(Action, 0)
    sides = [{run.progress.entity_type: counts_of(run.progress) for run in view.entities} for view in (one, other)]
    return tuple(
        ComparedCounts(entity, sides[0].get(entity, nothing), sides[1].get(entity, nothing))
        for entity in ORDER
        if entity in sides[0] or entity in sides[1]
    )


def span_of(config: RunConfig, zone: str) -> str:
    """The date range in words; empty for all of it."""
    start, end = When.of(config.start, zone).text, When.of(config.end, zone).text
    return " ".join(part for part in (start and f"from {start}", end and f"until {end}") if part)


def strategy_of(config: RunConfig) -> str:
    narrower = len(config.strategies.by_entity) + len(config.strategies.by_field)
    more = f", {narrower} exception{'' if narrower == 1 else 's'}" if narrower else ""
    return config.strategies.default.label + more


def _settings(one: SessionView, other: SessionView, zone: str) -> tuple[ComparedSetting, ...]:
    pairs = zip(_described(one, zone), _described(other, zone), strict=True)
    return tuple(ComparedSetting(name, value, other_value) for (name, value), (_, other_value) in pairs)


def _described(view: SessionView, zone: str) -> list[tuple[str, str]]:
    config = view.config
    return [
        ("Kind", kind_of(view)),
        ("Entity types", ", ".join(entity.label for entity in config.entity_types)),
        ("Date range", span_of(config, zone) or "Everything"),
        ("Strategy", strategy_of(config)),
        ("Objects a request", str(config.batch_size)),
        ("Windows at once", str(config.concurrent_batches)),
        ("Matched by email", "Yes" if config.match_by_email else "No"),
    ]


def kind_of(view: SessionView) -> str:
    """What sort of run it was, in words."""
    if view.config.dry_run:
        return "Dry run"
    if view.source_session_id is None:
        return view.session_type.label
    plan = "a plan" if view.source_number is None else f"plan #{view.source_number}"
    return f"{plan.capitalize()} applied" if view.config.limit is None else f"First {view.config.limit:,} of {plan}"


def name_of(view: SessionView) -> str:
    """With the run's number, which a dry run shares with its plan."""
    return f"{kind_of(view)} · #{view.number}"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a record: a run planned it (`line`), or a person decided (`decision`). `at` is epoch seconds."""

    at: int
    session: SessionView | None
    line: Line | None
    who: str
    decision: str


@dataclass(frozen=True, slots=True)
class RecordHistory:
    """The newest first, of the last hundred runs. `label` is what people call the record; `entity` is None for one nobody knows."""

    external_id: str
    label: str
    entity: EntityType | None
    events: tuple[Event, ...]


async def of_record(database: Database, actor: Actor, external_id: str) -> RecordHistory | Refusal:
    """What each run made of one Stripe id, and what people decided about it."""
    if not actor.can(Permission.VIEW):
        return _FORBIDDEN
    wanted = external_id.strip()
    if not wanted or len(wanted) > _LONGEST_ID or "\0" in wanted:
        return Refusal("external_id_invalid", "Give a Stripe id, such as cus_NffrFeUfNV2Hib.", field="external_id")
    async with database.workspace(actor.workspace_id) as session:
        rows = await store.of_record(session, actor.workspace_id, wanted, runs=_RUNS)
        records = sorted({row.record_id for row in rows if row.record_id is not None})
        decided = await store.decisions(session, actor.workspace_id, records) if records else []
        entity, label = await _named(session, actor.workspace_id, rows)
    listed = await sessions.list_sessions(database, actor, limit=_RUNS)
    if isinstance(listed, Refusal):
        return listed
    runs = {view.id: view for view in listed.items}
    events = [
        Event(
            at=runs[row.session_id].completed_at or runs[row.session_id].created_at,
            session=runs[row.session_id],
            line=line(EntityType(row.entity_type), row, actor.time_zone),
            who=runs[row.session_id].created_by,
            decision="",
        )
        for row in rows
        if row.session_id in runs
    ]
    events += [Event(int(one.created_at.timestamp()), None, None, one.actor, _decision(one)) for one in decided]
    # Within a second: decisions follow runs, and runs stand as they are listed.
    order = {session_id: place for place, session_id in enumerate(runs)}
    events.sort(key=lambda event: (-event.at, -1 if event.session is None else order[event.session.id]))
    return RecordHistory(wanted, label, entity, tuple(events))


async def _named(
    session: AsyncSession, workspace_id: UUID, rows: Sequence[store.RecordRow]
) -> tuple[EntityType | None, str]:
    """As lists call it; what is not stored by its own words, save a subscription, which has none but its status."""
    if not rows:
        return None, ""
    entity = EntityType(rows[0].entity_type)
    stored = next((row.record_id for row in rows if row.record_id is not None), None)
    record = None if stored is None else await read_listed(session, workspace_id, entity, stored)
    if record is not None:
        title, note = title_of(entity, record)
        bought = record.data["product"] if entity is EntityType.SUBSCRIPTIONS else note
        return entity, f"{title}, {bought}" if bought else title
    words = [described(entity, row.theirs) for row in rows if entity is not EntityType.SUBSCRIPTIONS]
    return entity, next((one for one in words if one), "")


def _decision(one: store.Decided) -> str:
    entity = EntityType(one.entity_type)
    parts = []
    for name, choice in sorted(one.choices.items()):
        taken = choice.get("take") if isinstance(choice, dict) else choice
        word = Choice(taken).label if taken in tuple(Choice) else str(taken)
        parts.append(f"{field_label(entity, name)}: {word}")
    undone = f" (undone by {one.undone_by})" if one.undone_at is not None else ""
    return f"{'; '.join(parts) or 'Decided'}{undone}"
