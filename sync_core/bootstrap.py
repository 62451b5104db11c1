"""What every start makes sure of, in an order that may be repeated: schema, workspace, owner, connection, demo records."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sync_core.errors import ConfigError, Refusal
from sync_core.services import accounts, connections, demo
from sync_core.settings import Settings
from sync_core.store import migrate
from sync_core.store.database import Database


@dataclass(frozen=True, slots=True)
class Started:
    """`setup_url` is to be shown to the operator once; `notes` are things that did not stop the start."""

    workspace_id: UUID
    setup_url: str | None
    notes: tuple[str, ...] = ()


def prepare_schema(url: str) -> None:
    migrate.upgrade(url)


async def first_start(database: Database, settings: Settings) -> Started:
    notes: list[str] = []
    configured = settings.owner_email is not None and settings.owner_password is not None
    start = await accounts.first_start(database, setup_link=not configured)
    if settings.owner_email is not None and settings.owner_password is not None:
        made = await accounts.ensure_owner(
            database, email=settings.owner_email, password=settings.owner_password.get_secret_value()
        )
        if isinstance(made, Refusal):
            raise ConfigError(f"OWNER_EMAIL and OWNER_PASSWORD: {made.message}")
    connected = await connections.connect_from_environment(database, start.workspace_id, settings=settings)
    if isinstance(connected, Refusal):
        notes.append(f"STRIPE_SECRET_KEY was not taken: {connected.message}")
    await demo.seed_demo(database, start.workspace_id, settings=settings)
    link = None if start.setup_token is None else f"{settings.origin}/auth/setup?token={start.setup_token}"
    return Started(start.workspace_id, link, tuple(notes))
