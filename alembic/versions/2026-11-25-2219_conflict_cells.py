"""Conflicts are counted from one deduplicated index: all that can be filtered by, as one text, and the day it was opened on.

Revision ID: c81f4d27ae90
Revises: 2f6b8c1d9e47
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "c81f4d27ae90"
down_revision = "2f6b8c1d9e47"
branch_labels = None
depends_on = None

CONFLICTS = "payment_sync_conflicts"
REVIEW, CELLS = f"ix_{CONFLICTS}_review", f"ix_{CONFLICTS}_cells"
SHOWN = ["entity_type", "reason_code", "session_id", "fields", "search_key", "assignee", "snoozed_until"]
SHOWN_BEFORE = [*SHOWN, "snoozed_for", "transitions", "reopened_at", "pending"]
SHOWN_NOW = ["search_key", "snoozed_until", "snoozed_for", "cell_key"]

# Its parts are read by `store/conflict_query.py`; the assignee is the last, since it is the only free text.
CELL = """
CREATE FUNCTION conflict_cell(entity text, reason text, session uuid, fields text[], ours jsonb, theirs jsonb, reopened boolean,
  chosen boolean, snoozed_for text, snoozed_until timestamptz, assignee text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  RETURN entity || '|' || reason || '|' || session || '|' || coalesce(array_to_string(fields, ','), '') || '|' ||
    array_to_string(public.conflict_transitions(fields, ours, theirs), ',') || '|' || CASE WHEN reopened THEN '1' ELSE '' END || '|' ||
    CASE WHEN chosen THEN '1' ELSE '' END || '|' || coalesce(snoozed_for, '') || '|' ||
    coalesce(extract(epoch FROM snoozed_until)::text, '') || '|' || coalesce(assignee, '');
END $$
"""
SAYS = (
    "conflict_cell(entity_type, reason_code, session_id, fields, local, theirs, reopened_at IS NOT NULL, choices <> '{}'::jsonb,"
    " snoozed_for, snoozed_until, assignee)"
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(CELL)
    op.add_column(
        CONFLICTS, sa.Column("cell", sa.Text(collation="C"), sa.Computed(SAYS, persisted=True), nullable=True)
    )
    op.add_column(
        CONFLICTS,
        sa.Column(
            "cell_key", sa.BigInteger(), sa.Computed(f"hashtextextended({SAYS}, 0)", persisted=True), nullable=True
        ),
    )
    day = sa.Computed("(created_at AT TIME ZONE 'UTC')::date", persisted=True)
    op.add_column(CONFLICTS, sa.Column("opened_on", sa.Date(), day, nullable=True))
    op.create_index(CELLS, CONFLICTS, ["workspace_id", "status", "cell", "opened_on"])
    review(SHOWN_NOW)


def review(shown: list[str]) -> None:
    op.drop_index(REVIEW, table_name=CONFLICTS)
    newest = [sa.text("created_at DESC"), sa.text("id DESC")]
    op.create_index(REVIEW, CONFLICTS, ["workspace_id", "status", *newest], postgresql_include=shown)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index(CELLS, table_name=CONFLICTS)
    review(SHOWN_BEFORE)
    for column in ("opened_on", "cell_key", "cell"):
        op.drop_column(CONFLICTS, column)
    op.execute(
        "DROP FUNCTION conflict_cell(text, text, uuid, text[], jsonb, jsonb, boolean, boolean, text, timestamptz, text)"
    )
