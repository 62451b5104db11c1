"""The index of the queue serves only who says that it is the queue that is read (`seq > 0`).

While an entity type is new to the statistics, it looks as good as the key for finding one object; it was walked for each of thousands.

Revision ID: 7c20e5d9b341
Revises: 3f9a1d7c04be
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "7c20e5d9b341"
down_revision = "3f9a1d7c04be"
branch_labels = None
depends_on = None

STAGED = "payment_sync_staged_objects"
QUEUE = f"ix_{STAGED}_seq"
COLUMNS = ["session_id", "entity_type", "seq"]


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index(QUEUE, STAGED)
    op.create_index(QUEUE, STAGED, COLUMNS, postgresql_where=sa.text("seq > 0"))


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index(QUEUE, STAGED)
    op.create_index(QUEUE, STAGED, COLUMNS)
