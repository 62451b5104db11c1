"""Stored keys to search and sort records by: an index on lower(...) is closed to sessions under row-level security.

Revision ID: b4df46612121
Revises: 8fc5144c57b1
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "b4df46612121"
down_revision = "8fc5144c57b1"
branch_labels = None
depends_on = None

RECORDS = ("customers", "products", "prices", "subscriptions", "invoices")
FOLDED = (("customers", "email"), ("customers", "name"), ("products", "name"), ("invoices", "number"))
UNLINKED = sa.text("external_id IS NULL AND deleted_at IS NULL")
LIVING, DELETED = sa.text("deleted_at IS NULL"), sa.text("deleted_at IS NOT NULL")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table, column in FOLDED:
        folded = sa.Computed(f"lower({column})", persisted=True)
        op.add_column(table, sa.Column(f"{column}_key", sa.Text(collation="C"), folded))
    for table in RECORDS:
        listed = sa.Computed("COALESCE(provider_created_at, created_at)", persisted=True)
        op.add_column(table, sa.Column("listed_at", sa.DateTime(timezone=True), listed))
        op.drop_index(f"idx_{table}_created", table_name=table)
        op.create_index(f"idx_{table}_listed", table, ["workspace_id", "listed_at", "id"], postgresql_where=LIVING)
        op.create_index(f"idx_{table}_deleted", table, ["workspace_id", "listed_at", "id"], postgresql_where=DELETED)
    replace_keys("{}_key")
    op.create_index("ix_invoices_number", "invoices", ["workspace_id", "number_key"])
    op.create_index("ix_invoices_subscription", "invoices", ["workspace_id", "subscription_id"])


def replace_keys(key: str) -> None:
    for table, column in FOLDED[:3]:
        op.drop_index(f"ix_{table}_{column}", table_name=table)
        op.create_index(f"ix_{table}_{column}", table, ["workspace_id", sa.literal_column(key.format(column)), "id"])
    op.drop_index("ix_customers_email_unlinked", table_name="customers")
    op.create_index(
        "ix_customers_email_unlinked",
        "customers",
        ["workspace_id", sa.literal_column(key.format("email"))],
        postgresql_where=UNLINKED,
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    replace_keys("lower({})")
    op.drop_index("ix_invoices_subscription", table_name="invoices")
    for table, column in FOLDED:
        op.drop_column(table, f"{column}_key")
    for table in RECORDS:
        op.drop_column(table, "listed_at")
        op.create_index(f"idx_{table}_created", table, ["workspace_id", "created_at", "id"])
