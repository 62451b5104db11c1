"""Conflicts are listed and counted from one index, decided many at a time through a preview, and talked about.

Revision ID: 4be2a7c19d60
Revises: 9c1e77d0ab35
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "4be2a7c19d60"
down_revision = "9c1e77d0ab35"
branch_labels = None
depends_on = None

APP, DRY_RUN = "cyphera_app", "cyphera_dryrun"
HERE = "(SELECT nullif(current_setting('app.workspace_id', true), '')::uuid)"
PREVIEWS, ITEMS, COMMENTS = (
    "payment_sync_conflict_previews",
    "payment_sync_conflict_preview_items",
    "payment_sync_conflict_comments",
)
SHOWN = ["entity_type", "reason_code", "session_id", "fields", "search_key", "assignee", "snoozed_until"]
TIME = sa.DateTime(timezone=True)
ENTITY = sa.Enum(
    "customers", "products", "prices", "subscriptions", "invoices", name="entitytype", native_enum=False, length=32
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    key = sa.Computed("left(lower(label || ' ' || external_id), 200)", persisted=True)
    op.add_column("payment_sync_conflicts", sa.Column("search_key", sa.Text(collation="C"), key, nullable=True))
    op.add_column("payment_sync_conflicts", sa.Column("assignee", sa.Text()))
    op.add_column("payment_sync_conflicts", sa.Column("snoozed_until", TIME))
    for name in ("recent", "list", "fields"):
        op.drop_index(f"ix_payment_sync_conflicts_{name}", table_name="payment_sync_conflicts")
    op.create_index(
        "ix_payment_sync_conflicts_review",
        "payment_sync_conflicts",
        ["workspace_id", "status", sa.text("created_at DESC"), sa.text("id DESC")],
        postgresql_include=SHOWN,
    )
    index_batches("workspace_id", "batch_id", "entity_type", "id")
    create_previews()
    create_items()
    create_comments()
    for table in (PREVIEWS, ITEMS, COMMENTS):
        protect(table)


def index_batches(*columns: str) -> None:
    """A batch of a hundred thousand decisions is walked a thousand at a time, one entity type after another."""
    op.drop_index("ix_payment_sync_conflict_decisions_batch", table_name="payment_sync_conflict_decisions")
    op.create_index("ix_payment_sync_conflict_decisions_batch", "payment_sync_conflict_decisions", list(columns))


def protect(table: str) -> None:
    mine = f"workspace_id = {HERE}"
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON {table} FOR ALL TO {APP}, {DRY_RUN} USING ({mine}) WITH CHECK ({mine})")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {APP}")
    op.execute(f"GRANT SELECT ON {table} TO {DRY_RUN}")


def belongs(table: str, column: str, parent: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["workspace_id", column],
        [f"{parent}.workspace_id", f"{parent}.id"],
        name=op.f(f"fk_{table}_workspace_id_{column}"),
        ondelete="CASCADE",
    )


def of_workspace(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["workspace_id"], ["workspaces.id"], name=op.f(f"fk_{table}_workspace_id"), ondelete="CASCADE"
    )


def create_previews() -> None:
    op.create_table(
        PREVIEWS,
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.UUID(), server_default=sa.text("new_id()"), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("query", JSONB(none_as_null=True), nullable=False),
        sa.Column("rule", JSONB(none_as_null=True), nullable=False),
        sa.Column("summary", JSONB(none_as_null=True), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("applied_at", TIME),
        of_workspace(PREVIEWS),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f(f"pk_{PREVIEWS}")),
    )
    op.create_index(f"ix_{PREVIEWS}_recent", PREVIEWS, ["workspace_id", sa.text("created_at DESC")])


def create_items() -> None:
    op.create_table(
        ITEMS,
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("preview_id", sa.UUID(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("entity_type", ENTITY, nullable=False),
        sa.Column("conflict_id", sa.UUID(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("choices", JSONB(none_as_null=True)),
        sa.Column("outcome", sa.Text()),
        belongs(ITEMS, "preview_id", PREVIEWS),
        sa.PrimaryKeyConstraint("workspace_id", "preview_id", "seq", name=op.f(f"pk_{ITEMS}")),
    )
    op.create_index(
        f"ix_{ITEMS}_left_out",
        ITEMS,
        ["workspace_id", "preview_id", "seq"],
        postgresql_where=sa.text("outcome <> 'resolved'"),
    )


def create_comments() -> None:
    op.create_table(
        COMMENTS,
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.UUID(), server_default=sa.text("new_id()"), nullable=False),
        sa.Column("conflict_id", sa.UUID(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        of_workspace(COMMENTS),
        belongs(COMMENTS, "conflict_id", "payment_sync_conflicts"),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f(f"pk_{COMMENTS}")),
    )
    op.create_index(f"ix_{COMMENTS}_conflict", COMMENTS, ["workspace_id", "conflict_id", "created_at"])


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in (COMMENTS, ITEMS, PREVIEWS):
        op.drop_table(table)
    index_batches("workspace_id", "batch_id")
    op.drop_index("ix_payment_sync_conflicts_review", table_name="payment_sync_conflicts")
    newest = [sa.text("created_at DESC"), sa.text("id DESC")]
    op.create_index(
        "ix_payment_sync_conflicts_fields",
        "payment_sync_conflicts",
        ["fields"],
        postgresql_using="gin",
        postgresql_where=sa.text("status = 'open'"),
    )
    op.create_index(
        "ix_payment_sync_conflicts_list", "payment_sync_conflicts", ["workspace_id", "status", "entity_type", *newest]
    )
    op.create_index("ix_payment_sync_conflicts_recent", "payment_sync_conflicts", ["workspace_id", "status", *newest])
    for column in ("snoozed_until", "assignee", "search_key"):
        op.drop_column("payment_sync_conflicts", column)
