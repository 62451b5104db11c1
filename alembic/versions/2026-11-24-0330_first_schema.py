"""First schema: the plan's tables, tenancy by row-level security, and the three roles that sessions take.

Revision ID: 8fc5144c57b1
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "8fc5144c57b1"
down_revision = None
branch_labels = None
depends_on = None


APP, DRY_RUN, SYSTEM = "cyphera_app", "cyphera_dryrun", "cyphera_system"

RECORDS = ("customers", "products", "prices", "subscriptions", "invoices")
LINKED = ("wallets", "products_tokens", "delegation_data", "customer_wallets", "subscription_items")
RUNS = (
    "payment_sync_sessions",
    "payment_sync_entity_runs",
    "payment_sync_windows",
    "payment_sync_staged_objects",
    "payment_sync_plan_items",
    "payment_sync_events",
)
REVIEW = (
    "payment_connections",
    "payment_sync_conflicts",
    "payment_sync_conflict_decisions",
    "payment_sync_schedules",
    "payment_webhook_inbox",
)
PEOPLE = ("memberships", "api_keys", "audit_log")
SHARED = ("payment_sync_leases", "payment_sync_rate_buckets", "payment_sync_read_meter")
SIGN_IN = ("users", "user_sessions", "setup_tokens", "sign_in_attempts")
TIMED = (
    "workspaces",
    "wallets",
    "payment_connections",
    "payment_sync_sessions",
    "payment_sync_entity_runs",
    "payment_sync_windows",
    "payment_sync_conflicts",
    "payment_sync_schedules",
)

# Digits after the point as Stripe's API counts them; docs.stripe.com/currencies.
CURRENCIES = {
    0: "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF UYI VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BYR BZD CAD CDF CHE "
    "CHF CHW CNY COP COU CRC CUC CUP CVE CZK DKK DOP DZD EEK EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD "
    "HNL HRK HTG HUF IDR ILS INR IRR ISK JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL LTL LVL MAD MDL MKD MMK MNT "
    "MOP MRO MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD "
    "SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STD STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH UGX USD USN UYU "
    "UZS VED VEF VES WST XCD XCG YER ZAR ZMK ZMW ZWG ZWL",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

FUNCTIONS = """
DO $$ BEGIN
  IF current_setting('server_version_num')::int >= 180000 THEN
    CREATE FUNCTION new_id() RETURNS uuid LANGUAGE sql VOLATILE AS 'SELECT uuidv7()';
  ELSE
    CREATE FUNCTION new_id() RETURNS uuid LANGUAGE sql VOLATILE AS 'SELECT gen_random_uuid()';
  END IF;
END $$;
"""

TRIGGERS = """
CREATE FUNCTION trigger_set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.updated_at := now();
  RETURN NEW;
END $$;
CREATE FUNCTION trigger_count_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.updated_at := now();
  NEW.row_version := OLD.row_version + 1;
  RETURN NEW;
END $$;
"""

# Roles belong to the cluster, so they may be there already, and a downgrade of one database leaves them to the others.
ROLES = "".join(
    f"""
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
    CREATE ROLE {role} NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
GRANT {role} TO CURRENT_USER;
"""
    for role in (APP, DRY_RUN, SYSTEM)
)

HERE = "(SELECT nullif(current_setting('app.workspace_id', true), '')::uuid)"
ME = "(SELECT nullif(current_setting('app.user_id', true), '')::uuid)"


def protect(table: str, mine: str, readers: str = f"{APP}, {DRY_RUN}") -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON {table} FOR ALL TO {readers} USING ({mine}) WITH CHECK ({mine})")


def set_tenancy() -> None:
    for table in (*RECORDS, *LINKED, *RUNS, *REVIEW, *PEOPLE):
        protect(table, f"workspace_id = {HERE}")
    protect("workspaces", f"id = {HERE}")
    op.execute(f"CREATE POLICY own ON memberships FOR SELECT TO {APP} USING (user_id = {ME})")
    op.execute(
        f"CREATE POLICY own ON workspaces FOR SELECT TO {APP}"
        f" USING (id IN (SELECT workspace_id FROM memberships WHERE user_id = {ME}))"
    )
    for table in ("workspaces", "wallets", "payment_sync_schedules", *PEOPLE):
        op.execute(f"CREATE POLICY system ON {table} FOR ALL TO {SYSTEM} USING (true) WITH CHECK (true)")


def grant() -> None:
    every = ", ".join((*RECORDS, *LINKED, *RUNS, *REVIEW, "memberships", "api_keys", *SHARED))
    runs = ", ".join((*RUNS, *SHARED))
    for statement in (
        f"GRANT USAGE ON SCHEMA public TO {APP}, {DRY_RUN}, {SYSTEM}",
        f"GRANT SELECT ON currencies TO {APP}, {DRY_RUN}, {SYSTEM}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {every} TO {APP}",
        f"GRANT SELECT, UPDATE ON workspaces TO {APP}",
        f"GRANT SELECT, INSERT ON audit_log TO {APP}",
        f"GRANT SELECT (id, email, name, disabled_at) ON users TO {APP}",
        f"GRANT SELECT ON workspaces, {', '.join((*RECORDS, *LINKED, *REVIEW))} TO {DRY_RUN}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {runs} TO {DRY_RUN}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON workspaces, wallets, {', '.join((*SIGN_IN, *PEOPLE, *SHARED))} TO {SYSTEM}",
        f"GRANT SELECT, UPDATE ON payment_sync_schedules TO {SYSTEM}",
    ):
        op.execute(statement)


def set_triggers() -> None:
    op.execute(TRIGGERS)
    for table in RECORDS:
        op.execute(
            f"CREATE TRIGGER count_{table}_version BEFORE UPDATE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION trigger_count_version()"
        )
    for table in TIMED:
        op.execute(
            f"CREATE TRIGGER set_{table}_updated_at BEFORE UPDATE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION trigger_set_updated_at()"
        )


def set_statistics() -> None:
    """Keep the planner from believing that a workspace or a session it has not seen has no rows.

    With statistics it takes such a key for all but empty and any index with it for good: a second workspace's first sync, or the check
    at its end, then walks over whole tables (20,000 objects: 25 s instead of 0.1 s). Without, it reckons with a two-hundredth. For the
    same reason the bulk tables' keys begin with the session (an id of one workspace only): two such guesses multiplied are nothing again.
    """
    for table in (
        *RECORDS,
        "payment_sync_staged_objects",
        "payment_sync_plan_items",
        "payment_sync_events",
        "payment_sync_conflicts",
    ):
        op.execute(f"ALTER TABLE {table} ALTER COLUMN workspace_id SET STATISTICS 0")
    for table in (
        "payment_sync_staged_objects",
        "payment_sync_plan_items",
        "payment_sync_events",
        "payment_sync_conflicts",
    ):
        op.execute(f"ALTER TABLE {table} ALTER COLUMN session_id SET STATISTICS 0")


def fill_currencies() -> None:
    rows = ", ".join(f"('{code}', {exponent})" for exponent, codes in CURRENCIES.items() for code in codes.split())
    op.execute(f"INSERT INTO currencies (code, exponent) VALUES {rows}")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(FUNCTIONS)
    create_tables()
    op.create_foreign_key(
        "fk_workspaces_settlement_wallet",
        "workspaces",
        "wallets",
        ["id", "settlement_wallet_id"],
        ["workspace_id", "id"],
    )
    fill_currencies()
    set_triggers()
    set_statistics()
    op.execute(ROLES)
    set_tenancy()
    grant()


def create_tables() -> None:

    op.create_table(
        "currencies",
        sa.Column("code", sa.String(length=3), nullable=False),
        sa.Column("exponent", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_currencies")),
    )
    op.create_table(
        "payment_sync_leases",
        sa.Column("session_id", sa.UUID(), nullable=False),
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("not_before", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_payment_sync_leases")),
    )
    op.create_index("uq_payment_sync_leases_workspace", "payment_sync_leases", ["workspace_id"], unique=True)
    op.create_table(
        "payment_sync_rate_buckets",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_payment_sync_rate_buckets")),
    )
    op.create_table(
        "payment_sync_read_meter",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("month", sa.Text(), nullable=False),
        sa.Column("reads", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "month", name=op.f("pk_payment_sync_read_meter")),
    )
    op.create_table(
        "setup_tokens",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_setup_tokens")),
    )
    op.create_table(
        "sign_in_attempts",
        sa.Column("id", sa.UUID(), server_default=sa.text("new_id()"), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_in_attempts")),
    )
    op.create_index("ix_sign_in_attempts_key_occurred_at", "sign_in_attempts", ["key", "occurred_at"], unique=False)
    op.create_table(
        "users",
        sa.Column("id", sa.UUID(), server_default=sa.text("new_id()"), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
    )
    op.create_index("uq_users_email", "users", [sa.literal_column("lower(email)")], unique=True)
    op.create_table(
        "workspaces",
        sa.Column("id", sa.UUID(), server_default=sa.text("new_id()"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.Text(), server_default=sa.text("'UTC'"), nullable=False),
        sa.Column("settlement_wallet_id", sa.UUID(), nullable=True),
        sa.Column("match_by_email", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("rate_cap_share", sa.Float(), nullable=True),
        sa.Column(
            "settings",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workspaces")),
    )
    op.create_table(
        "api_keys",
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.UUID(), server_default=sa.text("new_id()"), nullable=False),
        sa.Column("name", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.Text(), nullable=False),
        sa.Column("created_by", sa.UUID(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_api_keys_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_keys_key_hash")),
    )
    op.create_table(
        "audit_log",
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.UUID(), server_default=sa.text("new_id()"), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column(
            "details",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("occurred_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_audit_log_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_audit_log")),
    )
    op.create_index("ix_audit_log_occurred_at", "audit_log", ["workspace_id", "occurred_at"], unique=False)
    op.create_table(
        "customers",
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("new_id()"), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("provider_created_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "metadata",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("payment_provider", sa.String(length=50), nullable=True),
        sa.Column("payment_account", sa.Text(), nullable=True),
        sa.Column("payment_livemode", sa.Boolean(), nullable=True),
        sa.Column(
            "payment_sync_status",
            sa.Enum("pending", "synced", "local_edit", "conflict", name="syncstatus", native_enum=False, length=32),
            server_default=sa.text("'pending'"),
            nullable=False,
        ),
        sa.Column("payment_sync_version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("payment_synced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("payment_observed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("payment_base", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("payment_raw", postgresql.JSON(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("row_version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "payment_sync_status IN ('pending', 'synced', 'local_edit', 'conflict')",
            name=op.f("ck_customers_payment_sync_status_known"),
        ),
        sa.CheckConstraint(
            "external_id IS NULL OR (payment_provider IS NOT NULL AND payment_account IS NOT NULL AND payment_livemode IS NOT NULL)",
            name=op.f("ck_customers_linked"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_customers_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_customers")),
        sa.UniqueConstraint(
            "workspace_id",
            "payment_provider",
            "payment_account",
            "payment_livemode",
            "external_id",
            name="uq_customers_external",
        ),
    )
    op.create_index("idx_customers_created", "customers", ["workspace_id", "created_at", "id"], unique=False)
    op.create_index(
        "idx_customers_payment_provider",
        "customers",
        ["workspace_id", "payment_provider"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "idx_customers_payment_sync_status",
        "customers",
        ["workspace_id", "payment_sync_status"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL AND payment_sync_status <> 'synced'"),
    )
    op.create_index(
        "ix_customers_email", "customers", ["workspace_id", sa.literal_column("lower(email)"), "id"], unique=False
    )
    op.create_index(
        "ix_customers_email_unlinked",
        "customers",
        ["workspace_id", sa.literal_column("lower(email)")],
        unique=False,
        postgresql_where=sa.text("external_id IS NULL AND deleted_at IS NULL"),
    )
    op.create_index(
        "ix_customers_name", "customers", ["workspace_id", sa.literal_column("lower(name)"), "id"], unique=False
    )
    op.create_table(
        "delegation_data",
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.UUID(), server_default=sa.text("new_id()"), nullable=False),
        sa.Column("delegate", sa.Text(), nullable=False),
        sa.Column("delegator", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_delegation_data_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_delegation_data")),
    )
    op.create_table(
        "memberships",
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column(
            "role",
            sa.Enum("owner", "admin", "operator", "viewer", name="role", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_memberships_user_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_memberships_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "user_id", name=op.f("pk_memberships")),
    )
    op.create_index("ix_memberships_user_id", "memberships", ["user_id"], unique=False)
    op.create_table(
        "payment_connections",
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.UUID(), server_default=sa.text("new_id()"), nullable=False),
        sa.Column("provider_name", sa.Text(), server_default=sa.text("'stripe'"), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("account_name", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("default_currency", sa.Text(), nullable=True),
        sa.Column("account_created", sa.BigInteger(), nullable=True),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("is_sandbox", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("key_kind", sa.Text(), nullable=False),
        sa.Column("key_last4", sa.Text(), nullable=False),
        sa.Column("key_fingerprint", sa.Text(), nullable=False),
        sa.Column("key_ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("webhook_ciphertext", sa.LargeBinary(), nullable=True),
        sa.Column(
            "checks",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("disconnected_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_payment_connections_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_payment_connections")),
    )
    op.create_index(
        "uq_payment_connections_active",
        "payment_connections",
        ["workspace_id", "provider_name"],
        unique=True,
        postgresql_where=sa.text("disconnected_at IS NULL"),
    )
    op.create_table(
        "payment_sync_schedules",
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.UUID(), server_default=sa.text("new_id()"), nullable=False),
        sa.Column("name", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("every_minutes", sa.Integer(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column(
            "config",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_session_id", sa.UUID(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_payment_sync_schedules_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_payment_sync_schedules")),
    )
    op.create_index("ix_payment_sync_schedules_due", "payment_sync_schedules", ["next_at"], unique=False)
    op.create_table(
        "payment_webhook_inbox",
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.Column("payload", postgresql.JSON(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("processed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_payment_webhook_inbox_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "event_id", name=op.f("pk_payment_webhook_inbox")),
    )
    op.create_index(
        "ix_payment_webhook_inbox_due",
        "payment_webhook_inbox",
        ["workspace_id", "received_at"],
        unique=False,
        postgresql_where=sa.text("processed_at IS NULL"),
    )
    op.create_table(
        "user_sessions",
        sa.Column("id", sa.UUID(), server_default=sa.text("new_id()"), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.UUID(), nullable=True),
        sa.Column("user_agent", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_user_sessions_user_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_user_sessions_workspace_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_sessions")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_user_sessions_token_hash")),
    )
    op.create_index("ix_user_sessions_user_id", "user_sessions", ["user_id"], unique=False)
    op.create_table(
        "wallets",
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.UUID(), server_default=sa.text("new_id()"), nullable=False),
        sa.Column("nickname", sa.Text(), nullable=True),
        sa.Column("network_type", sa.Text(), server_default=sa.text("'evm'"), nullable=False),
        sa.Column("wallet_address", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_wallets_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_wallets")),
    )
    op.create_table(
        "customer_wallets",
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.UUID(), server_default=sa.text("new_id()"), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("wallet_address", sa.Text(), nullable=False),
        sa.Column("network_type", sa.Text(), server_default=sa.text("'evm'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "customer_id"],
            ["customers.workspace_id", "customers.id"],
            name=op.f("fk_customer_wallets_workspace_id_customer_id"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_customer_wallets_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_customer_wallets")),
    )
    op.create_table(
        "payment_sync_sessions",
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.UUID(), server_default=sa.text("new_id()"), nullable=False),
        sa.Column("provider_name", sa.Text(), server_default=sa.text("'stripe'"), nullable=False),
        sa.Column(
            "session_type",
            sa.Enum("initial_sync", "partial_sync", "delta_sync", name="sessiontype", native_enum=False, length=32),
            server_default=sa.text("'initial_sync'"),
            nullable=False,
        ),
        sa.Column(
            "status",
            sa.Enum(
                "pending",
                "running",
                "completed",
                "partial",
                "failed",
                "cancelled",
                name="sessionstatus",
                native_enum=False,
                length=32,
            ),
            server_default=sa.text("'pending'"),
            nullable=False,
        ),
        sa.Column(
            "phase",
            sa.Enum(
                "preflight", "fetch", "plan", "apply", "verify", "done", name="phase", native_enum=False, length=32
            ),
            server_default=sa.text("'preflight'"),
            nullable=False,
        ),
        sa.Column("entity_types", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column(
            "config",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "progress",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "stats",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("error_summary", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("dry_run", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("connection_id", sa.UUID(), nullable=True),
        sa.Column("source_session_id", sa.UUID(), nullable=True),
        sa.Column("range_start", sa.BigInteger(), nullable=True),
        sa.Column("ceiling", sa.BigInteger(), nullable=True),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "phase IN ('preflight', 'fetch', 'plan', 'apply', 'verify', 'done')",
            name=op.f("ck_payment_sync_sessions_phase_known"),
        ),
        sa.CheckConstraint(
            "session_type IN ('initial_sync', 'partial_sync', 'delta_sync')",
            name=op.f("ck_payment_sync_sessions_session_type_known"),
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'running', 'completed', 'partial', 'failed', 'cancelled')",
            name=op.f("ck_payment_sync_sessions_status_known"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "connection_id"],
            ["payment_connections.workspace_id", "payment_connections.id"],
            name=op.f("fk_payment_sync_sessions_workspace_id_connection_id"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_payment_sync_sessions_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_payment_sync_sessions")),
    )
    op.create_index(
        "idx_payment_sync_sessions_provider", "payment_sync_sessions", ["workspace_id", "provider_name"], unique=False
    )
    op.create_index(
        "idx_payment_sync_sessions_status",
        "payment_sync_sessions",
        ["workspace_id", "status"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "idx_payment_sync_sessions_workspace_id",
        "payment_sync_sessions",
        ["workspace_id", sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "products",
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("new_id()"), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("provider_created_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "metadata",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("payment_provider", sa.String(length=50), nullable=True),
        sa.Column("payment_account", sa.Text(), nullable=True),
        sa.Column("payment_livemode", sa.Boolean(), nullable=True),
        sa.Column(
            "payment_sync_status",
            sa.Enum("pending", "synced", "local_edit", "conflict", name="syncstatus", native_enum=False, length=32),
            server_default=sa.text("'pending'"),
            nullable=False,
        ),
        sa.Column("payment_sync_version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("payment_synced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("payment_observed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("payment_base", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("payment_raw", postgresql.JSON(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("row_version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("wallet_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("image_url", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.CheckConstraint(
            "payment_sync_status IN ('pending', 'synced', 'local_edit', 'conflict')",
            name=op.f("ck_products_payment_sync_status_known"),
        ),
        sa.CheckConstraint(
            "external_id IS NULL OR (payment_provider IS NOT NULL AND payment_account IS NOT NULL AND payment_livemode IS NOT NULL)",
            name=op.f("ck_products_linked"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "wallet_id"],
            ["wallets.workspace_id", "wallets.id"],
            name=op.f("fk_products_workspace_id_wallet_id"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_products_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_products")),
        sa.UniqueConstraint(
            "workspace_id",
            "payment_provider",
            "payment_account",
            "payment_livemode",
            "external_id",
            name="uq_products_external",
        ),
    )
    op.create_index("idx_products_created", "products", ["workspace_id", "created_at", "id"], unique=False)
    op.create_index(
        "idx_products_payment_provider",
        "products",
        ["workspace_id", "payment_provider"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "idx_products_payment_sync_status",
        "products",
        ["workspace_id", "payment_sync_status"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL AND payment_sync_status <> 'synced'"),
    )
    op.create_index(
        "ix_products_name", "products", ["workspace_id", sa.literal_column("lower(name)"), "id"], unique=False
    )
    op.create_table(
        "payment_sync_conflicts",
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.UUID(), server_default=sa.text("new_id()"), nullable=False),
        sa.Column("session_id", sa.UUID(), nullable=False),
        sa.Column(
            "entity_type",
            sa.Enum(
                "customers",
                "products",
                "prices",
                "subscriptions",
                "invoices",
                name="entitytype",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("record_id", sa.UUID(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column(
            "reason_code",
            sa.Enum(
                "missing_parent",
                "unsupported_shape",
                "currency_unknown",
                "value_invalid",
                "duplicate_record",
                "fetch_failed",
                "write_failed",
                "strategy_skip",
                "local_edit_kept",
                "both_changed",
                "no_base",
                "email_match",
                "deleted_here",
                "deleted_in_stripe",
                "stale",
                "drifted",
                "not_for_sync",
                name="reasoncode",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("fields", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("local", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("base", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("theirs", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("theirs_deleted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("record_version", sa.BigInteger(), nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "status",
            sa.Enum("open", "resolved", name="conflictstatus", native_enum=False, length=32),
            server_default=sa.text("'open'"),
            nullable=False,
        ),
        sa.Column(
            "choices",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("revision", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("resolved_by", sa.Text(), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "entity_type IN ('customers', 'products', 'prices', 'subscriptions', 'invoices')",
            name=op.f("ck_payment_sync_conflicts_entity_type_known"),
        ),
        sa.CheckConstraint("status IN ('open', 'resolved')", name=op.f("ck_payment_sync_conflicts_status_known")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "session_id"],
            ["payment_sync_sessions.workspace_id", "payment_sync_sessions.id"],
            name=op.f("fk_payment_sync_conflicts_workspace_id_session_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_payment_sync_conflicts_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_payment_sync_conflicts")),
    )
    op.create_index(
        "ix_payment_sync_conflicts_fields",
        "payment_sync_conflicts",
        ["fields"],
        unique=False,
        postgresql_using="gin",
        postgresql_where=sa.text("status = 'open'"),
    )
    op.create_index(
        "ix_payment_sync_conflicts_list",
        "payment_sync_conflicts",
        ["workspace_id", "status", "entity_type", sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_payment_sync_conflicts_recent",
        "payment_sync_conflicts",
        ["workspace_id", "status", sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "uq_payment_sync_conflicts_open",
        "payment_sync_conflicts",
        ["workspace_id", "entity_type", "record_id", "external_id"],
        unique=True,
        postgresql_where=sa.text("status = 'open'"),
    )
    op.create_table(
        "payment_sync_entity_runs",
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("session_id", sa.UUID(), nullable=False),
        sa.Column(
            "entity_type",
            sa.Enum(
                "customers",
                "products",
                "prices",
                "subscriptions",
                "invoices",
                name="entitytype",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "phase",
            sa.Enum(
                "preflight", "fetch", "plan", "apply", "verify", "done", name="phase", native_enum=False, length=32
            ),
            server_default=sa.text("'preflight'"),
            nullable=False,
        ),
        sa.Column("requested", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("estimated", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("fetched", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("landed_seq", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("planned_seq", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("updated", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("unchanged", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("skipped", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("conflicts", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("failed", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("requests", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_cursor", sa.Text(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("last_page_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("verified", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "entity_type IN ('customers', 'products', 'prices', 'subscriptions', 'invoices')",
            name=op.f("ck_payment_sync_entity_runs_entity_type_known"),
        ),
        sa.CheckConstraint(
            "phase IN ('preflight', 'fetch', 'plan', 'apply', 'verify', 'done')",
            name=op.f("ck_payment_sync_entity_runs_phase_known"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "session_id"],
            ["payment_sync_sessions.workspace_id", "payment_sync_sessions.id"],
            name=op.f("fk_payment_sync_entity_runs_workspace_id_session_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name=op.f("fk_payment_sync_entity_runs_workspace_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "session_id", "entity_type", name=op.f("pk_payment_sync_entity_runs")),
    )
    op.create_table(
        "payment_sync_events",
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.UUID(), server_default=sa.text("new_id()"), nullable=False),
        sa.Column("session_id", sa.UUID(), nullable=False),
        sa.Column("provider_name", sa.Text(), server_default=sa.text("'stripe'"), nullable=False),
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.UUID(), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column(
            "event_type",
            sa.Enum(
                "sync_started",
                "sync_completed",
                "sync_failed",
                "sync_skipped",
                "sync_conflict",
                name="eventtype",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("event_message", sa.Text(), nullable=True),
        sa.Column("event_details", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "event_type IN ('sync_started', 'sync_completed', 'sync_failed', 'sync_skipped', 'sync_conflict')",
            name=op.f("ck_payment_sync_events_event_type_known"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "session_id"],
            ["payment_sync_sessions.workspace_id", "payment_sync_sessions.id"],
            name=op.f("fk_payment_sync_events_workspace_id_session_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_payment_sync_events_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_payment_sync_events")),
    )
    op.create_index(
        "idx_payment_sync_events_entity_type",
        "payment_sync_events",
        ["workspace_id", "session_id", "entity_type", "event_type"],
        unique=False,
    )
    op.create_index(
        "idx_payment_sync_events_external_id", "payment_sync_events", ["workspace_id", "external_id"], unique=False
    )
    op.create_index(
        "idx_payment_sync_events_provider", "payment_sync_events", ["workspace_id", "provider_name"], unique=False
    )
    op.create_index(
        "idx_payment_sync_events_session_id",
        "payment_sync_events",
        ["workspace_id", "session_id", sa.literal_column("occurred_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "payment_sync_plan_items",
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("session_id", sa.UUID(), nullable=False),
        sa.Column(
            "entity_type",
            sa.Enum(
                "customers",
                "products",
                "prices",
                "subscriptions",
                "invoices",
                name="entitytype",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column(
            "action",
            sa.Enum(
                "create",
                "update",
                "unchanged",
                "skip",
                "conflict",
                "error",
                name="action",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "reason_code",
            sa.Enum(
                "missing_parent",
                "unsupported_shape",
                "currency_unknown",
                "value_invalid",
                "duplicate_record",
                "fetch_failed",
                "write_failed",
                "strategy_skip",
                "local_edit_kept",
                "both_changed",
                "no_base",
                "email_match",
                "deleted_here",
                "deleted_in_stripe",
                "stale",
                "drifted",
                "not_for_sync",
                name="reasoncode",
                native_enum=False,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column("record_id", sa.UUID(), nullable=True),
        sa.Column("record_version", sa.BigInteger(), nullable=True),
        sa.Column("changed_fields", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("detail", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.PrimaryKeyConstraint("session_id", "entity_type", "external_id", name=op.f("pk_payment_sync_plan_items")),
    )
    op.create_index(
        "ix_payment_sync_plan_items_action",
        "payment_sync_plan_items",
        ["session_id", "entity_type", "action", "seq"],
        unique=False,
    )
    op.create_table(
        "payment_sync_staged_objects",
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("session_id", sa.UUID(), nullable=False),
        sa.Column(
            "entity_type",
            sa.Enum(
                "customers",
                "products",
                "prices",
                "subscriptions",
                "invoices",
                name="entitytype",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("provider_created", sa.BigInteger(), nullable=True),
        sa.Column("livemode", sa.Boolean(), nullable=True),
        sa.Column("deleted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("related", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("issue", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("values", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("raw", postgresql.JSON(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.PrimaryKeyConstraint(
            "session_id", "entity_type", "external_id", name=op.f("pk_payment_sync_staged_objects")
        ),
    )
    op.create_index(
        "ix_payment_sync_staged_objects_seq",
        "payment_sync_staged_objects",
        ["session_id", "entity_type", "seq"],
        unique=False,
    )
    op.create_table(
        "payment_sync_windows",
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.UUID(), server_default=sa.text("new_id()"), nullable=False),
        sa.Column("session_id", sa.UUID(), nullable=False),
        sa.Column(
            "entity_type",
            sa.Enum(
                "customers",
                "products",
                "prices",
                "subscriptions",
                "invoices",
                name="entitytype",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("gte", sa.BigInteger(), nullable=False),
        sa.Column("lt", sa.BigInteger(), nullable=False),
        sa.Column(
            "status",
            sa.Enum("open", "done", "split", name="windowstatus", native_enum=False, length=32),
            server_default=sa.text("'open'"),
            nullable=False,
        ),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("oldest_seen", sa.BigInteger(), nullable=True),
        sa.Column("pages", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("objects", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("parent_id", sa.UUID(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status IN ('open', 'done', 'split')", name=op.f("ck_payment_sync_windows_status_known")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "session_id"],
            ["payment_sync_sessions.workspace_id", "payment_sync_sessions.id"],
            name=op.f("fk_payment_sync_windows_workspace_id_session_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_payment_sync_windows_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_payment_sync_windows")),
    )
    op.create_index(
        "ix_payment_sync_windows_session",
        "payment_sync_windows",
        ["workspace_id", "session_id", "entity_type", "status"],
        unique=False,
    )
    op.create_table(
        "prices",
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("new_id()"), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("provider_created_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "metadata",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("payment_provider", sa.String(length=50), nullable=True),
        sa.Column("payment_account", sa.Text(), nullable=True),
        sa.Column("payment_livemode", sa.Boolean(), nullable=True),
        sa.Column(
            "payment_sync_status",
            sa.Enum("pending", "synced", "local_edit", "conflict", name="syncstatus", native_enum=False, length=32),
            server_default=sa.text("'pending'"),
            nullable=False,
        ),
        sa.Column("payment_sync_version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("payment_synced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("payment_observed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("payment_base", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("payment_raw", postgresql.JSON(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("row_version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("product_id", sa.UUID(), nullable=True),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("type", sa.Text(), nullable=True),
        sa.Column("nickname", sa.Text(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("unit_amount_in_pennies", sa.BigInteger(), nullable=True),
        sa.Column("unit_amount_decimal", sa.Numeric(), nullable=True),
        sa.Column("billing_scheme", sa.Text(), nullable=True),
        sa.Column("tiers_mode", sa.Text(), nullable=True),
        sa.Column("tiers", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("usage_type", sa.Text(), nullable=True),
        sa.Column("interval_type", sa.Text(), nullable=True),
        sa.Column("term_length", sa.Integer(), nullable=True),
        sa.Column("custom_unit_amount", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("transform_quantity", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("currency_options", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("tax_behavior", sa.Text(), nullable=True),
        sa.Column("lookup_key", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "deleted_at IS NOT NULL OR (type = 'recurring' AND interval_type IS NOT NULL AND term_length IS NOT NULL AND term_length > 0) OR (type = 'one_off' AND interval_type IS NULL AND term_length IS NULL)",
            name=op.f("ck_prices_recurring_fields"),
        ),
        sa.CheckConstraint(
            "deleted_at IS NOT NULL OR unit_amount_in_pennies IS NOT NULL OR unit_amount_decimal IS NOT NULL OR billing_scheme = 'tiered' OR custom_unit_amount IS NOT NULL",
            name=op.f("ck_prices_amount_known"),
        ),
        sa.CheckConstraint(
            "payment_sync_status IN ('pending', 'synced', 'local_edit', 'conflict')",
            name=op.f("ck_prices_payment_sync_status_known"),
        ),
        sa.CheckConstraint(
            "deleted_at IS NOT NULL OR (currency IS NOT NULL AND product_id IS NOT NULL)",
            name=op.f("ck_prices_living_complete"),
        ),
        sa.CheckConstraint(
            "external_id IS NULL OR (payment_provider IS NOT NULL AND payment_account IS NOT NULL AND payment_livemode IS NOT NULL)",
            name=op.f("ck_prices_linked"),
        ),
        sa.ForeignKeyConstraint(["currency"], ["currencies.code"], name=op.f("fk_prices_currency")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "product_id"],
            ["products.workspace_id", "products.id"],
            name=op.f("fk_prices_workspace_id_product_id"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_prices_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_prices")),
        sa.UniqueConstraint(
            "workspace_id",
            "payment_provider",
            "payment_account",
            "payment_livemode",
            "external_id",
            name="uq_prices_external",
        ),
    )
    op.create_index("idx_prices_created", "prices", ["workspace_id", "created_at", "id"], unique=False)
    op.create_index(
        "idx_prices_payment_provider",
        "prices",
        ["workspace_id", "payment_provider"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "idx_prices_payment_sync_status",
        "prices",
        ["workspace_id", "payment_sync_status"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL AND payment_sync_status <> 'synced'"),
    )
    op.create_index("ix_prices_product", "prices", ["workspace_id", "product_id"], unique=False)
    op.create_table(
        "products_tokens",
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.UUID(), server_default=sa.text("new_id()"), nullable=False),
        sa.Column("product_id", sa.UUID(), nullable=False),
        sa.Column("token_symbol", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "product_id"],
            ["products.workspace_id", "products.id"],
            name=op.f("fk_products_tokens_workspace_id_product_id"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_products_tokens_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_products_tokens")),
    )
    op.create_table(
        "payment_sync_conflict_decisions",
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.UUID(), server_default=sa.text("new_id()"), nullable=False),
        sa.Column("batch_id", sa.UUID(), nullable=False),
        sa.Column("conflict_id", sa.UUID(), nullable=False),
        sa.Column(
            "entity_type",
            sa.Enum(
                "customers",
                "products",
                "prices",
                "subscriptions",
                "invoices",
                name="entitytype",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("record_id", sa.UUID(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("choices", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("before", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("after", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("record_version_after", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("undone_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["workspace_id", "conflict_id"],
            ["payment_sync_conflicts.workspace_id", "payment_sync_conflicts.id"],
            name=op.f("fk_payment_sync_conflict_decisions_workspace_id_conflict_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name=op.f("fk_payment_sync_conflict_decisions_workspace_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_payment_sync_conflict_decisions")),
    )
    op.create_index(
        "ix_payment_sync_conflict_decisions_batch",
        "payment_sync_conflict_decisions",
        ["workspace_id", "batch_id"],
        unique=False,
    )
    op.create_index(
        "ix_payment_sync_conflict_decisions_conflict",
        "payment_sync_conflict_decisions",
        ["workspace_id", "conflict_id"],
        unique=False,
    )
    op.create_index(
        "ix_payment_sync_conflict_decisions_recent",
        "payment_sync_conflict_decisions",
        ["workspace_id", sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "subscriptions",
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("new_id()"), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("provider_created_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "metadata",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("payment_provider", sa.String(length=50), nullable=True),
        sa.Column("payment_account", sa.Text(), nullable=True),
        sa.Column("payment_livemode", sa.Boolean(), nullable=True),
        sa.Column(
            "payment_sync_status",
            sa.Enum("pending", "synced", "local_edit", "conflict", name="syncstatus", native_enum=False, length=32),
            server_default=sa.text("'pending'"),
            nullable=False,
        ),
        sa.Column("payment_sync_version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("payment_synced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("payment_observed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("payment_base", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("payment_raw", postgresql.JSON(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("row_version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("customer_id", sa.UUID(), nullable=True),
        sa.Column("product_id", sa.UUID(), nullable=True),
        sa.Column("price_id", sa.UUID(), nullable=True),
        sa.Column("product_token_id", sa.UUID(), nullable=True),
        sa.Column("token_amount", sa.Integer(), nullable=True),
        sa.Column("delegation_id", sa.UUID(), nullable=True),
        sa.Column("customer_wallet_id", sa.UUID(), nullable=True),
        sa.Column("status", sa.Text(), server_default=sa.text("'active'"), nullable=False),
        sa.Column("provider_status", sa.Text(), nullable=True),
        sa.Column("quantity", sa.BigInteger(), nullable=True),
        sa.Column("current_period_start", sa.DateTime(timezone=True), nullable=True),
        sa.Column("current_period_end", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_at_period_end", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("canceled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("trial_end", sa.DateTime(timezone=True), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("items", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("next_redemption_date", sa.DateTime(timezone=True), nullable=True),
        sa.Column("total_redemptions", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("total_amount_in_cents", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint(
            "payment_sync_status IN ('pending', 'synced', 'local_edit', 'conflict')",
            name=op.f("ck_subscriptions_payment_sync_status_known"),
        ),
        sa.CheckConstraint(
            "status IN ('active', 'trial', 'overdue', 'suspended', 'pending', 'expired', 'canceled')",
            name=op.f("ck_subscriptions_status_known"),
        ),
        sa.CheckConstraint(
            "external_id IS NULL OR (payment_provider IS NOT NULL AND payment_account IS NOT NULL AND payment_livemode IS NOT NULL)",
            name=op.f("ck_subscriptions_linked"),
        ),
        sa.CheckConstraint(
            "payment_provider IS NOT NULL OR (product_token_id IS NOT NULL AND token_amount IS NOT NULL AND delegation_id IS NOT NULL AND product_id IS NOT NULL AND price_id IS NOT NULL)",
            name=op.f("ck_subscriptions_own_or_imported"),
        ),
        sa.ForeignKeyConstraint(["currency"], ["currencies.code"], name=op.f("fk_subscriptions_currency")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "customer_id"],
            ["customers.workspace_id", "customers.id"],
            name=op.f("fk_subscriptions_workspace_id_customer_id"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "customer_wallet_id"],
            ["customer_wallets.workspace_id", "customer_wallets.id"],
            name=op.f("fk_subscriptions_workspace_id_customer_wallet_id"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "delegation_id"],
            ["delegation_data.workspace_id", "delegation_data.id"],
            name=op.f("fk_subscriptions_workspace_id_delegation_id"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "price_id"],
            ["prices.workspace_id", "prices.id"],
            name=op.f("fk_subscriptions_workspace_id_price_id"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "product_id"],
            ["products.workspace_id", "products.id"],
            name=op.f("fk_subscriptions_workspace_id_product_id"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "product_token_id"],
            ["products_tokens.workspace_id", "products_tokens.id"],
            name=op.f("fk_subscriptions_workspace_id_product_token_id"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_subscriptions_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_subscriptions")),
        sa.UniqueConstraint(
            "workspace_id",
            "payment_provider",
            "payment_account",
            "payment_livemode",
            "external_id",
            name="uq_subscriptions_external",
        ),
    )
    op.create_index("idx_subscriptions_created", "subscriptions", ["workspace_id", "created_at", "id"], unique=False)
    op.create_index(
        "idx_subscriptions_payment_provider",
        "subscriptions",
        ["workspace_id", "payment_provider"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "idx_subscriptions_payment_sync_status",
        "subscriptions",
        ["workspace_id", "payment_sync_status"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL AND payment_sync_status <> 'synced'"),
    )
    op.create_index("ix_subscriptions_customer", "subscriptions", ["workspace_id", "customer_id"], unique=False)
    op.create_table(
        "invoices",
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("new_id()"), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("provider_created_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "metadata",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("payment_provider", sa.String(length=50), nullable=True),
        sa.Column("payment_account", sa.Text(), nullable=True),
        sa.Column("payment_livemode", sa.Boolean(), nullable=True),
        sa.Column(
            "payment_sync_status",
            sa.Enum("pending", "synced", "local_edit", "conflict", name="syncstatus", native_enum=False, length=32),
            server_default=sa.text("'pending'"),
            nullable=False,
        ),
        sa.Column("payment_sync_version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("payment_synced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("payment_observed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("payment_base", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("payment_raw", postgresql.JSON(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("row_version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("customer_id", sa.UUID(), nullable=True),
        sa.Column("subscription_id", sa.UUID(), nullable=True),
        sa.Column("number", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("subtotal", sa.BigInteger(), nullable=True),
        sa.Column("tax", sa.BigInteger(), nullable=True),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("amount_due", sa.BigInteger(), nullable=True),
        sa.Column("amount_paid", sa.BigInteger(), nullable=True),
        sa.Column("amount_remaining", sa.BigInteger(), nullable=True),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=True),
        sa.Column("period_end", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_date", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("billing_reason", sa.Text(), nullable=True),
        sa.Column("collection_method", sa.Text(), nullable=True),
        sa.Column("hosted_invoice_url", sa.Text(), nullable=True),
        sa.Column("invoice_pdf", sa.Text(), nullable=True),
        sa.Column("lines", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint(
            "payment_sync_status IN ('pending', 'synced', 'local_edit', 'conflict')",
            name=op.f("ck_invoices_payment_sync_status_known"),
        ),
        sa.CheckConstraint(
            "external_id IS NULL OR (payment_provider IS NOT NULL AND payment_account IS NOT NULL AND payment_livemode IS NOT NULL)",
            name=op.f("ck_invoices_linked"),
        ),
        sa.ForeignKeyConstraint(["currency"], ["currencies.code"], name=op.f("fk_invoices_currency")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "customer_id"],
            ["customers.workspace_id", "customers.id"],
            name=op.f("fk_invoices_workspace_id_customer_id"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "subscription_id"],
            ["subscriptions.workspace_id", "subscriptions.id"],
            name=op.f("fk_invoices_workspace_id_subscription_id"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_invoices_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_invoices")),
        sa.UniqueConstraint(
            "workspace_id",
            "payment_provider",
            "payment_account",
            "payment_livemode",
            "external_id",
            name="uq_invoices_external",
        ),
    )
    op.create_index("idx_invoices_created", "invoices", ["workspace_id", "created_at", "id"], unique=False)
    op.create_index(
        "idx_invoices_payment_provider",
        "invoices",
        ["workspace_id", "payment_provider"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "idx_invoices_payment_sync_status",
        "invoices",
        ["workspace_id", "payment_sync_status"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL AND payment_sync_status <> 'synced'"),
    )
    op.create_index("ix_invoices_customer", "invoices", ["workspace_id", "customer_id"], unique=False)
    op.create_table(
        "subscription_items",
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("subscription_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("price_id", sa.UUID(), nullable=True),
        sa.Column("quantity", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["workspace_id", "price_id"],
            ["prices.workspace_id", "prices.id"],
            name=op.f("fk_subscription_items_workspace_id_price_id"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "subscription_id"],
            ["subscriptions.workspace_id", "subscriptions.id"],
            name=op.f("fk_subscription_items_workspace_id_subscription_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_subscription_items_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "subscription_id", "position", name=op.f("pk_subscription_items")),
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_constraint("fk_workspaces_settlement_wallet", "workspaces", type_="foreignkey")
    op.execute("DROP POLICY own ON workspaces")
    drop_tables()
    for function in ("new_id", "trigger_set_updated_at", "trigger_count_version"):
        op.execute(f"DROP FUNCTION {function}()")


def drop_tables() -> None:

    op.drop_table("subscription_items")
    op.drop_index("ix_invoices_customer", table_name="invoices")
    op.drop_index(
        "idx_invoices_payment_sync_status",
        table_name="invoices",
        postgresql_where=sa.text("deleted_at IS NULL AND payment_sync_status <> 'synced'"),
    )
    op.drop_index(
        "idx_invoices_payment_provider", table_name="invoices", postgresql_where=sa.text("deleted_at IS NULL")
    )
    op.drop_index("idx_invoices_created", table_name="invoices")
    op.drop_table("invoices")
    op.drop_index("ix_subscriptions_customer", table_name="subscriptions")
    op.drop_index(
        "idx_subscriptions_payment_sync_status",
        table_name="subscriptions",
        postgresql_where=sa.text("deleted_at IS NULL AND payment_sync_status <> 'synced'"),
    )
    op.drop_index(
        "idx_subscriptions_payment_provider", table_name="subscriptions", postgresql_where=sa.text("deleted_at IS NULL")
    )
    op.drop_index("idx_subscriptions_created", table_name="subscriptions")
    op.drop_table("subscriptions")
    op.drop_index("ix_payment_sync_conflict_decisions_recent", table_name="payment_sync_conflict_decisions")
    op.drop_index("ix_payment_sync_conflict_decisions_conflict", table_name="payment_sync_conflict_decisions")
    op.drop_index("ix_payment_sync_conflict_decisions_batch", table_name="payment_sync_conflict_decisions")
    op.drop_table("payment_sync_conflict_decisions")
    op.drop_table("products_tokens")
    op.drop_index("ix_prices_product", table_name="prices")
    op.drop_index(
        "idx_prices_payment_sync_status",
        table_name="prices",
        postgresql_where=sa.text("deleted_at IS NULL AND payment_sync_status <> 'synced'"),
    )
    op.drop_index("idx_prices_payment_provider", table_name="prices", postgresql_where=sa.text("deleted_at IS NULL"))
    op.drop_index("idx_prices_created", table_name="prices")
    op.drop_table("prices")
    op.drop_index("ix_payment_sync_windows_session", table_name="payment_sync_windows")
    op.drop_table("payment_sync_windows")
    op.drop_index("ix_payment_sync_staged_objects_seq", table_name="payment_sync_staged_objects")
    op.drop_table("payment_sync_staged_objects")
    op.drop_index("ix_payment_sync_plan_items_action", table_name="payment_sync_plan_items")
    op.drop_table("payment_sync_plan_items")
    op.drop_index("idx_payment_sync_events_session_id", table_name="payment_sync_events")
    op.drop_index("idx_payment_sync_events_provider", table_name="payment_sync_events")
    op.drop_index("idx_payment_sync_events_external_id", table_name="payment_sync_events")
    op.drop_index("idx_payment_sync_events_entity_type", table_name="payment_sync_events")
    op.drop_table("payment_sync_events")
    op.drop_table("payment_sync_entity_runs")
    op.drop_index(
        "uq_payment_sync_conflicts_open",
        table_name="payment_sync_conflicts",
        postgresql_where=sa.text("status = 'open'"),
    )
    op.drop_index("ix_payment_sync_conflicts_recent", table_name="payment_sync_conflicts")
    op.drop_index("ix_payment_sync_conflicts_list", table_name="payment_sync_conflicts")
    op.drop_index(
        "ix_payment_sync_conflicts_fields",
        table_name="payment_sync_conflicts",
        postgresql_using="gin",
        postgresql_where=sa.text("status = 'open'"),
    )
    op.drop_table("payment_sync_conflicts")
    op.drop_index("ix_products_name", table_name="products")
    op.drop_index(
        "idx_products_payment_sync_status",
        table_name="products",
        postgresql_where=sa.text("deleted_at IS NULL AND payment_sync_status <> 'synced'"),
    )
    op.drop_index(
        "idx_products_payment_provider", table_name="products", postgresql_where=sa.text("deleted_at IS NULL")
    )
    op.drop_index("idx_products_created", table_name="products")
    op.drop_table("products")
    op.drop_index("idx_payment_sync_sessions_workspace_id", table_name="payment_sync_sessions")
    op.drop_index(
        "idx_payment_sync_sessions_status",
        table_name="payment_sync_sessions",
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.drop_index("idx_payment_sync_sessions_provider", table_name="payment_sync_sessions")
    op.drop_table("payment_sync_sessions")
    op.drop_table("customer_wallets")
    op.drop_table("wallets")
    op.drop_index("ix_user_sessions_user_id", table_name="user_sessions")
    op.drop_table("user_sessions")
    op.drop_index(
        "ix_payment_webhook_inbox_due",
        table_name="payment_webhook_inbox",
        postgresql_where=sa.text("processed_at IS NULL"),
    )
    op.drop_table("payment_webhook_inbox")
    op.drop_index("ix_payment_sync_schedules_due", table_name="payment_sync_schedules")
    op.drop_table("payment_sync_schedules")
    op.drop_index(
        "uq_payment_connections_active",
        table_name="payment_connections",
        postgresql_where=sa.text("disconnected_at IS NULL"),
    )
    op.drop_table("payment_connections")
    op.drop_index("ix_memberships_user_id", table_name="memberships")
    op.drop_table("memberships")
    op.drop_table("delegation_data")
    op.drop_index("ix_customers_name", table_name="customers")
    op.drop_index(
        "ix_customers_email_unlinked",
        table_name="customers",
        postgresql_where=sa.text("external_id IS NULL AND deleted_at IS NULL"),
    )
    op.drop_index("ix_customers_email", table_name="customers")
    op.drop_index(
        "idx_customers_payment_sync_status",
        table_name="customers",
        postgresql_where=sa.text("deleted_at IS NULL AND payment_sync_status <> 'synced'"),
    )
    op.drop_index(
        "idx_customers_payment_provider", table_name="customers", postgresql_where=sa.text("deleted_at IS NULL")
    )
    op.drop_index("idx_customers_created", table_name="customers")
    op.drop_table("customers")
    op.drop_index("ix_audit_log_occurred_at", table_name="audit_log")
    op.drop_table("audit_log")
    op.drop_table("api_keys")
    op.drop_table("workspaces")
    op.drop_index("uq_users_email", table_name="users")
    op.drop_table("users")
    op.drop_index("ix_sign_in_attempts_key_occurred_at", table_name="sign_in_attempts")
    op.drop_table("sign_in_attempts")
    op.drop_table("setup_tokens")
    op.drop_table("payment_sync_read_meter")
    op.drop_table("payment_sync_rate_buckets")
    op.drop_index("uq_payment_sync_leases_workspace", table_name="payment_sync_leases")
    op.drop_table("payment_sync_leases")
    op.drop_table("currencies")
