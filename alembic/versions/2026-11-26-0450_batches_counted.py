"""How many decisions of a batch still stand, from an index alone: a list asks it of one's last batch, which may be 90,000.

Revision ID: 3f9a1d7c04be
Revises: b81f4c6d2e07
"""

from __future__ import annotations

from alembic import op

revision = "3f9a1d7c04be"
down_revision = "b81f4c6d2e07"
branch_labels = None
depends_on = None

DECISIONS = "payment_sync_conflict_decisions"
BATCH = f"ix_{DECISIONS}_batch"
COLUMNS = ["workspace_id", "batch_id", "entity_type", "id"]


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index(BATCH, DECISIONS)
    op.create_index(BATCH, DECISIONS, COLUMNS, postgresql_include=["undone_at"])


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index(BATCH, DECISIONS)
    op.create_index(BATCH, DECISIONS, COLUMNS)
