"""Plan items by action first: to a planner without statistics of a run, an index that begins like the primary key looks as good as it.

Revision ID: 2e8a4b6f90c3
Revises: b6d2f0a81c37
"""

from __future__ import annotations

from alembic import op

revision = "2e8a4b6f90c3"
down_revision = "b6d2f0a81c37"
branch_labels = None
depends_on = None

INDEX, TABLE = "ix_payment_sync_plan_items_action", "payment_sync_plan_items"


def upgrade() -> None:
    replace("session_id", "action", "entity_type", "seq")


def downgrade() -> None:
    replace("session_id", "entity_type", "action", "seq")


def replace(*columns: str) -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index(INDEX, table_name=TABLE)
    op.create_index(INDEX, TABLE, list(columns))
