"""What names a plan, and who approved it.

Revision ID: 4d7e0b92a6c3
Revises: a4c07e51b9d2
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "4d7e0b92a6c3"
down_revision = "a4c07e51b9d2"
branch_labels = None
depends_on = None

TABLE = "payment_sync_sessions"
COLUMNS = ("plan_hash", "approved_hash", "approved_by")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for name in COLUMNS:
        op.add_column(TABLE, sa.Column(name, sa.Text(), nullable=True))
    op.add_column(TABLE, sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    for name in ("approved_at", *COLUMNS):
        op.drop_column(TABLE, name)
