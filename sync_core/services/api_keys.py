"""Keys for programs. `csk_` + 32 random bytes + a checksum; only a hash is kept, so a lost key is replaced, not shown."""

from __future__ import annotations

import re
import secrets
import zlib
from enum import StrEnum
from uuid import UUID

from sync_core.domain.vocabulary import Role
from sync_core.errors import Refusal
from sync_core.services.accounts import token_hash
from sync_core.services.actor import Actor, Permission
from sync_core.store import accounts, audit
from sync_core.store import api_keys as store
from sync_core.store.database import Database

_SHAPE = re.compile(r"csk_(?P<secret>[A-Za-z0-9_-]{43})(?P<check>[0-9a-f]{8})")
_FORBIDDEN = Refusal("forbidden", "Your role may not manage API keys. Ask an admin.", status=403)
_SHOWN = 10


class KeyLevel(StrEnum):
    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    @property
    def role(self) -> Role:
        return _ROLES[self]


_ROLES = {KeyLevel.READ: Role.VIEWER, KeyLevel.WRITE: Role.OPERATOR, KeyLevel.ADMIN: Role.ADMIN}


async def create(database: Database, actor: Actor, *, level: KeyLevel, name: str = "") -> str | Refusal:
    """The key, which cannot be shown again."""
    if not actor.can(Permission.MANAGE_WORKSPACE):
        return _FORBIDDEN
    return await issue(database, actor.workspace_id, level=level, name=name, by=actor.label, created_by=actor.user_id)


async def issue(
    database: Database,
    workspace_id: UUID,
    *,
    level: KeyLevel,
    name: str = "",
    by: str = "operator",
    created_by: UUID | None = None,
) -> str | Refusal:
    """For the operator's command, who may do anything; `create` is for people."""
    key = _make()
    async with database.system() as session:
        if workspace_id not in {known.id for known in await accounts.workspaces(session)}:
            return Refusal("workspace_unknown", "No such workspace. `list-workspaces` shows them.", status=404)
        key_id = await store.add(
            session,
            workspace_id,
            name=name,
            level=level.value,
            prefix=key[:_SHOWN],
            key_hash=token_hash(key),
            created_by=created_by,
        )
        await audit.record(
            session, workspace_id, by, "api_key_created", target=str(key_id), details={"level": level.value}
        )
    return key


async def verify(database: Database, key: str) -> Actor | None:
    """Who this key speaks for. What is not even shaped like a key costs no query."""
    shape = _SHAPE.fullmatch(key)
    if shape is None or _checksum(shape["secret"]) != shape["check"]:
        return None
    async with database.system() as session:
        found = await store.find(session, token_hash(key))
    if found is None:
        return None
    return Actor(
        workspace_id=found.workspace_id,
        role=KeyLevel(found.level).role,
        label=found.name or f"API key {found.prefix}…",
        api_key_id=found.id,
        time_zone=found.time_zone,
    )


async def listed(database: Database, actor: Actor) -> list[store.ListedApiKey] | Refusal:
    if not actor.can(Permission.MANAGE_WORKSPACE):
        return _FORBIDDEN
    async with database.workspace(actor.workspace_id) as session:
        return await store.all_of(session, actor.workspace_id)


async def revoke(database: Database, actor: Actor, key_id: UUID) -> Refusal | None:
    if not actor.can(Permission.MANAGE_WORKSPACE):
        return _FORBIDDEN
    async with database.system() as session:
        if not await store.revoke(session, actor.workspace_id, key_id):
            return Refusal("not_found", "No such key.", status=404)
        await audit.record(session, actor.workspace_id, actor.label, "api_key_revoked", target=str(key_id), details={})
    return None


def _make() -> str:
    secret = secrets.token_urlsafe(32)
    return f"csk_{secret}{_checksum(secret)}"


def _checksum(secret: str) -> str:
    return f"{zlib.crc32(secret.encode()):08x}"
