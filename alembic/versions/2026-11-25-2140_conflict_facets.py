"""Conflicts know how their values differ, whether they came back after a decision, and until what they are put off; rules are kept.

Revision ID: b6d2f0a81c37
Revises: 5d1f0c7be2a4
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "b6d2f0a81c37"
down_revision = "5d1f0c7be2a4"
branch_labels = None
depends_on = None

APP, DRY_RUN = "cyphera_app", "cyphera_dryrun"
HERE = "(SELECT nullif(current_setting('app.workspace_id', true), '')::uuid)"
CONFLICTS, RULES = "payment_sync_conflicts", "payment_sync_conflict_rules"
DECISIONS, PREVIEWS = "payment_sync_conflict_decisions", "payment_sync_conflict_previews"
REVIEW = "ix_payment_sync_conflicts_review"
SHOWN = ["entity_type", "reason_code", "session_id", "fields", "search_key", "assignee", "snoozed_until"]
SHOWN_NOW = [*SHOWN, "snoozed_for", "transitions", "reopened_at", "pending"]
TIME = sa.DateTime(timezone=True)

# Both are immutable: a generated column holds what they say, and the previews count with the first.
ONE = """
CREATE FUNCTION conflict_transition(name text, ours jsonb, theirs jsonb) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  IF coalesce(ours, 'null') IN ('null', '""', '{}', '[]') THEN RETURN 'filled'; END IF;
  IF coalesce(theirs, 'null') IN ('null', '""', '{}', '[]') THEN RETURN 'emptied'; END IF;
  IF name = 'currency' THEN RETURN 'currency'; END IF;
  IF jsonb_typeof(ours) = 'number' AND jsonb_typeof(theirs) = 'number' THEN
    RETURN CASE WHEN (theirs #>> '{}')::numeric > (ours #>> '{}')::numeric THEN 'more' ELSE 'less' END;
  END IF;
  IF jsonb_typeof(ours) = 'string' AND jsonb_typeof(theirs) = 'string' THEN
    IF lower(ours #>> '{}') = lower(theirs #>> '{}') THEN RETURN 'case'; END IF;
    IF regexp_replace(ours #>> '{}', '\\s', '', 'g') = regexp_replace(theirs #>> '{}', '\\s', '', 'g') THEN RETURN 'space'; END IF;
  END IF;
  RETURN 'other';
END $$
"""
ALL = """
CREATE FUNCTION conflict_transitions(fields text[], ours jsonb, theirs jsonb) RETURNS text[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  name text;
  word text;
  found text[] := '{}';
BEGIN
  FOREACH name IN ARRAY coalesce(fields, '{}') LOOP
    word := public.conflict_transition(name, ours -> name, theirs -> name);
    IF NOT word = ANY (found) THEN found := found || word; END IF;
  END LOOP;
  RETURN found;
END $$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(ONE)
    op.execute(ALL)
    derived = sa.Computed("conflict_transitions(fields, local, theirs)", persisted=True)
    op.add_column(CONFLICTS, sa.Column("transitions", ARRAY(sa.Text()), derived, nullable=True))
    op.add_column(
        CONFLICTS,
        sa.Column("pending", sa.Boolean(), sa.Computed("choices <> '{}'::jsonb", persisted=True), nullable=True),
    )
    op.add_column(CONFLICTS, sa.Column("reopened_at", TIME))
    op.add_column(CONFLICTS, sa.Column("reopens", sa.UUID()))
    op.add_column(CONFLICTS, sa.Column("snoozed_for", sa.Text()))
    op.create_check_constraint(op.f(f"ck_{CONFLICTS}_snoozed_for_known"), CONFLICTS, "snoozed_for IN ('run', 'change')")
    review(SHOWN_NOW)
    op.create_index(
        "ix_payment_sync_conflicts_pending",
        CONFLICTS,
        ["workspace_id", "id"],
        postgresql_where=sa.text("pending AND status = 'open'"),
    )
    op.create_index("ix_subscriptions_price", "subscriptions", ["workspace_id", "price_id"])
    for column in ("stopped_at", "worked_at"):
        op.add_column(PREVIEWS, sa.Column(column, TIME))
    op.add_column(DECISIONS, sa.Column("alone", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    # The tables' owner need not be a superuser, who sees past row-level security: it is lifted for the owner meanwhile.
    for table in (DECISIONS, PREVIEWS):
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.execute(
        f"UPDATE {DECISIONS} d SET alone = true WHERE NOT EXISTS (SELECT FROM {PREVIEWS} p"
        " WHERE p.workspace_id = d.workspace_id AND p.id = d.batch_id)"
    )
    for table in (DECISIONS, PREVIEWS):
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.create_index(
        f"ix_{DECISIONS}_alone",
        DECISIONS,
        ["workspace_id", sa.text("created_at DESC"), sa.text("id DESC")],
        postgresql_where=sa.text("alone"),
    )
    op.add_column("users", sa.Column("single_keys", sa.Boolean(), server_default=sa.text("true"), nullable=False))
    create_rules()


def review(shown: list[str]) -> None:
    op.drop_index(REVIEW, table_name=CONFLICTS)
    newest = [sa.text("created_at DESC"), sa.text("id DESC")]
    op.create_index(REVIEW, CONFLICTS, ["workspace_id", "status", *newest], postgresql_include=shown)


def create_rules() -> None:
    op.create_table(
        RULES,
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.UUID(), server_default=sa.text("new_id()"), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("query", JSONB(none_as_null=True), nullable=False),
        sa.Column("rule", JSONB(none_as_null=True), nullable=False),
        sa.Column("hits", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_hit_at", TIME),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f(f"fk_{RULES}_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f(f"pk_{RULES}")),
    )
    op.create_index(f"ix_{RULES}_order", RULES, ["workspace_id", "position"])
    mine = f"workspace_id = {HERE}"
    op.execute(f"ALTER TABLE {RULES} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {RULES} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON {RULES} FOR ALL TO {APP}, {DRY_RUN} USING ({mine}) WITH CHECK ({mine})")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {RULES} TO {APP}")
    op.execute(f"GRANT SELECT ON {RULES} TO {DRY_RUN}")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_table(RULES)
    op.drop_column("users", "single_keys")
    op.drop_index(f"ix_{DECISIONS}_alone", table_name=DECISIONS)
    op.drop_column(DECISIONS, "alone")
    for column in ("worked_at", "stopped_at"):
        op.drop_column(PREVIEWS, column)
    op.drop_index("ix_subscriptions_price", table_name="subscriptions")
    op.drop_index("ix_payment_sync_conflicts_pending", table_name=CONFLICTS)
    review(SHOWN)
    op.drop_constraint(op.f(f"ck_{CONFLICTS}_snoozed_for_known"), CONFLICTS)
    for column in ("snoozed_for", "reopens", "reopened_at", "pending", "transitions"):
        op.drop_column(CONFLICTS, column)
    op.execute("DROP FUNCTION conflict_transitions(text[], jsonb, jsonb)")
    op.execute("DROP FUNCTION conflict_transition(text, jsonb, jsonb)")
