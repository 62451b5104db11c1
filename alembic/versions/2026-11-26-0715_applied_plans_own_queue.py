"""A run that applies a plan queues what it fetches itself behind the plan, and leaves the plan as it was looked at.

Revision ID: 8c2e5b7d91fa
Revises: f4a86c02d91e
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "8c2e5b7d91fa"
down_revision = "f4a86c02d91e"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("payment_sync_entity_runs", sa.Column("plan_upto", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_column("payment_sync_entity_runs", "plan_upto")
