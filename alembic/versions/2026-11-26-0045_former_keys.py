"""A key that was replaced stays until the new one has worked; when the last webhook event came is found by an index.

Revision ID: 8f2c61d0b7e4
Revises: c2e95d13f7a8
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "8f2c61d0b7e4"
down_revision = "c2e95d13f7a8"
branch_labels = None
depends_on = None

TABLE = "payment_connections"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column(TABLE, sa.Column("former_ciphertext", sa.LargeBinary(), nullable=True))
    op.add_column(TABLE, sa.Column("former_last4", sa.Text(), nullable=True))
    op.add_column(TABLE, sa.Column("former_fingerprint", sa.Text(), nullable=True))
    op.create_index(
        "ix_payment_webhook_inbox_recent", "payment_webhook_inbox", ["workspace_id", sa.text("received_at DESC")]
    )


def downgrade() -> None:
    op.drop_index("ix_payment_webhook_inbox_recent", table_name="payment_webhook_inbox")
    for name in ("former_fingerprint", "former_last4", "former_ciphertext"):
        op.drop_column(TABLE, name)
