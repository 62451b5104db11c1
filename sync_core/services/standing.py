"""What stands around every page of a workspace: how it is connected, and what waits for a person."""

from __future__ import annotations

from dataclasses import dataclass

from sync_core.services.actor import Actor
from sync_core.store import connections, overview
from sync_core.store.database import Database


@dataclass(frozen=True, slots=True)
class Standing:
    """`mode` is live, test or sandbox, and empty while nothing is connected. `open_conflicts` stops counting at a thousand or so."""

    mode: str
    open_conflicts: int


async def read(database: Database, actor: Actor) -> Standing:
    async with database.workspace(actor.workspace_id) as session:
        found = await connections.active(session, actor.workspace_id)
        waiting = await overview.open_conflicts(session, actor.workspace_id)
    if found is None:
        return Standing("", waiting.value)
    return Standing("sandbox" if found.is_sandbox else "live" if found.livemode else "test", waiting.value)
