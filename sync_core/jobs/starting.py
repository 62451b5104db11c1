"""A sync put into the queue, and what may stand in its way: the same for a person, a program and the clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain import limits
from sync_core.errors import Refusal
from sync_core.store import connections, runs
from sync_core.store import sessions as store
from sync_core.store.audit import record
from sync_core.store.runs import RunConfig

NOT_CONNECTED: Final = Refusal("not_connected", "Connect a Stripe account first.", field="connection", status=409)
RUNNING: Final = Refusal(
    "sync_running", "A sync of this workspace is running already. Wait for it, or cancel it first.", status=409
)
PLANS_ONLY: Final = Refusal(
    "approval_required",
    "This workspace writes only what a second person has approved. Make a dry run, have its plan approved, then apply it.",
    field="dry_run",
    status=409,
)


async def queue(
    session: AsyncSession, workspace_id: UUID, config: RunConfig, *, by: str, details: Mapping[str, Any] | None = None
) -> UUID | Refusal:
    """The next tick takes it. It goes by the workspace's settings as they are now; `details` go to the audit log beside the configuration."""
    defaults = await store.defaults(session, workspace_id)
    if not config.dry_run and limits.of(defaults.settings).approval:
        return PLANS_ONLY
    connection = await connections.active(session, workspace_id)
    if connection is None:
        return NOT_CONNECTED
    config = replace(config, match_by_email=defaults.match_by_email)
    session_id = await runs.enqueue(session, workspace_id, config, connection_id=connection.id, created_by=by)
    if session_id is None:
        return RUNNING
    action = "sync.dry_run_started" if config.dry_run else "sync.started"
    said = {**config.to_json(), **(details or {})}
    await record(session, workspace_id, by, action, target=str(session_id), details=said)
    return session_id
