"""Tenancy as PostgreSQL holds it: no session sees another workspace, a dry run cannot write, no role can step around it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ProgrammingError
from sqlmodel import SQLModel

import sync_core.models
from sync_core.domain.vocabulary import EntityType
from sync_core.store import migrate
from sync_core.store.database import Database, DbRole
from tests.conftest import database_named, make_workspace, on_server, plain_url

assert sync_core.models
TABLES = SQLModel.metadata.tables

# Ids and counters only, needed before a workspace is known or across all of them; the reasons are in ARCHITECTURE.md.
OUTSIDE_TENANCY = {"payment_sync_leases"}
# Written by a trigger, read by a function that answers yes or no: no role may touch it.
CLOSED = {"payment_account_uses"}
# A browser's session points at the workspace that it last looked at; only sign-in reads it.
SIGN_IN_ONLY = {"user_sessions"}
TENANT_TABLES = sorted(
    {name for name, table in TABLES.items() if "workspace_id" in table.columns}
    - OUTSIDE_TENANCY
    - SIGN_IN_ONLY
    - CLOSED
)
RECORD_TABLES = [entity.value for entity in EntityType]


def rows_of(url: str, sql: str, *parameters: Any) -> list[dict[str, Any]]:
    with psycopg.connect(plain_url(url), row_factory=dict_row) as connection:
        return connection.execute(sql, parameters).fetchall()


@pytest.mark.parametrize("table", TENANT_TABLES)
def test_every_tenant_table_is_under_forced_row_security_with_a_policy(catalog_url: str, table: str) -> None:
    (found,) = rows_of(
        catalog_url,
        "SELECT relrowsecurity, relforcerowsecurity, (SELECT array_agg(policyname::text) FROM pg_policies WHERE tablename = relname)"
        " AS policies FROM pg_class WHERE oid = to_regclass(%s)",
        table,
    )
    assert found["relrowsecurity"]
    assert found["relforcerowsecurity"]
    assert "tenant" in found["policies"]


@pytest.mark.parametrize("table", sorted(OUTSIDE_TENANCY))
def test_tables_outside_hold_ids_and_times_only(table: str) -> None:
    kept = {column.name for column in TABLES[table].columns}
    assert kept == {
        "session_id",
        "workspace_id",
        "fence",
        "owner",
        "beat_at",
        "attempts",
        "lease_until",
        "not_before",
        "created_at",
    }


@pytest.mark.parametrize("role", list(DbRole))
@pytest.mark.parametrize("table", sorted(CLOSED))
def test_closed_tables_are_no_roles_to_touch(catalog_url: str, table: str, role: DbRole) -> None:
    (found,) = rows_of(
        catalog_url,
        "SELECT has_table_privilege(%s, to_regclass(%s), 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE') AS allowed",
        role.value,
        table,
    )
    assert found == {"allowed": False}


@pytest.mark.parametrize("table", sorted({*TABLES} - {*TENANT_TABLES} - OUTSIDE_TENANCY))
def test_sign_in_tables_are_closed_to_sessions_of_a_workspace(catalog_url: str, table: str) -> None:
    """What has no workspace of its own is either harmless or not readable (of `users`: name and address only)."""
    shared = {"workspaces", "currencies", "payment_sync_rate_buckets", "payment_sync_read_meter"}
    (found,) = rows_of(
        catalog_url, "SELECT has_table_privilege('cyphera_app', to_regclass(%s), 'SELECT') AS readable", table
    )
    assert found["readable"] is (table in shared)


@pytest.fixture(scope="module")
def crowded(server_url: str, template: str) -> Iterator[tuple[str, UUID, UUID]]:
    """A database in which every tenant table holds a row of each of two workspaces."""
    name = f"test_{uuid4().hex[:8]}"
    on_server(server_url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    url = database_named(server_url, name)
    workspaces = uuid4(), uuid4()
    with psycopg.connect(plain_url(url)) as connection:
        # Neither triggers nor references matter here, only who sees the rows.
        connection.execute("SET session_replication_role = replica")
        for workspace in workspaces:
            connection.execute("INSERT INTO workspaces (id, name) VALUES (%s, 'One')", (workspace,))
            for table in TENANT_TABLES:
                insert_any(connection, table, workspace)
    yield url, *workspaces
    on_server(server_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def catalog_url(crowded: tuple[str, UUID, UUID]) -> str:
    """For tests that only read the catalog."""
    return crowded[0]


FITTING: dict[str, dict[str, Any]] = {
    "prices": {"deleted_at": "2026-01-01T00:00:00Z"},
    "subscriptions": {"payment_provider": "stripe"},
    "memberships": {"role": "viewer"},
    "api_keys": {"level": "read"},
    "payment_sync_events": {"event_type": "sync_started"},
    "payment_sync_conflicts": {"reason_code": "no_base"},
    "payment_sync_plan_items": {"action": "create"},
    "payment_sync_schedules": {"minute_of_day": 0},
}
BY_TYPE: dict[str, Any] = {
    "uuid": uuid4,
    "text": lambda: uuid4().hex,
    "character varying": lambda: "customers",
    "boolean": lambda: False,
    "integer": lambda: 1,
    "bigint": lambda: 1,
    "jsonb": lambda: "{}",
    "json": lambda: "{}",
    "bytea": lambda: b"x",
    "ARRAY": list,
    "date": lambda: "2026-01-01",
    "timestamp with time zone": lambda: "2026-01-01T00:00:00Z",
}


def insert_any(connection: psycopg.Connection[Any], table: str, workspace: UUID) -> None:
    """A row with something in each column that demands it."""
    demanding = connection.execute(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s AND table_schema = 'public'"
        " AND is_nullable = 'NO' AND column_default IS NULL AND is_generated = 'NEVER'",
        (table,),
    ).fetchall()
    values = {column: BY_TYPE[kind]() for column, kind in demanding} | FITTING.get(table, {})
    values["workspace_id"] = workspace
    names, places = ", ".join(f'"{name}"' for name in values), ", ".join(["%s"] * len(values))
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", list(values.values()))


@pytest.mark.parametrize("role", [DbRole.APP, DbRole.DRY_RUN])
@pytest.mark.parametrize("table", TENANT_TABLES)
async def test_a_session_sees_the_rows_of_its_own_workspace_only(
    crowded: tuple[str, UUID, UUID], table: str, role: DbRole
) -> None:
    url, mine, _ = crowded
    database = Database(url, pool_size=1)
    try:
        async with database.workspace(mine, role=role) as session:
            if not await may(session, role, "SELECT", table):
                assert role is DbRole.DRY_RUN
                return
            seen = (await session.execute(text(f"SELECT DISTINCT workspace_id FROM {table}"))).scalars().all()
        assert seen == [mine]
    finally:
        await database.dispose()


async def may(session: Any, role: DbRole, privilege: str, table: str) -> bool:
    asked = text("SELECT has_table_privilege(:role, to_regclass(:table), :privilege)")
    return bool((await session.execute(asked, {"role": role, "table": table, "privilege": privilege})).scalar_one())


@pytest.mark.parametrize("table", TENANT_TABLES)
async def test_a_session_cannot_write_into_another_workspace(crowded: tuple[str, UUID, UUID], table: str) -> None:
    url, mine, theirs = crowded
    database = Database(url, pool_size=1)
    try:
        async with database.workspace(mine) as session:
            writable = await may(session, DbRole.APP, "UPDATE", table)
        if writable:
            async with database.workspace(mine) as session:
                touched = await session.execute(
                    text(f"UPDATE {table} SET workspace_id = workspace_id WHERE workspace_id = :theirs RETURNING 1"),
                    {"theirs": theirs},
                )
                assert touched.all() == []
        with pytest.raises(ProgrammingError, match=r"row-level security|permission denied"):
            async with database.workspace(mine) as session:
                await session.execute(text(f"INSERT INTO {table} (workspace_id) VALUES (:theirs)"), {"theirs": theirs})
    finally:
        await database.dispose()


async def test_a_session_without_a_workspace_sees_nothing(crowded: tuple[str, UUID, UUID]) -> None:
    """As the app role would be if the setting were ever lost: closed, not open."""
    url, _, _ = crowded
    with psycopg.connect(plain_url(url)) as connection:
        connection.execute("SET ROLE cyphera_app")
        for table in TENANT_TABLES:
            found = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
            assert found == (0,), table


async def test_a_session_leaves_nothing_on_its_connection(database: Database) -> None:
    """One connection in the pool: the next session must not inherit the workspace, nor the role."""
    narrow = Database(database.url, pool_size=1)
    try:
        first = await make_workspace(narrow, "First")
        second = await make_workspace(narrow, "Second")
        for workspace in (first, second, first):
            async with narrow.workspace(workspace) as session:
                assert (await session.execute(text("SELECT id FROM workspaces"))).scalars().all() == [workspace]
        async with narrow.engine.connect() as connection:
            left = await connection.execute(text("SELECT current_setting('app.workspace_id', true), current_user"))
            workspace_left, role_left = left.one()
        assert workspace_left in (None, "")
        assert role_left not in set(DbRole)
    finally:
        await narrow.dispose()


@pytest.mark.parametrize(
    "statement", ["INSERT INTO {0} (workspace_id) VALUES (:w)", "UPDATE {0} SET row_version = 1", "DELETE FROM {0}"]
)
@pytest.mark.parametrize("table", RECORD_TABLES)
async def test_a_dry_run_cannot_write_records(crowded: tuple[str, UUID, UUID], table: str, statement: str) -> None:
    url, mine, _ = crowded
    database = Database(url, pool_size=1)
    try:
        with pytest.raises(ProgrammingError, match="permission denied"):
            async with database.workspace(mine, role=DbRole.DRY_RUN) as session:
                await session.execute(text(statement.format(table)), {"w": mine} if ":w" in statement else {})
    finally:
        await database.dispose()


@pytest.mark.parametrize(
    "table", sorted(set(TENANT_TABLES) - {name for name in TABLES if name.startswith("payment_sync_")})
)
def test_a_dry_run_writes_nothing_but_what_belongs_to_a_run(catalog_url: str, table: str) -> None:
    (found,) = rows_of(
        catalog_url,
        "SELECT has_table_privilege('cyphera_dryrun', t, 'INSERT') OR has_table_privilege('cyphera_dryrun', t, 'UPDATE')"
        " OR has_table_privilege('cyphera_dryrun', t, 'DELETE') OR has_table_privilege('cyphera_dryrun', t, 'TRUNCATE') AS writes"
        " FROM to_regclass(%s) t",
        table,
    )
    assert found == {"writes": False}


@pytest.mark.parametrize("role", list(DbRole))
def test_the_roles_own_nothing_and_bypass_nothing(catalog_url: str, role: DbRole) -> None:
    (found,) = rows_of(
        catalog_url,
        "SELECT rolsuper, rolbypassrls, rolcreatedb, rolcreaterole, rolcanlogin,"
        " EXISTS (SELECT FROM pg_class WHERE relowner = r.oid) AS owns, EXISTS (SELECT FROM pg_auth_members WHERE member = r.oid) AS member"
        " FROM pg_roles r WHERE rolname = %s",
        role.value,
    )
    assert not any(found.values()), found


@pytest.mark.parametrize("table", RECORD_TABLES)
async def test_the_system_role_sees_no_record(database: Database, table: str) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with database.system() as session:
            await session.execute(text(f"SELECT 1 FROM {table}"))


async def test_the_audit_log_cannot_be_rewritten(database: Database, workspace_id: UUID) -> None:
    for statement in ("UPDATE audit_log SET actor = 'nobody'", "DELETE FROM audit_log"):
        with pytest.raises(ProgrammingError, match="permission denied"):
            async with database.workspace(workspace_id) as session:
                await session.execute(text(statement))


@pytest.fixture
def empty_url(server_url: str) -> Iterator[str]:
    name = f"test_{uuid4().hex[:8]}"
    on_server(server_url, f"CREATE DATABASE {name}")
    yield database_named(server_url, name)
    on_server(server_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def owned_url(server_url: str, template: str) -> Iterator[str]:
    """An empty database of an owner who is no superuser and sees through row-level security no more than anybody."""
    assert template, "the roles are there"
    name = f"owner_{uuid4().hex[:8]}"
    on_server(server_url, f"CREATE ROLE {name} LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD '{name}'")
    on_server(server_url, f"GRANT {', '.join(DbRole)} TO {name} WITH ADMIN OPTION")
    on_server(server_url, f"CREATE DATABASE {name} OWNER {name}")
    url = make_url(database_named(server_url, name)).set(username=name, password=name)
    yield url.render_as_string(hide_password=False)
    on_server(server_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    on_server(server_url, f"DROP ROLE {name}")


BEFORE_FACETS = "5d1f0c7be2a4"
_DECIDED = """
WITH run AS (
  INSERT INTO payment_sync_sessions (workspace_id, entity_types) VALUES (%(workspace)s, '{customers}') RETURNING id
), conflict AS (
  INSERT INTO payment_sync_conflicts (workspace_id, session_id, entity_type, record_id, external_id, reason_code, fields, local, theirs,
    record_version, observed_at) SELECT %(workspace)s, id, 'customers', new_id(), 'cus_1', 'both_changed', '{name}', '{}', '{}', 1, now() FROM run
  RETURNING id
), batch AS (
  INSERT INTO payment_sync_conflict_previews (workspace_id, created_by, query, rule, summary, hash)
  VALUES (%(workspace)s, 'Ann', '{}', '{}', '{}', '') RETURNING id
)
INSERT INTO payment_sync_conflict_decisions (workspace_id, batch_id, conflict_id, entity_type, record_id, actor, choices, before, after,
  record_version_after) SELECT %(workspace)s, made.batch_id, conflict.id, 'customers', new_id(), made.actor, '{}', '{}', '{}', 2
FROM conflict, (SELECT id, 'batch' FROM batch UNION ALL SELECT new_id(), 'alone') made(batch_id, actor)
"""


_WISHED = """
WITH connection AS (INSERT INTO payment_connections (workspace_id, account_id, livemode, key_kind, key_last4, key_fingerprint, key_ciphertext)
  VALUES (%(workspace)s, 'acct_1', true, 'secret', '1234', 'one', '') RETURNING id)
INSERT INTO audit_log (workspace_id, actor, action, target, details, occurred_at)
  SELECT %(workspace)s, 'ana', 'connection.read_cap_changed', connection.id, jsonb_build_object('after', n, 'default', false), now() + make_interval(secs => n)
  FROM connection, generate_series(30, 40) n
"""


def test_rows_that_were_there_are_migrated_for_an_owner_who_is_no_superuser(server_url: str, owned_url: str) -> None:
    migrate.upgrade(owned_url, BEFORE_FACETS)
    seen_by_all = database_named(server_url, str(make_url(owned_url).database))
    (workspace,) = rows_of(seen_by_all, "INSERT INTO workspaces (name) VALUES ('Default') RETURNING id AS workspace")
    with psycopg.connect(seen_by_all) as connection:
        connection.execute(_DECIDED, workspace)
        connection.execute(_WISHED, workspace)
    migrate.upgrade(owned_url)
    alone = rows_of(seen_by_all, "SELECT actor, alone FROM payment_sync_conflict_decisions")
    assert {one["actor"]: one["alone"] for one in alone} == {"alone": True, "batch": False}
    assert rows_of(seen_by_all, "SELECT status, sum(count)::int AS n FROM payment_sync_conflict_counts GROUP BY 1") == [
        {"status": "open", "n": 1}
    ]
    caps = "SELECT c.read_cap, b.cap FROM payment_connections c, payment_sync_rate_buckets b WHERE b.name = 'acct_1:live:global'"
    assert rows_of(seen_by_all, caps) == [{"read_cap": 40, "cap": 40}]
    lifted = "SELECT relname FROM pg_class WHERE relrowsecurity AND NOT relforcerowsecurity"
    assert rows_of(seen_by_all, lifted) == []
    migrate.check(owned_url)


LEFT = (
    "SELECT relname::text AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'alembic_version%%'"
    " UNION ALL SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
)


def test_the_schema_goes_up_from_nothing_matches_the_models_and_goes_down_to_nothing(empty_url: str) -> None:
    migrate.upgrade(empty_url)
    # Raises when a model and the database differ.
    migrate.check(empty_url)
    assert len(rows_of(empty_url, LEFT)) > len(TABLES)
    migrate.downgrade(empty_url)
    assert rows_of(empty_url, LEFT) == []
    migrate.upgrade(empty_url)
    migrate.check(empty_url)
