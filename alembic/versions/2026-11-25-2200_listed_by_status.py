"""Every filter of a list is an index range: records of one sync status, events of one kind, the runs that apply a plan.

Revision ID: 2f6b8c1d9e47
Revises: c19f6b2d7e05
Create Date: 2026-11-25 22:00:00.000000+00:00
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "2f6b8c1d9e47"
down_revision: str | None = "c19f6b2d7e05"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TABLES = ("customers", "products", "prices", "subscriptions", "invoices")


def upgrade() -> None:
    for table in _TABLES:
        op.drop_index(f"idx_{table}_payment_sync_status", table_name=table)
        op.create_index(
            f"idx_{table}_payment_sync_status",
            table,
            ["workspace_id", "payment_sync_status", "listed_at", "id"],
            postgresql_where=sa.text("deleted_at IS NULL"),
        )
    op.create_index(
        "ix_payment_sync_events_kind",
        "payment_sync_events",
        ["workspace_id", "session_id", "event_type", sa.text("occurred_at DESC"), sa.text("id DESC")],
    )
    op.create_index(
        "ix_payment_sync_sessions_source",
        "payment_sync_sessions",
        ["workspace_id", "source_session_id"],
        postgresql_where=sa.text("source_session_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_payment_sync_sessions_source", table_name="payment_sync_sessions")
    op.drop_index("ix_payment_sync_events_kind", table_name="payment_sync_events")
    for table in _TABLES:
        op.drop_index(f"idx_{table}_payment_sync_status", table_name=table)
        op.create_index(
            f"idx_{table}_payment_sync_status",
            table,
            ["workspace_id", "payment_sync_status"],
            postgresql_where=sa.text("deleted_at IS NULL AND payment_sync_status <> 'synced'"),
        )
