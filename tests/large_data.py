"""A workspace as a large customer has it, made in a few set-based statements: records, conflicts, runs with their plans and events."""

from __future__ import annotations

import time
from dataclasses import dataclass
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from sync_core.domain.merge import Strategies
from sync_core.domain.vocabulary import EntityType, Strategy
from sync_core.store.runs import RunConfig

_RUN_COUNT = 2_000
_LINK = "workspace_id, payment_provider, payment_account, payment_livemode, external_id, provider_created_at, payment_observed_at"
_LINKED = "%(workspace)s, 'stripe', 'acct_large', false, '{}' || i, timestamptz '2026-10-01' - i * interval '7 minutes', timestamptz '2026-10-01'"

_CONNECTION = """
INSERT INTO payment_connections (workspace_id, account_id, livemode, key_kind, key_last4, key_fingerprint, key_ciphertext, is_sandbox)
VALUES (%(workspace)s, 'acct_large', false, 'secret', '1234', 'f', 'x', true) RETURNING id
"""
_RUNS = """
INSERT INTO payment_sync_sessions (workspace_id, entity_types, connection_id, config, status, phase, dry_run, created_at, started_at,
  completed_at, created_by, stats)
SELECT %(workspace)s, '{customers,invoices}', %(connection)s, %(config)s, (ARRAY['completed', 'completed', 'partial', 'failed', 'cancelled'])[1 + i %% 5],
  'done', i %% 3 = 0, at, at, at + interval '4 minutes', CASE WHEN i %% 400 = 0 THEN 'ben' ELSE 'ana' END, '{"clock_skew": 0.4}'
FROM (SELECT i, now() - i * interval '6 hours' AS at FROM generate_series(1, %(runs)s) i) made RETURNING id
"""
# A tenth disagrees, a twentieth was edited here, some are deleted, some have no name.
_CUSTOMERS = f"""
INSERT INTO customers ({_LINK}, payment_sync_status, deleted_at, email, name, phone, metadata, payment_base)
SELECT {_LINKED.format("cus_")}, CASE WHEN i <= %(conflicts)s THEN 'conflict' WHEN i %% 20 = 0 THEN 'local_edit' ELSE 'synced' END,
  CASE WHEN i %% 97 = 0 AND (i > %(conflicts)s OR i %% 10 = 0) THEN now() END, md5(i::text) || '@example.com',
  CASE WHEN i %% 50 > 0 THEN initcap(left(md5('name ' || i), 8)) || ' Ltd ' || i END, '+49 30 ' || i, '{{"plan": "gold"}}',
  jsonb_build_object('email', md5(i::text) || '@example.com', 'name', 'Base ' || i, 'phone', NULL, 'description', NULL,
    'metadata', '{{"plan": "gold"}}'::jsonb)
FROM generate_series(1, %(customers)s) i
"""
_INVOICES = f"""
INSERT INTO invoices ({_LINK}, payment_sync_status, number, status, currency, total, amount_due, customer_id)
SELECT {_LINKED.format("in_")}, CASE WHEN i %% 40 = 0 THEN 'pending' ELSE 'synced' END, 'INV-' || i, 'paid', 'EUR', i * 7, i * 7,
  (SELECT id FROM customers c WHERE c.workspace_id = %(workspace)s AND c.payment_provider = 'stripe' AND c.payment_account = 'acct_large'
    AND NOT c.payment_livemode AND c.external_id = 'cus_' || (1 + i %% %(customers)s) OFFSET 0)
FROM generate_series(1, %(invoices)s) i
"""
_REASON = "(ARRAY['both_changed', 'both_changed', 'no_base', 'email_match'])[1 + n %% 4]"
_CONFLICTS = f"""
INSERT INTO payment_sync_conflicts (workspace_id, session_id, entity_type, record_id, external_id, label, reason_code, fields, local, base,
  theirs, record_version, observed_at, created_at, status, assignee, snoozed_until, resolved_by, resolved_at, customer_id)
SELECT workspace_id, (%(sessions)s::uuid[])[1 + n %% 5], 'customers', id, external_id, coalesce(name, email), {_REASON},
  CASE n %% 4 WHEN 0 THEN '{{name}}'::text[] WHEN 1 THEN '{{name,phone}}' WHEN 2 THEN '{{email}}' ELSE '{{description,metadata}}' END,
  jsonb_build_object('email', email, 'name', name, 'phone', phone, 'description', NULL, 'metadata', metadata), payment_base,
  payment_base || jsonb_build_object('name', 'Stripe ' || n), row_version, now(), timestamptz '2026-11-01' + n * interval '1 second',
  CASE WHEN n %% 10 = 0 THEN 'resolved' ELSE 'open' END, CASE WHEN n %% 11 = 0 THEN 'ana@example.com' END,
  CASE WHEN n %% 23 = 0 THEN now() + interval '3 days' END, CASE WHEN n %% 10 = 0 THEN 'ana@example.com' END,
  CASE WHEN n %% 10 = 0 THEN now() END, id
FROM (SELECT *, CASE WHEN payment_account = 'acct_large' THEN substr(external_id, 5)::int END AS n FROM customers
  WHERE workspace_id = %(workspace)s AND payment_sync_status = 'conflict' AND payment_account = 'acct_large') changed
"""
_TICKS = """
WITH somebody AS (INSERT INTO users (email, password_hash) VALUES ('large@example.com', '-') RETURNING id),
  one AS (INSERT INTO memberships (workspace_id, user_id, role) SELECT %(workspace)s, id, 'admin' FROM somebody RETURNING user_id)
INSERT INTO payment_sync_conflict_reviews (workspace_id, conflict_id, user_id, sides)
SELECT c.workspace_id, c.id, one.user_id, hashtextextended(c.local::text || c.theirs::text || c.theirs_deleted::text, 0)
FROM payment_sync_conflicts c CROSS JOIN one WHERE c.workspace_id = %(workspace)s AND abs(c.cell_key + hashtext(c.external_id)) %% 500 = 0
RETURNING user_id
"""
_STAGED = """
INSERT INTO payment_sync_staged_objects (workspace_id, session_id, entity_type, external_id, seq, observed_at, "values")
SELECT %(workspace)s, %(session)s, 'customers', 'cus_' || i, i, now(),
  jsonb_build_object('email', md5(i::text) || '@example.com', 'name', 'Stripe ' || i, 'phone', NULL, 'description', NULL, 'metadata', '{}'::jsonb)
FROM generate_series(1, %(plan)s) i
"""
_PLAN = """
INSERT INTO payment_sync_plan_items (workspace_id, session_id, entity_type, external_id, seq, action, reason_code, record_id, record_version,
  changed_fields, detail)
SELECT %(workspace)s, %(session)s, 'customers', c.external_id, n, action,
  CASE action WHEN 'conflict' THEN 'both_changed' WHEN 'skip' THEN 'strategy_skip' WHEN 'error' THEN 'missing_parent' END, c.id, c.row_version,
  CASE WHEN action IN ('update', 'conflict') THEN CASE WHEN n %% 2 = 0 THEN '{name}'::text[] ELSE '{name,phone}' END END,
  CASE WHEN action IN ('update', 'conflict') THEN jsonb_build_object('changes', jsonb_build_object('name', jsonb_build_array(c.name, 'Stripe ' || n)))
    WHEN action = 'error' THEN '{"field": "customer", "message": "gone"}'::jsonb END
FROM (SELECT *, CASE WHEN payment_account = 'acct_large' THEN substr(external_id, 5)::int END AS n FROM customers WHERE workspace_id = %(workspace)s) c
CROSS JOIN LATERAL (SELECT (ARRAY['update', 'conflict', 'unchanged', 'unchanged', 'skip', 'error', 'create'])[1 + n %% 7]) a(action)
WHERE n <= %(plan)s
"""
_COUNTERS = """
INSERT INTO payment_sync_entity_runs (workspace_id, session_id, entity_type, requested, phase, estimated, fetched, created, updated, unchanged,
  skipped, conflicts, failed, requests)
SELECT %(workspace)s, %(session)s, 'customers', true, 'done', count(*), count(*), count(*) FILTER (WHERE action = 'create'),
  count(*) FILTER (WHERE action = 'update'), count(*) FILTER (WHERE action = 'unchanged'), count(*) FILTER (WHERE action = 'skip'),
  count(*) FILTER (WHERE action = 'conflict'), count(*) FILTER (WHERE action = 'error'), 40
FROM payment_sync_plan_items WHERE session_id = %(session)s
"""
_EVENTS = """
INSERT INTO payment_sync_events (workspace_id, session_id, entity_type, external_id, event_type, event_message, occurred_at)
SELECT %(workspace)s, %(session)s, CASE WHEN i %% 3 = 0 THEN 'invoice' ELSE 'customer' END, 'cus_' || i,
  (ARRAY['sync_conflict', 'sync_skipped', 'sync_failed'])[1 + i %% 3], 'noted', now() - i * interval '1 millisecond'
FROM generate_series(1, %(plan)s) i
"""
# Each conflict's customer was edited here, and changed in Stripe before or after that.
_EDITS = """
INSERT INTO audit_log (workspace_id, actor, action, target, occurred_at, details)
SELECT workspace_id, 'ana', 'record.edited', 'customers/' || record_id, now() - interval '3 hours',
  jsonb_build_object('changes', jsonb_build_object('name', jsonb_build_array('Base', local->'name')))
FROM payment_sync_conflicts WHERE workspace_id = %(workspace)s
"""
_TOLD = """
INSERT INTO payment_webhook_inbox (workspace_id, event_id, event_type, account_id, payload, object_id, happened_at, livemode, changes)
SELECT workspace_id, 'evt_' || id, 'customer.updated', 'acct_large', json_build_object('id', 'evt_' || id, 'filler', repeat('x', 500)),
  external_id, now() - (1 + abs(hashtext(external_id)) %% 5) * interval '1 hour', false, jsonb_build_object('name', theirs->'name')
FROM payment_sync_conflicts WHERE workspace_id = %(workspace)s
"""
_RECORD = "SELECT id FROM customers WHERE workspace_id = %(workspace)s AND external_id = 'cus_' || %(customers)s"
_TABLES = (
    "customers, invoices, payment_sync_conflicts, payment_sync_sessions, payment_sync_plan_items, payment_sync_staged_objects,"
    " payment_sync_entity_runs, payment_sync_events, payment_sync_conflict_reviews, audit_log, payment_webhook_inbox"
)
_NOT_ALL_VISIBLE = """
SELECT relname, relallvisible, relpages FROM pg_class
WHERE oid = ANY (string_to_array(%s, ', ')::regclass[]) AND relallvisible < relpages
"""
_VACUUM_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Large:
    """`session_id` is the run that has the plan and the events; it is a dry run. `record_id` is a customer; the user has looked some
    conflicts through.
    """

    workspace_id: UUID
    session_id: UUID
    record_id: UUID
    sessions: tuple[UUID, ...]
    user_id: UUID


def make_large(url: str, workspace_id: UUID, *, customers: int, invoices: int, conflicts: int, plan: int) -> Large:
    """Written by the server's own superuser, past row-level security, and looked at by PostgreSQL as autovacuum would."""
    bound = {
        "workspace": workspace_id,
        "customers": customers,
        "invoices": invoices,
        "conflicts": conflicts,
        "plan": plan,
    }
    with psycopg.connect(url, autocommit=True) as connection:
        # VACUUM marks no page all-visible whose writer's commit is not flushed yet, and the tests' server flushes when it likes.
        connection.execute("SET synchronous_commit = on")
        connection_id = connection.execute(_CONNECTION, bound).fetchone()
        assert connection_id is not None
        config = Jsonb(
            RunConfig(
                (EntityType.CUSTOMERS, EntityType.INVOICES), strategies=Strategies(Strategy.FLAG), dry_run=True
            ).to_json()
        )
        runs = connection.execute(
            _RUNS, {**bound, "connection": connection_id[0], "runs": _RUN_COUNT, "config": config}
        ).fetchall()
        sessions = tuple(UUID(str(row[0])) for row in runs)
        # The third run is the first that is dry.
        bound |= {"session": sessions[2], "sessions": list(sessions[:5])}
        for statement in (_CUSTOMERS, _INVOICES, _CONFLICTS, _STAGED, _PLAN, _COUNTERS, _EVENTS, _EDITS, _TOLD):
            connection.execute(statement, bound)
        ticked = connection.execute(_TICKS, bound).fetchone()
        _vacuum(connection)
        record = connection.execute(_RECORD, bound).fetchone()
        assert record is not None
        assert ticked is not None
    return Large(workspace_id, sessions[2], record[0], sessions, ticked[0])


def _vacuum(connection: psycopg.Connection) -> None:
    """Until every page is marked all-visible, as an index-only scan needs it: a snapshot held elsewhere delays that."""
    deadline = time.monotonic() + _VACUUM_SECONDS
    connection.execute(f"VACUUM (ANALYZE) {_TABLES}")
    while unmarked := connection.execute(_NOT_ALL_VISIBLE, (_TABLES,)).fetchall():
        assert time.monotonic() < deadline, f"pages all-visible, of how many: {unmarked}"
        connection.execute(f"VACUUM {_TABLES}")
