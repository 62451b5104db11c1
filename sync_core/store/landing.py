"""Pages into staged objects: rows, cursors, new windows and counters in one transaction that proves its fence.

COPY is refused on tables with row-level security, so rows go through a temporary table of the connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

import orjson
from psycopg.types.json import Jsonb
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.vocabulary import EntityType, WindowStatus
from sync_core.errors import LeaseLost
from sync_core.store.database import DbRole, driver


@dataclass(slots=True)
class StagedRow:
    """One object to land. `values` and `raw` are JSON texts, `digest` (hex) stands for the values; `issue` says why there are none."""

    entity: EntityType
    external_id: str
    seq: int
    created: int | None
    livemode: bool
    deleted: bool
    related: bool
    observed_at: float
    request_id: str | None
    values: bytes | None
    raw: bytes
    issue: dict[str, str | None] | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class WindowRow:
    """A stretch [gte, lt) of `created` in epoch seconds, as stored."""

    id: UUID
    entity: EntityType
    gte: int
    lt: int
    cursor: str | None = None
    oldest_seen: int | None = None
    pages: int = 0
    objects: int = 0
    status: WindowStatus = WindowStatus.OPEN
    parent_id: UUID | None = None


def new_window(entity: EntityType, gte: int, lt: int, parent: UUID | None = None) -> WindowRow:
    return WindowRow(uuid4(), entity, gte, lt, parent_id=parent)


@dataclass(slots=True)
class Landing:
    """What one commit brings: objects, the windows they came from as they are after it, and windows that open.

    `known` counts the objects that were recognised and need no row; `upto` are the last places given out, theirs included.
    """

    rows: list[StagedRow] = field(default_factory=list)
    known: dict[EntityType, int] = field(default_factory=dict)
    upto: dict[EntityType, int] = field(default_factory=dict)
    windows: list[WindowRow] = field(default_factory=list)
    opened: list[WindowRow] = field(default_factory=list)
    requests: dict[EntityType, int] = field(default_factory=dict)


_TABLE = (
    "CREATE TEMPORARY TABLE IF NOT EXISTS {table} (entity_type text, external_id text, seq bigint, provider_created bigint,"
    " livemode boolean, deleted boolean, related boolean, observed_at timestamptz, request_id text, issue jsonb,"
    " digest uuid, values jsonb, raw json) ON COMMIT DELETE ROWS"
)
_COPY = "COPY {table} FROM STDIN"
# The newest look wins, whichever lands last. One that shows nothing new only says that it was looked: its place in the queue stays.
_NEWS = "(s.digest, s.issue, s.deleted) IS DISTINCT FROM (excluded.digest, excluded.issue, excluded.deleted)"
_ROWS = """
  INSERT INTO payment_sync_staged_objects AS s (workspace_id, session_id, entity_type, external_id, seq, provider_created,
    livemode, deleted, related, observed_at, request_id, issue, digest, values, raw)
  SELECT %(workspace)s, %(session)s, entity_type, external_id, seq, provider_created, livemode, deleted, related, observed_at,
    request_id, issue, digest, values, raw FROM {table} WHERE EXISTS (SELECT FROM fence)
  ON CONFLICT (session_id, entity_type, external_id) DO UPDATE SET seq = CASE WHEN {news} THEN excluded.seq ELSE s.seq END,
    provider_created = excluded.provider_created, livemode = excluded.livemode, deleted = excluded.deleted,
    observed_at = excluded.observed_at, request_id = excluded.request_id, issue = excluded.issue,
    digest = excluded.digest, values = excluded.values, raw = excluded.raw
  WHERE s.observed_at < excluded.observed_at
  RETURNING s.entity_type, s.xmax = 0 AS fresh
"""
_NO_ROWS = "SELECT NULL::text AS entity_type, false AS fresh WHERE false"
_LAND = """
WITH fence AS (
  SELECT 1 FROM payment_sync_leases WHERE session_id = %(session)s AND fence = %(fence)s FOR KEY SHARE
), landed AS ({rows}), steps AS (
  UPDATE payment_sync_windows w SET status = v.status, cursor = v.cursor, oldest_seen = v.oldest_seen, pages = v.pages,
    objects = v.objects
  FROM jsonb_to_recordset(%(windows)s) AS v(id uuid, status text, cursor text, oldest_seen bigint, pages int, objects bigint)
  WHERE w.workspace_id = %(workspace)s AND w.id = v.id AND EXISTS (SELECT FROM fence)
), opened AS (
  INSERT INTO payment_sync_windows (workspace_id, id, session_id, entity_type, gte, lt, parent_id)
  SELECT %(workspace)s, v.id, %(session)s, v.entity, v.gte, v.lt, v.parent_id
  FROM jsonb_to_recordset(%(opened)s) AS v(id uuid, entity text, gte bigint, lt bigint, parent_id uuid)
  WHERE EXISTS (SELECT FROM fence)
  ON CONFLICT DO NOTHING
), counted AS (
  UPDATE payment_sync_entity_runs r SET
    fetched = r.fetched + c.known + (SELECT count(*) FROM landed l WHERE l.entity_type = r.entity_type AND l.fresh),
    unchanged = r.unchanged + c.known,
    landed_seq = greatest(r.landed_seq, c.seq), requests = r.requests + c.requests,
    last_cursor = coalesce(c.cursor, r.last_cursor), last_page_at = clock_timestamp(), updated_at = clock_timestamp()
  FROM jsonb_to_recordset(%(counts)s) AS c(entity text, seq bigint, requests bigint, known bigint, cursor text)
  WHERE r.workspace_id = %(workspace)s AND r.session_id = %(session)s AND r.entity_type = c.entity
    AND EXISTS (SELECT FROM fence)
)
SELECT count(*) FROM fence
"""


def landing_table(role: DbRole) -> str:
    """What a session prepares that is to land objects."""
    return _TABLE.format(table=_table(role.value))


def _table(role: str) -> str:
    """A pooled connection may have served the other role before: each has a table of its own."""
    return f"landing_{role}"


async def land(
    session: AsyncSession,
    workspace_id: UUID,
    session_id: UUID,
    fence: int,
    landing: Landing,
    *,
    behind: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Everything or nothing. `behind` is waited for when the objects are with the database and no row of any table is touched yet. Objects
    need a session that was opened with `landing_table`.

    Raises LeaseLost when another worker has taken the run.
    """
    connection = await driver(session)
    table = _table(session.info["role"])
    async with connection.cursor() as cursor:
        if landing.rows:
            async with cursor.copy(_COPY.format(table=table)) as copy:
                # A part at a time: requests to Stripe are due meanwhile.
                for first in range(0, len(landing.rows), _LINES_AT_ONCE):
                    await copy.write(_lines(landing.rows[first : first + _LINES_AT_ONCE]))
        if behind is not None:
            await behind()
        await cursor.execute(
            _LAND.format(rows=_ROWS.format(table=table, news=_NEWS) if landing.rows else _NO_ROWS),
            {
                "workspace": workspace_id,
                "session": session_id,
                "fence": fence,
                "windows": Jsonb([_step(window) for window in landing.windows]),
                "opened": Jsonb([_opening(window) for window in landing.opened]),
                "counts": Jsonb(_counts(landing)),
            },
        )
        row = await cursor.fetchone()
    if row is None or row[0] == 0:
        raise LeaseLost(f"the lease of run {session_id} was taken by another worker")


def _step(window: WindowRow) -> dict[str, object]:
    return {
        "id": str(window.id),
        "status": window.status.value,
        "cursor": window.cursor,
        "oldest_seen": window.oldest_seen,
        "pages": window.pages,
        "objects": window.objects,
    }


def _opening(window: WindowRow) -> dict[str, object]:
    parent = None if window.parent_id is None else str(window.parent_id)
    return {
        "id": str(window.id),
        "entity": window.entity.value,
        "gte": window.gte,
        "lt": window.lt,
        "parent_id": parent,
    }


def _counts(landing: Landing) -> list[dict[str, object]]:
    tops = dict(landing.upto)
    for row in landing.rows:
        tops[row.entity] = max(tops.get(row.entity, 0), row.seq)
    cursors = {window.entity: window.cursor for window in landing.windows}
    return [
        {
            "entity": entity.value,
            "seq": tops.get(entity, 0),
            "requests": landing.requests.get(entity, 0),
            "known": landing.known.get(entity, 0),
            "cursor": cursors.get(entity),
        }
        for entity in {*tops, *landing.requests}
    ]


_LINES_AT_ONCE = 200
_NULL = b"\\N"
_TRUE, _FALSE = b"t", b"f"


def _lines(rows: Sequence[StagedRow]) -> bytes:
    """COPY's text format, put together by hand: a third of the cost of adapting each value."""
    stamps: dict[float, bytes] = {}
    return b"".join(_line(row, stamps) for row in rows)


def _line(row: StagedRow, stamps: dict[float, bytes]) -> bytes:
    stamp = stamps.get(row.observed_at)
    if stamp is None:
        stamp = stamps[row.observed_at] = datetime.fromtimestamp(row.observed_at, UTC).isoformat().encode()
    return (
        b"\t".join(
            (
                row.entity.value.encode(),
                _text(row.external_id),
                b"%d" % row.seq,
                _NULL if row.created is None else b"%d" % row.created,
                _TRUE if row.livemode else _FALSE,
                _TRUE if row.deleted else _FALSE,
                _TRUE if row.related else _FALSE,
                stamp,
                _NULL if row.request_id is None else _text(row.request_id),
                _NULL if row.issue is None else _escaped(orjson.dumps(row.issue)),
                _NULL if row.digest is None else row.digest.encode(),
                _NULL if row.values is None else _escaped(row.values),
                _escaped(row.raw),
            )
        )
        + b"\n"
    )


def _escaped(json_text: bytes) -> bytes:
    """JSON holds no raw tab or line end, so the backslash is all that COPY could take for its own."""
    return json_text.replace(b"\\", b"\\\\")


def _text(value: str) -> bytes:
    plain = value.encode()
    if b"\\" in plain or b"\t" in plain or b"\n" in plain or b"\r" in plain:
        plain = plain.replace(b"\\", b"\\\\").replace(b"\t", b"\\t").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    return plain


_OPEN_WINDOWS = (
    "SELECT id, entity_type, gte, lt, cursor, oldest_seen, pages, objects, status, parent_id FROM payment_sync_windows"
    " WHERE workspace_id = %(workspace)s AND session_id = %(session)s"
)


async def read_windows(session: AsyncSession, workspace_id: UUID, session_id: UUID) -> list[WindowRow]:
    connection = await driver(session)
    cursor = await connection.execute(_OPEN_WINDOWS, {"workspace": workspace_id, "session": session_id})
    return [
        WindowRow(
            id=row[0],
            entity=EntityType(row[1]),
            gte=row[2],
            lt=row[3],
            cursor=row[4],
            oldest_seen=row[5],
            pages=row[6],
            objects=row[7],
            status=WindowStatus(row[8]),
            parent_id=row[9],
        )
        for row in await cursor.fetchall()
    ]
