"""Standing rules: in order, the first that fits a conflict decides it, at the end of the run that opened it.

They are safe by being few in kind: a rule sees what a conflict is about, never who looks after it; it is off until somebody switches it on;
it writes nothing about money unless it was told to; it passes over what a person has begun to decide or is responsible for. It works
through the same preview and the same batch as a person, so that what it did is listed, and can be taken back, the same way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.conflict_rules import Rule
from sync_core.domain.fields import ALL_NAMES
from sync_core.domain.vocabulary import Choice, Facet, Ignoring, Mark, Role
from sync_core.errors import Refusal
from sync_core.services.actor import Actor, Permission
from sync_core.services.conflict_bulk_views import BulkPreview, BulkResult
from sync_core.services.conflict_facets import FORBIDDEN
from sync_core.services.conflicts_bulk import bulk_resolve, coverage, misstated, previewed
from sync_core.store import conflict_rules as store
from sync_core.store.audit import record as audit
from sync_core.store.conflict_counts import cells
from sync_core.store.conflict_query import NOBODY, Cell, ConflictQuery
from sync_core.store.conflict_rules import NewRule, StoredRule
from sync_core.store.database import Database

log = structlog.get_logger()

RULE_FACETS = (Facet.ENTITY, Facet.FIELD, Facet.REASON, Facet.TRANSITION, Facet.SEVERITY, Facet.CUSTOMER)
"""What a rule may look at: all of it is a matter of the conflict's kind and its customer's, which are told apart before rows are read."""
MOST_RULES, NAME_LENGTH = 50, 100

_ADMINS_ONLY = Refusal("forbidden", "Rules act for everybody: only an admin may change them.", status=403)
_UNKNOWN = Refusal("not_found", "There is no such rule in this workspace.", status=404)


@dataclass(frozen=True, slots=True)
class SavedRule:
    """`matches` open conflicts fit it and no enabled rule before it; `settles` of them it would decide."""

    id: UUID
    name: str
    enabled: bool
    query: ConflictQuery
    rule: Rule
    hits: int
    last_hit_at: datetime | None
    created_by: str
    matches: int = 0
    settles: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            **self.to_file(),
            "id": str(self.id),
            "object": "conflict_rule",
            "enabled": self.enabled,
            "hits": self.hits,
            "last_hit_at": int(self.last_hit_at.timestamp()) if self.last_hit_at else None,
            "matches": self.matches,
            "settles": self.settles,
        }

    def to_file(self) -> dict[str, Any]:
        """What it says, and nothing of its life in this workspace."""
        return {"name": self.name, "when": _when(self.query), "then": self.rule.to_json()}


def _when(query: ConflictQuery) -> dict[str, Any]:
    return {name: value for name, value in query.to_json().items() if name in ("facets", "excluded")}


async def listed(database: Database, actor: Actor) -> tuple[SavedRule, ...] | Refusal:
    """In order, each tried on what is open now. Nothing is decided by it."""
    if not actor.can(Permission.VIEW):
        return FORBIDDEN
    async with database.workspace(actor.workspace_id) as session:
        rules = [_saved(one) for one in await store.listed(session, actor.workspace_id)]
        found = await cells(session, actor.workspace_id, ConflictQuery()) if rules else []
    return tuple(_tried(rules, found))


def _tried(rules: Sequence[SavedRule], found: Sequence[Cell]) -> Iterator[SavedRule]:
    left = list(found)
    for one in rules:
        fitting = [cell for cell in left if cell.fits(one.query)]
        matches = sum(cell.count for cell in fitting)
        open_still = sum(missing.rows for missing in coverage(fitting, one.rule)[1])
        yield replace(one, matches=matches, settles=matches - open_still)
        if one.enabled:
            left = [cell for cell in left if cell not in fitting]


def _saved(stored: StoredRule) -> SavedRule:
    return SavedRule(
        stored.id,
        stored.name,
        stored.enabled,
        ConflictQuery.from_json(stored.query),
        Rule.from_json(stored.rule),
        stored.hits,
        stored.last_hit_at,
        stored.created_by,
    )


async def get(database: Database, actor: Actor, rule_id: UUID) -> SavedRule | Refusal:
    """One of the list, tried as the list is: what comes before it counts."""
    rules = await listed(database, actor)
    if isinstance(rules, Refusal):
        return rules
    return next((one for one in rules if one.id == rule_id), _UNKNOWN)


async def exported(database: Database, actor: Actor) -> dict[str, Any] | Refusal:
    """All of them as a file that `imported` takes."""
    rules = await listed(database, actor)
    return rules if isinstance(rules, Refusal) else {"rules": [one.to_file() for one in rules]}


async def save(database: Database, actor: Actor, name: str, query: ConflictQuery, rule: Rule) -> UUID | Refusal:
    """A new rule behind the others, off. Of the query it keeps what a rule may look at."""
    kept = replace(query, chosen={facet: values for facet, values in query.chosen.items() if facet in RULE_FACETS})
    return await create(database, actor, {"name": name, "when": _when(kept), "then": rule.to_json()})


async def create(database: Database, actor: Actor, given: Mapping[str, Any]) -> UUID | Refusal:
    """The same from outside, as one of a file's; nothing in it is taken on trust."""
    made = await add(database, actor, [given])
    return made if isinstance(made, Refusal) else made[0]


async def imported(database: Database, actor: Actor, text: str) -> list[UUID] | Refusal:
    """The rules of a file behind the others, all of them off."""
    try:
        given = json.loads(text)
    except ValueError:
        return Refusal("file_invalid", "That is not JSON.", field="rules")
    rules = given.get("rules") if isinstance(given, dict) else given
    if not isinstance(rules, list) or not all(isinstance(one, dict) for one in rules):
        return Refusal("file_invalid", "A file of rules is a list of objects, as exported.", field="rules")
    return await add(database, actor, rules)


async def add(database: Database, actor: Actor, given: Sequence[Mapping[str, Any]]) -> list[UUID] | Refusal:
    """All of these behind the others, off, or none."""
    if not actor.can(Permission.MANAGE_WORKSPACE):
        return _ADMINS_ONLY
    made: list[NewRule] = []
    for number, one in enumerate(given, 1):
        rule = _read(number, one)
        if isinstance(rule, Refusal):
            return rule
        made.append(rule)
    async with database.workspace(actor.workspace_id) as session:
        if len(await store.listed(session, actor.workspace_id, lock=True)) + len(made) > MOST_RULES:
            return Refusal("too_many", f"A workspace has {MOST_RULES} rules at most.", field="rules", status=409)
        ids = await store.add(session, actor.workspace_id, actor.label, made)
        for rule in made:
            details = {"name": rule.name, "when": dict(rule.query), "then": dict(rule.rule)}
            await _note(session, actor, "added", rule.name, details)
    return ids


async def _note(
    session: AsyncSession, actor: Actor, what: str, target: object, details: Mapping[str, Any] | None = None
) -> None:
    action = f"conflict_rule.{what}"
    await audit(session, actor.workspace_id, actor.label, action, target=str(target), details=dict(details or {}))


def _read(number: int, given: Mapping[str, Any]) -> NewRule | Refusal:
    """One rule from outside; nothing in it is taken on trust."""
    name = str(given.get("name") or "").replace("\x00", "").strip()
    if not name or len(name) > NAME_LENGTH:
        return Refusal("name_invalid", f"Rule {number} needs a name of up to {NAME_LENGTH} characters.", field="name")
    when, then = given.get("when") or {}, given.get("then") or {}
    try:
        query = ConflictQuery.from_json(when)
        # Money is left to people unless the file says otherwise in so many words.
        rule = Rule.from_json({**then, "money": then.get("money") is True})
    except (ValueError, TypeError, AttributeError) as wrong:
        return Refusal("rule_invalid", f"Rule {number}: {wrong}.", field="rules")
    unknown = [name for name in query.chosen.get(Facet.FIELD, ()) if name not in ALL_NAMES]
    if unknown:
        return Refusal("rule_invalid", f"Rule {number}: there is no field {unknown[0]!r}.", field="rules")
    strange = [facet.label for facet in query.chosen if facet not in RULE_FACETS]
    if strange:
        return Refusal(
            "rule_invalid", f"Rule {number} looks at {strange[0].lower()}, which a rule may not.", field="rules"
        )
    wrong_rule = misstated(rule)
    if any(rule.ignoring(how) for how in Ignoring):
        wrong_rule = Refusal(
            "rule_invalid", "What is ignored is so from the next sync on: it needs no rule.", field="rules"
        )
    return wrong_rule or NewRule(name, False, _when(query), rule.to_json())


async def change(
    database: Database, actor: Actor, rule_id: UUID, *, enabled: bool | None = None, position: int | None = None
) -> Refusal | None:
    """Switched on or off, put to a place in the order (the first is 1; past the end is the last), or both."""
    if not actor.can(Permission.MANAGE_WORKSPACE):
        return _ADMINS_ONLY
    async with database.workspace(actor.workspace_id) as session:
        ids = [one.id for one in await store.listed(session, actor.workspace_id, lock=True)]
        if rule_id not in ids:
            return _UNKNOWN
        if enabled is not None:
            await store.switch(session, actor.workspace_id, rule_id, enabled=enabled)
            await _note(session, actor, "enabled" if enabled else "disabled", rule_id)
        if position is not None:
            await _place(session, actor, rule_id, ids, position)
    return None


async def _place(session: AsyncSession, actor: Actor, rule_id: UUID, ids: list[UUID], position: int) -> None:
    ids.remove(rule_id)
    ids.insert(max(0, position - 1), rule_id)
    await store.order(session, actor.workspace_id, ids)
    await _note(session, actor, "moved", rule_id, {"order": [str(one) for one in ids]})


async def switch(database: Database, actor: Actor, rule_id: UUID, *, enabled: bool) -> Refusal | None:
    return await change(database, actor, rule_id, enabled=enabled)


async def move(database: Database, actor: Actor, rule_id: UUID, by: int) -> Refusal | None:
    """Up (-1) or down (1) in the order."""
    if not actor.can(Permission.MANAGE_WORKSPACE):
        return _ADMINS_ONLY
    async with database.workspace(actor.workspace_id) as session:
        ids = [one.id for one in await store.listed(session, actor.workspace_id, lock=True)]
        if rule_id not in ids:
            return _UNKNOWN
        await _place(session, actor, rule_id, ids, ids.index(rule_id) + (2 if by > 0 else 0))
    return None


async def remove(database: Database, actor: Actor, rule_id: UUID) -> Refusal | None:
    if not actor.can(Permission.MANAGE_WORKSPACE):
        return _ADMINS_ONLY
    async with database.workspace(actor.workspace_id) as session:
        if not await store.remove(session, actor.workspace_id, [rule_id]):
            return _UNKNOWN
        await _note(session, actor, "removed", rule_id)
    return None


async def preview(database: Database, actor: Actor, rule_id: UUID) -> BulkPreview | Refusal:
    """What one rule would do to what is open now, to be applied like any preview."""
    if not actor.can(Permission.RESOLVE_CONFLICTS):
        return FORBIDDEN
    async with database.workspace(actor.workspace_id) as session:
        rules = [_saved(one) for one in await store.listed(session, actor.workspace_id)]
    found = next((one for one in rules if one.id == rule_id), None)
    if found is None:
        return _UNKNOWN
    async with database.workspace(actor.workspace_id) as session:
        fitting = await cells(session, actor.workspace_id, found.query)
        return await previewed(session, actor, found.query, found.rule, fitting)


async def apply_to_run(database: Database, workspace_id: UUID, session_id: UUID) -> int:
    """Settle what the enabled rules cover of the conflicts that a run opened. How many it were."""
    async with database.workspace(workspace_id) as session:
        rules = [_saved(one) for one in await store.listed(session, workspace_id) if one.enabled]
        if not rules:
            return 0
        base = _untouched(session_id)
        left = await cells(session, workspace_id, base)
    settled = 0
    for one in rules:
        fitting = [cell for cell in left if cell.fits(one.query)]
        left = [cell for cell in left if cell not in fitting]
        settled += await _settle(database, workspace_id, one, base, fitting)
    return settled


def _untouched(session_id: UUID) -> ConflictQuery:
    """A run's conflicts that nobody has begun to decide, decided before, or looks after."""
    query = ConflictQuery.of(run=session_id, mark=(Mark.REOPENED.value, Mark.CHOSEN.value), assignee=NOBODY)
    return replace(query, excluded=frozenset({Facet.MARK}))


async def _settle(
    database: Database, workspace_id: UUID, one: SavedRule, base: ConflictQuery, fitting: Sequence[Cell]
) -> int:
    if not coverage(fitting, one.rule)[0]:
        return 0
    actor = Actor(workspace_id, Role.OPERATOR, f"Rule “{one.name}”")
    async with database.workspace(workspace_id) as session:
        made = await previewed(session, actor, base, one.rule, fitting)
    result = await bulk_resolve(database, actor, made.id, made.hash)
    if not isinstance(result, BulkResult):
        log.warning("rules.not_applied", rule=str(one.id), reason=result.message)
        return 0
    async with database.workspace(workspace_id) as session:
        await store.count_hits(session, workspace_id, one.id, result.resolved)
    log.info("rules.applied", rule=str(one.id), settled=result.resolved, left_out=result.left_out_count)
    return result.resolved


def sentence(query: ConflictQuery, rule: Rule, labels: Mapping[tuple[Facet, str], str]) -> tuple[str, str]:
    """When and then, in words. `labels` are those of values; what has none is its own label."""
    whens = [
        f"{facet.label.lower()} is {'not ' if facet in query.excluded else ''}"
        + " or ".join(f"“{labels.get((facet, value), value)}”" for value in values)
        for facet, values in query.chosen.items()
        if values
    ]
    takes = [rule.take.label] if rule.take else []
    takes += [f"{labels.get((Facet.FIELD, name), name)}: {one.label}" for name, one in rule.fields.items()]
    takes += [f"the record: {_RECORD[rule.record]}"] if rule.record else []
    return "; ".join(whens) or "any conflict", "; ".join(takes)


_RECORD = {Choice.STRIPE: "follow Stripe", Choice.LOCAL: "stay as we are"}
