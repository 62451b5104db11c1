"""Configurations kept under a name, and how fast each run went.

Revision ID: 7d3a51c0e8b4
Revises: 4be2a7c19d60
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "7d3a51c0e8b4"
down_revision = "4be2a7c19d60"
branch_labels = None
depends_on = None

APP, DRY_RUN = "cyphera_app", "cyphera_dryrun"
HERE = "(SELECT nullif(current_setting('app.workspace_id', true), '')::uuid)"
PRESETS, SAMPLES = "payment_sync_presets", "payment_sync_pace_samples"
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    create_presets()
    create_samples()
    for table in (PRESETS, SAMPLES):
        protect(table)
    op.execute(f"GRANT SELECT ON {PRESETS} TO {DRY_RUN}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {SAMPLES} TO {DRY_RUN}")


def protect(table: str) -> None:
    mine = f"workspace_id = {HERE}"
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON {table} FOR ALL TO {APP}, {DRY_RUN} USING ({mine}) WITH CHECK ({mine})")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {APP}")


def create_presets() -> None:
    op.create_table(
        PRESETS,
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.UUID(), server_default=sa.text("new_id()"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("config", JSONB(none_as_null=True), nullable=False),
        sa.Column("created_by", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f(f"fk_{PRESETS}_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f(f"pk_{PRESETS}")),
    )
    op.create_index(f"uq_{PRESETS}_name", PRESETS, ["workspace_id", sa.text("lower(name)")], unique=True)
    op.execute(
        f"CREATE TRIGGER set_{PRESETS}_updated_at BEFORE UPDATE ON {PRESETS}"
        " FOR EACH ROW EXECUTE FUNCTION trigger_set_updated_at()"
    )


def create_samples() -> None:
    op.create_table(
        SAMPLES,
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("session_id", sa.UUID(), nullable=False),
        sa.Column("slot", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", TIME, server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("fetched", sa.BigInteger(), nullable=False),
        sa.Column("processed", sa.BigInteger(), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("throttled", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "session_id"],
            ["payment_sync_sessions.workspace_id", "payment_sync_sessions.id"],
            name=op.f(f"fk_{SAMPLES}_workspace_id_session_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "session_id", "slot", name=op.f(f"pk_{SAMPLES}")),
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in (SAMPLES, PRESETS):
        op.drop_table(table)
