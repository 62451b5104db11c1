"""What is asked by those who watch over the server."""

from __future__ import annotations

from sqlalchemy import text

from sync_core.store.database import Database

_RUNS = text(
    "SELECT count(*) FILTER (WHERE lease_until >= now()) AS driven, count(*) FILTER (WHERE lease_until IS NULL OR lease_until < now())"
    " AS waiting FROM payment_sync_leases"
)


async def open_runs(database: Database) -> dict[str, int]:
    """Runs of all workspaces that are driven and that wait. Raises when the database is away."""
    async with database.system() as session:
        row = (await session.execute(_RUNS)).one()
    return {"driven": row.driven, "waiting": row.waiting}
