"""What a rule has ignored beside what it settles: whether it may, and what is noted for the syncs to come."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.conflict_rules import SENSITIVE, Rule
from sync_core.domain.vocabulary import EntityType, Ignoring
from sync_core.errors import Refusal
from sync_core.services.actor import Actor, Permission
from sync_core.store import conflict_previews as previews
from sync_core.store import ignored_fields as store
from sync_core.store.audit import record as audit
from sync_core.store.conflict_effects import count_fields

MOST_HERE = 200
"""Fields of single records that a workspace ignores: each goes with every run, in its configuration."""

ADMINS_ONLY = Refusal("forbidden", "It concerns everybody's records: only an admin may change it.", status=403)
MONEY = Refusal("money", "It says what somebody pays: confirm that Stripe's value is to be ignored.", field="money")


def refused(actor: Actor, rule: Rule) -> Refusal | None:
    """What keeps this person from having ignored what the rule says."""
    ignored = [name for how in Ignoring for name in rule.ignoring(how)]
    if rule.ignoring(Ignoring.FIELD) and not actor.can(Permission.MANAGE_WORKSPACE):
        return ADMINS_ONLY
    if not rule.money and not SENSITIVE.isdisjoint(ignored):
        return MONEY
    return None


async def crowded(session: AsyncSession, actor: Actor, rule: Rule, rows: int) -> Refusal | None:
    """Single records are named one by one, so there is an end to them."""
    more = rows * len(rule.ignoring(Ignoring.RECORD))
    held = await store.count_here(session, actor.workspace_id) if more else 0
    if not more or held + more <= MOST_HERE:
        return None
    return Refusal(
        "too_many",
        f"A workspace has single records ignored {MOST_HERE:,} times at most. {held:,} of them are taken, and this asks for {more:,} more."
        " Take some back under Rules, or ignore the field in every record.",
    )


async def note_previewed(session: AsyncSession, actor: Actor, rule: Rule, preview_id: UUID) -> None:
    """Of the kinds of records in which the preview shows the field."""
    names = rule.ignoring(Ignoring.FIELD)
    for entity in await previews.entities(session, actor.workspace_id, preview_id) if names else ():
        shown = await count_fields(session, actor.workspace_id, preview_id, entity, rule, names)
        await note_everywhere(session, actor, entity, [one.name for one in shown if one.name in names])


async def note_everywhere(session: AsyncSession, actor: Actor, entity: EntityType, names: Sequence[str]) -> bool:
    """From the next sync on, in every record of this kind. Whether any of it is new."""
    added = False
    for name in names:
        if await store.add(session, actor.workspace_id, entity, name, actor.label):
            added = True
            await _note(session, actor, f"{entity.value}.{name}", {})
    return added


async def note_here(
    session: AsyncSession, actor: Actor, rule: Rule, entity: EntityType, record_ids: Sequence[UUID]
) -> bool:
    """The same in these records alone."""
    added = False
    for name in rule.ignoring(Ignoring.RECORD):
        if await store.add_here(session, actor.workspace_id, entity, record_ids, name, actor.label):
            added = True
            await _note(session, actor, f"{entity.value}.{name}", {"records": [str(one) for one in record_ids]})
    return added


async def _note(session: AsyncSession, actor: Actor, path: str, details: dict[str, object]) -> None:
    await audit(session, actor.workspace_id, actor.label, "conflict_field.ignored", target=path, details=details)
