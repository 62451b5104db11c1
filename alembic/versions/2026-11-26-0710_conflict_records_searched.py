"""How many records the conflicts that a search finds are about, from the index that tells records apart.

Revision ID: f4a86c02d91e
Revises: d94e6b1f7a28
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "f4a86c02d91e"
down_revision = "d94e6b1f7a28"
branch_labels = None
depends_on = None

CONFLICTS = "payment_sync_conflicts"
RECORDS = f"ix_{CONFLICTS}_records"
SHOWN = ["record_id", "created_at"]


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    records([*SHOWN, "search_key", "amount_delta"])


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    records(SHOWN)


def records(shown: list[str]) -> None:
    op.drop_index(RECORDS, CONFLICTS)
    op.create_index(
        RECORDS,
        CONFLICTS,
        ["workspace_id", "cell_key"],
        postgresql_include=shown,
        postgresql_where=sa.text("status = 'open' AND entity_type = 'customers'"),
    )
