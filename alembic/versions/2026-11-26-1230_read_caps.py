"""What people allow an account, in requests a second, stands in its bucket, where every draw sees it. The workspace's column for it was never read.

Revision ID: 3d9f0a72c1e6
Revises: 5e1c70b9a2d4
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "3d9f0a72c1e6"
down_revision = "5e1c70b9a2d4"
branch_labels = None
depends_on = None

BUCKETS = "payment_sync_rate_buckets"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column(BUCKETS, sa.Column("cap", sa.Integer(), nullable=True))
    op.create_check_constraint(op.f(f"ck_{BUCKETS}_cap_is_a_rate"), BUCKETS, "cap >= 1")
    op.drop_column("workspaces", "rate_cap_share")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("workspaces", sa.Column("rate_cap_share", sa.Float(), nullable=True))
    op.drop_constraint(op.f(f"ck_{BUCKETS}_cap_is_a_rate"), BUCKETS)
    op.drop_column(BUCKETS, "cap")
