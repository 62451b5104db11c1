"""Who looks at which conflict.

Revision ID: a4c07e51b9d2
Revises: 90b3e5d7c1f6
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "a4c07e51b9d2"
down_revision = "90b3e5d7c1f6"
branch_labels = None
depends_on = None

APP, DRY_RUN = "cyphera_app", "cyphera_dryrun"
HERE = "(SELECT nullif(current_setting('app.workspace_id', true), '')::uuid)"
VIEWERS = "payment_sync_conflict_viewers"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        VIEWERS,
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("conflict_id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "user_id"],
            ["memberships.workspace_id", "memberships.user_id"],
            name=op.f(f"fk_{VIEWERS}_workspace_id_user_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "conflict_id", "user_id", name=op.f(f"pk_{VIEWERS}")),
    )
    mine = f"workspace_id = {HERE}"
    op.execute(f"ALTER TABLE {VIEWERS} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {VIEWERS} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON {VIEWERS} FOR ALL TO {APP}, {DRY_RUN} USING ({mine}) WITH CHECK ({mine})")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {VIEWERS} TO {APP}")
    op.execute(f"GRANT SELECT ON {VIEWERS} TO {DRY_RUN}")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_table(VIEWERS)
