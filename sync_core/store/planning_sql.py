"""The two statements of a batch, made from the field table: what is stored beside each staged object, and the batch's plan written."""

from __future__ import annotations

from functools import cache

from sync_core.domain.fields import FIELDS, Kind
from sync_core.domain.vocabulary import Action, EntityType, EventType, ReasonCode
from sync_core.store.values_sql import (
    TABLES,
    assignments,
    columns,
    compared,
    customer_of,
    linked,
    own_parent,
    quoted,
    values_expression,
)

_BY_EMAIL = (
    "CASE WHEN linked_id IS NOT NULL THEN linked_id ELSE (SELECT CASE WHEN count(*) = 1 THEN (array_agg(m.id))[1] END"
    " FROM (SELECT c.id FROM customers c WHERE c.workspace_id = %(workspace)s AND c.email_key = linked.email_key"
    " AND c.external_id IS NULL AND c.deleted_at IS NULL LIMIT 2) m) END"
)
_PLANNED = (
    " LEFT JOIN LATERAL (SELECT i.action, i.record_version FROM payment_sync_plan_items i WHERE i.workspace_id = %(workspace)s"
    " AND i.session_id = %(plan)s AND i.entity_type = %(entity)s AND i.external_id = b.external_id OFFSET 0) p ON true"
)
_SEEN = "extract(epoch FROM t.payment_observed_at)::float8"
# What a later run has done with its own look at an object says that this one is old, though nothing was written where it changed nothing. One
# that was passed over, or could not be stored, is known to nobody; what a dry run saw is stored where it is what was stored already.
_LOOKED_SINCE = f"""(SELECT max(l.began) FROM unnest(%(later)s::uuid[], %(later_began)s::float8[], %(later_dry)s::boolean[]) AS l(id, began, dry)
    WHERE l.began > b.observed AND (SELECT CASE WHEN l.dry THEN i.action = '{Action.UNCHANGED.value}' ELSE i.action <> '{Action.ERROR.value}'
      AND i.reason_code IS DISTINCT FROM '{ReasonCode.STRATEGY_SKIP.value}' END
      FROM payment_sync_plan_items i WHERE i.workspace_id = %(workspace)s AND i.session_id = l.id AND i.entity_type = %(entity)s
        AND i.external_id = b.external_id))"""


@cache
def select_sql(
    entity: EntityType, *, by_email: bool, dry_run: bool, applied: bool, some: bool, overtaken: bool = False
) -> str:
    """`some` takes those bound as %(only)s, and leaves the rest of the queue out; `overtaken` asks what the runs bound as `later` saw."""
    table = TABLES[entity]
    ours, theirs, base = (compared(entity, one) for one in ("t.local", "b.values", "t.payment_base"))
    by_key = _BY_EMAIL if by_email else "linked_id"
    key = "lower(values->>'email') COLLATE \"C\"" if by_email else "NULL::text"
    planned = _PLANNED if applied else ""
    seen = _SEEN
    if overtaken:
        seen = f"CASE WHEN d.relevant AND t.id IS NOT NULL THEN greatest({_SEEN}, {_LOOKED_SINCE}) END"
    # Each record is found by a subquery of its own: with no statistics yet, a join would be planned as a walk over the table for
    # every row. Row-level security lets only plain comparisons choose an index, hence keys that are worked out a step earlier.
    return f"""
WITH staged AS MATERIALIZED (
  SELECT seq, external_id, deleted, issue, values, extract(epoch FROM observed_at)::float8 AS observed, {key} AS email_key
  FROM payment_sync_staged_objects WHERE workspace_id = %(workspace)s AND session_id = %(staged)s
    AND entity_type = %(entity)s AND seq > 0 AND seq > %(after)s AND seq <= %(until)s{" AND external_id = ANY(%(only)s)" if some else ""}
  ORDER BY seq LIMIT %(size)s
), linked AS MATERIALIZED (
  SELECT staged.*, (SELECT l.id FROM {table} l WHERE {linked("l", "staged.external_id")}) AS linked_id FROM staged
), b AS MATERIALIZED (
  SELECT linked.*, {by_key} AS record_id FROM linked
)
SELECT b.seq, b.external_id, b.deleted, b.issue, b.observed,
  CASE WHEN d.relevant THEN {_missing_sql(entity, dry_run=dry_run)} END,
  {"p.action, p.record_version" if applied else "NULL, NULL"},
  t.id, t.row_version, b.linked_id IS NOT NULL, d.relevant,
  CASE WHEN d.relevant AND t.id IS NOT NULL THEN b.values END, CASE WHEN d.relevant THEN t.local END,
  CASE WHEN d.relevant THEN t.payment_base END, t.deleted_at IS NOT NULL,
  {seen}, t.payment_sync_status
FROM b{planned}
LEFT JOIN LATERAL (
  SELECT r.id, r.row_version, r.payment_base, r.deleted_at, r.payment_observed_at, r.payment_sync_status,
    {values_expression(entity, "r")} AS local
  FROM {table} r WHERE r.workspace_id = %(workspace)s AND r.id = b.record_id OFFSET 0
) t ON true
CROSS JOIN LATERAL (SELECT t.id IS NULL OR b.linked_id IS NULL OR b.deleted OR t.deleted_at IS NOT NULL
  OR t.payment_sync_status <> 'synced' OR {ours} IS DISTINCT FROM {theirs} OR {base} IS DISTINCT FROM {theirs} AS relevant) d
ORDER BY b.seq
"""


def _missing_sql(entity: EntityType, *, dry_run: bool) -> str:
    """The references of a staged object whose parent is neither stored nor, in a dry run, about to be; `items` for further prices."""

    def missing(parent: EntityType, named: str) -> str:
        # The action is compared outside: asked for inside, the index that begins with it is walked for each of a type new to the statistics.
        planned = (
            f" AND coalesce((SELECT pp.action FROM payment_sync_plan_items pp WHERE pp.workspace_id = %(workspace)s"
            f" AND pp.session_id = %(session)s AND pp.entity_type = '{parent.value}'"
            f" AND pp.external_id = {named}), '') NOT IN ('create', 'update')"
            if dry_run
            else ""
        )
        stored = f"(SELECT ref.id FROM {TABLES[parent]} ref WHERE {linked('ref', named)})"
        return f"{named} IS NOT NULL AND {stored} IS NULL{planned}"

    cases = [
        "CASE WHEN " + missing(ref.parent, f"b.values->>'{ref.name}'") + f" THEN '{ref.name}' END"
        for ref in FIELDS[entity]
        if ref.parent is not None
    ]
    if not cases:
        return "NULL::text[]"
    if entity is EntityType.SUBSCRIPTIONS:
        # The first item's price is the subscription's own.
        further = missing(EntityType.PRICES, "line.item->>'price'")
        lines = "jsonb_array_elements(b.values->'items') WITH ORDINALITY AS line(item, place)"
        cases.append(f"CASE WHEN EXISTS (SELECT FROM {lines} WHERE line.place > 1 AND {further}) THEN 'items' END")
    return f"array_remove(ARRAY[{', '.join(cases)}], NULL)"


_FENCE = (
    "fence AS (SELECT 1 FROM payment_sync_leases WHERE session_id = %(session)s AND fence = %(fence)s FOR KEY SHARE)"
)
_HELD = "EXISTS (SELECT FROM fence)"
# `seq > 0` says that the queue is read: its index is for nothing else. Each row of a batch is found by its key, at its own place.
_IN_BATCH = "s.entity_type = %(entity)s AND s.seq > 0 AND s.seq > %(after)s AND s.seq <= %(upto)s"
_AT_PLACE = "s.entity_type = %(entity)s AND s.seq = (%(places)s::jsonb->>{id})::bigint AND s.external_id = {id}"
_RECORD_COLUMNS = (
    "workspace_id, id, external_id, payment_provider, payment_account, payment_livemode, payment_sync_status, payment_synced_at,"
    " payment_observed_at, payment_base, payment_raw, payment_digest, provider_created_at, deleted_at"
)
_UPDATE_ROWS = (
    "jsonb_to_recordset({rows}) AS u(record_id uuid, version bigint, external_id text, status text, values jsonb,"
    " base jsonb, deleted boolean, restore boolean, observed float8)"
)
_PLAN_ITEMS = f"""planned AS (
  INSERT INTO payment_sync_plan_items AS p (workspace_id, session_id, entity_type, external_id, seq, action, reason_code, record_id,
    record_version, changed_fields, detail)
  SELECT %(workspace)s, %(session)s, %(entity)s, i.external_id, i.seq, i.action, i.reason, i.record_id,
    i.version, CASE WHEN i.changed = '' THEN NULL ELSE string_to_array(i.changed, ',') END, i.detail
  FROM unnest(%(seqs)s::bigint[], %(ids)s::text[], %(actions)s::text[], %(reasons)s::text[], %(records)s::uuid[],
    %(versions)s::bigint[], %(changed)s::text[], %(details)s::jsonb[])
    AS i(seq, external_id, action, reason, record_id, version, changed, detail)
  WHERE {_HELD}
  ON CONFLICT (session_id, entity_type, external_id) DO UPDATE SET seq = excluded.seq, action = excluded.action,
    reason_code = excluded.reason_code, record_id = excluded.record_id, record_version = excluded.record_version,
    changed_fields = excluded.changed_fields, detail = excluded.detail
  RETURNING p.external_id, p.action, p.reason_code, p.record_id, p.detail)"""
_EVENTS = f"""events AS (
  INSERT INTO payment_sync_events (workspace_id, session_id, entity_type, entity_id, external_id, event_type, event_message,
    event_details)
  SELECT %(workspace)s, %(session)s, %(singular)s, p.record_id, p.external_id,
    CASE p.action WHEN 'error' THEN '{EventType.SYNC_FAILED.value}' WHEN 'skip' THEN '{EventType.SYNC_SKIPPED.value}'
      ELSE '{EventType.SYNC_CONFLICT.value}' END, p.reason_code, p.detail
  FROM planned p WHERE p.action IN ('error', 'skip', 'conflict'))"""
_PROGRESS = f"""moved AS (
  UPDATE payment_sync_entity_runs SET planned_seq = %(upto)s, created = created + %(n_create)s, updated = updated + %(n_update)s,
    unchanged = unchanged + %(n_unchanged)s, skipped = skipped + %(n_skip)s, conflicts = conflicts + %(n_conflict)s,
    failed = failed + %(n_error)s, last_error = coalesce(%(last_error)s, last_error), updated_at = clock_timestamp()
  WHERE workspace_id = %(workspace)s AND session_id = %(session)s AND entity_type = %(entity)s AND planned_seq = %(after)s
    AND {_HELD} RETURNING 1)"""


@cache
def _create_sql(entity: EntityType) -> str:
    wallet = (", wallet_id", ", (SELECT settlement_wallet_id FROM workspaces WHERE id = %(workspace)s)")
    extra = wallet if entity is EntityType.PRODUCTS else ("", "")
    named = [name for name, _ in assignments(entity, "s")]
    given = ", ".join(expression for _, expression in assignments(entity, "s"))
    assert columns(entity) == ", ".join(named)
    return f"""created AS (
  INSERT INTO {TABLES[entity]} ({_RECORD_COLUMNS}, {columns(entity)}{extra[0]})
  SELECT %(workspace)s, (%(new_ids)s::uuid[])[s.seq - %(first)s + 1], s.external_id, 'stripe', %(account)s, %(livemode)s, 'synced', now(), s.observed_at,
    CASE WHEN s.deleted THEN NULL ELSE s.values END, s.raw, s.digest, to_timestamp(s.provider_created),
    CASE WHEN s.deleted THEN now() END, {given}{extra[1]}
  FROM payment_sync_staged_objects s WHERE s.workspace_id = %(workspace)s AND s.session_id = %(staged)s
    AND {_IN_BATCH} AND s.external_id = ANY(%(creates)s::text[]) AND {_HELD}
  ON CONFLICT DO NOTHING RETURNING {_written(entity)})"""


def _written(entity: EntityType) -> str:
    return "id, items" if entity is EntityType.SUBSCRIPTIONS else "id"


@cache
def _update_sql(entity: EntityType) -> str:
    kept = {quoted(one): one for one in FIELDS[entity] if one.kind is Kind.REF}
    sets = ", ".join(
        f"{name} = CASE WHEN u.values->>'{kept[name].name}' IS NULL THEN {own_parent(kept[name], 't')} ELSE {expression} END"
        if name in kept
        else f"{name} = {expression}"
        for name, expression in assignments(entity, "u")
    )
    return f"""changed AS (
  UPDATE {TABLES[entity]} t SET {sets}, payment_base = u.base, payment_sync_status = u.status, payment_synced_at = now(),
    payment_observed_at = to_timestamp(u.observed), payment_sync_version = t.payment_sync_version + 1,
    payment_raw = coalesce((SELECT s.raw FROM payment_sync_staged_objects s WHERE s.workspace_id = %(workspace)s
      AND s.session_id = %(staged)s AND {_AT_PLACE.format(id="u.external_id")}), t.payment_raw),
    payment_digest = (SELECT s.digest FROM payment_sync_staged_objects s WHERE s.workspace_id = %(workspace)s
      AND s.session_id = %(staged)s AND {_AT_PLACE.format(id="u.external_id")}
      AND u.status = 'synced' AND u.values = u.base AND u.base = s.values),
    external_id = u.external_id, payment_provider = 'stripe', payment_account = %(account)s, payment_livemode = %(livemode)s,
    deleted_at = CASE WHEN u.restore THEN NULL ELSE t.deleted_at END
  FROM {_UPDATE_ROWS.format(rows="%(updates)s")}
  WHERE t.workspace_id = %(workspace)s AND t.id = u.record_id AND t.row_version = u.version AND {_HELD}
  RETURNING {", ".join(f"t.{name}" for name in _written(entity).split(", "))})"""


@cache
def _touch_sql(entity: EntityType) -> str:
    return f"""touched AS (
  UPDATE {TABLES[entity]} t SET payment_sync_status = u.status, payment_base = coalesce(u.base, t.payment_base),
    payment_synced_at = CASE WHEN u.base IS NULL AND NOT u.deleted THEN t.payment_synced_at ELSE now() END,
    payment_observed_at = coalesce(to_timestamp(u.observed), t.payment_observed_at),
    deleted_at = CASE WHEN u.deleted THEN coalesce(t.deleted_at, now()) ELSE t.deleted_at END
  FROM {_UPDATE_ROWS.format(rows="%(touches)s")}
  WHERE t.workspace_id = %(workspace)s AND t.id = u.record_id AND t.row_version = u.version AND {_HELD}
  RETURNING t.id)"""


def _standing_sql(entity: EntityType) -> str:
    """Records that are not written, for they are conflicts already: whoever settles one meanwhile must not find it open again."""
    return f"""standing AS (
  SELECT t.id FROM unnest(%(standing)s::uuid[], %(standing_at)s::bigint[]) AS u(record_id, version)
  JOIN {TABLES[entity]} t ON t.workspace_id = %(workspace)s AND t.id = u.record_id AND t.row_version = u.version FOR SHARE OF t)"""


# The lines of a subscription follow what was written of it, which is not Stripe's where ours are kept.
_LINES = "CASE WHEN jsonb_typeof(w.items) = 'array' THEN w.items ELSE '[]'::jsonb END"
_ITEMS = f"""items AS (
  INSERT INTO subscription_items AS i (workspace_id, subscription_id, position, external_id, price_id, quantity)
  SELECT %(workspace)s, w.id, line.position - 1, line.item->>'id',
    (SELECT ref.id FROM prices ref WHERE {linked("ref", "line.item->>'price'")}), (line.item->>'quantity')::bigint
  FROM ({{written}}) w CROSS JOIN LATERAL jsonb_array_elements({_LINES}) WITH ORDINALITY AS line(item, position)
  ON CONFLICT (workspace_id, subscription_id, position) DO UPDATE SET external_id = excluded.external_id,
    price_id = excluded.price_id, quantity = excluded.quantity)"""
_ITEMS_GONE = f"""items_gone AS (
  DELETE FROM subscription_items i USING changed w
  WHERE i.workspace_id = %(workspace)s AND i.subscription_id = w.id AND i.position >= jsonb_array_length({_LINES}))"""
# A decision that a person made of the same record is preselected, as far as it answers what is asked now.
_DECIDED = """LATERAL (
    SELECT r.id, (SELECT jsonb_object_agg(k.key, k.value || jsonb_build_object('by', r.resolved_by)) FROM jsonb_each(r.choices) k
      WHERE CASE WHEN k.key = 'record' THEN r.reason_code = v.reason
        WHEN strpos(k.key, '.') = 0 THEN v.fields ? k.key
        ELSE v.fields ? split_part(k.key, '.', 1) AND jsonb_typeof(v.local->split_part(k.key, '.', 1)) = 'object'
          AND jsonb_typeof(v.theirs->split_part(k.key, '.', 1)) = 'object' END) AS choices
    FROM payment_sync_conflicts r
    WHERE r.workspace_id = %(workspace)s AND r.entity_type = %(entity)s AND r.record_id = v.record_id AND r.external_id = v.external_id
      AND r.status = 'resolved' AND r.pending AND r.resolved_by <> 'sync'
    ORDER BY r.resolved_at DESC LIMIT 1)"""
_CHANGED = (
    "(c.local, c.theirs, c.theirs_deleted) IS DISTINCT FROM (excluded.local, excluded.theirs, excluded.theirs_deleted)"
)
_MOVED = "(c.fields, c.record_version) IS DISTINCT FROM (excluded.fields, excluded.record_version)"


@cache
def _conflicts_sql(entity: EntityType) -> str:
    return f"""opened AS (
  INSERT INTO payment_sync_conflicts AS c (workspace_id, session_id, entity_type, record_id, external_id, label, reason_code, fields,
    local, base, theirs, theirs_deleted, record_version, observed_at, customer_id, choices, reopened_at, reopens)
  SELECT %(workspace)s, %(session)s, %(entity)s, v.record_id, v.external_id, v.label, v.reason,
    ARRAY(SELECT jsonb_array_elements_text(v.fields)), v.local, v.base, v.theirs, v.theirs_deleted, v.record_version,
    to_timestamp(v.observed), {customer_of(entity, "v.record_id")}, coalesce(was.choices, '{{}}'::jsonb), CASE WHEN was.id IS NOT NULL THEN now() END, was.id
  FROM jsonb_to_recordset(%(conflicts)s) AS v(record_id uuid, external_id text, label text, reason text, fields jsonb, local jsonb,
    base jsonb, theirs jsonb, theirs_deleted boolean, record_version bigint, observed float8)
  LEFT JOIN {_DECIDED} was ON true
  WHERE {_HELD}
  ON CONFLICT (workspace_id, entity_type, record_id, external_id) WHERE status = 'open' DO UPDATE SET
    session_id = excluded.session_id, label = excluded.label, reason_code = excluded.reason_code, fields = excluded.fields,
    local = excluded.local, base = excluded.base, theirs = excluded.theirs, theirs_deleted = excluded.theirs_deleted,
    record_version = excluded.record_version, observed_at = excluded.observed_at,
    customer_id = excluded.customer_id,
    reopened_at = CASE WHEN c.pending AND {_CHANGED} THEN now() ELSE c.reopened_at END,
    snoozed_for = CASE WHEN c.snoozed_for = 'change' AND NOT ({_CHANGED}) THEN c.snoozed_for END,
    revision = c.revision + CASE WHEN {_CHANGED} OR {_MOVED} THEN 1 ELSE 0 END
  WHERE {_CHANGED} OR {_MOVED} OR c.snoozed_for = 'run')"""


_SETTLED = f"""settled AS (
  UPDATE payment_sync_conflicts SET status = 'resolved', resolved_by = 'sync', resolved_at = now(), revision = revision + 1
  WHERE workspace_id = %(workspace)s AND entity_type = %(entity)s AND record_id = ANY(%(settled)s) AND external_id = ANY(%(agreed)s)
    AND status = 'open' AND {_HELD})"""


@cache
def write_sql(entity: EntityType, parts: frozenset[str], *, moves: bool) -> str:
    """`parts` name what the batch has of: creates, updates, touches, standing, conflicts, settled. Counts fence, creates, updates, touches,
    standing and plan items; the watermark when it `moves`, as `MOVE` does otherwise.
    """
    steps = [_FENCE]
    written = []
    if "creates" in parts:
        steps.append(_create_sql(entity))
        written.append("SELECT id, items FROM created")
    if "updates" in parts:
        steps.append(_update_sql(entity))
        written.append("SELECT id, items FROM changed")
    if "touches" in parts:
        steps.append(_touch_sql(entity))
    steps += [_standing_sql(entity)] if "standing" in parts else []
    if entity is EntityType.SUBSCRIPTIONS and written:
        steps.append(_ITEMS.format(written=" UNION ALL ".join(written)))
        steps += [_ITEMS_GONE] if "updates" in parts else []
    steps += [_conflicts_sql(entity)] if "conflicts" in parts else []
    steps += [_SETTLED] if "settled" in parts else []
    steps += [_PLAN_ITEMS, _EVENTS, *([_PROGRESS] if moves else [])]
    counts = ", ".join(
        f"(SELECT count(*) FROM {step})" if part is None or part in parts else "0"
        for step, part in (
            ("fence", None),
            ("created", "creates"),
            ("changed", "updates"),
            ("touched", "touches"),
            # Before the conflicts, as whoever decides holds the record first.
            ("standing", "standing"),
            ("planned", None),
            # Last, since landings wait for this row.
            *([("moved", None)] if moves else []),
        )
    )
    return f"WITH {', '.join(steps)} SELECT {counts}"


MOVE = f"WITH {_FENCE}, {_PROGRESS} SELECT (SELECT count(*) FROM fence), (SELECT count(*) FROM moved)"
