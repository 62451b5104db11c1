"""Conflicts made in bulk, as a run leaves them: linked customers whose name was changed on both sides and whose phone by us."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from sync_core.domain.vocabulary import Role
from sync_core.services.actor import Actor
from sync_core.store.database import Database
from tests.support import make_connection, rows

_RECORDS = """
INSERT INTO customers (workspace_id, external_id, payment_provider, payment_account, payment_livemode, payment_sync_status, payment_base,
  email, name, phone, description, metadata, payment_observed_at)
SELECT :workspace, 'cus_' || i, 'stripe', 'acct_test', false, 'conflict',
  jsonb_build_object('email', i || '@example.com', 'name', 'Base ' || i, 'phone', NULL, 'description', 'text',
    'metadata', '{"plan": "gold"}'::jsonb),
  i || '@example.com', 'Ours ' || i, '+1 ' || i, 'text', '{"plan": "gold"}', now() - interval '1 day'
FROM generate_series(:start, :start + :count - 1) i
"""
_CONFLICTS = """
INSERT INTO payment_sync_conflicts (workspace_id, session_id, entity_type, record_id, external_id, label, reason_code, fields, local,
  base, theirs, record_version, observed_at, created_at, customer_id)
SELECT t.workspace_id, :session, 'customers', t.id, t.external_id, t.name, 'both_changed', '{name}',
  jsonb_build_object('email', email, 'name', name, 'phone', phone, 'description', description, 'metadata', metadata), payment_base,
  payment_base || jsonb_build_object('name', replace(name, 'Ours', 'Stripe')), t.row_version, now(),
  timestamptz '2026-01-01' + substr(external_id, 5)::int * interval '1 second', t.id
FROM customers t WHERE t.workspace_id = :workspace
  AND t.external_id IN (SELECT 'cus_' || i FROM generate_series(:start, :start + :count - 1) i)
"""


@dataclass(frozen=True, slots=True)
class Made:
    actor: Actor
    session_id: UUID


async def make_conflicts(database: Database, workspace_id: UUID, count: int, *, start: int = 1) -> Made:
    """`count` open conflicts, the newest first in the list being the last made."""
    connection_id = await make_connection(database, workspace_id)
    async with database.workspace(workspace_id) as session:
        made = await session.execute(
            text(
                "INSERT INTO payment_sync_sessions (workspace_id, entity_types, connection_id, status, phase)"
                " VALUES (:workspace, '{customers}', :connection, 'completed', 'done') RETURNING id"
            ),
            {"workspace": workspace_id, "connection": connection_id},
        )
        session_id = UUID(str(made.scalar_one()))
        bound = {"workspace": workspace_id, "session": session_id, "count": count, "start": start}
        await session.execute(text(_RECORDS), bound)
        await session.execute(text(_CONFLICTS), bound)
    return Made(person(workspace_id), session_id)


async def miscounted(database: Database, workspace_id: UUID) -> list[dict[str, Any]]:
    """Where a real count finds another number than is kept, looked at in one moment: nowhere."""
    return await rows(
        database,
        workspace_id,
        "SELECT status, cell, opened_on, sum(count) AS beyond FROM (SELECT status, cell, opened_on, count FROM payment_sync_conflict_counts"
        " UNION ALL SELECT status, cell, opened_on, -1 FROM payment_sync_conflicts) both_ways GROUP BY 1, 2, 3 HAVING sum(count) <> 0",
    )


def person(workspace_id: UUID, label: str = "Ann", role: Role = Role.ADMIN) -> Actor:
    return Actor(workspace_id, role, label)


async def member(database: Database, workspace_id: UUID, name: str, role: Role = Role.ADMIN) -> Actor:
    """A person who is in the database too."""
    email = f"{name}@example.com"
    async with database.system() as session:
        made = await session.execute(
            text(
                "WITH made AS (INSERT INTO users (email, password_hash) VALUES (:email, '-') RETURNING id)"
                " INSERT INTO memberships (workspace_id, user_id, role) SELECT :workspace, id, :role FROM made RETURNING user_id"
            ),
            {"email": email, "workspace": workspace_id, "role": role.value},
        )
        return Actor(workspace_id, role, email, user_id=UUID(str(made.scalar_one())))
