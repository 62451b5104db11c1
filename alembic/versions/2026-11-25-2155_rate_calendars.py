"""A bucket keeps the times it gave out, so that all its users together never exceed its cap in any second.

Revision ID: c19f6b2d7e05
Revises: 2e8a4b6f90c3
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION

revision = "c19f6b2d7e05"
down_revision = "2e8a4b6f90c3"
branch_labels = None
depends_on = None

TABLE = "payment_sync_rate_buckets"


SECONDS = DOUBLE_PRECISION()
COLUMNS = (
    ("starts", ARRAY(SECONDS), "'{}'"),
    ("slack", SECONDS, "0.01"),
    ("slack_before", SECONDS, "0.01"),
    ("slack_at", SECONDS, "0"),
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for name, kind, default in COLUMNS:
        op.add_column(TABLE, sa.Column(name, kind, server_default=sa.text(default), nullable=False))


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for name, _, _ in COLUMNS:
        op.drop_column(TABLE, name)
