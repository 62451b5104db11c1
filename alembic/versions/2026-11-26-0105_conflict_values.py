"""Conflicts are found by the values that differ, and by how much amounts differ.

Revision ID: e7f2a40c8b15
Revises: c5a90e3f7b16
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "e7f2a40c8b15"
down_revision = "c5a90e3f7b16"
branch_labels = None
depends_on = None

CONFLICTS = "payment_sync_conflicts"
REVIEW = f"ix_{CONFLICTS}_review"
SHOWN = ["search_key", "snoozed_until", "snoozed_for", "cell_key"]
BEFORE = "left(lower(label || ' ' || external_id), 200)"
NOW = "left(lower(label || ' ' || external_id || ' ' || conflict_values(fields, local, theirs)), 250)"

# Emails whatever differs, since that is what people know a customer by.
VALUES = """
CREATE FUNCTION conflict_values(fields text[], ours jsonb, theirs jsonb) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  name text;
  said text := concat_ws(' ', ours ->> 'email', nullif(theirs ->> 'email', ours ->> 'email'));
BEGIN
  FOREACH name IN ARRAY coalesce(fields, '{}') LOOP
    IF name <> 'email' THEN said := concat_ws(' ', said, left(ours ->> name, 60), left(theirs ->> name, 60)); END IF;
  END LOOP;
  RETURN said;
END $$
"""
# In the currency's own unit. The exponents are those of `domain.money`.
DELTA = """
CREATE FUNCTION conflict_delta(fields text[], ours jsonb, theirs jsonb) RETURNS numeric LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  name text;
  code text := coalesce(theirs ->> 'currency', ours ->> 'currency', '');
  digits int := CASE WHEN code IN ({zero}) THEN 0 WHEN code IN ({three}) THEN 3 WHEN code IN ({four}) THEN 4 ELSE 2 END;
  most numeric;
BEGIN
  FOREACH name IN ARRAY coalesce(fields, '{{}}') LOOP
    IF name IN ({amounts}) AND jsonb_typeof(ours -> name) = 'number' AND jsonb_typeof(theirs -> name) = 'number' THEN
      most := greatest(most, abs((theirs ->> name)::numeric - (ours ->> name)::numeric) / 10 ^ digits);
    END IF;
  END LOOP;
  RETURN most;
END $$
"""
AMOUNTS = "amount_due amount_paid amount_remaining subtotal tax total unit_amount_in_pennies"
ZERO = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF UYI VND VUV XAF XOF XPF"
THREE = "BHD IQD JOD KWD LYD OMR TND"
FOUR = "CLF UYW"


def quoted(words: str) -> str:
    return ", ".join(f"'{word}'" for word in words.split())


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(VALUES)
    op.execute(DELTA.format(amounts=quoted(AMOUNTS), zero=quoted(ZERO), three=quoted(THREE), four=quoted(FOUR)))
    op.drop_index(REVIEW, table_name=CONFLICTS)
    search(NOW)
    differs = sa.Computed("conflict_delta(fields, local, theirs)", persisted=True)
    op.add_column(CONFLICTS, sa.Column("amount_delta", sa.Numeric(), differs, nullable=True))
    review([*SHOWN, "amount_delta"])


def search(said: str) -> None:
    op.drop_column(CONFLICTS, "search_key")
    key = sa.Computed(said, persisted=True)
    op.add_column(CONFLICTS, sa.Column("search_key", sa.Text(collation="C"), key, nullable=True))


def review(shown: list[str]) -> None:
    newest = [sa.text("created_at DESC"), sa.text("id DESC")]
    op.create_index(REVIEW, CONFLICTS, ["workspace_id", "status", *newest], postgresql_include=shown)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index(REVIEW, table_name=CONFLICTS)
    op.drop_column(CONFLICTS, "amount_delta")
    search(BEFORE)
    review(SHOWN)
    op.execute("DROP FUNCTION conflict_delta(text[], jsonb, jsonb)")
    op.execute("DROP FUNCTION conflict_values(text[], jsonb, jsonb)")
