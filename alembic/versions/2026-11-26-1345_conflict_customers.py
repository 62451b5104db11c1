"""Conflicts know whose customer's they are, customers that are deleted can be listed, and so can what one person has looked through.

Revision ID: 3a8d15c7f0e6
Revises: c4a7d2e95f18
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "3a8d15c7f0e6"
down_revision = "c4a7d2e95f18"
branch_labels = None
depends_on = None

CONFLICTS, REVIEWS = "payment_sync_conflicts", "payment_sync_conflict_reviews"
REVIEW, CUSTOMER, MINE = f"ix_{CONFLICTS}_review", f"ix_{CONFLICTS}_customer", f"ix_{REVIEWS}_mine"
DELETED = "ix_customers_deleted"
SHOWN = ["search_key", "snoozed_until", "snoozed_for", "cell_key", "amount_delta"]
RECORDS = f"ix_{CONFLICTS}_records"
OF_RECORDS = ["record_id", "created_at", "search_key", "amount_delta"]
OF = ("subscriptions", "invoices")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column(CONFLICTS, sa.Column("customer_id", sa.UUID(), nullable=True))
    # The tables' owner need not be a superuser, who sees past row-level security: it is lifted for the owner meanwhile.
    for table in (CONFLICTS, *OF):
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.execute(
        f"UPDATE {CONFLICTS} SET customer_id = record_id WHERE entity_type IN ('customers', 'subscriptions', 'invoices')"
    )
    for table in OF:
        op.execute(
            f"UPDATE {CONFLICTS} c SET customer_id = r.customer_id FROM {table} r WHERE c.entity_type = '{table}'"
            " AND r.workspace_id = c.workspace_id AND r.id = c.record_id AND r.customer_id IS NOT NULL"
        )
    for table in (CONFLICTS, *OF):
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    review([*SHOWN, "customer_id"])
    records(["id", *OF_RECORDS])
    op.create_index(
        CUSTOMER,
        CONFLICTS,
        ["workspace_id", "status", "customer_id"],
        postgresql_include=["id", "cell_key", "created_at"],
    )
    op.create_index(DELETED, "customers", ["workspace_id", "id"], postgresql_where=sa.text("deleted_at IS NOT NULL"))
    op.create_index(MINE, REVIEWS, ["workspace_id", "user_id", "conflict_id"], postgresql_include=["sides"])


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index(MINE, table_name=REVIEWS)
    op.drop_index(DELETED, table_name="customers")
    op.drop_index(CUSTOMER, table_name=CONFLICTS)
    records(OF_RECORDS)
    review(SHOWN)
    op.drop_column(CONFLICTS, "customer_id")


def review(shown: list[str]) -> None:
    op.drop_index(REVIEW, table_name=CONFLICTS)
    newest = [sa.text("created_at DESC"), sa.text("id DESC")]
    op.create_index(REVIEW, CONFLICTS, ["workspace_id", "status", *newest], postgresql_include=shown)


def records(shown: list[str]) -> None:
    op.drop_index(RECORDS, table_name=CONFLICTS)
    open_customers = sa.text("status = 'open' AND entity_type = 'customers'")
    op.create_index(
        RECORDS,
        CONFLICTS,
        ["workspace_id", "cell_key"],
        postgresql_include=shown,
        postgresql_where=open_customers,
    )
