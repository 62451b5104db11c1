"""Runs are listed by entity type and by who started them.

Revision ID: c5a90e3f7b16
Revises: 8f2c61d0b7e4
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "c5a90e3f7b16"
down_revision = "8f2c61d0b7e4"
branch_labels = None
depends_on = None

TABLE = "payment_sync_sessions"
ENTITIES = ("customers", "products", "prices", "subscriptions", "invoices")
NEWEST_FIRST = [sa.text("created_at DESC"), sa.text("id DESC")]


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for entity in ENTITIES:
        op.create_index(
            f"ix_{TABLE}_{entity}",
            TABLE,
            ["workspace_id", *NEWEST_FIRST],
            postgresql_where=sa.text(f"deleted_at IS NULL AND '{entity}' = ANY (entity_types)"),
        )
    op.create_index(
        f"ix_{TABLE}_by",
        TABLE,
        ["workspace_id", "created_by", *NEWEST_FIRST],
        postgresql_where=sa.text("deleted_at IS NULL"),
    )


def downgrade() -> None:
    for name in ("by", *ENTITIES):
        op.drop_index(f"ix_{TABLE}_{name}", table_name=TABLE)
