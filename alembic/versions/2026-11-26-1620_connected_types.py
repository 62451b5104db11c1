"""Which entity types a connection's key is for: what it is examined for, and what a draft of one keeps of what was chosen.

Revision ID: e60b3a91d7f5
Revises: b61e0f4d93c8
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "e60b3a91d7f5"
down_revision = "b61e0f4d93c8"
branch_labels = None
depends_on = None

TABLES = ("payment_connections", "payment_connection_drafts")
ALL = "'{customers,products,prices,subscriptions,invoices}'::text[]"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in TABLES:
        column = sa.Column("entity_types", postgresql.ARRAY(sa.Text()), server_default=sa.text(ALL), nullable=False)
        op.add_column(table, column)
        op.create_check_constraint(op.f(f"ck_{table}_reads_something"), table, "cardinality(entity_types) > 0")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in TABLES:
        op.drop_constraint(op.f(f"ck_{table}_reads_something"), table)
        op.drop_column(table, "entity_types")
