"""A connection that was begun and left for later; its key, if there is one, is an envelope like a connection's.

Revision ID: c4a7d2e95f18
Revises: b81e4f6a0d27
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "c4a7d2e95f18"
down_revision = "b81e4f6a0d27"
branch_labels = None
depends_on = None

APP = "cyphera_app"
HERE = "(SELECT nullif(current_setting('app.workspace_id', true), '')::uuid)"
DRAFTS = "payment_connection_drafts"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        DRAFTS,
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("label", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("key_kind", sa.Text(), nullable=True),
        sa.Column("key_last4", sa.Text(), nullable=True),
        sa.Column("key_ciphertext", sa.LargeBinary(), nullable=True),
        sa.Column("checks", postgresql.JSONB(none_as_null=True), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("created_by", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f(f"fk_{DRAFTS}_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", name=op.f(f"pk_{DRAFTS}")),
    )
    mine = f"workspace_id = {HERE}"
    op.execute(f"ALTER TABLE {DRAFTS} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {DRAFTS} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON {DRAFTS} FOR ALL TO {APP} USING ({mine}) WITH CHECK ({mine})")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {DRAFTS} TO {APP}")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_table(DRAFTS)
