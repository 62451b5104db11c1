"""/webhooks/stripe: what Stripe sends"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Request

from dashboard.api.access import OpenDatabase, OurSettings
from dashboard.api.errors import granted
from dashboard.api.models import ErrorResponse, Received
from sync_core.services import webhooks

router = APIRouter(prefix="/webhooks/stripe", tags=["webhooks"])


@router.post(
    "/{workspace_id}",
    response_model=Received,
    responses={
        400: {"model": ErrorResponse, "description": "Not signed by this workspace's endpoint"},
        413: {"model": ErrorResponse, "description": "The body is larger than 256 kB"},
    },
    openapi_extra={"requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}, "required": True}},
    summary="Take an event from Stripe",
)
async def receive_event(
    workspace_id: UUID,
    request: Request,
    database: OpenDatabase,
    settings: OurSettings,
    stripe_signature: Annotated[str, Header(description="Stripe's signature of the body.")] = "",
) -> Received:
    """Kept and answered at once; worked on afterwards. The same event twice is one event."""
    granted(await webhooks.receive(database, workspace_id, await request.body(), stripe_signature, settings=settings))
    return Received(received=True)
