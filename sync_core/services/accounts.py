"""People: first start, passwords, browser sessions. Tokens are random, kept as hashes, and shown to nobody twice."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from email_validator import EmailNotValidError, validate_email

from sync_core.domain.vocabulary import Role
from sync_core.errors import Refusal
from sync_core.services.actor import Actor
from sync_core.store import accounts as store
from sync_core.store import audit
from sync_core.store.database import Database

SESSION_LASTS = timedelta(days=7)
# Nobody is warned before: WCAG 2.2.1 asks for that where less than 20 hours are given.
SESSION_IDLE = timedelta(hours=21)
SETUP_LASTS = timedelta(hours=24)
ATTEMPT_WINDOW = timedelta(minutes=15)
MAX_PER_ACCOUNT = 10
MAX_PER_ADDRESS = 60
MIN_PASSWORD = 10
MAX_PASSWORD = 200
MAX_NAME = 200
DEFAULT_WORKSPACE = "Default"

WRONG = Refusal("wrong_credentials", "That email and password don't match. Try again.", field="password", status=401)
TOO_MANY = Refusal(
    "too_many_attempts", "Too many attempts. Wait 15 minutes, then try again.", field="password", status=429
)
NO_ACCESS = Refusal("no_workspace", "You belong to no workspace. Ask an owner to add you.", field="email", status=403)
LINK_USED = Refusal(
    "link_used",
    "This set-up link has been used or has expired. Restart the server for a new one.",
    field="token",
    status=410,
)

# A hash takes 64 MiB for a tenth of a second: only so many at once, whatever the number of people at the door.
_HASHING = asyncio.Semaphore(2)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """`single_keys`: whether single keys do something for this person (WCAG 2.1.4)."""

    actor: Actor
    email: str
    workspace_name: str
    single_keys: bool


@dataclass(frozen=True, slots=True)
class FirstStart:
    """`setup_token` is set while nobody owns the installation: whoever opens the link becomes its owner."""

    workspace_id: UUID
    setup_token: str | None


@lru_cache(maxsize=1)
def _hasher() -> PasswordHasher:
    """Argon2id; the parameters are OWASP's with room above them."""
    return PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=1)


@lru_cache(maxsize=1)
def _nobodys_hash() -> str:
    """Verified against when there is no such user, so that the answer takes as long."""
    return _hasher().hash(secrets.token_hex(16))


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


async def sign_in(
    database: Database, *, email: str, password: str, address: str, user_agent: str = ""
) -> str | Refusal:
    """A new session's token, for the cookie. Unknown user, wrong password and disabled user all look the same."""
    account, source = f"account:{email.strip().lower()[:254]}", f"address:{address}"
    if not await _may_try(database, account, source):
        return TOO_MANY
    async with database.system() as session:
        user = await store.user_by_email(session, email.strip())
    right = await _verify(password, _nobodys_hash() if user is None else user.password_hash)
    if user is None or user.disabled or not right:
        return WRONG
    renewed = await _hash(password) if _hasher().check_needs_rehash(user.password_hash) else None
    async with database.system() as session:
        await store.forget_attempts(session, account)
        await store.forget_expired(session)
        if renewed is not None:
            await store.set_password_hash(session, user.id, renewed)
        workspace_id = await store.first_membership(session, user.id)
    if workspace_id is None:
        return NO_ACCESS
    return await _open_session(database, user.id, workspace_id, user.email, user_agent)


async def sign_out(database: Database, token: str) -> None:
    async with database.system() as session:
        await store.end_session(session, token_hash(token))


async def who(database: Database, token: str) -> SignedIn | None:
    """Asked for every event: a role taken away, a session ended or a user disabled counts from the next one on."""
    async with database.system() as session:
        found = await store.signed_in(session, token_hash(token), SESSION_IDLE)
    if found is None:
        return None
    actor = Actor(
        workspace_id=found.workspace_id,
        role=found.role,
        label=found.email,
        user_id=found.user_id,
        time_zone=found.time_zone,
    )
    return SignedIn(actor, found.email, found.workspace_name, found.single_keys)


async def first_start(database: Database, *, setup_link: bool = True) -> FirstStart:
    """The Default workspace, and a link for its first owner while there is none. May be called at every start."""
    async with database.system() as session:
        await store.lock_first_start(session)
        known = await store.workspaces(session)
        workspace = known[0] if known else await store.create_workspace(session, DEFAULT_WORKSPACE)
        if not setup_link or await store.owner_exists(session):
            return FirstStart(workspace.id, None)
        token = secrets.token_urlsafe(32)
        await store.add_setup_token(session, token_hash(token), SETUP_LASTS)
    return FirstStart(workspace.id, token)


async def setup_is_open(database: Database, token: str) -> bool:
    async with database.system() as session:
        return await store.setup_token_is_open(session, token_hash(token))


async def set_up(
    database: Database, *, token: str, email: str, password: str, name: str = "", user_agent: str = ""
) -> str | Refusal:
    """The first owner, and a session's token for them. The link works once, and only while nobody owns the installation."""
    refusal = check_credentials(email, password)
    if refusal is not None:
        return refusal
    hashed = await _hash(password)
    async with database.system() as session:
        await store.lock_first_start(session)
        if await store.owner_exists(session) or not await store.use_setup_token(session, token_hash(token)):
            return LINK_USED
        workspaces = await store.workspaces(session)
        user_id = await store.save_user(session, email.strip(), hashed, name.strip()[:MAX_NAME])
        await store.set_membership(session, workspaces[0].id, user_id, Role.OWNER)
    return await _open_session(database, user_id, workspaces[0].id, email.strip(), user_agent)


async def create_owner(database: Database, *, email: str, password: str) -> UUID | Refusal:
    """An owner of the first workspace; a new password when the email is known. Their open sessions end."""
    refusal = check_credentials(email, password)
    if refusal is not None:
        return refusal
    hashed = await _hash(password)
    workspace_id = (await first_start(database, setup_link=False)).workspace_id
    async with database.system() as session:
        user_id = await store.save_user(session, email.strip(), hashed)
        await store.set_membership(session, workspace_id, user_id, Role.OWNER)
        await store.end_sessions_of(session, user_id)
        await audit.record(session, workspace_id, "operator", "owner_created", target=email.strip(), details={})
    return user_id


async def ensure_owner(database: Database, *, email: str, password: str) -> UUID | Refusal:
    """As `create_owner`, for every start: nothing changes, and nobody is signed out, when the password is right already."""
    async with database.system() as session:
        user = await store.user_by_email(session, email.strip())
        owned = await store.owner_exists(session)
    if user is not None and owned and not user.disabled and await _verify(password, user.password_hash):
        return user.id
    return await create_owner(database, email=email, password=password)


async def workspaces(database: Database) -> list[store.WorkspaceRow]:
    async with database.system() as session:
        return await store.workspaces(session)


def check_credentials(email: str, password: str) -> Refusal | None:
    try:
        validate_email(email.strip(), check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return Refusal("email_invalid", "Enter an email address such as ana@example.com.", field="email")
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        return Refusal(
            "password_length", f"Use between {MIN_PASSWORD} and {MAX_PASSWORD} characters.", field="password"
        )
    return None


async def _may_try(database: Database, account: str, source: str) -> bool:
    """Counted before the password is looked at, so that guesses made at the same time count each other."""
    limits = {account: MAX_PER_ACCOUNT, source: MAX_PER_ADDRESS}
    async with database.system() as session:
        before = await store.attempts(session, list(limits), ATTEMPT_WINDOW)
        if any(before.get(key, 0) >= limit for key, limit in limits.items()):
            return False
        await store.note_attempt(session, *limits)
    async with database.system() as session:
        now = await store.attempts(session, list(limits), ATTEMPT_WINDOW)
    return all(now.get(key, 0) <= limit for key, limit in limits.items())


async def _open_session(database: Database, user_id: UUID, workspace_id: UUID, email: str, user_agent: str) -> str:
    token = secrets.token_urlsafe(32)
    async with database.system() as session:
        await store.add_session(
            session,
            token_hash=token_hash(token),
            user_id=user_id,
            workspace_id=workspace_id,
            user_agent=user_agent,
            lasts=SESSION_LASTS,
        )
        await audit.record(session, workspace_id, email, "signed_in", details={})
    return token


async def _hash(password: str) -> str:
    async with _HASHING:
        return await asyncio.to_thread(_hasher().hash, password)


async def _verify(password: str, hashed: str) -> bool:
    async with _HASHING:
        try:
            return await asyncio.to_thread(_hasher().verify, hashed, password[: MAX_PASSWORD + 1])
        except (VerificationError, InvalidHashError):
            return False
