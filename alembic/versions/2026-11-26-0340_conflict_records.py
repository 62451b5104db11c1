"""How many records the open conflicts of some cells are about, from an index alone.

Revision ID: 5d0b7ce2a946
Revises: e7f2a40c8b15
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "5d0b7ce2a946"
down_revision = "e7f2a40c8b15"
branch_labels = None
depends_on = None

CONFLICTS = "payment_sync_conflicts"
RECORDS = f"ix_{CONFLICTS}_records"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_index(
        RECORDS,
        CONFLICTS,
        ["workspace_id", "cell_key"],
        postgresql_include=["record_id", "created_at"],
        postgresql_where=sa.text("status = 'open' AND entity_type = 'customers'"),
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index(RECORDS, CONFLICTS)
