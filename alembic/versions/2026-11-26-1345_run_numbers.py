"""Each run has a number in its workspace, which people can say: the plan of dry run 12 is plan 12.

Counted by a trigger: whoever queues a run, from wherever, gets the next one, and two at once get two.

Revision ID: c4a7d1e80b53
Revises: 3a8d15c7f0e6
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "c4a7d1e80b53"
down_revision = "3a8d15c7f0e6"
branch_labels = None
depends_on = None

RUNS = "payment_sync_sessions"
UNIQUE = f"uq_{RUNS}_number"

NUMBERING = f"""
CREATE FUNCTION number_run() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('run numbers ' || NEW.workspace_id, 0));
  NEW.number = (SELECT coalesce(max(number), 0) + 1 FROM {RUNS} WHERE workspace_id = NEW.workspace_id);
  RETURN NEW;
END $$;
CREATE TRIGGER number_run BEFORE INSERT ON {RUNS} FOR EACH ROW EXECUTE FUNCTION number_run()
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column(RUNS, sa.Column("number", sa.Integer(), nullable=True))
    # Its owner is held to row-level security like everybody, and no workspace is chosen here.
    op.execute(f"ALTER TABLE {RUNS} NO FORCE ROW LEVEL SECURITY")
    op.execute(
        f"UPDATE {RUNS} r SET number = n.number FROM (SELECT workspace_id, id, row_number() OVER"
        f" (PARTITION BY workspace_id ORDER BY created_at, id) AS number FROM {RUNS}) n"
        " WHERE r.workspace_id = n.workspace_id AND r.id = n.id"
    )
    op.execute(f"ALTER TABLE {RUNS} FORCE ROW LEVEL SECURITY")
    op.alter_column(RUNS, "number", nullable=False)
    op.create_unique_constraint(UNIQUE, RUNS, ["workspace_id", "number"])
    op.execute(NUMBERING)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(f"DROP TRIGGER number_run ON {RUNS}")
    op.execute("DROP FUNCTION number_run()")
    op.drop_column(RUNS, "number")
