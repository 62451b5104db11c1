"""What Stripe's events say of our fields is found by the object: which of them changed, when, and to what.

Events that are here already are read by the timer, as those that come are (`domain.events`): no SQL reads their JSON, whose texts may hold
what PostgreSQL cannot.

Revision ID: 7d2f94b1c6a8
Revises: a17e90c3d5b2
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "7d2f94b1c6a8"
down_revision = "a17e90c3d5b2"
branch_labels = None
depends_on = None

INBOX = "payment_webhook_inbox"
OBJECT, UNREAD = f"ix_{INBOX}_object", f"ix_{INBOX}_unread"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column(INBOX, sa.Column("object_id", sa.Text(), nullable=True))
    op.add_column(INBOX, sa.Column("happened_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(INBOX, sa.Column("livemode", sa.Boolean(), nullable=True))
    op.add_column(INBOX, sa.Column("changes", postgresql.JSONB(none_as_null=True), nullable=True))
    op.create_index(
        OBJECT, INBOX, ["workspace_id", "object_id", "happened_at"], postgresql_where=sa.text("object_id IS NOT NULL")
    )
    op.create_index(UNREAD, INBOX, ["workspace_id", "event_id"], postgresql_where=sa.text("changes IS NULL"))


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index(UNREAD, table_name=INBOX)
    op.drop_index(OBJECT, table_name=INBOX)
    for column in ("changes", "livemode", "happened_at", "object_id"):
        op.drop_column(INBOX, column)
