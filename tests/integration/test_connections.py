"""Keys as people bring them: kept, refused with a reason beside the field, replaced, forgotten."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from uuid import UUID

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from sync_core.domain.vocabulary import EntityType, Role, SessionStatus
from sync_core.errors import Refusal
from sync_core.jobs import child
from sync_core.sandbox.keys import DEMO_KEY
from sync_core.sandbox.launch import SandboxProcess
from sync_core.services import checks, connection_webhooks, connections, sessions
from sync_core.services.check_results import OF_KEY, Check, CheckName, CheckStatus
from sync_core.services.connection_views import ConnectionView, ConnectRefusal
from sync_core.services.session_views import SessionView
from sync_core.services.start_request import StartRequest
from sync_core.settings import Settings
from sync_core.store import connections as store
from sync_core.store.crypto import Purpose, load_keyring
from sync_core.store.database import Database
from tests.conftest import make_workspace
from tests.services import KEY, SANDBOX_KEY, actor_of, audit_actions, settings_for, small_sandbox
from tests.support import config, enqueue, make_connection, rows


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with small_sandbox() as running:
        yield running


@pytest.fixture
def settings(sandbox: SandboxProcess, tmp_path: Path) -> Settings:
    return settings_for(sandbox, tmp_path)


async def connected(database: Database, workspace_id: UUID, settings: Settings, key: str = KEY) -> ConnectionView:
    view = await connections.connect(database, actor_of(workspace_id), key, settings=settings)
    assert isinstance(view, ConnectionView)
    return view


async def count(database: Database, workspace_id: UUID) -> int:
    async with database.workspace(workspace_id) as session:
        found: int = (await session.execute(text("SELECT count(*) FROM payment_connections"))).scalar_one()
        return found


async def test_a_good_key_is_kept_and_never_shown(database: Database, workspace_id: UUID, settings: Settings) -> None:
    heard: list[Check] = []
    view = await connections.connect(
        database, actor_of(workspace_id), f"  {KEY}\n", settings=settings, report=heard.append
    )

    assert isinstance(view, ConnectionView)
    assert (view.account_name, view.mode, view.key_last4) == ("Sandbox Industries", "test", KEY[-4:])
    assert not view.is_sandbox
    assert [check.name for check in view.checks] == list(CheckName)
    assert all(check.status is CheckStatus.PASSED for check in view.checks if check.name in OF_KEY)
    assert [check.name for check in heard] == list(CheckName)
    assert KEY not in json.dumps(view.to_json())
    assert await connections.current(database, actor_of(workspace_id)) == view
    async with database.workspace(workspace_id) as session:
        stored = await store.active(session, workspace_id)
    assert stored is not None
    assert KEY.encode() not in stored.key_ciphertext
    assert store.reveal_key(workspace_id, stored.id, stored.key_ciphertext, settings) == KEY
    assert await audit_actions(database, workspace_id) == ["connection.connected"]


@pytest.mark.parametrize(
    ("key", "code", "says"),
    [
        pytest.param("", "key_missing", "Paste", id="empty"),
        pytest.param("hello", "key_malformed", "not a Stripe key", id="not a key"),
        pytest.param("pk_test_0123456789abcdef", "publishable_key", "publishable", id="publishable"),
        pytest.param("whsec_0123456789abcdef", "webhook_secret", "signing secret", id="webhook secret"),
        pytest.param("sk_test_invalid_0123456789", "key_not_accepted", "wrong, or it was revoked", id="wrong"),
        pytest.param("sk_test_revoked_0123456789", "key_not_accepted", "revoked", id="revoked"),
        pytest.param("sk_test_expired_0123456789", "key_expired", "expired", id="expired"),
        pytest.param("rk_test_no_invoices_01234567", "permission_missing", "rak_invoice_read", id="no invoices"),
        pytest.param("rk_test_no_prices_01234567", "permission_missing", "rak_plan_read", id="no prices"),
        pytest.param("sk_test_no_customers_0123456", "permission_missing", "rak_customer_read", id="secret, limited"),
    ],
)
async def test_a_bad_key_is_refused_and_changes_nothing(
    database: Database, workspace_id: UUID, settings: Settings, *, key: str, code: str, says: str
) -> None:
    refused = await connections.connect(database, actor_of(workspace_id), key, settings=settings)

    assert isinstance(refused, ConnectRefusal)
    assert (refused.code, refused.field) == (code, "api_key")
    assert 400 <= refused.status < 500
    assert says in refused.message
    assert [check.name for check in refused.checks if check.failed]
    assert not key or key not in json.dumps(asdict(refused))
    assert await count(database, workspace_id) == 0


async def test_what_a_key_lacks_is_named_by_entity(database: Database, workspace_id: UUID, settings: Settings) -> None:
    refused = await connections.connect(
        database, actor_of(workspace_id), "rk_test_no_invoices_no_customers_1", settings=settings
    )

    assert isinstance(refused, ConnectRefusal)
    permissions = next(check for check in refused.checks if check.name is CheckName.PERMISSIONS)
    assert {part.entity_type: part.permission for part in permissions.parts if not part.ok} == {
        EntityType.CUSTOMERS: "rak_customer_read",
        EntityType.INVOICES: "rak_invoice_read",
    }


async def test_a_key_needs_only_what_it_is_to_read(database: Database, workspace_id: UUID, settings: Settings) -> None:
    actor, lacking = actor_of(workspace_id), "rk_test_no_invoices_no_customers_1"
    wanted = (EntityType.PRICES, EntityType.PRODUCTS)

    view = await connections.connect(database, actor, lacking, entity_types=wanted, settings=settings)
    again = await connections.recheck(database, actor, CheckName.PERMISSIONS, settings=settings)
    more = await connections.connect(
        database, actor, lacking, entity_types=[*wanted, EntityType.INVOICES], settings=settings
    )
    none = await connections.connect(database, actor, lacking, entity_types=(), settings=settings)

    for one in (view, again):
        assert isinstance(one, ConnectionView)
        assert one.entity_types == (EntityType.PRODUCTS, EntityType.PRICES)
        found = next(check for check in one.checks if check.name is CheckName.PERMISSIONS)
        assert (found.status, found.message) == (CheckStatus.PASSED, "May read products and prices.")
        assert [part.entity_type for part in found.parts] == [EntityType.PRODUCTS, EntityType.PRICES]
    assert isinstance(more, ConnectRefusal)
    assert "rak_invoice_read" in more.message
    assert isinstance(none, ConnectRefusal)
    assert none.field == "entity_types"
    assert await connections.current(database, actor) == again


async def test_what_a_check_found_is_kept_with_when_by_whom_and_by_which_requests(
    database: Database, workspace_id: UUID, settings: Settings
) -> None:
    view = await connected(database, workspace_id, settings)
    ben = actor_of(workspace_id, Role.ADMIN, "ben@example.com")
    again = await connections.recheck(database, ben, CheckName.CLOCK, settings=settings)

    assert isinstance(again, ConnectionView)
    of_key = {check.name: check for check in again.checks if check.name in OF_KEY}
    assert {name for name, check in of_key.items() if check.checked_by != view.checks[0].checked_by} == {
        CheckName.CLOCK
    }
    assert of_key[CheckName.CLOCK].checked_by == "ben@example.com"
    assert all(check.checked_at for check in of_key.values())
    asked = {CheckName.REACHABLE, CheckName.ACCEPTED, CheckName.ACCOUNT, CheckName.VERSION, CheckName.CLOCK}
    assert {name for name, check in of_key.items() if (check.request_id or "").startswith("req_")} == asked
    parts = [part.request_id for part in of_key[CheckName.PERMISSIONS].parts]
    assert len(set(parts)) == len(EntityType)


async def test_a_key_that_may_not_read_its_account_is_still_known_by_it(
    database: Database, workspace_id: UUID, settings: Settings
) -> None:
    whole = await connected(database, workspace_id, settings)
    limited = await connected(database, workspace_id, settings, "rk_test_no_account_0123456")

    assert limited.account_id == whole.account_id
    assert limited.account_name == whole.account_name


@pytest.mark.parametrize(
    ("key", "code"),
    [
        pytest.param("sk_test_acct2_0123456789", "account_differs", id="another account"),
        pytest.param("sk_live_ours_0123456789ab", "mode_differs", id="another mode"),
    ],
)
async def test_another_account_or_mode_is_refused_until_disconnected(
    database: Database, workspace_id: UUID, settings: Settings, key: str, code: str
) -> None:
    before = await connected(database, workspace_id, settings)

    refused = await connections.connect(database, actor_of(workspace_id), key, settings=settings)

    assert isinstance(refused, ConnectRefusal)
    assert (refused.code, refused.status, refused.field) == (code, 409, "api_key")
    if code == "account_differs":
        assert before.account_id in refused.message
        assert refused.message.count("acct_") == 2
    else:
        assert "live key" in refused.message
        assert "test mode" in refused.message
    assert await connections.current(database, actor_of(workspace_id)) == before

    assert await connections.disconnect(database, actor_of(workspace_id), before.confirmation) is None
    after = await connected(database, workspace_id, settings, key)
    assert after.id != before.id


async def test_a_new_key_of_the_same_account_replaces_the_old_one(
    database: Database, workspace_id: UUID, settings: Settings
) -> None:
    before = await connected(database, workspace_id, settings)
    unfit = await connections.connect(database, actor_of(workspace_id), "rk_test_no_prices_01234567", settings=settings)
    kept = await connections.current(database, actor_of(workspace_id))
    after = await connected(database, workspace_id, settings, "sk_test_rolled_0123456789zz")

    assert isinstance(unfit, Refusal)
    assert kept == before
    assert after.id == before.id
    assert (after.key_last4, after.key_kind) == ("89zz", "secret")
    scope = next(check for check in after.checks if check.name is CheckName.SCOPE)
    assert scope.status is CheckStatus.WARNING
    assert await audit_actions(database, workspace_id) == ["connection.connected", "connection.key_replaced"]


async def test_disconnecting_needs_the_phrase_and_forgets_the_key(
    database: Database, workspace_id: UUID, settings: Settings
) -> None:
    view = await connected(database, workspace_id, settings)
    mistyped = await connections.disconnect(database, actor_of(workspace_id), "yes")
    assert isinstance(mistyped, Refusal)
    assert mistyped.field == "confirmation"

    assert await connections.disconnect(database, actor_of(workspace_id), view.confirmation) is None

    assert await connections.current(database, actor_of(workspace_id)) is None
    async with database.workspace(workspace_id) as session:
        left = (await session.execute(text("SELECT key_ciphertext FROM payment_connections"))).scalars().all()
    assert [bytes(one) for one in left] == [b""]
    again = await connected(database, workspace_id, settings)
    assert again.id == view.id


async def test_another_workspace_of_the_account_is_told_as_a_yes_and_no_more(
    database: Database, workspace_id: UUID, settings: Settings
) -> None:
    """Only to who holds a key of the account: neither to who has one of another, nor to who was refused, nor to who guesses an id."""
    theirs = await make_workspace(database, "Rival Holdings")
    stranger = await make_workspace(database, "Stranger")
    alone = await connected(database, workspace_id, settings)
    second = await connected(database, theirs, settings, "sk_test_theirs_0123456789zz")
    other = await connected(database, stranger, settings, "sk_test_acct2_0123456789")
    refused = await connections.connect(database, actor_of(stranger), KEY, settings=settings)
    heard: list[Check] = []
    first = await connections.recheck(
        database, actor_of(workspace_id), CheckName.SHARED, settings=settings, report=heard.append
    )

    assert isinstance(first, ConnectionView)
    assert isinstance(refused, ConnectRefusal)
    assert second.account_id == first.account_id
    assert [shared(one).status for one in (alone, second, first, other)] == [
        CheckStatus.PASSED,
        CheckStatus.WARNING,
        CheckStatus.WARNING,
        CheckStatus.PASSED,
    ]
    assert heard == [shared(first)]
    told = json.dumps(first.to_json())
    assert not [hint for hint in ("Rival", str(theirs), str(second.id), second.key_last4, "theirs") if hint in told]
    assert CheckName.SHARED not in {check.name for check in refused.checks}
    assert await is_elsewhere(database, workspace_id, alone.id)
    assert not await is_elsewhere(database, stranger, alone.id), (
        "a stranger who knows the connection's id learns nothing by it"
    )

    assert await connections.disconnect(database, actor_of(theirs), second.confirmation) is None
    again = await connections.current(database, actor_of(workspace_id))
    assert again is not None
    assert shared(again).status is CheckStatus.PASSED


def shared(view: ConnectionView) -> Check:
    return next(check for check in view.checks if check.name is CheckName.SHARED)


async def is_elsewhere(database: Database, workspace_id: UUID, connection_id: UUID) -> bool:
    async with database.workspace(workspace_id) as session:
        return await store.is_elsewhere(session, connection_id)


async def test_another_mode_of_the_account_and_the_sandbox_are_others(database: Database, workspace_id: UUID) -> None:
    found = {}
    made = {name: await make_workspace(database, name) for name in ("live", "sandbox", "same")}
    ids = {"first": await make_connection(database, workspace_id)}
    for name, columns in (("live", "livemode = true"), ("sandbox", "is_sandbox = false"), ("same", "livemode = false")):
        ids[name] = await make_connection(database, made[name])
        await rows(database, made[name], f"UPDATE payment_connections SET {columns} RETURNING id")
        found[name] = await is_elsewhere(database, workspace_id, ids["first"])
    assert found == {"live": False, "sandbox": False, "same": True}

    async with database.system() as session:
        await session.execute(text("DELETE FROM workspaces WHERE id = :id"), {"id": made["same"]})
    assert not await is_elsewhere(database, workspace_id, ids["first"])


async def test_a_connection_in_use_is_not_disconnected(
    database: Database, workspace_id: UUID, settings: Settings
) -> None:
    view = await connected(database, workspace_id, settings)
    await enqueue(database, workspace_id, config())

    refused = await connections.disconnect(database, actor_of(workspace_id), view.confirmation)

    assert isinstance(refused, Refusal)
    assert (refused.code, refused.status) == ("sync_running", 409)


async def test_checks_run_again_one_by_one(
    database: Database, workspace_id: UUID, settings: Settings, sandbox: SandboxProcess
) -> None:
    view = await connected(database, workspace_id, settings)
    sandbox.settings(skew_seconds=-600)
    try:
        clock = await connections.recheck(database, actor_of(workspace_id), CheckName.CLOCK, settings=settings)
        heard: list[Check] = []
        every = await connections.recheck(database, actor_of(workspace_id), settings=settings, report=heard.append)
    finally:
        sandbox.settings(skew_seconds=0)

    assert isinstance(clock, ConnectionView)
    assert isinstance(every, ConnectionView)
    changed = [new.name for old, new in zip(view.checks, clock.checks, strict=True) if old.status != new.status]
    assert changed == [CheckName.CLOCK]
    assert "ahead of" in next(check for check in clock.checks if check.name is CheckName.CLOCK).message
    assert [check.name for check in heard] == list(CheckName)


@pytest.mark.parametrize(
    ("name", "key", "says"),
    [
        pytest.param(CheckName.KEY_FORMAT, "pk_test_0123456789abcdef", "publishable", id="format"),
        pytest.param(CheckName.ACCEPTED, "sk_test_revoked_0123456789", "revoked", id="accepted"),
        pytest.param(CheckName.ACCOUNT, "sk_test_acct2_0123456789", "belongs to", id="account"),
        pytest.param(CheckName.MODE, "sk_live_ours_0123456789ab", "in test mode", id="mode"),
        pytest.param(CheckName.PERMISSIONS, "rk_test_no_invoices_01234567", "rak_invoice_read", id="permissions"),
    ],
)
async def test_a_check_by_itself_fails_with_its_reason_and_passes_again(
    *, database: Database, workspace_id: UUID, settings: Settings, name: CheckName, key: str, says: str
) -> None:
    """What was kept has gone bad since; the other checks' results stay as they were."""
    view = await connected(database, workspace_id, settings)
    for kept, status in ((key, CheckStatus.FAILED), (KEY, CheckStatus.PASSED)):
        sealed = load_keyring(settings).seal(
            kept, workspace_id=workspace_id, connection_id=view.id, purpose=Purpose.API_KEY
        )
        async with database.workspace(workspace_id) as session:
            await session.execute(text("UPDATE payment_connections SET key_ciphertext = :sealed"), {"sealed": sealed})

        again = await connections.recheck(database, actor_of(workspace_id), name, settings=settings)

        assert isinstance(again, ConnectionView)
        changed = {new.name for old, new in zip(view.checks, again.checks, strict=True) if old.status != new.status}
        found = next(check for check in again.checks if check.name is name)
        assert (found.status, changed) == (status, {name} if status is CheckStatus.FAILED else set())
        assert status is CheckStatus.PASSED or says in found.message


async def metered(database: Database) -> int:
    async with database.system() as session:
        found = await session.execute(text("SELECT coalesce(sum(reads), 0) FROM payment_sync_read_meter"))
        return int(found.scalar_one())


LISTS = [f"GET /v1/{entity.value}" for entity in EntityType]


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        pytest.param(CheckName.KEY_FORMAT, [], id="format"),
        pytest.param(CheckName.REACHABLE, ["GET /v1/account"], id="reachable"),
        pytest.param(CheckName.ACCEPTED, ["GET /v1/account"], id="accepted"),
        pytest.param(CheckName.ACCOUNT, ["GET /v1/account"], id="account"),
        pytest.param(CheckName.MODE, [], id="mode"),
        pytest.param(CheckName.PERMISSIONS, LISTS, id="permissions"),
        pytest.param(CheckName.VERSION, LISTS[:1], id="version"),
        pytest.param(CheckName.CLOCK, LISTS[:1], id="clock"),
        pytest.param(CheckName.SCOPE, [], id="scope"),
        pytest.param(CheckName.SHARED, [], id="shared"),
        pytest.param(CheckName.WEBHOOK, [], id="webhook"),
    ],
)
async def test_one_check_asks_stripe_no_more_than_it_needs(
    database: Database,
    workspace_id: UUID,
    settings: Settings,
    sandbox: SandboxProcess,
    name: CheckName,
    asked: list[str],
) -> None:
    before = await connected(database, workspace_id, settings)
    made = await metered(database)
    sandbox.reset_stats()
    heard: list[Check] = []
    after = await connections.recheck(database, actor_of(workspace_id), name, settings=settings, report=heard.append)

    assert sandbox.stats()["requests_by_endpoint"] == dict.fromkeys(asked, 1)
    assert [check.name for check in heard] == [name]
    assert isinstance(after, ConnectionView)
    assert [(check.name, check.status) for check in after.checks] == [(one.name, one.status) for one in before.checks]
    assert await metered(database) == made + len(asked)


async def test_the_version_that_stripe_answers_in_is_looked_at(
    database: Database, workspace_id: UUID, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = await connected(database, workspace_id, settings)
    monkeypatch.setattr(checks, "STRIPE_VERSION", "2999-01-01.quartz")
    later = await connections.recheck(database, actor_of(workspace_id), CheckName.VERSION, settings=settings)

    assert isinstance(later, ConnectionView)
    before, after = (
        next(check for check in found.checks if check.name is CheckName.VERSION) for found in (view, later)
    )
    assert (before.status, after.status) == (CheckStatus.PASSED, CheckStatus.WARNING)
    assert "Asked for 2999-01-01.quartz" in after.message


async def test_the_sandbox_is_there_in_a_demo_only(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess, tmp_path: Path
) -> None:
    actor = actor_of(workspace_id)
    off = settings_for(sandbox, tmp_path)
    on = settings_for(sandbox, tmp_path, demo=True, stripe_api_base="http://127.0.0.1:9")

    refused = await connections.connect_sandbox(database, actor, settings=off)
    ready = await connections.connect_sandbox(database, actor, settings=on)
    pasted = await connections.connect(database, actor, SANDBOX_KEY, settings=on)

    assert isinstance(refused, ConnectRefusal)
    assert refused.code == "sandbox_off"
    assert isinstance(ready, ConnectionView)
    assert isinstance(pasted, ConnectionView)
    assert (ready.is_sandbox, pasted.is_sandbox) == (True, True)
    assert ready.key_last4 == DEMO_KEY[-4:]
    assert pasted.id == ready.id


async def test_a_stripe_that_does_not_answer_is_said(database: Database, workspace_id: UUID, tmp_path: Path) -> None:
    nowhere = Settings(_env_file=None, stripe_api_base="http://127.0.0.1:9", data_dir=tmp_path)

    refused = await connections.connect(database, actor_of(workspace_id), KEY, settings=nowhere)

    assert isinstance(refused, ConnectRefusal)
    assert (refused.code, refused.status) == ("stripe_unreachable", 502)
    assert ".." not in refused.message


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
async def test_only_admins_change_the_connection(
    database: Database, workspace_id: UUID, settings: Settings, role: Role
) -> None:
    view = await connected(database, workspace_id, settings)
    actor = actor_of(workspace_id, role)

    answers = [
        await connections.connect(database, actor, KEY, settings=settings),
        await connections.recheck(database, actor, settings=settings),
        await connections.disconnect(database, actor, view.confirmation),
        await connection_webhooks.set_secret(database, actor, "whsec_0123456789", settings=settings),
    ]

    assert [one.status for one in answers if isinstance(one, Refusal)] == [403] * 4
    assert await connections.current(database, actor) == view


async def test_webhook_secrets_are_sealed(database: Database, workspace_id: UUID, settings: Settings) -> None:
    actor = actor_of(workspace_id)
    await connected(database, workspace_id, settings)
    wrong = await connection_webhooks.set_secret(database, actor, KEY, settings=settings)
    right = await connection_webhooks.set_secret(database, actor, " whsec_0123456789 ", settings=settings)

    assert isinstance(wrong, Refusal)
    assert wrong.field == "webhook_secret"
    assert isinstance(right, ConnectionView)
    assert right.has_webhook_secret
    assert await connection_webhooks.secrets(database, workspace_id, settings=settings) == ["whsec_0123456789"]
    other = await make_workspace(database, "Other")
    assert await connection_webhooks.secrets(database, other, settings=settings) == []


@pytest.mark.parametrize(
    ("secret", "events", "status", "says"),
    [
        pytest.param("", [], CheckStatus.SKIPPED, "No signing secret", id="not set up"),
        pytest.param("whsec_0123456789", [], CheckStatus.WARNING, "no event has come yet", id="nothing came"),
        pytest.param(
            "whsec_0123456789",
            [("3 hours", "customer.updated"), ("9 days", "price.created")],
            CheckStatus.PASSED,
            "The last event came 3 hours ago: customer.updated.",
            id="events came",
        ),
        pytest.param(
            "whsec_0123456789", [("5 s", "ping")], CheckStatus.PASSED, "less than a minute ago: ping", id="just now"
        ),
    ],
)
async def test_whether_webhooks_come_is_among_the_checks(
    database: Database,
    workspace_id: UUID,
    settings: Settings,
    *,
    secret: str,
    events: list[tuple[str, str]],
    status: CheckStatus,
    says: str,
) -> None:
    actor = actor_of(workspace_id)
    await connected(database, workspace_id, settings)
    await connection_webhooks.set_secret(database, actor, secret, settings=settings)
    async with database.workspace(workspace_id) as session:
        for age, kind in events:
            await session.execute(
                text(
                    "INSERT INTO payment_webhook_inbox (workspace_id, event_id, event_type, payload, received_at)"
                    " VALUES (:w, :id, :kind, '{}', now() - CAST(:age AS interval))"
                ),
                {"w": workspace_id, "id": f"evt_{kind}", "kind": kind, "age": age},
            )
    view = await connections.recheck(database, actor, CheckName.WEBHOOK, settings=settings)

    assert isinstance(view, ConnectionView)
    found = view.checks[-1]
    assert (found.name, found.status) == (CheckName.WEBHOOK, status)
    assert says in found.message


ROLLED = "sk_test_rolled_0123456789zz"


async def former_of(database: Database, workspace_id: UUID) -> str | None:
    view = await connections.current(database, actor_of(workspace_id))
    assert view is not None
    return view.former_last4


async def test_the_key_before_stays_until_the_new_one_has_worked_in_a_sync(
    database: Database, workspace_id: UUID, settings: Settings
) -> None:
    await connected(database, workspace_id, settings)
    after = await connected(database, workspace_id, settings, ROLLED)
    kept = await former_of(database, workspace_id)
    ended = await run_to_its_end(database, workspace_id, settings)

    assert (after.key_last4, kept) == (ROLLED[-4:], KEY[-4:])
    assert ended == SessionStatus.COMPLETED
    assert await former_of(database, workspace_id) is None


async def test_a_sync_goes_on_with_the_key_before_where_the_new_one_does_not_work(
    database: Database, workspace_id: UUID, settings: Settings
) -> None:
    """It was fit when it came, and was revoked since."""
    await connected(database, workspace_id, settings)
    view = await connected(database, workspace_id, settings, ROLLED)
    sealed = load_keyring(settings).seal(
        "sk_test_revoked_0123456789", workspace_id=workspace_id, connection_id=view.id, purpose=Purpose.API_KEY
    )
    async with database.workspace(workspace_id) as session:
        await session.execute(text("UPDATE payment_connections SET key_ciphertext = :key"), {"key": sealed})

    assert await run_to_its_end(database, workspace_id, settings) == SessionStatus.COMPLETED
    assert await former_of(database, workspace_id) == KEY[-4:]
    assert "connection.former_key_used" in await audit_actions(database, workspace_id)


@pytest.mark.parametrize(
    ("then", "left"),
    [
        pytest.param([ROLLED], KEY[-4:], id="once"),
        pytest.param([ROLLED, ROLLED], KEY[-4:], id="the same again"),
        pytest.param([ROLLED, "sk_test_third_0123456789yy"], KEY[-4:], id="twice before it worked"),
        pytest.param([ROLLED, KEY], None, id="back to the one before"),
        pytest.param([KEY], None, id="the very same"),
    ],
)
async def test_what_is_kept_is_the_last_key_that_worked(
    database: Database, workspace_id: UUID, settings: Settings, then: list[str], left: str | None
) -> None:
    for key in [KEY, *then]:
        await connected(database, workspace_id, settings, key)
    assert await former_of(database, workspace_id) == left


@pytest.mark.parametrize(
    ("name", "left"),
    [
        pytest.param(None, None, id="all"),
        pytest.param(CheckName.PERMISSIONS, None, id="everything is read"),
        pytest.param(CheckName.CLOCK, KEY[-4:], id="a part is read"),
        pytest.param(CheckName.SCOPE, KEY[-4:], id="nothing is asked"),
    ],
)
async def test_a_check_that_reads_everything_shows_that_the_new_key_works(
    database: Database, workspace_id: UUID, settings: Settings, name: CheckName | None, left: str | None
) -> None:
    await connected(database, workspace_id, settings)
    await connected(database, workspace_id, settings, ROLLED)
    await connections.recheck(database, actor_of(workspace_id), name, settings=settings)
    assert await former_of(database, workspace_id) == left


async def test_disconnecting_forgets_the_key_before_too(
    database: Database, workspace_id: UUID, settings: Settings
) -> None:
    await connected(database, workspace_id, settings)
    view = await connected(database, workspace_id, settings, ROLLED)
    await connections.disconnect(database, actor_of(workspace_id), view.confirmation)
    async with database.workspace(workspace_id) as session:
        left = await session.execute(
            text("SELECT former_ciphertext, former_last4, former_fingerprint FROM payment_connections")
        )
    assert left.one() == (None, None, None)


async def run_to_its_end(database: Database, workspace_id: UUID, settings: Settings) -> str:
    """As the server starts it, in this process."""
    started = await sessions.start(database, actor_of(workspace_id), StartRequest(entity_types=(EntityType.PRODUCTS,)))
    assert isinstance(started, SessionView)
    await child.run_once(database, settings, started.id)
    ended = await sessions.get(database, actor_of(workspace_id), started.id)
    assert isinstance(ended, SessionView)
    return ended.status


async def test_the_environment_connects_the_first_workspace(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess, tmp_path: Path
) -> None:
    unset = await connections.connect_from_environment(database, workspace_id, settings=settings_for(sandbox, tmp_path))
    given = settings_for(
        sandbox, tmp_path, stripe_secret_key=SecretStr(KEY), stripe_webhook_secret=SecretStr("whsec_0123456789")
    )
    first = await connections.connect_from_environment(database, workspace_id, settings=given)
    again = await connections.connect_from_environment(database, workspace_id, settings=given)

    assert unset is None
    assert isinstance(first, ConnectionView)
    assert isinstance(again, ConnectionView)
    assert first.has_webhook_secret
    assert again.id == first.id


async def test_workspaces_do_not_see_each_other(database: Database, workspace_id: UUID, settings: Settings) -> None:
    other = await make_workspace(database, "Other")
    await connected(database, workspace_id, settings)

    assert await connections.current(database, actor_of(other)) is None
    theirs = await connected(database, other, settings, "sk_test_acct2_0123456789")
    assert theirs.id != (await connected(database, workspace_id, settings)).id
