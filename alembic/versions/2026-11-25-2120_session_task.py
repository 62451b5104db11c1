"""An ended run is taken up again for a part of it: errors to retry, or records to repair.

Revision ID: 6d0f3b5a8e21
Revises: 5d0c3f8e2b71
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "6d0f3b5a8e21"
down_revision = "5d0c3f8e2b71"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("payment_sync_sessions", sa.Column("task", JSONB(none_as_null=True), nullable=True))


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_column("payment_sync_sessions", "task")
