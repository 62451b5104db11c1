"""Fields that syncs leave alone in single records.

Revision ID: b81f4c6d2e07
Revises: 5d0b7ce2a946
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "b81f4c6d2e07"
down_revision = "5d0b7ce2a946"
branch_labels = None
depends_on = None

APP, DRY_RUN = "cyphera_app", "cyphera_dryrun"
HERE = "(SELECT nullif(current_setting('app.workspace_id', true), '')::uuid)"
IGNORED = "payment_sync_ignored_record_fields"
ENTITIES = ("customers", "products", "prices", "subscriptions", "invoices")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    known = ", ".join(f"'{one}'" for one in ENTITIES)
    op.create_table(
        IGNORED,
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("entity_type", sa.String(length=32), nullable=False),
        sa.Column("record_id", sa.UUID(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(f"entity_type IN ({known})", name=op.f(f"ck_{IGNORED}_entity_type_known")),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f(f"fk_{IGNORED}_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "entity_type", "record_id", "field", name=op.f(f"pk_{IGNORED}")),
    )
    mine = f"workspace_id = {HERE}"
    op.execute(f"ALTER TABLE {IGNORED} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {IGNORED} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON {IGNORED} FOR ALL TO {APP}, {DRY_RUN} USING ({mine}) WITH CHECK ({mine})")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {IGNORED} TO {APP}")
    op.execute(f"GRANT SELECT ON {IGNORED} TO {DRY_RUN}")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_table(IGNORED)
