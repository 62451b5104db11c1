"""SQL made from the field table: a record's columns as values (jsonb), and values as columns.

All text here comes from our own field table; nothing of a user's or of Stripe's ever becomes part of a statement.
"""

from __future__ import annotations

from functools import cache

from sync_core.domain.fields import FIELDS, Field, Kind, column
from sync_core.domain.vocabulary import EntityType

TABLES: dict[EntityType, str] = {entity: entity.value for entity in EntityType}

# What a column that must not be null holds when Stripe gave nothing (a tombstone knows little but its id).
_FALLBACKS: dict[tuple[EntityType, str], str] = {
    (EntityType.PRODUCTS, "name"): "{v}.external_id",
    (EntityType.PRODUCTS, "active"): "NOT {v}.deleted",
    (EntityType.PRICES, "active"): "NOT {v}.deleted",
    (EntityType.SUBSCRIPTIONS, "status"): "'canceled'",
    (EntityType.SUBSCRIPTIONS, "cancel_at_period_end"): "false",
}


def quoted(field: Field) -> str:
    return f'"{column(field)}"'


def columns(entity: EntityType) -> str:
    return ", ".join(quoted(field) for field in FIELDS[entity])


@cache
def values_expression(entity: EntityType, alias: str) -> str:
    """A jsonb expression: the record's local values, references as Stripe ids."""
    pairs = ", ".join(f"'{field.name}', {_as_value(field, alias)}" for field in FIELDS[entity])
    return f"jsonb_build_object({pairs})"


def _as_value(field: Field, alias: str) -> str:
    name = f"{alias}.{quoted(field)}"
    match field.kind:
        case Kind.REF:
            assert field.parent is not None
            return (
                f"(SELECT ref.external_id FROM {TABLES[field.parent]} ref"
                f" WHERE ref.workspace_id = {alias}.workspace_id AND ref.id = {name})"
            )
        case Kind.DECIMAL:
            return f"trim_scale({name})::text"
        case Kind.TIMESTAMP:
            return f"extract(epoch FROM {name})::bigint"
        case _:
            return name


@cache
def parents_expression(entity: EntityType, alias: str) -> str:
    """A jsonb expression: the record's references as our own ids."""
    pairs = ", ".join(f"'{field.name}', {alias}.{quoted(field)}" for field in FIELDS[entity] if field.kind is Kind.REF)
    return f"jsonb_build_object({pairs})"


@cache
def customer_of(entity: EntityType, record: str) -> str:
    """A uuid expression: our id of the customer that a record is, or is of. A kind that has customers gives one always: a record that names
    nobody is its own.
    """
    if entity is EntityType.CUSTOMERS:
        return record
    if all(field.parent is not EntityType.CUSTOMERS for field in FIELDS[entity]):
        return "NULL::uuid"
    named = f"SELECT r.customer_id FROM {TABLES[entity]} r WHERE r.workspace_id = %(workspace)s AND r.id = {record}"
    return f"coalesce(({named}), {record})"


@cache
def compared(entity: EntityType, expression: str) -> str:
    """The expression without the fields whose difference is no change."""
    return expression + "".join(f" - '{field.name}'" for field in FIELDS[entity] if field.volatile)


@cache
def assignments(entity: EntityType, source: str) -> tuple[tuple[str, str], ...]:
    """(column, expression) of every field; `source` is a row with `values` jsonb, `external_id` and `deleted`.

    References are looked up among this workspace's records of the account bound as %(account)s and %(livemode)s.
    """
    return tuple((quoted(field), _as_column(entity, field, source)) for field in FIELDS[entity])


def _as_column(entity: EntityType, field: Field, source: str) -> str:
    name = f"{source}.values->>'{field.name}'"
    match field.kind:
        case Kind.REF:
            assert field.parent is not None
            return parent_id(field, source)
        case Kind.JSON:
            value = f"nullif({source}.values->'{field.name}', 'null'::jsonb)"
            return f"coalesce({value}, '{{}}'::jsonb)" if field.name == "metadata" else value
        case Kind.TIMESTAMP:
            return f"to_timestamp(({name})::bigint)"
        case Kind.INT | Kind.MONEY:
            return f"({name})::bigint"
        case Kind.DECIMAL:
            return f"({name})::numeric"
        case Kind.BOOL:
            return _fallback(entity, field, source, f"({name})::boolean")
        case _:
            return _fallback(entity, field, source, name)


def _fallback(entity: EntityType, field: Field, source: str, expression: str) -> str:
    fallback = _FALLBACKS.get((entity, field.name))
    return f"coalesce({expression}, {fallback.format(v=source)})" if fallback else expression


def parent_id(field: Field, source: str) -> str:
    """Our id of the parent that a reference names, or null."""
    assert field.parent is not None
    return (
        f"(SELECT ref.id FROM {TABLES[field.parent]} ref WHERE ref.workspace_id = %(workspace)s AND ref.payment_provider = 'stripe'"
        f" AND ref.payment_account = %(account)s AND ref.payment_livemode = %(livemode)s"
        f" AND ref.external_id = {source}.values->>'{field.name}')"
    )


def own_parent(field: Field, alias: str) -> str:
    """Our id of a record's parent that is not in Stripe, or null. No Stripe id names it: where values name none, it is kept, and one of Stripe's
    is not.
    """
    assert field.parent is not None
    return (
        f"(SELECT ref.id FROM {TABLES[field.parent]} ref WHERE ref.workspace_id = {alias}.workspace_id"
        f" AND ref.id = {alias}.{quoted(field)} AND ref.external_id IS NULL)"
    )


def linked(alias: str, external_id: str) -> str:
    """The condition that a record is the one linked to a Stripe id of the bound account."""
    return (
        f"{alias}.workspace_id = %(workspace)s AND {alias}.payment_provider = 'stripe'"
        f" AND {alias}.payment_account = %(account)s AND {alias}.payment_livemode = %(livemode)s"
        f" AND {alias}.external_id = {external_id}"
    )
