"""A record of every step of every window, kept by the database itself: under which fence it was committed, and by which connection."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from sqlalchemy import text

from sync_core.store.database import Database
from tests import support

_TABLE = (
    "CREATE TABLE steps (n bigint GENERATED ALWAYS AS IDENTITY, workspace_id uuid, window_id uuid, pages int, status text,"
    " fence bigint, pid int)"
)
# The writer proves its fence in the same transaction, so the one that is read here is its own.
_NOTE = """
CREATE FUNCTION note_step() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
  INSERT INTO steps (workspace_id, window_id, pages, status, fence, pid) SELECT NEW.workspace_id, NEW.id, NEW.pages, NEW.status,
    (SELECT fence FROM payment_sync_leases WHERE session_id = NEW.session_id), pg_backend_pid();
  RETURN NULL;
END $$
"""
_TRIGGER = (
    "CREATE TRIGGER note_step AFTER INSERT OR UPDATE ON payment_sync_windows FOR EACH ROW EXECUTE FUNCTION note_step()"
)


async def begin(database: Database) -> None:
    async with database.engine.begin() as connection:
        for statement in (_TABLE, _NOTE, _TRIGGER, "GRANT SELECT ON steps TO cyphera_app"):
            await connection.execute(text(statement))


async def assert_each_step_was_taken_once(database: Database, workspace_id: UUID) -> int:
    """No window's page was committed twice, none out of order, and no step under a fence older than the one before. Returns the fences seen."""
    steps = await support.rows(database, workspace_id, "SELECT * FROM steps ORDER BY n")
    taken = Counter((step["window_id"], step["pages"], step["status"]) for step in steps)
    assert [step for step, times in taken.items() if times > 1] == [], "two workers committed the same step"
    reached: dict[UUID, int] = {}
    newest = 0
    for step in steps:
        before = reached.get(step["window_id"], 0)
        assert step["pages"] - before in (0, 1), "a page was passed over, or read back"
        reached[step["window_id"]] = step["pages"]
        assert step["fence"] >= newest, "a step was committed under a fence that had been taken"
        newest = step["fence"]
    return len({step["fence"] for step in steps})
