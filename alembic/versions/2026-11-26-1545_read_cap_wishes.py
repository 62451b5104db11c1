"""How fast each workspace wants an account to be read: the least of them stands in its bucket, so none lifts what another set.

Revision ID: a17e90c3d5b2
Revises: 5e0b92d7a4c1
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "a17e90c3d5b2"
down_revision = "5e0b92d7a4c1"
branch_labels = None
depends_on = None

USES, CONNECTIONS, BUCKETS, AUDIT = (
    "payment_account_uses",
    "payment_connections",
    "payment_sync_rate_buckets",
    "audit_log",
)
WATCHED = "disconnected_at, account_id, livemode, is_sandbox"

# Its own statement after the lock, so that it sees what whoever held the lock before has committed.
LEAST = f"""
CREATE FUNCTION keep_least_read_cap(account text, live boolean) RETURNS void
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE bucket text := account || CASE WHEN live THEN ':live:global' ELSE ':test:global' END; BEGIN
  INSERT INTO public.{BUCKETS} (name, next_at) VALUES (bucket, pg_catalog.clock_timestamp()) ON CONFLICT DO NOTHING;
  PERFORM FROM public.{BUCKETS} WHERE name = bucket FOR UPDATE;
  UPDATE public.{BUCKETS} SET cap = (SELECT min(u.read_cap) FROM public.{USES} u
    WHERE u.account_id = account AND u.livemode = live) WHERE name = bucket;
END $$;
REVOKE EXECUTE ON FUNCTION keep_least_read_cap(text, boolean) FROM PUBLIC;
"""
NOTE = f"""
CREATE OR REPLACE FUNCTION note_account_use() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$ BEGIN
  IF TG_OP <> 'INSERT' THEN
    DELETE FROM public.{USES} WHERE workspace_id = OLD.workspace_id AND connection_id = OLD.id;
  END IF;
  IF TG_OP <> 'DELETE' AND NEW.disconnected_at IS NULL THEN
    INSERT INTO public.{USES} (workspace_id, connection_id, account_id, livemode, is_sandbox, read_cap)
      VALUES (NEW.workspace_id, NEW.id, NEW.account_id, NEW.livemode, NEW.is_sandbox, NEW.read_cap);
  END IF;
  IF TG_OP <> 'INSERT' AND OLD.read_cap IS NOT NULL THEN
    PERFORM public.keep_least_read_cap(OLD.account_id, OLD.livemode);
  END IF;
  IF TG_OP <> 'DELETE' AND NEW.read_cap IS NOT NULL THEN
    PERFORM public.keep_least_read_cap(NEW.account_id, NEW.livemode);
  END IF;
  RETURN NULL;
END $$;
"""
NOTE_BEFORE = f"""
CREATE OR REPLACE FUNCTION note_account_use() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$ BEGIN
  IF TG_OP <> 'INSERT' THEN
    DELETE FROM public.{USES} WHERE workspace_id = OLD.workspace_id AND connection_id = OLD.id;
  END IF;
  IF TG_OP <> 'DELETE' AND NEW.disconnected_at IS NULL THEN
    INSERT INTO public.{USES} (workspace_id, connection_id, account_id, livemode, is_sandbox)
      VALUES (NEW.workspace_id, NEW.id, NEW.account_id, NEW.livemode, NEW.is_sandbox);
  END IF;
  RETURN NULL;
END $$;
"""
# What each workspace said last is in its audit log; until now only what was said last of all counted.
WISHES = f"""
UPDATE {CONNECTIONS} c SET read_cap = CASE WHEN (said.details ->> 'default')::boolean THEN NULL ELSE (said.details ->> 'after')::int END
  FROM (SELECT DISTINCT ON (workspace_id, target) workspace_id, target, details FROM {AUDIT}
    WHERE action = 'connection.read_cap_changed' ORDER BY workspace_id, target, occurred_at DESC, id DESC) said
  WHERE said.workspace_id = c.workspace_id AND said.target = c.id::text
"""


def watch(columns: str) -> None:
    op.execute(f"DROP TRIGGER note_account_use ON {CONNECTIONS}")
    op.execute(
        f"CREATE TRIGGER note_account_use AFTER INSERT OR DELETE OR UPDATE OF {columns}"
        f" ON {CONNECTIONS} FOR EACH ROW EXECUTE FUNCTION note_account_use()"
    )


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in (CONNECTIONS, USES):
        op.add_column(table, sa.Column("read_cap", sa.Integer(), nullable=True))
    op.create_check_constraint(op.f(f"ck_{CONNECTIONS}_read_cap_is_a_rate"), CONNECTIONS, "read_cap >= 1")
    op.execute(LEAST)
    op.execute(NOTE)
    watch(f"{WATCHED}, read_cap")
    # The tables' owner need not be a superuser, who sees past row-level security: it is lifted for the owner meanwhile.
    for table in (CONNECTIONS, AUDIT):
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.execute(WISHES)
    for table in (CONNECTIONS, AUDIT):
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    watch(WATCHED)
    op.execute(NOTE_BEFORE)
    op.execute("DROP FUNCTION keep_least_read_cap(text, boolean)")
    op.drop_constraint(op.f(f"ck_{CONNECTIONS}_read_cap_is_a_rate"), CONNECTIONS)
    for table in (USES, CONNECTIONS):
        op.drop_column(table, "read_cap")
