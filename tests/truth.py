"""What a sandbox account holds, as values, and what a workspace stores, as values: the two sides that a sync makes equal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from sync_core.domain.fields import FIELDS, ORDER, Values, same
from sync_core.domain.mapping import Mapped, map_object
from sync_core.domain.vocabulary import EntityType
from sync_core.sandbox.account import Account
from sync_core.store.database import Database
from sync_core.store.values_sql import TABLES, values_expression
from tests import support


@dataclass(frozen=True, slots=True)
class Record:
    """`values` is None of a deleted object: all that is known of it is its id."""

    values: Values | None


Side = dict[EntityType, dict[str, Record]]


def references(entity: EntityType, values: Values) -> Iterable[tuple[EntityType, str]]:
    for one in FIELDS[entity]:
        found = values.get(one.name)
        if one.parent is not None and isinstance(found, str):
            yield one.parent, found
    lines: Any = values["items"] if entity is EntityType.SUBSCRIPTIONS else []
    for line in lines:
        for parent in (EntityType.PRICES, EntityType.PRODUCTS):
            if line.get(parent.singular):
                yield parent, line[parent.singular]


def mapped(entity: EntityType, raw: dict[str, Any]) -> Record:
    found = map_object(entity, raw)
    assert isinstance(found, Mapped), found
    return Record(None if found.deleted else found.values)


def truth_of(account: Account, entities: Iterable[EntityType] = ORDER) -> Side:
    """All that lists show of the entity types, and every parent that those name, listed or not."""
    side: Side = {entity: {} for entity in ORDER}
    for entity in entities:
        for raw in account.truth_objects(entity.value):
            side[entity][raw["id"]] = mapped(entity, raw)
    for entity in reversed(ORDER):
        for record in list(side[entity].values()):
            for parent, external_id in references(entity, record.values or {}) if record.values else ():
                _complete(account, side, parent, external_id)
    return side


def _complete(account: Account, side: Side, entity: EntityType, external_id: str) -> None:
    if external_id in side[entity]:
        return
    raw = account.retrieve(entity.value, external_id)
    if raw is not None:
        side[entity][external_id] = mapped(entity, raw)


async def stored(database: Database, workspace_id: UUID) -> Side:
    """Every linked record; the base and the kept raw object are held to the local values on the way."""
    side: Side = {}
    for entity in ORDER:
        found = await support.rows(
            database,
            workspace_id,
            f"SELECT external_id, deleted_at IS NOT NULL AS deleted, {values_expression(entity, 't')} AS local, payment_base,"
            f" payment_raw::text AS raw FROM {TABLES[entity]} t WHERE external_id IS NOT NULL",
        )
        side[entity] = {row["external_id"]: Record(None if row["deleted"] else row["local"]) for row in found}
    return side


def differences(ours: Side, theirs: Side) -> list[str]:
    """In words, so that a failed comparison says what differs."""
    found = []
    for entity in ORDER:
        mine, yours = ours[entity], theirs[entity]
        found += [f"{entity.singular} {one} is missing here" for one in sorted(yours.keys() - mine.keys())]
        found += [f"{entity.singular} {one} is not in Stripe" for one in sorted(mine.keys() - yours.keys())]
        for one in sorted(mine.keys() & yours.keys()):
            a, b = mine[one].values, yours[one].values
            if a is None or b is None:
                found += [f"{entity.singular} {one}: deleted on one side only"] if a is not b else []
            elif not same(entity, a, b):
                fields = {name: (a[name], b[name]) for name in b if a[name] != b[name]}
                found.append(f"{entity.singular} {one}: {fields}")
    return found


async def assert_equal_to(database: Database, workspace_id: UUID, account: Account, **options: Any) -> None:
    assert differences(await stored(database, workspace_id), truth_of(account, **options)) == []


async def round_trips(database: Database, workspace_id: UUID) -> list[str]:
    """Records whose values can't be had again from the raw object kept beside them."""
    wrong = []
    for entity in ORDER:
        for row in await support.rows(
            database,
            workspace_id,
            f"SELECT external_id, {values_expression(entity, 't')} AS local, payment_base AS base, payment_raw::text AS raw"
            f" FROM {TABLES[entity]} t WHERE external_id IS NOT NULL AND deleted_at IS NULL",
        ):
            again = mapped(entity, orjson.loads(row["raw"])).values
            assert again is not None
            if not (row["local"] == again == row["base"]):
                wrong.append(f"{entity.singular} {row['external_id']}: {row['local']} {row['base']} {again}")
    return wrong
