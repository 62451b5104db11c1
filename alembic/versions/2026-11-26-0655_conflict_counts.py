"""Conflicts are counted as they are written: each statement adds what it changed, by cell and day, and readers sum it up.

Revision ID: d94e6b1f7a28
Revises: b1d7e0935c4f
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "d94e6b1f7a28"
down_revision = "b1d7e0935c4f"
branch_labels = None
depends_on = None

APP, DRY_RUN = "cyphera_app", "cyphera_dryrun"
HERE = "(SELECT nullif(current_setting('app.workspace_id', true), '')::uuid)"
CONFLICTS, COUNTS = "payment_sync_conflicts", "payment_sync_conflict_counts"
CELLS = f"ix_{CONFLICTS}_cells"

# What is counted by: another dimension belongs into `conflict_cell`, after which `recount_conflicts` counts all anew.
BY = "workspace_id, status, cell, opened_on"
BEFORE, AFTER = f"SELECT {BY}, -1 AS step FROM before", f"SELECT {BY}, 1 AS step FROM after"
WRITES = {
    "insert": ("REFERENCING NEW TABLE AS after", AFTER),
    "update": ("REFERENCING OLD TABLE AS before NEW TABLE AS after", f"{AFTER} UNION ALL {BEFORE}"),
    # With a workspace go its counts, too.
    "delete": (
        "REFERENCING OLD TABLE AS before",
        f"{BEFORE} WHERE EXISTS (SELECT FROM public.workspaces w WHERE w.id = before.workspace_id)",
    ),
}
COUNTED = """
CREATE FUNCTION count_conflicts_{event}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO public.{counts} ({by}, count)
  SELECT {by}, sum(step) FROM ({steps}) changed GROUP BY {by} HAVING sum(step) <> 0;
  RETURN NULL;
END $$
"""
# The tables' owner need not be a superuser, who sees past row-level security: it is lifted for the owner meanwhile.
RECOUNT = f"""
CREATE FUNCTION recount_conflicts() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  ALTER TABLE public.{CONFLICTS} NO FORCE ROW LEVEL SECURITY;
  ALTER TABLE public.{COUNTS} NO FORCE ROW LEVEL SECURITY;
  DELETE FROM public.{COUNTS};
  INSERT INTO public.{COUNTS} ({BY}, count) SELECT {BY}, count(*) FROM public.{CONFLICTS} GROUP BY {BY};
  ALTER TABLE public.{CONFLICTS} FORCE ROW LEVEL SECURITY;
  ALTER TABLE public.{COUNTS} FORCE ROW LEVEL SECURITY;
END $$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        COUNTS,
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("id", sa.UUID(), server_default=sa.text("new_id()"), nullable=False),
        sa.Column("cell", sa.Text(collation="C"), nullable=False),
        sa.Column("opened_on", sa.Date(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f(f"fk_{COUNTS}_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "status", "id", name=op.f(f"pk_{COUNTS}")),
    )
    mine = f"workspace_id = {HERE}"
    op.execute(f"ALTER TABLE {COUNTS} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {COUNTS} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON {COUNTS} FOR ALL TO {APP}, {DRY_RUN} USING ({mine}) WITH CHECK ({mine})")
    # To lock rows for folding them takes the right to update them.
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {COUNTS} TO {APP}")
    op.execute(f"GRANT SELECT ON {COUNTS} TO {DRY_RUN}")
    for event, (seen, steps) in WRITES.items():
        op.execute(COUNTED.format(event=event, counts=COUNTS, by=BY, steps=steps))
        op.execute(
            f"CREATE TRIGGER count_{event} AFTER {event} ON {CONFLICTS} {seen}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION count_conflicts_{event}()"
        )
    op.execute(RECOUNT)
    op.execute("REVOKE EXECUTE ON FUNCTION recount_conflicts() FROM PUBLIC")
    op.execute("SELECT recount_conflicts()")
    op.drop_index(CELLS, table_name=CONFLICTS)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_index(CELLS, CONFLICTS, ["workspace_id", "status", "cell", "opened_on"])
    op.execute("DROP FUNCTION recount_conflicts()")
    for event in WRITES:
        op.execute(f"DROP TRIGGER count_{event} ON {CONFLICTS}")
        op.execute(f"DROP FUNCTION count_conflicts_{event}()")
    op.drop_table(COUNTS)
