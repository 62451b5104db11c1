"""A connection that is begun and left for later: while somebody else sets a permission, or looks for the key.

It keeps what was given and chosen, and what the checks found. A key is sealed as a connection's is. After a week it is forgotten.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID, uuid4

from sync_core.domain.vocabulary import EntityType
from sync_core.errors import ConfigError, Refusal
from sync_core.services import connections
from sync_core.services.actor import Actor, Permission
from sync_core.services.check_results import Check
from sync_core.services.checks import Report
from sync_core.services.connection_views import ConnectionView, ConnectRefusal, refused
from sync_core.services.session_views import epoch
from sync_core.settings import Settings, get_settings
from sync_core.store import connection_drafts as store
from sync_core.store.audit import record
from sync_core.store.connection_drafts import StoredDraft
from sync_core.store.connections import reveal_key
from sync_core.store.crypto import Purpose, load_keyring
from sync_core.store.database import Database
from sync_core.stripe_source import KeyInfo, check_key_format

DAYS: Final = 7
LONGEST_LABEL: Final = 80
Mode = Literal["test", "live"]
_FORBIDDEN = Refusal("forbidden", "Your role may not change the connection. Ask an admin.", status=403)
_NO_KEY = Refusal("draft_without_key", "No key was saved. Paste it below.", field="api_key")
_GONE = Refusal("draft_gone", "There is nothing saved any more.", status=404)
_UNREADABLE = Refusal("draft_unreadable", "The saved key can't be opened any more. Discard it and paste the key again.")


@dataclass(frozen=True, slots=True)
class DraftView:
    """What may be shown of it. Times are epoch seconds; an empty `masked_key`: none was given."""

    id: UUID
    label: str
    mode: Mode
    entity_types: tuple[EntityType, ...]
    masked_key: str
    checks: tuple[Check, ...]
    created_by: str
    created_at: int
    expires_at: int


async def current(database: Database, actor: Actor) -> DraftView | None:
    """None for who may not connect: nothing else can be done with it."""
    if not actor.can(Permission.MANAGE_CONNECTION):
        return None
    async with database.workspace(actor.workspace_id) as session:
        found = await store.read(session, actor.workspace_id)
    return None if found is None else _view(found)


async def save(
    database: Database,
    actor: Actor,
    api_key: str,
    *,
    label: str,
    mode: Mode,
    entity_types: Collection[EntityType] = connections.EVERY,
    settings: Settings | None = None,
    report: Report | None = None,
) -> DraftView | Refusal:
    """Keep what was given, then examine the key, if there is one: it is kept whatever comes of that. A key's own mode counts."""
    if not actor.can(Permission.MANAGE_CONNECTION):
        return _FORBIDDEN
    settings, key = settings or get_settings(), api_key.strip()
    info = check_key_format(key) if key else None
    if isinstance(info, Refusal):
        return info
    if len(label.strip()) > LONGEST_LABEL:
        return Refusal("label_too_long", f"Use at most {LONGEST_LABEL} characters.", field="label")
    if not entity_types:
        return connections.NOTHING_CHOSEN
    draft_id, types = uuid4(), connections.read_by(entity_types)
    await _keep(
        database, actor, draft_id, key, info, label=label.strip(), mode=mode, entity_types=types, settings=settings
    )
    if info is not None:
        examined = await connections.examined(
            database,
            actor.workspace_id,
            key,
            entity_types=types,
            by=actor.label,
            settings=settings,
            report=report,
        )
        await _note(database, actor, draft_id, examined.checks)
    return await current(database, actor) or _GONE


async def take_up(
    database: Database, actor: Actor, *, settings: Settings | None = None, report: Report | None = None
) -> ConnectionView | ConnectRefusal:
    """Connect with the saved key. What is connected is no draft any more; what is refused stays one, with what was found."""
    if not actor.can(Permission.MANAGE_CONNECTION):
        return refused(_FORBIDDEN, ())
    settings = settings or get_settings()
    async with database.workspace(actor.workspace_id) as session:
        found = await store.read(session, actor.workspace_id)
    if found is None:
        return refused(_GONE, ())
    if found.key_ciphertext is None:
        return refused(_NO_KEY, ())
    try:
        key = reveal_key(actor.workspace_id, found.id, found.key_ciphertext, settings)
    except ConfigError:
        return refused(_UNREADABLE, ())
    types = connections.read_by(found.entity_types)
    result = await connections.connect(database, actor, key, entity_types=types, settings=settings, report=report)
    if isinstance(result, ConnectRefusal):
        await _note(database, actor, found.id, result.checks)
    return result


async def discard(database: Database, actor: Actor) -> Refusal | None:
    if not actor.can(Permission.MANAGE_CONNECTION):
        return _FORBIDDEN
    async with database.workspace(actor.workspace_id) as session:
        dropped = await store.drop(session, actor.workspace_id)
        if dropped is None:
            return _GONE
        await record(
            session, actor.workspace_id, actor.label, "connection.draft_discarded", target=str(dropped), details={}
        )
    return None


async def _keep(
    database: Database,
    actor: Actor,
    draft_id: UUID,
    key: str,
    info: KeyInfo | None,
    *,
    label: str,
    mode: Mode,
    entity_types: tuple[EntityType, ...],
    settings: Settings,
) -> None:
    sealed = None
    if info is not None:
        envelope = load_keyring(settings).seal(
            key, workspace_id=actor.workspace_id, connection_id=draft_id, purpose=Purpose.API_KEY
        )
        sealed = info.kind, info.last4, envelope
    livemode = (mode if info is None else info.mode) == "live"
    async with database.workspace(actor.workspace_id) as session:
        await store.save(
            session,
            actor.workspace_id,
            draft_id,
            label=label,
            livemode=livemode,
            entity_types=[entity.value for entity in entity_types],
            key=sealed,
            created_by=actor.label,
            days=DAYS,
        )
        details = {"label": label, "livemode": livemode, "last4": info.last4 if info is not None else None}
        await record(
            session, actor.workspace_id, actor.label, "connection.draft_saved", target=str(draft_id), details=details
        )


async def _note(database: Database, actor: Actor, draft_id: UUID, checks: tuple[Check, ...]) -> None:
    async with database.workspace(actor.workspace_id) as session:
        await store.save_checks(session, actor.workspace_id, draft_id, [check.to_json() for check in checks])


def _view(found: StoredDraft) -> DraftView:
    mode: Mode = "live" if found.livemode else "test"
    prefix = "rk" if found.key_kind == "restricted" else "sk"
    return DraftView(
        id=found.id,
        label=found.label,
        mode=mode,
        entity_types=connections.read_by(found.entity_types),
        masked_key=f"{prefix}_{mode}_…{found.key_last4}" if found.key_last4 else "",
        checks=tuple(Check.from_json(check) for check in found.checks),
        created_by=found.created_by,
        created_at=epoch(found.created_at) or 0,
        expires_at=epoch(found.expires_at) or 0,
    )
