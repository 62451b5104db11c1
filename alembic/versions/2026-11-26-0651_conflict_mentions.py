"""Whom a comment calls to a conflict, and whether they have been there since.

Revision ID: b1d7e0935c4f
Revises: 6e2f91b8d4a7
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "b1d7e0935c4f"
down_revision = "6e2f91b8d4a7"
branch_labels = None
depends_on = None

APP, DRY_RUN = "cyphera_app", "cyphera_dryrun"
HERE = "(SELECT nullif(current_setting('app.workspace_id', true), '')::uuid)"
MENTIONS = "payment_sync_conflict_mentions"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        MENTIONS,
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("comment_id", sa.UUID(), nullable=False),
        sa.Column("conflict_id", sa.UUID(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["workspace_id", "user_id"],
            ["memberships.workspace_id", "memberships.user_id"],
            name=op.f(f"fk_{MENTIONS}_workspace_id_user_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "comment_id"],
            ["payment_sync_conflict_comments.workspace_id", "payment_sync_conflict_comments.id"],
            name=op.f(f"fk_{MENTIONS}_workspace_id_comment_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "user_id", "comment_id", name=op.f(f"pk_{MENTIONS}")),
    )
    newest = [sa.text("created_at DESC"), sa.text("comment_id DESC")]
    op.create_index(f"ix_{MENTIONS}_newest", MENTIONS, ["workspace_id", "user_id", *newest])
    op.create_index(
        f"ix_{MENTIONS}_unseen",
        MENTIONS,
        ["workspace_id", "user_id", "conflict_id"],
        postgresql_where=sa.text("seen_at IS NULL"),
    )
    op.create_index(f"ix_{MENTIONS}_comment", MENTIONS, ["workspace_id", "comment_id"])
    mine = f"workspace_id = {HERE}"
    op.execute(f"ALTER TABLE {MENTIONS} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {MENTIONS} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON {MENTIONS} FOR ALL TO {APP}, {DRY_RUN} USING ({mine}) WITH CHECK ({mine})")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {MENTIONS} TO {APP}")
    op.execute(f"GRANT SELECT ON {MENTIONS} TO {DRY_RUN}")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_table(MENTIONS)
