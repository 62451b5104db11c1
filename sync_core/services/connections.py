"""The workspace's Stripe account: connected, examined again, its key replaced, disconnected.

A key is only ever read from what a person or the operator gives, sealed, and opened again for Stripe. Nothing here returns or logs it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final
from uuid import UUID, uuid4

import structlog

from sync_core.domain.vocabulary import EntityType
from sync_core.errors import Refusal
from sync_core.jobs.starting import NOT_CONNECTED
from sync_core.sandbox.keys import DEMO_KEY
from sync_core.services import connection_webhooks
from sync_core.services.actor import Actor, Permission
from sync_core.services.check_results import OF_KEY, OF_OURS, CheckName, CheckStatus
from sync_core.services.checks import Bound, Examined, Report, examine
from sync_core.services.connection_views import FORBIDDEN, ConnectionView, ConnectRefusal, phrase, refused, view_of
from sync_core.settings import Settings, get_settings
from sync_core.store import connection_drafts
from sync_core.store import connections as store
from sync_core.store.audit import record
from sync_core.store.connections import Identity, SealedKey, StoredConnection
from sync_core.store.crypto import Purpose, load_keyring
from sync_core.store.database import Database
from sync_core.store.rates import StoredSlots, count_reads
from sync_core.stripe_source import Governor, StripeSource, http_client

log = structlog.get_logger()

_PATIENCE_SECONDS = 10.0
_SANDBOX_KEYS = ("sk_test_sandbox", "rk_test_sandbox")
EVERY: Final = tuple(EntityType)
NOTHING_CHOSEN = Refusal(
    "entity_types_missing", "Choose at least one type that the key is to read.", field="entity_types"
)
NO_CONNECTION = Refusal("not_connected", "No Stripe account is connected.", status=404)


async def current(database: Database, actor: Actor) -> ConnectionView | None:
    async with database.workspace(actor.workspace_id) as session:
        found = await store.active(session, actor.workspace_id)
        return None if found is None else await view_of(session, actor.workspace_id, found)


async def connect(
    database: Database,
    actor: Actor,
    api_key: str,
    *,
    entity_types: Collection[EntityType] = EVERY,
    settings: Settings | None = None,
    report: Report | None = None,
) -> ConnectionView | ConnectRefusal:
    """Examine the key and keep it if it is fit to read these types, as the workspace's connection or as the present one's new key.

    The old key stays in use until the new one has passed everything. `report` hears of each check as it ends.
    """
    if not actor.can(Permission.MANAGE_CONNECTION):
        return refused(FORBIDDEN, ())
    if not entity_types:
        return refused(NOTHING_CHOSEN, ())
    return await _connect(
        database,
        actor.workspace_id,
        actor.label,
        api_key,
        entity_types=entity_types,
        settings=settings or get_settings(),
        report=report,
    )


async def connect_sandbox(
    database: Database, actor: Actor, *, settings: Settings | None = None, report: Report | None = None
) -> ConnectionView | ConnectRefusal:
    """The sandbox's ready account, where the operator offers it."""
    settings = settings or get_settings()
    if not settings.demo:
        return refused(Refusal("sandbox_off", "The sandbox is not switched on here.", status=404), ())
    return await connect(database, actor, DEMO_KEY, settings=settings, report=report)


async def connect_from_environment(
    database: Database, workspace_id: UUID, *, settings: Settings | None = None
) -> ConnectionView | ConnectRefusal | None:
    """Connect with STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRET. None when no key is set.

    A workspace that a person has connected already keeps that connection, unless the key is of the same account.
    """
    settings = settings or get_settings()
    if settings.stripe_secret_key is None or not settings.stripe_secret_key.get_secret_value().strip():
        return None
    key = settings.stripe_secret_key.get_secret_value()
    result = await _connect(
        database, workspace_id, "environment", key, entity_types=EVERY, settings=settings, report=None
    )
    if isinstance(result, Refusal):
        log.warning("connection.environment_refused", code=result.code, message=result.message)
        return result
    secret = settings.stripe_webhook_secret
    if secret is None or not secret.get_secret_value().strip():
        return result
    async with database.workspace(workspace_id) as session:
        await connection_webhooks.seal(session, workspace_id, result.id, secret.get_secret_value().strip(), settings)
    return replace(result, has_webhook_secret=True)


async def recheck(
    database: Database,
    actor: Actor,
    name: CheckName | None = None,
    *,
    settings: Settings | None = None,
    report: Report | None = None,
) -> ConnectionView | Refusal:
    """Run the checks again with the key that is kept; only `name`'s result is replaced when one is named."""
    if not actor.can(Permission.MANAGE_CONNECTION):
        return FORBIDDEN
    settings = settings or get_settings()
    async with database.workspace(actor.workspace_id) as session:
        found = await store.active(session, actor.workspace_id)
    if found is None:
        return NOT_CONNECTED
    key = store.reveal_key(actor.workspace_id, found.id, found.key_ciphertext, settings)
    new: dict[str, Any] = {}
    if name not in OF_OURS:
        examined = await _examine(
            database,
            key,
            settings,
            is_sandbox=found.is_sandbox,
            bound=_bound(found),
            report=report,
            only=name,
            wanted=read_by(found.entity_types),
            by=actor.label,
        )
        new = {check.name.value: check.to_json() for check in examined.checks}
    kept = {check["name"]: check for check in found.checks} | new
    async with database.workspace(actor.workspace_id) as session:
        await store.save_checks(session, actor.workspace_id, found, [kept[one] for one in OF_KEY if one in kept])
        if _works(new):
            await store.forget_former(session, actor.workspace_id, found.id, found.key_fingerprint)
        again = await store.active(session, actor.workspace_id)
        if again is None:
            return NOT_CONNECTED
        view = await view_of(session, actor.workspace_id, again)
    if report is not None:
        _report_ours(view, report, name)
    return view


def _report_ours(view: ConnectionView, report: Report, only: CheckName | None = None) -> None:
    for check in view.checks:
        if check.name in OF_OURS and only in (None, check.name):
            report(check)


def _works(new: Mapping[str, Any]) -> bool:
    """Whether everything that a sync needs of the key has just been read with it."""
    permissions = new.get(CheckName.PERMISSIONS.value)
    return permissions is not None and permissions["status"] == CheckStatus.PASSED


async def disconnect(database: Database, actor: Actor, confirmation: str) -> Refusal | None:
    """Forget the key. Records, history and conflicts stay. `confirmation` must be the connection's own."""
    if not actor.can(Permission.MANAGE_CONNECTION):
        return FORBIDDEN
    async with database.workspace(actor.workspace_id) as session:
        await store.lock(session, actor.workspace_id)
        found = await store.active(session, actor.workspace_id)
        if found is None:
            return NOT_CONNECTED
        wanted = phrase(found)
        if confirmation.strip() != wanted:
            return Refusal("confirmation_mismatch", f"Type “{wanted}” to disconnect.", field="confirmation")
        if await store.open_run(session, actor.workspace_id) is not None:
            return Refusal("sync_running", "A sync is running on this connection. Cancel it first.", status=409)
        await store.disconnect(session, actor.workspace_id, found.id)
        details = {"account_id": found.account_id, "livemode": found.livemode}
        await record(
            session, actor.workspace_id, actor.label, "connection.disconnected", target=str(found.id), details=details
        )
    return None


@asynccontextmanager
async def open_source(
    database: Database, workspace_id: UUID, connection: StoredConnection, *, settings: Settings | None = None
) -> AsyncIterator[StripeSource]:
    """The connection's account, for a few questions beside a run: under the same limits, but with little patience."""
    settings = settings or get_settings()
    key = store.reveal_key(workspace_id, connection.id, connection.key_ciphertext, settings)
    governor = Governor(
        StoredSlots(database, meter=connection.account_id),
        account=connection.account_id,
        mode="live" if connection.livemode else "test",
        cap_share=settings.rate_cap_share,
        unlimited=settings.rate_unlimited,
    )
    base = store.base_url(settings, is_sandbox=connection.is_sandbox)
    try:
        async with http_client() as http:
            yield StripeSource(api_key=key, base_url=base, http=http, governor=governor, patience=_PATIENCE_SECONDS)
    finally:
        await governor.close()


async def examined(
    database: Database,
    workspace_id: UUID,
    key: str,
    *,
    entity_types: Collection[EntityType],
    by: str,
    settings: Settings,
    report: Report | None = None,
) -> Examined:
    """What the checks find of a key, beside what this workspace is connected to. Nothing is kept."""
    async with database.workspace(workspace_id) as session:
        before = await store.active(session, workspace_id)
    is_sandbox = _is_sandbox(key, settings)
    return await _examine(
        database,
        key,
        settings,
        is_sandbox=is_sandbox,
        bound=_bound(before),
        report=report,
        wanted=read_by(entity_types),
        by=by,
    )


def read_by(entity_types: Collection[str]) -> tuple[EntityType, ...]:
    """In their order, which is that of dependence."""
    return tuple(entity for entity in EntityType if entity.value in entity_types)


def _is_sandbox(key: str, settings: Settings) -> bool:
    return settings.demo and key.startswith(_SANDBOX_KEYS)


async def _connect(
    database: Database,
    workspace_id: UUID,
    label: str,
    api_key: str,
    *,
    entity_types: Collection[EntityType],
    settings: Settings,
    report: Report | None,
) -> ConnectionView | ConnectRefusal:
    key = api_key.strip()
    found = await examined(
        database, workspace_id, key, entity_types=entity_types, by=label, settings=settings, report=report
    )
    if found.refusal is not None:
        return refused(found.refusal, found.checks)
    is_sandbox = _is_sandbox(key, settings)
    kept = await _keep(
        database,
        workspace_id,
        label,
        key,
        found,
        entity_types=read_by(entity_types),
        is_sandbox=is_sandbox,
        settings=settings,
    )
    if report is not None and isinstance(kept, ConnectionView):
        _report_ours(kept, report)
    return kept


async def _examine(
    database: Database,
    key: str,
    settings: Settings,
    *,
    is_sandbox: bool,
    bound: Bound | None,
    report: Report | None,
    only: CheckName | None = None,
    wanted: tuple[EntityType, ...],
    by: str,
) -> Examined:
    async with http_client() as http:
        examined = await examine(
            key,
            base_url=store.base_url(settings, is_sandbox=is_sandbox),
            http=http,
            bound=bound,
            report=report,
            only=only,
            wanted=wanted,
            by=by,
        )
    # One check by itself may not have asked whose the key is.
    known = bound.account_id if bound is not None and only is not None else None
    account_id = examined.account.id if examined.account is not None else known
    if account_id is not None and examined.requests:
        await count_reads(database, account_id, examined.requests)
    return examined


async def _keep(
    database: Database,
    workspace_id: UUID,
    label: str,
    key: str,
    examined: Examined,
    *,
    entity_types: tuple[EntityType, ...],
    is_sandbox: bool,
    settings: Settings,
) -> ConnectionView | ConnectRefusal:
    """Once more under a lock: somebody may have connected another account while this key was examined."""
    identity = _identity(examined, is_sandbox=is_sandbox)
    async with database.workspace(workspace_id) as session:
        await store.lock(session, workspace_id)
        before = await store.active(session, workspace_id)
        if before is not None and not _same_account(before, identity):
            message = f"Meanwhile this workspace was connected to {before.account_name or before.account_id}."
            raced = Refusal("account_differs", f"{message} Disconnect that first.", field="api_key", status=409)
            return refused(raced, examined.checks)
        former = None if before is not None else await store.former(session, workspace_id, identity)
        connection_id = before.id if before is not None else former or uuid4()
        sealed = _sealed(key, examined, workspace_id, connection_id, settings)
        checks = [check.to_json() for check in examined.checks]
        types = [entity.value for entity in entity_types]
        await store.save(
            session, workspace_id, connection_id, identity=identity, key=sealed, checks=checks, entity_types=types
        )
        await connection_drafts.drop(session, workspace_id)
        action = "connection.key_replaced" if before is not None else "connection.connected"
        details = {"account_id": identity.account_id, "livemode": identity.livemode, "last4": sealed.last4}
        details["entity_types"] = types
        await record(session, workspace_id, label, action, target=str(connection_id), details=details)
        found = await store.active(session, workspace_id)
        if found is None:
            raise LookupError(f"connection {connection_id} vanished in its own transaction")
        return await view_of(session, workspace_id, found)


def _identity(examined: Examined, *, is_sandbox: bool) -> Identity:
    account, key = examined.account, examined.key
    if account is None or key is None:
        raise ValueError("an examination without an account is a refusal")
    return Identity(
        account_id=account.id,
        account_name=account.display_name,
        country=account.country,
        default_currency=account.default_currency,
        account_created=account.created,
        livemode=key.mode == "live",
        is_sandbox=is_sandbox,
    )


def _same_account(before: StoredConnection, identity: Identity) -> bool:
    return (before.account_id, before.livemode, before.is_sandbox) == (
        identity.account_id,
        identity.livemode,
        identity.is_sandbox,
    )


def _sealed(key: str, examined: Examined, workspace_id: UUID, connection_id: UUID, settings: Settings) -> SealedKey:
    info = examined.key
    if info is None:
        raise ValueError("an examination without a key is a refusal")
    ciphertext = load_keyring(settings).seal(
        key, workspace_id=workspace_id, connection_id=connection_id, purpose=Purpose.API_KEY
    )
    return SealedKey(info.kind, info.last4, info.fingerprint, ciphertext)


def _bound(found: StoredConnection | None) -> Bound | None:
    return None if found is None else Bound(found.account_id, found.account_name, found.livemode)
