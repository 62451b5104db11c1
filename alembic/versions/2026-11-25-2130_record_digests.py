"""A digest of Stripe's values beside each record that agrees with them, so that a later sync knows it again without reading it.

Revision ID: 5d1f0c7be2a4
Revises: 6d0f3b5a8e21
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "5d1f0c7be2a4"
down_revision = "6d0f3b5a8e21"
branch_labels = None
depends_on = None

RECORDS = ("customers", "products", "prices", "subscriptions", "invoices")

# Whoever writes a record without saying that it agrees with Stripe has it compared again.
COUNT_VERSION = """
CREATE OR REPLACE FUNCTION trigger_count_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.updated_at := now();
  NEW.row_version := OLD.row_version + 1;
  {forget}RETURN NEW;
END $$;
"""
FORGET = """IF NEW.payment_digest IS NOT DISTINCT FROM OLD.payment_digest THEN
    NEW.payment_digest := NULL;
  END IF;
  """


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in RECORDS:
        op.add_column(table, sa.Column("payment_digest", sa.Uuid(), nullable=True))
    op.add_column("payment_sync_staged_objects", sa.Column("digest", sa.Uuid(), nullable=True))
    op.execute(COUNT_VERSION.format(forget=FORGET))


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(COUNT_VERSION.format(forget=""))
    op.drop_column("payment_sync_staged_objects", "digest")
    for table in RECORDS:
        op.drop_column(table, "payment_digest")
