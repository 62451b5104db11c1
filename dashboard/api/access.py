"""Who calls: an API key, and the workspace it is for."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader

from dashboard.api.errors import Refused
from sync_core.errors import Refusal
from sync_core.services.actor import Actor
from sync_core.services.api_keys import verify
from sync_core.settings import Settings
from sync_core.store.database import Database

_KEY = APIKeyHeader(name="X-API-Key", scheme_name="ApiKey", auto_error=False, description="A workspace's API key.")
_WORKSPACE = APIKeyHeader(
    name="X-Workspace-ID", scheme_name="Workspace", auto_error=False, description="The workspace that the key is for."
)


def get_database(request: Request) -> Database:
    database: Database = request.app.state.database()
    return database


def get_settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings()
    return settings


async def get_actor(
    request: Request,
    key: Annotated[str | None, Security(_KEY)] = None,
    workspace: Annotated[str | None, Security(_WORKSPACE)] = None,
) -> Actor:
    """A key of another workspace finds nothing there, whether that workspace exists or not."""
    actor = await verify(get_database(request), key) if key else None
    if actor is None:
        raise Refused(Refusal("unauthorized", "Send a valid API key in X-API-Key.", field="X-API-Key", status=401))
    if _uuid(workspace) != actor.workspace_id:
        message = "There is no such workspace for this key."
        raise Refused(Refusal("workspace_not_found", message, field="X-Workspace-ID", status=404))
    return actor


def _uuid(text: str | None) -> UUID:
    try:
        return UUID(text or "")
    except ValueError:
        message = "Send the workspace's id, a UUID, in X-Workspace-ID."
        raise Refused(Refusal("invalid_workspace_id", message, field="X-Workspace-ID", status=400)) from None


CallingActor = Annotated[Actor, Depends(get_actor)]
OpenDatabase = Annotated[Database, Depends(get_database)]
OurSettings = Annotated[Settings, Depends(get_settings)]
