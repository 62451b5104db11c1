"""Which key a run reads with while a new one has still to show that it works."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from sync_core.settings import Settings
from sync_core.store import connections
from sync_core.store.audit import record
from sync_core.store.database import Database
from sync_core.store.run_state import RunRow
from sync_core.store.runs import Held
from sync_core.stripe_source import AuthRefused, StripeError, StripeSource

log = structlog.get_logger()


async def working_source(
    database: Database,
    settings: Settings,
    held: Held,
    row: RunRow,
    source: StripeSource,
    source_with: Callable[[str], StripeSource],
) -> StripeSource:
    """`source`, unless Stripe does not let it read and the key before it is still kept: then one with that.

    A key that works ends the time of the one before it. One request, and only while there is a key before it.
    """
    connection = row.connection
    if connection.former_ciphertext is None or not row.config.entity_types:
        return source
    try:
        works = (await source.probe(row.config.entity_types[0])).ok
    except AuthRefused:
        works = False
    except StripeError as unknown:
        log.warning("key.not_tried", session=str(held.session_id), reason=unknown.message)
        return source
    async with database.workspace(held.workspace_id) as session:
        if works:
            await connections.forget_former(session, held.workspace_id, connection.id, connection.key_fingerprint)
            return source
        details = {"session_id": str(held.session_id)}
        await record(
            session, held.workspace_id, "sync", "connection.former_key_used", target=str(connection.id), details=details
        )
    return source_with(connections.reveal_key(held.workspace_id, connection.id, connection.former_ciphertext, settings))
