"""Schedules by a local time, with a name of their own and what the last due time came to.

Revision ID: 5e0b92d7a4c1
Revises: c4a7d1e80b53
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "5e0b92d7a4c1"
down_revision = "c4a7d1e80b53"
branch_labels = None
depends_on = None

SCHEDULES = "payment_sync_schedules"
NAMES = f"uq_{SCHEDULES}_name"
FORM = f"ck_{SCHEDULES}_one_rhythm"
ONE_RHYTHM = (
    "CASE WHEN every_minutes IS NULL THEN minute_of_day BETWEEN 0 AND 1439 AND coalesce(weekday BETWEEN 0 AND 6, true)"
    " ELSE every_minutes > 0 AND minute_of_day IS NULL AND weekday IS NULL END IS TRUE"
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.alter_column(SCHEDULES, "every_minutes", nullable=True)
    op.alter_column(SCHEDULES, "name", server_default=None)
    op.add_column(SCHEDULES, sa.Column("minute_of_day", sa.Integer(), nullable=True))
    op.add_column(SCHEDULES, sa.Column("weekday", sa.Integer(), nullable=True))
    op.add_column(SCHEDULES, sa.Column("last_note", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column(SCHEDULES, sa.Column("created_by", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.create_check_constraint(op.f(FORM), SCHEDULES, ONE_RHYTHM)
    op.create_index(NAMES, SCHEDULES, ["workspace_id", sa.text("lower(name)")], unique=True)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index(NAMES, table_name=SCHEDULES)
    op.drop_constraint(op.f(FORM), SCHEDULES)
    for column in ("created_by", "last_note", "weekday", "minute_of_day"):
        op.drop_column(SCHEDULES, column)
    # What goes by the clock has no form there.
    op.execute(f"ALTER TABLE {SCHEDULES} NO FORCE ROW LEVEL SECURITY")
    op.execute(f"DELETE FROM {SCHEDULES} WHERE every_minutes IS NULL")
    op.execute(f"ALTER TABLE {SCHEDULES} FORCE ROW LEVEL SECURITY")
    op.alter_column(SCHEDULES, "name", server_default=sa.text("''"))
    op.alter_column(SCHEDULES, "every_minutes", nullable=False)
