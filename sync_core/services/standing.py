"""What stands around every page of a workspace: how it is connected, and what waits for a person."""

from __future__ import annotations

from dataclasses import dataclass

from sync_core.services.actor import Actor
from sync_core.store import connections, overview
from sync_core.store.database import Database


@dataclass(frozen=True, slots=True)
class Standing:
    """`mode` is live, test or sandbox, and empty while nothing is connected. `mentions`, to which this person was called and has not been yet,
    stop counting at a hundred.
    """

    mode: str
    open_conflicts: int
    mentions: int


async def read(database: Database, actor: Actor) -> Standing:
    async with database.workspace(actor.workspace_id) as session:
        found = await connections.active(session, actor.workspace_id)
        waiting, mentions = await overview.waiting(session, actor.workspace_id, actor.user_id)
    mode = "" if found is None else "sandbox" if found.is_sandbox else "live" if found.livemode else "test"
    return Standing(mode, waiting.value, mentions)
