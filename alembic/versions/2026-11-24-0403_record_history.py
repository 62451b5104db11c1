"""What happened to one record is asked by record.

Revision ID: 9c1e77d0ab35
Revises: b4df46612121
"""

from __future__ import annotations

from alembic import op

revision = "9c1e77d0ab35"
down_revision = "b4df46612121"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_index("ix_audit_log_target", "audit_log", ["workspace_id", "target", "occurred_at"])
    op.create_index(
        "ix_payment_sync_conflicts_record", "payment_sync_conflicts", ["workspace_id", "entity_type", "record_id"]
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index("ix_payment_sync_conflicts_record", table_name="payment_sync_conflicts")
    op.drop_index("ix_audit_log_target", table_name="audit_log")
