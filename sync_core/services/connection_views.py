"""A connection as screens and REST show it: never its key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.vocabulary import EntityType
from sync_core.errors import Refusal
from sync_core.services.check_results import Check, shared_check, webhook_check
from sync_core.services.session_views import epoch
from sync_core.store import inbox
from sync_core.store.connections import StoredConnection, is_elsewhere

FORBIDDEN = Refusal("forbidden", "Your role may not change the connection. Ask an admin.", status=403)


@dataclass(frozen=True, slots=True)
class ConnectRefusal(Refusal):
    """With what was found out about the key before it was refused."""

    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class ConnectionView:
    """What may be shown of a connection. Times are epoch seconds; `confirmation` is to be typed to disconnect."""

    id: UUID
    account_id: str
    account_name: str | None
    country: str | None
    default_currency: str | None
    livemode: bool
    is_sandbox: bool
    key_kind: str
    key_last4: str
    former_last4: str | None
    has_webhook_secret: bool
    entity_types: tuple[EntityType, ...]
    checks: tuple[Check, ...]
    checked_at: int | None
    created_at: int
    updated_at: int

    @property
    def mode(self) -> str:
        return "live" if self.livemode else "test"

    @property
    def masked_key(self) -> str:
        return f"{'rk' if self.key_kind == 'restricted' else 'sk'}_{self.mode}_…{self.key_last4}"

    @property
    def confirmation(self) -> str:
        return self.account_name or self.account_id

    def to_json(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "object": "connection",
            "provider": "stripe",
            "account_id": self.account_id,
            "account_name": self.account_name,
            "country": self.country,
            "default_currency": self.default_currency,
            "livemode": self.livemode,
            "sandbox": self.is_sandbox,
            "key": {"kind": self.key_kind, "last4": self.key_last4},
            "former_key_last4": self.former_last4,
            "webhook_secret_set": self.has_webhook_secret,
            "entity_types": [entity.value for entity in self.entity_types],
            "checks": [check.to_json() for check in self.checks],
            "checked_at": self.checked_at,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        }


def refused(refusal: Refusal, checks: tuple[Check, ...]) -> ConnectRefusal:
    return ConnectRefusal(refusal.code, refusal.message, refusal.field, refusal.status, checks)


async def view_of(session: AsyncSession, workspace_id: UUID, found: StoredConnection) -> ConnectionView:
    """What is known here is looked at each time: it costs Stripe nothing."""
    checked_at = epoch(found.checked_at) or 0
    shared = shared_check(elsewhere=await is_elsewhere(session, found.id), checked_at=checked_at)
    webhook = webhook_check(
        has_secret=found.webhook_ciphertext is not None,
        last=await inbox.last(session, workspace_id),
        checked_at=checked_at,
    )
    return ConnectionView(
        id=found.id,
        account_id=found.account_id,
        account_name=found.account_name,
        country=found.country,
        default_currency=found.default_currency,
        livemode=found.livemode,
        is_sandbox=found.is_sandbox,
        key_kind=found.key_kind,
        key_last4=found.key_last4,
        former_last4=found.former_last4,
        has_webhook_secret=found.webhook_ciphertext is not None,
        entity_types=tuple(entity for entity in EntityType if entity.value in found.entity_types),
        checks=(*(Check.from_json(check) for check in found.checks), shared, webhook),
        checked_at=epoch(found.checked_at),
        created_at=int(found.created_at.timestamp()),
        updated_at=int(found.updated_at.timestamp()),
    )


def phrase(found: StoredConnection) -> str:
    """What is to be typed to disconnect."""
    return found.account_name or found.account_id
