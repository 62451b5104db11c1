"""A lease says when its worker last gave a sign of life: a cancel need not wait for one that gives none.

Revision ID: 5d0c3f8e2b71
Revises: 7d3a51c0e8b4
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "5d0c3f8e2b71"
down_revision = "7d3a51c0e8b4"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("payment_sync_leases", sa.Column("beat_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_column("payment_sync_leases", "beat_at")
