"""What each person has looked through: a tick for a conflict, of its values as they were.

Revision ID: 6e2f91b8d4a7
Revises: 7c20e5d9b341
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "6e2f91b8d4a7"
down_revision = "7c20e5d9b341"
branch_labels = None
depends_on = None

APP, DRY_RUN = "cyphera_app", "cyphera_dryrun"
HERE = "(SELECT nullif(current_setting('app.workspace_id', true), '')::uuid)"
REVIEWS = "payment_sync_conflict_reviews"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        REVIEWS,
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("conflict_id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("sides", sa.BigInteger(), nullable=False),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "user_id"],
            ["memberships.workspace_id", "memberships.user_id"],
            name=op.f(f"fk_{REVIEWS}_workspace_id_user_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "conflict_id", "user_id", name=op.f(f"pk_{REVIEWS}")),
    )
    mine = f"workspace_id = {HERE}"
    op.execute(f"ALTER TABLE {REVIEWS} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {REVIEWS} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON {REVIEWS} FOR ALL TO {APP}, {DRY_RUN} USING ({mine}) WITH CHECK ({mine})")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {REVIEWS} TO {APP}")
    op.execute(f"GRANT SELECT ON {REVIEWS} TO {DRY_RUN}")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_table(REVIEWS)
