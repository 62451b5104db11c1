"""Schedules that can be changed: by whom last, and a revision that two people at once can't both write over.

Revision ID: 8d3f61c0b2a7
Revises: 7d2f94b1c6a8
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "8d3f61c0b2a7"
down_revision = "7d2f94b1c6a8"
branch_labels = None
depends_on = None

SCHEDULES = "payment_sync_schedules"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column(SCHEDULES, sa.Column("changed_by", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column(SCHEDULES, sa.Column("revision", sa.Integer(), server_default=sa.text("1"), nullable=False))


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_column(SCHEDULES, "revision")
    op.drop_column(SCHEDULES, "changed_by")
