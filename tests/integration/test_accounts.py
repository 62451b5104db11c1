"""People on a real database: first start, passwords, sessions, guesses, roles, keys."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import CursorResult, text

from sync_core.bootstrap import first_start
from sync_core.domain.vocabulary import Role
from sync_core.errors import ConfigError, Refusal
from sync_core.services import accounts, api_keys, members
from sync_core.services.actor import PERMISSIONS, Actor, Permission
from sync_core.services.api_keys import KeyLevel
from sync_core.settings import Settings
from sync_core.store import accounts as store
from sync_core.store.database import Database
from tests.services import actor_of, audit_actions

EMAIL, PASSWORD = "ana@example.com", "correct horse battery"


def settings(data_dir: Path, **more: object) -> Settings:
    return Settings(_env_file=None, data_dir=data_dir, **more)  # type: ignore[arg-type]  # pydantic checks them


async def sign_in(
    database: Database, password: str = PASSWORD, email: str = EMAIL, address: str = "::1"
) -> str | Refusal:
    return await accounts.sign_in(database, email=email, password=password, address=address, user_agent="test")


def code(answer: object) -> str | None:
    return answer.code if isinstance(answer, Refusal) else None


async def system(database: Database, sql: str, **bound: object) -> list[tuple[object, ...]]:
    async with database.system() as session:
        found = await session.execute(text(sql), bound)
        return [tuple(row) for row in found] if isinstance(found, CursorResult) and found.returns_rows else []


@pytest.fixture
async def owner(database: Database) -> UUID:
    made = await accounts.create_owner(database, email=EMAIL, password=PASSWORD)
    assert isinstance(made, UUID)
    return made


@pytest.fixture
async def home(database: Database, owner: UUID) -> Actor:
    """The owner, in the Default workspace."""
    (workspace,) = await accounts.workspaces(database)
    return Actor(workspace_id=workspace.id, role=Role.OWNER, label=EMAIL, user_id=owner)


async def add_member(database: Database, workspace_id: UUID, role: Role) -> UUID:
    async with database.system() as session:
        user_id = await store.save_user(session, f"{uuid4().hex[:8]}@example.com", "-")
        await store.set_membership(session, workspace_id, user_id, role)
    return user_id


# -- the first start


async def test_the_first_start_makes_one_workspace_however_often_and_at_once(
    database: Database, tmp_path: Path
) -> None:
    started = await asyncio.gather(*(first_start(database, settings(tmp_path)) for _ in range(3)))
    again = await first_start(database, settings(tmp_path))

    assert {one.workspace_id for one in (*started, again)} == {again.workspace_id}
    assert await system(database, "SELECT name, settlement_wallet_id IS NOT NULL FROM workspaces") == [
        ("Default", True)
    ]


async def test_the_setup_link_makes_one_owner_and_only_the_newest_works(database: Database, tmp_path: Path) -> None:
    old, new = [(await first_start(database, settings(tmp_path, port=3977))).setup_url for _ in range(2)]
    assert old is not None
    assert new is not None
    assert new.startswith("http://localhost:3977/auth/setup?token=")

    token = new.partition("token=")[2]
    assert not await accounts.setup_is_open(database, old.partition("token=")[2])
    assert await accounts.setup_is_open(database, token)
    weak = await accounts.set_up(database, token=token, email=EMAIL, password="short")
    assert code(weak) == "password_length"
    raced = await asyncio.gather(
        *(
            accounts.set_up(database, token=token, email=f"p{number}@example.com", password=PASSWORD)
            for number in range(3)
        )
    )

    assert sorted(code(one) or "in" for one in raced) == ["in", "link_used", "link_used"]
    assert await system(database, "SELECT role FROM memberships") == [("owner",)]
    assert (await first_start(database, settings(tmp_path))).setup_url is None


async def test_an_expired_setup_link_is_closed(database: Database, tmp_path: Path) -> None:
    link = (await first_start(database, settings(tmp_path))).setup_url
    assert link is not None
    await system(database, "UPDATE setup_tokens SET expires_at = now() - interval '1 second'")
    answer = await accounts.set_up(database, token=link.partition("token=")[2], email=EMAIL, password=PASSWORD)
    assert code(answer) == "link_used"


async def test_the_owner_of_the_environment_can_sign_in_and_stays_signed_in_over_a_restart(
    database: Database, tmp_path: Path
) -> None:
    configured = settings(tmp_path, owner_email=EMAIL, owner_password=PASSWORD)
    assert (await first_start(database, configured)).setup_url is None
    token = await sign_in(database)
    assert isinstance(token, str)
    await first_start(database, configured)
    assert await accounts.who(database, token) is not None


async def test_an_unfit_owner_of_the_environment_stops_the_start(database: Database, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="OWNER_EMAIL and OWNER_PASSWORD"):
        await first_start(database, settings(tmp_path, owner_email="ana", owner_password=PASSWORD))


# -- signing in


async def test_a_session_knows_its_person_and_ends(database: Database, owner: UUID) -> None:
    token = await sign_in(database, email="  ANA@example.com ")
    assert isinstance(token, str)
    found = await accounts.who(database, token)
    assert found is not None
    assert (found.actor.user_id, found.actor.role, found.actor.label) == (owner, Role.OWNER, EMAIL)

    await accounts.sign_out(database, token)
    assert await accounts.who(database, token) is None


async def test_nothing_kept_is_a_token_or_a_password(database: Database, owner: UUID) -> None:
    token = await sign_in(database)
    rows = await system(
        database, "SELECT u.password_hash, s.token_hash FROM users u JOIN user_sessions s ON s.user_id = u.id"
    )
    ((password_hash, token_hash),) = rows
    assert str(password_hash).startswith("$argon2id$")
    assert PASSWORD not in str(password_hash)
    assert str(token) not in str(token_hash)
    assert owner


@pytest.mark.parametrize(
    ("email", "password"),
    [
        pytest.param(EMAIL, "not the password", id="wrong password"),
        pytest.param("nobody@example.com", PASSWORD, id="unknown email"),
        pytest.param(EMAIL, "", id="no password"),
        pytest.param(EMAIL, PASSWORD + "x" * 500, id="a password of any length"),
        pytest.param("", "", id="nothing"),
    ],
)
async def test_every_wrong_sign_in_gets_the_same_answer(
    database: Database, owner: UUID, email: str, password: str
) -> None:
    assert owner
    assert await sign_in(database, password, email) == accounts.WRONG


async def test_a_disabled_user_is_out_at_once_and_looks_like_a_wrong_password(database: Database, owner: UUID) -> None:
    token = await sign_in(database)
    assert isinstance(token, str)
    await system(database, "UPDATE users SET disabled_at = now() WHERE id = :id", id=owner)
    assert await accounts.who(database, token) is None
    assert await sign_in(database) == accounts.WRONG


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("expires_at = now() - interval '1 second'", id="a week after sign-in"),
        pytest.param("last_seen_at = now() - interval '21 hours 1 second'", id="21 idle hours"),
    ],
)
async def test_a_session_ends_by_itself(database: Database, owner: UUID, change: str) -> None:
    token = await sign_in(database)
    assert isinstance(token, str)
    assert owner
    await system(database, f"UPDATE user_sessions SET {change}")
    assert await accounts.who(database, token) is None


async def test_being_seen_is_written_once_a_minute(database: Database, owner: UUID) -> None:
    token = await sign_in(database)
    assert isinstance(token, str)
    assert owner
    seen = "SELECT xmin::text FROM user_sessions"
    first = await system(database, seen)
    await accounts.who(database, token)
    assert await system(database, seen) == first
    await system(database, "UPDATE user_sessions SET last_seen_at = now() - interval '2 minutes'")
    await accounts.who(database, token)
    assert await system(database, "SELECT last_seen_at > now() - interval '1 minute' FROM user_sessions") == [(True,)]


# -- guessing


async def test_an_account_is_closed_to_guesses_from_anywhere_then_opens_again(database: Database, owner: UUID) -> None:
    assert owner
    for number in range(accounts.MAX_PER_ACCOUNT):
        assert await sign_in(database, "a wrong guess", address=f"10.0.0.{number}") == accounts.WRONG
    assert await sign_in(database, address="10.9.9.9") == accounts.TOO_MANY
    await system(database, "UPDATE sign_in_attempts SET occurred_at = occurred_at - interval '16 minutes'")
    assert isinstance(await sign_in(database), str)


async def test_an_address_is_closed_to_guesses_at_many_accounts(database: Database, owner: UUID) -> None:
    assert owner
    await system(
        database,
        "INSERT INTO sign_in_attempts (key) SELECT 'address:10.0.0.1' FROM generate_series(1, :most)",
        most=accounts.MAX_PER_ADDRESS,
    )
    assert await sign_in(database, address="10.0.0.1") == accounts.TOO_MANY
    assert isinstance(await sign_in(database, address="10.0.0.2"), str)


async def test_guesses_made_at_the_same_time_count_each_other(database: Database, owner: UUID) -> None:
    assert owner
    answers = await asyncio.gather(*(sign_in(database, "a wrong guess") for _ in range(accounts.MAX_PER_ACCOUNT + 6)))
    assert sum(one == accounts.WRONG for one in answers) <= accounts.MAX_PER_ACCOUNT


async def test_a_right_password_forgives_the_wrong_ones(database: Database, owner: UUID) -> None:
    assert owner
    for _ in range(accounts.MAX_PER_ACCOUNT - 1):
        await sign_in(database, "a wrong guess")
    assert isinstance(await sign_in(database), str)
    assert await sign_in(database, "a wrong guess") == accounts.WRONG


# -- owners by command


async def test_a_new_password_ends_open_sessions(database: Database, owner: UUID) -> None:
    token = await sign_in(database)
    assert isinstance(token, str)
    assert await accounts.create_owner(database, email=EMAIL.upper(), password="another long one") == owner
    assert await accounts.who(database, token) is None
    assert await sign_in(database) == accounts.WRONG
    assert isinstance(await sign_in(database, "another long one"), str)


@pytest.mark.parametrize(
    ("email", "password", "field"),
    [
        ("ana", PASSWORD, "email"),
        ("ana@", PASSWORD, "email"),
        ("", PASSWORD, "email"),
        (EMAIL, "123456789", "password"),
        (EMAIL, "x" * 201, "password"),
    ],
)
async def test_unfit_credentials_are_refused_beside_their_field(
    database: Database, email: str, password: str, field: str
) -> None:
    answer = await accounts.create_owner(database, email=email, password=password)
    assert isinstance(answer, Refusal)
    assert answer.field == field
    assert await system(database, "SELECT count(*) FROM users") == [(0,)]


# -- roles


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.VIEWER, {"view"}),
        (Role.OPERATOR, {"view", "run_sync", "resolve_conflicts", "edit_records"}),
        (Role.ADMIN, {one.value for one in Permission} - {"manage_members"}),
        (Role.OWNER, {one.value for one in Permission}),
    ],
)
def test_what_each_role_may(role: Role, allowed: set[str]) -> None:
    assert {permission.value for permission in PERMISSIONS[role]} == allowed


async def test_a_new_role_counts_from_the_next_event_on(database: Database, home: Actor) -> None:
    token = await sign_in(database)
    assert isinstance(token, str)
    assert home.user_id is not None
    await add_member(database, home.workspace_id, Role.OWNER)
    assert await members.set_role(database, home, home.user_id, Role.VIEWER) is None
    found = await accounts.who(database, token)
    assert found is not None
    assert found.actor.role is Role.VIEWER


async def test_a_removed_member_is_out_at_once(database: Database, home: Actor) -> None:
    token = await sign_in(database)
    assert isinstance(token, str)
    assert home.user_id is not None
    other = await add_member(database, home.workspace_id, Role.OWNER)
    assert await members.remove(database, home, home.user_id) is None
    assert await accounts.who(database, token) is None
    assert code(await sign_in(database)) == "no_workspace"
    listed = await members.listed(database, home)
    assert not isinstance(listed, Refusal)
    assert [member.user_id for member in listed] == [other]
    assert "member_removed" in await audit_actions(database, home.workspace_id)


async def test_two_owners_that_demote_each_other_leave_one(database: Database, home: Actor) -> None:
    assert home.user_id is not None
    other = await add_member(database, home.workspace_id, Role.OWNER)
    answers = await asyncio.gather(
        members.set_role(database, home, other, Role.VIEWER), members.remove(database, home, home.user_id)
    )
    assert sorted(code(answer) or "done" for answer in answers) == ["done", "last_owner"]
    assert await system(database, "SELECT count(*) FROM memberships WHERE role = 'owner'") == [(1,)]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.ADMIN])
async def test_only_owners_manage_members(database: Database, home: Actor, role: Role) -> None:
    other = await add_member(database, home.workspace_id, Role.VIEWER)
    assert code(await members.set_role(database, actor_of(home.workspace_id, role), other, Role.OWNER)) == "forbidden"


async def test_a_member_of_another_workspace_is_nobody_here(database: Database, home: Actor) -> None:
    async with database.system() as session:
        elsewhere = await store.create_workspace(session, "Elsewhere")
    stranger = await add_member(database, elsewhere.id, Role.OWNER)
    assert code(await members.set_role(database, home, stranger, Role.ADMIN)) == "member_unknown"


@pytest.mark.parametrize(
    ("role", "zone", "expected"),
    [
        (Role.ADMIN, "Europe/Berlin", None),
        (Role.ADMIN, "Mars/Olympus", "time_zone_unknown"),
        (Role.ADMIN, "", "time_zone_unknown"),
        (Role.OPERATOR, "Europe/Berlin", "forbidden"),
    ],
)
async def test_the_time_zone_is_an_admins_to_set(
    database: Database, home: Actor, role: Role, zone: str, expected: str | None
) -> None:
    assert code(await members.set_time_zone(database, actor_of(home.workspace_id, role), zone)) == expected
    (workspace,) = await accounts.workspaces(database)
    assert workspace.time_zone == ("Europe/Berlin" if expected is None else "UTC")


# -- API keys


@pytest.mark.parametrize(
    ("level", "role"),
    [(KeyLevel.READ, Role.VIEWER), (KeyLevel.WRITE, Role.OPERATOR), (KeyLevel.ADMIN, Role.ADMIN)],
)
async def test_a_key_speaks_for_its_workspace_at_its_level(
    database: Database, home: Actor, level: KeyLevel, role: Role
) -> None:
    key = await api_keys.create(database, home, level=level, name="billing job")
    assert isinstance(key, str)
    found = await api_keys.verify(database, key)
    assert found is not None
    assert (found.workspace_id, found.role, found.label) == (home.workspace_id, role, "billing job")
    listed = await api_keys.listed(database, home)
    assert not isinstance(listed, Refusal)
    assert listed[0].last_used_at is not None
    assert key not in str(await system(database, "SELECT k::text FROM api_keys k"))


async def test_a_revoked_key_is_nobody(database: Database, home: Actor) -> None:
    key = await api_keys.create(database, home, level=KeyLevel.READ)
    assert isinstance(key, str)
    found = await api_keys.verify(database, key)
    assert found is not None
    assert found.api_key_id is not None
    assert await api_keys.revoke(database, home, found.api_key_id) is None
    assert await api_keys.verify(database, key) is None
    assert code(await api_keys.revoke(database, home, found.api_key_id)) == "not_found"


async def test_what_is_not_quite_a_key_is_nobody(database: Database, home: Actor) -> None:
    key = await api_keys.create(database, home, level=KeyLevel.READ)
    assert isinstance(key, str)
    made_elsewhere = api_keys._make()
    for wrong in ("", key + " ", key.upper(), key[:-8] + "00000000", made_elsewhere):
        assert await api_keys.verify(database, wrong) is None


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
async def test_keys_are_an_admins(database: Database, home: Actor, role: Role) -> None:
    low = actor_of(home.workspace_id, role)
    assert code(await api_keys.create(database, low, level=KeyLevel.ADMIN)) == "forbidden"
    assert code(await api_keys.listed(database, low)) == "forbidden"
    assert code(await api_keys.revoke(database, low, uuid4())) == "forbidden"
