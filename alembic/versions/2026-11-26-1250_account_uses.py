"""Whether an account is connected in more than one workspace, as a yes or a no to those who hold a key of it.

No role reads the table: a trigger writes it, and a function answers of the caller's own connection only.

Revision ID: b81e4f6a0d27
Revises: 3d9f0a72c1e6
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "b81e4f6a0d27"
down_revision = "3d9f0a72c1e6"
branch_labels = None
depends_on = None

USES, CONNECTIONS = "payment_account_uses", "payment_connections"
APP = "cyphera_app"

FUNCTIONS = f"""
CREATE FUNCTION note_account_use() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$ BEGIN
  IF TG_OP <> 'INSERT' THEN
    DELETE FROM public.{USES} WHERE workspace_id = OLD.workspace_id AND connection_id = OLD.id;
  END IF;
  IF TG_OP <> 'DELETE' AND NEW.disconnected_at IS NULL THEN
    INSERT INTO public.{USES} (workspace_id, connection_id, account_id, livemode, is_sandbox)
      VALUES (NEW.workspace_id, NEW.id, NEW.account_id, NEW.livemode, NEW.is_sandbox);
  END IF;
  RETURN NULL;
END $$;
CREATE FUNCTION is_connected_elsewhere(connection uuid) RETURNS boolean
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT EXISTS (SELECT FROM public.{USES} mine JOIN public.{USES} other USING (account_id, livemode, is_sandbox)
    WHERE mine.workspace_id = nullif(pg_catalog.current_setting('app.workspace_id', true), '')::uuid
      AND mine.connection_id = connection AND other.workspace_id <> mine.workspace_id)
$$;
REVOKE EXECUTE ON FUNCTION note_account_use(), is_connected_elsewhere(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION is_connected_elsewhere(uuid) TO {APP};
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        USES,
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("connection_id", sa.UUID(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("is_sandbox", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "connection_id", name=op.f(f"pk_{USES}")),
    )
    op.create_index(f"ix_{USES}_account", USES, ["account_id", "livemode", "is_sandbox"])
    op.execute(FUNCTIONS)
    # The tables' owner need not be a superuser, who sees past row-level security: it is lifted for the owner meanwhile.
    op.execute(f"ALTER TABLE {CONNECTIONS} NO FORCE ROW LEVEL SECURITY")
    op.execute(
        f"INSERT INTO {USES} SELECT workspace_id, id, account_id, livemode, is_sandbox FROM {CONNECTIONS}"
        " WHERE disconnected_at IS NULL"
    )
    op.execute(f"ALTER TABLE {CONNECTIONS} FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE TRIGGER note_account_use AFTER INSERT OR DELETE OR UPDATE OF disconnected_at, account_id, livemode, is_sandbox"
        f" ON {CONNECTIONS} FOR EACH ROW EXECUTE FUNCTION note_account_use()"
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(f"DROP TRIGGER note_account_use ON {CONNECTIONS}")
    op.execute("DROP FUNCTION note_account_use(), is_connected_elsewhere(uuid)")
    op.drop_table(USES)
