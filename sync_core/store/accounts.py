"""Users, memberships, browser sessions, set-up links and failed sign-ins, read and written in the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.vocabulary import Role

# -- workspaces


@dataclass(frozen=True, slots=True)
class WorkspaceRow:
    id: UUID
    name: str
    time_zone: str


async def workspaces(session: AsyncSession) -> list[WorkspaceRow]:
    found = await session.execute(text("SELECT id, name, time_zone FROM workspaces ORDER BY created_at, id"))
    return [WorkspaceRow(*row) for row in found]


async def create_workspace(session: AsyncSession, name: str) -> WorkspaceRow:
    """With a settlement wallet, which imported products need."""
    made = await session.execute(
        text("INSERT INTO workspaces (name) VALUES (:name) RETURNING id, name, time_zone"), {"name": name}
    )
    workspace = WorkspaceRow(*made.one())
    await session.execute(
        text(
            "WITH made AS (INSERT INTO wallets (workspace_id, nickname, wallet_address)"
            " VALUES (:workspace, 'Settlement', '0x0000000000000000000000000000000000000000') RETURNING id)"
            " UPDATE workspaces SET settlement_wallet_id = (SELECT id FROM made) WHERE id = :workspace"
        ),
        {"workspace": workspace.id},
    )
    return workspace


async def lock_first_start(session: AsyncSession) -> None:
    """Two servers that start at once make one Default workspace, not two."""
    await session.execute(text("SELECT pg_advisory_xact_lock(hashtext('cyphera first start'))"))


# -- users


@dataclass(frozen=True, slots=True)
class UserRow:
    id: UUID
    email: str
    name: str
    password_hash: str
    disabled: bool


_USER = "SELECT id, email, name, password_hash, disabled_at IS NOT NULL FROM users"


async def user_by_email(session: AsyncSession, email: str) -> UserRow | None:
    found = await session.execute(text(f"{_USER} WHERE lower(email) = lower(:email)"), {"email": email})
    row = found.one_or_none()
    return None if row is None else UserRow(*row)


async def save_user(session: AsyncSession, email: str, password_hash: str, name: str = "") -> UUID:
    """A new user, or a new password for the one who has this email."""
    saved = await session.execute(
        text(
            "INSERT INTO users (email, name, password_hash) VALUES (:email, :name, :hash)"
            " ON CONFLICT (lower(email)) DO UPDATE SET password_hash = excluded.password_hash, disabled_at = NULL"
            " RETURNING id"
        ),
        {"email": email, "name": name, "hash": password_hash},
    )
    return UUID(str(saved.scalar_one()))


async def set_password_hash(session: AsyncSession, user_id: UUID, password_hash: str) -> None:
    await session.execute(
        text("UPDATE users SET password_hash = :hash WHERE id = :user"), {"user": user_id, "hash": password_hash}
    )


async def set_single_keys(session: AsyncSession, user_id: UUID, *, on: bool) -> None:
    await session.execute(text("UPDATE users SET single_keys = :on WHERE id = :user"), {"user": user_id, "on": on})


async def owner_exists(session: AsyncSession) -> bool:
    found = await session.execute(
        text(
            "SELECT EXISTS (SELECT FROM memberships JOIN users ON users.id = memberships.user_id"
            " WHERE memberships.role = 'owner' AND users.disabled_at IS NULL)"
        )
    )
    return bool(found.scalar_one())


async def set_membership(session: AsyncSession, workspace_id: UUID, user_id: UUID, role: Role) -> None:
    await session.execute(
        text(
            "INSERT INTO memberships (workspace_id, user_id, role) VALUES (:workspace, :user, :role)"
            " ON CONFLICT (workspace_id, user_id) DO UPDATE SET role = excluded.role"
        ),
        {"workspace": workspace_id, "user": user_id, "role": role.value},
    )


async def first_membership(session: AsyncSession, user_id: UUID) -> UUID | None:
    found = await session.execute(
        text("SELECT workspace_id FROM memberships WHERE user_id = :user ORDER BY created_at, workspace_id LIMIT 1"),
        {"user": user_id},
    )
    return _uuid(found.scalar_one_or_none())


@dataclass(frozen=True, slots=True)
class MemberRow:
    user_id: UUID
    email: str
    name: str
    role: Role
    disabled: bool


async def members(session: AsyncSession, workspace_id: UUID) -> list[MemberRow]:
    found = await session.execute(
        text(
            "SELECT u.id, u.email, u.name, m.role, u.disabled_at IS NOT NULL FROM memberships m"
            " JOIN users u ON u.id = m.user_id WHERE m.workspace_id = :workspace ORDER BY m.created_at, u.email"
        ),
        {"workspace": workspace_id},
    )
    return [MemberRow(row[0], row[1], row[2], Role(row[3]), row[4]) for row in found]


async def lock_members(session: AsyncSession, workspace_id: UUID) -> None:
    """Two owners that demote each other at once are served one after the other: one of them stays."""
    await session.execute(text("SELECT FROM workspaces WHERE id = :workspace FOR UPDATE"), {"workspace": workspace_id})


async def end_membership(session: AsyncSession, workspace_id: UUID, user_id: UUID) -> None:
    """Their sessions in this workspace end with it."""
    bound = {"workspace": workspace_id, "user": user_id}
    for table in ("memberships", "user_sessions"):
        await session.execute(text(f"DELETE FROM {table} WHERE workspace_id = :workspace AND user_id = :user"), bound)


async def set_time_zone(session: AsyncSession, workspace_id: UUID, zone: str) -> None:
    await session.execute(
        text("UPDATE workspaces SET time_zone = :zone WHERE id = :workspace"), {"zone": zone, "workspace": workspace_id}
    )


# -- browser sessions


@dataclass(frozen=True, slots=True)
class SignedInRow:
    session_id: UUID
    user_id: UUID
    email: str
    workspace_id: UUID
    workspace_name: str
    time_zone: str
    role: Role
    single_keys: bool


async def add_session(
    session: AsyncSession, *, token_hash: str, user_id: UUID, workspace_id: UUID, user_agent: str, lasts: timedelta
) -> None:
    await session.execute(
        text(
            "INSERT INTO user_sessions (token_hash, user_id, workspace_id, user_agent, expires_at)"
            " VALUES (:hash, :user, :workspace, :agent, now() + CAST(:lasts AS interval))"
        ),
        {"hash": token_hash, "user": user_id, "workspace": workspace_id, "agent": user_agent[:400], "lasts": lasts},
    )


_SIGNED_IN = text(
    "SELECT s.id, u.id, u.email, w.id, w.name, w.time_zone, m.role, u.single_keys,"
    " s.last_seen_at < now() - interval '1 minute'"
    " FROM user_sessions s"
    " JOIN users u ON u.id = s.user_id AND u.disabled_at IS NULL"
    " JOIN memberships m ON m.user_id = s.user_id AND m.workspace_id = s.workspace_id"
    " JOIN workspaces w ON w.id = s.workspace_id"
    " WHERE s.token_hash = :hash AND s.expires_at > now() AND s.last_seen_at > now() - CAST(:idle AS interval)"
)


async def signed_in(session: AsyncSession, token_hash: str, idle: timedelta) -> SignedInRow | None:
    """Who holds this token, if it is still good; that they were seen is noted at most once a minute."""
    row = (await session.execute(_SIGNED_IN, {"hash": token_hash, "idle": idle})).one_or_none()
    if row is None:
        return None
    if row[8]:
        await session.execute(text("UPDATE user_sessions SET last_seen_at = now() WHERE id = :id"), {"id": row[0]})
    return SignedInRow(row[0], row[1], row[2], row[3], row[4], row[5], Role(row[6]), row[7])


async def end_session(session: AsyncSession, token_hash: str) -> None:
    await session.execute(text("DELETE FROM user_sessions WHERE token_hash = :hash"), {"hash": token_hash})


async def end_sessions_of(session: AsyncSession, user_id: UUID) -> None:
    await session.execute(text("DELETE FROM user_sessions WHERE user_id = :user"), {"user": user_id})


async def forget_expired(session: AsyncSession) -> None:
    await session.execute(text("DELETE FROM user_sessions WHERE expires_at < now()"))
    await session.execute(text("DELETE FROM sign_in_attempts WHERE occurred_at < now() - interval '1 day'"))


# -- set-up links


async def add_setup_token(session: AsyncSession, token_hash: str, lasts: timedelta) -> None:
    """The newest link is the only one."""
    await session.execute(text("DELETE FROM setup_tokens WHERE used_at IS NULL"))
    await session.execute(
        text("INSERT INTO setup_tokens (token_hash, expires_at) VALUES (:hash, now() + CAST(:lasts AS interval))"),
        {"hash": token_hash, "lasts": lasts},
    )


_OPEN_TOKEN = "token_hash = :hash AND used_at IS NULL AND expires_at > now()"  # noqa: S105 - a condition, not a token


async def setup_token_is_open(session: AsyncSession, token_hash: str) -> bool:
    found = await session.execute(
        text(f"SELECT EXISTS (SELECT FROM setup_tokens WHERE {_OPEN_TOKEN})"), {"hash": token_hash}
    )
    return bool(found.scalar_one())


async def use_setup_token(session: AsyncSession, token_hash: str) -> bool:
    """Whether it was open. Of two at once, one wins."""
    used = await session.execute(
        text(f"UPDATE setup_tokens SET used_at = now() WHERE {_OPEN_TOKEN} RETURNING 1"), {"hash": token_hash}
    )
    return used.one_or_none() is not None


# -- failed sign-ins


async def note_attempt(session: AsyncSession, *keys: str) -> None:
    await session.execute(
        text("INSERT INTO sign_in_attempts (key) SELECT unnest(CAST(:keys AS text[]))"), {"keys": list(keys)}
    )


async def attempts(session: AsyncSession, keys: list[str], within: timedelta) -> dict[str, int]:
    found = await session.execute(
        text(
            "SELECT key, count(*) FROM sign_in_attempts"
            " WHERE key = ANY(CAST(:keys AS text[])) AND occurred_at > clock_timestamp() - CAST(:within AS interval) GROUP BY key"
        ),
        {"keys": keys, "within": within},
    )
    return {row[0]: row[1] for row in found}


async def forget_attempts(session: AsyncSession, key: str) -> None:
    await session.execute(text("DELETE FROM sign_in_attempts WHERE key = :key"), {"key": key})


def _uuid(value: Any) -> UUID | None:
    return None if value is None else UUID(str(value))
