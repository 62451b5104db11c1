"""Fields that syncs ignore: ours stays, whatever strategy a sync uses, and a difference is no conflict, until somebody takes it back.

It acts through the strategies of every sync from the next one on. New records still get Stripe's value, a record's base stays as it was,
and what is open already waits for its decision: nothing is settled by it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from sync_core.domain.conflict_rules import SENSITIVE
from sync_core.domain.fields import COMPARED, FIELDS
from sync_core.domain.merge import field_key
from sync_core.domain.vocabulary import EntityType
from sync_core.errors import Refusal
from sync_core.services.actor import Actor, Permission
from sync_core.services.conflict_facets import FORBIDDEN
from sync_core.store import ignored_fields as store
from sync_core.store.audit import record as audit
from sync_core.store.conflict_query import ConflictQuery, cells
from sync_core.store.database import Database

_ADMINS_ONLY = Refusal("forbidden", "It concerns everybody's records: only an admin may change it.", status=403)
_UNKNOWN = Refusal("field_unknown", "There is no such field to ignore.", field="field")
_NOT_IGNORED = Refusal("not_found", "This field is not ignored.", status=404)
_MONEY = Refusal("money", "It says what somebody pays: confirm that Stripe's value is to be ignored.", field="money")


@dataclass(frozen=True, slots=True)
class Ignored:
    """`open` are the conflicts about it that wait for a decision."""

    entity: EntityType
    name: str
    label: str
    money: bool
    by: str
    at: datetime
    open: int

    @property
    def path(self) -> str:
        return f"{self.entity.value}.{self.name}"


async def listed(database: Database, actor: Actor) -> tuple[Ignored, ...] | Refusal:
    if not actor.can(Permission.VIEW):
        return FORBIDDEN
    async with database.workspace(actor.workspace_id) as session:
        found = await store.ignored(session, actor.workspace_id)
        open_now = await cells(session, actor.workspace_id, ConflictQuery()) if found else []
    counts = Counter[tuple[str, str]]()
    for cell in open_now:
        counts.update(dict.fromkeys(((cell.entity_type, name) for name in cell.fields), cell.count))
    return tuple(
        Ignored(
            one.entity,
            one.name,
            label_of(one.entity, one.name),
            one.name in SENSITIVE,
            one.created_by,
            one.created_at,
            counts[one.entity.value, one.name],
        )
        for one in found
    )


def label_of(entity: EntityType, name: str) -> str:
    return next(f"{entity.label}: {one.label}" for one in FIELDS[entity] if one.name == name)


async def ignore(database: Database, actor: Actor, path: str, *, money: bool = False) -> bool | Refusal:
    """`customers.phone`; one that says what somebody pays only with `money`. False when it is ignored already."""
    key = _known(actor, path)
    if isinstance(key, Refusal):
        return key
    if key[1] in SENSITIVE and not money:
        return _MONEY
    async with database.workspace(actor.workspace_id) as session:
        added = await store.add(session, actor.workspace_id, *key, actor.label)
        if added:
            await audit(session, actor.workspace_id, actor.label, "conflict_field.ignored", target=path, details={})
    return added


async def heed(database: Database, actor: Actor, path: str) -> Refusal | None:
    """Take it back: the next sync compares the field again, with what both sides last agreed on."""
    key = _known(actor, path)
    if isinstance(key, Refusal):
        return key
    async with database.workspace(actor.workspace_id) as session:
        if not await store.remove(session, actor.workspace_id, *key):
            return _NOT_IGNORED
        await audit(session, actor.workspace_id, actor.label, "conflict_field.heeded", target=path, details={})
    return None


def _known(actor: Actor, path: str) -> tuple[EntityType, str] | Refusal:
    if not actor.can(Permission.MANAGE_WORKSPACE):
        return _ADMINS_ONLY
    try:
        entity, name = field_key(path)
    except ValueError:
        return _UNKNOWN
    return (entity, name) if name in COMPARED[entity] else _UNKNOWN
