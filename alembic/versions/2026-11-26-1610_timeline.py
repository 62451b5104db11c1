"""What happened in a workspace, by time: without what is settled and edited one by one, and the ends of runs.

Revision ID: b61e0f4d93c8
Revises: 8d3f61c0b2a7
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "b61e0f4d93c8"
down_revision = "8d3f61c0b2a7"
branch_labels = None
depends_on = None

TOLD = (
    "action <> ALL (ARRAY['conflict.resolved', 'conflict.bulk_resolved', 'conflict.reopened', 'conflict.undone', 'record.edited',"
    " 'signed_in'])"
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_index(
        "ix_audit_log_told", "audit_log", ["workspace_id", "occurred_at", "id"], postgresql_where=sa.text(TOLD)
    )
    op.create_index("ix_payment_sync_sessions_ended", "payment_sync_sessions", ["workspace_id", "completed_at", "id"])


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index("ix_payment_sync_sessions_ended", table_name="payment_sync_sessions")
    op.drop_index("ix_audit_log_told", table_name="audit_log")
