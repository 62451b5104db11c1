"""/connections/stripe"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from dashboard.api.access import CallingActor, OpenDatabase, OurSettings
from dashboard.api.answers import noes
from dashboard.api.errors import granted
from dashboard.api.models import ConnectBody, Connection, DisconnectBody, ReadCap, ReadCapBody, WebhookSecretBody
from sync_core.services import connection_webhooks, connections, read_cap
from sync_core.services.connections import NO_CONNECTION

router = APIRouter(prefix="/connections/stripe", tags=["connections"])


@router.get("", response_model=Connection, responses=noes(), summary="The connected Stripe account")
async def get_connection(actor: CallingActor, database: OpenDatabase) -> dict[str, Any]:
    return granted(await connections.current(database, actor) or NO_CONNECTION).to_json()


@router.put("", response_model=Connection, responses=noes(403, 409, 502), summary="Connect, or replace the key")
async def put_connection(
    body: ConnectBody, actor: CallingActor, database: OpenDatabase, settings: OurSettings
) -> dict[str, Any]:
    """The key is examined first and kept only if it can read what it is to: all five entity types, or those named. A key of another account or mode is refused
    until the present one is disconnected."""
    return granted(
        await connections.connect(database, actor, body.api_key, entity_types=body.entity_types, settings=settings)
    ).to_json()


@router.post("/check", response_model=Connection, responses=noes(403, 409), summary="Run the checks again")
async def check_connection(actor: CallingActor, database: OpenDatabase, settings: OurSettings) -> dict[str, Any]:
    return granted(await connections.recheck(database, actor, settings=settings)).to_json()


@router.put("/webhook-secret", response_model=Connection, responses=noes(403, 409), summary="Keep the signing secret")
async def put_webhook_secret(
    body: WebhookSecretBody, actor: CallingActor, database: OpenDatabase, settings: OurSettings
) -> dict[str, Any]:
    view = await connection_webhooks.set_secret(database, actor, body.webhook_secret, settings=settings)
    return granted(view).to_json()


@router.get("/read-cap", response_model=ReadCap, responses=noes(), summary="How fast the account is read")
async def get_read_cap(actor: CallingActor, database: OpenDatabase, settings: OurSettings) -> dict[str, Any]:
    return granted(await read_cap.read(database, actor, settings=settings)).to_json()


@router.put("/read-cap", response_model=ReadCap, responses=noes(403), summary="Change how fast the account is read")
async def put_read_cap(
    body: ReadCapBody, actor: CallingActor, database: OpenDatabase, settings: OurSettings
) -> dict[str, Any]:
    """Holds for the Stripe account in this mode, whoever reads it here; where several workspaces set one, the lowest. A sync that is running keeps to it within seconds."""
    return granted(await read_cap.save(database, actor, body.requests_per_second, settings=settings)).to_json()


@router.post("/disconnect", status_code=204, responses=noes(403, 409), summary="Disconnect and forget the key")
async def disconnect(body: DisconnectBody, actor: CallingActor, database: OpenDatabase) -> Response:
    """Records, conflicts and history stay."""
    granted(await connections.disconnect(database, actor, body.confirmation))
    return Response(status_code=204)
