"""Fields that syncs ignore: ours stays, whatever strategy a sync uses, and a difference is no conflict, until somebody takes it back.

In every record of a kind or in one alone. It acts through the strategies of every sync from the next one on. New records still get
Stripe's value, and a record's base stays as it was. What is open about the field alone is settled with it, through a preview and a batch
like any decision: that changes no value, and is taken back by itself. A conflict that asks about other fields too stays open.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.conflict_rules import SENSITIVE, Rule
from sync_core.domain.fields import COMPARED, FIELDS
from sync_core.domain.merge import field_key
from sync_core.domain.vocabulary import EntityType, Ignoring
from sync_core.errors import Refusal
from sync_core.services import conflict_ignoring as ignoring
from sync_core.services.actor import Actor, Permission
from sync_core.services.conflict_bulk_views import BulkPreview, BulkResult
from sync_core.services.conflict_facets import FORBIDDEN
from sync_core.services.conflicts import NOT_FOUND
from sync_core.services.conflicts_bulk import bulk_preview, bulk_resolve
from sync_core.store import conflicts as conflict_store
from sync_core.store import ignored_fields as store
from sync_core.store.audit import record as audit
from sync_core.store.conflict_counts import cells
from sync_core.store.conflict_query import ConflictQuery
from sync_core.store.database import Database

_UNKNOWN = Refusal("field_unknown", "There is no such field to ignore.", field="field")
_NOT_IGNORED = Refusal("not_found", "This field is not ignored.", status=404)


@dataclass(frozen=True, slots=True)
class Ignored:
    """`open` are the conflicts about it that wait for a decision. `record_id` is None for all records, `record` what the one is called."""

    entity: EntityType
    name: str
    label: str
    money: bool
    by: str
    at: datetime
    open: int
    record_id: UUID | None = None
    record: str = ""

    @property
    def path(self) -> str:
        return f"{self.entity.value}.{self.name}"

    def to_json(self) -> dict[str, object]:
        return {
            "object": "ignored_field",
            "field": self.path,
            "label": self.label,
            "money": self.money,
            "record_id": str(self.record_id) if self.record_id else None,
            "record": self.record or None,
            "ignored_by": self.by,
            "ignored_at": int(self.at.timestamp()),
            "open_conflicts": self.open,
        }


@dataclass(frozen=True, slots=True)
class Done:
    """`added` is False where it was ignored already; `settled` what came of the preview that was given."""

    added: bool
    settled: BulkResult | None = None


async def listed(database: Database, actor: Actor) -> tuple[Ignored, ...] | Refusal:
    """Those of all records first."""
    if not actor.can(Permission.VIEW):
        return FORBIDDEN
    async with database.workspace(actor.workspace_id) as session:
        everywhere = await store.everywhere(session, actor.workspace_id)
        here = await store.here(session, actor.workspace_id)
        open_now = await cells(session, actor.workspace_id, ConflictQuery(snoozed=None)) if everywhere else []
    counts = Counter[tuple[str, str]]()
    for cell in open_now:
        counts.update(dict.fromkeys(((cell.entity_type, name) for name in cell.fields), cell.count))
    counted = [replace(one, open=counts[one.entity.value, one.name]) for one in everywhere]
    return tuple(_ignored(one) for one in [*counted, *here])


def _ignored(one: store.StoredField) -> Ignored:
    return Ignored(
        one.entity,
        one.name,
        label_of(one.entity, one.name),
        one.name in SENSITIVE,
        one.created_by,
        one.created_at,
        one.open,
        one.record_id,
        one.label,
    )


def label_of(entity: EntityType, name: str) -> str:
    return next(f"{entity.label}: {one.label}" for one in FIELDS[entity] if one.name == name)


async def foresee(
    database: Database, actor: Actor, path: str, conflict_id: UUID | None = None
) -> BulkPreview | Refusal:
    """What would be settled with it: what is open about `customers.phone` alone, or the conflict named, where only its record is meant."""
    if not actor.can(Permission.RESOLVE_CONFLICTS):
        return FORBIDDEN
    known = _known(path)
    if isinstance(known, Refusal):
        return known
    entity, name = known
    everywhere = replace(ConflictQuery.of(entity=entity.value, field=name), snoozed=None)
    query = everywhere if conflict_id is None else replace(everywhere, ids=(conflict_id,))
    return await bulk_preview(database, actor, query, _rule(name, conflict_id, money=True))


def _rule(name: str, conflict_id: UUID | None, *, money: bool) -> Rule:
    how = Ignoring.FIELD if conflict_id is None else Ignoring.RECORD
    return Rule(fields={name: how}, money=money)


async def ignore(
    database: Database,
    actor: Actor,
    path: str,
    *,
    conflict_id: UUID | None = None,
    money: bool = False,
    preview: tuple[UUID, str] | None = None,
) -> Done | Refusal:
    """`customers.phone`, in every record or in that of the conflict named; one that says what somebody pays only with `money`.

    `preview` are id and hash of what was foreseen: it is settled first. Without one nothing that is open is.
    """
    known = _known(path)
    if isinstance(known, Refusal):
        return known
    rule = _rule(known[1], conflict_id, money=money)
    refused = ignoring.refused(actor, rule) if actor.can(Permission.RESOLVE_CONFLICTS) else FORBIDDEN
    if refused is not None:
        return refused
    settled = None if preview is None else await bulk_resolve(database, actor, *preview)
    if isinstance(settled, Refusal):
        return settled
    async with database.workspace(actor.workspace_id) as session:
        added = await _add(session, actor, known[0], rule, conflict_id)
    if isinstance(added, Refusal):
        return added
    # What the preview settled has noted it already.
    return Done(added or (settled is not None and settled.resolved > 0), settled)


async def _add(
    session: AsyncSession, actor: Actor, entity: EntityType, rule: Rule, conflict_id: UUID | None
) -> bool | Refusal:
    if conflict_id is None:
        return await ignoring.note_everywhere(session, actor, entity, rule.ignoring(Ignoring.FIELD))
    stored = await conflict_store.one(session, actor.workspace_id, conflict_id)
    if stored is None or stored.entity_type != entity:
        return NOT_FOUND
    crowded = await ignoring.crowded(session, actor, rule, 1)
    return crowded or await ignoring.note_here(session, actor, rule, entity, [stored.record_id])


async def heed(database: Database, actor: Actor, path: str, record_id: UUID | None = None) -> Refusal | None:
    """Take it back: the next sync compares the field again, with what both sides last agreed on. What was settled by it stands."""
    if not actor.can(Permission.MANAGE_WORKSPACE if record_id is None else Permission.RESOLVE_CONFLICTS):
        return ignoring.ADMINS_ONLY if record_id is None else FORBIDDEN
    key = _known(path)
    if isinstance(key, Refusal):
        return key
    async with database.workspace(actor.workspace_id) as session:
        if not await store.remove(session, actor.workspace_id, *key, record_id):
            return _NOT_IGNORED
        details = {"record": str(record_id)} if record_id else {}
        await audit(session, actor.workspace_id, actor.label, "conflict_field.heeded", target=path, details=details)
    return None


def _known(path: str) -> tuple[EntityType, str] | Refusal:
    try:
        entity, name = field_key(path)
    except ValueError:
        return _UNKNOWN
    return (entity, name) if name in COMPARED[entity] else _UNKNOWN
